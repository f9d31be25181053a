"""Until now every member role and platform role was given by hand."""

from django.db import migrations
from django.db.models import F


def fill(apps, schema_editor):
    apps.get_model("teams", "Membership").objects.filter(given_role="").update(given_role=F("role"))
    apps.get_model("teams", "User").objects.filter(given_platform_role="").update(
        given_platform_role=F("platform_role")
    )


class Migration(migrations.Migration):
    dependencies = [("teams", "0003_identity")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
