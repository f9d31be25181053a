"""Decide requests: the inbox, the slip that is narrowed, a reason for a no. A link only shows."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from keys.models import KeyRequest, Lease
from keys.services import requests
from tests.pages.conftest import HTMX, form_of, text
from tests.pages.test_requests import act_on, page_of

pytestmark = pytest.mark.django_db(transaction=True)
INBOX = "/requests/"


def decide_form(client, row, **changes):
    return form_of(client.get(page_of(row)), f"decide-{row.pk}") | changes


def test_whoever_decides_sees_who_asks_for_what_and_how_much_is_at_stake(ask_for, team, bob, as_person):
    team.max_budget, team.budget_duration = Decimal(1000), "1mo"
    team.save()
    ask_for()
    page = text(as_person(bob).get(INBOX))
    assert "One request waits for you. At most $600.00 if you approve all as asked." in page
    assert "Alice asks for frontier 30 days, $300.00 a month, 3 models" in page
    assert "Compare four rerankers." in page
    assert "This request, $300.00" in page
    assert "Left after it, $700.00" in page
    assert "Alice so far" in page
    assert "Approving issues nothing." in page


def test_the_rail_counts_what_waits_for_those_who_decide_and_for_nobody_else(ask_for, alice, bob, vic, as_person):
    ask_for()
    assert "Requests 1 open" in text(as_person(bob).get(INBOX))
    for user in (alice, vic):
        assert "Requests 1 open" not in text(as_person(user).get("/"))


def test_a_platform_admin_reads_which_wait_for_them_and_that_the_others_may_be_decided_too(ask_for, ruth, as_person):
    ask_for()
    assert "No requests wait for you. The others wait for their teams; you may decide them" in text(
        as_person(ruth).get(INBOX)
    )


def test_a_link_only_shows_and_nobody_outside_sees_it(ask_for, bob, vic, mallory, as_person):
    row = ask_for()
    client = as_person(bob)
    for act in ("approve", "deny", "cancel", "say", "claim"):
        assert client.get(act_on(row, act)).status_code == 405
    assert "It waits for you." in text(client.get(page_of(row)))
    assert KeyRequest.objects.get().state == "pending"
    for user in (vic, mallory):
        client = as_person(user)
        assert client.get(page_of(row)).status_code == 404
        assert client.post(act_on(row, "approve")).status_code == 404
        assert "Compare four rerankers." not in text(client.get(INBOX))


def test_narrowing_works_the_stake_out_anew_and_approves_what_the_slip_shows(ask_for, bob, as_person):
    row, client = ask_for(), as_person(bob)
    narrower = {"ttl": "7d", "max_budget": "150", "models": ["gpt-4o"]}
    part = client.get(page_of(row), narrower, headers={**HTMX, "HX-Target": f"sum-{row.pk}"})
    assert "<form" not in part.content.decode()
    assert "Money at stake $150.00" in text(part)
    looked = client.post(act_on(row, "approve"), decide_form(client, row, **narrower, look="1"))
    assert looked.status_code == 302
    shown = client.get(looked["Location"])
    assert "Money at stake $150.00" in text(shown)
    sent = form_of(shown, f"decide-{row.pk}")
    assert (sent["ttl"], sent["max_budget"], sent["models"]) == ("7d", "150", "gpt-4o")
    assert client.post(act_on(row, "approve"), sent | {"back": "inbox"})["Location"] == INBOX
    row.refresh_from_db()
    assert (row.given.ttl, row.given.max_budget, row.given.models) == (timedelta(days=7), Decimal(150), ("gpt-4o",))
    assert not Lease.objects.exists()


def test_more_than_was_asked_is_refused_at_its_field(ask_for, bob, as_person):
    row, client = ask_for(), as_person(bob)
    refusal = client.post(act_on(row, "approve"), decide_form(client, row, max_budget="500"))
    assert refusal.status_code == 422
    assert f'id="{row.pk}_max_budget_error"' in refusal.content.decode()
    assert "That is more than was asked." in text(refusal)
    assert KeyRequest.objects.get().state == "pending"


def test_a_denial_needs_a_reason(ask_for, bob, as_person):
    row, client = ask_for(), as_person(bob)
    refusal = client.post(act_on(row, "deny"), {"reason": ""})
    assert refusal.status_code == 422
    assert f'id="{row.pk}_reason_error"' in refusal.content.decode()
    assert client.post(act_on(row, "deny"), {"reason": "Try coding first."}).status_code == 302
    assert "“Try coding first.”" in text(client.get(page_of(row)))


def test_two_who_decide_at_once_do_not_decide_twice(ask_for, bob, ines, as_person):
    row = ask_for()
    sent = decide_form(as_person(bob), row)
    requests.deny(row, by=ines, reason="No.")
    answer = as_person(bob).post(act_on(row, "approve"), sent)
    assert answer.status_code == 409
    assert "Ines denied it" in text(answer)


def test_nobody_decides_their_own(ask_for, bob, as_person):
    row = ask_for(holder=bob)
    client = as_person(bob)
    assert "Narrow it, then decide" not in text(client.get(page_of(row)))
    assert client.post(act_on(row, "approve")).status_code == 403
    assert "Nothing waits for you" not in text(client.get(INBOX))


def test_of_two_approvers_the_first_leaves_it_open(ask_for, make_role, bob, ines, as_person):
    row = ask_for(role=make_role(name="two", approval="two"))
    client = as_person(bob)
    client.post(act_on(row, "approve"), decide_form(client, row))
    assert "needs a second, different approver" in text(client.get(page_of(row)))
    assert KeyRequest.objects.get().state == "pending"
    client = as_person(ines)
    client.post(act_on(row, "approve"), decide_form(client, row))
    assert KeyRequest.objects.get().state == "approved"


def test_where_similar_grants_agree_one_button_gives_the_same(ask_for, alice, bob, as_person):
    for _ in range(2):
        before = ask_for()
        requests.approve(before, by=bob, ttl=timedelta(days=14), max_budget=Decimal(150))
        requests.claim(before, by=alice)
    row, client = ask_for(), as_person(bob)
    page = client.get(page_of(row))
    assert "Narrow to 14 days, $150.00" in text(page)
    assert "Similar grants" in text(page)
    assert "2 approved, 0 denied" in text(page)
    button = re.search(r'name="as"\s+value="([^"]+)"', page.content.decode()).group(1)
    client.post(act_on(row, "approve"), form_of(page, f"decide-{row.pk}") | {"as": button})
    row.refresh_from_db()
    assert (row.given.ttl, row.given.max_budget, len(row.given.models)) == (timedelta(days=14), Decimal(150), 3)


def test_what_was_approved_and_decided_has_tabs_of_its_own(ask_for, alice, bob, team, as_person):
    approved, denied = ask_for(name="one"), ask_for(name="two")
    requests.approve(approved, by=bob)
    requests.deny(denied, by=bob, reason="Twice is once too often.")
    client = as_person(bob)
    assert "No request waits" in text(client.get(INBOX))
    assert "Approved, not issued 1" in text(client.get(INBOX, {"tab": "approved"}))
    decided = text(client.get(INBOX, {"tab": "decided", "team": "search"}))
    assert "Denied" in decided
    assert client.get(INBOX, {"team": "nowhere"}).status_code == 404


def test_the_inbox_asks_the_database_as_often_for_sixty_as_for_three(ask_for, alice, bob, person, as_person):
    first = ask_for()
    client = as_person(bob)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            client.get(INBOX)
        return len(asked)

    ask_for()
    few = queries()
    rows = [KeyRequest(**{**_copied(first), "thread": first.thread}) for _ in range(60)]
    KeyRequest.objects.bulk_create(rows)
    assert queries() == few
    page = client.get(INBOX)
    assert page.content.decode().count('<details class="request"') == 50
    following = re.search(r'href="([^"]*)"\s+rel="next"', page.content.decode())
    more = client.get(INBOX + html.unescape(following.group(1)))
    assert more.content.decode().count('<details class="request"') == 12


def _copied(row: KeyRequest) -> dict[str, Any]:
    names = {field.attname for field in KeyRequest._meta.concrete_fields} - {"id"}
    return {name: getattr(row, name) for name in names}


def test_long_names_and_words_are_shown_whole(ask_for, alice, bob, as_person):
    ask_for(name="n" * 80, purpose="A very long purpose. " * 9)
    page = text(as_person(bob).get(INBOX))
    assert page.count("A very long purpose.") >= 9
