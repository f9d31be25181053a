"""Right-sizing pages: the list with its filters, one proposal as a slip, applied and snoozed through forms."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.models import Advice, Lease, State
from keys.services import advice
from portal.models import AuditEvent
from tests.keys.test_advice import old, use  # noqa: F401  (fixtures)
from tests.pages.conftest import form_of, text

LIST = "/advice/"


@pytest.fixture
def hardly(old, use):  # noqa: F811
    lease = old(models=("gpt-4o",), name="notebook")
    use(lease, "2.4")
    advice.look()
    return Advice.objects.get(lease=lease)


def page_of(found):
    return f"{LIST}{found.pk}/"


def test_the_list_says_what_why_and_what_it_saves(hardly, alice, as_person):
    page = text(as_person(alice).get(LIST))
    assert "One proposal to make keys smaller." in page
    assert "5 % of the budget was used in 30 days: $2.40 of $50.00." in page
    assert "notebook" in page


def test_the_list_is_filtered_by_its_address(hardly, bob, as_person):
    client = as_person(bob)
    assert "notebook" in text(client.get(LIST, {"team": "search", "kind": "budget"}))
    assert "None like that" in text(client.get(LIST, {"kind": "unused"}))
    assert "Nothing is put off" in text(client.get(LIST, {"state": "snoozed"}))
    assert "notebook" in text(client.get(LIST, {"team": "nonsense", "kind": "nonsense", "state": "nonsense"}))


def test_the_slip_has_before_and_after_and_a_button_does_it(hardly, alice, as_person):
    client = as_person(alice)
    response = client.get(page_of(hardly))
    assert "$10.00 a month now $50.00 a month" in text(response)
    assert "Narrow notebook" in text(response)
    done = client.post(page_of(hardly), {"act": "apply"}, follow=True)
    assert "notebook is narrowed. Its gateway follows." in text(done)
    assert "Applied" in text(client.get(page_of(hardly)))
    assert Lease.objects.get().limits["max_budget"] == "10"


def test_putting_off_needs_a_reason_and_says_until_when(hardly, alice, as_person):
    client = as_person(alice)
    sent = form_of(client.get(page_of(hardly)), "snooze")
    refused = client.post(page_of(hardly), {**sent, "act": "snooze"})
    assert refused.status_code == 422
    until = (timezone.now() + timedelta(days=10)).date()
    done = client.post(page_of(hardly), {"act": "snooze", "until": until, "reason": "Month end"}, follow=True)
    assert "Put off until" in text(done)
    assert "“Month end”" in text(client.get(LIST, {"state": "snoozed"}))


def test_what_was_put_off_can_be_brought_back(hardly, alice, audra, as_person):
    client, until = as_person(alice), (timezone.now() + timedelta(days=10)).date()
    client.post(page_of(hardly), {"act": "snooze", "until": until, "reason": "Month end"})
    assert 'value="wake"' in client.get(page_of(hardly)).content.decode()
    assert as_person(audra).post(page_of(hardly), {"act": "wake"}).status_code == 403
    for _ in range(2):
        assert "It is open again." in text(as_person(alice).post(page_of(hardly), {"act": "wake"}, follow=True))
    hardly.refresh_from_db()
    assert (hardly.state, hardly.snoozed_until, hardly.reason, hardly.by) == (Advice.State.OPEN, None, "", "")
    event = AuditEvent.objects.get(action="advice.woken")
    assert event.before
    assert event.before["reason"] == "Month end"
    assert 'value="wake"' not in client.get(page_of(hardly)).content.decode()


def test_a_proposal_is_shown_to_who_sees_the_key_and_changed_by_who_may(hardly, mallory, vic, audra, as_person):
    assert as_person(mallory).get(page_of(hardly)).status_code == 404
    assert as_person(vic).get(page_of(hardly)).status_code == 404
    client = as_person(audra)
    page = client.get(page_of(hardly))
    assert "Not yours to change" in text(page)
    assert 'value="apply"' not in page.content.decode()
    for act in ("apply", "snooze"):
        assert client.post(page_of(hardly), {"act": act}).status_code == 403
    assert client.post(page_of(hardly), {"act": "dance"}).status_code == 403


def test_figures_that_changed_are_said_and_shown(hardly, alice, as_person):
    Advice.objects.update(proposed={"max_budget": "20"})
    page = text(as_person(alice).post(page_of(hardly), {"act": "apply"}, follow=True))
    assert "The figures have changed since this was shown." in page
    assert "$10.00 a month now $50.00 a month" in page


def test_the_page_of_a_key_tells_of_it(hardly, alice, as_person):
    client = as_person(alice)
    lease = Lease.objects.get()
    assert f"{LIST}{hardly.pk}/" in client.get(f"/keys/{lease.pk}/").content.decode()
    Lease.objects.update(state=State.REVOKED, ended_at=timezone.now())
    assert "Could be smaller" not in text(client.get(f"/keys/{lease.pk}/"))


def test_every_kind_has_its_words(old, use, make_role, ruth, as_person):  # noqa: F811
    wide = make_role(
        name="wide", models=[], all_models=True, max_budget=None, budget_duration="", key_type="default",
        ttl=timedelta(days=400), max_ttl=timedelta(days=800),
    )  # fmt: skip
    Lease.objects.filter(pk=old(role=wide).pk).update(expires_at=timezone.now() + timedelta(days=400))
    use(old(), "40")
    advice.look()
    client = as_person(ruth)
    assert {*Advice.objects.values_list("kind", flat=True)} == {*Advice.Kind.values} - {"budget"}
    for found in Advice.objects.all():
        assert client.get(page_of(found)).status_code == 200
    page = text(client.get(LIST))
    assert "gpt-4o-mini was not called in 30 days." in page
    assert "No call for 30 days or more." in page
    assert "Its keys live 400 days, and nobody is asked before." in page
    assert "its routes are default" in page


def test_the_list_asks_as_often_for_many_rows_as_for_one(old, alice, as_person):  # noqa: F811
    client = as_person(alice)
    old()
    advice.look()
    client.get(LIST)

    def asked():
        with CaptureQueriesContext(connection) as seen:
            client.get(LIST)
        return len(seen)

    few = asked()
    for _ in range(4):
        old()
    advice.look()
    assert asked() == few


def test_posture_is_a_part_of_another_page(hardly):
    page = render_to_string("keys/advice/_posture.html", {"posture": advice.posture()})
    assert "0 of 1 live keys (0 %)" in " ".join(page.split())
    assert "/advice/?kind=budget" in page
