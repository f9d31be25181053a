"""Old acts are let go of, and what is left is proved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from portal.audit import chain, retention, sealing
from portal.models import AuditCut, AuditEvent, AuditHead, AuditSeal
from tests.ground.processes import apart, manage
from tests.portal.trails import acts, attacker, faults, kinds, published

pytestmark = pytest.mark.django_db
NO_TRUNCATE = "SQLite has no TRUNCATE: set DATABASE_URL"
ON_POSTGRES = [pytest.mark.postgres, pytest.mark.skipif(connection.vendor != "postgresql", reason=NO_TRUNCATE)]


@pytest.fixture
def old(settings):
    """Four acts of 100 days ago and two of today, all sealed, kept for 90 days."""
    settings.AUDIT_KEEP_DAYS = 90
    with time_machine.travel(timezone.now() - timedelta(days=100)):
        events = acts(4)
        sealing.seal()
    events += acts(2)
    sealing.seal()
    return events


def left():
    return list(AuditEvent.objects.exclude(action="audit.cut").order_by("pk"))


def test_what_is_older_than_it_is_kept_goes_and_the_rest_is_proved(old):
    told = published()
    assert retention.cut() == 4
    assert left() == old[4:]
    cut = AuditCut.objects.get()
    assert (cut.up_to, cut.event_id, cut.count) == (4, old[3].pk, 4)
    assert AuditSeal.objects.first().number == 5
    assert faults(**told) == []
    assert faults(head=cut.head, count=4) == []  # a head of that very place is still known
    assert kinds(head="0" * 64, count=4) == ["head"]
    assert kinds(head="0" * 64, count=2) == ["head"]  # what lay there cannot be proved any more
    assert retention.cut() == 0
    assert AuditCut.objects.count() == 1


def test_the_cut_is_told_in_the_chain_itself(old):
    retention.cut()
    event = AuditEvent.objects.get(action="audit.cut")
    assert (event.facts["acts"], event.facts["up_to"], event.actor) == (4, 4, "Keydesk")
    assert AuditSeal.objects.filter(event_id=event.pk).exists()


def test_cuts_follow_each_other(old):
    retention.cut()
    with time_machine.travel(timezone.now() + timedelta(days=95)):
        acts(1)
        assert retention.cut() == 3  # the two of then, and the act of the first cut
        assert [cut.up_to for cut in AuditCut.objects.all()] == [4, 7]
        assert faults() == []


def test_acts_that_are_not_sealed_or_not_old_enough_stay(settings):
    settings.AUDIT_KEEP_DAYS = 90
    with time_machine.travel(timezone.now() - timedelta(days=100)):
        acts(2)
    assert retention.cut() == 0  # they are sealed now, and go next time
    assert AuditEvent.objects.count() == 2


def test_without_a_setting_everything_stays(old, settings):
    settings.AUDIT_KEEP_DAYS = 0
    assert retention.cut() == 0
    assert left() == old


def test_what_a_stream_has_not_taken_stays(old, settings):
    settings.AUDIT_STREAM = "stdout"
    head = AuditHead.objects.get()
    head.streamed = 3
    chain.sign(head)
    head.save()
    assert retention.cut() == 3
    assert left() == old[3:]
    assert faults() == []


def test_a_cut_that_was_killed_half_way_is_finished_by_the_next_run(old, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)
    real, done = retention.AuditSeal.objects.filter, []

    def die(**where):
        if "number__in" in where:
            done.append(1)
            if len(done) == 2:
                raise KeyboardInterrupt
        return real(**where)

    monkeypatch.setattr(AuditSeal.objects, "filter", die)
    with pytest.raises(KeyboardInterrupt):
        retention.cut()
    monkeypatch.undo()
    assert len(left()) == 5  # one went, the second's transaction did not happen
    assert faults() == []
    retention.cut()
    assert left() == old[4:]
    assert faults() == []


def test_a_cut_that_somebody_else_wrote_is_found_and_deletes_nothing_by_itself(old):
    seal = AuditSeal.objects.get(number=5)
    forged = AuditCut(up_to=5, event_id=seal.event_id, count=5, until=timezone.now(), head=seal.mac, mac="0" * 64)
    forged.save()
    with pytest.raises(chain.HeadForged):
        retention._let_go()
    assert kinds() == ["cut"]
    with connection.cursor() as cursor:  # the database lets them: it does not know the key
        cursor.execute("DELETE FROM portal_auditevent WHERE id <= %s", [old[4].pk])
        cursor.execute("DELETE FROM portal_auditseal WHERE number <= 5")
    assert kinds() == ["cut", "removed"]


def test_a_true_cut_that_was_stretched_is_found(old):
    retention.cut()
    with attacker() as cursor:
        cursor.execute("UPDATE portal_auditcut SET up_to = 5, event_id = %s, count = 5", [old[4].pk])
        cursor.execute("DELETE FROM portal_auditevent WHERE id = %s", [old[4].pk])
        cursor.execute("DELETE FROM portal_auditseal WHERE number = 5")
    assert "cut" in kinds()


def test_going_beyond_what_the_cut_says_is_found(old):
    retention.cut()
    with attacker() as cursor:
        cursor.execute("DELETE FROM portal_auditevent WHERE id = %s", [old[4].pk])
        cursor.execute("DELETE FROM portal_auditseal WHERE number = 5")
    (fault,) = faults()
    assert (fault.kind, fault.said.startswith("seal 5, after")) == ("removed", True)


def test_taking_the_cut_away_is_found(old):
    retention.cut()
    with attacker() as cursor:
        cursor.execute("DELETE FROM portal_auditcut")
    (fault,) = faults()
    assert (fault.kind, fault.said) == ("removed", "seals 1 to 4, after the beginning")


@pytest.mark.parametrize("days", ["89", "1", "-1"])
def test_less_than_90_days_stops_the_start(days, tmp_path):
    done = manage("check", env=apart(tmp_path, KEYDESK_AUDIT_KEEP_DAYS=days), code=1)
    assert "KEYDESK_AUDIT_KEEP_DAYS must be at least 90" in done.stderr


# --- the database itself --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE portal_auditevent SET actor = 'x'",
        "UPDATE portal_auditevent SET ip = NULL WHERE id = (SELECT MAX(id) FROM portal_auditevent)",
        "UPDATE portal_auditseal SET mac = 'x'",
        "UPDATE portal_auditcut SET up_to = 99",
        "DELETE FROM portal_auditevent",
        "DELETE FROM portal_auditevent WHERE id = (SELECT MAX(id) FROM portal_auditevent)",
        "DELETE FROM portal_auditseal WHERE number = 5",
        "DELETE FROM portal_auditcut",
        pytest.param("TRUNCATE portal_auditevent", marks=ON_POSTGRES),
        pytest.param("TRUNCATE portal_auditseal, portal_auditcut", marks=ON_POSTGRES),
    ],
)
def test_the_database_refuses_to_change_or_delete_what_no_cut_covers(old, statement):
    retention.cut()
    before = [*AuditEvent.objects.values(), *AuditSeal.objects.values(), *AuditCut.objects.values()]
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert [*AuditEvent.objects.values(), *AuditSeal.objects.values(), *AuditCut.objects.values()] == before


def test_the_models_refuse_it_as_well(old):
    retention.cut()
    rows: list[Any] = [AuditEvent.objects.first(), AuditSeal.objects.first(), AuditCut.objects.first()]
    for row in rows:
        for refused in (
            row.save,
            row.delete,
            type(row).objects.all().delete,
            lambda row=row: type(row).objects.update(),
        ):
            with pytest.raises(TypeError, match="append-only"):
                refused()
