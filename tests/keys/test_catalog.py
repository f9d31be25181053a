"""The catalog of a gateway: one for each, cached with an end, refreshed by a sweep, and never in anybody's way."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
import time_machine
from django.core.cache import cache
from django.utils import timezone

from keys import tasks
from keys.models import Gateway
from keys.services import catalog, gateways
from keys.services.catalog import Age, Catalog, Model
from keys.services.minting import new_secret
from portal.litellm import ModelGroup, faults
from portal.litellm.faults import Answer
from portal.models import AuditEvent

pytestmark = pytest.mark.django_db
READS = ("/model/info", "/model_group/info")


def kept(gateway: Gateway) -> str:
    return catalog._key(gateway)


def no_reads(sandbox) -> None:
    """From now on nobody may ask the gateway for its models."""
    for path in READS:
        sandbox.faults.fail_next(path, AssertionError("asked the gateway"), times=100)


def test_it_is_read_once_and_cached(sandbox):
    first = catalog.look_up(sandbox.gateway)
    assert (first.age, first.models["gpt-4o"].provider, first.models["gpt-4o"].mode) == (Age.FRESH, "openai", "chat")
    no_reads(sandbox)
    assert catalog.look_up(sandbox.gateway) == first


def test_it_is_stale_after_an_hour_and_gone_after_a_day_and_the_sweep_makes_it_fresh(sandbox):
    catalog.look_up(sandbox.gateway)
    now = timezone.now()
    for later, age in ((timedelta(minutes=59), "fresh"), (timedelta(hours=1, minutes=1), "stale"),
                       (timedelta(hours=23), "stale"), (timedelta(hours=25), "away")):  # fmt: skip
        with time_machine.travel(now + later):
            assert catalog.look_up(sandbox.gateway, seconds=0).age == age
    with time_machine.travel(now + timedelta(hours=2)):
        assert tasks.refresh_catalogs() == {"read": 1, "away": 0}
        assert catalog.look_up(sandbox.gateway, seconds=0).age == Age.FRESH


def test_a_sweep_that_cannot_read_one_leaves_the_stale_one_and_reads_the_others(sandbox):
    catalog.look_up(sandbox.gateway)
    Gateway.objects.create(name="gone", base_url="http://127.0.0.1:9", master_key=new_secret())
    sandbox.faults.fail_next("/model/info", faults.server_error(500), times=9)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert tasks.refresh_catalogs() == {"read": 0, "away": 2}
        assert catalog.look_up(sandbox.gateway, seconds=0).age == Age.STALE


@pytest.mark.parametrize(
    "trouble",
    [faults.refused(), faults.timed_out(), faults.server_error(500), faults.broken_json(), faults.not_the_proxy(),
     Answer(200, {"data": [7]}), Answer(200, {"data": None}), Answer(401, {"error": {"message": "no"}})],
    ids=["refused", "slow", "500", "broken", "502", "odd rows", "no rows", "401"],
)  # fmt: skip
def test_a_gateway_that_does_not_tell_is_away_and_is_left_alone_for_a_minute(sandbox, trouble):
    for path in READS:
        cache.clear()
        sandbox.faults.fail_next(path, trouble, times=9)
        assert catalog.look_up(sandbox.gateway) == Catalog()
        sandbox.faults.clear()
        Gateway.objects.update(away_since=None, next_try_at=None)
        assert catalog.look_up(sandbox.gateway).age == Age.AWAY
        cache.delete(catalog._key(sandbox.gateway, "catalog-failed"))  # its minute is over
        assert catalog.look_up(sandbox.gateway).age == Age.FRESH


def test_a_slow_catalog_calls_no_gateway_away_and_a_dead_gateway_is_not_called_back(sandbox):
    sandbox.faults.fail_next("/model/info", faults.timed_out(), times=9)
    catalog.look_up(sandbox.gateway)
    sandbox.gateway.refresh_from_db()
    assert sandbox.gateway.away_since is None
    cache.clear()
    Gateway.objects.update(away_since=timezone.now(), next_try_at=timezone.now() - timedelta(seconds=1))
    no_reads(sandbox)
    assert catalog.look_up(sandbox.gateway).age == Age.AWAY
    assert Gateway.objects.get().away_since
    assert not AuditEvent.objects.filter(action="gateway.back").exists()


@pytest.mark.parametrize(
    "poison",
    [
        7, [], {}, b"\xff", "{", "null", "[]", '{"models": []}', '{"read_at": "now", "models": []}',
        '{"read_at": null, "models": []}', '{"read_at": "2026-01-01T00:00:00", "models": []}',
        '{"read_at": "9999-01-01T00:00:00+00:00", "models": []}', {"read_at": timezone.now(), "models": [Model("x")]},
    ],
)  # fmt: skip
def test_what_else_lies_in_the_cache_is_read_anew(sandbox, poison):
    cache.set(kept(sandbox.gateway), poison)
    assert catalog.look_up(sandbox.gateway).models["gpt-4o"].mode == "chat"


GOOD = {
    "id": "m", "provider": "p", "mode": "chat", "max_tokens": 1, "max_input_tokens": None, "max_output_tokens": None,
    "input_cost_per_token": "0.1", "output_cost_per_token": None, "supports": {"vision": True},
}  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [{"id": None}, {"id": 7}, {"mode": []}, {"max_tokens": "many"}, {"input_cost_per_token": "dear"}, {"supports": 1},
     {"input_cost_per_token": []}, {"supports": None}, {"provider": {"a": 1}}],
    ids=str,
)  # fmt: skip
def test_rows_that_this_code_would_not_have_written_are_read_anew(sandbox, odd):
    told = {"read_at": timezone.now().isoformat(), "models": [GOOD | odd]}
    cache.set(kept(sandbox.gateway), json.dumps(told))
    assert "gpt-4o" in catalog.look_up(sandbox.gateway).models
    cache.set(kept(sandbox.gateway), json.dumps(told | {"models": [GOOD]}))
    assert catalog.look_up(sandbox.gateway).models["m"].supports == {"vision": True}


def test_a_cache_that_is_away_costs_only_time(sandbox, monkeypatch):
    def away(*_, **__):
        raise ConnectionError("the cache is away")

    monkeypatch.setattr(catalog, "cache", SimpleNamespace(get=away, set=away, add=away))
    assert catalog.look_up(sandbox.gateway).age == Age.FRESH
    assert catalog.refresh() == {"read": 1, "away": 0}


def test_each_gateway_has_its_own_and_another_address_starts_anew(sandbox):
    catalog.look_up(sandbox.gateway)
    other = Gateway.objects.create(name="other", base_url="http://127.0.0.1:9", master_key=new_secret())
    assert catalog.look_up(other) == Catalog()
    Gateway.objects.filter(pk=sandbox.gateway.pk).update(version=sandbox.gateway.version + 1)
    sandbox.gateway.refresh_from_db()
    assert catalog.look_up(sandbox.gateway, seconds=0) == Catalog()


def test_two_deployments_of_one_name_are_one_model(sandbox):
    for cost, window in ((1e-6, {"max_input_tokens": 100}), (2e-6, {})):
        params = {"model": "openai/gpt-4o", "input_cost_per_token": cost}
        sandbox.client.models.new("twin", params, window)
    found = catalog.look_up(sandbox.gateway).models["twin"]
    assert (found.provider, found.mode, found.supports["vision"]) == ("openai", "chat", True)
    one = Model("m", "p", None, 5, None, 3, Decimal(1), None, {"vision": False, "reasoning": None})
    two = Model("m", None, "chat", 4, 9, None, Decimal(2), None, {"vision": True})
    both = catalog._together(one, two)
    assert (both.provider, both.mode, both.max_tokens, both.max_input_tokens, both.max_output_tokens) == (
        "p", "chat", 5, 9, 3)  # fmt: skip
    assert (both.input_cost_per_token, both.output_cost_per_token) == (Decimal(2), None)
    assert (both.supports["vision"], both.supports["reasoning"]) == (True, None)


def test_the_models_of_one_team_of_the_proxy_and_its_patterns_are_not_in_it(sandbox):
    def row(name: str, **info: str) -> dict[str, object]:
        return {"model_name": name, "litellm_params": {"model": f"openai/{name}"}, "model_info": info}

    told = [row("ours", mode="chat"), row("wild/*"), row("inner", team_id="t1", team_public_model_name="theirs")]
    groups = [{"model_group": name, "providers": ["openai"], "mode": "chat"} for name in ("ours", "theirs", "inner")]
    sandbox.faults.fail_next("/model/info", Answer(200, {"data": told}))
    sandbox.faults.fail_next("/model_group/info", Answer(200, {"data": groups}))
    assert list(catalog.look_up(sandbox.gateway).models) == ["ours"]


def deployment(name: str, model: str, **info: object) -> dict[str, object]:
    return {"model_name": name, "litellm_params": {"model": model}, "model_info": info}


def test_one_odd_model_hides_none_of_the_others(sandbox):
    odd = {"max_tokens": "8k", "input_cost_per_token": "cheap", "mode": 7, "supports_vision": "perhaps"}
    told = [deployment("odd", "openai/odd", **odd), deployment("good", "openai/gpt-4o", mode="chat", max_tokens=5)]
    sandbox.faults.fail_next("/model/info", Answer(200, {"data": told}))
    sandbox.faults.fail_next("/model_group/info", Answer(200, {"data": []}))
    found = catalog.look_up(sandbox.gateway).models
    assert (found["good"].mode, found["good"].max_tokens) == ("chat", 5)
    assert (found["odd"].mode, found["odd"].max_tokens, found["odd"].input_cost_per_token) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "model", "info", "provider"),
    [
        ("fast", "openai/gpt-4o", {"litellm_provider": "azure"}, "azure"),  # the proxy knows
        ("fast", "bedrock/anthropic.claude-3-haiku", {}, "bedrock"),  # else what it calls
        ("fast", "claude-sonnet", {}, "anthropic"),  # else whose models are called so
        ("mixtral", "house-model", {}, "mistral"),  # else the name that keys call
        ("fast", "house-model", {}, None),  # else nobody
    ],
)
def test_the_provider_is_what_the_proxy_says_else_what_the_name_tells(sandbox, name, model, info, provider):
    sandbox.faults.fail_next("/model/info", Answer(200, {"data": [deployment(name, model, **info)]}))
    sandbox.faults.fail_next("/model_group/info", Answer(200, {"data": []}))
    assert catalog.look_up(sandbox.gateway).models[name].provider == provider


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"max_input_tokens": 0, "input_cost_per_token": 0.0}, (None, Decimal(0))),  # 0 USD: it is free
        ({"max_input_tokens": -1, "input_cost_per_token": -1}, (None, None)),
        ({"max_input_tokens": 10**15}, (None, None)),
        ({"max_input_tokens": None, "input_cost_per_token": None}, (None, None)),
        ({"max_input_tokens": 128000.0, "input_cost_per_token": "5e-06"}, (128000, Decimal("0.000005"))),
        ({"input_cost_per_token": "NaN"}, (None, None)),
    ],
)
def test_limits_and_prices_that_are_none_are_unset(row, wanted):
    model = catalog.of_group(ModelGroup.read({"model_group": "m", "providers": ["x"], **row}))
    assert (model.max_input_tokens, model.input_cost_per_token) == wanted


def test_a_name_behind_which_nothing_stands_has_no_mode():
    made_up = {"model_group": "nope", "providers": [], "mode": "chat", "supports_vision": False}  # as 1.106.2 answers
    assert catalog.of_group(ModelGroup.read(made_up)) == Model("nope")


@pytest.mark.parametrize(
    ("pattern", "opens"),
    [("gpt-*", True), ("openai/*", True), ("*", True), ("gpt-4o", True), ("claude-*", False), ("azure/*", False)],
)
def test_a_pattern_opens_what_it_opens_on_the_proxy(pattern, opens):
    assert Model("gpt-4o", "openai").under(pattern) is opens


def test_the_sweep_runs_twice_an_hour(settings):
    assert settings.SWEEPS["keys.tasks.refresh_catalogs"] < catalog.FRESH.total_seconds()
    assert gateways.PATIENCE > catalog.PATIENCE
