"""Spend: charged by price, to key, team, member and day; the daily activity is the ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest

from portal.litellm import Invalid, LicenceNeeded

from .conftest import HELLO, eventually


def days():
    """Today and its neighbours, in UTC: a test may run over midnight."""
    today = datetime.now(UTC).date()
    return today - timedelta(days=1), today + timedelta(days=1)


def ledger(proxy, token):
    """What a key did, by model: spend, successful requests, tokens."""
    found: dict[str, tuple[Decimal, int, int]] = {}
    for day in proxy.client.spend.daily_activity(*days(), api_key=token):
        for line in day.by_key_and_model():
            if line.token == token:
                spend, requests, tokens = found.get(line.model, (Decimal(0), 0, 0))
                counted = line.metrics
                found[line.model] = (
                    spend + counted.spend,
                    requests + counted.successful_requests,
                    tokens + counted.total_tokens,
                )
    return found


def lines(proxy, **only):
    return [line for day in proxy.client.spend.daily_activity(*days(), **only) for line in day.by_key_and_model()]


def close(a, b):
    return abs(Decimal(a) - Decimal(b)) < Decimal("0.00000001")


def test_a_call_is_charged_by_price_to_key_team_and_member(proxy):
    team, user = proxy.team(), proxy.user_id()
    proxy.client.teams.member_add(team.team_id, user_id=user)
    key = proxy.key(team_id=team.team_id, user_id=user)
    usage = proxy.client.with_key(key.key).chat.completions("gpt-4o", HELLO).usage
    model = proxy.client.models.get(name="gpt-4o")
    cost = usage["prompt_tokens"] * model.input_cost_per_token
    cost += usage["completion_tokens"] * model.output_cost_per_token
    eventually(lambda: proxy.client.keys.info(key.token).spend)
    seen = proxy.client.keys.info(key.token)
    assert close(seen.spend, cost)
    assert close(seen.total_spend, cost)
    assert seen.last_active is not None
    eventually(lambda: proxy.client.teams.info(team.team_id).team.spend)
    assert close(proxy.client.teams.info(team.team_id).team.spend, cost)
    [member] = [m for m in proxy.client.teams.info(team.team_id).memberships if m.user_id == user]
    assert close(member.spend, cost)


def test_the_ledger_has_key_by_model_by_day(proxy):
    key = proxy.key(alias=proxy.name("ledger"))
    asked = proxy.client.with_key(key.key)
    used = [asked.chat.completions(model, HELLO).usage["total_tokens"] for model in ("gpt-4o", "gpt-4o")]
    asked.chat.completions("gpt-4o-mini", HELLO)
    eventually(lambda: len(ledger(proxy, key.token)) == 2)
    found = ledger(proxy, key.token)
    assert set(found) == {"openai/gpt-4o", "openai/gpt-4o-mini"}
    spend, requests, tokens = found["openai/gpt-4o"]
    assert (requests, tokens) == (2, sum(used))
    assert spend > 0
    eventually(lambda: close(proxy.client.keys.info(key.token).spend, sum(line[0] for line in found.values())))


def test_the_ledger_outlives_the_key(proxy):
    key = proxy.key()
    assert proxy.works(key.key)
    eventually(lambda: ledger(proxy, key.token))
    proxy.client.keys.delete(key.token)
    [(spend, requests, _)] = ledger(proxy, key.token).values()
    assert spend > 0
    assert requests == 1


def test_a_ledger_in_small_pages_adds_up_to_the_same(proxy):
    key = proxy.key()
    for model in ("gpt-4o", "gpt-4o-mini", "claude-sonnet"):
        assert proxy.works(key.key, model)
    eventually(lambda: len(ledger(proxy, key.token)) == 3)
    whole = sum(line[0] for line in ledger(proxy, key.token).values())
    start, end = days()
    total, page, more = Decimal(0), 1, True
    while more:
        query = f"start_date={start}&end_date={end}&api_key={key.token}&page_size=1&page={page}"
        body = proxy.http("GET", f"/user/daily/activity?{query}").json()
        total += sum(Decimal(str(day["metrics"]["spend"])) for day in body["results"])
        more, page = body["metadata"]["has_more"], page + 1
    assert page == 4
    assert close(total, whole)


def test_the_totals_of_a_ledger_are_of_one_page(proxy):
    key = proxy.key()
    for model in ("gpt-4o", "gpt-4o-mini"):
        assert proxy.works(key.key, model)
    eventually(lambda: len(ledger(proxy, key.token)) == 2)
    start, end = days()
    query = f"start_date={start}&end_date={end}&api_key={key.token}"
    first, second, past = (
        proxy.http("GET", f"/user/daily/activity?{query}&page_size=1&page={page}").json() for page in (1, 2, 3)
    )
    for body, more in ((first, True), (second, False)):
        facts = body["metadata"]
        assert (facts["has_more"], facts["total_pages"], facts["total_api_requests"]) == (more, 2, 1)
        assert facts["total_spend"] == body["results"][0]["metrics"]["spend"] > 0
    assert (past["results"], past["metadata"]["has_more"]) == ([], False)


def test_a_ledger_is_asked_for_one_key_and_names_it(proxy):
    team, user = proxy.team(), proxy.name("user")
    key, other = proxy.key(alias=proxy.name("one"), team_id=team.team_id, user_id=user), proxy.key()
    assert proxy.works(key.key)
    assert proxy.works(other.key)
    eventually(lambda: ledger(proxy, key.token) and ledger(proxy, other.token))
    for query, found in (
        ({"api_key": f"{key.token},{other.token}"}, set()),
        ({"api_key": key.token, "model": "openai/gpt-4o"}, {key.token}),
        ({"api_key": key.token, "model": "gpt-4o"}, set()),
        ({"user_id": user}, {key.token}),
    ):
        assert {line.token for line in lines(proxy, **query)} == found, query
    proxy.client.keys.delete(key.token)
    [line] = lines(proxy, api_key=key.token)
    assert (line.alias, line.team_id, line.user_id) == (key.alias, team.team_id, user)


def test_calls_that_a_key_may_no_longer_make_are_its_failures(proxy):
    blocked, deleted = proxy.key(blocked=True, team_id=proxy.team().team_id), proxy.key()
    proxy.client.keys.delete(deleted.token)
    for key in (blocked, deleted):
        assert not proxy.works(key.key, "gpt-4o-mini")
        eventually(partial(ledger, proxy, key.token))
        [line] = lines(proxy, api_key=key.token)
        counted = line.metrics
        assert (line.model, line.team_id) == ("openai/gpt-4o-mini", key.team_id)
        assert (counted.spend, counted.successful_requests, counted.failed_requests) == (0, 0, 1)


def test_a_ledger_needs_two_days(proxy):
    for query in ("", "?start_date=x&end_date=y", "?start_date=2026-01-01"):
        assert proxy.http("GET", f"/user/daily/activity{query}").status_code == 400
    query = "start_date=2020-01-01&end_date=2020-01-02"
    body = proxy.http("GET", f"/user/daily/activity?{query}").json()
    assert (body["results"], body["metadata"]["total_pages"]) == ([], 0)
    assert proxy.http("GET", f"/user/daily/activity?{query}&page_size=1001").status_code == 422


def test_each_call_is_logged_under_the_hash_of_its_key(proxy):
    key = proxy.key()
    assert proxy.works(key.key)
    [log] = eventually(lambda: proxy.client.spend.logs(key=key.token))
    assert (log.api_key, log.model_group, log.model) == (key.token, "gpt-4o", "openai/gpt-4o")
    assert log.spend > 0
    start, end = days()
    [again] = eventually(lambda: list(proxy.client.spend.logs_v2(start, end, api_key=key.token)))
    assert again.request_id == log.request_id
    assert again.status == "success"


def test_logs_in_pages_need_two_dates(proxy):
    with pytest.raises(Invalid):
        proxy.client.http.request("GET", "/spend/logs/v2")
    assert proxy.http("GET", "/spend/logs/v2?start_date=x&end_date=y").status_code == 400


def test_a_refused_call_costs_nothing(proxy):
    key = proxy.key(models=["gpt-4o"])
    assert not proxy.works(key.key, "claude-sonnet")
    assert proxy.works(key.key)
    eventually(lambda: "openai/gpt-4o" in ledger(proxy, key.token))
    others = {model: line for model, line in ledger(proxy, key.token).items() if model != "openai/gpt-4o"}
    assert all(spend == 0 and requests == 0 for spend, requests, _ in others.values())


def test_totals_can_be_read(proxy):
    assert proxy.client.spend.global_total().spend >= 0
    assert isinstance(proxy.client.spend.tags(), tuple)
    key = proxy.key(alias=proxy.name("totals"))
    assert proxy.works(key.key)
    assert key.token in {row["token"] for row in proxy.http("GET", "/spend/keys").json()}
    eventually(lambda: "openai/gpt-4o" in {row.name for row in proxy.client.spend.global_models()})
    today = max(row.name for row in proxy.client.spend.global_days())
    assert today in {str(datetime.now(UTC).date()), str((datetime.now(UTC) - timedelta(minutes=9)).date())}
    assert "openai" in {row.name for row in proxy.client.spend.global_providers(*days())}
    assert {"daily_spend", "teams", "total_spend_per_team"} <= set(proxy.client.spend.global_teams())
    with pytest.raises(LicenceNeeded):
        proxy.client.spend.global_report(*days())
