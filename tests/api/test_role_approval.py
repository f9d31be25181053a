"""Roles that ask, by REST: made and shown whole, and what needs a decision is asked for."""

from __future__ import annotations

import pytest

from keys.models import Lease

pytestmark = pytest.mark.django_db

ROLE = {
    "name": "frontier", "models": ["gpt-4o"], "max_budget": "20", "budget_duration": "1mo", "ttl": "7d",
    "all_teams": True, "approval": "team", "auto_ttl": "1h", "auto_budget": "2", "excess": "platform",
}  # fmt: skip


def test_a_role_that_asks_is_made_and_shown_whole(sandbox, call, ruth):
    made = call("post", "roles/", ROLE, by=ruth)
    assert made.status_code == 201
    shown = call("get", "roles/frontier/", by=ruth).json()
    wanted = {"approval": "team", "auto_ttl": 3600, "auto_budget": "2.0000", "excess": "platform"}
    assert {name: shown[name] for name in wanted} == wanted
    odd = call("post", "roles/", ROLE | {"name": "odd", "excess": "everybody"}, by=ruth)
    assert odd.status_code == 422


def test_a_script_asks_and_is_told_where_it_is_decided(sandbox, call, team, alice, ruth):
    call("post", "roles/", ROLE, by=ruth)
    wish = {"team": "search", "role": "frontier", "purpose": "nightly index"}
    for more in ({}, {"max_budget": "30"}, {"ttl": "30d"}):
        asked = call("post", "keys/", wish | more, by=alice)
        request = asked.json()["request"]
        assert (asked.status_code, request["state"]) == (202, "pending"), request
        assert request["links"]["page"].endswith(f"/requests/{request['id']}/")
    assert not Lease.objects.exists()
    assert call("post", "keys/", wish | {"ttl": "1h", "max_budget": "2"}, by=alice).status_code == 201
