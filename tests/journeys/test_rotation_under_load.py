"""A client that never stops calling while its key is rotated."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from keys.services import intents, leases
from portal.litellm import LiteLLMError, hash_key
from tests.ground.processes import eventually
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)
HELLO = [{"role": "user", "content": "hello"}]
CALLS_BEFORE, CALLS_AFTER = 10, 10


class Caller:
    """Calls a cheap model in a loop; changes to the new secret at a random moment of the grace period."""

    def __init__(self, proxy, secret: str) -> None:
        self.proxy, self.secret, self.calls = proxy, secret, 0
        self.refusals: list[str] = []
        self.done = threading.Event()

    def call(self) -> None:
        try:
            self.proxy.client.with_key(self.secret).chat.completions("gpt-4o-mini", HELLO, max_tokens=5)
        except LiteLLMError as error:
            self.refusals.append(f"{error.status} {error.message}")
        self.calls += 1

    def run(self) -> None:
        while not self.done.is_set():
            self.call()


def test_a_client_that_switches_within_the_grace_sees_no_refusal(proxy, team, alice, make_key):
    first = make_key(max_budget=Decimal("50"))
    caller = Caller(proxy, first.secret)

    def rotate_meanwhile() -> leases.Issued:
        try:
            eventually(lambda: caller.calls >= CALLS_BEFORE, "calls with the old secret")
            second = leases.rotate(first.lease, by=alice, grace=timedelta(hours=1))
            switch = caller.calls + random.randint(1, CALLS_AFTER)
            eventually(lambda: caller.calls >= switch, "calls in the grace period")
            caller.secret = second.secret
            last = caller.calls + CALLS_AFTER
            eventually(lambda: caller.calls >= last, "calls with the new secret")
            with time_machine.travel(timezone.now() + timedelta(hours=1, seconds=5)):
                intents.settle_due()  # the grace is over while calls go on
            last = caller.calls + CALLS_AFTER
            eventually(lambda: caller.calls >= last, "calls after the grace period")
            return second
        finally:
            caller.done.set()

    _, second = together(caller.run, rotate_meanwhile)
    assert isinstance(second, leases.Issued), second
    assert caller.refusals == []
    assert proxy.status_of(first.secret) == 401
    assert proxy.status_of(second.secret) == 200
    assert proxy.keys_there(team) == {hash_key(second.secret)}


def test_the_budget_is_one_over_both_secrets(proxy, alice, make_key):
    first = make_key(max_budget=Decimal("0.01"))
    proxy.client.keys.update(first.lease.current.token_hash, spend=Decimal("0.02"))  # spent, and more
    second = leases.rotate(first.lease, by=alice, grace=leases.REPLACE)
    caller = Caller(proxy, second.secret)
    caller.call()
    assert caller.refusals
    assert "udget" in caller.refusals[0]
