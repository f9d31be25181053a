"""Pages of requests under people who press twice, press late, and press what the page did not show."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse

from keys.models import Gateway, KeyRequest, Lease
from keys.services import requests
from portal.models import Letter
from teams.models import Membership
from tests.pages.conftest import form_of, text
from tests.pages.test_requests import ISSUE, act_on, page_of

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "sk-" + "aB3_" * 10  # in two parts, so that no scanner takes it for one


@pytest.fixture
def counter(sandbox, team, alice, bob, make_role, as_person):
    Gateway.objects.update(models_seen=["gpt-4o", "gpt-4o-mini", "opus"])
    make_role(excess="team")
    return as_person(alice)


def filled(client, address, form, **changes):
    return form_of(client.get(address), form) | {"purpose": "The February release."} | changes


def test_ask_pressed_twice_asks_once_and_shows_the_same_request(counter, bob):
    sent = filled(counter, ISSUE, "issue", ttl="90d", then="ask")
    first, second = counter.post(ISSUE, sent), counter.post(ISSUE, sent)
    assert first["Location"] == second["Location"] == page_of(KeyRequest.objects.get())
    assert Letter.objects.filter(to=[bob.email]).count() == 1


@pytest.mark.parametrize(("budget", "to"), [("80", "request"), ("50", "lease")])
def test_a_rise_pressed_twice_is_one_rise(counter, make_key, budget, to):
    lease = make_key(max_budget=Decimal(40)).lease
    address = reverse("keys:rise", args=[lease.pk])
    sent = filled(counter, address, "rise", max_budget=budget, lasts="3d")
    answers = [counter.post(address, sent) for _ in range(2)]
    row = KeyRequest.objects.get()
    there = page_of(row) if to == "request" else reverse("keys:lease", args=[lease.pk])
    assert [answer.get("Location") for answer in answers] == [there, there]


def test_a_secret_in_the_purpose_is_refused_at_its_field_before_anybody_reads_it(counter):
    refusal = counter.post(ISSUE, filled(counter, ISSUE, "issue", ttl="90d", then="ask", purpose=f"for {SECRET}"))
    assert refusal.status_code == 422
    assert 'id="id_purpose_error"' in refusal.content.decode()
    looked = counter.post(ISSUE, filled(counter, ISSUE, "issue", look="1", purpose=f"for {SECRET}"))
    assert SECRET not in looked["Location"]
    assert not KeyRequest.objects.exists()
    assert not Letter.objects.exists()


def grants(ask_for, alice, bob, **narrower):
    for _ in range(2):
        row = ask_for()
        requests.approve(row, by=bob, **narrower)
        requests.claim(row, by=alice)


def test_what_similar_ones_got_is_given_as_the_button_said_or_not_at_all(ask_for, alice, bob, as_person):
    grants(ask_for, alice, bob, ttl=timedelta(days=14), max_budget=Decimal(150))
    row, client = ask_for(), as_person(bob)
    page = client.get(page_of(row))
    assert "Narrow to 14 days, $150.00" in text(page)
    button = page.content.decode().partition('name="as"')[2].partition('value="')[2].partition('"')[0]
    grants(ask_for, alice, bob, ttl=timedelta(days=20), max_budget=Decimal(290))
    Lease.objects.order_by("issued_at")[0].requests.update(fulfilled_at=None, state="cancelled")
    Lease.objects.order_by("issued_at")[1].requests.update(fulfilled_at=None, state="cancelled")
    answer = client.post(act_on(row, "approve"), form_of(page, f"decide-{row.pk}") | {"as": button})
    assert answer.status_code == 409
    assert "Nothing was done." in text(answer)
    assert KeyRequest.objects.get(pk=row.pk).state == "pending"


def test_whoever_decides_reads_what_renewals_can_make_of_it(ask_for, bob, as_person):
    with time_machine.travel("2026-11-01 12:00:00+00:00"):
        row, client = ask_for(), as_person(bob)
        page = text(client.get(page_of(row)))
        assert "Money at stake $600.00" in page  # $300.00 a month for 30 days
        assert "renew it until Sat 30 Jan 2027 without asking anybody: then it can cost $900.00" in page
        narrower = client.get(page_of(row), {"ttl": "7d", "max_budget": "300", "models": ["gpt-4o"]})
        assert "without asking anybody" not in text(narrower)  # less than the role gives at a time is not renewed


def test_of_two_approvers_the_page_says_that_one_has(ask_for, make_role, alice, bob, ines, as_person):
    row = ask_for(role=make_role(name="two", approval="two"))
    assert "One of two has approved." not in text(as_person(alice).get(page_of(row)))
    requests.approve(row, by=bob)
    assert "One of two has approved." in text(as_person(alice).get(page_of(row)))


def test_another_team_admin_may_take_back_what_a_machine_was_to_get(ask_for, team, bob, ines, robot, as_person):
    row = ask_for(holder=robot, by=ines)
    Membership.objects.filter(user=bob).update(role="admin")
    requests.approve(row, by=bob)
    client = as_person(bob)
    assert "Take it back" in text(client.get(page_of(row)))
    assert client.post(act_on(row, "cancel")).status_code == 302


def test_where_nobody_else_could_decide_the_page_does_not_promise_it(ask_for, make_role, ruth, as_person):
    row = ask_for(role=make_role(name="closed", approval="platform"), holder=ruth)
    shown = text(as_person(ruth).get(page_of(row)))
    assert "There is no other platform admin who could decide about it." in shown
    assert "a platform admin is asked in time" not in shown


def test_what_nothing_can_become_of_says_why(ask_for, team, alice, bob, ruth, as_person):
    row = ask_for()
    type(row.role).objects.update(ended_at=row.submitted_at)
    requests.look_after()
    shown = text(as_person(alice).get(page_of(row)))
    assert "The key role frontier was ended." in shown
    assert "Keydesk closed it" in shown
    assert "Taken back" not in shown
