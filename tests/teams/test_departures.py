"""Leaving and coming back: by a person's act, by an identity provider, many at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from keys.models import Lease, State
from keys.services import intents, leases, roles
from keys.services.errors import HolderLeft, RoleEnded, TeamEnded
from portal.errors import NotAllowed
from portal.litellm import faults
from portal.models import AuditEvent, Letter
from teams import departures, services
from teams.models import Departure, Membership, User
from teams.roles import MemberRole

pytestmark = pytest.mark.django_db(transaction=True)
GRACE = timedelta(hours=24)


def state(issued) -> str:
    return Lease.objects.get(pk=issued.lease.pk).state


def later(by: timedelta):
    return time_machine.travel(timezone.now() + by)


def test_who_a_provider_takes_out_is_blocked_at_once_and_revoked_after_the_grace(proxy, team, alice, make_key):
    issued = make_key()
    departures.lost_by_provider(alice, team)
    assert state(issued) == State.PAUSED
    assert proxy.status_of(issued.secret) == 401
    assert not alice.memberships.exists()

    leases.end_orphaned()
    assert state(issued) == State.PAUSED
    with later(GRACE + timedelta(minutes=1)):
        assert leases.end_orphaned() == {"ended": 1, "blocked": 0}
    assert state(issued) == State.REVOKED
    assert proxy.keys_there(team) == set()
    assert Departure.objects.get().outcome == "keys revoked"


def test_who_comes_back_within_the_grace_has_the_keys_as_they_were(proxy, team, alice, ines, make_key):
    issued = make_key()
    departures.lost_by_provider(alice, team)
    services.put_member(team, email=alice.email, role=MemberRole.MEMBER, by=ines)
    assert state(issued) == State.ACTIVE
    assert proxy.status_of(issued.secret) == 200

    with later(GRACE + timedelta(minutes=1)):
        assert leases.end_orphaned() == {"ended": 0, "blocked": 0}
    assert state(issued) == State.ACTIVE


def test_what_somebody_paused_on_purpose_stays_paused_when_its_holder_comes_back(sandbox, team, alice, ines, make_key):
    issued = make_key()
    leases.pause(issued.lease, by=ines, reason="a leak")
    departures.lost_by_provider(alice, team)
    services.put_member(team, email=alice.email, role=MemberRole.MEMBER, by=ines)
    assert state(issued) == State.PAUSED


def test_a_leaver_cannot_let_the_key_answer_again(sandbox, team, alice, ines, make_key):
    issued = make_key()
    departures.lost_by_provider(alice, team)
    with pytest.raises(HolderLeft):
        leases.resume(Lease.objects.get(), by=ines)
    assert state(issued) == State.PAUSED


def test_the_sweep_blocks_a_leaver_whose_removal_was_cut_short(sandbox, team, alice, make_key):
    issued = make_key()
    now = timezone.now()
    alice.memberships.all().delete()
    Departure.objects.create(user=alice, team=team, at=now, due_at=now + GRACE)
    assert leases.end_orphaned() == {"ended": 0, "blocked": 1}
    assert state(issued) == State.PAUSED


def test_without_a_grace_the_keys_end_at_once(sandbox, team, alice, make_key):
    issued = make_key()
    departures.lost_by_provider(alice, team, grace=timedelta(0))
    assert state(issued) == State.REVOKED


def test_too_many_at_once_are_held_until_a_platform_admin_decides(sandbox, team, alice, ruth, ines, make_key):
    issued = make_key()
    crowd = [User.objects.create_user(f"p{n}@example.com", "x") for n in range(15)]
    Membership.objects.bulk_create(Membership(team=team, user=user) for user in crowd)
    for user in crowd[:2]:
        assert not departures.lost_by_provider(user, team).held
    held = departures.lost_by_provider(alice, team)

    assert held.held
    assert alice.memberships.exists()
    assert state(issued) == State.ACTIVE
    assert Letter.objects.filter(to=[ruth.email]).count() == 1
    with pytest.raises(NotAllowed):
        departures.decide(held, go_on=True, by=ines)

    departures.decide(held, go_on=True, by=ruth)
    assert state(issued) == State.PAUSED
    with pytest.raises(departures.Decided):
        departures.decide(held, go_on=False, by=ruth)


def test_a_dismissed_removal_changes_nothing(sandbox, team, alice, ruth, make_key):
    issued = make_key()
    held = Departure.objects.create(user=alice, team=team, at=timezone.now(), due_at=timezone.now(), held=True)
    assert leases.end_orphaned() == {"ended": 0, "blocked": 0}
    departures.decide(held, go_on=False, by=ruth)
    assert state(issued) == State.ACTIVE
    assert AuditEvent.objects.filter(action="departure.dismissed").count() == 1


def test_a_deactivated_person_loses_every_key_at_once(proxy, team, alice, ruth, ines, make_key):
    issued = make_key()
    with pytest.raises(NotAllowed):
        departures.deactivate(alice, by=ines)
    departures.deactivate(alice, by=ruth)
    assert state(issued) == State.REVOKED
    assert proxy.status_of(issued.secret) == 401
    departures.reactivate(alice, by=ruth)
    assert state(issued) == State.REVOKED


def test_an_ended_role_takes_its_keys_with_it_and_gives_no_more(proxy, team, ruth, make_role, make_key):
    role = make_role()
    issued = make_key(role=role)
    roles.end(role, by=ruth)
    assert state(issued) == State.REVOKED
    assert proxy.status_of(issued.secret) == 401
    with pytest.raises(RoleEnded):
        make_key(role=role)


def test_an_ended_team_takes_its_keys_with_it_and_gives_no_more(proxy, team, ruth, ines, make_key):
    issued = make_key()
    with pytest.raises(NotAllowed):
        services.end_team(team, by=ines)
    services.end_team(team, by=ruth)
    assert state(issued) == State.REVOKED
    assert proxy.status_of(issued.secret) == 401
    with pytest.raises(TeamEnded):
        make_key(team=type(team).objects.get())


@pytest.mark.parametrize("ended", ["team", "role"])
def test_the_sweep_ends_what_a_verb_that_was_cut_short_left(sandbox, team, make_role, make_key, ended):
    role = make_role()
    issued = make_key(role=role)
    what = team if ended == "team" else role
    type(what).objects.filter(pk=what.pk).update(ended_at=timezone.now())
    assert leases.end_orphaned()["ended"] == 1
    lease = Lease.objects.get(pk=issued.lease.pk)
    assert (lease.state, lease.end_reason) == (State.REVOKED, f"{ended} ended")


def test_a_leaver_is_blocked_when_the_gateway_is_back(sandbox, team, alice, make_key, after_horizon):
    issued = make_key()
    sandbox.faults.fail_next("/key/block", faults.refused(), times=3)
    departures.lost_by_provider(alice, team)
    assert sandbox.status_of(issued.secret) == 200
    with later(timedelta(minutes=2)):
        intents.settle_due()
    assert sandbox.status_of(issued.secret) == 401


def test_a_team_admin_who_removes_somebody_means_it_even_while_a_provider_is_being_asked_about(
    sandbox, team, alice, ines, make_key
):
    issued = make_key()
    now = timezone.now()
    Departure.objects.create(user=alice, team=team, at=now, due_at=now + GRACE, held=True)
    services.remove_member(alice.memberships.get(), by=ines)
    assert state(issued) == State.REVOKED
    assert Departure.objects.get().outcome == "ended by a person"
