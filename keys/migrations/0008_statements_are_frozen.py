from __future__ import annotations

from typing import Any

from django.db import migrations

from keys.frozen import STATEMENTS
from portal import append_only


def put_up(apps: Any, schema_editor: Any) -> None:
    append_only.put_up(schema_editor.connection, STATEMENTS)


def take_down(apps: Any, schema_editor: Any) -> None:
    append_only.take_down(schema_editor.connection, STATEMENTS)


class Migration(migrations.Migration):
    dependencies = [("keys", "0007_desk")]

    operations = [
        migrations.RunPython(put_up, take_down, elidable=False),
    ]
