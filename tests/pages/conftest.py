"""Pages are read as people get them: through the test client, without script unless `htmx` asks."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from keys.models import KeyRequest, KeyRole
from keys.services import requests
from keys.services.terms import Ask

FRONTIER: dict[str, Any] = {"approval": "team", "max_budget": Decimal(300), "models": ["gpt-4o", "gpt-4o-mini", "opus"]}
HTMX = {"HX-Request": "true"}


@pytest.fixture
def make_role(sandbox, make_role) -> Any:
    """Key roles on the sandbox, which every page that shows one needs."""
    return make_role


@pytest.fixture
def make_key(sandbox, make_key) -> Any:
    return make_key


@pytest.fixture
def as_person(client) -> Callable[[Any], Any]:
    """Sign somebody in; answers the client."""

    def sign_in(user: Any) -> Any:
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def later() -> Iterator[Callable[[], Any]]:
    """What was made before is old enough for a reconcile to act on it. Called twice, it is 20 minutes more."""
    with ExitStack() as ends:
        yield lambda: ends.enter_context(time_machine.travel(timezone.now() + timedelta(minutes=20), tick=True))


def text(response: Any) -> str:
    """What the page says, without its markup."""
    body = re.sub(r"<(script|style|svg).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    body = re.sub(r"</?time\b[^>]*>", "", body)  # words in a sentence
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def form_of(response: Any, form_id: str = "") -> dict[str, Any]:
    """The fields of a form as a browser would send them unchanged."""
    page = response.content.decode()
    start = page.index(f'id="{form_id}"') if form_id else page.index("<form", page.index("<main"))
    body = page[start : page.index("</form>", start)]
    sent: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", body):
        found = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        ticked = found.get("type") not in {"radio", "checkbox"} or re.search(r"\bchecked\b", tag)
        if "name" in found and ticked:
            sent.setdefault(found["name"], []).append(html.unescape(found.get("value", "")))
    for name, words in re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', body, flags=re.DOTALL):
        sent[name] = [html.unescape(words)]
    for name, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', body, flags=re.DOTALL):
        sent[name] = re.findall(r'value="([^"]*)"[^>]*\bselected', options) or [""]
    return {name: values if len(values) > 1 else values[0] for name, values in sent.items()}


def secret_in(response: Any) -> str:
    return re.search(r'id="secret">\s*(sk-[\w-]+)', response.content.decode()).group(1)


@pytest.fixture
def ask_for(sandbox, team, alice, make_role) -> Callable[..., KeyRequest]:
    """Ask for a key that needs an approver: alice's, three models for 30 days and $300.00, unless told otherwise."""

    def ask(*, holder: Any = None, by: Any = None, role: Any = None, **asks: Any) -> KeyRequest:
        role = role or KeyRole.objects.filter(name="frontier").first() or make_role(name="frontier", **FRONTIER)
        holder = holder or alice
        fields = {"team": team, "role": role, "name": "ranker", "purpose": "Compare four rerankers."} | asks
        return requests.submit(Ask(**fields), holder=holder, by=by or holder)

    return ask
