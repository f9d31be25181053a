"""Sealed acts leave the database: as lines on stdout, or in signed requests to a webhook."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import sys
from datetime import timedelta

import pytest
import requests
import responses
import time_machine
from django.utils import timezone

from portal import sweeps
from portal.audit import retention, sealing, stream
from portal.audit.chain import HeadForged
from portal.models import AuditHead
from portal.tasks import stream_audit
from tests.ground.processes import apart, manage
from tests.portal.trails import acts, person

pytestmark = pytest.mark.django_db

HOOK = "https://siem.example.com/keydesk"
KEY = b"a secret of at least 24 bytes"


@pytest.fixture
def hook(settings):
    """A webhook that takes everything until a test says otherwise."""
    settings.AUDIT_WEBHOOK, settings.AUDIT_WEBHOOK_SECRET = HOOK, f"whsec_{base64.b64encode(KEY).decode()}"
    with responses.RequestsMock(assert_all_requests_are_fired=False) as there:
        yield there


def sealed(count: int, **facts: object) -> None:
    acts(count, **facts)
    sealing.seal()


def sent(hook) -> list[list[int]]:
    """The numbers of the acts in each request."""
    return [[event["number"] for event in json.loads(call.request.body)["data"]["events"]] for call in hook.calls]


def test_lines_on_stdout_are_the_chain_in_its_order(settings, monkeypatch):
    settings.AUDIT_STREAM = "stdout"
    out = io.StringIO()
    monkeypatch.setattr(sys, "__stdout__", out)
    sealed(3, by=person())
    assert stream_audit() == {"sent": 3}
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["number"] for line in lines] == [1, 2, 3]
    assert (lines[0]["actor"], lines[0]["facts"]) == ("alice@example.com", {"number": 1})
    assert lines[-1]["mac"] == AuditHead.objects.get().mac
    assert "salt" not in lines[0]
    sealed(1)
    stream.send()
    assert [json.loads(line)["number"] for line in out.getvalue().splitlines()] == [1, 2, 3, 4]


def test_nothing_is_sent_where_nobody_asked(settings):
    sealed(2)
    assert stream.send() == 0
    assert AuditHead.objects.get().streamed == 0


def test_a_webhook_gets_signed_batches_with_head_and_count(hook):
    hook.add("POST", HOOK, status=204)
    sealed(101)
    assert stream.send() == 101
    assert sent(hook) == [list(range(1, 101)), [101]]
    request = hook.calls[1].request
    data = json.loads(request.body)["data"]
    assert (data["count"], data["head"]) == (101, AuditHead.objects.get().mac)
    number, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    wanted = hmac.new(KEY, f"{number}.{at}.".encode() + request.body, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(wanted).decode()}"
    assert stream.send() == 0


@pytest.mark.parametrize("secret", ["plain words", "whsec_not base64", "whsec_"])
def test_a_secret_that_is_not_base64_is_used_as_it_stands(hook, settings, secret):
    settings.AUDIT_WEBHOOK_SECRET = secret
    hook.add("POST", HOOK)
    sealed(1)
    stream.send()
    request = hook.calls[0].request
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    wanted = base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()
    assert request.headers["webhook-signature"] == f"v1,{wanted}"


@pytest.mark.parametrize(
    "trouble", [{"status": 500}, {"status": 301, "headers": {"Location": "https://elsewhere.example.com"}},
                {"status": 404}, {"body": requests.ConnectionError("away")}, {"body": requests.Timeout("slow")}],
)  # fmt: skip
def test_what_was_not_taken_is_sent_again_with_the_same_id_and_the_same_bytes(hook, trouble):
    hook.add("POST", HOOK, **trouble)
    sealed(3)
    with pytest.raises(stream.StreamAway, match="not taken"):
        stream.send()
    sealed(2)  # meanwhile
    hook.replace("POST", HOOK, status=200)
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        assert stream.send() == 5
    first, again, rest = (call.request for call in hook.calls)
    assert (first.headers["webhook-id"], first.body) == (again.headers["webhook-id"], again.body)
    assert again.headers["webhook-id"] != rest.headers["webhook-id"]
    assert sent(hook) == [[1, 2, 3], [1, 2, 3], [4, 5]]


def test_retries_are_spread_and_the_trouble_stays_to_be_seen(hook):
    hook.add("POST", HOOK, status=503)
    sealed(1)
    start, tries = timezone.now(), []
    for seconds in range(0, 400, 20):
        with time_machine.travel(start + timedelta(seconds=seconds + 1), tick=False):
            before = len(hook.calls)
            stream_audit.apply()
            if len(hook.calls) > before:
                tries.append(seconds)
            status = next(each for each in sweeps.status() if each.name == "stream_audit")
            assert "it answered 503" in status.error
    assert tries == [0, 20, 60, 140, 300]
    assert AuditHead.objects.get().streamed == 0


def test_a_cursor_that_somebody_else_moved_stops_the_stream_and_the_cut(hook, settings):
    sealed(3)
    AuditHead.objects.update(streamed=3)
    with pytest.raises(HeadForged):
        stream.send()
    settings.AUDIT_KEEP_DAYS = 90
    with pytest.raises(HeadForged):
        retention.cut()
    assert not hook.calls


def test_a_stream_that_was_cut_before_goes_on_from_the_cut(hook, settings):
    with time_machine.travel(timezone.now() - timedelta(days=100)):
        sealed(3)
    sealed(1)
    settings.AUDIT_KEEP_DAYS, settings.AUDIT_WEBHOOK = 90, ""
    retention.cut()
    settings.AUDIT_WEBHOOK = HOOK
    hook.add("POST", HOOK)
    stream.send()
    assert sent(hook) == [[4, 5]]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"KEYDESK_AUDIT_WEBHOOK": "http://a.example.com", "KEYDESK_AUDIT_WEBHOOK_SECRET": "x"}, "begin with https://"),
        ({"KEYDESK_AUDIT_WEBHOOK": "https://a.example.com"}, "KEYDESK_AUDIT_WEBHOOK_SECRET set"),
        ({"KEYDESK_AUDIT_STREAM": "stderr"}, "can only be stdout"),
        (
            {
                "KEYDESK_AUDIT_STREAM": "stdout", "KEYDESK_AUDIT_WEBHOOK": "https://a.example.com",
                "KEYDESK_AUDIT_WEBHOOK_SECRET": "x",
            },
            "one of them",
        ),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_stop_the_start(setting, said, tmp_path):
    assert said in manage("check", env=apart(tmp_path, **setting), code=1).stderr
