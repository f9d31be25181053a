"""Why may I not? A refusal names the right, and people who have it or can give it, to whoever may know them."""

from __future__ import annotations

import ast

import pytest

from portal.errors import NotAllowed
from teams.access import SYSTEM, require, who_can
from teams.models import Membership
from teams.roles import Can, MemberRole, Scope
from tests.ground.processes import ROOT

pytestmark = pytest.mark.django_db


def refusal(*asked) -> NotAllowed:
    with pytest.raises(NotAllowed) as refused:
        require(*asked)
    return refused.value


def test_a_right_over_all_keys_is_told_with_the_people_who_have_it(sandbox, make_key, alice, bob, ines, audra):
    key = make_key().lease
    error = refusal(audra, Can.REVOKE_KEY, key)
    assert error.message == "You may not pause, resume or revoke this key."
    assert error.action == "An approver or a team admin of Search Platform can: Bob, Ines."
    assert error.details == {"right": "revoke_key", "who": ["Bob", "Ines"]}


def test_what_only_the_holder_may_is_told_with_the_holder(sandbox, make_key, alice, ines):
    assert refusal(ines, Can.RENEW_KEY, make_key().lease).action == "Only who holds it can: Alice."


def test_a_viewer_learns_who_can_make_them_a_member(team, vic, ines):
    error = refusal(vic, Can.ISSUE_KEY, team)
    assert error.action == "Members can, for themselves. A team admin can make you a member: Ines."


def test_at_most_three_are_named_and_nobody_who_has_left(team, person, alice):
    for name in ("dora", "ines", "zoe", "max", "anna"):
        Membership.objects.create(team=team, user=person(name), role=MemberRole.ADMIN)
    Membership.objects.filter(user__name="Anna").get().user.delete()
    error = refusal(alice, Can.SET_TEAM_BUDGET, team)
    assert error.details["who"] == ["Dora", "Ines", "Max"]


def test_an_outsider_learns_what_kind_of_person_it_takes_and_no_name(team, mallory, ines):
    error = refusal(mallory, Can.MANAGE_MEMBERS, team)
    assert error.action == "A team admin can."
    assert error.details == {"right": "manage_members"}
    assert "Search" not in f"{error.message} {error.action}"


def test_rights_of_the_platform_are_its_admins(alice, ruth, ines, team):
    assert refusal(alice, Can.MANAGE_PLATFORM).action == "A platform admin can: Ruth."
    assert refusal(ines, Can.MANAGE_PLATFORM, team).action == "A platform admin can: Ruth."
    assert refusal(alice, Can.SEE_PLATFORM).action == "A platform admin can give you that role: Ruth."


def test_a_token_is_told_its_scope(team, ines):
    ines.scopes = frozenset({Scope.READ})
    error = refusal(ines, Can.MANAGE_MEMBERS, team)
    assert error.action == "Use a token with the scope team:manage."
    assert error.details["scope"] == "team:manage"


def test_a_token_of_who_has_no_such_right_is_told_who_can(team, alice, ruth):
    alice.scopes = frozenset({Scope.READ})
    assert refusal(alice, Can.SEE_PLATFORM).action == "A platform admin can give you that role: Ruth."
    assert refusal(alice, Can.MANAGE_MEMBERS, team).details["right"] == "manage_members"


@pytest.mark.parametrize("can", Can)
def test_every_right_has_words_for_who_has_it(team, alice, ruth, can):
    assert all(words[0].endswith(".") for words in (who_can(alice, can, team), who_can(SYSTEM, can, None)))


def test_nobody_is_refused_without_a_right():
    with pytest.raises(TypeError):
        NotAllowed("No.")
    for path in (path for room in ("portal", "teams", "keys") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "NotAllowed":
                assert any(each.arg == "right" for each in node.keywords), f"{path}:{node.lineno}"


def test_a_page_and_the_api_show_it(client, bearer, team, vic, ines):
    client.force_login(vic)
    page = client.get(f"/teams/{team.slug}/edit/")
    assert page.status_code == 403
    text = " ".join(page.content.decode().split())
    assert "A team admin of Search Platform can: Ines." in text
    assert "set_team_budget" in text or "manage_members" in text
    answer = client.patch(f"/api/v1/teams/{team.slug}/", {}, content_type="application/json", headers=bearer(vic))
    assert answer.json()["error"]["details"]["who"] == ["Ines"]
