"""What an injected script would find: no page of any kind lets one run, frames itself, or guesses what a file is."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.permissions.scene import nothing_happened
from tests.permissions.table import FILES, Asked, rows_of

pytestmark = [pytest.mark.django_db, pytest.mark.apart]

STRICT = {"default-src 'none'", "script-src 'self'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"}


def wrong_with(answer) -> list[str]:
    policy = answer.headers.get("Content-Security-Policy", "")
    parts = {part.strip() for part in policy.split(";")}
    text = answer.content.decode(errors="replace") if "html" in answer.headers.get("Content-Type", "") else ""
    return [
        *(["unsafe"] if "unsafe" in policy or "*" in policy or "data:" in policy else []),
        *sorted(STRICT - parts),
        *(["inline script"] if "<script>" in text or "javascript:" in text else []),
        *(["sniffing"] if answer.headers.get("X-Content-Type-Options") != "nosniff" else []),
        *(["frames"] if answer.headers.get("X-Frame-Options") != "DENY" else []),
    ]


@pytest.mark.parametrize("file", [file for file in FILES if rows_of(file, "PAGES")], ids=lambda file: file.__name__)
@pytest.mark.parametrize("who", ["nobody", "alice", "ruth"])
def test_every_page_whatever_it_answers(scene, file, who):
    """Refusals and what is not there among them, Django's admin and the pages of allauth too."""
    client, asked, wrong = Client(), Asked(scene, file), []
    if who != "nobody":
        client.force_login(scene.people[who])
    for method, name in rows_of(file, "PAGES"):
        if method == "get":
            with nothing_happened():
                answer = client.get(asked.paths[name], asked.queries.get(name, {}))
            if not answer.streaming and (found := wrong_with(answer)):
                wrong.append(f"{name} {answer.status_code}: {found}")
    assert wrong == []


def test_errors_too(scene, monkeypatch):
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(scene.ruth)
    assert wrong_with(client.get("/nowhere/")) == []
    assert wrong_with(client.post("/teams/new/")) == []
    monkeypatch.setattr("teams.views.teams.render", None)
    broken = client.get("/teams/")
    assert (broken.status_code, wrong_with(broken)) == (500, [])
