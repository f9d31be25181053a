"""Logins of the command line: confirmed by a person, collected once, refreshed, and ended when one was copied."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.core import serializers
from django.utils import timezone

from keys.services import prune
from portal.errors import Invalid, SignInAgain, TooMany
from portal.models import AuditEvent, Letter
from teams import departures
from teams.models import ApiToken, DeviceLogin, ReplacedSecret, User
from teams.roles import PlatformRole
from teams.services import devices, end_token, tokens
from teams.services.logins import FRESH, GRACE, KEPT, LIFE

pytestmark = pytest.mark.django_db(transaction=True)
SECOND = timedelta(seconds=1)


@pytest.fixture
def confirmed(alice):
    """A login of alice's that waits to be collected: what the machine polls with."""
    device, plain = devices.begin("laptop")
    devices.confirm(device, by=alice)
    return plain


@pytest.fixture
def ask(client):
    """Call the API with a token, or none; answers the response."""

    def send(method: str, path: str, body: object = None, plain: str = ""):
        headers = {"Authorization": f"Bearer {plain}"} if plain else {}
        sent = {"content_type": "application/json", "headers": headers, "data": {} if body is None else body}
        return getattr(client, method)(f"/api/v1/{path}", **(sent if method == "post" else {"headers": headers}))

    return send


def code_of(response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


# --- the way in -----------------------------------------------------------------------------------


def test_a_login_is_begun_confirmed_and_collected_once(ask, alice, mailoutbox):
    begun = ask("post", "device/", {"machine": "laptop of  alice"})
    assert (begun.status_code, begun["Cache-Control"]) == (201, "no-store")
    told = begun.json()
    assert (told["interval"], told["expires_in"]) == (3, 600)
    assert told["verify_url_complete"] == f"{told['verify_url']}?code={told['user_code']}"
    poll = {"device_code": told["device_code"]}
    assert code_of(ask("post", "device/token/", poll)) == (400, "authorization_pending")
    assert code_of(ask("post", "device/token/", poll)) == (400, "slow_down")

    found = devices.find(f" {told['user_code'].lower().replace('-', ' ')} ", by=alice)
    assert (found.machine, found.ip) == ("laptop of alice", "127.0.0.1")
    devices.confirm(found, by=alice)
    done = ask("post", "device/token/", poll)
    assert (done.status_code, done["Cache-Control"]) == (200, "no-store")
    plain = done.json()["token"]
    token = ApiToken.objects.get()
    assert (token.kind, token.name, token.owner) == ("login", "keydesk on laptop of alice", alice)
    assert token.scopes == sorted(tokens.scopes_for(alice))
    assert abs(token.expires_at - timezone.now() - LIFE) < 10 * SECOND
    assert ask("get", "keys/", plain=plain).status_code == 200
    assert code_of(ask("post", "device/token/", poll)) == (400, "expired_token")

    acts = [(event.action, event.actor) for event in AuditEvent.objects.order_by("pk")]
    assert acts == [("device.confirmed", alice.audit_name), ("token.made", alice.audit_name)]
    letter = Letter.objects.get()
    assert letter.to == [alice.email]
    assert "laptop of alice" in letter.subject
    rows = [*DeviceLogin.objects.all(), *ApiToken.objects.all(), *AuditEvent.objects.all(), *Letter.objects.all()]
    kept = serializers.serialize("json", rows)
    assert plain not in kept
    assert told["device_code"] not in kept


def test_a_refused_an_old_and_an_unknown_login_give_nothing(ask, alice):
    device, plain = devices.begin("laptop")
    devices.refuse(device, by=alice)
    assert code_of(ask("post", "device/token/", {"device_code": plain})) == (400, "access_denied")
    assert code_of(ask("post", "device/token/", {"device_code": "made up"})) == (400, "expired_token")
    device, plain = devices.begin("laptop")
    with time_machine.travel(timezone.now() + DeviceLogin.LIFE, tick=False):
        assert code_of(ask("post", "device/token/", {"device_code": plain})) == (400, "expired_token")
        with pytest.raises(devices.CodeUnknown):
            devices.find(device.code, by=alice)
        with pytest.raises(devices.CodeUnknown):
            devices.confirm(device, by=alice)
    assert not ApiToken.objects.exists()
    assert prune.prune(timezone.now() + timedelta(days=2))["devices"] == 2


def test_what_one_person_decided_another_cannot_decide_anew(alice, bob):
    device, plain = devices.begin("laptop")
    devices.confirm(device, by=alice)
    for act in (devices.confirm, devices.refuse):
        with pytest.raises(devices.CodeUnknown):
            act(device, by=bob)
    assert devices.collect(plain)[0].owner == alice


def test_who_was_deactivated_meanwhile_gets_nothing(confirmed, alice):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    for _ in range(2):
        with pytest.raises(devices.AccessDenied):
            devices.collect(confirmed)
    assert not ApiToken.objects.exists()
    assert not Letter.objects.exists()


def test_who_comes_back_after_a_deactivation_signs_in_anew(ask, confirmed, alice, ruth):
    device, plain = devices.begin("laptop")
    devices.confirm(device, by=alice)
    collected = devices.collect(plain)[1]
    departures.deactivate(alice, by=ruth)
    departures.reactivate(alice, by=ruth)
    assert ask("get", "me/", plain=collected).status_code == 401
    with pytest.raises(devices.AccessDenied):
        devices.collect(confirmed)


def test_a_login_has_what_the_person_may_when_it_is_collected(ruth):
    device, plain = devices.begin("laptop")
    devices.confirm(device, by=ruth)
    User.objects.filter(pk=ruth.pk).update(platform_role=PlatformRole.NONE)
    assert not {"platform:read", "platform:manage"} & {*devices.collect(plain)[0].scopes}


def test_to_look_alone_is_to_look_alone(ruth):
    device, plain = devices.begin("laptop")
    devices.confirm(device, by=ruth, only_read=True)
    assert devices.collect(plain)[0].scopes == ["read"]


def test_confirming_takes_a_fresh_sign_in_and_sending_away_does_not(alice):
    alice.signed_in_at = timezone.now() - timedelta(days=1)
    device, _ = devices.begin("laptop")
    with pytest.raises(SignInAgain):
        devices.confirm(device, by=alice)
    devices.refuse(device, by=alice)


def test_codes_cannot_be_tried_one_after_the_other(alice, bob):
    device, _ = devices.begin("laptop")
    for _ in range(devices.TRIES):
        with pytest.raises(devices.CodeUnknown):
            devices.find("CCCC-CCCC", by=alice)
    with pytest.raises(TooMany):
        devices.find(device.code, by=alice)
    with pytest.raises(TooMany):  # by somebody else from the same address
        devices.find(device.code, by=bob)
    with time_machine.travel(timezone.now() + timedelta(minutes=1), tick=False):
        assert devices.find(device.code, by=alice) == device


def test_one_address_cannot_begin_logins_without_end(ask):
    for _ in range(devices.STARTS):
        assert ask("post", "device/", {"machine": "laptop"}).status_code == 201
    refused = ask("post", "device/", {"machine": "laptop"})
    assert code_of(refused) == (429, "too_many")
    assert int(refused["Retry-After"]) <= 61


@pytest.mark.parametrize("machine", ["", " ", "\u202e\u200b", "x" * 61])
def test_a_machine_needs_a_name(machine):
    with pytest.raises(Invalid):
        devices.begin(machine)


def test_the_name_of_a_machine_cannot_be_made_to_look_like_another(alice):
    device, _ = devices.begin("lap\u202etop\u200b of\nalice")
    assert device.machine == "lap top of alice"


def test_codes_have_no_letters_that_look_alike():
    codes = "".join(DeviceLogin.choose_code() for _ in range(200))
    assert not {*codes} & {*"0O1IL2Z5S8BUAEI"}
    assert len({*codes}) > 15


# --- refreshed while it is used -------------------------------------------------------------------


def test_a_login_is_refreshed_and_its_old_secret_is_good_for_a_minute(ask, confirmed, alice):
    token, first = devices.collect(confirmed)
    now = timezone.now()
    with time_machine.travel(now + FRESH, tick=False):
        answer = ask("post", "tokens/current/refresh/", plain=first)
        assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
        second = answer.json()["token"]
        assert second != first
        assert ask("get", "keys/", plain=second).status_code == 200
        assert ask("get", "keys/", plain=first).status_code == 200
        again = ask("post", "tokens/current/refresh/", plain=first).json()["token"]  # the first answer was lost
    with time_machine.travel(now + FRESH + GRACE / 2, tick=False):
        assert ask("get", "keys/", plain=again).status_code == 200
    token.refresh_from_db()
    assert abs(token.expires_at - now - FRESH - LIFE) < 10 * SECOND
    assert ApiToken.objects.count() == 1
    assert AuditEvent.objects.filter(action="token.refreshed").count() == 2


def test_a_replaced_secret_that_comes_back_ends_the_login(ask, confirmed, alice):
    token, first = devices.collect(confirmed)
    second = ask("post", "tokens/current/refresh/", plain=first).json()["token"]
    with time_machine.travel(timezone.now() + GRACE + SECOND, tick=False):
        assert ask("get", "keys/", plain=first).status_code == 401
        assert ask("get", "keys/", plain=second).status_code == 401  # whose it is, nobody knows
        assert ask("get", "keys/", plain=first).status_code == 401
    token.refresh_from_db()
    assert token.ended_at
    acts = [event.action for event in AuditEvent.objects.order_by("pk")]
    assert acts.count("token.copied") == acts.count("token.ended") == 1
    assert "was ended" in Letter.objects.get(kind="person.login_copied").subject


def test_a_login_ends_after_a_week_without_use_and_after_90_days_with_it(ask, confirmed):
    token, plain = devices.collect(confirmed)
    began = timezone.now()
    with time_machine.travel(began + LIFE + SECOND, tick=False):
        assert ask("get", "keys/", plain=plain).status_code == 401
    day = began
    while day < began + KEPT:
        with time_machine.travel(day, tick=False):
            answer = ask("post", "tokens/current/refresh/", plain=plain)
            assert answer.status_code == 200
            plain = answer.json()["token"]
        day += timedelta(days=6)
    token.refresh_from_db()
    assert token.expires_at == token.refreshable_until
    with time_machine.travel(token.expires_at, tick=False):
        assert ask("post", "tokens/current/refresh/", plain=plain).status_code == 401


def test_an_ordinary_token_and_a_session_are_not_refreshed(ask, client, bearer, alice):
    plain = bearer(alice)["Authorization"].removeprefix("Bearer ")
    assert code_of(ask("post", "tokens/current/refresh/", plain=plain)) == (409, "no_login")
    client.force_login(alice)
    assert code_of(ask("post", "tokens/current/refresh/")) == (409, "no_login")
    assert code_of(ask("post", "tokens/current/end/")) == (409, "no_login")


def test_the_token_in_use_is_ended_by_itself(ask, confirmed):
    _, plain = devices.collect(confirmed)
    assert ask("post", "tokens/current/end/", plain=plain).status_code == 204
    assert ask("get", "keys/", plain=plain).status_code == 401
    assert AuditEvent.objects.get(action="token.ended").actor


def test_its_owner_sees_and_ends_a_login_and_its_old_secrets_go_with_it(ask, confirmed, alice):
    token, first = devices.collect(confirmed)
    second = ask("post", "tokens/current/refresh/", plain=first).json()["token"]
    assert ReplacedSecret.objects.count() == 1
    end_token(token, by=alice)
    for plain in (first, second):  # the first is within its minute
        assert ask("get", "keys/", plain=plain).status_code == 401


@pytest.mark.parametrize("act", ["end", "refresh"])
def test_what_one_login_was_told_another_of_the_same_person_is_not(client, alice, act):
    def ask(machine: str):
        device, code = devices.begin(machine)
        devices.confirm(device, by=alice)
        headers = {"Authorization": f"Bearer {devices.collect(code)[1]}", "Idempotency-Key": "bye"}
        return client.post(f"/api/v1/tokens/current/{act}/", {}, content_type="application/json", headers=headers)

    first, second = ask("laptop"), ask("desktop")
    assert first.status_code in {200, 204}
    assert code_of(second) == (422, "idempotency_mismatch")


def test_no_letter_says_that_a_login_ends_soon(confirmed):
    devices.collect(confirmed)
    assert tokens.announce_ends(timezone.now() + timedelta(days=6, hours=12)) == 0


def test_no_secret_of_a_login_is_in_what_a_repeated_call_hears(ask, client, confirmed):
    _, plain = devices.collect(confirmed)
    headers = {"Authorization": f"Bearer {plain}", "Idempotency-Key": "once"}
    sent = {"content_type": "application/json", "headers": headers, "data": {}}
    assert client.post("/api/v1/tokens/current/refresh/", **sent).json()["token"]
    assert not client.post("/api/v1/tokens/current/refresh/", **sent).json().get("token")
