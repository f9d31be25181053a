"""One call that gives everything: the bundle beside what the proxy itself says to the same key, and without it."""

from __future__ import annotations

import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from keys.models import Gateway, KeyRole, Lease
from keys.models.intent import HORIZON
from keys.services import bundle, catalog, reconcile
from keys.services.bundle import FEATURES
from keys.services.catalog import SUPPORTS
from keys.services.requests import approve
from portal.litellm import faults, hash_key
from portal.litellm.faults import Answer
from teams.access import SYSTEM
from tests.api.answers import BUNDLE, code, names

pytestmark = pytest.mark.django_db
WISH = {"team": "search", "role": "coding"}
NOT_TAKEN = """tags guardrails blocked permissions allowed_routes metadata aliases config spend user_id team_id duration
user_email key_alias budget_duration model_max_budget model_rpm_limit model_tpm_limit enforced_params"""
FLAG_OF = {  # what a mode is good for, said once more
    "chat": "chat", "embedding": "embeddings", "image_generation": "imageGeneration", "rerank": "reranking",
    "audio_transcription": "audioTranscription", "audio_speech": "audioGeneration",
}  # fmt: skip


def issued(call, by, **wish: Any) -> dict[str, Any]:
    answer = call("post", "keys/", WISH | wish, by=by)
    assert (answer.status_code, answer["Cache-Control"]) == (201, "no-store"), answer.content
    found: dict[str, Any] = answer.json()
    assert set(found) == BUNDLE
    return found


def as_the_proxy_says(proxy, found: dict[str, Any]) -> None:
    """Each figure beside what the proxy answers: to the key itself, and about it."""
    own = proxy.client.with_key(found["key"])
    there = proxy.client.keys.info(hash_key(found["key"]))
    groups = {group.name: group for group in own.model_groups.info()}
    assert sorted(model["id"] for model in found["models"]) == sorted({model.id for model in own.models.list()})
    for model in found["models"]:
        group = groups[model["id"]]
        assert model["mode"] == group.mode
        assert model["provider"] in group.providers
        for name in ("max_input_tokens", "max_output_tokens"):
            assert model[name] == getattr(group, name)
        for name in ("input_cost_per_token", "output_cost_per_token"):
            said, told = model[name], getattr(group, name)
            assert (said is None) == (told is None)
            assert said is None or ("E" not in said and Decimal(said) == told)
        assert model["supports_vision"] is group.supports_vision
        assert model["supports_function_calling"] is group.supports_function_calling
    wanted = dict.fromkeys(FEATURES, False) | {FLAG_OF[group.mode]: True for group in groups.values()}
    wanted["vision"] = any(group.supports_vision for group in groups.values())
    wanted["functionCalling"] = any(group.supports_function_calling for group in groups.values())
    assert found["features"] == wanted
    budget = found["budget"]
    assert (budget is None) == (there.max_budget is None)
    if budget:
        assert (Decimal(budget["max"]), budget["duration"]) == (there.max_budget, there.budget_duration)
        assert abs(Decimal(budget["spent"]) - there.spend) < Decimal("0.000001")
        assert Decimal(budget["remaining"]) == Decimal(budget["max"]) - Decimal(budget["spent"])
        assert there.budget_reset_at == (budget["resets_at"] and timezone.datetime.fromisoformat(budget["resets_at"]))
    rates = {"tpm": there.tpm_limit, "rpm": there.rpm_limit, "parallel": there.max_parallel_requests}
    assert found["rate_limit"] == (rates if any(rates.values()) else None)
    assert abs(timezone.datetime.fromisoformat(found["expires_at"]) - there.expires) < timedelta(seconds=10)
    assert {name: text for name, text in there.metadata.items() if name != "keydesk"} == found["metadata"]


@pytest.mark.parametrize(
    ("role", "opens"),
    [
        ({"models": ["gpt-4o-mini"], "rpm_limit": 7, "metadata": {"stage": "test"}}, {"gpt-4o-mini"}),
        ({"models": [], "all_models": True}, {"gpt-4o", "gpt-4o-mini", "claude-sonnet", "text-embedding-3-small"}),
        ({"models": ["text-embedding-3-small"]}, {"text-embedding-3-small"}),
        ({"max_budget": None, "budget_duration": ""}, {"gpt-4o", "gpt-4o-mini"}),
    ],
    ids=["restricted", "all models", "embedding only", "no budget"],
)
def test_a_bundle_is_what_the_proxy_says_to_that_key(proxy, call, alice, make_role, role, opens):
    make_role(**role)
    found = issued(call, alice)
    as_the_proxy_says(proxy, found)
    assert {model["id"] for model in found["models"]} >= opens
    assert found["catalog"] == "fresh"


def test_a_key_of_the_teams_models_has_those(proxy, call, alice, team, make_role):
    make_role(models=[], all_models=True)
    issued(call, alice)  # now the team is there
    proxy.client.teams.update(team.litellm_id, models=["gpt-4o", "text-embedding-3-small"])
    found = issued(call, alice)
    as_the_proxy_says(proxy, found)
    assert {model["id"] for model in found["models"]} == {"gpt-4o", "text-embedding-3-small"}
    assert (found["features"]["chat"], found["features"]["embeddings"]) == (True, True)
    later = call("get", f"keys/{found['lease']['id']}/bundle/", by=alice).json()
    assert (later["models"], later["features"]) == (found["models"], found["features"])
    assert later["catalog"] == "fresh"


def test_a_budget_that_is_spent_in_part_is_carried_to_the_next_secret(proxy, call, alice, make_role):
    make_role(max_budget=Decimal(2), budget_duration="1d")
    first = issued(call, alice)
    assert (first["budget"]["spent"], first["budget"]["remaining"]) == ("0.000000", "2.000000")
    proxy.client.with_key(first["key"]).chat.completions("gpt-4o", [{"role": "user", "content": "hello " * 40}])
    end = time.monotonic() + 15
    while not proxy.client.keys.info(hash_key(first["key"])).spend:
        assert time.monotonic() < end
        time.sleep(0.2)
    answer = call("post", f"keys/{first['lease']['id']}/rotate/", {"grace": 0}, by=alice)
    second = answer.json()
    assert (answer.status_code, set(second)) == (200, BUNDLE)
    as_the_proxy_says(proxy, second)
    assert 0 < Decimal(second["budget"]["spent"]) < 2


# --- unset is null ----------------------------------------------------------------------------------


def test_what_is_not_set_is_null_and_never_nought(sandbox, call, alice, make_role):
    make_role(models=["text-embedding-3-small", "nobody-knows-it"], max_budget=None, budget_duration="")
    found = issued(call, alice)
    assert (found["budget"], found["rate_limit"], found["tags"], found["metadata"]) == (None, None, [], {})
    models = {model["id"]: model for model in found["models"]}
    unknown = models["nobody-knows-it"]
    assert {name for name, value in unknown.items() if value is not None} == {"id", "name"}
    assert unknown["name"] == "Nobody Knows It"
    assert models["text-embedding-3-small"]["max_output_tokens"] is None
    assert models["text-embedding-3-small"]["input_cost_per_token"] == "0.00000002"
    assert models["text-embedding-3-small"]["output_cost_per_token"] == "0"  # it says so: it is free
    assert set(unknown) >= {f"supports_{name}" for name in SUPPORTS}
    assert [name for name, so in found["features"].items() if so] == ["embeddings"]
    assert " ".join(found["features"]) == (
        "chat completion embeddings imageGeneration audioTranscription audioGeneration moderation reranking realtime "
        "ocr batch vision functionCalling"
    )


def test_a_budget_never_has_less_than_nothing_left():
    assert bundle.Budget(Decimal(1), Decimal("1.5"), None, None).remaining == 0


def test_a_pattern_opens_the_models_that_the_proxy_does_not_list_for_it(proxy, call, alice, make_role):
    make_role(models=["gpt-4*"])
    found = issued(call, alice)
    assert {model["id"] for model in found["models"]} >= {"gpt-4o", "gpt-4o-mini"}
    answer = proxy.client.with_key(found["key"]).chat.completions("gpt-4o", [{"role": "user", "content": "hello"}])
    assert answer


# --- nothing comes between a secret and its holder --------------------------------------------------


@pytest.mark.parametrize(
    "trouble", [faults.timed_out(), faults.server_error(500), faults.broken_json(), Answer(200, {})]
)
def test_a_failing_catalog_fails_no_key(sandbox, call, alice, make_role, trouble):
    make_role()
    sandbox.faults.fail_next("/model/info", trouble, times=9)
    found = issued(call, alice)
    assert found["catalog"] == "away"
    assert {model["id"]: model["mode"] for model in found["models"]} == {"gpt-4o": "chat", "gpt-4o-mini": "chat"}
    assert sandbox.status_of(found["key"]) == 200


@pytest.mark.parametrize("trouble", [faults.timed_out(), faults.server_error(500), Answer(403, {"detail": "no"})])
def test_a_key_whose_models_cannot_be_read_in_time_is_handed_over_all_the_same(
    sandbox, call, alice, make_role, trouble
):
    make_role(models=["gpt-4o", "gpt-4*"])
    sandbox.faults.fail_next("/model_group/info", trouble, times=9)
    found = issued(call, alice)
    assert (found["catalog"], [model["id"] for model in found["models"]]) == ("away", ["gpt-4o"])
    assert (found["models"][0]["provider"], found["models"][0]["mode"]) == ("openai", None)
    sandbox.faults.clear()
    assert sandbox.status_of(found["key"]) == 200
    cache.clear()
    catalog.refresh()
    sandbox.faults.fail_next("/model_group/info", trouble, times=9)
    found = issued(call, alice)  # what is cached helps
    assert {model["id"]: model["mode"] for model in found["models"]} == {"gpt-4o": "chat", "gpt-4o-mini": "chat"}


def test_a_slow_first_look_leaves_no_second_one_to_wait_for(sandbox, call, alice, make_role, monkeypatch):
    """All calls of an issue together take 10 s at most; what is left of them is all that a catalog may take."""
    make_role()
    asked: list[float] = []

    def look_up(_: Gateway, *, seconds: float) -> catalog.Catalog:
        asked.append(seconds)
        return catalog.Catalog()

    monkeypatch.setattr(catalog, "look_up", look_up)
    issued(call, alice)
    sandbox.faults.fail_next("/model_group/info", faults.timed_out(), times=9)
    issued(call, alice)
    assert asked[0] == catalog.PATIENCE
    assert asked[1] < catalog.LEAST


@pytest.mark.parametrize("place", ["_of", "_tried"])
def test_a_key_is_handed_over_whatever_breaks_here(sandbox, call, alice, make_role, monkeypatch, place):
    make_role()

    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(bundle, place, broken)
    found = issued(call, alice)
    assert sandbox.status_of(found["key"]) == 200
    assert {model["id"] for model in found["models"]} == {"gpt-4o", "gpt-4o-mini"}


# --- without the secret -----------------------------------------------------------------------------


def test_a_bundle_without_the_secret_is_there_at_any_time(sandbox, call, alice, mallory, make_role, make_key):
    role = make_role(models=["gpt-4o", "gpt-4*"])
    key = make_key(role=role)
    answer = call("get", f"keys/{key.lease.pk}/bundle/", by=alice)
    found = answer.json()
    assert (answer.status_code, set(found), found["key"]) == (200, BUNDLE, None)
    assert [model["id"] for model in found["models"]] == ["gpt-4o", "gpt-4o-mini"]
    assert key.secret not in answer.content.decode()
    assert call("get", f"keys/{key.lease.pk}/bundle/", by=mallory).status_code == 404


def test_a_bundle_is_there_while_the_gateway_is_not(sandbox, call, alice, make_role, make_key):
    lease = make_key(role=make_role(models=[], all_models=True)).lease
    catalog.refresh()
    sandbox.faults.fail_next("*", faults.refused(), times=50)
    found = call("get", f"keys/{lease.pk}/bundle/", by=alice).json()
    assert (found["catalog"], len(found["models"]), found["features"]["chat"]) == ("away", 4, True)
    assert found["budget"]["max"] == "50.000000"


# --- what the caller may use ------------------------------------------------------------------------


def ids(answer) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [model["id"] for model in answer.json()["results"]]


def test_models_are_those_of_the_key_roles_open_to_the_caller(sandbox, call, alice, mallory, ruth, team, make_role):
    make_role(all_teams=False, teams=[team])
    make_role(name="any", models=["gpt-4o", "text-*"])
    make_role(name="over", models=["claude-sonnet"], ended_at=timezone.now())
    found = call("get", "models/", by=alice).json()
    assert {model["id"]: model["roles"] for model in found["results"]} == {
        "gpt-4o": ["any", "coding"], "gpt-4o-mini": ["coding"], "text-embedding-3-small": ["any"],
    }  # fmt: skip
    assert found["results"][0]["gateway"] == "sandbox"
    assert (found["next"], found["previous"], found["catalogs"]) == (None, None, {"sandbox": "fresh"})
    assert (found["features"]["chat"], found["features"]["embeddings"], found["features"]["ocr"]) == (True, True, False)
    assert ids(call("get", "models/", by=mallory)) == ids(call("get", "models/?role=any", by=ruth))
    assert ids(call("get", "models/?team=mobile&gateway=sandbox", by=mallory)) == ["gpt-4o", "text-embedding-3-small"]
    assert ids(call("get", "models/?role=nothing", by=alice)) == ids(call("get", "models/?gateway=no", by=alice)) == []
    assert call("get", "models/?team=mobile", by=alice).status_code == 404
    assert call("get", "models/?rolle=any", by=alice).status_code == 422


def test_a_role_of_every_model_gives_every_model_and_names_where_the_catalog_is_away(sandbox, call, alice, make_role):
    make_role(models=[], all_models=True)
    assert len(ids(call("get", "models/", by=alice))) == 4
    cache.clear()
    sandbox.faults.fail_next("*", faults.refused(), times=50)
    Gateway.objects.update(models_seen=["gpt-4o", "openai/*"])
    found = call("get", "models/", by=alice).json()
    assert ([model["id"] for model in found["results"]], found["catalogs"]) == (["gpt-4o"], {"sandbox": "away"})
    assert found["results"][0]["provider"] == "openai"


# --- orders -----------------------------------------------------------------------------------------


def test_narrower_rates_are_kept_through_renewal_rotation_and_comparison(sandbox, call, alice, make_role):
    role = make_role(rpm_limit=100, ttl=timedelta(hours=2))
    rates = {"rpm_limit": 5, "tpm_limit": 1000, "max_parallel_requests": 2}
    found = issued(call, alice, **rates, ttl="1h")
    assert found["rate_limit"] == {"rpm": 5, "tpm": 1000, "parallel": 2}
    as_the_proxy_says(sandbox, found)
    place = f"keys/{found['lease']['id']}"
    assert call("post", f"{place}/renew/", {"ttl": "2h"}, by=alice).status_code == 200
    second = call("post", f"{place}/rotate/", {"grace": 0}, by=alice).json()
    assert second["rate_limit"] == found["rate_limit"]
    as_the_proxy_says(sandbox, second)
    reconcile.run(sandbox.gateway, by=SYSTEM, now=timezone.now() + HORIZON + timedelta(minutes=1))
    assert call("get", f"{place}/bundle/", by=alice).json()["rate_limit"] == found["rate_limit"]
    assert sandbox.client.keys.info(hash_key(second["key"])).rpm_limit == 5
    role.refresh_from_db()
    assert role.rpm_limit == 100


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"rpm_limit": 101}, "over_limit"),
        ({"rpm_limit": 0}, "invalid"),
        ({"tpm_limit": -1}, "invalid"),
        ({"tpm_limit": 2**31}, "invalid"),
        ({"max_parallel_requests": "many"}, "invalid"),
    ],
)
def test_no_rate_is_more_than_the_role_gives(sandbox, call, alice, make_role, wish, said):
    make_role(rpm_limit=100, excess="platform")
    answer = call("post", "keys/", WISH | wish | {"purpose": "a load test"}, by=alice)
    assert (code(answer), names(answer)) == ((422, said), list(wish))
    assert not Lease.objects.exists()


def test_what_only_a_key_role_sets_is_refused_and_not_dropped(sandbox, call, alice, make_role):
    make_role()
    for field in NOT_TAKEN.split():
        answer = call("post", "keys/", WISH | {field: "x"}, by=alice)
        assert (code(answer), names(answer)) == ((422, "unknown_field"), [field])
    assert not Lease.objects.exists()


def test_alias_is_another_word_for_the_name(sandbox, call, alice, make_role):
    make_role()
    assert issued(call, alice, alias="Notebook")["lease"]["name"] == "Notebook"
    assert issued(call, alice, alias="Notebook", name="Notebook")["lease"]["name"] == "Notebook"
    assert code(call("post", "keys/", WISH | {"alias": "A", "name": "B"}, by=alice)) == (422, "invalid")


def test_what_a_person_decides_is_asked_for_once_and_claimed_as_it_was_ordered(sandbox, call, alice, bob, make_role):
    make_role(approval="team", rpm_limit=100)
    wish = WISH | {"purpose": "the index", "rpm_limit": 5, "max_budget": "10"}
    answer = call("post", "keys/", wish, by=alice)
    asked = answer.json()["request"]
    assert (answer.status_code, asked["state"], asked["purpose"]) == (202, "pending", "the index")
    assert not Lease.objects.exists()
    again = call("post", "keys/", wish, by=alice)
    assert (again.status_code, again.json()["request"]["id"]) == (202, asked["id"])
    other = call("post", "keys/", wish | {"max_budget": "11"}, by=alice).json()["request"]
    assert other["id"] != asked["id"]
    request = KeyRole.objects.get().requests.get(pk=asked["id"])
    approve(request, by=bob)
    answer = call("post", f"requests/{asked['id']}/claim/", by=alice)
    found = answer.json()
    assert set(found) == BUNDLE
    assert found["rate_limit"] == {"rpm": 5, "tpm": None, "parallel": None}
    assert found["budget"]["max"] == "10.000000"
    as_the_proxy_says(sandbox, found)


def test_an_order_with_a_name_of_its_own_is_asked_for_once(client, bearer, sandbox, alice, make_role):
    make_role(approval="team")
    headers = bearer(alice) | {"Idempotency-Key": "order-1"}
    wish = WISH | {"purpose": "the index"}
    first, second = (
        client.post("/api/v1/keys/", wish, content_type="application/json", headers=headers) for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["request"]["id"] == second.json()["request"]["id"]
    assert second["Idempotency-Replayed"] == "true"


def test_who_asks_a_person_says_what_for(sandbox, call, alice, make_role):
    make_role(approval="team")
    answer = call("post", "keys/", WISH, by=alice)
    assert (code(answer), names(answer)) == ((422, "invalid"), ["purpose"])
