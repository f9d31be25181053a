"""Databases of their own for tests that start whole processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

HERE = Path(__file__).parent
APART = {f"test_{name}.py" for name in ("commands", "docs", "image", "mail", "make", "rooms", "start")}
DATABASE = os.environ.get("DATABASE_URL", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts processes with an environment of its own: `.ci/run` needs no second run of it."""
    for item in items:
        if item.path.parent == HERE and item.path.name in APART and not {"db", "database"} & {*item.fixturenames}:
            item.add_marker(pytest.mark.apart)


@pytest.fixture
def database() -> Iterator[str]:
    """The address of an empty PostgreSQL database, made beside the one that DATABASE_URL names."""
    if not DATABASE.startswith("postgres"):
        pytest.skip("set DATABASE_URL to a PostgreSQL server on which databases may be made")
    there = urlsplit(DATABASE)
    name = f"{there.path.strip('/')}_ground_{os.getpid()}"
    with psycopg.connect(urlunsplit(there._replace(path="/postgres")), autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield urlunsplit(there._replace(path=f"/{name}"))
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
