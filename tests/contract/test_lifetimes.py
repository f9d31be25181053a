"""Lifetimes and budget windows: what is sent, what is read back, and the odd grammar between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from portal.litellm import BudgetWindow, Invalid

from .conftest import eventually

SECOND = timedelta(seconds=1)


def read(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_the_expiry_read_back_is_the_one_asked_for(proxy):
    lifetime = timedelta(hours=2, seconds=7)
    issued = proxy.key(duration=lifetime)
    seen = proxy.client.keys.info(issued.token)
    assert issued.expires is not None
    assert seen.expires is not None
    assert seen.created_at is not None
    assert abs(issued.expires - seen.expires) < SECOND  # the answer has microseconds, the row milliseconds
    assert abs(seen.expires - seen.created_at - lifetime) < SECOND


def test_the_same_moment_is_written_in_two_ways(proxy):
    answer = proxy.generate(duration="1h").json()
    info = proxy.http("GET", f"/key/info?key={answer['token']}").json()["info"]
    assert answer["expires"].endswith("Z")
    assert info["expires"].endswith("+00:00")
    assert abs(read(answer["expires"]) - read(info["expires"])) < SECOND


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [("1h30m", 3600), ("2days", 172_800), ("3600s", 3600), ("1w", 604_800), ("1m", 60), ("hourly", 3600),
     ("daily", 86_400), ("weekly", 604_800), ("monthly", 2_592_000), ("0s", 0)],
)  # fmt: skip
def test_only_the_start_of_a_duration_is_read(proxy, sent, seconds):
    answer = proxy.generate(duration=sent).json()
    lived = read(answer["expires"]) - read(answer["created_at"])
    assert abs(lived - timedelta(seconds=seconds)) < SECOND


@pytest.mark.parametrize("sent", ["banana", "90", "1 day", "1.5h", "", "-1", "1H"])
def test_a_bad_duration_is_a_500_on_generate(proxy, sent):
    answer = proxy.generate(duration=sent)
    assert answer.status_code == 500
    assert "duration" in answer.json()["error"]["message"].lower()


@pytest.mark.parametrize("sent", ["banana", "90", "1 day"])
def test_a_bad_duration_is_a_400_on_update(proxy, sent):
    answer = proxy.http("POST", "/key/update", {"key": proxy.key().token, "duration": sent})
    assert answer.status_code == 400
    assert "duration" in answer.json()["error"]["message"].lower()


def test_an_update_counts_from_now_and_can_shorten_and_lengthen(proxy):
    key = proxy.key(duration="1d")
    for lifetime in (timedelta(minutes=5), timedelta(days=3)):
        before = datetime.now(UTC)
        expires = proxy.client.keys.update(key.token, duration=lifetime).expires
        assert expires is not None
        assert before + lifetime - SECOND < expires < datetime.now(UTC) + lifetime + SECOND
        assert proxy.client.keys.info(key.token).expires == expires


def test_null_and_minus_one_make_a_key_live_for_ever_and_nothing_changes_nothing(proxy):
    key = proxy.key(duration="1h")
    kept = proxy.http("POST", "/key/update", {"key": key.token, "duration": ""}).json()["expires"]
    assert abs(read(kept) - key.expires) < SECOND
    for forever in (None, "-1"):
        proxy.client.keys.update(key.token, duration="1h")
        answer = proxy.http("POST", "/key/update", {"key": key.token, "duration": forever})
        assert answer.json()["expires"] is None


def test_an_expired_key_is_refused_kept_and_revived_by_an_update(proxy):
    key = proxy.key(duration="1s", alias=proxy.name("brief"))
    eventually(lambda: proxy.client.keys.info(key.token).status == "expired", within=5)
    refusal = proxy.chat(key.key)
    assert (refusal.status_code, refusal.json()["error"]["type"]) == (401, "expired_key")
    assert [row.token for row in proxy.client.keys.list(search=key.alias, status="expired")] == [key.token]
    assert proxy.generate(key_alias=key.alias).status_code == 400  # it keeps its alias
    proxy.client.keys.update(key.token, duration="1h")
    assert proxy.works(key.key)
    assert proxy.client.keys.info(key.token).status == "active"


@pytest.mark.parametrize("window", list(BudgetWindow))
def test_the_reset_of_a_budget_window_is_where_the_client_predicts_it(proxy, window):
    before = datetime.now(UTC)
    key = proxy.key(max_budget=5, budget_duration=window)
    after = datetime.now(UTC)
    seen = proxy.client.keys.info(key.token)
    assert seen.budget_duration == window.value
    assert seen.budget_reset_at in {window.next_reset(before), window.next_reset(after)}
    team = proxy.team(max_budget=5, budget_duration=window)
    assert team.budget_reset_at in {window.next_reset(after), window.next_reset(datetime.now(UTC))}


@pytest.mark.parametrize("sent", ["2592000s", "604800s"])
def test_a_window_in_seconds_resets_within_two_days_whatever_it_says(proxy, sent):
    key = proxy.generate(max_budget=5, budget_duration=sent).json()
    reset = proxy.client.keys.info(key["token"]).budget_reset_at
    assert reset is not None
    assert reset - datetime.now(UTC) < timedelta(days=2)


@pytest.mark.parametrize("sent", ["banana", "", "90", "2mo"])
def test_a_bad_budget_window_is_refused(proxy, sent):
    answer = proxy.generate(budget_duration=sent)
    assert answer.status_code == 400
    assert f"Invalid budget_duration '{sent}'" in answer.json()["error"]["message"]


def test_a_window_can_be_changed_and_taken_away(proxy):
    key = proxy.key(max_budget=5, budget_duration="1d")
    before = datetime.now(UTC)
    hourly = proxy.client.keys.update(key.token, budget_duration="1h")
    assert hourly.budget_reset_at in {BudgetWindow.HOUR.next_reset(t) for t in (before, datetime.now(UTC))}
    never = proxy.client.keys.update(key.token, budget_duration=None)
    assert (never.budget_duration, never.budget_reset_at) == (None, None)


def test_a_negative_budget_is_refused(proxy):
    with pytest.raises(Invalid, match="non-negative"):
        proxy.key(max_budget=-1)
    with pytest.raises(Invalid, match="non-negative"):
        proxy.client.keys.update(proxy.key().token, max_budget=-1)
