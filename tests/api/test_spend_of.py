"""What a key and a team spent, over HTTP: figures, the limit that binds, models, members and days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.models import Gateway, Lease, SpendDay
from keys.services import spend
from portal.litellm import faults, hash_key
from teams.models import Membership, Team
from tests.spending import call as spend_money
from tests.spending import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
TOTAL = {"spend", "prompt_tokens", "completion_tokens", "requests", "failed"}


def today():
    return datetime.now(UTC).date()


@pytest.fixture
def write(sandbox):
    """Write a row of the ledger, as a sync would."""

    def row(lease: Lease, amount: str, *, day=None, model: str = "gpt-4o", **more) -> None:
        SpendDay.objects.create(
            **{
                "gateway": lease.gateway, "version": lease.current, "day": day or today(), "model": model,
                "spend": Decimal(amount), "prompt_tokens": 10, "completion_tokens": 5, "requests": 2, "failed": 1,
                "team": lease.team, "holder": lease.holder, "key_alias": lease.alias, "team_name": lease.team.name,
                "holder_name": str(lease.holder), "role_name": lease.role.name, "written_at": timezone.now(),
            }
            | more
        )  # fmt: skip

    return row


def test_a_key_shows_three_figures_and_what_each_model_cost(proxy, call, alice, make_key):
    issued = make_key()
    spend_money(proxy, issued.secret, "gpt-4o", times=2)
    spend_money(proxy, issued.secret, "gpt-4o-mini")
    wait_for(proxy, **{hash_key(issued.secret): 3})
    spend.sync()
    answer = call("get", f"keys/{issued.lease.pk}/spend/", by=alice)
    assert answer.status_code == 200
    told = answer.json()
    assert set(told) == {"lease", "figures", "forecast", "limits", "from", "to", "by_model", "by_day"}
    figures = told["figures"]
    assert set(figures) == {"counter", "ledger", "ours", "difference", "window"}
    assert Decimal(figures["ledger"]["amount"]) > 0
    assert abs(Decimal(figures["counter"]["amount"]) - Decimal(figures["ledger"]["amount"])) < Decimal("0.00001")
    assert figures["ours"]["amount"] == call("get", f"keys/{issued.lease.pk}/", by=alice).json()["spend"]
    assert all(figures[name]["as_of"] for name in ("counter", "ledger", "ours"))
    assert Decimal(figures["difference"]) < Decimal("0.00001")
    assert figures["window"]["starts_at"] == f"{today().replace(day=1)}T00:00:00Z"
    assert (told["from"], told["to"]) == (str(today().replace(day=1)), str(today()))
    assert [set(each) - {"model"} for each in told["by_model"]] == [TOTAL, TOTAL]
    assert [each["requests"] for each in told["by_model"]] == [2, 1]
    (day,) = told["by_day"]
    assert (day["day"], day["requests"]) == (str(today()), 3)
    assert issued.secret not in answer.content.decode()


def test_a_key_never_used_has_figures_without_a_time(sandbox, call, alice, make_key):
    told = call("get", f"keys/{make_key().lease.pk}/spend/", by=alice).json()
    assert told["figures"]["counter"] == {"amount": "0.000000", "as_of": None}
    assert told["figures"]["ledger"]["as_of"] is None
    assert (told["by_model"], told["by_day"], told["forecast"]) == ([], [], None)


def test_the_limit_that_binds_is_named_along_the_whole_chain(sandbox, call, team, alice, make_key, make_role):
    lease = make_key(role=make_role(max_budget=Decimal("50")), max_budget=Decimal("40")).lease
    Team.objects.update(max_budget=Decimal("30"))
    limits = call("get", f"keys/{lease.pk}/spend/", by=alice).json()["limits"]
    assert (limits["binding"], limits["left"], limits["stops"]) == ("team", "30.000000", [])
    assert [link["kind"] for link in limits["links"]] == ["key", "team", "holder", "role", "gateway"]
    key, _, holder, role, gateway = limits["links"]
    assert set(key) == {
        "kind", "who", "limit", "window", "spent", "left", "resets_at", "set_by", "as_of", "enforced",
    }  # fmt: skip
    assert (key["limit"], key["left"], key["window"]) == ("40.000000", "40.000000", "1mo")
    assert (holder["limit"], holder["left"], holder["spent"]) == (None, None, None)
    assert (role["limit"], role["enforced"]) == ("50.000000", False)
    assert (gateway["limit"], gateway["spent"]) == (None, None)

    Membership.objects.filter(user=alice).update(max_budget=Decimal("3.50"))
    limits = call("get", f"keys/{lease.pk}/spend/", by=alice).json()["limits"]
    assert (limits["binding"], limits["left"]) == ("holder", "3.500000")


def test_what_the_whole_gateway_spends_is_not_told_to_a_member(sandbox, call, alice, make_key):
    lease = make_key().lease
    Gateway.objects.update(spend=Decimal("123456.789"))
    assert "123456" not in call("get", f"keys/{lease.pk}/spend/", by=alice).content.decode()


def test_a_key_without_any_limit_has_none_that_binds(sandbox, call, alice, make_key, make_role):
    lease = make_key(role=make_role(max_budget=None, budget_duration="")).lease
    limits = call("get", f"keys/{lease.pk}/spend/", by=alice).json()["limits"]
    assert (limits["binding"], limits["left"]) == (None, None)


def test_a_paused_key_says_why_no_call_passes(sandbox, call, alice, make_key):
    lease = make_key().lease
    call("post", f"keys/{lease.pk}/pause/", {"reason": "a leak"}, by=alice)
    assert "a leak" in call("get", f"keys/{lease.pk}/spend/", by=alice).json()["limits"]["stops"][0]


def test_a_forecast_goes_to_the_end_of_the_window_or_of_the_key(sandbox, call, alice, make_key, make_role, write):
    start = datetime(2026, 6, 1, 0, 0, 1, tzinfo=UTC)
    with time_machine.travel(start, tick=False):
        lease = make_key(role=make_role(max_budget=Decimal("90"), budget_duration="1mo")).lease
        short = make_key(ttl=timedelta(days=10)).lease
    for each in (lease, short):
        write(each, "10", day=start.date())
    with time_machine.travel(start + timedelta(days=5), tick=False):
        long_one = call("get", f"keys/{lease.pk}/spend/", by=alice).json()["forecast"]
        short_one = call("get", f"keys/{short.pk}/spend/", by=alice).json()["forecast"]
    assert long_one == {"spend": "60.000000", "until": "2026-07-01T00:00:00Z"}
    assert short_one == {"spend": "20.000000", "until": "2026-06-11T00:00:01Z"}
    with time_machine.travel(start + timedelta(days=20), tick=False):
        assert call("get", f"keys/{short.pk}/spend/", by=alice).json()["forecast"] is None  # it has ended by itself


def test_only_the_days_that_were_asked_for_are_told(sandbox, call, alice, make_key, write):
    lease = make_key().lease
    for day, amount in (("2026-01-31", "1"), ("2026-02-01", "2"), ("2026-02-28", "4"), ("2026-03-01", "8")):
        write(lease, amount, day=day)

    def told(query: str) -> tuple[str, str, list[str]]:
        answer = call("get", f"keys/{lease.pk}/spend/?{query}", by=alice).json()
        return answer["from"], answer["to"], [each["spend"] for each in answer["by_day"]]

    assert told("from=2026-02-01&to=2026-02-28") == ("2026-02-01", "2026-02-28", ["2.000000", "4.000000"])
    assert told("to=2026-02-28")[2] == ["2.000000", "4.000000"]
    assert told("from=2026-01-31&to=2026-01-31")[2] == ["1.000000"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=2026-02-30", "from"), ("from=yesterday", "from"), ("from=", "from"), ("to=%00", "to"),
        ("to=2026-02-01T00:00:00", "to"), ("from=2026-02-02&to=2026-02-01", "from"),
        ("from=0001-01-01&to=9999-12-31", "from"), ("from=9999-12-31", "from"), ("form=2026-01-01", "form"),
        ("to=" + "9" * 4000, "to"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["keys", "teams"])
def test_days_that_are_none_are_refused_by_name(sandbox, call, client, alice, make_key, place, query, field):
    client.raise_request_exception = False
    lease = make_key().lease
    path = f"keys/{lease.pk}" if place == "keys" else "teams/search"
    answer = call("get", f"{path}/spend/?{query}", by=alice)
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (422, [field])


def test_a_team_shows_its_spend_by_member_model_and_day(sandbox, call, team, alice, bob, vic, make_key, write):
    hers, his = make_key().lease, make_key(holder=bob).lease
    write(hers, "1.5", model="gpt-4o-mini")
    write(his, "4.25")
    write(his, "0.25", day=today().replace(day=1) - timedelta(days=1))
    told = call("get", "teams/search/spend/", by=bob).json()
    assert set(told) == {
        "team", "max_budget", "budget_duration", "gateways", "from", "to", "by_model", "by_day", "by_member",
    }  # fmt: skip
    assert [(each["holder"], each["holder_id"], each["spend"]) for each in told["by_member"]] == [
        ("Bob", str(bob.pk), "4.250000"),
        ("Alice", str(alice.pk), "1.500000"),
    ]
    assert [(each["model"], each["spend"]) for each in told["by_model"]] == [
        ("gpt-4o", "4.250000"),
        ("gpt-4o-mini", "1.500000"),
    ]
    (gateway,) = told["gateways"]
    assert (gateway["gateway"], gateway["figures"]["ledger"]["amount"]) == ("sandbox", "6.000000")
    assert set(gateway["figures"]) == {"counter", "ledger", "ours", "difference", "window"}
    others = {who: call("get", "teams/search/spend/", by=who).json() for who in (alice, vic)}
    assert [each["holder"] for each in others[alice]["by_member"]] == ["Alice"]
    assert others[vic]["by_member"] == []
    assert others[vic]["by_model"] == told["by_model"]


def test_a_team_without_keys_has_spent_nothing(sandbox, call, team, vic):
    told = call("get", "teams/search/spend/", by=vic).json()
    assert (told["gateways"], told["by_member"], told["by_model"], told["by_day"]) == ([], [], [], [])


def test_spend_is_read_from_our_tables_while_the_gateway_is_away(sandbox, call, alice, make_key):
    lease = make_key().lease
    sandbox.faults.fail_next("*", faults.refused(), times=50)
    assert call("get", f"keys/{lease.pk}/spend/", by=alice).status_code == 200
    assert call("get", "teams/search/spend/", by=alice).status_code == 200
    assert sandbox.faults.pending == 50


def test_a_teams_spend_asks_as_often_for_many_keys_as_for_one(sandbox, call, alice, make_key, write):
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert call("get", "teams/search/spend/", by=alice).status_code == 200
        return len(asked)

    write(make_key().lease, "1")
    few = queries()
    for _ in range(4):
        write(make_key().lease, "1", model="gpt-4o-mini")
    assert queries() == few


# --- the budget of one person in a team -----------------------------------------------------------


def test_a_team_admin_limits_what_one_person_spends_in_the_team(sandbox, call, ines, alice):
    place = "teams/search/members/alice@example.com/budget/"
    answer = call("put", place, {"max_budget": "25.00"}, by=ines)
    assert (answer.status_code, answer.json()["max_budget"]) == (200, "25.00")
    assert set(answer.json()) == {"id", "email", "name", "role", "max_budget"}
    members = call("get", "teams/search/members/", by=alice).json()["results"]
    assert {each["email"]: each["max_budget"] for each in members}["alice@example.com"] == "25.00"
    by_id = call("put", f"teams/search/members/{alice.pk}/budget/", {"max_budget": None}, by=ines)
    assert by_id.json()["max_budget"] is None


@pytest.mark.parametrize(
    "amount", ["0", "-1", "0.001", "NaN", "Infinity", "x", "", True, [1], {"a": 1}, 1e300, "10000000000.00"]
)
def test_a_budget_that_is_none_is_refused_by_name(sandbox, call, client, ines, alice, amount):
    client.raise_request_exception = False
    answer = call("put", "teams/search/members/alice@example.com/budget/", {"max_budget": amount}, by=ines)
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (422, ["max_budget"])
    assert Membership.objects.get(user=alice).max_budget is None


@pytest.mark.parametrize(("body", "field"), [({}, "max_budget"), ({"max_budget": "1", "team": "x"}, "team")])
def test_a_budget_is_said_in_full(sandbox, call, ines, alice, body, field):
    answer = call("put", "teams/search/members/alice@example.com/budget/", body, by=ines)
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (422, [field])


def test_a_persons_budget_is_within_the_teams(sandbox, call, ines, alice):
    Team.objects.update(max_budget=Decimal("10"))
    answer = call("put", "teams/search/members/alice@example.com/budget/", {"max_budget": "11"}, by=ines)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "over_team_budget")


@pytest.mark.parametrize("who", ["mallory@example.com", "nobody", "%00", "a%00b", "alice", "%20"])
def test_somebody_who_is_not_in_the_team_has_no_budget_there(sandbox, call, client, ines, alice, mallory, who):
    client.raise_request_exception = False
    answer = call("put", f"teams/search/members/{who}/budget/", {"max_budget": "1"}, by=ines)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
