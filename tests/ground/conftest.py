"""Databases of their own for tests that start whole processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

DATABASE = os.environ.get("DATABASE_URL", "")


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
