"""The table: what all rows_*.py of this folder say, and every URL of the site beside it.

A rows file exports any of
    PAGES, REST         {(method, name): one status for each of scene.PEOPLE, or of scene.ACTORS}
    arguments(scene)    {name: what its URL is made of}
    bodies(scene)       {name: what is sent with a method that writes}
    queries(scene)      {name: what a page is asked with by GET}
A URL without a name is written as its pattern, ("get", "/admin/login/"), and its one argument is the whole path.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests import permissions
from tests.permissions.scene import ACTORS, PEOPLE, Scene

Rows = dict[tuple[str, str], str]
METHODS = ("get", "post", "put", "patch", "delete")
FILES = [
    import_module(f"{permissions.__name__}.{found.name}")
    for found in pkgutil.iter_modules(permissions.__path__)
    if found.name.startswith("rows_")
]


def rows_of(file: ModuleType, kind: str) -> Rows:
    """The PAGES or the REST of a file."""
    return getattr(file, kind, {})


PAGES: Rows = {}
REST: Rows = {}
FOR_NOBODY = {"api:device", "api:device_token"}  # whoever calls them: neither a token nor a session counts
FILE_OF: dict[str, ModuleType] = {}  # name of a URL: the file that has its rows
for _file in FILES:
    for _rows, _told in ((PAGES, rows_of(_file, "PAGES")), (REST, rows_of(_file, "REST"))):
        if twice := _rows.keys() & _told.keys():
            raise ValueError(f"{_file.__name__} says again what another file says: {sorted(twice)}")
        _rows |= _told
        FILE_OF |= dict.fromkeys((name for _, name in _told), _file)
CELLS = len(PAGES) * len(PEOPLE) + len(REST) * len(ACTORS)


class Asked:
    """What the URLs of one file are made of and asked with, for one scene."""

    def __init__(self, scene: Scene, file: ModuleType) -> None:
        arguments, bodies, queries = (
            getattr(file, what)(scene) if hasattr(file, what) else {} for what in ("arguments", "bodies", "queries")
        )
        self.arguments: Mapping[str, list[Any]] = arguments
        self.bodies: Mapping[str, dict[str, Any]] = bodies
        self.queries: Mapping[str, dict[str, Any]] = queries
        self.paths = {name: address(name, arguments.get(name, [])) for name, told in FILE_OF.items() if told is file}


def address(name: str, parts: list[Any]) -> str:
    return str((parts or [name])[0]) if name.startswith("/") else reverse(name, args=parts)


def urls(patterns: list[URLPattern | URLResolver] | None = None, path: str = "/", space: str = "") -> Iterator[str]:
    """Every URL of the site, by name; by pattern if it has none."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        whole = path + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else ""
            yield from urls(pattern.url_patterns, whole, space + inner)
        else:
            yield space + pattern.name if pattern.name else whole
