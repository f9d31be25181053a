"""Refusals are written down: who, what, from where. Bounded, and never with a secret in them."""

from __future__ import annotations

import pytest
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse

from portal import audit
from portal.models import AuditEvent
from portal.refusals import MOST
from teams.models import User

pytestmark = pytest.mark.django_db


def refusals() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action="access.refused").order_by("pk"))


def test_a_refusal_says_who_was_refused_which_right_over_what(client, scene):
    client.force_login(scene.alice)
    assert client.post("/teams/search/edit/", REMOTE_ADDR="203.0.113.7").status_code == 403
    [event] = refusals()
    assert (event.actor, event.target_id, event.ip) == ("alice@example.com", str(scene.alice.pk), "203.0.113.7")
    assert event.facts["route"] == "teams:edit"
    assert event.facts["named"] == {"slug": "search"}
    assert (event.facts["method"], event.facts["status"], event.facts["code"]) == ("POST", 403, "not_allowed")
    assert event.facts["right"] in {"set_team_budget", "manage_members"}


def test_a_token_of_narrower_scope_is_refused_everywhere_it_has_none_and_that_says_which(client, scene):
    headers = scene.bearer(scene.ines, ["read", "keys:issue"])
    for path, body in (
        (f"/api/v1/keys/{scene.lease.pk}/revoke/", {}),
        ("/api/v1/teams/search/members/", {"email": "vic@example.com", "role": "admin"}),
    ):
        answer = client.post(path, body, content_type="application/json", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")
    assert client.get("/api/v1/gateways/", headers=headers).status_code == 403
    assert [event.facts["right"] for event in refusals()] == ["revoke_key", "manage_members", "see_platform"]
    assert len({event.token_id for event in refusals()} - {""}) == 1


def test_looking_for_what_is_not_there_is_no_attack_but_writing_to_it_is(client, scene):
    client.force_login(scene.mallory)
    where = reverse("keys:revoke", args=[scene.lease.pk])
    assert client.get(where).status_code == 404
    assert refusals() == []
    assert client.post(where).status_code == 404
    assert [event.facts["named"] for event in refusals()] == [{"pk": str(scene.lease.pk)}]


def test_somebody_unknown_leaves_no_event_behind(client, scene):
    assert client.post("/api/v1/teams/", {"name": "x"}, content_type="application/json").status_code == 401
    assert client.post("/teams/new/", {"name": "x"}).status_code == 302
    assert refusals() == []


def test_a_link_that_is_a_secret_is_not_written_down(client, scene):
    client.force_login(scene.mallory)
    client.post("/invitations/a-very-secret-ticket/")
    client.post("/accounts/password/reset/key/1-very-secret-ticket/")
    assert "secret-ticket" not in str([vars(event) for event in refusals()])


def test_nobody_fills_the_trail(client, scene):
    for _ in range(MOST - 1):
        audit.record("access.refused", scene.mallory, by=scene.mallory)
    client.force_login(scene.mallory)
    for _ in range(3):
        assert client.post("/teams/new/").status_code == 403
    events = refusals()
    assert len(events) == MOST
    assert "more of this actor" in events[-1].facts["note"]
    client.force_login(scene.alice)
    assert client.post("/teams/new/").status_code == 403
    assert len(refusals()) == MOST + 1


def test_a_stranger_does_not_silence_the_record_of_other_strangers(scene):
    nosy = Client(REMOTE_ADDR="203.0.113.7")
    for _ in range(3):
        assert nosy.post("/invitations/accept/").status_code == 404
    assert refusals() == []  # without a link there is nothing to use up
    nosy.get("/invitations/a-link-that-is-guessed/")
    for _ in range(MOST + 2):
        nosy.post("/invitations/accept/")
    assert len(refusals()) == MOST
    thief = Client(REMOTE_ADDR="198.51.100.9")
    thief.get("/invitations/a-link-that-is-guessed/")
    thief.post("/invitations/accept/")
    assert refusals()[-1].ip == "198.51.100.9"


def test_a_trail_that_cannot_be_written_refuses_no_less(client, scene, monkeypatch):
    def broken(*args, **facts):
        raise DatabaseError("disk full")

    client.force_login(scene.alice)
    monkeypatch.setattr(audit, "record", broken)
    assert client.post("/teams/new/").status_code == 403


@pytest.mark.parametrize(
    ("proxies", "forwarded", "ip"),
    [
        ([], "1.2.3.4", "203.0.113.7"),
        (["10.0.0.0/8"], "1.2.3.4", "203.0.113.7"),
        (["203.0.113.0/24"], "1.2.3.4", "1.2.3.4"),
        (["203.0.113.0/24"], "6.6.6.6, 1.2.3.4", "1.2.3.4"),
    ],
)
@pytest.mark.parametrize("door", ["page", "api"])
def test_an_address_is_believed_from_trusted_proxies_alone(client, scene, settings, door, proxies, forwarded, ip):
    settings.TRUSTED_PROXIES = proxies
    where, headers = ("/teams/new/", {}) if door == "page" else ("/api/v1/teams/", scene.bearer(scene.alice))
    if door == "page":
        client.force_login(scene.alice)
    sent = {"HTTP_X_FORWARDED_FOR": forwarded, "REMOTE_ADDR": "203.0.113.7", "content_type": "application/json"}
    assert client.post(where, {"name": "New"}, headers=headers, **sent).status_code == 403
    assert [event.ip for event in refusals()] == [ip]


def test_the_admin_is_no_way_round(client, scene):
    """A role that is given to oneself in Django's admin."""
    for who in ("alice", "ines", "mallory", "audra"):
        person = scene.people[who]
        client.force_login(person)
        where = reverse("admin:teams_user_change", args=[person.pk])
        assert client.post(where, {"platform_role": "admin", "is_active": "on"}).status_code == 403
        assert User.objects.get(pk=person.pk).platform_role == person.platform_role
    assert [event.facts["right"] for event in refusals()] == ["manage_platform"] * 4
