"""Every URL of every door x every actor. A URL without a row fails; so does a row without a URL."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.http import HttpResponse, SimpleCookie
from django.urls import resolve

from tests.permissions.scene import ACTORS, PEOPLE, nothing_happened
from tests.permissions.table import CELLS, FILES, METHODS, PAGES, REST, Asked, Rows, rows_of, urls

pytestmark = [pytest.mark.django_db, pytest.mark.apart]
OURS = ("keys.", "teams.", "portal.")
REST_FILES = [file for file in FILES if rows_of(file, "REST")]


@pytest.fixture(autouse=True)
def _plain_refusals(monkeypatch):
    """Of a refusal only the status counts here; its page is drawn for other tests."""
    monkeypatch.setattr("portal.views.render", lambda *of, status, **_: HttpResponse(status=status))


def files(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("file", [f for f in FILES if rows_of(f, kind)], ids=lambda f: f.__name__)


def test_every_url_has_its_rows_and_every_row_its_url(record_property):
    found = set(urls())
    told = {name for _, name in (*PAGES, *REST)}
    rows = len(PAGES) + len(REST)
    record_property("permissions", f"{len(found)} URLs, {rows} rows, {CELLS} answers, {len(found ^ told)} holes")
    assert (sorted(found - told), sorted(told - found)) == ([], []), "URLs without a row, rows without a URL"


def wrong(rows: Rows, actors: tuple[str, ...], ask: Callable[[str, str, str], HttpResponse]) -> str:
    """Ask every row as every actor. What is answered otherwise, each with the row as it is now."""
    found = []
    for (method, name), row in rows.items():
        cells = row.split()
        answers = []
        for who in actors:
            with nothing_happened():
                answers.append(str(ask(method, name, who).status_code))
        if cells != answers:
            whose = [f"{who} {now}" for who, now, cell in zip(actors, answers, cells, strict=True) if now != cell]
            found.append(f'    ("{method}", "{name}"): "{" ".join(answers)}",  # {", ".join(whose)}')
    return "\n".join(found)


@files("PAGES")
def test_a_page_answers_each_person_as_the_table_says(client, scene, file):
    asked, sessions = Asked(scene, file), {"nobody": ""}  # each signs in once: what an actor does is undone
    for who in PEOPLE[1:]:
        client.force_login(scene.people[who])
        sessions[who] = client.cookies.output(header="")
        client.cookies.clear()

    def ask(method: str, name: str, who: str) -> HttpResponse:
        client.cookies = SimpleCookie(sessions[who])
        sent = {"sent": "1"} | asked.bodies.get(name, {})
        data = sent if method == "post" else asked.queries.get(name, {})
        return getattr(client, method)(asked.paths[name], data=data)

    assert not (rows := wrong(rows_of(file, "PAGES"), PEOPLE, ask)), f"these answer otherwise:\n{rows}"


@files("REST")
def test_the_api_answers_each_actor_as_the_table_says(client, scene, file):
    asked = Asked(scene, file)
    tokens: dict[str, dict[str, str]] = {"nobody": {}}
    for who in ACTORS[1:]:
        actor = scene.people[who.split(maxsplit=1)[0]]
        tokens[who] = scene.bearer(actor, ["read"] if who.endswith("only read") else None)

    def ask(method: str, name: str, who: str) -> HttpResponse:
        data = None if method == "get" else asked.bodies.get(name, {}) if method != "delete" else {}
        where = asked.paths[name]
        return getattr(client, method)(where, data=data, content_type="application/json", headers=tokens[who])

    assert not (rows := wrong(rows_of(file, "REST"), ACTORS, ask)), f"these answer otherwise:\n{rows}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__)
def test_what_has_no_row_is_no_way_to_ask(client, scene, file):
    """The rows are whole not only by name: a method that a view of ours answers has a row of its own."""
    told, token, holes = {*PAGES, *REST}, scene.bearer(scene.ruth), []
    client.force_login(scene.ruth)
    for name, where in Asked(scene, file).paths.items():
        if not resolve(where.partition("?")[0]).func.__module__.startswith(OURS):
            continue  # Django's admin and allauth answer any method as they answer GET
        for method in METHODS:
            if (method, name) not in told:
                with nothing_happened():
                    headers = token if file in REST_FILES else {}
                    status = getattr(client, method)(where, headers=headers).status_code
                if status not in {404, 405}:
                    holes.append(f"{method} {name} {status}")
    assert holes == []
