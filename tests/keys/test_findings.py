"""Findings: noted again and again, opened and closed by what is there; what an admin may answer, and what not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from keys.models import Finding, Lease
from keys.services import findings
from portal.errors import Invalid, NotAllowed
from tests.keys.test_drift import Kind, change_there, found
from tests.keys.test_reconcile import run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("change", [{"max_budget": 0}, {"budget_duration": "9d"}, {"models": ["no-default-models"]}])
def test_what_a_lease_cannot_say_is_not_adopted(proxy, ruth, make_key, change):
    issued = make_key()
    if change == {"budget_duration": "9d"}:
        proxy.client.http.request("POST", "/key/update", json={"key": issued.lease.current.token_hash, **change})
    else:
        proxy.client.keys.update(issued.secret, **change)
    run(proxy)
    before = Lease.objects.get().limits
    with pytest.raises(findings.CannotAdopt):
        findings.adopt(found(Kind.LIMITS), by=ruth)
    assert Lease.objects.get().limits == before
    assert found(Kind.LIMITS)


def test_what_changed_again_since_it_was_found_is_not_adopted(proxy, ruth, make_key):
    issued = make_key()
    proxy.client.keys.update(issued.secret, rpm_limit=30)
    run(proxy)
    proxy.client.keys.update(issued.secret, rpm_limit=3000)
    with pytest.raises(findings.ChangedSince):
        findings.adopt(found(Kind.LIMITS), by=ruth)
    proxy.client.keys.delete(issued.secret)
    with pytest.raises(findings.ChangedSince):
        findings.adopt(found(Kind.LIMITS), by=ruth)
    assert Lease.objects.get().limits["rpm_limit"] is None


@pytest.mark.parametrize("kind", [Kind.METADATA, Kind.SPEND, Kind.PRICE, Kind.ORPHAN, Kind.MISSING])
def test_what_no_row_of_ours_could_take_over_is_not_adopted(sandbox, ruth, make_key, kind):
    version = make_key().lease.current
    finding = findings.note(sandbox.gateway, kind, "x", message="Odd.", version=version, now=timezone.now())
    with pytest.raises(findings.CannotAdopt):
        findings.adopt(finding, by=ruth)


@pytest.mark.parametrize("kind", [Kind.SPEND, Kind.PRICE, Kind.ORPHAN, Kind.MISSING])
def test_what_is_not_on_the_gateway_to_be_mended_is_not_restored(sandbox, ruth, make_key, kind):
    version = make_key().lease.current
    finding = findings.note(sandbox.gateway, kind, "x", message="Odd.", version=version, now=timezone.now())
    with pytest.raises(findings.CannotRestore):
        findings.restore(finding, by=ruth)


def test_an_ignored_finding_stays_ignored_until_its_facts_change(proxy, ruth, make_key):
    issued = make_key()
    proxy.client.keys.update(issued.secret, rpm_limit=30)
    run(proxy)
    finding = findings.ignore(found(Kind.LIMITS), by=ruth, reason="A load test.")
    first = finding.first_seen_at
    assert (finding.state, finding.closed_by, finding.reason) == ("ignored", "ruth@example.com", "A load test.")
    run(proxy)
    finding.refresh_from_db()
    assert finding.state == "ignored"

    proxy.client.keys.update(issued.secret, rpm_limit=31)
    run(proxy)
    finding.refresh_from_db()
    assert (finding.state, finding.reason, finding.first_seen_at) == ("open", "", first)

    proxy.client.keys.update(issued.secret, rpm_limit=None)
    run(proxy)
    finding.refresh_from_db()
    assert finding.state == "closed"
    proxy.client.keys.update(issued.secret, rpm_limit=31)
    run(proxy)
    finding.refresh_from_db()
    assert finding.state == "open"
    assert finding.first_seen_at > first


def test_a_lease_that_is_not_what_it_says_cannot_be_ignored(sandbox, ruth, make_key):
    version = make_key().lease.current
    for kind in (Kind.MISSING, Kind.ORPHAN):
        finding = findings.note(sandbox.gateway, kind, "x", message="Odd.", version=version, now=timezone.now())
        with pytest.raises(findings.CannotIgnore):
            findings.ignore(finding, by=ruth, reason="Because.")
    with pytest.raises(Invalid):
        findings.ignore(finding, by=ruth, reason="  ")


def test_what_is_closed_is_answered_no_more(sandbox, ruth, make_key):
    issued = make_key()
    change_there(sandbox, issued, Kind.LIMITS)
    run(sandbox)
    finding = found(Kind.LIMITS)
    findings.restore(finding, by=ruth)
    for act in (findings.restore, findings.adopt, lambda each, by: findings.ignore(each, by=by, reason="Late.")):
        with pytest.raises(findings.NotOpen):
            act(finding, by=ruth)


def test_only_platform_admins_answer_findings(sandbox, alice, ines, audra, make_key):
    issued = make_key()
    change_there(sandbox, issued, Kind.LIMITS)
    run(sandbox)
    for who in (alice, ines, audra):
        for act in (findings.restore, findings.adopt):
            with pytest.raises(NotAllowed):
                act(found(Kind.LIMITS), by=who)
        with pytest.raises(NotAllowed):
            findings.ignore(found(Kind.LIMITS), by=who, reason="Mine.")


def test_money_is_the_same_text_however_it_was_written():
    assert findings.plain({"a": Decimal("50"), "b": [Decimal("50.0"), Decimal("5E+1"), (1, None)]}) == {
        "a": "50",
        "b": ["50", "50", [1, None]],
    }


def test_an_older_sight_never_overwrites_a_newer_one(sandbox):
    now = timezone.now()
    findings.note(sandbox.gateway, Kind.PRICE, "gpt-4o", message="New.", now=now)
    findings.note(sandbox.gateway, Kind.PRICE, "gpt-4o", message="Old.", now=now - timedelta(seconds=1))
    assert Finding.objects.get().message == "New."
    assert findings.close_unseen(sandbox.gateway, [Kind.PRICE], now, now) == 0
    assert findings.close_unseen(sandbox.gateway, [Kind.PRICE], now + timedelta(seconds=1), now) == 1
