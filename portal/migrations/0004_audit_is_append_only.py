from __future__ import annotations

from typing import Any

from django.db import migrations
from django.utils import timezone

from portal import append_only
from portal.audit import chain


def begin(apps: Any, schema_editor: Any) -> None:
    now = timezone.now()
    head = apps.get_model("portal", "AuditHead").objects.using(schema_editor.connection.alias)
    head.get_or_create(pk=1, defaults={"begun_at": now, "signature": chain.signature(0, "", now)})


def put_up(apps: Any, schema_editor: Any) -> None:
    append_only.put_up(schema_editor.connection)


def take_down(apps: Any, schema_editor: Any) -> None:
    append_only.take_down(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("portal", "0003_audit_chain")]

    operations = [
        migrations.RunPython(begin, migrations.RunPython.noop, elidable=False),
        migrations.RunPython(put_up, take_down, elidable=False),
    ]
