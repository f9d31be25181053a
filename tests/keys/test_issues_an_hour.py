"""Who asks for keys gets so many within an hour, however many ask at once, and learns when the next one is there."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
import time_machine
from django.utils import timezone

from keys.models import Lease
from keys.services import leases
from keys.services.errors import TooManyKeys
from keys.services.terms import Ask
from teams.models import User
from teams.services import service_accounts
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def three(settings) -> None:
    settings.ISSUES_AN_HOUR = 3


def test_the_fourth_key_of_an_hour_waits_for_the_first_to_be_an_hour_old(sandbox, make_key, make_role, alice, bob):
    role, start = make_role(max_live_keys=None), timezone.now()
    for minutes in (0, 10, 20):
        with time_machine.travel(start + timedelta(minutes=minutes)):
            make_key(role=role)
    with time_machine.travel(start + timedelta(minutes=30)):
        with pytest.raises(TooManyKeys) as refused:
            make_key(role=role)
        assert 29 * 60 <= refused.value.details["retry_after"] <= 30 * 60 + 1
        assert make_key(role=role, holder=bob)  # each has their own hour
    with time_machine.travel(start + timedelta(minutes=61)):
        assert make_key(role=role)


def test_zero_is_no_limit(sandbox, make_key, settings):
    settings.ISSUES_AN_HOUR = 0
    assert len({make_key().lease.pk for _ in range(5)}) == 5


def test_the_api_says_when_to_come_back(sandbox, client, bearer, make_key, alice):
    for _ in range(3):
        make_key()
    body = {"team": "search", "role": "coding"}
    answer = client.post("/api/v1/keys/", body, content_type="application/json", headers=bearer(alice))
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_keys")
    assert 3590 <= int(answer["Retry-After"]) <= 3601
    assert Lease.objects.count() == 3


def test_many_at_once_get_no_more(sandbox, make_role, team, alice):
    ask = Ask(team=team, role=make_role())

    def issue() -> bool:
        try:
            leases.issue(ask, holder=alice, by=alice)
        except TooManyKeys:
            return False
        return True

    assert sum(together(*[issue] * 6)) == 3
    assert Lease.objects.count() == 3


def test_handing_keys_over_makes_no_room_for_more(sandbox, make_key, make_role, ines, alice):
    role = make_role(max_live_keys=None)
    for _ in range(3):
        leases.transfer(make_key(role=role, holder=ines).lease, to=alice, by=ines)
    with pytest.raises(TooManyKeys):
        make_key(role=role, holder=ines)
    assert make_key(role=role, holder=alice)  # who got them asked for none


def test_service_accounts_share_the_hour_of_who_asks_for_their_keys(sandbox, make_role, team, ines):
    ask = Ask(team=team, role=make_role(max_live_keys=None))
    for number in range(3):
        leases.issue(ask, holder=service_accounts.make(team, name=f"robot-{number}", by=ines), by=ines)
    with pytest.raises(TooManyKeys, match="Ines"):
        leases.issue(ask, holder=service_accounts.make(team, name="another", by=ines), by=ines)


def test_many_accounts_at_once_share_it_too(sandbox, make_role, team, ines):
    ask = Ask(team=team, role=make_role())
    robots = [service_accounts.make(team, name=f"robot-{number}", by=ines) for number in range(5)]

    def issue(robot: User) -> bool:
        try:
            leases.issue(ask, holder=robot, by=ines)
        except TooManyKeys:
            return False
        return True

    assert sum(together(*[partial(issue, robot) for robot in robots])) == 3
