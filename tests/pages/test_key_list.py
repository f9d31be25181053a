"""The list of all keys that one may see: its filters are its address, and its pages are found by the last row."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from keys.models import Lease
from keys.services import leases
from teams.access import SYSTEM
from tests.pages.conftest import text

pytestmark = pytest.mark.django_db
LIST = "/keys/"


def names(response) -> list[str]:
    """The keys on the page, in their order."""
    return re.findall(r'<a class="name" href="/keys/[^"]+">([^<]+)</a>', response.content.decode())


def link(response, rel: str) -> str:
    return html.unescape(re.search(rf'<a href="([^"]+)" rel="{rel}"', response.content.decode()).group(1))


@pytest.fixture
def many(make_key, alice):
    """130 live keys of alice's, of which some end at the same moment; they are copies of a real one."""
    one = make_key(name="key 000").lease
    moment = timezone.now() + timedelta(days=1)
    copies = [
        Lease(
            alias=f"copy-{number}", name=f"key {number:03}", team=one.team, holder=alice, role=one.role,
            gateway=one.gateway, limits=one.limits, state="active", issued_at=one.issued_at,
            expires_at=moment + timedelta(minutes=number // 7), max_expires_at=one.max_expires_at,
        )
        for number in range(1, 131)
    ]  # fmt: skip
    Lease.objects.bulk_create(copies)
    for lease in copies:
        lease.versions.create(number=1, alias=lease.alias, token_hash=f"{lease.name:0>64}", issued_at=one.issued_at)
    Lease.objects.filter(pk=one.pk).update(expires_at=moment - timedelta(hours=1))
    return copies


def test_pages_walk_every_key_once_forth_and_back_though_rows_end_meanwhile(as_person, many, bob):
    client = as_person(bob)
    first = client.get(LIST)
    second = client.get(LIST + link(first, "next"))
    Lease.objects.filter(name__in=names(first)[:5]).update(state="revoked", ended_at=timezone.now())
    third = client.get(LIST + link(second, "next"))
    seen = names(first) + names(second) + names(third)
    assert len(seen) == len(set(seen)) == 131
    assert 'rel="next"' not in third.content.decode()
    assert names(client.get(LIST + link(third, "prev"))) == names(second)
    assert 'rel="prev"' not in first.content.decode()


@pytest.mark.parametrize("cursor", ["x", "bm9wZQ", "WyIyMDI2Il0", "WyJub3BlIiwgIm5vcGUiXQ", "A" * 5000])
def test_a_cursor_that_cannot_be_read_is_the_first_page(as_person, make_key, alice, cursor):
    make_key(name="mine")
    for side in ("after", "before"):
        answer = as_person(alice).get(LIST, {side: cursor})
        assert answer.status_code == 200
        assert names(answer) == ["mine"]


def test_a_page_costs_the_same_queries_with_two_keys_and_with_a_hundred(as_person, make_key, bob, request):
    make_key(name="a"), make_key(name="b")
    client = as_person(bob)

    def queries(path: str) -> int:
        client.get(path)
        with CaptureQueriesContext(connection) as seen:
            client.get(path)
        return len(seen)

    few = queries(LIST)
    request.getfixturevalue("many")
    assert queries(LIST) == few


def test_the_filters_are_the_address(as_person, make_key, make_role, ruth, robot, alice):
    batch = make_role(name="batch", ttl=timedelta(hours=1))
    make_key(name="mine")
    make_key(name="its", holder=robot)
    make_key(name="short", role=batch)
    gone = make_key(name="gone").lease
    leases.revoke(gone, by=alice)
    paused = make_key(name="halted").lease
    leases.pause(paused, by=alice)
    tomorrow = (timezone.now() + timedelta(days=1)).date().isoformat()
    for query, shown in (
        ({}, {"mine", "its", "short", "halted"}),
        ({"state": "ended"}, {"gone"}),
        ({"state": "paused"}, {"halted"}),
        ({"role": batch.pk}, {"short"}),
        ({"holder": "nightly"}, {"its"}),
        ({"ends": tomorrow}, {"short"}),
        ({"q": "min", "team": "search"}, {"mine"}),
        ({"team": "search", "role": batch.pk, "holder": "alice"}, {"short"}),
    ):
        assert set(names(as_person(ruth).get(LIST, query))) == shown, query
    wrong = as_person(ruth).get(LIST, {"team": "nowhere", "ends": "soon"})
    assert wrong.status_code == 200
    assert "Select a valid choice" in text(wrong)


def test_nobody_sees_keys_or_teams_that_are_not_theirs(as_person, make_key, alice, bob, vic, mallory):
    make_key(name="of alice")
    make_key(name="of bob", holder=bob)
    assert names(as_person(alice).get(LIST)) == ["of alice"]
    assert set(names(as_person(bob).get(LIST))) == {"of alice", "of bob"}
    for user in (vic, mallory):
        assert names(as_person(user).get(LIST, {"team": "search"})) == []
    assert "Search Platform" not in text(as_person(mallory).get(LIST))


def test_chosen_keys_are_shown_before_they_end_and_each_has_its_result(as_person, make_key, bob, alice):
    first, second = make_key(name="one").lease, make_key(name="two").lease
    page = as_person(bob).get(LIST).content.decode()
    assert f'value="{first.pk}"' in page
    assert reverse("keys:revoke_many") in page
    leases.revoke(second, by=SYSTEM)
    done = as_person(bob).post(reverse("keys:revoke_many"), {"id": [str(first.pk), str(second.pk)]})
    assert "Two keys of 2 ended" in text(done)


def test_a_pause_can_be_taken_back_from_its_toast(as_person, make_key, alice):
    lease = make_key(name="nightly").lease
    client = as_person(alice)
    page = client.post(reverse("keys:pause", args=[lease.pk]), follow=True).content.decode()
    toast = page[page.index('class="toast') :]
    assert "Resume nightly" in toast[: toast.index("</form>")]
    assert f'action="{reverse("keys:resume", args=[lease.pk])}"' in toast
    client.post(reverse("keys:resume", args=[lease.pk]))
    lease.refresh_from_db()
    assert lease.state == "active"


def test_times_are_said_in_words_with_the_exact_utc_behind_them(as_person, make_key, alice):
    lease = make_key().lease
    exact = f'<time datetime="{lease.expires_at:%Y-%m-%dT%H:%M:%SZ}" title="{lease.expires_at:%Y-%m-%d %H:%M:%S} UTC">'
    assert exact in as_person(alice).get(LIST).content.decode()
