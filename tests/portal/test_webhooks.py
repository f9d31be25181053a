"""Events reach webhooks: written with the act, signed, tried for a day, never to a place that is none."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
import time_machine
from django.db import transaction
from django.utils import timezone

from keys.services import leases
from portal import addresses, audit
from portal.models import AuditEvent, Letter
from portal.webhooks import wrong_address
from teams.models import Delivery, Webhook
from teams.roles import MemberRole
from teams.services import deliveries, put_member, webhooks
from teams.tasks import deliver_webhooks
from tests.threads import together

pytestmark = pytest.mark.django_db

HOOK = "https://chat.example.com/hooks/8dh2"
NOTICES = Path(__file__).parents[2] / "docs" / "notices.md"


@pytest.fixture
def hook(team, ines) -> Webhook:
    return webhooks.make(team, name="chat", url=HOOK, events=["key", "member"], by=ines)[0]


@pytest.fixture
def there(monkeypatch):
    """The other side, which takes everything until a test says otherwise."""
    monkeypatch.setattr(addresses, "resolved", lambda *_: {"192.0.2.7"})
    with responses.RequestsMock(assert_all_requests_are_fired=False) as other:
        other.add("POST", HOOK, status=204)
        yield other


def happens(team, by, count: int = 1) -> None:
    with transaction.atomic():
        for n in range(count):
            audit.record("key.issued", team, by=by, number=n)


def in_(**how: float):
    return timezone.now() + timedelta(**how)


# --- what is sent ---------------------------------------------------------------------------------


def test_an_event_is_sent_signed_with_who_did_what_to_what(hook, there, team, ines, person):
    put_member(team, email=person("olga").email, role=MemberRole.MEMBER, by=ines)
    assert deliver_webhooks() == {"taken": 1}
    request = there.calls[0].request
    event = AuditEvent.objects.get(action="member.added")
    told = json.loads(request.body)
    assert told["event"] == "member.added"
    assert told["team"] == {"id": str(team.pk), "slug": "search", "name": "Search Platform"}
    assert told["actor"] == {"id": str(ines.pk), "name": "ines@example.com", "kind": "person"}
    assert told["target"]["type"] == event.target_type
    assert told["facts"] == event.all_facts
    assert told.keys() == {"id", "event", "at", "team", "actor", "target", "facts"}
    assert told["id"] == request.headers["webhook-id"]
    at = request.headers["webhook-timestamp"]
    signed = f"{told['id']}.{at}.".encode() + request.body
    key = base64.b64decode(hook.secret.removeprefix("whsec_"))
    wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert request.headers["webhook-signature"] == f"v1,{wanted}"
    assert deliver_webhooks() == {"taken": 0}


def test_what_the_handbook_says_about_checking_a_signature_is_true(hook, there, team, ines):
    happens(team, ines)
    deliveries.deliver_due()
    request = there.calls[0].request
    snippet = re.search(r"```python\n(def is_from_keydesk.*?)```", NOTICES.read_text(), flags=re.DOTALL).group(1)
    said: dict[str, Any] = {"base64": base64, "hashlib": hashlib, "hmac": hmac, "time": time}
    exec(snippet, said)
    check = said["is_from_keydesk"]
    headers = dict(request.headers)
    assert check(headers, request.body, hook.secret)
    assert not check(headers, request.body + b" ", hook.secret)
    assert not check(headers | {"webhook-id": "evt_other"}, request.body, hook.secret)
    assert not check(headers, request.body, "whsec_" + base64.b64encode(b"x" * 32).decode())
    with time_machine.travel(in_(minutes=6)):
        assert not check(headers, request.body, hook.secret)


def test_each_webhook_hears_of_its_team_and_its_kinds_alone(hook, there, team, other_team, ines, ruth):
    webhooks.make(None, name="siem", url=HOOK, events=["key", "gateway"], by=ruth)
    happens(team, ines)
    happens(other_team, ines)
    with transaction.atomic():
        audit.record("budget.reached", team, by=ines)
        audit.record("gateway.held", ruth, by=ines)
    told = Delivery.objects.order_by("pk").values_list("webhook__name", "event")
    assert sorted(told) == [
        ("chat", "key.issued"),
        ("siem", "gateway.held"),
        ("siem", "key.issued"),
        ("siem", "key.issued"),
    ]
    assert deliveries.deliver_due() == 4
    ids = [call.request.headers["webhook-id"] for call in there.calls]
    assert len(set(ids)) == 3, "one event is one id, whichever webhook hears of it"


def test_a_key_of_the_desk_is_told_without_its_secret(sandbox, hook, there, make_key, alice, ines):
    issued = make_key(holder=alice)
    leases.revoke(issued.lease, by=ines)
    deliveries.deliver_due()
    bodies = "".join(call.request.body.decode() for call in there.calls)
    assert '"event":"key.issued"' in bodies
    assert issued.secret not in bodies
    assert Delivery.objects.count() == len(there.calls) > 1


def test_an_act_that_does_not_happen_is_not_told(hook, team, ines):
    with transaction.atomic():
        audit.record("key.issued", team, by=ines)
        transaction.set_rollback(True)
    assert not Delivery.objects.exists()


def test_a_webhook_that_is_off_hears_nothing(hook, team, ines):
    happens(team, ines)
    webhooks.turn(hook, on=False, by=ines)
    happens(team, ines)
    assert [each.state for each in Delivery.objects.all()] == ["given_up"]
    webhooks.turn(hook, on=True, by=ines)
    assert deliveries.deliver_due() == 0


# --- trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"status": 500, "body": "no " * 200}, "It answered 500."),
        ({"status": 302, "headers": {"Location": "https://elsewhere.example.com"}}, "It answered 302."),
        ({"body": requests.ConnectTimeout("8dh2")}, "It could not be reached within 3 s."),
        ({"body": requests.ReadTimeout("8dh2")}, "It did not answer within 10 s."),
        ({"body": requests.ConnectionError("8dh2")}, "It could not be reached."),
        ({"body": requests.exceptions.SSLError("8dh2")}, "Its certificate is not to be trusted."),
    ],
)  # fmt: skip
def test_what_was_not_taken_is_tried_again_under_its_id_and_says_why(hook, there, team, ines, trouble, said):
    there.replace("POST", HOOK, **trouble)
    happens(team, ines)
    assert deliveries.deliver_due() == 0
    failed = Delivery.objects.get()
    assert (failed.state, failed.trouble, failed.attempts) == ("failing", said, 1)
    assert "8dh2" not in failed.last_error
    assert len(failed.answer) <= 200
    there.replace("POST", HOOK, status=200, body="fine")
    assert deliveries.deliver_due(in_(seconds=30)) == 0
    assert deliveries.deliver_due(in_(seconds=61)) == 1
    first, again = (call.request for call in there.calls)
    assert (first.body, first.headers["webhook-id"]) == (again.body, again.headers["webhook-id"])
    taken = Delivery.objects.get()
    assert (taken.state, taken.status, taken.answer, taken.last_error) == ("taken", 200, "fine", "")
    hook.refresh_from_db()
    assert (hook.failing_since, hook.next_try_at) == (None, None)


def test_a_webhook_that_fails_is_left_alone_and_holds_up_no_other(hook, there, team, other_team, ines, mallory):
    fine = "https://fine.example.com/"
    webhooks.make(other_team, name="fine", url=fine, events=["key"], by=mallory)
    there.replace("POST", HOOK, status=500)
    there.add("POST", fine)
    happens(team, ines, 5)
    happens(other_team, mallory, 2)
    assert deliveries.deliver_due() == 2
    happens(team, ines)
    assert deliveries.deliver_due(in_(seconds=40)) == 0
    assert [call.request.url for call in there.calls].count(HOOK) == 1


def test_pauses_grow_to_an_hour_and_after_a_day_it_is_given_up_and_told_once(hook, there, team, ines):
    there.replace("POST", HOOK, status=503)
    happens(team, ines, 2)
    start, tries = timezone.now(), []
    for minutes in range(0, 30 * 60, 5):
        with time_machine.travel(start + timedelta(minutes=minutes, seconds=1), tick=False):
            before = len(there.calls)
            deliveries.deliver_due()
            tries += [minutes] * (len(there.calls) - before)
    gaps = [later - sooner for sooner, later in pairwise(tries)]
    assert gaps[0] <= 5
    assert max(gaps) <= 65
    assert len(tries) < 50
    assert {each.state for each in Delivery.objects.all()} == {"given_up"}
    (letter,) = Letter.objects.all()
    assert letter.subject == "Keydesk: the webhook chat takes nothing"
    assert "It answered 503." in letter.text
    assert "8dh2" not in letter.text
    assert [line.address for line in letter.lines.all()] == [ines.email]  # news: in the daily letter


def test_after_three_days_of_failures_it_turns_itself_off_and_says_so(hook, there, team, ines):
    there.replace("POST", HOOK, status=410)
    happens(team, ines)
    deliveries.deliver_due()
    with time_machine.travel(in_(days=3, minutes=1)):
        happens(team, ines, 3)
        deliveries.deliver_due()
        hook.refresh_from_db()
        assert (hook.is_on, hook.trouble) == (False, "It answered 410.")
        assert not Delivery.objects.waiting().exists()
        calls = len(there.calls)
        happens(team, ines)
        deliveries.deliver_due()
        assert len(there.calls) == calls
    assert AuditEvent.objects.get(action="webhook.turned_off").actor_kind == "system"
    assert Letter.objects.filter(subject="Keydesk: the webhook chat is turned off").count() == 1


@pytest.mark.django_db(transaction=True)
def test_many_hosts_send_each_event_once(hook, there, team, ines):
    happens(team, ines, 8)
    assert sum(together(*[deliveries.deliver_due] * 4)) == 8
    assert len({call.request.headers["webhook-id"] for call in there.calls}) == len(there.calls) == 8


def test_a_host_that_dies_while_it_sends_loses_nothing(hook, there, team, ines, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    happens(team, ines)
    with monkeypatch.context() as dying:
        dying.setattr(Delivery, "was_sent", die)
        with pytest.raises(Killed):
            deliveries.deliver_due()
    assert deliveries.deliver_due() == 0  # it is claimed
    assert deliveries.deliver_due(timezone.now() + Delivery.CLAIMED) == 1
    first, again = (call.request.headers["webhook-id"] for call in there.calls)
    assert first == again


def test_what_was_sent_is_kept_for_thirty_days(hook, team, ines):
    happens(team, ines)
    assert deliveries.forget_old(in_(days=29)) == 0
    assert deliveries.forget_old(in_(days=31)) == 1


# --- where it may go ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://chat.example.com/x", ""),
        ("https://chat.example.com:8443/x", ""),
        ("http://chat.example.com/x", "https://"),
        ("http://localhost:9000/x", ""),  # Keydesk is at localhost here
        ("https://169.254.169.254/", "Link-local"),
        ("https://2852039166/", "Link-local"),
        ("https://[fe80::1]/", "Link-local"),
        ("https://[fd00:ec2::254]/", "Link-local"),
        ("https://[::ffff:169.254.169.254]/", "Link-local"),
        ("ftp://chat.example.com/", "whole address"),
        ("https://a:b@chat.example.com/", "without a password"),
        ("https://chat.example.com:port/", "no address"),
    ],
)
def test_an_address_is_one_that_may_hear_of_it(url, said):
    found = wrong_address(url)
    assert said in found
    assert bool(said) is bool(found)


def test_where_keydesk_is_for_others_nothing_goes_to_its_own_machine(settings):
    settings.URL = "https://keys.example.com"
    assert "https://" in wrong_address("http://localhost:9000/")
    for host in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0", "db.localhost."):
        assert "own machine" in wrong_address(f"https://{host}/")


def test_an_operator_says_where_webhooks_may_be(settings):
    settings.WEBHOOK_HOSTS = ["*.example.com", "chat.corp:8443"]
    assert wrong_address("https://hooks.example.com/x") == wrong_address("https://chat.corp:8443/x") == ""
    assert "KEYDESK_WEBHOOK_HOSTS" in wrong_address("https://chat.corp/x")


def test_a_name_that_leads_to_credentials_of_the_machine_is_not_called(hook, there, team, ines, monkeypatch):
    monkeypatch.setattr(addresses, "resolved", lambda *_: {"10.0.0.7", "169.254.169.254"})
    happens(team, ines)
    deliveries.deliver_due()
    assert not there.calls
    assert "Link-local" in Delivery.objects.get().trouble
