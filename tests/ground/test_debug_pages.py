"""What a bug shows: with DEBUG a page full of variables, and no secret among them."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.urls import reverse

from keys.models import KeyVersion, Lease
from keys.services import attempts, leases
from keys.services.minting import new_secret
from keys.services.terms import Ask
from portal.errors import PortalError
from portal.litellm import faults
from portal.litellm.http import Http
from portal.litellm.model_groups import ModelGroups
from portal.models import AuditEvent

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def chosen(monkeypatch) -> list[str]:
    """The secrets that are chosen during the test."""
    secrets: list[str] = []

    def choose() -> str:
        secrets.append(new_secret())
        return secrets[-1]

    monkeypatch.setattr(attempts, "new_secret", choose)
    return secrets


@pytest.fixture
def debug(settings, client) -> None:
    settings.DEBUG = True
    client.raise_request_exception = False


def broken(*_, **__):
    raise RuntimeError("a bug")


def break_before_the_gateway(monkeypatch) -> None:
    monkeypatch.setattr(KeyVersion.objects, "create", broken)


def break_on_the_way_to_the_gateway(monkeypatch) -> None:
    real = Http._call

    def call(self, method, path, options):
        return broken() if path == "/key/generate" else real(self, method, path, options)

    monkeypatch.setattr(Http, "_call", call)


BUGS = [break_before_the_gateway, break_on_the_way_to_the_gateway]


@pytest.mark.parametrize("bug", BUGS)
def test_the_page_of_a_bug_behind_the_api_shows_no_secret(
    sandbox, client, bearer, team, alice, make_role, chosen, debug, monkeypatch, bug
):
    make_role()
    bug(monkeypatch)
    headers = bearer(alice) | {"Accept": "*/*"}
    order = {"team": "search", "role": "coding"}
    answer = client.post("/api/v1/keys/", order, content_type="application/json", headers=headers)
    page = answer.content.decode()
    assert answer.status_code == 500
    assert "RuntimeError" in page
    for secret in (*chosen, sandbox.gateway.master_key, headers["Authorization"].removeprefix("Bearer ")):
        assert secret not in page
    assert len(chosen) == 1


@pytest.mark.parametrize("bug", BUGS)
def test_the_page_of_a_bug_behind_the_counter_shows_no_secret(
    sandbox, client, team, alice, make_role, chosen, debug, monkeypatch, bug
):
    order = {"team": "search", "role": str(make_role().pk), "once": str(uuid4())}
    client.force_login(alice)
    bug(monkeypatch)
    answer = client.post(reverse("keys:issue"), order)
    page = answer.content.decode()
    assert answer.status_code == 500
    assert "RuntimeError" in page
    for secret in (*chosen, sandbox.gateway.master_key, client.session.session_key):
        assert secret not in page
    assert len(chosen) == 1


def test_a_bug_in_the_trial_still_answers_the_key(sandbox, client, bearer, team, alice, make_role, debug, monkeypatch):
    make_role()
    monkeypatch.setattr(ModelGroups, "info", broken)
    order = {"team": "search", "role": "coding"}
    answer = client.post("/api/v1/keys/", order, content_type="application/json", headers=bearer(alice))
    assert answer.status_code == 201
    assert sandbox.status_of(answer.json()["key"]) == 200


def test_a_gateway_that_repeats_secrets_in_its_refusal_is_not_quoted(
    sandbox, team, alice, make_role, chosen, monkeypatch
):
    ask, real = Ask(team=team, role=make_role()), attempts._order

    def order(attempt):
        words = f"bad key {chosen[-1]} and {sandbox.gateway.master_key}"
        refusal = faults.Answer(400, {"error": {"message": words, "type": "x", "param": None, "code": "400"}})
        sandbox.faults.fail_next("/key/generate", refusal)
        return real(attempt)

    monkeypatch.setattr(attempts, "_order", order)
    with pytest.raises(PortalError) as refused:
        leases.issue(ask, holder=alice, by=alice)
    kept = (
        f"{refused.value} {refused.value.details} {Lease.objects.get().end_reason} {list(AuditEvent.objects.values())}"
    )
    assert "bad key" in kept
    assert chosen[-1] not in kept
    assert sandbox.gateway.master_key not in kept
