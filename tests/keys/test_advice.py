"""What could be smaller: found once a day from our own books, refreshed, closed by itself once it is not true."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys import tasks
from keys.models import Advice, Gateway, KeyVersion, Lease, SpendDay
from keys.services import advice, leases
from keys.services.advice.judging import called_names, nice

Kind, State = Advice.Kind, Advice.State
D = Decimal


@pytest.fixture
def use(sandbox):
    """Write down what a key did today, as the sync does."""

    def write(lease, amount="1", model="gpt-4o"):
        now, version = timezone.now(), lease.current
        SpendDay.objects.create(
            gateway=lease.gateway, version=version, day=now.date(), model=model, spend=D(amount), requests=9,
            team=lease.team, holder=lease.holder, key_alias=version.alias, team_name=str(lease.team),
            holder_name=str(lease.holder), role_name=str(lease.role), written_at=now,
        )  # fmt: skip
        KeyVersion.objects.filter(pk=version.pk).update(counter=D(amount), counter_at=now)
        Lease.objects.filter(pk=lease.pk).update(spend=D(amount), last_used_at=now)

    return write


@pytest.fixture
def old(sandbox, make_key):
    """A key that was issued 40 days ago and lives 50 more; its gateway's ledger was read just now."""

    def make(days=40, **ask):
        now = timezone.now()
        lease = make_key(**ask).lease
        ends = now + timedelta(days=50)
        Lease.objects.filter(pk=lease.pk).update(issued_at=now - timedelta(days=days), expires_at=ends)
        Gateway.objects.update(spend_synced_at=now)
        lease.refresh_from_db()
        return lease

    return make


def told(lease=None):
    found = Advice.objects.filter(state=State.OPEN, **({"lease": lease} if lease else {}))
    return sorted(found.values_list("kind", flat=True))


@pytest.mark.parametrize(("days", "said"), [(29, None), (31, 30), (61, 60), (200, 90)])
def test_a_key_without_a_call_is_unused_for_30_60_or_90_days(old, days, said):
    lease = old(days=days)
    advice.look()
    found = Advice.objects.filter(lease=lease, kind=Kind.UNUSED).first()
    assert (found.facts["days"] if found else None) == said
    if found:
        assert found.proposed == {"end": True}
        assert found.saves == D(50) * (1 + _resets(lease))


def _resets(lease):
    now, months = timezone.now(), 0
    day = now.replace(day=1)
    while (day := (day + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)) <= (
        lease.expires_at + timedelta(seconds=10)
    ):
        months += 1
    return months


def test_models_that_were_never_called_are_to_go(old, use):
    lease = old()
    use(lease, "40", model="openai/gpt-4o")  # as the provider calls it
    advice.look()
    found = Advice.objects.get(lease=lease)
    assert (found.kind, found.facts["never"], found.proposed) == (Kind.MODELS, ["gpt-4o-mini"], {"models": ["gpt-4o"]})


def test_where_a_call_cannot_be_told_to_be_of_a_granted_model_nothing_is_to_go():
    assert called_names(["fast", "gpt-4o"], ["gpt-4o", "o3-2025-04"]) == []
    assert called_names(["openai/*", "gpt-4o"], ["openai/o3"]) == ["openai/*"]


def test_a_budget_of_which_less_than_5_per_cent_was_used_becomes_three_times_what_was(old, use):
    lease = old(models=("gpt-4o",))
    use(lease, "2.4")
    advice.look()
    found = Advice.objects.get(lease=lease)
    assert (found.kind, found.facts["used"], found.facts["allowed"]) == (Kind.BUDGET, "2.4", "50")
    assert found.proposed == {"max_budget": "10"}
    assert found.saves == D(40) * (1 + _resets(lease))


def test_a_budget_keeps_room_for_the_greatest_day_of_who_works_in_bursts(old, use, make_role):
    """$45 on one day of a month is 3 % of $50 a day, and yet all that a smaller budget would refuse."""
    role = make_role(name="daily", budget_duration="1d", models=["gpt-4o"])
    lease = old(role=role)
    use(lease, "45")
    advice.look()
    assert told(lease) == []
    SpendDay.objects.update(spend=D(4))
    KeyVersion.objects.update(counter=D(4))
    advice.look()
    assert Advice.objects.get(lease=lease).proposed == {"max_budget": "10"}


def test_a_budget_for_life_keeps_room_for_the_rest_of_it(old, use, make_role):
    """$1 in 40 days of 400: $10 at this pace, and as much again."""
    lease = old(role=make_role(name="life", budget_duration="", models=["gpt-4o"]))
    Lease.objects.filter(pk=lease.pk).update(expires_at=timezone.now() + timedelta(days=360))
    use(lease, "1")
    advice.look()
    assert Advice.objects.get(lease=lease, kind=Kind.BUDGET).proposed == {"max_budget": "20"}


def test_a_budget_that_is_used_is_left_alone(old, use):
    lease = old(models=("gpt-4o",))
    use(lease, "2.5")
    assert advice.look() == {"opened": 0, "closed": 0}
    assert told(lease) == []


def test_sums_that_are_proposed_are_round():
    assert [nice(D(each)) for each in ("0.2", "1", "1.1", "7.2", "13.37", "460")] == [1, 1, 2, 10, 20, 500]


def test_what_a_key_may_do_without_end_is_told_of_keys_and_of_key_roles(old, make_role):
    role = make_role(
        name="wide", models=[], all_models=True, max_budget=None, budget_duration="", key_type="default",
        ttl=timedelta(days=400), max_ttl=timedelta(days=800),
    )  # fmt: skip
    lease = old(role=role, days=0)
    Lease.objects.filter(pk=lease.pk).update(expires_at=timezone.now() + timedelta(days=400))
    advice.look()
    kinds = sorted([Kind.ALL_MODELS, Kind.ALL_ROUTES, Kind.LONG, Kind.NO_BUDGET])
    assert told(lease) == kinds
    of_role = {each.kind: each.proposed for each in Advice.objects.filter(role=role)}
    assert of_role == {
        Kind.ALL_MODELS: {}, Kind.ALL_ROUTES: {"key_type": "llm_api"}, Kind.LONG: {"lasts": 90}, Kind.NO_BUDGET: {},
    }  # fmt: skip


def test_use_tells_which_models_and_which_budget_a_wide_key_needs(old, use, make_role):
    role = make_role(name="wide", models=[], all_models=True, max_budget=None, budget_duration="")
    lease = old(role=role)
    Gateway.objects.update(models_seen=["gpt-4o", "gpt-4o-mini"])
    use(lease, "12")
    advice.look()
    narrower = {"models": ["gpt-4o"], "all_models": False}
    cheaper = {"max_budget": "50", "budget_duration": "1mo"}
    for subject in ({"lease": lease}, {"role": role}):
        assert Advice.objects.get(kind=Kind.ALL_MODELS, **subject).proposed == narrower
        assert Advice.objects.get(kind=Kind.NO_BUDGET, **subject).proposed == cheaper


def test_nothing_is_said_of_use_while_the_ledger_is_not_known(old):
    lease = old()
    Gateway.objects.update(spend_synced_at=timezone.now() - timedelta(days=3))
    advice.look()
    assert told(lease) == []
    Gateway.objects.update(spend_synced_at=timezone.now())
    advice.look()
    Gateway.objects.update(spend_synced_at=None)
    advice.look()
    assert told(lease) == [Kind.UNUSED]


def test_it_closes_by_itself_once_the_key_is_used_and_opens_anew(old, use):
    lease = old()
    advice.look()
    use(lease, "40", model="gpt-4o")
    use(lease, "0", model="gpt-4o-mini")
    assert advice.look() == {"opened": 0, "closed": 1}
    found = Advice.objects.get(lease=lease)
    assert (found.state, found.reason) == (State.CLOSED, "not true any more")
    SpendDay.objects.all().delete()
    Lease.objects.update(last_used_at=None)
    assert advice.look() == {"opened": 1, "closed": 0}
    assert Advice.objects.get(lease=lease).state == State.OPEN


def test_it_closes_with_its_key(old, alice):
    lease = old()
    advice.look()
    leases.revoke(lease, by=alice)
    assert advice.look()["closed"] == 1
    assert told() == []


def test_the_sweep_looks_and_what_closed_long_ago_is_forgotten(old, alice):
    lease = old()
    assert tasks.look_for_advice() == {"opened": 1, "closed": 0}
    leases.revoke(lease, by=alice)
    advice.look()
    with time_machine.travel(timezone.now() + timedelta(days=91)):
        assert (tasks.prune_old() or {})["advice"] == 1
    assert not Advice.objects.exists()


def test_a_look_asks_as_often_for_many_keys_as_for_one(old, use):
    def queries():
        Advice.objects.all().delete()
        with CaptureQueriesContext(connection) as asked:
            advice.look()
        return len(asked)

    use(old(), "1")
    few = queries()
    for _ in range(5):
        use(old(), "1")
        old()
    assert queries() == few


def test_posture_counts_keys_and_roles_by_what_could_be_smaller(old, use, make_role, ruth, django_assert_num_queries):
    tight = old(models=("gpt-4o",))
    use(tight, "40")
    old()
    make_role(name="wide", models=[], all_models=True)
    advice.look()
    with django_assert_num_queries(2):
        told = advice.posture()
    by_kind = {line.kind: line for line in told.lines}
    assert list(by_kind) == list(Kind)
    assert (by_kind[Kind.UNUSED].keys, by_kind[Kind.ALL_MODELS].roles) == (1, 1)
    assert (told.live, told.tight, told.percent) == (2, 1, 50)
    assert told.saves == Advice.objects.get(kind=Kind.UNUSED).saves
