"""Why was I refused: what a person pastes is read once and forgotten; the page names the limit and what helps."""

from __future__ import annotations

import json
import logging
from decimal import Decimal

import pytest
from django.utils import timezone

from keys.models import KeyVersion
from keys.services import leases
from portal.models import AuditEvent
from tests.keys.test_why import BUDGET, MODEL, NO_KEY
from tests.pages.conftest import text

WHY = "/why/"


@pytest.fixture
def spent(sandbox, make_key):
    """A key whose budget is used up, and its secret."""
    issued = make_key(name="notebook")
    KeyVersion.objects.update(counter=Decimal(50), counter_at=timezone.now())
    return issued


def about(secret, message="Budget has been exceeded! Key=key", kind="budget_exceeded"):
    return json.dumps({"error": {"message": f"{message} (sk-...{secret[-4:]})", "type": kind, "code": "422"}})


def test_a_pasted_error_is_answered_with_the_limit_who_set_it_and_when_it_resets(spent, alice, as_person):
    page = text(as_person(alice).post(WHY, {"error": about(spent.secret)}))
    assert "The budget of notebook is spent" in page
    assert "$0.00 left of $50.00 a month." in page
    assert "Set by key role coding" in page
    assert "Wait until" in page


def test_a_key_can_be_picked_instead_and_then_be_looked_at(spent, alice, as_person):
    client = as_person(alice)
    assert "notebook, Search Platform (active)" in text(client.get(WHY))
    assert "The budget of notebook is spent" in text(client.get(WHY, {"key": str(spent.lease.pk)}))


def test_a_secret_that_is_pasted_is_nowhere_afterwards(spent, alice, as_person, caplog):
    client = as_person(alice)
    with caplog.at_level(logging.DEBUG):
        response = client.post(WHY, {"error": f"curl -H 'Authorization: Bearer {spent.secret}'\n{BUDGET}"})
    assert "The budget of notebook is spent" in text(response)
    assert "The text held a secret." in text(response)
    assert spent.secret not in response.content.decode()
    assert spent.secret[3:20] not in response.content.decode() + caplog.text + str(response.headers)
    assert "no-store" in response.headers["Cache-Control"]
    assert spent.secret not in str(list(AuditEvent.objects.values()))
    assert spent.secret not in str(dict(client.session))


@pytest.mark.parametrize("sent", ["", " ", "x" * 20_001 + "sk-" + "long-enough-to-be-a-secret"])
def test_what_cannot_be_read_is_not_shown_again_either(sandbox, alice, as_person, sent):
    response = as_person(alice).post(WHY, {"error": sent})
    assert response.status_code == 422
    assert "long-enough-to-be-a-secret" not in response.content.decode()


def test_a_key_of_somebody_else_is_not_told_of(spent, mallory, as_person):
    client = as_person(mallory)
    page = text(client.post(WHY, {"error": f"{about(spent.secret)} {spent.secret}"}))
    assert "one that you may not see, or that Keydesk did not issue" in page
    assert "notebook" not in page
    assert client.get(WHY, {"key": str(spent.lease.pk)}).status_code == 404
    assert client.post(WHY, {"key": str(spent.lease.pk), "error": BUDGET}).status_code == 404
    assert client.get(WHY, {"key": "nonsense"}).status_code == 404


def test_what_was_understood_and_what_not_is_said(sandbox, alice, as_person):
    page = text(
        as_person(alice).post(WHY, {"error": '{"error": {"message": "The cat", "type": "meow", "code": "418"}}'})
    )
    assert "This error is not known here" in page
    assert "Status 418 Type meow Key the text names none" in page
    assert "Not understood: what it is about." in page
    assert "The cat" not in page


def test_an_error_without_a_key_has_its_own_help(sandbox, alice, as_person):
    assert "The call carried no virtual key" in text(as_person(alice).post(WHY, {"error": NO_KEY}))


def test_keys_with_the_same_ending_are_offered_to_choose_from(spent, make_key, alice, as_person):
    other = make_key(name="other").lease
    KeyVersion.objects.update(key_name=f"sk-...{spent.secret[-4:]}")
    client = as_person(alice)
    response = client.post(WHY, {"error": about(spent.secret)})
    assert "Which key is it?" in text(response)
    assert f"?key={other.pk}&amp;said=budget" in response.content.decode()
    assert "The budget of other" in text(client.get(WHY, {"key": str(other.pk), "said": "budget"}))


def test_the_fitting_act_is_a_button(sandbox, spent, alice, bob, as_person):
    leases.pause(spent.lease, by=alice, reason="a test")
    response = as_person(alice).get(WHY, {"key": str(spent.lease.pk)})
    assert f'href="/keys/{spent.lease.pk}/resume/"' in response.content.decode()
    leases.resume(spent.lease, by=alice)
    type(spent.lease.role).objects.update(excess="team")
    response = as_person(alice).post(WHY, {"key": str(spent.lease.pk), "error": MODEL})
    assert f"/keys/{spent.lease.pk}/rise/?models=claude-sonnet" in response.content.decode()
    assert "/rise/" not in as_person(bob).get(WHY, {"key": str(spent.lease.pk)}).content.decode()


def test_the_page_is_found_from_keys_home_and_troubles(spent, alice, as_person):
    client = as_person(alice)
    assert f"/why/?key={spent.lease.pk}" in client.get(f"/keys/{spent.lease.pk}/").content.decode()
    assert 'href="/why/"' in client.get("/").content.decode()
    assert "Why was a call refused?" in text(client.get("/nowhere/"))


def test_the_page_asks_as_often_for_many_keys_as_for_one(
    spent, make_key, alice, as_person, django_assert_max_num_queries
):
    client = as_person(alice)
    client.get(WHY)
    for _ in range(5):
        make_key()
    with django_assert_max_num_queries(30):
        client.get(WHY, {"key": str(spent.lease.pk)})
