"""Whose a key is, through the API: issued for a service account, and handed over."""

from __future__ import annotations

import pytest

from keys.models import Lease
from portal.models import AuditEvent
from teams.models import User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("sandbox")]


@pytest.fixture
def order(sandbox, make_role, team):
    make_role()
    return {"team": team.slug, "role": "coding"}


def test_a_key_is_for_the_caller_unless_a_service_account_is_named(sandbox, call, order, robot, ines):
    mine = call("post", "keys/", order | {"holder": "me"}, by=ines).json()["lease"]
    its = call("post", "keys/", order | {"holder": "Nightly"}, by=ines)
    assert (mine["holder"], its.status_code, its.json()["lease"]["holder"]) == (ines.email, 201, "nightly")
    assert sandbox.status_of(its.json()["key"]) == 200
    listed = call("get", "keys/?holder=nightly", by=ines).json()["results"]
    assert [row["id"] for row in listed] == [its.json()["lease"]["id"]]
    event = AuditEvent.objects.filter(action="key.issued").first()
    assert (event.actor, event.on_behalf_of) == (ines.email, "nightly")


@pytest.mark.parametrize("name", ["drone", "nobody", "alice@example.com", "nightly\0"])
def test_an_unknown_name_and_one_of_another_team_are_the_same(call, order, robot, alice, ines, other_team, name):
    User.objects.create_service_account("drone", other_team)
    answer = call("post", "keys/", order | {"holder": name}, by=ines)
    assert (answer.status_code, "holder" in answer.json()["error"]["details"]) == (422, True)
    assert not Lease.objects.exists()


def test_only_who_runs_the_team_may_and_only_with_the_scope(call, order, robot, alice, bob, ines):
    for who in (alice, bob):
        assert call("post", "keys/", order | {"holder": "nightly"}, by=who).status_code == 403
    assert call("post", "keys/", order | {"holder": "nightly"}, by=ines, scopes=["read"]).status_code == 403
    both = ["read", "keys:issue"]
    assert call("post", "keys/", order | {"holder": "nightly"}, by=ines, scopes=both).status_code == 201


def test_a_key_is_handed_over_by_e_mail_id_or_the_name_of_a_service_account(
    call, sandbox, alice, bob, robot, ines, make_key
):
    lease = make_key().lease
    for to, name in ((bob.email, bob.email), ("nightly", "nightly"), (str(alice.pk), alice.email)):
        answer = call("post", f"keys/{lease.pk}/transfer/", {"to": to}, by=ines)
        assert (answer.status_code, answer.json()["holder"]) == (200, name)
        assert answer.json()["handed_over_at"]


def test_whom_one_cannot_name_is_not_there(call, alice, ines, mallory, make_key, other_team):
    User.objects.create_service_account("drone", other_team)
    lease = make_key().lease
    for to in (mallory.email, str(mallory.pk), "drone", "nobody@example.com"):
        answer = call("post", f"keys/{lease.pk}/transfer/", {"to": to}, by=ines)
        assert (answer.status_code, "to" in answer.json()["error"]["details"]) == (404, True)
    assert Lease.objects.get().holder == alice


def test_who_may_not_hold_keys_is_no_heir(call, vic, alice, ines, make_key):
    lease = make_key().lease
    for to in (vic.email, alice.email):
        answer = call("post", f"keys/{lease.pk}/transfer/", {"to": to}, by=ines)
        assert (answer.status_code, "to" in answer.json()["error"]["details"]) == (422, True)


def test_nobody_else_hands_a_key_over(call, alice, bob, mallory, robot, make_key):
    lease = make_key().lease
    found = {
        who.name: call("post", f"keys/{lease.pk}/transfer/", {"to": bob.email}, by=who).status_code
        for who in (alice, bob, mallory, robot)
    }
    assert found == {"Alice": 403, "Bob": 403, "Mallory": 404, "nightly": 404}
