from __future__ import annotations

from typing import Any

from django.db import migrations, models

from portal.audit import chain, sealing


def sign(apps: Any, schema_editor: Any) -> None:
    """Note the last act without a stamp, and sign the head that 0004 has made."""
    head = apps.get_model("portal", "AuditHead").objects.get()
    head.unstamped = sealing.last_unstamped(apps.get_model("portal", "AuditEvent"))
    chain.sign(head)
    head.save(update_fields=["unstamped", "signature"])


class Migration(migrations.Migration):
    dependencies = [("portal", "0005_tries_are_counted_together")]

    operations = [
        migrations.AddField(model_name="audithead", name="unstamped", field=models.BigIntegerField(default=0)),
        migrations.RunPython(sign, migrations.RunPython.noop, elidable=False),
    ]
