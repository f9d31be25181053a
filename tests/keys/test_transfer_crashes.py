"""The crash table of handing a key over: cut at every step in every way, the sweeps finish it; on both gateways."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from keys.models import Gateway, Intent, Lease, State
from keys.services import intents, leases
from portal import mail
from portal.errors import PortalError
from portal.models import AuditEvent, Letter
from tests.keys.test_crashes import CASES, Killed, settled
from tests.keys.test_crashes_later import cut
from tests.keys.test_transfer import carol, holder_there

pytestmark = pytest.mark.django_db(transaction=True)
__all__ = ["carol"]


@pytest.mark.parametrize(("proxy", "way"), CASES, indirect=["proxy"])
@pytest.mark.parametrize("step", ["/v2/team/list", "/key/info", "/key/update"])
def test_a_transfer_cut_anywhere_is_followed_by_the_gateway(
    proxy, team, alice, carol, ines, make_key, after_horizon, step, way
):
    issued = make_key()
    cut(proxy, step, way)
    with contextlib.suppress(PortalError, Killed):
        leases.transfer(issued.lease, to=carol, by=ines)
    proxy.faults.clear()
    Gateway.objects.update(next_try_at=None, away_since=None)

    after_horizon()
    lease = Lease.objects.get()
    assert (lease.holder, lease.state) == (carol, State.ACTIVE)
    assert holder_there(proxy, issued.secret) == (carol.litellm_id, carol.litellm_id)
    assert proxy.status_of(issued.secret) == 200
    assert settled(proxy, team)


@pytest.mark.parametrize("place", ["audit", "letter", "settle"])
def test_a_process_killed_in_our_own_books_leaves_all_of_it_or_nothing(
    sandbox, alice, carol, ines, make_key, monkeypatch, place
):
    issued = make_key()
    Letter.objects.all().delete()

    def die(*_: object, **__: object) -> None:
        raise Killed

    where = {
        "audit": (leases.transferring.audit, "record"),
        "letter": (mail, "key_handed_over"),
        "settle": (intents, "settle"),
    }
    with monkeypatch.context() as patched:
        patched.setattr(*where[place], die)
        with pytest.raises(Killed):
            leases.transfer(issued.lease, to=carol, by=ines)
    done = place == "settle"
    assert Lease.objects.get().holder == (carol if done else alice)
    assert AuditEvent.objects.filter(action="key.transferred").exists() is done
    assert Letter.objects.exists() is Intent.objects.exists() is done
    intents.settle_due()
    now_there = carol if done else alice
    assert holder_there(sandbox, issued.secret) == (now_there.litellm_id, now_there.litellm_id)
    assert not Intent.objects.exists()


def test_an_update_that_lands_after_the_next_transfer_is_undone(proxy, alice, bob, carol, ines, make_key):
    """The first one's request is held on the way, and reaches the gateway when the key is already another's."""
    issued = make_key()
    proxy.faults.hold_next("/key/update")
    lease = leases.transfer(issued.lease, to=carol, by=ines)
    Gateway.objects.update(next_try_at=None, away_since=None)
    leases.transfer(lease, to=bob, by=ines)
    proxy.faults.release()
    for seconds in (61, 130, 400, 1300):
        with time_machine.travel(timezone.now() + timedelta(seconds=seconds), tick=True):
            intents.settle_due()
    assert holder_there(proxy, issued.secret) == (bob.litellm_id, bob.litellm_id)
    assert proxy.status_of(issued.secret) == 200
