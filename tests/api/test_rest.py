"""The first REST door, over HTTP, as a script would use it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from keys.models import Lease
from portal.litellm import faults, hash_key
from portal.mail import send_due
from portal.models import AuditEvent
from teams.models import Membership, Team, User
from tests.api.answers import BUNDLE

pytestmark = pytest.mark.django_db(transaction=True)

ROLE = {
    "name": "coding",
    "models": ["gpt-4o-mini"],
    "max_budget": "5.00",
    "budget_duration": "1d",
    "ttl": "1h",
    "max_ttl": "24h",
    "approval": "auto",
    "all_teams": True,
}


def test_a_script_makes_team_role_and_key_and_revokes_it(proxy, call, ruth, person):
    team = call("post", "teams/", {"name": "Data Science", "slug": "ds"}, by=ruth)
    assert (team.status_code, team.json()["slug"]) == (201, "ds")
    person("ada")
    member = call("post", "teams/ds/members/", {"email": "ada@example.com", "role": "member"}, by=ruth)
    assert member.status_code == 201
    assert call("post", "roles/", ROLE, by=ruth).status_code == 201

    ada = User.objects.get(email="ada@example.com")
    made = call("post", "keys/", {"team": "ds", "role": "coding", "ttl": "30m", "purpose": "a test"}, by=ada)
    assert made.status_code == 201
    assert made["Cache-Control"] == "no-store"
    answer = made.json()
    assert set(answer) == BUNDLE
    lease = answer["lease"]
    assert (lease["state"], lease["team"], lease["role"], lease["holder"]) == ("active", "ds", "coding", ada.email)
    lifetime = datetime.fromisoformat(lease["expires_at"]) - datetime.fromisoformat(lease["issued_at"])
    assert lifetime == timedelta(minutes=30)
    assert lease["max_budget"] == "5.0000"
    assert proxy.status_of(answer["key"]) == 200

    ended = call("post", f"keys/{lease['id']}/revoke/", by=ada)
    assert (ended.status_code, ended.json()["state"]) == (200, "revoked")
    assert proxy.status_of(answer["key"]) == 401
    assert "key" not in ended.json()


def test_lists_hold_ended_keys_too_and_page_by_cursor(sandbox, call, team, alice, make_key):
    for _ in range(3):
        make_key()
    call("post", f"keys/{Lease.objects.first().pk}/revoke/", by=alice)

    first = call("get", "keys/?team=search&page_size=2", by=alice).json()
    assert set(first) == {"results", "next", "previous"}
    assert len(first["results"]) == 2
    assert first["next"].startswith("http://")
    rest = call("get", first["next"].split("/api/v1/")[1], by=alice).json()
    states = [lease["state"] for lease in first["results"] + rest["results"]]
    assert sorted(states) == ["active", "active", "revoked"]
    assert rest["next"] is None


def test_members_are_an_upsert(call, team, ines, alice):
    there = call("post", "teams/search/members/", {"email": "Alice@Example.com", "role": "approver"}, by=ines)
    assert (there.status_code, there.json()["role"]) == (200, "approver")
    assert Membership.objects.filter(user=alice).count() == 1


def test_an_unknown_address_is_invited_by_letter_and_no_answer_has_the_link(call, team, ines, mailoutbox):
    answer = call("post", "teams/search/members/", {"email": "new@example.com"}, by=ines)
    assert (answer.status_code, answer.json()["invitation"]["email"]) == (202, "new@example.com")
    assert not User.objects.filter(email="new@example.com").exists()
    send_due()
    assert mailoutbox[0].to == ["new@example.com"]
    assert "/invitations/" in mailoutbox[0].body
    assert "/invitations/" not in answer.content.decode()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "no spaces"}, "name"),
        ({"max_budget": "-1"}, "max_budget"),
        ({"max_budget": "0"}, "max_budget"),
        ({"ttl": "48h"}, "ttl"),
        ({"ttl": "1h30m"}, "ttl"),
        ({"ttl": 29}, "ttl"),
        ({"models": []}, "models"),
        ({"all_models": True}, "models"),
        ({"budget_duration": "2d"}, "budget_duration"),
        ({"all_teams": False}, "teams"),
        ({"all_teams": False, "teams": ["nowhere"]}, "teams"),
        ({"gateway": "nowhere"}, "gateway"),
        ({"bugdet": "5"}, "bugdet"),
        ({"metadata": {"a": {"b": 1}}}, "metadata"),
    ],
)
def test_a_bad_role_is_refused_with_its_field_named(sandbox, call, team, ruth, change, field):
    refused = call("post", "roles/", ROLE | change, by=ruth)
    assert refused.status_code == 422
    assert field in refused.json()["error"]["details"]
    assert refused.json()["error"]["action"]


def test_role_names_are_lower_case_and_models_may_be_a_comma_list(sandbox, call, team, ruth):
    made = call("post", "roles/", ROLE | {"name": "Coding.V2", "models": "gpt-4o, gpt-4o-mini", "ttl": 3600}, by=ruth)
    assert made.status_code == 201
    assert made.json()["name"] == "coding.v2"
    assert made.json()["models"] == ["gpt-4o", "gpt-4o-mini"]
    assert made.json()["ttl"] == 3600
    again = call("post", "roles/", ROLE | {"name": "coding.v2"}, by=ruth)
    assert again.status_code == 422


def test_ttl_zero_means_the_gateways(sandbox, call, team, ruth, alice):
    assert call("post", "roles/", ROLE | {"ttl": 0, "max_ttl": 0}, by=ruth).status_code == 201
    lease = call("post", "keys/", {"team": "search", "role": "coding"}, by=alice).json()["lease"]
    lifetime = datetime.fromisoformat(lease["expires_at"]) - datetime.fromisoformat(lease["issued_at"])
    assert lifetime == sandbox.gateway.ttl


def test_all_models_are_an_explicit_choice(sandbox, call, team, ruth, alice):
    role = {name: value for name, value in ROLE.items() if name != "models"}
    assert call("post", "roles/", role, by=ruth).status_code == 422
    assert call("post", "roles/", role | {"all_models": True}, by=ruth).status_code == 201
    made = call("post", "keys/", {"team": "search", "role": "coding"}, by=alice).json()
    assert made["lease"]["all_models"] is True
    opened = sandbox.client.with_key(made["key"]).models.list()
    assert len(opened) == len(sandbox.client.models.list())


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"ttl": "25h"}, 422, "over_limit", "ttl"),
        ({"ttl": "1 day"}, 422, "invalid", "ttl"),
        ({"ttl": 10}, 422, "invalid", "ttl"),
        ({"models": ["gpt-4o"]}, 422, "over_limit", "models"),
        ({"max_budget": "5.01"}, 422, "over_limit", "max_budget"),
        ({"max_budget": "0"}, 422, "invalid", "max_budget"),
        ({"team": "mobile"}, 422, "invalid", "team"),
        ({"role": "nothing"}, 422, "invalid", "role"),
    ],
)
def test_a_bad_order_is_refused_and_nothing_is_made(
    sandbox, call, team, other_team, ruth, alice, change, status, code, field
):
    call("post", "roles/", ROLE, by=ruth)
    refused = call("post", "keys/", {"team": "search", "role": "coding"} | change, by=alice)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert field in refused.json()["error"]["details"]
    assert not Lease.objects.exists()


def test_other_teams_keys_are_not_there(sandbox, call, team, mallory, make_key):
    lease = make_key().lease
    assert call("get", f"keys/{lease.pk}/", by=mallory).status_code == 404
    assert call("post", f"keys/{lease.pk}/revoke/", by=mallory).status_code == 404
    assert call("get", "keys/?team=search", by=mallory).json()["results"] == []
    assert call("get", "teams/search/", by=mallory).status_code == 404


def test_what_may_be_seen_but_not_done_is_403_and_names_the_right(sandbox, call, team, audra, make_key):
    lease = make_key().lease
    refused = call("post", f"keys/{lease.pk}/revoke/", by=audra)
    assert refused.status_code == 403
    assert refused.json()["error"] == {
        "code": "not_allowed",
        "message": "You may not pause, resume or revoke this key.",
        "action": "An approver or a team admin of Search Platform can.",
        "retryable": False,
        "details": {"right": "revoke_key"},
    }


def test_a_token_never_does_more_than_its_scopes(sandbox, call, team, ruth, alice, make_key):
    lease = make_key().lease
    assert call("get", "keys/", by=alice, scopes=["read"]).status_code == 200
    assert call("post", f"keys/{lease.pk}/revoke/", by=alice, scopes=["read"]).status_code == 403
    assert call("post", "teams/", {"name": "X"}, by=ruth, scopes=["read", "keys:manage"]).status_code == 403
    assert call("get", "keys/", by=alice, scopes=["keys:issue"]).json()["results"] == []


def test_a_service_account_issues_and_holds_its_own_keys(sandbox, call, team, robot, make_role):
    make_role()
    made = call("post", "keys/", {"team": "search", "role": "coding"}, by=robot)
    assert (made.status_code, made.json()["lease"]["holder"]) == (201, "nightly")
    assert Lease.objects.overdue(Lease.objects.get().issued_at).count() == 0


@pytest.mark.parametrize("header", ["", "Bearer kd_nobody", "Bearer", "Basic abc"])
def test_without_a_living_token_nothing_answers(client, db, header):
    answer = client.get("/api/v1/keys/", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.json()["error"]["action"]


def test_a_revocation_with_the_gateway_away_answers_revoking(sandbox, call, team, alice, make_key):
    lease = make_key().lease
    sandbox.faults.fail_next("/key/delete", faults.refused(), times=10)
    ended = call("post", f"keys/{lease.pk}/revoke/", by=alice)
    assert (ended.status_code, ended.json()["state"]) == (200, "revoking")


def test_a_gateway_that_does_not_answer_is_503_and_nothing_is_lost(sandbox, call, team, alice, make_role):
    make_role()
    sandbox.faults.fail_next("/v2/team/list", faults.refused(), times=10)
    answer = call("post", "keys/", {"team": "search", "role": "coding"}, by=alice)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "gateway_away"
    assert answer.json()["error"]["retryable"] is True


def test_a_refusal_of_the_gateway_is_ours_and_never_its_status(sandbox, call, team, alice, make_role):
    make_role()
    sandbox.faults.fail_next("/key/generate", faults.server_error(500), times=10)
    answer = call("post", "keys/", {"team": "search", "role": "coding"}, by=alice)
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "gateway_refused"


def test_no_gateway_is_a_clear_answer(call, db, ruth):
    answer = call("post", "roles/", ROLE, by=ruth)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_configured")
    assert "LITELLM_BASE_URL" in answer.json()["error"]["action"]


def test_a_team_changes_by_patch(sandbox, call, team, ines, ruth):
    changed = call("patch", "teams/search/", {"max_budget": "250.00"}, by=ines)
    assert (changed.status_code, changed.json()["max_budget"]) == (200, "250.00")
    assert call("patch", "teams/search/", {"name": "Else"}, by=ines).status_code == 403
    assert call("patch", "teams/search/", {"name": "Search"}, by=ruth).json()["name"] == "Search"


def test_a_changed_team_budget_reaches_the_gateway_at_once(proxy, call, team, ines, make_key):
    make_key()
    call("patch", "teams/search/", {"max_budget": "12.00", "budget_duration": "7d"}, by=ines)
    there = proxy.client.teams.info(team.litellm_id).team
    assert (there.max_budget, there.budget_duration) == (12, "7d")


def test_the_audit_names_token_and_address(sandbox, call, team, alice, make_role):
    make_role()
    call("post", "keys/", {"team": "search", "role": "coding"}, by=alice)
    event = AuditEvent.objects.get(action="key.issued")
    assert event.token_id == str(alice.api_tokens.get().pk)
    assert event.ip == "127.0.0.1"
    assert event.team_id == str(team.pk)


def test_the_key_is_stored_as_its_hash_only(sandbox, call, team, alice, make_role):
    make_role()
    made = call("post", "keys/", {"team": "search", "role": "coding"}, by=alice).json()
    assert Lease.objects.get().current.token_hash == hash_key(made["key"])
    assert Team.objects.get() == team
