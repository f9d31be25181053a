"""One object and lists are answered alike, whoever asks for whatever: people, roles, tokens and holders at random."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from keys.models import Gateway, KeyRole, Lease
from keys.models.gateway import SANDBOX_URL
from teams.access import allowed, within
from teams.models import Membership, Team, User
from teams.roles import Can, MemberRole, PlatformRole, Reach, Scope, together

pytestmark = pytest.mark.django_db

ROLES = st.none() | st.sampled_from(MemberRole)
SCOPES = st.none() | st.frozensets(st.sampled_from(Scope))


@pytest.fixture
def rows(person) -> list[Lease]:
    """In each of two teams a lease of the actor, of somebody else, and of each team's service account."""
    teams = [Team.objects.create(name=slug, slug=slug) for slug in ("a", "b")]
    gateway = Gateway.objects.create(name="g", base_url=SANDBOX_URL, master_key="sk-example-0")
    role = KeyRole.objects.create(name="r", gateway=gateway, all_models=True, all_teams=True)
    machines = [User.objects.create_service_account(f"robot {team.slug}", team) for team in teams]
    now, holders = timezone.now(), [person("actor"), person("other"), *machines]
    return [
        Lease.objects.create(
            alias=f"{team.slug}-{holder}", team=team, holder=holder, role=role, gateway=gateway,
            issued_at=now, expires_at=now + timedelta(days=1), max_expires_at=now,
        )
        for team in teams
        for holder in holders
    ]  # fmt: skip


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    roles=st.tuples(ROLES, ROLES),
    platform=st.sampled_from(PlatformRole),
    machine=st.integers(-1, 1),
    active=st.booleans() | st.just(True),
    scopes=SCOPES,
    alone=st.booleans(),
)
def test_one_object_and_lists_agree(rows, settings, roles, platform, machine, active, scopes, alone):
    settings.ALLOW_SELF_APPROVAL = alone
    teams = list(Team.objects.order_by("slug"))
    Membership.objects.all().delete()
    if machine >= 0:  # a service account asks, of one of the teams
        actor = User.objects.get(service_team=teams[machine])
    else:
        actor = User.objects.get(email="actor@example.com")
        actor.platform_role = platform
        for team, role in zip(teams, roles, strict=True):
            if role:
                Membership.objects.create(team=team, user=actor, role=role)
    actor.is_active, actor.scopes = active, scopes
    for can in Can:
        listed = {lease.alias for lease in Lease.objects.filter(within(actor, can))}
        assert listed == {lease.alias for lease in rows if allowed(actor, can, lease)}, can
        seen = {team.slug for team in Team.objects.filter(within(actor, can, team="pk"))}
        assert seen == {team.slug for team in teams if allowed(actor, can, team)}, can


@given(st.lists(st.sampled_from(Reach)))
def test_roles_together_reach_what_each_reaches_and_no_more(reaches):
    def rows_of(reach: Reach) -> set[str]:
        return {Reach.NONE: set(), Reach.OWN: {"own"}, Reach.OTHERS: {"others"}, Reach.ANY: {"own", "others"}}[reach]

    assert rows_of(together(reaches)) == set().union(*map(rows_of, reaches))


def test_nobody_decides_for_themselves_unless_the_installation_says_so(rows, settings):
    actor = User.objects.get(email="actor@example.com")
    own = next(lease for lease in rows if lease.holder == actor)
    other = next(lease for lease in rows if lease.holder != actor and lease.team == own.team)
    for given_role, platform in ((MemberRole.ADMIN, ""), (MemberRole.APPROVER, ""), (None, PlatformRole.ADMIN)):
        Membership.objects.all().delete()
        actor.platform_role = platform
        if given_role:
            Membership.objects.create(team=own.team, user=actor, role=given_role)
        settings.ALLOW_SELF_APPROVAL = False
        assert (allowed(actor, Can.DECIDE, own), allowed(actor, Can.DECIDE, other)) == (False, True)
        settings.ALLOW_SELF_APPROVAL = True
        assert (allowed(actor, Can.DECIDE, own), allowed(actor, Can.DECIDE, other)) == (True, True)
