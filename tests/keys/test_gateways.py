"""Gateways: entered, checked, changed, away and back."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.db.models import F
from django.utils import timezone
from requests.adapters import HTTPAdapter

from keys.models import Gateway
from keys.models.gateway import SANDBOX_URL
from keys.services import gateways, leases
from keys.services.errors import GatewayAway, NotConfigured
from keys.services.minting import new_secret
from portal.errors import Invalid, NotAllowed
from portal.litellm import faults, hash_key
from teams.access import SYSTEM
from tests.conftest import LIVE_KEY, LIVE_URL, NO_LIVE

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_master_key_lies_encrypted(sandbox):
    with connection.cursor() as cursor:
        cursor.execute("select master_key from keys_gateway")
        (stored,) = cursor.fetchone()
    assert sandbox.gateway.master_key not in stored
    assert Gateway.objects.get().master_key == sandbox.gateway.master_key


def test_without_a_gateway_the_answer_says_what_to_do(db):
    with pytest.raises(NotConfigured) as refused:
        gateways.default()
    assert "LITELLM_BASE_URL" in refused.value.action


def test_first_start_makes_the_sandbox_and_never_a_second_one(db, settings):
    settings.LITELLM_BASE_URL = ""
    made = gateways.from_environment(by=SYSTEM)
    assert made.base_url == SANDBOX_URL
    assert made.is_default
    assert made.models_seen
    assert gateways.from_environment(by=SYSTEM) is None
    assert Gateway.objects.count() == 1


def test_the_environments_proxy_becomes_the_default_and_nothing_is_re_pointed(sandbox, settings, live_answers):
    settings.LITELLM_BASE_URL, settings.LITELLM_MASTER_KEY = "http://proxy.example/", "sk-example-master"
    live_answers("http://proxy.example")
    made = gateways.from_environment(by=SYSTEM)
    assert (made.base_url, made.name, made.is_default) == ("http://proxy.example", "proxy.example", True)
    sandbox.gateway.refresh_from_db()
    assert (sandbox.gateway.base_url, sandbox.gateway.is_default) == (SANDBOX_URL, False)

    settings.LITELLM_MASTER_KEY = "sk-example-master-2"
    again = gateways.from_environment(by=SYSTEM)
    assert again.pk == made.pk
    assert again.master_key == "sk-example-master-2"
    assert again.version == made.version + 1


@pytest.fixture
def live_answers(monkeypatch):
    """Let an address be answered by a sandbox, so that no test leaves the machine."""

    def answer(url: str) -> None:
        from portal.litellm.sandbox import Sandbox, SandboxAdapter

        def transport(gateway):
            if gateway.is_sandbox:
                return original(gateway)
            return {url: SandboxAdapter(Sandbox(gateways.settings.SANDBOX_FILE, master_key=gateway.master_key))}

        original = gateways.transport
        monkeypatch.setattr(gateways, "transport", transport)

    return answer


def test_a_gateway_is_tried_before_it_is_saved(db, ruth, settings):
    with pytest.raises(GatewayAway):
        gateways.make(by=ruth, name="eu", base_url="http://127.0.0.1:9", master_key="sk-example-1")
    assert not Gateway.objects.exists()


@pytest.mark.live
def test_a_real_proxy_tells_health_models_licence_and_whether_keys_may_be_chosen(db, ruth):
    if not LIVE_URL:
        pytest.skip(NO_LIVE)
    made = gateways.make(by=ruth, name="eu", base_url=f"{LIVE_URL}/", master_key=LIVE_KEY)
    assert made.base_url == LIVE_URL
    assert made.chosen_keys is True
    assert made.litellm_version
    assert made.licence["type"] == "community"
    assert "gpt-4o" in made.models_seen
    assert made.checked_at


@pytest.mark.live
def test_a_wrong_master_key_is_refused_with_its_field_named(db, ruth):
    if not LIVE_URL:
        pytest.skip(NO_LIVE)
    with pytest.raises(Invalid) as refused:
        gateways.make(by=ruth, name="eu", base_url=LIVE_URL, master_key="sk-example-wrong")
    assert "master_key" in refused.value.details
    assert "sk-example-wrong" not in str(refused.value.details)


@pytest.mark.parametrize("url", ["ftp://x", "llm.example.com", "http://user:pass@llm.example.com", ""])
def test_an_address_that_is_none_is_refused(db, ruth, url):
    with pytest.raises(Invalid) as refused:
        gateways.make(by=ruth, name="eu", base_url=url, master_key="sk-example-1")
    assert "base_url" in refused.value.details


def test_a_blank_master_key_keeps_the_stored_one(sandbox, ruth):
    changed = gateways.change(sandbox.gateway, by=ruth, master_key="", timeout=12)
    assert changed.master_key == sandbox.gateway.master_key
    assert (changed.timeout, changed.version) == (12, 2)


def test_a_changed_master_key_is_used_at_the_very_next_act(sandbox, ruth, team, alice, make_key, monkeypatch):
    make_key()
    rekeyed = new_secret()
    Gateway.objects.update(master_key=rekeyed, version=F("version") + 1)  # as another process would have
    with gateways.calling(sandbox.gateway, by=SYSTEM) as line:
        prepared = line.client.prepare.models.list()
    assert prepared.headers["Authorization"] == f"Bearer {rekeyed}"


def test_a_base_url_moves_only_to_a_place_that_knows_our_keys(sandbox, ruth, make_key, live_answers, tmp_path):
    make_key()
    live_answers("http://moved.example")
    there = {"base_url": "http://moved.example", "master_key": sandbox.gateway.master_key}
    moved = gateways.change(sandbox.gateway, by=ruth, **there)  # the same proxy
    assert moved.base_url == "http://moved.example"

    gateways.settings.SANDBOX_FILE = tmp_path / "another.sqlite3"
    live_answers("http://other.example")
    with pytest.raises(Invalid) as refused:
        gateways.change(moved, by=ruth, **there | {"base_url": "http://other.example"})
    assert "base_url" in refused.value.details
    assert Gateway.objects.get().base_url == "http://moved.example"


def test_only_platform_admins_enter_and_change_gateways(sandbox, ines, audra):
    for actor in (ines, audra):
        with pytest.raises(NotAllowed):
            gateways.make(by=actor, name="eu", base_url="http://x.example", master_key="sk-example-1")
        with pytest.raises(NotAllowed):
            gateways.change(sandbox.gateway, by=actor, timeout=1)
        with pytest.raises(NotAllowed):
            gateways.check(sandbox.gateway, by=actor)


def test_an_away_gateway_is_left_alone_for_a_while_by_every_process(sandbox, team, make_key):
    sandbox.faults.fail_next("/v2/team/list", faults.refused(), times=3)
    with pytest.raises(GatewayAway):
        make_key()
    asked = len(sandbox.faults.calls)
    with pytest.raises(GatewayAway):
        make_key()
    assert len(sandbox.faults.calls) == asked  # the breaker answered

    with time_machine.travel(timezone.now() + timedelta(seconds=6)):
        assert make_key().secret
    sandbox.gateway.refresh_from_db()
    assert sandbox.gateway.away_since is None


def test_a_person_can_have_an_away_gateway_tried_at_once(sandbox, ruth):
    sandbox.gateway.went_away("test", timezone.now())
    checked = gateways.check(sandbox.gateway, by=ruth)
    assert checked.away_since is None
    assert checked.chosen_keys is True


def test_a_hanging_gateway_never_takes_every_thread(sandbox, monkeypatch):
    import threading

    monkeypatch.setattr(gateways, "_places", threading.BoundedSemaphore(1))
    monkeypatch.setattr(gateways, "GETTING_IN_LINE", 0.01)
    with (
        gateways.calling(sandbox.gateway, by=SYSTEM),
        pytest.raises(GatewayAway, match="wait"),
        gateways.calling(sandbox.gateway, by=SYSTEM),
    ):
        pass


def test_one_act_waits_ten_seconds_in_all(sandbox, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(gateways.time, "monotonic", lambda: clock[0])
    line = gateways.Line(sandbox.client, gateways.PATIENCE)
    assert line.client
    clock[0] += 10.1
    with pytest.raises(GatewayAway):
        _ = line.client


def test_the_acting_person_is_named_to_the_proxy(sandbox, alice):
    with gateways.calling(sandbox.gateway, by=alice) as line:
        prepared = line.client.prepare.models.list()
    assert prepared.headers["LiteLLM-Changed-By"] == alice.litellm_id


def test_a_gateway_with_its_own_authority_is_called_with_it(sandbox, ruth, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    changed = gateways.change(sandbox.gateway, by=ruth, check_first=False, ca_bundle="-----BEGIN CERTIFICATE-----")
    assert gateways._ca_file(changed) == str(tmp_path / "ca" / f"{changed.pk}-{changed.version}.pem")
    assert HTTPAdapter is not None


def test_the_sandbox_is_there_only_while_a_gateway_uses_it(sandbox, team, make_key):
    app = gateways.sandbox_app()
    assert app is not None
    issued = make_key()
    assert hash_key(issued.secret) in sandbox.keys_there(team)
    leases.revoke(issued.lease, by=SYSTEM)
    Gateway.objects.update(base_url="http://elsewhere.example")
    assert gateways.sandbox_app() is None
