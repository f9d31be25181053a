from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

from tests.litellm.servers import BASE

FIRST, LAST = date(2026, 11, 20), date(2026, 11, 21)


def activity(day, spend, token="a", model="openai/gpt-4o", page=1, pages=1):
    metrics = {
        "spend": spend,
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "api_requests": 1,
    }
    models = {model: {"metrics": metrics, "api_key_breakdown": {token: {"metrics": metrics, "metadata": {}}}}}
    result = {"date": day, "metrics": metrics, "breakdown": {"models": models, "providers": {}}}
    return {"results": [result], "metadata": {"page": page, "total_pages": pages, "has_more": page < pages}}


def test_daily_activity_walks_every_page_in_utc_days(client, proxy):
    proxy.get(f"{BASE}/user/daily/activity", json=activity("2026-11-21", 0.1, page=1, pages=2))
    proxy.get(f"{BASE}/user/daily/activity", json=activity("2026-11-21", 0.2, page=2, pages=2))
    days = list(client.spend.daily_activity(FIRST, LAST))
    assert sum(day.metrics.spend for day in days) == Decimal("0.3")
    assert [day.day for day in days] == [LAST, LAST]
    assert "start_date=2026-11-20&end_date=2026-11-21&page=2&page_size=1000" in proxy.calls[1].request.url


def test_daily_activity_tells_each_key_and_model(client, proxy):
    proxy.get(f"{BASE}/user/daily/activity", json=activity("2026-11-21", 0.1, token="hash"))
    (row,) = next(client.spend.daily_activity(FIRST, LAST)).by_key_and_model()
    assert (row.day, row.token, row.model) == (LAST, "hash", "openai/gpt-4o")
    assert (row.metrics.spend, row.metrics.total_tokens) == (Decimal("0.1"), 7)


def test_a_day_without_traffic_has_no_rows(client, proxy):
    proxy.get(f"{BASE}/user/daily/activity", json={"results": [], "metadata": {"page": 1, "total_pages": 0}})
    assert list(client.spend.daily_activity(FIRST, LAST)) == []


LOG = {
    "request_id": "r1", "api_key": "hash", "model": "openai/gpt-4o", "spend": 0.00034, "total_tokens": 28,
    "user": "u", "startTime": "2026-11-21T08:24:47.623000Z", "endTime": "2026-11-21T08:24:47.626+00:00",
    "metadata": {"status": None},
}  # fmt: skip


def test_logs_are_read_with_their_times(client, proxy):
    proxy.get(f"{BASE}/spend/logs", json=[LOG])
    (log,) = client.spend.logs(key="sk-example-own", start_date=FIRST, end_date=LAST)
    assert (log.user_id, log.spend) == ("u", Decimal("0.00034"))
    assert log.started_at == datetime(2026, 11, 21, 8, 24, 47, 623000, UTC)
    assert "sk-" not in proxy.calls[0].request.url
    assert "summarize=false" in proxy.calls[0].request.url


def test_logs_between_two_times_are_walked_and_asked_for_in_utc(client, proxy):
    for number in (1, 2):
        proxy.get(f"{BASE}/spend/logs/v2", json={"data": [LOG], "total": 2, "page": number, "total_pages": 2})
    start = datetime(2026, 11, 21, 1, tzinfo=timezone(timedelta(hours=3)))
    assert len(list(client.spend.logs_v2(start, LAST, team_id="t"))) == 2
    assert "start_date=2026-11-20+22%3A00%3A00&end_date=2026-11-21" in proxy.calls[0].request.url


def test_totals_have_a_name_and_an_amount(client, proxy):
    proxy.get(f"{BASE}/global/spend", json={"spend": 1.4, "max_budget": 0.0})
    proxy.get(f"{BASE}/global/spend/keys", json=[{"api_key": "hash", "key_alias": "ci", "total_spend": 1.4}])
    proxy.get(f"{BASE}/global/spend/models", json=[{"model": "openai/pricey", "total_spend": 1.4}])
    proxy.get(f"{BASE}/global/spend/logs", json=[{"date": "2026-11-21", "spend": 1.4}])
    proxy.get(f"{BASE}/global/spend/provider", json=[{"provider": "openai", "spend": 1.4}])
    proxy.get(f"{BASE}/global/spend/tags", json={"spend_per_tag": [{"name": "blue", "spend": 1.4, "log_count": 2}]})
    proxy.get(f"{BASE}/spend/tags", json=[{"individual_request_tag": "blue", "log_count": 14, "total_spend": 1.4}])
    spend = client.spend
    totals = [*spend.global_keys(2), *spend.global_models(2), *spend.global_days(), *spend.tags()]
    totals += [*spend.global_providers(FIRST, LAST), *spend.global_tags(FIRST, LAST)]
    assert [total.name for total in totals] == [
        "hash",
        "openai/pricey",
        "2026-11-21",
        "blue",
        "openai",
        "blue",
    ]
    assert {total.spend for total in totals} == {spend.global_total().spend} == {Decimal("1.4")}


def test_keys_and_users_are_read_as_rows(client, proxy):
    proxy.get(f"{BASE}/spend/keys", json=[{"token": "hash", "spend": 1.4}])
    proxy.get(f"{BASE}/spend/users", json=[{"user_id": "u", "spend": 0.1}])
    assert client.spend.keys()[0].spend == Decimal("1.4")
    assert client.spend.users("u")[0].user_id == "u"
