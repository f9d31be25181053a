"""Ask for more than a role gives: the slip before, the request after, the claim at the end."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from keys.models import Gateway, KeyRequest, Lease
from keys.services import requests
from tests.pages.conftest import HTMX, form_of, secret_in, text

pytestmark = pytest.mark.django_db(transaction=True)
ISSUE = "/keys/new/"


@pytest.fixture
def counter(sandbox, team, alice, bob, make_role, as_person):
    Gateway.objects.update(models_seen=["gpt-4o", "gpt-4o-mini", "claude-opus", "openai/*"])
    make_role(excess="team")
    return as_person(alice)


def page_of(row) -> str:
    return reverse("keys:request", args=[row.pk])


def act_on(row, act: str) -> str:
    return reverse(f"keys:request_{act}", args=[row.pk])


def ask(client, **changes):
    asked = {"ttl": "90d", "purpose": "The February release.", "then": "ask"} | changes
    return client.post(ISSUE, form_of(client.get(ISSUE), "issue") | asked)


def test_the_slip_says_what_goes_beyond_the_role_and_who_decides(counter):
    page = text(counter.get(ISSUE, {"ttl": "90d"}))
    assert "Goes to an approver" in page
    assert "coding gives 30d at a time." in page
    assert "Bob decides." in page
    assert "Ask for this key" in page
    assert "Make it 30 days, issue now" in page
    assert "Issue key" not in page


def test_how_fast_they_decide_is_said_once_three_were_decided(counter, alice, bob, team):
    for number in range(3):
        ask(counter, name=f"number {number}")
        assert "usually within" not in text(counter.get(ISSUE, {"ttl": "90d"}))
        with time_machine.travel(timezone.now() + timedelta(hours=number + 2)):
            requests.deny(KeyRequest.objects.pending().get(), by=bob, reason="A test.")
    assert "Bob decides, usually within 3 hours." in text(counter.get(ISSUE, {"ttl": "90d"}))


def test_asking_makes_a_request_and_no_key(counter, alice):
    done = ask(counter, name="laptop", max_budget="40")
    row = KeyRequest.objects.get()
    assert done["Location"] == page_of(row)
    assert not Lease.objects.exists()
    assert (row.holder, row.name, row.wanted.ttl) == (alice, "laptop", timedelta(days=90))
    shown = text(counter.get(page_of(row)))
    assert "You ask for coding" in shown
    assert "The February release." in shown
    assert "Take it back" in shown


def test_what_it_is_for_is_needed_once_somebody_decides(counter):
    refusal = ask(counter, purpose="")
    assert refusal.status_code == 422
    assert "id_purpose_error" in refusal.content.decode()
    assert not KeyRequest.objects.exists()


def test_whoever_pressed_issue_is_told_before_anybody_is_asked(counter):
    shown = ask(counter, then="")
    assert shown.status_code == 409
    assert "Somebody has to decide about this." in text(shown)
    assert not KeyRequest.objects.exists()
    assert not Lease.objects.exists()


def test_the_second_button_makes_it_fit_and_issues_at_once(counter):
    done = ask(counter, then="fit", max_budget="80")
    assert secret_in(done)
    lease = Lease.objects.get()
    assert lease.limits["max_budget"] == "50.0000"
    assert lease.expires_at < timezone.now() + timedelta(days=30, minutes=1)
    assert not KeyRequest.objects.exists()


def test_other_models_of_the_gateway_are_offered_and_ask(counter):
    page = counter.get(ISSUE)
    assert "Other models of sandbox, which somebody decides about" in text(page)
    assert "openai/*" not in text(page)
    asked = counter.get(ISSUE, {"models": ["gpt-4o", "claude-opus"]})
    assert "coding does not give claude-opus." in text(asked)
    assert "Make it 1 of the models, issue now" in text(asked)


def test_a_role_that_gives_no_more_offers_no_more(counter, make_role):
    role = make_role(name="strict")
    page = text(counter.get(ISSUE, {"role": role.pk}))
    assert "90 days" not in page.partition("3. Narrow it")[2].partition("What you get")[0]
    assert "Other models" not in page
    refusal = text(counter.get(ISSUE, {"role": role.pk, "ttl": "90d"}))
    assert "As it stands, no key can be issued." in refusal


def test_what_was_approved_is_issued_from_the_first_page_and_the_secret_is_shown_once(ask_for, alice, bob, as_person):
    row = ask_for()
    requests.approve(row, by=bob, ttl=timedelta(days=14), max_budget=Decimal(150))
    client = as_person(alice)
    home = client.get("/")
    assert "Bob approved your request for frontier" in text(home)
    assert "14 days, $150.00 a month, 3 models, narrower than you asked." in text(home)
    sent = form_of(home, "waits")
    done = client.post(act_on(row, "claim"), sent)
    secret = secret_in(done)
    assert "no-store" in done["Cache-Control"]
    lease = Lease.objects.get()
    assert lease.limits["max_budget"] == "150"
    again = client.post(act_on(row, "claim"), sent, follow=True)
    assert again.redirect_chain[-1][0] == f"{reverse('keys:lease', args=[lease.pk])}?unseen=1"
    assert secret not in again.content.decode()
    assert "The key was issued" in text(client.get(page_of(row)))


def test_an_approval_that_lapsed_gives_no_key_and_says_so(ask_for, alice, bob, as_person):
    row = ask_for()
    requests.approve(row, by=bob)
    row.refresh_from_db()
    with time_machine.travel(row.claim_until + timedelta(minutes=1)):
        answer = as_person(alice).post(act_on(row, "claim"))
        assert answer.status_code == 409
        assert "The time to claim this key is over." in text(answer)
    assert not Lease.objects.exists()


def test_a_denial_is_read_and_the_same_can_be_asked_again(ask_for, alice, bob, as_person):
    row = ask_for(ttl=timedelta(days=7), max_budget=Decimal(100))
    requests.deny(row, by=bob, reason="Try coding first.")
    client = as_person(alice)
    page = client.get(page_of(row))
    assert "Bob denied it" in text(page)
    assert "“Try coding first.”" in text(page)
    link = page.content.decode().partition('<a class="button button-wide" href="')[2].partition('"')[0]
    filled = client.get(link.replace("&amp;", "&"))
    assert "The most it can cost $100.00" in text(filled)
    sent = form_of(filled, "issue")
    assert (sent["purpose"], sent["ttl"], sent["name"]) == ("Compare four rerankers.", "7d", "ranker")
    client.post(ISSUE, sent | {"then": "ask", "purpose": "coding lacks the model."})
    second = KeyRequest.objects.pending().get()
    assert second.again == row
    shown = text(as_person(bob).get(page_of(second)))
    assert "Asked before" in shown
    assert "Try coding first." in shown


def test_it_can_be_taken_back_while_it_waits(ask_for, alice, as_person):
    row = ask_for()
    client = as_person(alice)
    assert client.post(act_on(row, "cancel")).status_code == 302
    assert "Taken back" in text(client.get(page_of(row)))
    assert client.post(act_on(row, "cancel")).status_code == 409


def test_both_sides_talk_in_the_thread(ask_for, alice, bob, as_person):
    row = ask_for()
    as_person(bob).post(act_on(row, "say"), {"text": "Which four?"})
    as_person(alice).post(act_on(row, "say"), {"text": "The <b>open</b> ones."})
    page = as_person(bob).get(page_of(row))
    assert "“Which four?”" in text(page)
    assert "&lt;b&gt;open&lt;/b&gt;" in page.content.decode()
    assert as_person(bob).post(act_on(row, "say"), {"text": " "}).status_code == 422


def test_htmx_gets_the_slip_that_asks(counter):
    part = counter.get(ISSUE, {"ttl": "90d"}, headers=HTMX)
    assert "<html" not in part.content.decode()
    assert "Ask for this key" in text(part)
