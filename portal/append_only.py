"""Triggers that make the database itself refuse to change rows, on PostgreSQL and SQLite.

The audit trail: an act or a seal may be deleted when a recorded cut covers it (retention); nothing else ever changes or
goes. Whoever owns the tables can drop triggers: that is what the chain is for. Other rows: keys/frozen.py.

SQLite makes a table anew when a migration alters it, and its triggers are gone then: such a migration ends with
`put_up`. A test sees to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

EVENT, SEAL, CUT = "portal_auditevent", "portal_auditseal", "portal_auditcut"
NEVER = "FALSE"


@dataclass(frozen=True, slots=True)
class Kept:
    """Tables whose rows never change. Conditions are SQL that both databases read.

    `goes`: by table, which row may be deleted after all, of OLD. `stays_out`: by table, which row must not be
    added, of NEW; other tables take every new row. `said`: what is told to whoever tries.
    """

    said: str
    goes: Mapping[str, str]
    stays_out: Mapping[str, str] = field(default_factory=dict)

    def names(self, *, postgres: bool) -> Iterator[tuple[str, str]]:
        """Table and kind of each trigger."""
        for table in self.goes:
            for kind in ("update", "delete", *(["truncate"] if postgres else [])):
                yield table, kind
        for table in self.stays_out:
            yield table, "insert"


AUDIT = Kept(
    "audit rows are append-only",
    {
        EVENT: f"EXISTS (SELECT 1 FROM {SEAL} s JOIN {CUT} c ON s.number <= c.up_to WHERE s.event_id = OLD.id)",  # noqa: S608
        SEAL: f"EXISTS (SELECT 1 FROM {CUT} c WHERE c.up_to >= OLD.number)",  # noqa: S608
        CUT: NEVER,
    },
)


def put_up(connection: Any, kept: Kept = AUDIT) -> None:
    """Make the triggers, in place of those that are there."""
    take_down(connection, kept)
    _run(connection, _on_postgresql(kept) if connection.vendor == "postgresql" else _on_sqlite(kept))


def take_down(connection: Any, kept: Kept = AUDIT) -> None:
    """Drop the triggers: for a migration backwards, and for tests that empty their tables."""
    postgres = connection.vendor == "postgresql"
    named = kept.names(postgres=postgres)
    _run(connection, (f"DROP TRIGGER IF EXISTS {table}_no_{kind}{f' ON {table}' * postgres}" for table, kind in named))


def missing(connection: Any, kept: Kept = AUDIT) -> list[str]:
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
    wanted = (f"{table}_no_{kind}" for table, kind in kept.names(postgres=postgres))
    return [name for name in wanted if name not in there]


def _run(connection: Any, statements: Iterator[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _on_sqlite(kept: Kept) -> Iterator[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{kept.said}'); END"
    for table, goes in kept.goes.items():
        yield f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}"
        yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} WHEN NOT ({goes}) {refuse}"
    for table, out in kept.stays_out.items():
        yield f"CREATE TRIGGER {table}_no_insert BEFORE INSERT ON {table} WHEN {out} {refuse}"


def _on_postgresql(kept: Kept) -> Iterator[str]:
    refuse = f"RAISE EXCEPTION '{kept.said}' USING ERRCODE = 'restrict_violation';"
    head = "RETURNS trigger LANGUAGE plpgsql AS"
    row = "FOR EACH ROW EXECUTE FUNCTION"
    for table, goes in kept.goes.items():
        let_go = f"IF {goes} THEN RETURN OLD; END IF;"
        yield f"CREATE OR REPLACE FUNCTION {table}_refuse() {head} $$ BEGIN {refuse} END $$"
        yield f"CREATE OR REPLACE FUNCTION {table}_uncut() {head} $$ BEGIN {let_go} {refuse} END $$"
        yield f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {row} {table}_refuse()"
        yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {row} {table}_uncut()"
        yield f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION {table}_refuse()"
    for table, out in kept.stays_out.items():
        let_in = f"IF NOT {out} THEN RETURN NEW; END IF;"
        yield f"CREATE OR REPLACE FUNCTION {table}_closed() {head} $$ BEGIN {let_in} {refuse} END $$"
        yield f"CREATE TRIGGER {table}_no_insert BEFORE INSERT ON {table} {row} {table}_closed()"
