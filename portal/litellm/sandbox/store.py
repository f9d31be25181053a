# ruff: noqa: S608  tables and fields are named by this package, and every value is bound
"""The sandbox's one SQLite file: tables of JSON documents, safe under threads and processes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from .windows import next_reset, stamp

Row = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deleted_keys (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS teams (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS members (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS models (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS credentials (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS logs (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS minutes (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS daily (
    day TEXT, user_id TEXT, team_id TEXT, token TEXT, model TEXT, model_group TEXT, provider TEXT,
    endpoint TEXT,
    spend REAL, prompt_tokens INTEGER, completion_tokens INTEGER, succeeded INTEGER, failed INTEGER,
    PRIMARY KEY (day, user_id, team_id, token, model, model_group, provider, endpoint)
);
CREATE INDEX IF NOT EXISTS keys_alias ON keys (json_extract(doc, '$.key_alias'));
CREATE INDEX IF NOT EXISTS keys_team ON keys (json_extract(doc, '$.team_id'));
CREATE INDEX IF NOT EXISTS keys_user ON keys (json_extract(doc, '$.user_id'));
CREATE INDEX IF NOT EXISTS deleted_token ON deleted_keys (json_extract(doc, '$.token'));
CREATE INDEX IF NOT EXISTS members_team ON members (json_extract(doc, '$.team_id'));
CREATE INDEX IF NOT EXISTS keys_reset ON keys (json_extract(doc, '$.budget_reset_at'));
CREATE INDEX IF NOT EXISTS teams_reset ON teams (json_extract(doc, '$.budget_reset_at'));
CREATE INDEX IF NOT EXISTS users_reset ON users (json_extract(doc, '$.budget_reset_at'));
CREATE INDEX IF NOT EXISTS members_reset ON members (json_extract(doc, '$.litellm_budget_table.budget_reset_at'));
"""
BUSY = 30  # seconds a writer waits for another process's short transaction


def names(text: str) -> tuple[str, ...]:
    """A list of field names, written as one text."""
    return tuple(text.split())


class Exists(Exception):
    """A row with this id is there already."""


class Store:
    """One open connection; every statement commits alone unless inside `write()`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def write(self) -> Iterator[None]:
        """One short transaction that owns the write lock from its first statement."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def sql(self, statement: str, *values: object) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()

    def get(self, table: str, id_: str) -> Row | None:
        found = self.sql(f"SELECT doc FROM {table} WHERE id = ?", id_)
        return json.loads(found[0][0]) if found else None

    def add(self, table: str, id_: str, doc: Row) -> None:
        """Insert a new row; raises Exists."""
        try:
            self.sql(f"INSERT INTO {table} (id, doc) VALUES (?, ?)", id_, json.dumps(doc))
        except sqlite3.IntegrityError:
            raise Exists(id_) from None

    def put(self, table: str, id_: str, doc: Row) -> None:
        # An update in place, so that rows keep their order.
        insert = f"INSERT INTO {table} (id, doc) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc"
        self.sql(insert, id_, json.dumps(doc))

    def drop(self, table: str, id_: str) -> None:
        self.sql(f"DELETE FROM {table} WHERE id = ?", id_)

    def find(self, table: str, where: str = "1", *values: object, tail: str = "ORDER BY rowid") -> list[Row]:
        """Documents whose SQL condition holds; `$name` in it stands for a field of the document."""
        statement = f"SELECT doc FROM {table} WHERE {fields(where)} {fields(tail)}"
        return [json.loads(row[0]) for row in self.sql(statement, *values)]

    def count(self, table: str, where: str = "1", *values: object) -> int:
        return int(self.sql(f"SELECT count(*) FROM {table} WHERE {fields(where)}", *values)[0][0])

    def reset_budgets(self, now: datetime) -> None:
        """Zero the spend of every window that has ended; the proxy's own job does it every few minutes."""
        for table, id_, inside in (
            ("keys", ("token",), ""),
            ("teams", ("team_id",), ""),
            ("users", ("user_id",), ""),
            ("members", ("team_id", "user_id"), "litellm_budget_table"),
        ):
            due = (f"${inside}.budget_reset_at <= ?" if inside else "$budget_reset_at <= ?", stamp(now))
            if not self.count(table, *due):
                continue
            with self.write():
                for doc in self.find(table, *due):
                    window = doc[inside] if inside else doc
                    window["budget_reset_at"] = stamp(next_reset(window["budget_duration"], now))
                    self.put(table, "/".join(doc[name] for name in id_), doc | {"spend": 0.0})


def fields(condition: str) -> str:
    """`$spend > 1` as SQL over the JSON document."""
    words = condition.replace("(", "( ").replace(")", " )").split(" ")
    return " ".join(f"json_extract(doc, '$.{w[1:]}')" if w.startswith("$") else w for w in words)


@contextmanager
def opened(path: str | Path) -> Iterator[Store]:
    """A connection for one request: nothing is shared between threads, so nothing has to be guarded."""
    with closing(sqlite3.connect(path, timeout=BUSY, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # nothing is lost with the process; 10 ms a request without it
        yield Store(connection)


def create(path: str | Path) -> None:
    """Make the file and its tables; safe to repeat."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=BUSY, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN;{SCHEMA};COMMIT;")  # at once: each statement by itself took 17 ms in all
