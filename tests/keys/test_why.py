"""Why a call was refused: LiteLLM's errors as they were recorded, and the one limit that binds along the chain."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from keys.models import Counter, KeyVersion, Lease
from keys.services import leases, refused
from keys.services.refused import Cause
from keys.services.refused.ways import Do
from portal.litellm import hash_key
from teams.models import Membership
from tests.conftest import ended

SECRET = "sk-" + "never-to-be-seen-again"


def openai(message, kind=None, code="401", **more):
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code, **more}})


# As the proxy of the rig answered them (LiteLLM 1.106.2), shortened where it repeats itself.
BUDGET = openai(
    "Budget has been exceeded! Key=key (sk-...x_hg) Current cost: 1.39, Max budget: 0.01", "budget_exceeded", "422"
)
UNKNOWN = openai(
    f"Authentication Error, Invalid proxy server token passed. Received API Key = sk-...hMfw, Key Hash (Token) ="
    f"{'c7' * 32}. Unable to find token in cache or `LiteLLM_VerificationTokenTable`",
    "token_not_found_in_db",
)
EXPIRED = openai("Authentication Error - Expired Key. Key Expiry time 2026-11-21 08:24:43+00:00", "expired_key")
BLOCKED = openai("Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.", "auth_error")
MODEL = openai(
    "The requested model 'claude-sonnet' is not available for this API key.", "key_model_access_denied", "403"
)
RATES = openai(
    f"Rate limit exceeded for api_key: {'0f' * 32}. Limit type: requests. Current limit: 1, Remaining: 0. "
    "Limit resets at: 2026-11-21 08:25:45 UTC", "throttling_error", "429",
)  # fmt: skip
NO_KEY = openai("Authentication Error, No api key passed in.", "auth_error")
RIGHTS = openai("Authentication Error, Only proxy admin can be used to generate, delete, update info for new keys")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (BUDGET, Cause.BUDGET),
        (UNKNOWN, Cause.UNKNOWN_KEY),
        (EXPIRED, Cause.EXPIRED),
        (BLOCKED, Cause.BLOCKED),
        (MODEL, Cause.MODEL),
        (RATES, Cause.RATES),
        (NO_KEY, Cause.NO_KEY),
        (RIGHTS, Cause.RIGHTS),
        (
            openai("/chat/completions: Invalid model name passed in model=nope. Call `/v1/models`", code="400"),
            Cause.MODEL,
        ),
        (f"Error code: 422 - {json.loads(BUDGET)}", Cause.BUDGET),  # as Python's client prints it
        ("openai.BadRequestError: Budget has been exceeded! Team=t-1 Current cost: 5", Cause.BUDGET),
        (f"HTTP/1.1 429 Too Many Requests\ncontent-type: application/json\n\n{RATES}", Cause.RATES),
        ('{"detail": {"error": "Key is blocked."}}', Cause.BLOCKED),
        ('{"detail": [{"type": "missing", "loc": ["body", "model"], "msg": "Field required"}]}', Cause.UNCLEAR),
        ("litellm.RateLimitError: RateLimitError: OpenAIException - You exceeded your current quota", Cause.PROVIDER),
        ("httpx.ConnectError: [Errno 111] Connection refused", Cause.AWAY),
        (openai("Internal server error", "internal_server_error", "500"), Cause.SERVER),
        ("the cat sat on the keyboard", Cause.UNCLEAR),
        ("{" * 5000, Cause.UNCLEAR),
    ],
)
def test_an_error_is_told_by_its_shape_type_or_sentence(text, cause):
    assert refused.read(text).cause == cause


def test_what_is_read_of_an_error_is_numbers_and_names():
    found = refused.read(BUDGET)
    assert (found.status, found.kind, found.scope, found.endings) == (422, "budget_exceeded", "key", ("sk-...x_hg",))
    assert refused.read(MODEL).model == "claude-sonnet"
    assert refused.read(UNKNOWN).hashes == ("c7" * 32,)


def test_a_secret_in_a_text_leaves_nothing_but_its_hash():
    text = openai(f"The requested model '{SECRET}' is not available. Authorization: Bearer {SECRET}")
    found = refused.read(f"curl -H 'Authorization: Bearer {SECRET}'\n{text}")
    assert found.hashes == (hash_key(SECRET),)
    assert found.held_secret
    assert SECRET[3:] not in repr(found)
    assert not refused.read(SECRET).is_error
    token = "hvs." + "aB3" * 8
    assert refused.read(f"The requested model '{token}' is not available.").model == ""


@pytest.fixture
def lease(sandbox, make_key):
    return Lease.objects.rows().get(pk=make_key(name="notebook").lease.pk)


def again(lease):
    return Lease.objects.rows().get(pk=lease.pk)


def count_at_gateway(lease, spend, limit=None, holder=None):
    """As the sync writes down what the proxy counts."""
    Counter.objects.create(
        gateway=lease.gateway, team=lease.team, holder=holder, spend=Decimal(spend), read_at=timezone.now()
    )


def places(answer):
    return [step.place for step in answer.steps if step.stops]


def test_a_key_that_works_is_stopped_by_nothing_and_the_nearest_budget_is_named(lease):
    answer = refused.walk(lease)
    assert (answer.binding, answer.headline) == (None, "Nothing stops notebook now")
    assert answer.nearest is not None
    assert answer.nearest.kind == "key"


def test_the_budget_that_is_spent_binds_with_who_set_it_and_when_it_resets(lease, alice):
    KeyVersion.objects.filter(lease=lease).update(counter=Decimal(50), counter_at=timezone.now())
    answer = refused.walk(again(lease), refused.read(BUDGET))
    assert places(answer) == ["budget"]
    assert answer.headline == "The budget of notebook is spent"
    assert answer.binding.set_by == "key role coding"
    assert answer.binding.resets_at.day == 1


@pytest.mark.parametrize(
    ("holder", "place", "who"), [(False, "team", "Search Platform"), (True, "holder", "Alice in ")]
)
def test_the_text_says_whose_budget_it_is(lease, team, alice, ines, holder, place, who):
    if holder:
        Membership.objects.filter(user=alice).update(max_budget=Decimal(5))
        text = openai(f"Budget has been exceeded! User={alice.litellm_id} in Team={team.litellm_id}", "budget_exceeded")
    else:
        type(team).objects.filter(pk=team.pk).update(max_budget=Decimal(5), budget_duration="1mo")
        text = openai(f"Budget has been exceeded! Team={team.litellm_id}", "budget_exceeded")
    count_at_gateway(lease, "5", holder=alice if holder else None)
    answer = refused.walk(again(lease), refused.read(text))
    assert places(answer) == [place]
    assert who in answer.headline
    assert refused.ways(answer, alice)[0].do == Do.ASK
    assert "Ines" in refused.ways(answer, alice)[0].second
    first = refused.ways(answer, ines)[0].do
    assert first == (Do.HOLDER_BUDGET if holder else Do.TEAM_BUDGET)


def test_a_text_that_names_no_one_is_about_the_budget_of_its_figure(lease, team):
    """The team has less left by our books; the figure is the key's."""
    type(team).objects.filter(pk=team.pk).update(max_budget=Decimal(100), budget_duration="1mo")
    count_at_gateway(lease, "97")
    for figure, place in (("50", "budget"), ("100.0", "team"), ("7", "team")):
        text = openai(f"Budget has been exceeded! Current cost: 101.2, Max budget: {figure}", "budget_exceeded")
        assert places(refused.walk(again(lease), refused.read(text))) == [place]


def test_our_figure_may_be_older_than_the_gateways_and_that_is_said(lease):
    answer = refused.walk(lease, refused.read(BUDGET))
    assert places(answer) == ["budget"]
    assert "The gateway counts newer calls" in answer.binding.note


def test_a_pause_names_who_did_it_and_only_who_may_lift_it_is_offered_that(lease, alice, bob):
    leases.pause(lease, by=bob, reason="a leak")
    answer = refused.walk(again(lease), refused.read(BLOCKED))
    assert places(answer) == ["key"]
    assert (answer.binding.set_by, "a leak" in answer.headline) == ("Bob", True)
    assert [way.do for way in refused.ways(answer, bob)] == [Do.RESUME]
    assert [way.do for way in refused.ways(answer, alice)] == [Do.ASK]


def test_what_stops_the_key_now_comes_before_what_the_text_tells_of(lease, alice, bob):
    leases.revoke(lease, by=bob, reason="a leak")
    answer = refused.walk(again(lease), refused.read(BUDGET))
    assert places(answer) == ["key"]
    assert answer.binding.set_by.startswith("Bob, on ")
    assert [way.do for way in refused.ways(answer, alice)] == [Do.ANOTHER, Do.SEE]


def test_a_key_whose_time_is_up_is_followed_by_another(lease, alice):
    with time_machine.travel(timezone.now() + timedelta(days=31), tick=False):
        answer = refused.walk(again(lease), refused.read(EXPIRED))
        assert (places(answer), answer.headline) == (["key"], "Its time is up")
        assert Do.ANOTHER in [way.do for way in refused.ways(answer, alice)]


def test_a_refusal_that_is_over_is_said_to_be_over(lease):
    answer = refused.walk(lease, refused.read(EXPIRED))
    assert (answer.binding, answer.headline) == (None, "It was over its time then; it lives now")


def test_an_older_secret_is_told_from_the_key(lease, alice):
    first = lease.current
    leases.rotate(lease, by=alice, grace=leases.REPLACE)
    text = openai(f"Invalid proxy server token passed. Key Hash (Token) ={first.token_hash}.", "token_not_found_in_db")
    meant = refused.keys_meant(refused.read(text), alice)
    assert [version.number for version in meant] == [1]
    answer = refused.walk(again(lease), refused.read(text), meant[0])
    assert places(answer) == ["key"]
    assert "is version 1 of notebook: it ended" in answer.binding.words
    assert [way.do for way in refused.ways(answer, alice)] == [Do.SEE, Do.REPLACE]


def test_a_model_that_the_key_lacks_is_offered_by_another_role(lease, alice, make_role):
    make_role(name="writing", models=["claude-sonnet"])
    answer = refused.walk(lease, refused.read(MODEL))
    assert (places(answer), answer.headline) == (["models"], "It may not call claude-sonnet")
    offered = refused.ways(answer, alice)
    assert (offered[0].do, str(offered[0].role)) == (Do.ROLE, "writing")
    assert Do.RISE not in [way.do for way in offered]


def test_a_rise_is_offered_where_the_role_lets_people_ask_for_more(lease, alice, bob):
    type(lease.role).objects.filter(pk=lease.role_id).update(excess="team")
    by_model = refused.ways(refused.walk(again(lease), refused.read(MODEL)), alice)
    by_money = refused.ways(refused.walk(again(lease), refused.read(BUDGET)), alice)
    assert next(way for way in by_model if way.do == Do.RISE).told["models"] == "claude-sonnet"
    assert [way.do for way in by_money] == [Do.RISE, Do.WAIT]
    assert Do.RISE not in [way.do for way in refused.ways(refused.walk(again(lease), refused.read(BUDGET)), bob)]


def test_a_gateway_that_does_not_answer_is_named_when_nothing_else_stops(lease):
    lease.gateway.went_away("no route", timezone.now())
    assert places(refused.walk(again(lease))) == ["gateway"]


def test_keys_are_found_among_those_that_one_may_see_and_no_others(sandbox, make_key, alice, bob, mallory):
    issued = make_key()
    by_hash, by_ending = refused.read(issued.secret), refused.read(f"Key=key (sk-...{issued.secret[-4:]})")
    for reading in (by_hash, by_ending):
        assert [found.lease for found in refused.keys_meant(reading, alice)] == [issued.lease]
        assert refused.keys_meant(reading, bob)
        assert refused.keys_meant(reading, mallory) == []
    leases.revoke(issued.lease, by=alice)
    assert ended(issued.lease)
    assert refused.keys_meant(by_hash, alice)


def test_a_walk_asks_the_books_as_often_for_many_keys_as_for_one(lease, make_key, django_assert_max_num_queries):
    for _ in range(3):
        make_key()
    fresh = again(lease)
    with django_assert_max_num_queries(9):
        refused.walk(fresh, refused.read(BUDGET))
