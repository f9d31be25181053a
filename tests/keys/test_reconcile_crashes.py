"""The crash table of reconcile: cut anywhere, in every way, or run twice at once, the next run finishes it."""

from __future__ import annotations

import contextlib
import threading

import pytest
from django.db import connection

from keys.models import EndReason, Finding, Gateway, Intent, Lease
from keys.services import intents
from keys.services.reconcile import running
from portal.errors import PortalError
from portal.litellm import hash_key
from portal.models import AuditEvent, Letter
from tests.keys.test_crashes import CASES, WAYS, Killed, settled, times
from tests.keys.test_reconcile import forgotten, later, run

pytestmark = pytest.mark.django_db(transaction=True)
STEPS = ["/key/list", "/v2/team/list", "/key/info", "/key/delete"]


def test_two_runs_at_once_end_everything_once(sandbox, team, make_key, make_role):
    role = make_role()
    made = [make_key(role=role) for _ in range(8)]
    sandbox.client.keys.delete([issued.secret for issued in made[:4]])
    for issued in made[4:7]:
        forgotten(issued)
    start, troubles = threading.Barrier(2), []

    def once() -> None:
        try:
            start.wait()
            run(sandbox)
        except Exception as trouble:
            troubles.append(trouble)
        finally:
            connection.close()

    threads = [threading.Thread(target=once) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not troubles
    assert settled(sandbox, team)
    assert AuditEvent.objects.filter(action="key.revoked").count() == 4
    assert AuditEvent.objects.filter(action="key.orphan_doomed").count() == 3
    assert Letter.objects.count() == 4


def test_a_run_that_looked_before_another_had_ended_a_key_does_not_end_it_again(sandbox, make_key, monkeypatch):
    """Between its second look and its promise another run does the whole work."""
    forgotten(make_key())
    held, quick = running._held, set[str]()

    def after_another_run(*args):
        monkeypatch.setattr(running, "_held", held)
        quick.update(run(sandbox).revoked)
        return held(*args)

    monkeypatch.setattr(running, "_held", after_another_run)
    late = run(sandbox)

    assert len(quick) == 1
    assert not late.revoked
    assert AuditEvent.objects.filter(action="key.orphan_doomed").count() == 1


@pytest.mark.parametrize(("proxy", "way"), CASES, indirect=["proxy"])
@pytest.mark.parametrize("step", STEPS)
def test_a_reconcile_cut_anywhere_is_finished_by_the_next(proxy, team, make_key, after_horizon, step, way):
    orphan, missing, kept = make_key(), make_key(), make_key()
    forgotten(orphan)
    proxy.client.keys.delete(missing.secret)
    what, after_effect = WAYS[way]
    planned = times(way) if step == "/key/delete" else 3  # the client repeats a read
    proxy.faults.fail_next(step, what(), after_effect=after_effect, times=planned)
    with contextlib.suppress(PortalError, Killed):
        run(proxy)
    assert proxy.faults.pending < planned
    proxy.faults.clear()
    Gateway.objects.update(away_since=None, next_try_at=None)

    run(proxy)
    after_horizon()
    run(proxy)
    assert settled(proxy, team)
    assert proxy.keys_there(team) == {hash_key(kept.secret)}
    assert Lease.objects.get(pk=missing.lease.pk).end_reason == EndReason.VANISHED
    assert Letter.objects.count() == 1
    proxy.gateway.refresh_from_db()
    assert proxy.gateway.held_since is None
    assert not Finding.objects.exclude(state="closed").exists()


@pytest.mark.parametrize("line", ["promised", "closed", "told"])
def test_a_reconcile_killed_between_two_writes_is_finished_by_the_next(sandbox, team, make_key, monkeypatch, line):
    orphan, missing, kept = make_key(), make_key(), make_key()
    forgotten(orphan)
    sandbox.client.keys.delete(missing.secret)

    def killed(*_, **__):
        raise Killed

    at = {
        "promised": (running.intents, "settle"),
        "closed": (running, "_write_down"),
        "told": (running.listing, "tell"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*at[line], killed)
        with pytest.raises(Killed):
            run(sandbox)

    run(sandbox)
    assert sandbox.keys_there(team) == {hash_key(kept.secret)} or Intent.objects.exists()
    intents.settle_due(later())
    assert settled(sandbox, team)
    assert Letter.objects.count() == 1
