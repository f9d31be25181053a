"""API tokens: who makes one for whom, what it may at most, how it ends, and who is told before it does."""

from __future__ import annotations

import io
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.utils import timezone

from keys import tasks
from portal.errors import Conflict, Invalid, NotAllowed
from portal.models import AuditEvent, Letter
from teams.access import SYSTEM, Actor
from teams.models import ApiToken, Membership, User
from teams.roles import Scope
from teams.services import end_token, make_token, service_accounts, tokens
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


def using(user: User, token: ApiToken) -> User:
    """The user as the API knows them, who came with this token."""
    found = User.objects.get(pk=user.pk)
    found.scopes, found.token = frozenset(Scope(scope) for scope in token.scopes), token
    return found


def make(owner: User, *, by: Actor | None = None, **fields: Any) -> ApiToken:
    return make_token(owner, **{"name": "ci", "scopes": ["read"], "by": by or owner} | fields)[0]


# --- who makes one --------------------------------------------------------------------------------


def test_a_token_is_made_by_its_owner_and_by_nobody_else(alice, ines, ruth):
    token = make(alice)
    assert (token.owner, token.parent) == (alice, None)
    assert abs(token.expires_at - token.created_at - 90 * DAY) < timedelta(seconds=1)
    for other in (ines, ruth):
        with pytest.raises(NotAllowed, match="by its owner"):
            make(alice, by=other)


def test_a_service_accounts_token_is_made_by_who_runs_its_team(robot, ines, ruth, alice, bob, mallory, audra):
    for who in (ines, ruth):
        assert make(robot, by=who).owner == robot
    for who in (alice, bob, mallory, audra):
        with pytest.raises(NotAllowed):
            make(robot, by=who)


def test_none_is_made_for_who_is_not_active(robot, ines):
    service_accounts.end(robot, by=ines)
    with pytest.raises(Conflict):
        make(robot, by=ines)


# --- what it may ----------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [0, -1, 366])
def test_it_lives_a_year_at_most(alice, days):
    with pytest.raises(Invalid) as refused:
        make(alice, life=days * DAY)
    assert "days" in refused.value.details
    assert make(alice, life=365 * DAY).is_living


@pytest.mark.parametrize("scopes", [[], ["everything"], ["read", "all"]])
def test_scopes_are_words_of_the_table(alice, scopes):
    with pytest.raises(Invalid) as refused:
        make(alice, scopes=scopes)
    assert "keys:issue" in refused.value.details["scopes"]


def test_a_scope_that_would_open_nothing_is_refused_with_the_reason(alice, audra, ruth, robot, ines):
    with pytest.raises(Invalid) as refused:
        make(alice, scopes=["read", "platform:read"])
    assert "no platform role" in refused.value.details["scopes"]
    with pytest.raises(Invalid) as refused:
        make(robot, by=ines, scopes=["team:manage"])
    assert "a member of its team" in refused.value.details["scopes"]
    assert make(audra, scopes=["platform:read"])
    with pytest.raises(Invalid):
        make(audra, scopes=["platform:manage"])
    assert make(ruth, scopes=["platform:manage"])
    assert make(alice, scopes=["team:manage"])  # nothing now; a member may become an admin


def test_all_is_a_word_for_every_scope_that_the_owner_can_have(alice, ruth, robot, ines):
    assert set(make(ruth, scopes=["all"]).scopes) == set(Scope)
    assert set(make(alice, scopes=["all"]).scopes) == set(Scope) - {"platform:read", "platform:manage"}
    assert set(make(robot, by=ines, scopes=["all"]).scopes) == {"read", "keys:issue", "keys:manage"}


@pytest.mark.parametrize(("who", "count"), [("ruth", 7), ("alice", 5)])
def test_the_command_takes_all_and_prints_the_token_alone(request, who, count):
    user, said = request.getfixturevalue(who), io.StringIO()
    call_command("token", user.email, name="first script", scopes="all", stdout=said)
    token = ApiToken.objects.usable(said.getvalue().removesuffix("\n"))
    assert token
    assert (token.owner, len(token.scopes)) == (user, count)


# --- a token made with a token --------------------------------------------------------------------


def test_one_made_with_a_token_has_no_more_scopes_and_no_later_end(ruth):
    first = make(ruth, scopes=["read", "keys:issue"], life=10 * DAY)
    me = using(ruth, first)
    second = make(me, scopes=["read"], life=90 * DAY)
    assert (second.parent, second.expires_at) == (first, first.expires_at)
    assert make(me, scopes=["all"]).scopes == ["keys:issue", "read"]
    assert make(me, life=DAY).expires_at < first.expires_at
    with pytest.raises(NotAllowed):
        make(me, scopes=["read", "keys:manage"])


def test_one_made_with_a_token_stays_inside_its_networks(alice):
    me = using(alice, make(alice, networks=["10.0.0.0/8", "2001:db8::/32"]))
    assert make(me).networks == ["10.0.0.0/8", "2001:db8::/32"]
    assert make(me, networks=["10.2.0.0/16", "2001:db8:1::/48"]).networks == ["10.2.0.0/16", "2001:db8:1::/48"]
    for wider in ("0.0.0.0/0", "192.0.2.7", "::/0"):
        with pytest.raises(Invalid, match=wider.split("/")[0]):
            make(me, networks=[wider])


def test_ending_a_token_ends_what_was_made_with_it_and_nothing_else(alice):
    first, other = make(alice), make(alice, name="other")
    second = make(using(alice, first))
    third = make(using(alice, second))
    assert tokens.below(first) == 2
    assert end_token(first, by=alice) == 3
    for token in (first, second, third):
        token.refresh_from_db()
        assert not token.is_living
    other.refresh_from_db()
    assert other.is_living
    assert end_token(first, by=alice) == 0
    assert AuditEvent.objects.filter(action="token.ended").count() == 3


def test_nothing_is_made_with_a_token_that_has_ended_meanwhile(alice):
    first = make(alice)
    me = using(alice, first)
    end_token(first, by=alice)
    with pytest.raises(NotAllowed, match="has ended"):
        make(me)


def test_a_token_ended_while_it_makes_one_leaves_none_behind(alice):
    """Whoever is first: either the child ends with its parent, or it is not made."""
    for _ in range(5):
        first = make(alice)
        me = using(alice, first)

        made, ended = together(partial(make, me), partial(end_token, first, by=SYSTEM))
        assert isinstance(made, NotAllowed) is (ended == 1)
        assert not ApiToken.objects.living(timezone.now()).exists()


@pytest.mark.parametrize("who", ["ines", "audra", "mallory"])
def test_a_persons_token_is_ended_by_them_or_a_platform_admin_alone(request, alice, who):
    token = make(alice)
    with pytest.raises(NotAllowed):
        end_token(token, by=request.getfixturevalue(who))
    token.refresh_from_db()
    assert token.is_living


def test_a_service_accounts_token_is_ended_by_who_runs_its_team(robot, ines, alice, mallory):
    token = make(robot, by=ines)
    for who in (alice, mallory):
        with pytest.raises(NotAllowed):
            end_token(token, by=who)
    assert end_token(token, by=ines) == 1


# --- networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["10.0.0.0/33", "office", "10.1.2.3/8", "300.1.1.1", "10.0.0.1-10.0.0.9"])
def test_an_error_names_the_network_that_is_none(alice, bad):
    with pytest.raises(Invalid) as refused:
        make(alice, networks=["192.0.2.0/24", bad, "nonsense"])
    assert bad in refused.value.details["networks"]
    assert "nonsense" not in refused.value.details["networks"]


def test_networks_are_kept_as_cidr_each_once(alice):
    assert make(alice, networks=[" 192.0.2.7 ", "10.0.0.0/8", "192.0.2.7", ""]).networks == [
        "192.0.2.7/32",
        "10.0.0.0/8",
    ]
    with pytest.raises(Invalid):
        make(alice, networks=[f"10.0.{n}.0/24" for n in range(21)])


@pytest.mark.parametrize(
    ("ip", "may"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.0.0.1", False), ("2001:db8::1", False), (None, False)],
)
def test_it_may_come_from_its_networks_alone(alice, ip, may):
    assert make(alice, networks=["10.0.0.0/8"]).may_come_from(ip) is may
    assert make(alice).may_come_from(ip)


# --- what is on record, and who is told -----------------------------------------------------------


def test_making_and_ending_is_on_record_without_the_token(alice, ines, robot):
    token, plain = make_token(robot, name="ci", scopes=["read"], networks=["10.0.0.0/8"], by=ines)
    end_token(token, by=ines)
    ended, made = AuditEvent.objects.filter(target_type="apitoken")[:2]
    assert (made.action, ended.action) == ("token.made", "token.ended")
    assert (made.actor, made.team_id) == (ines.email, str(robot.service_team_id))
    assert made.facts["scopes"] == ["read"]
    assert made.facts["networks"] == ["10.0.0.0/8"]
    assert plain not in str(AuditEvent.objects.values())


def announced(days: int) -> list[int]:
    """Let the sweep run three times a day; answers on which days a letter was written."""
    start, found = timezone.now(), []
    for hour in range(0, days * 24, 8):
        with time_machine.travel(start + timedelta(hours=hour)):
            found += [hour // 24] * tokens.announce_ends()
    return found


def test_its_owner_is_told_7_days_and_1_day_before_the_end_once_each(alice):
    make(alice, life=20 * DAY)
    assert announced(22) == [13, 19]
    letters = list(Letter.objects.all())
    assert {tuple(letter.to) for letter in letters} == {(alice.email,)}
    assert all("ci" in letter.subject and "/tokens/" in letter.text for letter in letters)


def test_a_token_that_is_shorter_than_a_step_or_ended_is_not_announced(alice):
    make(alice, life=DAY)
    end_token(make(alice, life=20 * DAY), by=alice)
    assert announced(21) == []
    make(alice, life=3 * DAY)
    assert announced(4) == [2]


def test_who_answers_for_a_service_account_is_told_else_its_teams_admins(team, robot, alice, ines):
    make(robot, by=ines, life=2 * DAY)
    service_accounts.set_responsible(robot, responsible=alice, by=ines)
    Letter.objects.all().delete()
    with time_machine.travel(timezone.now() + 1.5 * DAY):
        assert tasks.remind() == {"letters": 0, "tokens": 1}
        assert Letter.objects.get().to == [alice.email]
        Letter.objects.all().delete()
        Membership.objects.filter(user=alice).delete()
        assert tokens.announce_ends() == 1
    assert Letter.objects.get().to == [ines.email]
    assert f"/teams/{team.slug}/service-accounts/{robot.pk}/" in Letter.objects.get().text
