"""`manage.py demo`: a company that is believable, and whose books agree with the sandbox."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from keys.models import (
    EndReason,
    Finding,
    Gateway,
    Intent,
    KeyRequest,
    KeyRole,
    KeyVersion,
    Lease,
    SpendDay,
    State,
    UnmanagedKey,
)
from keys.services import reconcile, spend
from portal.management.demo import cast
from portal.models import AuditEvent, Letter
from teams.access import SYSTEM
from teams.models import Invitation, Membership, Team, User

KEYS, DAYS = 40, 14
COUNTED = (Team, User, Membership, KeyRole, Lease, KeyVersion, SpendDay, KeyRequest, Intent, Finding, UnmanagedKey,
           Invitation, AuditEvent, Letter)  # fmt: skip


def demo(**options: Any) -> str:
    said = io.StringIO()
    call_command("demo", keys=KEYS, days=DAYS, stdout=said, **options)
    return said.getvalue()


def stop(*_: Any, **__: Any) -> None:
    """Somebody presses Ctrl and C."""
    raise KeyboardInterrupt


def rows() -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in COUNTED}


def test_a_demo_fills_a_company_whose_books_agree_with_the_sandbox(sandbox, ruth, settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path
    with monkeypatch.context() as late:
        late.setattr("keys.services.reconcile.run", stop)
        with pytest.raises(CommandError, match="Stopped"):  # and is taken up where it was
            demo()
    said = demo()
    password = (tmp_path / "demo-password").read_text().strip()
    assert password not in said
    assert User.objects.get(email="alice@keydesk.local").check_password(password)

    # As many as were asked for, of every kind. The requests make no key beside them.
    assert Team.objects.count() == len(cast.TEAMS) == 5
    assert User.objects.filter(kind=User.Kind.PERSON).exclude(pk=ruth.pk).count() == len(cast.PEOPLE) == 60
    assert Lease.objects.count() == KEYS
    states = set(Lease.objects.values_list("state", flat=True))
    assert states == {State.ACTIVE, State.PAUSED, State.REVOKING, State.REVOKED, State.EXPIRED}
    assert Lease.objects.live().filter(last_used_at=None).exists()
    assert set(Lease.objects.filter(state=State.EXPIRED).values_list("end_reason", flat=True)) == {EndReason.EXPIRED}
    asked = set(KeyRequest.objects.values_list("state", flat=True))
    assert asked == {"pending", "approved", "denied", "cancelled", "fulfilled"}
    assert KeyRequest.objects.running_rises().count() == 1
    assert Intent.objects.filter(attempts__gt=0).count() == 4
    assert Invitation.objects.waiting().count() == 1
    assert {address for to in Letter.objects.waiting().values_list("to", flat=True) for address in to} == {ruth.email}

    # A past that holds together: nothing was spent before a key was issued or after it ended, nor over a budget.
    for lease in Lease.objects.rows().prefetch_related("versions__spend_days"):
        assert lease.issued_at <= lease.expires_at <= lease.max_expires_at
        days = [row.day for version in lease.versions.all() for row in version.spend_days.all()]
        assert all(lease.issued_at.date() <= day for day in days)
        assert not lease.ended_at or all(day <= lease.ended_at.date() for day in days)
        assert lease.max_budget is None or not lease.current.counter or lease.current.counter < lease.max_budget
        figures = spend.figures(lease)
        assert figures.differs == 0
        if lease.is_live and lease.current.counter and figures.window_ledger.amount is not None:
            assert figures.window_counter.amount == figures.window_ledger.amount
    nearly = Lease.objects.get(holder__email="alice@keydesk.local", name="laptop")
    assert nearly.current.counter > (nearly.max_budget or 0) * Decimal("0.9")
    assert SpendDay.objects.values("day").distinct().count() == DAYS

    # The reconcile has found what somebody did on the sandbox by hand, and nothing else.
    kinds = sorted(Finding.objects.values_list("kind", flat=True))
    assert kinds == sorted([Finding.Kind.LIMITS, Finding.Kind.LIMITS, Finding.Kind.EXPIRY, Finding.Kind.BLOCK])
    assert {key.alias for key in UnmanagedKey.objects.all()} == {alias for alias, *_ in cast.FOREIGN}
    again = reconcile.run(sandbox.gateway, by=SYSTEM)
    assert (again.drifted, again.revoked, again.closed, again.listed, again.unknown) == (4, (), (), (), ())

    # Neither a sync afterwards nor a second demo changes anything.
    before = rows()
    counts = spend.sync()
    assert (counts["rows"], counts["counters"], counts["handed_on"], counts["failed"]) == (0, 0, 0, 0)
    assert "0 new keys" in demo()
    assert rows() == before


@pytest.mark.parametrize("beside", [False, True])
def test_a_demo_never_touches_a_desk_with_a_real_proxy(db, request, beside):
    if beside:
        request.getfixturevalue("sandbox")
    Gateway.objects.create(name="real", base_url="http://127.0.0.1:9", master_key="not asked")
    with pytest.raises(CommandError, match="real is a gateway of this desk" if beside else "no sandbox"):
        demo()
    assert not Team.objects.exists()
