"""Nobody raises their own budget, through whatever door: the holder's, the team's, the platform's ceiling, a key's."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.urls import reverse

from keys.models import KeyRole, Lease
from portal.models import AuditEvent
from teams.models import Membership, Team

pytestmark = pytest.mark.django_db


@pytest.fixture
def limits(scene) -> None:
    """The team may spend 40 USD of at most 50; alice 5 of it."""
    Team.objects.filter(pk=scene.team.pk).update(max_budget=Decimal(40), budget_ceiling=Decimal(50))
    Membership.objects.filter(user=scene.alice).update(max_budget=Decimal(5))


def budgets() -> list[object]:
    return [
        *Team.objects.order_by("slug").values_list("max_budget", "budget_ceiling"),
        *Membership.objects.order_by("user__email").values_list("max_budget"),
        *KeyRole.objects.values_list("max_budget"),
        *Lease.objects.values_list("limits"),
    ]


REST = [  # who, method, URL, body
    ("alice", "put", "/api/v1/teams/search/members/alice@example.com/budget/", {"max_budget": "500"}),
    ("bob", "put", "/api/v1/teams/search/members/bob@example.com/budget/", {"max_budget": "500"}),
    ("alice", "patch", "/api/v1/teams/search/", {"max_budget": "500"}),
    ("bob", "patch", "/api/v1/teams/search/", {"max_budget": "500"}),
    ("mallory", "patch", "/api/v1/teams/search/", {"max_budget": "500"}),
    ("ines", "patch", "/api/v1/teams/search/", {"max_budget": "500"}),  # over the ceiling
    ("ines", "patch", "/api/v1/teams/search/", {"budget_ceiling": "500"}),
    ("ines", "put", "/api/v1/teams/search/members/ines@example.com/budget/", {"max_budget": "500"}),
    ("ines", "post", "/api/v1/roles/", {"name": "rich", "models": ["gpt-4o"], "all_teams": True, "max_budget": "900"}),
    ("alice", "post", "/api/v1/keys/{lease}/renew/", {"max_budget": "500"}),
    ("alice", "post", "/api/v1/keys/{lease}/rotate/", {"max_budget": "500"}),
    ("alice", "post", "/api/v1/keys/", {"team": "search", "role": "coding", "max_budget": "500"}),
    ("robot", "patch", "/api/v1/teams/search/", {"max_budget": "500"}),
]


@pytest.mark.parametrize(("who", "method", "path", "body"), REST)
def test_through_the_api(client, scene, limits, who, method, path, body):
    before, where = budgets(), path.format(lease=scene.lease.pk)
    headers = scene.bearer(scene.people[who])
    answer = getattr(client, method)(where, body, content_type="application/json", headers=headers)
    assert answer.status_code in {403, 404, 409, 422}, answer.content
    assert budgets() == before
    event = AuditEvent.objects.get(action="access.refused")
    assert (event.actor_id, event.facts["status"]) == (str(scene.people[who].pk), answer.status_code)


PAGES = [  # who, URL, arguments, form
    ("alice", "teams:edit", ["search"], {"max_budget": "500", "name": "Search Platform"}),
    ("ines", "teams:edit", ["search"], {"max_budget": "500", "budget_ceiling": "500", "name": "Search Platform"}),
    ("alice", "teams:holder_budget", ["search", "{alice}"], {"max_budget": "500"}),
    ("ines", "teams:holder_budget", ["search", "{alice}"], {"max_budget": "500"}),
    ("alice", "keys:renew", ["{lease}"], {"ttl": "30d", "max_budget": "500"}),
    ("ines", "keys:role_edit", ["{role}"], {"max_budget": "500"}),
    ("alice", "admin:teams_team_change", ["{team}"], {"max_budget": "500"}),
    ("ines", "admin:keys_keyrole_change", ["{role}"], {"max_budget": "500"}),
    ("ruth", "admin:teams_team_change", ["{team}"], {"max_budget": "500"}),  # read-only even for her
]


@pytest.mark.parametrize(("who", "name", "parts", "form"), PAGES)
def test_through_the_pages(client, scene, limits, who, name, parts, form):
    ids = {"alice": scene.alice.pk, "lease": scene.lease.pk, "role": scene.role.pk, "team": scene.team.pk}
    client.force_login(scene.people[who])
    before = budgets()
    answer = client.post(reverse(name, args=[part.format(**ids) for part in parts]), form)
    assert budgets() == before
    if name != "keys:renew":  # where a budget is no field, and nothing is refused
        assert AuditEvent.objects.get(action="access.refused").actor_id == str(scene.people[who].pk)
        assert answer.status_code in {403, 422}
    else:
        assert answer.status_code == 302
