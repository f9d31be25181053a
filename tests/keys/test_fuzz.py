"""Every verb and the sweeps of four hosts at once, cut at random; then the books.

The faults are drawn from the seed, how the threads meet is not: a failure names what it found, not how to repeat it.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from keys.models import Gateway, Intent, Lease
from keys.models.lease import ENDED, State
from keys.services import gateways, intents, leases
from keys.services.terms import Ask
from portal.errors import PortalError
from portal.litellm import faults, hash_key
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

ISSUERS, ISSUES = 4, 4
AHEAD = (0, 61, 61, 400)  # seconds: the clocks of the hosts that sweep
PATHS = ["/key/generate", "/key/generate", "/key/info", "/key/delete", "/key/update", "/key/list", "/key/*block"]


class Killed(BaseException):
    """The process ends here."""


WAYS: list[tuple[Callable[[], faults.Fault], bool]] = [
    (faults.timed_out, False),
    (faults.timed_out, True),
    (faults.lost, True),
    (faults.server_error, False),
    (faults.server_error, True),
    (Killed, False),
    (Killed, True),
]


@pytest.fixture
def hasty(monkeypatch) -> None:
    """No breaker and no line to wait in: both would only keep the threads from meeting."""
    monkeypatch.setattr(gateways, "_places", threading.BoundedSemaphore(64))
    monkeypatch.setattr(Gateway, "went_away", lambda *_: None)


@pytest.mark.parametrize("seed", range(9))
def test_whatever_is_cut_the_keys_on_the_gateway_are_those_that_somebody_holds(
    sandbox, team, alice, ines, make_role, after_horizon, hasty, seed
):
    ask, done = Ask(team=team, role=make_role()), threading.Event()
    secrets: dict[UUID, str] = {}
    rotated: set[UUID] = set()  # whatever becomes of it, the new secret may be nobody's
    Gateway.objects.update(chosen_keys=seed % 3 != 2)

    def issuer(number: int) -> Callable[[], None]:
        dice = random.Random(f"{seed}/{number}")

        def issue() -> None:
            for _ in range(ISSUES):
                if dice.random() < 0.1:
                    sandbox.faults.hold_next("/key/generate")
                elif dice.random() < 0.7:
                    what, after_effect = dice.choice(WAYS)
                    sandbox.faults.fail_next(dice.choice(PATHS), what(), after_effect=after_effect)
                with contextlib.suppress(PortalError, Killed):
                    issued = leases.issue(ask, holder=alice, by=alice)
                    secrets[issued.lease.pk] = issued.secret

        return issue

    def change_one() -> None:
        """The holders' verbs, on whatever lives."""
        lease = Lease.objects.live().order_by("?").first()
        if lease is None:
            return
        verb = random.choice(["rotate", "replace", "renew", "pause", "resume"])
        with contextlib.suppress(PortalError):
            if verb in {"rotate", "replace"}:
                rotated.add(lease.pk)
                leases.rotate(lease, by=alice, grace=timedelta(hours=verb == "rotate"))
            elif verb == "renew":
                leases.renew(lease, by=alice)
            else:
                getattr(leases, verb)(lease, by=ines)

    def issue_all() -> list[object]:
        try:
            return together(*(issuer(number) for number in range(ISSUERS)))
        finally:
            done.set()

    def until_done(act: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            while not done.wait(0.01):
                with contextlib.suppress(Killed):
                    act()

        return run

    def revoke_one() -> None:
        if lease := Lease.objects.live().order_by("?").first():
            leases.revoke(lease, by=ines)

    def sweep(ahead: int) -> Callable[[], None]:
        def run() -> None:
            intents.settle_due(timezone.now() + timedelta(seconds=ahead))
            leases.expire_overdue()

        return run

    others = [revoke_one, change_one, change_one, *map(sweep, AHEAD)]
    answers, *said = together(issue_all, *map(until_done, others))
    assert answers == [None] * ISSUERS
    assert said == [None] * len(others)

    sandbox.faults._plans.clear()  # what is held stays held, and lands late
    after_horizon(between=sandbox.faults.release)
    assert not Lease.objects.exclude(state__in=ENDED | {State.ACTIVE, State.PAUSED}).exists()
    assert not Intent.objects.exclude(kind=Intent.Kind.GONE, due_at__gt=timezone.now()).exists()  # only graces that run
    assert sandbox.balances(team)
    live = Lease.objects.live()
    known = {hash_key(secrets[lease.pk]) for lease in live if lease.pk in secrets.keys() - rotated}
    assert known <= sandbox.keys_there(team)
    for lease in live:
        for version in lease.versions.all():
            if version.is_live:
                assert sandbox.client.keys.info(version.token_hash).blocked is (lease.state == State.PAUSED)
