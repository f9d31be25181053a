from django.db import migrations
from django.db.models import F


def fill(apps, schema_editor):
    """A version whose key got its name was handed over when it was made."""
    versions = apps.get_model("keys", "KeyVersion").objects
    versions.filter(issued_at=None).exclude(key_name="").update(issued_at=F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("keys", "0002_money_and_findings")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
