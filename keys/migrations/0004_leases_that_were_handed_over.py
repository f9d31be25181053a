from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("keys", "0003_versions_that_were_issued"),
    ]

    operations = [
        migrations.AddField(
            model_name="lease",
            name="handed_over_at",
            field=models.DateTimeField(null=True),
        ),
    ]
