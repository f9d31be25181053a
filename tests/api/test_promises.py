"""Promises and sweeps over HTTP."""

from __future__ import annotations

import pytest
from django.utils import timezone

from keys.models import Intent, Lease, State
from portal.models import AuditEvent
from tests.api.answers import code

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_open_promise_is_listed_with_its_trouble(sandbox, call, audra, stuck):
    (row,) = call("get", "intents/", by=audra).json()["results"]
    assert set(row) == {
        "id", "kind", "gateway", "lease", "team", "issuing", "created_at", "due_at", "attempts", "stuck",
        "last_error", "watching_since", "looks",
    }  # fmt: skip
    lease = Lease.objects.get()
    assert row["lease"] == {"id": str(lease.pk), "alias": lease.alias, "state": "revoking", "version": 1}
    assert (row["kind"], row["attempts"], row["stuck"], row["team"]) == ("gone", 1, False, None)
    assert row["last_error"]
    Intent.objects.update(attempts=6)
    assert call("get", "intents/?kind=gone&gateway=sandbox", by=audra).json()["results"][0]["stuck"] is True
    assert call("get", "intents/?kind=shape", by=audra).json()["results"] == []


def test_what_is_not_due_yet_is_listed_when_asked_for(sandbox, call, alice, ruth, make_key):
    call("post", f"keys/{make_key().lease.pk}/rotate/", {"grace": "1h"}, by=alice)
    assert call("get", "intents/", by=ruth).json()["results"] == []
    assert call("get", "intents/?all=false", by=ruth).json()["results"] == []
    (coming,) = call("get", "intents/?all=true", by=ruth).json()["results"]
    assert (coming["kind"], coming["attempts"]) == ("gone", 0)
    assert call("get", "intents/?all=perhaps", by=ruth).status_code == 422


def test_a_promise_is_retried_now(sandbox, call, ruth, stuck):
    still = call("post", f"intents/{stuck.pk}/retry/", by=ruth)
    assert (still.status_code, still.json()["intent"]["attempts"]) == (200, 1)
    sandbox.faults.clear()
    assert call("post", f"intents/{stuck.pk}/retry/", by=ruth).json() == {"intent": None}
    assert Lease.objects.get().state == State.REVOKED
    assert call("post", f"intents/{stuck.pk}/retry/", by=ruth).status_code == 404


def test_an_ending_is_forced_in_our_books_and_still_retried(sandbox, call, ruth, stuck):
    answer = call("post", f"intents/{stuck.pk}/force/", {"reason": "the proxy is gone for good"}, by=ruth).json()
    assert answer["intent"]["lease"]["state"] == "revoked"
    event = AuditEvent.objects.get(action="intent.forced")
    assert (event.actor, event.facts["reason"]) == ("ruth@example.com", "the proxy is gone for good")
    assert Intent.objects.filter(pk=stuck.pk).exists()


def test_a_promise_is_forgotten_with_a_reason(sandbox, call, ruth, stuck):
    assert call("post", f"intents/{stuck.pk}/forget/", {"reason": "deleted by hand"}, by=ruth).json() == {
        "intent": None
    }
    assert not Intent.objects.exists()
    assert AuditEvent.objects.get(action="intent.forgotten").facts["reason"] == "deleted by hand"


def test_only_an_ending_is_forced(sandbox, call, team, ruth):
    promise = Intent.objects.promise(Intent.Kind.SHAPE, timezone.now(), gateway_id=sandbox.gateway.pk, team=team)
    assert code(call("post", f"intents/{promise.pk}/force/", {"reason": "x"}, by=ruth)) == (409, "nothing_to_force")


def test_each_sweep_says_how_it_is_doing(sandbox, call, ruth):
    answer = call("get", "sweeps/", by=ruth).json()
    assert set(answer) == {"results", "next", "previous"}
    sweeps = {each["name"]: each for each in answer["results"]}
    assert {"settle_intents", "expire_leases"} <= set(sweeps)
    assert set(sweeps["settle_intents"]) == {
        "name", "every", "started_at", "finished_at", "succeeded_at", "seconds", "counts", "error", "failures",
        "running_since", "late", "due_at",
    }  # fmt: skip
    assert sweeps["settle_intents"]["late"] is False
