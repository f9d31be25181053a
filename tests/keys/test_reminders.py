"""Letters before a key ends: 7, 3 and 1 days, once each."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from keys.services import leases, reminders
from portal.models import Letter

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


def remind_through(days: int) -> list[int]:
    """Let the sweep run three times a day; answers on which days a letter was written."""
    start, found = timezone.now(), []
    for hour in range(0, days * 24, 8):
        with time_machine.travel(start + timedelta(hours=hour)):
            found += [hour // 24] * reminders.remind()
    return found


def test_a_holder_is_told_7_3_and_1_days_before_the_end_once_each(sandbox, alice, make_key):
    make_key(ttl=20 * DAY)
    assert remind_through(21) == [13, 17, 19]
    assert {tuple(letter.to) for letter in Letter.objects.all()} == {(alice.email,)}
    assert Letter.objects.filter(subject__contains="ends").count() == 3


def test_a_key_that_is_shorter_than_a_step_is_not_announced_by_it(sandbox, make_key):
    make_key(ttl=2 * DAY)
    assert remind_through(3) == [1]
    make_key(ttl=DAY)
    assert remind_through(2) == []


def test_a_renewal_starts_anew(sandbox, alice, make_key, make_role):
    lease = make_key(role=make_role(ttl=10 * DAY, max_ttl=90 * DAY)).lease
    with time_machine.travel(timezone.now() + 8 * DAY):
        assert reminders.remind() == 1
        leases.renew(lease, by=alice)
        assert remind_through(11) == [3, 7, 9]


def test_a_service_accounts_letters_go_to_its_team_admins(sandbox, team, ines, robot, make_key):
    make_key(holder=robot, ttl=2 * DAY)
    with time_machine.travel(timezone.now() + 1.5 * DAY):
        assert reminders.remind() == 1
    assert Letter.objects.get().to == [ines.email]


def test_an_ended_key_is_not_announced(sandbox, alice, make_key):
    lease = make_key(ttl=20 * DAY).lease
    leases.revoke(lease, by=alice)
    assert remind_through(21) == []
