"""Triggers that make the database itself refuse to change the audit trail, on PostgreSQL and SQLite.

An act or a seal may be deleted when a recorded cut covers it (retention); nothing else ever changes or goes. Whoever
owns the tables can drop triggers: that is what the chain is for.

SQLite makes a table anew when a migration alters it, and its triggers are gone then: such a migration ends with
`put_up`. A test sees to it.
"""

from __future__ import annotations

from typing import Any

EVENT, SEAL, CUT = "portal_auditevent", "portal_auditseal", "portal_auditcut"
# What a recorded cut covers, as a condition on the row that is to go.
COVERED = {
    EVENT: f"EXISTS (SELECT 1 FROM {SEAL} s JOIN {CUT} c ON s.number <= c.up_to WHERE s.event_id = OLD.id)",  # noqa: S608
    SEAL: f"EXISTS (SELECT 1 FROM {CUT} c WHERE c.up_to >= OLD.number)",  # noqa: S608
    CUT: "FALSE",
}
SAID = "audit rows are append-only"


def put_up(connection: Any) -> None:
    """Make the triggers, in place of those that are there."""
    take_down(connection)
    _run(connection, _POSTGRES_UP if connection.vendor == "postgresql" else _SQLITE_UP)


def take_down(connection: Any) -> None:
    """Drop the triggers: for a migration backwards, and for tests that empty their tables."""
    _run(connection, _POSTGRES_DOWN if connection.vendor == "postgresql" else _SQLITE_DOWN)


def missing(connection: Any) -> list[str]:
    """The names of triggers that are not there, or are switched off."""
    postgres = connection.vendor == "postgresql"
    asked = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
        if postgres
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    with connection.cursor() as cursor:
        cursor.execute(asked)
        there = {name for (name,) in cursor.fetchall()}
    kinds = ("update", "delete", "truncate") if postgres else ("update", "delete")
    return [name for table in COVERED for kind in kinds if (name := f"{table}_no_{kind}") not in there]


def _run(connection: Any, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _sqlite(table: str, covered: str) -> list[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN NOT ({covered}) {refuse}",
    ]


def _postgres(table: str, covered: str) -> list[str]:
    refuse = f"RAISE EXCEPTION '{SAID}' USING ERRCODE = 'restrict_violation';"
    let_go = f"IF {covered} THEN RETURN OLD; END IF;"
    head = "RETURNS trigger LANGUAGE plpgsql AS"
    row = "FOR EACH ROW EXECUTE FUNCTION"
    return [
        f"CREATE OR REPLACE FUNCTION {table}_refuse() {head} $$ BEGIN {refuse} END $$",
        f"CREATE OR REPLACE FUNCTION {table}_uncut() {head} $$ BEGIN {let_go} {refuse} END $$",
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {row} {table}_refuse()",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {row} {table}_uncut()",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION {table}_refuse()",
    ]


_SQLITE_UP = [each for table, covered in COVERED.items() for each in _sqlite(table, covered)]
_SQLITE_DOWN = [f"DROP TRIGGER IF EXISTS {table}_no_{kind}" for table in COVERED for kind in ("update", "delete")]
_POSTGRES_UP = [each for table, covered in COVERED.items() for each in _postgres(table, covered)]
_POSTGRES_DOWN = [
    f"DROP TRIGGER IF EXISTS {table}_no_{kind} ON {table}"
    for table in COVERED
    for kind in ("update", "delete", "truncate")
]
