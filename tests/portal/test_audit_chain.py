"""The chain of the audit trail: how it is made, and what is found when somebody has been at the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.db import connection

from portal import append_only
from portal.audit import sealing
from portal.audit.chain import HeadForged
from portal.models import AuditEvent, AuditHead, AuditSeal
from portal.tasks import seal_audit
from tests.portal.trails import act, acts, attacker, columns, faults, kinds, person, published

pytestmark = pytest.mark.django_db


def verify(*options: str) -> tuple[int, str]:
    """What `manage.py audit_verify` exits with and says."""
    said, code = StringIO(), 0
    try:
        call_command("audit_verify", *options, stdout=said)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, said.getvalue()


# --- sealing --------------------------------------------------------------------------------------


def test_the_sweep_seals_what_is_new_and_publishes_head_and_count(caplog):
    acts(3)
    assert seal_audit() == {"sealed": 3}
    assert list(AuditSeal.objects.values_list("number", "event_id")) == [
        (number, event.pk) for number, event in enumerate(AuditEvent.objects.order_by("pk"), start=1)
    ]
    head = AuditHead.objects.get()
    assert (head.count, head.mac) == (3, AuditSeal.objects.get(number=3).mac)
    assert any("audit_sealed" in line and head.mac in line for line in caplog.messages)
    assert seal_audit() == {"sealed": 0}
    act("tried.once_more")
    assert seal_audit() == {"sealed": 1}
    assert faults() == []


def test_an_act_that_was_committed_late_is_sealed_when_it_is_seen():
    first, second, third = acts(3)
    kept = AuditEvent.objects.filter(pk=second.pk).values().get()
    with attacker() as cursor:  # as if its transaction were still open
        cursor.execute("DELETE FROM portal_auditevent WHERE id = %s", [second.pk])
    sealing.seal()
    AuditEvent(**kept).save()
    sealing.seal()
    assert list(AuditSeal.objects.values_list("event_id", flat=True)) == [first.pk, third.pk, second.pk]
    assert faults() == []


def test_a_long_backlog_is_sealed_in_batches(monkeypatch):
    monkeypatch.setattr(sealing, "BATCH", 2)
    acts(5)
    assert sealing.seal() == 5
    assert faults() == []


def test_after_a_day_old_acts_are_not_looked_at_again():
    acts(2)
    sealing.seal()
    with time_machine.travel(datetime.now(UTC) + timedelta(days=2)):
        sealing.seal()
        assert AuditHead.objects.get().settled == AuditEvent.objects.latest("pk").pk
        act("tried.later")
        assert sealing.seal() == 1
        assert faults() == []


def test_facts_of_every_kind_are_proved_as_they_come_back_from_the_database():
    facts = {"whole": 1e16, "part": 0.1, "small": 1e-7, "words": "ä \u2028 “x”", "deep": {"b": [1.0, None], "a": True}}
    act("tried.facts", before={"z": 1, "a": [{"é": 2.50}]}, after=None, **facts)
    act("tried.person", person(), by=person("bob"))
    assert faults() == []


def test_what_is_said_of_people_is_in_the_chain_as_a_salted_digest_only():
    act("tried.twice", person(), by=person("bob"), reason="the same")
    act("tried.twice", person(), by=person("bob"), reason="the same")
    sealing.seal()
    one, other = AuditSeal.objects.all()
    assert one.personal != other.personal


# --- verifying ------------------------------------------------------------------------------------


def test_a_chain_that_is_right_exits_with_0_and_one_line_for_each_fact():
    acts(3)
    code, said = verify()
    head = AuditHead.objects.get()
    assert (code, head.count) == (0, 3)  # it has sealed them first
    facts = dict(line.split(maxsplit=1) for line in said.splitlines() if "  " in line)
    assert (facts["count"], facts["head"], facts["cuts"]) == ("3", head.mac, "none")
    assert facts["acts"].startswith("3, ")
    code, said = verify("--head", head.mac, "--count", "3")
    assert (code, said.splitlines()[-1]) == (0, "Proved, up to the head that was given.")
    assert verify("--head", head.mac)[0] == 2


def test_an_empty_trail_is_right():
    assert verify()[0] == 0


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("action", "tried.number_9"),
        ("actor", "mallory"),
        ("target", "Mobile"),
        ("on_behalf_of", "x"),
        ("ip", "10.0.0.9"),
        ("at", datetime(2020, 1, 1, tzinfo=UTC)),
        ("facts", '{"number": 9}'),
        ("after", '{"role": "admin"}'),
        ("secret_hash", "0" * 64),
        ("salt", "0" * 32),
        ("stamp", "0" * 64),
        ("request_id", "x"),
    ],
)
def test_one_changed_column_is_found_and_the_row_is_named(change, value):
    event = acts(3)[1]
    sealing.seal()
    with attacker() as cursor:
        cursor.execute(f"UPDATE portal_auditevent SET {change} = %s WHERE id = %s", [value, event.pk])
    code, said = verify()
    assert code == 1
    found = [line for line in said.splitlines() if line.startswith("!!")]
    assert len(found) == 1
    event = AuditEvent.objects.get(pk=event.pk)
    assert f"event {event.pk} (seal 2), {event.action} at {event.at:%Y-%m-%d %H:%M:%S} UTC" in found[0]


@pytest.mark.parametrize("column", ["mac", "personal", "event_id", "number"])
def test_a_changed_seal_is_found(column):
    acts(4)
    sealing.seal()
    value: Any = {"event_id": 99, "number": 99}.get(column, "0" * 64)
    with attacker() as cursor:
        cursor.execute(f"UPDATE portal_auditseal SET {column} = %s WHERE number = 2", [value])
    assert verify()[0] == 1
    assert "seal 2" in faults()[0].said


def test_a_removed_act_is_found():
    first, gone, _ = acts(3)
    sealing.seal()
    with attacker() as cursor:
        cursor.execute("DELETE FROM portal_auditevent WHERE id = %s", [gone.pk])
    (fault,) = faults()
    assert fault.kind == "removed"
    assert f"event {gone.pk}, which seal 2 is of, after event {first.pk} (seal 1), tried.number_1 at" in fault.said


def test_an_act_removed_with_its_seal_is_found():
    first, gone, _ = acts(3)
    sealing.seal()
    with attacker() as cursor:
        cursor.execute("DELETE FROM portal_auditevent WHERE id = %s", [gone.pk])
        cursor.execute("DELETE FROM portal_auditseal WHERE number = 2")
    (fault,) = faults()
    assert (fault.kind, fault.said.split(" at ")[0]) == (
        "removed", f"seal 2, after event {first.pk} (seal 1), tried.number_1",
    )  # fmt: skip


def test_closing_the_gap_behind_a_removed_act_is_found():
    gone = acts(4)[1]
    sealing.seal()
    with attacker() as cursor:
        cursor.execute("DELETE FROM portal_auditevent WHERE id = %s", [gone.pk])
        cursor.execute("DELETE FROM portal_auditseal WHERE number = 2")
        cursor.execute("UPDATE portal_auditseal SET number = 2 WHERE number = 3")
        cursor.execute("UPDATE portal_auditseal SET number = 3 WHERE number = 4")
    assert "cut off" in kinds()


def test_two_acts_that_changed_places_are_found():
    first, second, _ = acts(3)
    sealing.seal()
    with attacker() as cursor:
        cursor.execute("UPDATE portal_auditevent SET id = 999 WHERE id = %s", [first.pk])
        cursor.execute("UPDATE portal_auditevent SET id = %s WHERE id = %s", [first.pk, second.pk])
        cursor.execute("UPDATE portal_auditevent SET id = %s WHERE id = 999", [second.pk])
    assert kinds() == ["reordered", "reordered"]


def test_acts_cut_off_the_end_are_found_by_the_head():
    acts(5)
    sealing.seal()
    with attacker() as cursor:
        cursor.execute(
            "DELETE FROM portal_auditevent WHERE id IN (SELECT event_id FROM portal_auditseal WHERE number > 3)"
        )
        cursor.execute("DELETE FROM portal_auditseal WHERE number > 3")
    (fault,) = faults()
    assert (fault.kind, fault.said.startswith("seals 4 to 5, after event ")) == ("cut off", True)


def test_with_the_head_set_back_as_well_only_the_published_one_tells():
    acts(3)
    sealing.seal()
    before = AuditHead.objects.values().get()
    acts(2)
    sealing.seal()
    told = published()
    with attacker() as cursor:
        cursor.execute(
            "DELETE FROM portal_auditevent WHERE id IN (SELECT event_id FROM portal_auditseal WHERE number > 3)"
        )
        cursor.execute("DELETE FROM portal_auditseal WHERE number > 3")
    AuditHead.objects.filter(pk=1).update(**before)
    assert kinds() == []
    assert kinds(**told) == ["cut off"]
    acts(2)  # in their place
    assert kinds() == []
    assert kinds(**told) == ["head"]


def test_a_head_that_was_set_back_without_the_rows_is_found():
    acts(3)
    sealing.seal()
    before = AuditHead.objects.values().get()
    acts(2)
    sealing.seal()
    AuditHead.objects.filter(pk=1).update(**before)
    assert kinds() == ["head"]
    act("tried.again")
    with pytest.raises(HeadForged, match="behind the head"):
        sealing.seal()
    assert kinds()[0] == "head"


@pytest.mark.parametrize(
    "how",
    [
        "DELETE FROM portal_audithead",
        "UPDATE portal_audithead SET count = 2",
        "UPDATE portal_audithead SET settled = 1000000",  # nothing would be sealed any more
        "UPDATE portal_audithead SET streamed = 1000000",  # nothing would be sent any more
        "UPDATE portal_audithead SET unstamped = 1",  # acts without a stamp would be believed
    ],
)
def test_a_head_that_is_gone_or_not_ours_stops_the_sealer_and_is_told(how):
    acts(3)
    sealing.seal()
    with connection.cursor() as cursor:
        cursor.execute(how)
    with pytest.raises(HeadForged):
        sealing.seal()
    assert "head" in kinds()


def test_another_audit_key_is_told_and_not_sealed_over(settings):
    acts(1)
    sealing.seal()
    settings.AUDIT_KEY = "another"
    with pytest.raises(HeadForged, match="audit key"):
        sealing.seal()
    assert "KEYDESK_AUDIT_KEY" in faults()[0].said


@pytest.mark.parametrize("sealed", [True, False])
def test_an_inserted_act_is_found_though_the_sealer_takes_it(sealed):
    acts(2)
    sealing.seal()
    with attacker() as cursor:
        cursor.execute(
            f"INSERT INTO portal_auditevent ({columns('id', 'stamp', 'at')}, stamp, at)"
            f" SELECT {columns('id', 'stamp', 'at')}, '{'0' * 64 if sealed else ''}', %s FROM portal_auditevent"
            " ORDER BY id LIMIT 1",
            [datetime.now(UTC) + timedelta(hours=2)],
        )
    found = kinds()
    assert found[0] == "inserted"


def test_a_genuine_act_put_in_a_second_time_is_found():
    acts(2)
    with attacker() as cursor:
        rest = columns("id")
        cursor.execute(
            f"INSERT INTO portal_auditevent ({rest}) SELECT {rest} FROM portal_auditevent ORDER BY id LIMIT 1"
        )
    assert kinds() == ["copied"]


def test_an_act_changed_before_it_was_sealed_is_found():
    event = act("tried.once", reason="true")
    with attacker() as cursor:
        cursor.execute("UPDATE portal_auditevent SET facts = %s WHERE id = %s", ['{"reason": "false"}', event.pk])
    assert kinds() == ["inserted"]


def test_acts_of_the_version_before_have_no_stamp_and_are_proved_from_then_on():
    event = act("tried.once")
    with attacker() as cursor:
        cursor.execute("UPDATE portal_auditevent SET stamp = '', salt = ''")
        cursor.execute("DELETE FROM portal_audithead")
    sealing.begin()  # the upgrade
    assert kinds() == []
    with attacker() as cursor:
        cursor.execute("UPDATE portal_auditevent SET actor = 'x' WHERE id = %s", [event.pk])
    assert kinds() == ["altered"]


def test_where_no_version_was_before_an_act_without_a_stamp_is_never_believed():
    act("tried.once")
    with attacker() as cursor:
        cursor.execute("UPDATE portal_auditevent SET stamp = '', salt = ''")
    assert kinds() == ["inserted"]


def test_missing_triggers_are_told():
    append_only.take_down(connection)
    assert kinds() == ["triggers"]
    append_only.put_up(connection)
    assert kinds() == []
