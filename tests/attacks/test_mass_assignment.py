"""What an act does not ask for, nobody sends along with it."""

from __future__ import annotations

from typing import Any

import pytest

from keys.models import Gateway, KeyRole, Lease
from portal.models import AuditEvent
from teams.models import ApiToken, Membership, Team, User
from tests.permissions.scene import ACTORS, PEOPLE, nothing_happened
from tests.permissions.table import FILES, FOR_NOBODY, Asked, rows_of

pytestmark = [pytest.mark.django_db, pytest.mark.apart]

# Fields of our rows that no act takes; and what an attacker would like in them.
WISHED: dict[str, Any] = {
    "platform_role": "admin",
    "given_platform_role": "admin",
    "given_role": "admin",
    "is_active": True,
    "is_superuser": True,
    "holder_id": "mallory@example.com",
    "team_id": "mobile",
    "service_team": "mobile",
    "state": "active",
    "spend": "0",
    "budget_ceiling": "1000000",
    "max_expires_at": "2099-01-01T00:00:00Z",
    "master_key": "none",
}
OURS = ("keys:", "teams:", "api:", "invitations:", "mappings:", "audit:")


def everything() -> dict[str, list[Any]]:
    """The columns that are worth an attack."""
    return {
        "users": list(User.objects.order_by("email", "name").values_list("email", "platform_role", "is_active")),
        "memberships": list(
            Membership.objects.order_by("user__email", "team").values_list("user__email", "team__slug", "role")
        ),
        "teams": list(Team.objects.order_by("slug").values_list("slug", "max_budget", "budget_ceiling")),
        "leases": sorted(map(str, Lease.objects.values_list("holder", "team", "state", "limits", "spend"))),
        "roles": list(KeyRole.objects.order_by("name").values_list("name", "max_budget", "all_models", "all_teams")),
        "gateways": list(Gateway.objects.order_by("name").values_list("name", "base_url", "is_default")),
        "tokens": list(ApiToken.objects.order_by("name", "owner__email").values_list("owner__email", "scopes")),
    }


def who_may(row: str, actors: tuple[str, ...]) -> str:
    """Somebody whom the act is open to: the least of them."""
    cells = zip(actors, row.split(), strict=True)
    return next(
        (who for who, cell in cells if cell[0] == "2" or (cell in {"302", "409", "422"} and who != "nobody")), ""
    )


@pytest.mark.parametrize("file", [file for file in FILES if rows_of(file, "REST")], ids=lambda file: file.__name__)
def test_the_api_names_what_it_does_not_take_and_does_nothing(client, scene, file):
    asked, wrong = Asked(scene, file), []
    for (method, name), row in rows_of(file, "REST").items():
        who = who_may(row, ACTORS)
        if method == "get" or not name.startswith("api:") or not who or name in FOR_NOBODY:
            continue
        with nothing_happened():
            headers = scene.bearer(scene.people[who])
            before = everything()
            body = {**(asked.bodies.get(name, {}) if method != "delete" else {}), **WISHED}
            where = asked.paths[name]
            answer = getattr(client, method)(where, data=body, content_type="application/json", headers=headers)
            error = answer.json().get("error", {}) if answer.content else {}
            refused = AuditEvent.objects.filter(action="access.refused", facts__code="unknown_field").first()
            if (answer.status_code, error.get("code")) != (422, "unknown_field"):
                wrong.append(f"{method} {name}: {answer.status_code} {error.get('code')}")
            elif set(error["details"]) != set(WISHED):
                wrong.append(f"{method} {name} takes {set(WISHED) - set(error['details'])}")
            elif everything() != before:
                wrong.append(f"{method} {name}: something was done all the same")
            elif refused is None or refused.facts["fields"] != sorted(WISHED):
                wrong.append(f"{method} {name}: not on record")
    assert wrong == []


@pytest.mark.parametrize("file", [file for file in FILES if rows_of(file, "PAGES")], ids=lambda file: file.__name__)
def test_a_page_does_with_them_what_it_does_without(client, scene, file):
    asked, wrong = Asked(scene, file), []
    for (method, name), row in rows_of(file, "PAGES").items():
        who = who_may(row, PEOPLE)
        if method != "post" or not name.startswith(OURS) or who in {"", "nobody"}:
            continue
        found = []
        for wished in ({}, WISHED):
            with nothing_happened():
                client.force_login(scene.people[who])
                body = {**wished, "sent": "1", **asked.bodies.get(name, {})}
                status = client.post(asked.paths[name], data=body).status_code
                found.append((status, everything()))
        if found[0] != found[1]:
            wrong.append(f"{name}: {found[0][0]} {found[1][0]}")
    assert wrong == []


def test_role_team_and_holder_stand_still_where_an_act_is_about_something_else(client, scene):
    headers = scene.bearer(scene.alice)
    for field, value in {"team": "mobile", "holder": "mallory@example.com", "role": "admin"}.items():
        for act in ("renew", "rotate", "pause", "revoke"):
            with nothing_happened():
                where = f"/api/v1/keys/{scene.lease.pk}/{act}/"
                answer = client.post(where, {field: value}, content_type="application/json", headers=headers)
                assert answer.json()["error"]["code"] == "unknown_field", act
                assert list(answer.json()["error"]["details"]) == [field]
