"""Rises: a live key may do more for a while, and is as it was when the while is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from keys.models import Intent, KeyRequest, KeyRole, Lease
from keys.models import State as LeaseState
from keys.services import intents, leases, requests
from keys.services.errors import HolderLeft, NotNow, OverLimit, RoleEnded
from keys.services.requests import NotOpen, RiseRunning, Wider
from portal.errors import Invalid, NotAllowed
from portal.litellm import faults
from portal.models import AuditEvent, Letter
from teams.models import Membership
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

State = KeyRequest.State
WEEK = timedelta(days=7)


@pytest.fixture
def role(team, make_role) -> Callable[..., KeyRole]:
    return lambda gateway: make_role(gateway=gateway, excess="team", models=["gpt-4o-mini"])


@pytest.fixture
def key(sandbox, make_key, role) -> Lease:
    """Alice's, of $50 a month and one model."""
    return make_key(role=role(sandbox.gateway)).lease


@pytest.fixture
def rise(alice) -> Callable[..., KeyRequest]:
    """Alice asks for $80 and one model more for a week, unless told otherwise."""

    def make(lease: Lease, **more: Any) -> KeyRequest:
        wish: dict[str, Any] = {
            "max_budget": Decimal(80),
            "models": ["gpt-4o"],
            "lasts": WEEK,
            "purpose": "a launch",
        } | more
        return requests.submit_rise(lease, by=alice, **wish)

    return make


def there(proxy: Any, lease: Lease) -> tuple[Decimal | None, list[str]]:
    """Budget and models of its current key on the gateway."""
    lease.refresh_from_db()
    found = proxy.client.keys.info(Lease.objects.get(pk=lease.pk).current.token_hash)
    return found.max_budget, sorted(found.models)


def later(time: timedelta) -> dict[str, int]:
    with time_machine.travel(timezone.now() + time):
        return requests.look_after()


RAISED = (Decimal(80), ["gpt-4o", "gpt-4o-mini"])
BEFORE = (Decimal(50), ["gpt-4o-mini"])


def test_a_rise_is_in_force_once_it_is_approved_and_reverts_by_itself(proxy, make_key, role, rise, alice, bob):
    issued = make_key(role=role(proxy.gateway))
    request = rise(issued.lease)
    assert (request.state, there(proxy, issued.lease)) == (State.PENDING, BEFORE)

    done = requests.approve(request, by=bob)
    assert (done.state, done.is_running) == (State.FULFILLED, True)
    assert there(proxy, issued.lease) == RAISED
    assert proxy.status_of(issued.secret) == 200  # the same secret; nobody saw it

    assert later(WEEK - timedelta(minutes=1))["reverted"] == 0
    assert later(WEEK + timedelta(minutes=1))["reverted"] == 1
    assert later(WEEK + timedelta(minutes=2))["reverted"] == 0
    assert there(proxy, issued.lease) == BEFORE
    request.refresh_from_db()
    assert (request.state, request.is_running) == (State.FULFILLED, False)
    assert [entry.act for entry in requests.thread(request)] == ["asked", "approved", "applied", "reverted"]
    told = AuditEvent.objects.filter(target_id=str(issued.lease.pk), action__contains="r", facts__has_key="models")
    assert {"key.raised", "key.rise_reverted"} <= set(told.values_list("action", flat=True))
    assert Letter.objects.filter(kind="request.reverted", to=[alice.email]).count() == 1


def test_an_approver_gives_less_of_a_rise_and_never_more(sandbox, key, rise, bob):
    request = rise(key)
    for wider in ({"max_budget": Decimal(81)}, {"ttl": WEEK * 2}, {"models": ["gpt-5"]}):
        with pytest.raises(Wider):
            requests.approve(request, by=bob, **wider)
    done = requests.approve(request, by=bob, max_budget=Decimal(60), models=[], ttl=timedelta(days=1))
    assert there(sandbox, key) == (Decimal(60), ["gpt-4o-mini"])
    assert abs(done.reverts_at - timezone.now() - timedelta(days=1)) < timedelta(minutes=1)


def test_a_rise_of_which_nothing_is_left_is_denied_rather_than_approved(sandbox, key, rise, bob):
    request = rise(key)
    with pytest.raises(Invalid, match="nothing would be left"):
        requests.approve(request, by=bob, max_budget=Decimal(50), models=[])
    assert requests.deny(request, by=bob, reason="not this month").state == State.DENIED


def test_a_rise_for_another_window_than_was_asked_is_not_approved(sandbox, key, rise, bob):
    request = rise(key)
    key.limits |= {"budget_duration": "1d"}  # a platform admin adopted it: $80 a day is another thing
    key.save()
    with pytest.raises(NotNow, match="another window"):
        requests.approve(request, by=bob)


def test_what_the_role_gives_anyway_is_in_force_at_once(sandbox, make_key, role, rise):
    lease = make_key(role=role(sandbox.gateway), max_budget=Decimal(10)).lease
    request = rise(lease, max_budget=Decimal(50), models=[])
    assert (request.state, there(sandbox, lease)[0]) == (State.FULFILLED, Decimal(50))
    assert not Letter.objects.filter(kind="request.submitted").exists()
    later(WEEK + timedelta(minutes=1))
    assert there(sandbox, lease)[0] == Decimal(10)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"max_budget": Decimal(50)}, "max_budget"),  # as it has
        ({"max_budget": None, "models": ["gpt-4o-mini"]}, "max_budget"),  # nothing more at all
        ({"lasts": timedelta(minutes=59)}, "lasts"),
        ({"lasts": timedelta(days=91)}, "lasts"),
        ({"purpose": ""}, "purpose"),
        ({"models": ["*"]}, "models"),
    ],
)
def test_a_rise_is_more_for_a_while_and_says_what_for(key, rise, wish, field):
    with pytest.raises(Invalid) as refused:
        rise(key, **wish)
    assert list(refused.value.details) == [field]


def test_a_role_that_lets_nobody_ask_for_more_raises_nothing(sandbox, key, rise):
    KeyRole.objects.update(excess="")
    with pytest.raises(OverLimit):
        rise(Lease.objects.get())


def test_only_who_may_renew_a_key_asks_for_its_rise(key, bob, ines):
    for who in (bob, ines):
        with pytest.raises(NotAllowed):
            requests.submit_rise(key, max_budget=Decimal(80), lasts=WEEK, purpose="x", by=who)


def test_one_rise_at_a_time(key, rise, bob, ines):
    first = rise(key)
    with pytest.raises(RiseRunning, match="waits for its decision"):
        rise(key)
    requests.approve(first, by=bob)
    with pytest.raises(RiseRunning, match="raised already, until") as refused:
        rise(key)
    assert refused.value.status == 409
    later(WEEK + timedelta(minutes=1))
    assert requests.approve(rise(key), by=ines).is_running


def test_two_who_approve_a_rise_at_once_raise_the_key_once(sandbox, key, rise, bob, ines):
    request = rise(key)
    done = together(lambda: requests.approve(request, by=bob), lambda: requests.approve(request, by=ines))
    assert sorted(type(each).__name__ for each in done) == ["KeyRequest", "NotOpen"]
    assert AuditEvent.objects.filter(action="key.raised").count() == 1
    assert there(sandbox, key) == RAISED


def test_with_the_gateway_away_a_rise_comes_and_goes_as_soon_as_it_is_back(sandbox, key, rise, bob):
    request = rise(key)
    sandbox.faults.fail_next("/key/update", faults.server_error(), times=1)
    assert requests.approve(request, by=bob).is_running
    assert there(sandbox, key) == BEFORE  # and nobody waited
    later_on = timezone.now() + timedelta(minutes=2)
    with time_machine.travel(later_on):
        intents.settle_due()
    assert there(sandbox, key) == RAISED

    sandbox.faults.fail_next("/key/update", faults.server_error(), times=1)
    assert later(WEEK + timedelta(minutes=1))["reverted"] == 1
    assert there(sandbox, key) == RAISED
    with time_machine.travel(timezone.now() + WEEK + timedelta(minutes=5)):
        intents.settle_due()
    assert there(sandbox, key) == BEFORE
    assert not Intent.objects.filter(looks=0).exists()


def test_a_rise_survives_a_rotation_a_pause_and_a_renewal(sandbox, key, rise, alice, bob):
    requests.approve(rise(key), by=bob)
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        key.refresh_from_db()
        leases.rotate(key, by=alice, grace=timedelta(days=20))
        assert there(sandbox, key) == RAISED
        leases.renew(Lease.objects.get(), by=alice)
        leases.pause(Lease.objects.get(), by=alice)
    assert later(WEEK + timedelta(hours=1))["reverted"] == 1
    old, new = Lease.objects.get().versions.all()
    for version in (old, new):  # the older secret loses it as well
        found = sandbox.client.keys.info(version.token_hash)
        assert (found.max_budget, list(found.models), found.blocked) == (Decimal(50), ["gpt-4o-mini"], True)


def test_a_revert_waits_for_a_rotation_that_is_on_its_way(sandbox, key, rise, alice, bob):
    requests.approve(rise(key), by=bob)
    over = timezone.now() + WEEK + timedelta(minutes=1)
    seen: list[int] = []

    def sweep() -> None:
        seen.append(requests.look_after()["reverted"])

    sandbox.faults.meanwhile("/key/generate", sweep)
    with time_machine.travel(over):
        leases.rotate(Lease.objects.get(), by=alice)
        assert seen == [0]
        assert requests.look_after()["reverted"] == 1
    assert there(sandbox, key) == BEFORE


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [
        ({"max_budget": "200"}, (Decimal(200), ["gpt-4o-mini"])),  # beyond the rise: somebody's own word
        ({"max_budget": "60"}, (Decimal(50), ["gpt-4o-mini"])),  # within the rise: its rest is taken back
        ({"max_budget": "20"}, (Decimal(20), ["gpt-4o-mini"])),
        ({"models": ["gpt-4o", "gpt-4o-mini", "o3"]}, (Decimal(50), ["gpt-4o-mini", "o3"])),
        ({"models": ["gpt-4o"]}, (Decimal(50), ["gpt-4o"])),  # an empty list would open every model
        ({"models": [], "all_models": True}, (Decimal(50), [])),
        ({"budget_duration": "1d"}, (Decimal(80), ["gpt-4o-mini"])),  # $50 a month is no $50 a day
    ],
)
def test_a_revert_takes_back_what_the_rise_added_and_nothing_else(sandbox, key, rise, bob, meanwhile, left):
    requests.approve(rise(key), by=bob)
    key.refresh_from_db()
    key.limits |= meanwhile  # a platform admin adopted it
    key.save()
    later(WEEK + timedelta(minutes=1))
    key.refresh_from_db()
    assert (key.max_budget, sorted(key.limits["models"])) == left


def test_a_key_that_ended_is_raised_no_more_and_its_rise_is_over(sandbox, key, rise, alice, bob, make_key):
    other = make_key().lease
    pending, running = rise(key), requests.approve(rise(other), by=bob)
    leases.revoke(key, by=alice)
    with pytest.raises(NotNow, match="cannot be raised"):
        requests.approve(pending, by=bob)
    assert running.is_running
    leases.revoke(other, by=alice)
    assert later(WEEK + timedelta(minutes=1))["reverted"] == 1
    assert Lease.objects.exclude(state=LeaseState.REVOKED).count() == 0
    assert not Intent.objects.exists()


def test_whoever_left_gets_no_rise(key, rise, alice, bob):
    request = rise(key)
    Membership.objects.filter(user=alice).delete()
    with pytest.raises(HolderLeft):
        requests.approve(request, by=bob)
    Membership.objects.create(team=key.team, user=alice, role="member", given_role="member")
    KeyRole.objects.update(ended_at=timezone.now())
    with pytest.raises(RoleEnded):
        requests.approve(request, by=bob)
    assert requests.deny(request, by=bob, reason="the role is over").state == State.DENIED
    with pytest.raises(NotOpen):
        requests.cancel(request, by=alice)


def test_a_key_that_was_handed_over_is_not_raised_for_who_held_it(key, rise, bob, ines):
    request = rise(key)
    leases.transfer(key, to=ines, by=ines)
    with pytest.raises(NotNow, match="handed over to Ines"):
        requests.approve(request, by=bob)


def test_at_stake_is_what_a_rise_adds_for_each_window_it_touches(sandbox, key, rise, bob):
    request = rise(key)
    with time_machine.travel("2026-11-28 12:00:00+00:00", tick=False):
        at = requests.stake(request)
        assert (at.each, at.windows, at.total) == (Decimal(30), 2, Decimal(60))
    with time_machine.travel("2026-12-02 12:00:00+00:00", tick=False):
        assert requests.stake(request).total == Decimal(30)
    running = requests.approve(request, by=bob)
    assert requests.stake(running).each == Decimal(30)
    assert requests.stake(rise_of_models(running)).total == Decimal(0)


def rise_of_models(request: KeyRequest) -> KeyRequest:
    """As if only models had been granted."""
    request.granted = {**(request.granted or {}), "max_budget": None}
    return request
