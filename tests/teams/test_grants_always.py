"""After any sequence of acts, what counts is the strongest of what stands."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TransactionTestCase
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from portal.errors import PortalError
from teams import departures, grants, services
from teams.access import SYSTEM
from teams.gifts import standing
from teams.models import Departure, Grant, GroupMapping, Membership, Team, User
from teams.roles import MemberRole
from teams.services import people

GROUPS = ["eng", "leads", "everyone", "admins", "ops"]
SOURCES = ["okta", "entra"]


class Desk(RuleBasedStateMachine):
    """One person, one team, two providers, people who give and take, and a limit that sometimes holds."""

    def __init__(self) -> None:
        super().__init__()
        for table in (Departure, Grant, GroupMapping, Membership, Team):
            table.objects.all().delete()
        User.objects.all().delete()
        self.team = Team.objects.create(name="Search", slug="search")
        self.ada = User.objects.create_user("ada@example.com")
        self.ines = User.objects.create_user("ines@example.com")
        self.ruth = User.objects.create_user("ruth@example.com", platform_role="admin", given_platform_role="admin")
        Membership.objects.create(team=self.team, user=self.ines, role="admin", given_role="admin")
        for group, role in zip(GROUPS, ["member", "approver", "viewer", "admin"], strict=False):
            GroupMapping.objects.create(value=group, team=self.team, role=role)
        GroupMapping.objects.create(source="okta", value="ops", platform_role="auditor")
        GroupMapping.objects.create(source="entra", value="ops", platform_role="admin")

    @rule(source=st.sampled_from(SOURCES), values=st.none() | st.sets(st.sampled_from(GROUPS)))
    def a_provider_tells(self, source, values):
        grants.follow(self.ada, source, values)

    @rule(role=st.sampled_from(MemberRole))
    def somebody_puts_them_into_the_team(self, role):
        with contextlib.suppress(PortalError):
            services.put_member(self.team, email=self.ada.email or "", role=role, by=SYSTEM)

    @rule()
    def somebody_takes_them_out(self):
        there = Membership.objects.filter(user=self.ada).first()
        if there:
            with contextlib.suppress(PortalError):
                services.remove_member(there, by=SYSTEM)

    @rule(role=st.sampled_from(["", "auditor", "admin"]))
    def somebody_gives_a_platform_role(self, role):
        with contextlib.suppress(PortalError):
            people.set_platform_role(self.ada, role, by=SYSTEM)

    @rule(most=st.sampled_from([0, 100]))
    def removals_are_held_or_not(self, most):
        departures.MOST, departures.SHARE = most, 100.0

    @rule(go_on=st.booleans())
    def a_platform_admin_decides(self, go_on):
        for held in Departure.objects.filter(held=True, closed_at=None):
            departures.decide(held, go_on=go_on, by=self.ruth)

    @rule()
    def an_hour_goes_by(self):
        Departure.objects.update(at=timezone.now() - timedelta(hours=2))

    @invariant()
    def what_counts_is_the_strongest_of_what_stands(self):
        there = Membership.objects.filter(user=self.ada, team=self.team).first()
        assert (there.role if there else "") == standing(self.ada, self.team)
        assert User.objects.get(pk=self.ada.pk).platform_role == standing(self.ada, None)

    @invariant()
    def somebody_is_a_platform_admin(self):
        assert User.objects.filter(platform_role="admin", is_active=True).exists()


@pytest.mark.apart
class TestAlways(TransactionTestCase):
    @pytest.fixture(autouse=True)
    def _limits(self, monkeypatch):
        monkeypatch.setattr(departures, "MOST", departures.MOST)
        monkeypatch.setattr(departures, "SHARE", departures.SHARE)

    def test_what_counts_is_always_the_strongest_of_what_stands(self):
        steps = settings(
            max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        )
        run_state_machine_as_test(Desk, settings=steps)
