"""What other people's machines, and people who left, may do with a webhook: nothing that hurts."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress

import pytest
import requests
import responses
from django.db import transaction
from django.utils import timezone

from portal import addresses, audit
from portal import webhooks as sending
from teams.models import Delivery, Membership, Webhook
from teams.roles import MemberRole
from teams.services import deliveries, webhooks
from tests.litellm.servers import bare_server, read_request

pytestmark = pytest.mark.django_db
HOOK = "https://chat.example.com/hooks/8dh2"


def hook_at(url: str, team, by, name: str = "chat") -> Webhook:
    return webhooks.make(team, name=name, url=url, events=["key"], by=by)[0]


def happens(team, by, count: int = 1, **facts) -> None:
    with transaction.atomic():
        for _ in range(count):
            audit.record("key.issued", team, by=by, **facts)


@pytest.mark.parametrize("reason", ["as bearer", "stays on the bearer x", "back to basic x", "sk-abcdefgh12345678"])
def test_what_somebody_typed_never_breaks_the_body(team, ines, reason):
    with transaction.atomic():
        event = audit.record("key.paused", team, by=ines, reason=reason, zone="eu", bearer="basic x")
    told = json.loads(deliveries.body_of(event, team))
    assert told["facts"]["zone"] == "eu"
    assert "abcdefgh12345678" not in json.dumps(told)


def test_an_answer_that_drips_is_cut_off_in_time(team, ines, monkeypatch):
    def drip(connection: socket.socket) -> None:
        read_request(connection)
        with suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 100:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)

    monkeypatch.setattr(sending, "TIMEOUT", (0.3, 0.3))
    with bare_server(drip) as url:
        hook_at(url, team, ines)
        happens(team, ines)
        start = time.monotonic()
        assert deliveries.deliver_due() == 0
    assert time.monotonic() - start < 2
    assert Delivery.objects.get().state == "failing"


def test_a_huge_answer_is_read_to_its_first_characters_alone(team, ines):
    def flood(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000)

    with bare_server(flood) as url:
        hook_at(url, team, ines)
        happens(team, ines)
        assert deliveries.deliver_due() == 1
    assert len(Delivery.objects.get().answer) <= 200


def test_a_name_that_leads_elsewhere_in_the_next_moment_is_not_told_anything(team, ines, settings, monkeypatch):
    """DNS rebinding: the first look says another machine, the connection is to this one."""
    got = []

    def listen(connection: socket.socket) -> None:
        got.append(connection.recv(100))

    settings.URL, settings.DEBUG = "https://keys.example.com", False
    monkeypatch.setattr(addresses, "resolved", lambda *_: {"1.1.1.1"})
    looked_up = socket.getaddrinfo
    with bare_server(listen) as url:
        port = int(url.rpartition(":")[2])
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: looked_up("127.0.0.1", *a, **k))
        hook_at(f"https://chat.example.com:{port}/", team, ines)
        happens(team, ines)
        assert deliveries.deliver_due() == 0
    assert "own machine" in Delivery.objects.get().trouble
    assert not any(got)


@pytest.mark.parametrize(
    "host", ["10.1.2.3", "192.168.7.7", "[fd12::1]", "100.64.1.1", "[64:ff9b::a01:203]", "2130706433"]
)
def test_a_team_sends_nothing_into_the_companys_own_network_unless_the_operator_names_it(host, settings):
    settings.URL, settings.DEBUG = "https://keys.example.com", False
    url = f"https://{host}/"
    assert sending.wrong_address(url)
    assert sending.wrong_address("https://1.1.1.1/") == ""
    this_machine = "own machine" in sending.wrong_address(url)
    assert bool(sending.wrong_address(url, inside=True)) is this_machine
    settings.WEBHOOK_HOSTS = [host]
    assert bool(sending.wrong_address(url)) is this_machine
    assert sending.wrong_address("https://[64:ff9b::169.254.169.254]/", inside=True)


def test_a_name_that_leads_into_the_companys_network_is_for_platform_admins(team, ines, ruth, settings, monkeypatch):
    settings.URL, settings.DEBUG = "https://keys.example.com", False
    monkeypatch.setattr(addresses, "resolved", lambda *_: {"10.0.0.7"})
    hook_at(HOOK, team, ines)
    hook_at(HOOK, None, ruth, name="siem")
    happens(team, ines)
    with responses.RequestsMock() as other:
        other.add("POST", HOOK)
        assert deliveries.deliver_due() == 1
    assert "KEYDESK_WEBHOOK_HOSTS" in Delivery.objects.get(webhook__name="chat").trouble


def test_a_password_of_this_machine_is_not_sent_along(team, ines, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login keydesk password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setattr(addresses, "resolved", lambda *_: {"192.0.2.7"})
    hook_at(HOOK, team, ines)
    happens(team, ines)
    with responses.RequestsMock() as other:
        other.add("POST", HOOK)
        assert deliveries.deliver_due() == 1
        assert "Authorization" not in other.calls[0].request.headers


def test_whatever_goes_wrong_with_one_webhook_holds_up_no_other(team, ines, monkeypatch):
    monkeypatch.setattr(addresses, "resolved", lambda *_: {"192.0.2.7"})
    hook_at(HOOK, team, ines)
    hook_at("https://fine.example.com/", team, ines, name="fine")
    happens(team, ines)
    with responses.RequestsMock() as other:
        other.add("POST", HOOK, body=UnicodeError("label too long"))
        other.add("POST", "https://fine.example.com/")
        assert deliveries.deliver_due() == 1
    assert Delivery.objects.get(webhook__name="chat").trouble == "Its answer could not be read."


def test_a_slow_webhook_takes_its_share_of_a_round_and_leaves_the_rest(team, other_team, ines, mallory, monkeypatch):
    """Each of its answers takes half a round; ten wait, and the other webhook is served all the same."""
    clock = [0.0]
    monkeypatch.setattr(deliveries.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(deliveries.random, "shuffle", lambda found: found.sort(key=str))
    slow = hook_at("https://slow.example.com/", team, ines)
    fine = hook_at("https://fine.example.com/", other_team, mallory)
    Webhook.objects.filter(pk=slow.pk).update(id="00000000-0000-4000-8000-000000000001")

    def send(url: str, *_: object, **__: object) -> sending.Answer:
        clock[0] += 25 if "slow" in url else 0
        return sending.Answer(200)

    monkeypatch.setattr(sending, "send", send)
    monkeypatch.setattr(addresses, "resolved", lambda *_: {"192.0.2.7"})
    slow = Webhook.objects.get(name="chat", team=team)
    happens(team, ines, 10)
    happens(other_team, mallory, 3)
    deliveries.deliver_due()
    assert not fine.deliveries.waiting().exists()
    assert slow.deliveries.waiting().count() == 8


def test_another_address_is_tried_at_once(team, ines, monkeypatch):
    monkeypatch.setattr(addresses, "resolved", lambda *_: {"192.0.2.7"})
    hook = hook_at(HOOK, team, ines)
    happens(team, ines)
    with responses.RequestsMock() as other:
        other.add("POST", HOOK, body=requests.ConnectionError())
        deliveries.deliver_due()
    url = "https://right.example.com/"
    webhooks.change(hook, name="chat", url=url, events=["key"], by=ines)
    Delivery.objects.update(due_at=timezone.now())
    with responses.RequestsMock() as other:
        other.add("POST", url)
        assert deliveries.deliver_due() == 1


def test_who_set_the_address_and_left_is_named_on_the_page(team, ines, person, client):
    olga = person("olga")
    Membership.objects.create(team=team, user=olga, role=MemberRole.ADMIN)
    hook = hook_at(HOOK, team, olga)
    client.force_login(ines)
    said = "Olga said where these events go, and does not run webhooks here any more."
    assert said not in client.get(f"/webhooks/{hook.pk}/").content.decode()
    Membership.objects.filter(user=olga).update(role=MemberRole.MEMBER)
    assert said in client.get(f"/webhooks/{hook.pk}/").content.decode()
    webhooks.change(hook, name="chat", url="https://ours.example.com/", events=["key"], by=ines)
    assert said not in client.get(f"/webhooks/{hook.pk}/").content.decode()
