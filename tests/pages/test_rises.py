"""More for a live key, for a while: asked from its page, decided like a key, back by itself."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse

from keys.models import Gateway, KeyRequest
from keys.services import requests
from tests.pages.conftest import HTMX, form_of, text
from tests.pages.test_requests import page_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lease(sandbox, make_role, make_key):
    Gateway.objects.update(models_seen=["gpt-4o", "gpt-4o-mini", "opus"])
    return make_key(role=make_role(excess="team"), max_budget=Decimal(40), name="ranker").lease


def rise_of(lease) -> str:
    return reverse("keys:rise", args=[lease.pk])


def ask(client, lease, **changes):
    sent = form_of(client.get(rise_of(lease)), "rise")
    return client.post(rise_of(lease), sent | {"purpose": "The relabelling ran twice."} | changes)


def test_a_rise_is_asked_decided_and_over_by_itself(lease, alice, bob, as_person):
    client = as_person(alice)
    assert rise_of(lease) in client.get(reverse("keys:lease", args=[lease.pk])).content.decode()
    done = ask(client, lease, max_budget="80", models=["opus"], lasts="3d")
    row = KeyRequest.objects.get()
    assert done["Location"] == page_of(row)
    client = as_person(bob)
    page = client.get("/requests/")
    assert "Alice asks to raise ranker" in text(page)
    assert "$80.00 a month and opus for 3 days, then back by itself" in text(page)
    assert "Approving raises the key at once." in text(page)
    sent = form_of(page, f"decide-{row.pk}")
    client.post(reverse("keys:request_approve", args=[row.pk]), sent)
    row.refresh_from_db()
    lease.refresh_from_db()
    assert lease.max_budget == 80
    assert "opus" in lease.limits["models"]
    assert "In force" in text(as_person(alice).get(page_of(row)))
    with time_machine.travel(row.reverts_at + timedelta(minutes=1)):
        requests.look_after()
        lease.refresh_from_db()
        assert lease.max_budget == 40
        assert "opus" not in lease.limits["models"]
        client = as_person(alice)
        assert "The key is as before" in text(client.get(page_of(row)))


def test_what_the_role_gives_is_raised_at_once(lease, alice, as_person):
    client = as_person(alice)
    slip = client.get(rise_of(lease), {"max_budget": "50", "lasts": "1d"}, headers=HTMX)
    assert "<html" not in slip.content.decode()
    assert "In force at once" in text(slip)
    assert ask(client, lease, max_budget="50", lasts="1d")["Location"] == reverse("keys:lease", args=[lease.pk])
    lease.refresh_from_db()
    assert lease.max_budget == 50


def test_the_slip_says_who_decides_and_by_how_much_it_is_more(lease, alice, bob, as_person):
    client = as_person(alice)
    page = text(client.get(rise_of(lease), {"max_budget": "90"}))
    assert "More than before $50.00" in page
    assert "Bob decides." in page
    assert "stay as they are" in page
    assert "in 7 days" in page
    assert "required" not in page


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_budget": "30"}, "id_max_budget_error"),
        ({"max_budget": "", "lasts": "1d"}, "id_max_budget_error"),
        ({"max_budget": "90", "lasts": "other", "lasts_other": "5x"}, "id_lasts_other_error"),
        ({"max_budget": "90", "lasts": "other", "lasts_other": ""}, "id_lasts_other_error"),
        ({"max_budget": "90", "lasts": "500d"}, "id_lasts_error"),
        ({"max_budget": "90", "purpose": ""}, "id_purpose_error"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(lease, alice, as_person, changes, field):
    refusal = ask(as_person(alice), lease, **changes)
    assert refusal.status_code == 422
    assert f'id="{field}"' in refusal.content.decode()
    assert not KeyRequest.objects.exists()


def test_only_whoever_may_renew_a_key_asks_for_more(lease, bob, vic, as_person):
    assert as_person(bob).get(rise_of(lease)).status_code == 403
    assert as_person(vic).get(rise_of(lease)).status_code == 404


def test_a_key_with_less_than_a_day_can_be_raised_for_hours(lease, alice, as_person):
    with time_machine.travel(lease.expires_at - timedelta(hours=9)):
        page = as_person(alice).get(rise_of(lease))
        assert form_of(page, "rise")["lasts"] == "8h"
        assert "1 hour" in text(page)
