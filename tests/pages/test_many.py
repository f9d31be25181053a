"""End many keys, a role, a team: the reach is counted first, and each key has its result."""

from __future__ import annotations

import itertools
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.urls import reverse
from django.utils import timezone

from keys.models import KeyRole, Lease, State
from keys.services import leases
from portal.litellm.faults import refused
from tests.pages.conftest import form_of, text

pytestmark = pytest.mark.django_db(transaction=True)
MANY = "/keys/revoke/"


def test_the_lists_offer_to_choose_keys_that_one_may_end(make_key, alice, bob, audra, as_person):
    lease = make_key(name="hers").lease
    chosen = f'value="{lease.pk}"'
    assert chosen in as_person(alice).get("/").content.decode()
    assert chosen in as_person(bob).get("/teams/search/keys/").content.decode()
    page = as_person(audra).get("/teams/search/keys/").content.decode()
    assert chosen not in page
    assert "Revoke selected" not in page


def test_the_reach_is_counted_before_anybody_presses(make_key, alice, bob, ines, as_person):
    one, two = make_key(name="one").lease, make_key(name="two", holder=bob).lease
    Lease.objects.filter(pk=one.pk).update(last_used_at=timezone.now())
    page = text(as_person(ines).get(MANY, {"id": [one.pk, two.pk]}))
    assert "Revoke two keys?" in page
    assert "Live keys 2" in page
    assert "Holders 2 Alice, Bob" in page
    assert "Used in the last hour 1" in page
    assert "Spend of 7 days $0.00" in page
    assert "calls with one key came within the last hour and would have failed. This cannot be undone" in page


def test_each_key_has_its_result(make_key, ines, bob, sandbox, as_person):
    one, two = make_key(name="one"), make_key(name="two", holder=bob)
    client = as_person(ines)
    sent = form_of(client.get(MANY, {"id": [one.lease.pk, two.lease.pk]})) | {"reason": "Laptops were lost"}
    done = client.post(MANY, sent)
    assert "Two keys of 2 ended" in text(done)
    assert text(done).count("sandbox confirmed it at") == 2
    assert [sandbox.status_of(each.secret) for each in (one, two)] == [401, 401]
    one.lease.refresh_from_db()
    assert one.lease.end_reason == "Laptops were lost"
    assert "Two keys of 2 ended" in text(client.post(MANY, sent))  # safe to repeat


def test_what_the_gateway_has_not_confirmed_is_called_that(make_key, alice, sandbox, as_person):
    lease = make_key(name="one").lease
    sandbox.faults.fail_next("/key/delete", refused(), times=9)
    page = text(as_person(alice).post(MANY, {"id": [str(lease.pk)]}))
    assert "No keys of 1 ended" in page
    assert "One is not yet effective" in page
    assert "Not yet effective: sandbox has not confirmed it." in page


def test_what_one_may_see_and_not_end_is_counted_apart_and_stays(make_key, bob, ruth, other_team, person, as_person):
    """An auditor sees every key, and as a member of a team ends their own."""
    mine = make_key(name="mine").lease
    auditor = person("audrey", "auditor")
    auditor.memberships.create(team=mine.team, role="member")
    own = make_key(name="own", holder=auditor).lease
    client = as_person(auditor)
    page = text(client.get(MANY, {"id": [mine.pk, own.pk]}))
    assert "Not yours to end 1" in page
    done = text(client.post(MANY, {"id": [str(mine.pk), str(own.pk)]}))
    assert "One key of 2 ended" in done
    assert "You may not pause, resume or revoke this key." in done
    mine.refresh_from_db()
    assert mine.state == State.ACTIVE


def test_a_key_that_one_may_not_see_is_not_there(make_key, mallory, alice, as_person):
    lease = make_key().lease
    client = as_person(mallory)
    for asked in ({"id": lease.pk}, {"team": "search"}, {"team": "search", "holder": alice.pk}):
        assert client.get(MANY, asked).status_code == 404
    assert "No key was chosen" in text(client.get(MANY, {"holder": alice.pk}))
    assert "No key of the key role coding lives now." in text(client.get(MANY, {"role": lease.role_id}))
    assert client.post(MANY, {"id": [str(lease.pk)]}).status_code == 404
    assert client.get(MANY, {"id": "no-uuid"}).status_code == 404
    lease.refresh_from_db()
    assert lease.state == State.ACTIVE


@pytest.mark.parametrize("by", ["team", "role", "holder"])
def test_all_keys_of_a_team_a_role_or_a_holder_are_ended_together(make_key, alice, bob, ruth, as_person, by):
    lease = make_key(name="hers").lease
    make_key(name="his", holder=bob)
    value = {"team": "search", "role": lease.role_id, "holder": alice.pk}[by]
    page = text(as_person(ruth).get(MANY, {by: value}))
    assert ("Revoke one key?" if by == "holder" else "Revoke two keys?") in page
    assert {"team": "Search Platform", "role": "the key role coding", "holder": "Alice"}[by] in page


def test_nothing_chosen_is_said_and_ends_nothing(make_key, alice, as_person):
    make_key()
    client = as_person(alice)
    assert "No key was chosen" in text(client.get(MANY))
    answer = client.post(MANY, {})
    assert answer.status_code == 422
    assert "Nothing was revoked. No key was chosen." in text(answer)


def test_ending_a_role_counts_its_keys_and_ends_them_and_it_is_shown_as_ended(
    make_key, alice, ruth, sandbox, as_person
):
    issued = make_key()
    role = KeyRole.objects.get()
    client = as_person(ruth)
    ask = client.get(reverse("keys:role_end", args=[role.pk]))
    assert "End coding and one key" in text(ask)
    done = client.post(reverse("keys:role_end", args=[role.pk]), form_of(ask), follow=True)
    assert "coding is ended, with one live key." in text(done)
    assert "Nobody issues or renews from it any more." in text(done)
    assert sandbox.status_of(issued.secret) == 401
    assert client.get(reverse("keys:role_edit", args=[role.pk])).status_code == 404
    assert "coding" not in text(client.get(reverse("keys:roles"))).replace("encoding", "")
    assert "ended" in text(client.get(reverse("keys:roles"), {"state": "ended"}))
    assert "its key role was ended" in text(client.get(reverse("keys:lease", args=[issued.lease.pk])))


def test_an_ended_team_gives_no_keys_and_stays_listed(make_key, alice, ruth, sandbox, team, as_person):
    issued = make_key()
    client = as_person(ruth)
    done = client.post(reverse("keys:team_end", args=["search"]), follow=True)
    assert "Search Platform is ended, with one live key." in text(done)
    assert "Nobody gets or renews a key for it any more." in text(done)
    assert "End this team" not in text(done)
    assert sandbox.status_of(issued.secret) == 401
    client = as_person(alice)
    assert "Search Platform" not in text(client.get(reverse("keys:issue")))
    answer = client.post(reverse("keys:issue"), {"team": "search", "role": str(issued.lease.role_id)})
    assert answer.status_code == 409
    assert "was ended and gives no keys any more" in text(answer)
    assert "ended" in text(client.get(reverse("teams:list")))


def test_a_gateway_that_is_away_does_not_stop_the_end_of_a_team(make_key, ruth, sandbox, as_person):
    make_key()
    sandbox.faults.fail_next("/key/delete", refused(), times=9)
    page = text(as_person(ruth).post(reverse("keys:team_end", args=["search"]), follow=True))
    assert "One key is not yet revoked." in page


def test_many_are_paused_resumed_and_renewed_with_a_result_for_each(make_key, alice, sandbox, as_person):
    one, two = make_key(name="one"), make_key(name="two")
    ids, client = {"id": [one.lease.pk, two.lease.pk]}, as_person(alice)
    asked = client.get("/keys/pause/", ids)
    assert "Pause two keys?" in text(asked)
    paused = client.post("/keys/pause/", form_of(asked) | {"reason": "On leave"})
    assert "Two keys of 2 paused" in text(paused)
    assert [sandbox.status_of(each.secret) for each in (one, two)] == [401, 401]
    assert "Nothing to do" in text(client.get("/keys/pause/", ids))
    assert "Two keys of 2 resumed" in text(client.post("/keys/resume/", form_of(client.get("/keys/resume/", ids))))
    assert sandbox.status_of(one.secret) == 200
    Lease.objects.filter(pk=one.lease.pk).update(expires_at=timezone.now() + timedelta(hours=1))
    leases.revoke(two.lease, by=alice)
    renewed = text(client.post("/keys/renew/", {"id": [str(one.lease.pk), str(two.lease.pk)]}))
    assert "One key of 2 renewed" in renewed
    assert "Renewed; it ends " in renewed
    assert "One was refused" in renewed
    assert "This key is revoked: it cannot be renewed." in renewed


def test_what_takes_long_is_done_a_stretch_at_a_time_and_goes_on_where_it_was(
    make_key, alice, sandbox, as_person, monkeypatch
):
    monkeypatch.setattr("keys.services.leases.many.TOGETHER", 2)
    clock = SimpleNamespace(monotonic=itertools.count(step=6).__next__)  # two stretches of six seconds fit into ten
    monkeypatch.setattr("keys.services.leases.many.time", clock)
    made = [make_key(name=f"key {number}") for number in range(5)]
    client = as_person(alice)
    first = client.post(MANY, {"id": [str(each.lease.pk) for each in made], "reason": "Laptops were lost"})
    assert "Four keys of 5 ended" in text(first)
    assert "One key is left. What is done stays done if you leave this page." in text(first)
    assert Lease.objects.live().count() == 1
    sent = form_of(first)
    last = client.post(MANY, sent)
    assert "Five keys of 5 ended" in text(last)
    assert "Go on" not in text(last)
    assert set(Lease.objects.values_list("end_reason", flat=True)) == {"Laptops were lost"}
    assert "Five keys of 5 ended" in text(client.post(MANY, sent))  # a reload does it no second time


def test_all_that_fit_the_filters_of_the_list_can_be_chosen(make_key, bob, alice, as_person):
    make_key(name="batch one"), make_key(name="batch two", holder=bob), make_key(name="other")
    page = text(as_person(bob).get(MANY, {"all": "1", "q": "batch"}))
    assert "Revoke two keys?" in page
    assert "batch one" in page
    assert "other" not in page
