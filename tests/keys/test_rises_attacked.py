"""Rises, attacked: whatever happens to a raised key, its process or its gateway, it is as before when it is over."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from keys.models import How, Intent, KeyRequest, KeyRole, Lease
from keys.services import intents, leases, reconcile, requests, roles
from portal.models import AuditEvent
from teams.access import SYSTEM
from tests.pages.conftest import form_of, text
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

WEEK = timedelta(days=7)
OVER = WEEK + timedelta(minutes=1)


@pytest.fixture
def key(sandbox, make_role, make_key) -> Lease:
    """Alice's, of $50 a month and one model."""
    return make_key(role=make_role(excess="team", models=["gpt-4o-mini"])).lease


@pytest.fixture
def raised(key, alice, bob) -> KeyRequest:
    """To $80 and a second model for a week."""
    wish: dict[str, Any] = {"max_budget": Decimal(80), "models": ["gpt-4o"], "lasts": WEEK, "purpose": "a launch"}
    return requests.approve(requests.submit_rise(key, by=alice, **wish), by=bob)


def there(proxy: Any, lease: Lease) -> tuple[Decimal | None, list[str]]:
    found = proxy.client.keys.info(Lease.objects.get(pk=lease.pk).current.token_hash)
    return found.max_budget, sorted(found.models)


def change(by, how=How.NOW, **fields):
    return roles.change(KeyRole.objects.get(), by=by, how=how, **fields)


class Killed(BaseException):
    """No `except Exception` sees it: the process is gone."""


def die() -> None:
    raise Killed


# --- its role changes meanwhile ---


def test_a_change_that_is_applied_now_reaches_a_raised_key_when_its_rise_is_over(sandbox, key, raised, ruth):
    change(ruth, max_budget=Decimal(20), rpm_limit=60)
    assert there(sandbox, key) == (Decimal(80), ["gpt-4o", "gpt-4o-mini"])  # what was approved stands
    with time_machine.travel(timezone.now() + OVER):
        requests.look_after()
    key.refresh_from_db()
    assert (key.max_budget, key.limits["rpm_limit"], key.limits["role_version"]) == (Decimal(20), 60, 2)
    assert there(sandbox, key) == (Decimal(20), ["gpt-4o-mini"])
    assert AuditEvent.objects.filter(action="key.narrowed", target_id=str(key.pk)).count() == 1


def test_a_raised_key_of_which_its_role_gives_nothing_any_more_ends_with_its_rise(sandbox, key, raised, ruth):
    change(ruth, models=["o3"])
    with time_machine.travel(timezone.now() + OVER):
        requests.look_after()
        leases.expire_overdue()
    key.refresh_from_db()
    assert key.state == "expired"


def test_what_was_to_be_left_is_left_after_a_rise_as_well(sandbox, key, raised, ruth):
    change(ruth, How.LEAVE, max_budget=Decimal(20))
    with time_machine.travel(timezone.now() + OVER):
        requests.look_after()
    assert there(sandbox, key) == (Decimal(50), ["gpt-4o-mini"])


def test_the_simulation_says_which_keys_follow_when_their_rise_is_over(key, raised, make_key, ruth, client):
    make_key(name="plain")
    client.force_login(ruth)
    url = reverse("keys:role_edit", args=[key.role_id])
    shown = client.post(url, form_of(client.get(url)) | {"max_budget": "20"})
    assert "Raised for a while 1 they follow when their rise is over" in text(shown)
    found = roles.simulate(KeyRole.objects.get(), by=ruth, max_budget=Decimal(20))
    assert (found.live, len(found.outside), found.raised, found.approved) == (2, 1, 1, 0)
    assert roles.simulate(KeyRole.objects.get(), by=ruth, max_budget=Decimal(60)).raised == 0


def test_where_only_raised_keys_have_more_the_choice_is_still_asked(key, raised, ruth, client):
    client.force_login(ruth)
    url = reverse("keys:role_edit", args=[key.role_id])
    shown = client.post(url, form_of(client.get(url)) | {"max_budget": "20"})
    assert "Only keys that are raised for a while have more" in text(shown)
    assert KeyRole.objects.get().max_budget == 50
    assert client.post(url, form_of(shown) | {"how": "now"}).status_code == 302
    with time_machine.travel(timezone.now() + OVER):
        requests.look_after()
    key.refresh_from_db()
    assert key.max_budget == 20


# --- the process dies, or there are ten of them ---


@pytest.mark.parametrize("step", ["/key/info", "/key/update"])
def test_a_process_that_dies_on_the_way_leaves_no_key_raised_and_none_unraised(sandbox, key, alice, bob, step):
    request = requests.submit_rise(key, max_budget=Decimal(80), lasts=WEEK, purpose="a launch", by=alice)
    sandbox.faults.meanwhile(step, die)
    with pytest.raises(Killed):
        requests.approve(request, by=bob)
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        intents.settle_due()
    assert there(sandbox, key)[0] == Decimal(80)
    sandbox.faults.meanwhile(step, die)
    with time_machine.travel(timezone.now() + OVER):
        with pytest.raises(Killed):
            requests.look_after()
        assert requests.look_after()["reverted"] == 0  # it is written down
    with time_machine.travel(timezone.now() + OVER + timedelta(minutes=2)):
        intents.settle_due()
    assert there(sandbox, key)[0] == Decimal(50)
    assert not Intent.objects.filter(looks=0).exists()


def test_ten_hosts_that_sweep_at_once_take_a_rise_back_once(sandbox, key, raised):
    with time_machine.travel(timezone.now() + OVER):
        done = together(*[requests.look_after] * 4)
    assert sum(each["reverted"] for each in done) == 1
    assert AuditEvent.objects.filter(action="key.rise_reverted").count() == 1
    assert there(sandbox, key)[0] == Decimal(50)


def test_a_reconcile_during_a_rise_and_after_it_finds_nothing_that_differs(sandbox, key, raised):
    for wait in (timedelta(hours=1), OVER):
        with time_machine.travel(timezone.now() + wait):
            requests.look_after()
            found = reconcile.run(sandbox.gateway, by=SYSTEM)
        assert (found.drifted, found.closed, found.revoked) == (0, (), ())


def test_a_rise_that_ends_while_the_key_is_rotated_leaves_both_secrets_as_before(sandbox, key, raised, alice):
    with time_machine.travel(timezone.now() + OVER):
        sandbox.faults.meanwhile("/key/generate", die)
        with pytest.raises(Killed):
            leases.rotate(key, by=alice)
        assert requests.look_after()["reverted"] == 0
    with time_machine.travel(timezone.now() + OVER + timedelta(minutes=2)):
        intents.settle_due()
        assert requests.look_after()["reverted"] == 1
    assert there(sandbox, key) == (Decimal(50), ["gpt-4o-mini"])
