"""The sweeps as Celery runs them."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.utils import timezone

from keys import tasks
from keys.models import Gateway, Lease, State
from keys.services import leases
from portal.celery import app
from portal.models import Sweep

pytestmark = pytest.mark.django_db(transaction=True)


def later(**by: int) -> time_machine.travel:
    return time_machine.travel(timezone.now() + timedelta(**by))


def run_all() -> dict[str, object]:
    app.loader.import_default_modules()
    return {name: app.tasks[name]() for name in settings.SWEEPS}


def test_every_sweep_of_the_schedule_runs_and_writes_down_how_it_went(sandbox, make_key):
    make_key()
    run_all()
    run_all()
    assert set(Sweep.objects.values_list("name", flat=True)) == {name.rpartition(".")[2] for name in settings.SWEEPS}
    assert not Sweep.objects.exclude(error="").exists()
    assert not Sweep.objects.filter(succeeded_at=None).exists()
    assert Lease.objects.get().state == State.ACTIVE


def test_after_a_long_pause_nothing_ends_by_itself_before_the_gateway_was_looked_at(proxy, alice, make_key):
    """As after a restore: here, the key had been renewed since the backup was made."""
    issued = make_key(ttl=timedelta(hours=2))
    tasks.settle_intents()
    with later(hours=3):
        assert tasks.expire_leases() == {"ended": 0}
        assert Gateway.objects.get().held_since
        assert proxy.status_of(issued.secret) in {200, 401}  # by its own expiry only
        tasks.reconcile_gateways()
        tasks.settle_intents()
        assert Gateway.objects.get().held_since is None  # no sign of a restore
        assert tasks.expire_leases() == {"ended": 1}


def test_a_database_that_is_older_than_the_proxy_ends_nothing(proxy, team, alice, make_key):
    old = make_key(ttl=timedelta(hours=2))
    tasks.settle_intents()
    renewed = [make_key(ttl=timedelta(hours=2)) for _ in range(5)]
    for each in renewed:  # the proxy knows of renewals that the backup does not
        proxy.client.keys.update(each.lease.current.token_hash, duration=timedelta(days=2))
    with later(hours=3):
        tasks.expire_leases()
        tasks.reconcile_gateways()
        assert "later" in Gateway.objects.get().held_reason
        assert tasks.expire_leases() == {"ended": 0}
        assert {each.lease.pk for each in renewed} <= set(Lease.objects.live().values_list("pk", flat=True))
        leases.revoke(old.lease, by=alice)  # what a person does works all the same
        assert Lease.objects.get(pk=old.lease.pk).state == State.REVOKED
