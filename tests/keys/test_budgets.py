"""What limits a key, what is left, where it leads, and who is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.models import Counter, Gateway, KeyVersion, Lease, State
from keys.services import budgets, leases, spend
from keys.services.budgets import announcing, forecast, window_of
from portal.litellm import BudgetWindow
from portal.models import AuditEvent, Letter
from teams.models import Membership, Team
from teams.roles import MemberRole
from teams.services import change_team, create_team, put_member, set_holder_budget
from tests.spending import call
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

D = Decimal


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def counter(team, spent, *, holder=None, resets_at=None):
    defaults = {"spend": D(spent), "read_at": timezone.now(), "resets_at": resets_at}
    return Counter.objects.update_or_create(gateway=Gateway.objects.get(), team=team, holder=holder, defaults=defaults)[
        0
    ]


def count(lease, spent):
    KeyVersion.objects.filter(lease=lease).update(counter=D(spent), total=D(spent), counter_at=timezone.now())


def letters():
    return [(letter.subject, sorted(letter.to)) for letter in Letter.objects.order_by("pk") if "budget" in letter.key]


# --- windows and forecasts ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        ("1h", "2026-03-11 14:00", "2026-03-11 15:00"),
        ("1d", "2026-03-11 00:00", "2026-03-12 00:00"),
        ("7d", "2026-03-09 00:00", "2026-03-16 00:00"),
        ("30d", "2026-03-01 00:00", "2026-04-01 00:00"),
        ("1mo", "2026-03-01 00:00", "2026-04-01 00:00"),
    ],
)
def test_the_running_window_is_that_of_the_calendar(window, start, end):
    assert window_of(window, utc("2026-03-11 14:33")) == (utc(start), utc(end))
    assert window_of(window, utc(start)) == (utc(start), utc(end))  # a window begins with its first moment
    assert window_of("", utc(start)) is None


@pytest.mark.parametrize(
    ("spent", "hours", "of", "leads_to"),
    [
        ("1", 12, 24, "2"),
        ("10", 24 * 10, 24 * 30, "30"),
        ("0.37", 5, 24, "1.78"),
        ("1234.56", 24 * 7, 24 * 30, "5290"),
        ("0", 12, 24, "0"),
        ("5", 30, 24, "5"),  # the window is over
        ("1", 1, 24, None),  # under a twentieth
        ("1", 0.9, 2, None),  # under an hour
        ("1", 24, 24 * 30, None),
    ],
)
def test_a_forecast_goes_on_as_before_and_says_nothing_too_early(spent, hours, of, leads_to):
    start = utc("2026-03-01 00:00")
    found = forecast(D(spent), start, start + timedelta(hours=hours), start + timedelta(hours=of))
    assert found == (None if leads_to is None else D(leads_to))


# --- the chain ------------------------------------------------------------------------------------


def test_the_chain_has_every_budget_in_order_and_names_the_one_that_binds(sandbox, team, alice, ines, ruth, make_key):
    change_team(team, max_budget=D(100), by=ruth)
    lease = make_key().lease
    set_holder_budget(Membership.objects.get(user=alice), max_budget=D(20), by=ines)
    resets = BudgetWindow.MONTH.next_reset(timezone.now())
    count(lease, "3")
    counter(team, "40", resets_at=resets)
    counter(team, "15", holder=alice, resets_at=resets)
    Gateway.objects.update(max_budget=D(1000), spend=D(400))

    found = budgets.chain(lease)
    assert [(link.kind, link.who, link.limit, link.spent, link.left) for link in found.links] == [
        ("key", lease.alias, D(50), D(3), D(47)),
        ("team", "Search Platform", D(100), D(40), D(60)),
        ("holder", "Alice", D(20), D(15), D(5)),
        ("role", "coding", D(50), D(3), D(47)),
        ("gateway", "sandbox", D(1000), D(400), D(600)),
    ]
    assert (found.binding.kind, found.binding.resets_at, found.is_spent) == ("holder", resets, False)
    today = f"{timezone.now():%d %b %Y}"
    assert [link.set_by for link in found.links] == [
        "key role coding", f"Ruth, on {today}", f"Ines, on {today}", "a platform admin", "the proxy's own settings",
    ]  # fmt: skip
    assert all(link.as_of for link in found.links[:3])
    assert found.stops == ()


def test_who_made_the_team_gave_its_budget(sandbox, ruth, person, make_key):
    made = create_team(name="Made", max_budget=D(7), by=ruth)
    nora = person("nora")
    put_member(made, email=nora.email, role=MemberRole.MEMBER, by=ruth)
    link = budgets.chain(make_key(team=made, holder=nora).lease).links[1]
    assert (link.limit, link.set_by) == (D(7), "Ruth, when the team was made")


def test_a_key_without_any_budget_is_limited_by_nothing(sandbox, make_key, make_role):
    found = budgets.chain(make_key(role=make_role(max_budget=None, budget_duration="")).lease)
    assert (found.binding, found.is_spent) == (None, False)
    assert {link.set_by for link in found.links} == {""}


def test_a_narrower_key_says_who_asked_for_it(sandbox, make_key):
    link = budgets.chain(make_key(max_budget=D(5)).lease).links[0]
    assert (link.limit, link.set_by) == (D(5), "Alice, when the key was issued")


def test_a_role_that_was_narrowed_later_does_not_bind_keys_that_are_out(sandbox, make_key):
    lease = make_key().lease
    lease.role.__class__.objects.update(max_budget=D(1))
    found = budgets.chain(lease)
    assert (found.links[3].limit, found.links[3].enforced) == (D(1), False)
    assert (found.binding.kind, found.binding.limit) == ("key", D(50))


def test_a_window_that_is_over_counts_nothing(sandbox, team, make_key):
    lease = make_key().lease
    Team.objects.update(max_budget=D(10), budget_duration="1d")
    count(lease, "49")
    KeyVersion.objects.update(resets_at=BudgetWindow.MONTH.next_reset(timezone.now()))
    counter(team, "10", resets_at=BudgetWindow.DAY.next_reset(timezone.now()))
    assert budgets.chain(lease).is_spent
    later = timezone.now() + timedelta(days=40)
    found = budgets.chain(lease, later)
    assert [link.spent for link in found.links[:2]] == [0, 0]
    ends = [window.next_reset(later) for window in (BudgetWindow.MONTH, BudgetWindow.DAY)]
    assert [link.resets_at for link in found.links[:2]] == ends


def test_what_else_stops_calls_is_said(sandbox, team, alice, ines, make_key):
    lease = make_key().lease

    def stops(now=None):
        return list(budgets.chain(lease, now).stops)

    assert stops() == []
    leases.pause(lease, by=ines, reason="looks leaked")
    assert stops() == ["It is paused: looks leaked."]
    Lease.objects.update(state=State.ACTIVE)
    assert stops(timezone.now() + timedelta(days=400)) == ["Its time is up."]
    Team.objects.update(ended_at=timezone.now())
    lease.role.__class__.objects.update(ended_at=timezone.now())
    alice.__class__.objects.filter(pk=alice.pk).update(is_active=False)
    assert stops() == [
        "The team Search Platform has ended.", "The key role coding has ended.", "The account of Alice is closed.",
    ]  # fmt: skip
    Lease.objects.update(state=State.REVOKING)
    assert stops() == ["It is being revoked."]
    Lease.objects.update(state=State.REVOKED)
    assert stops() == ["It has ended: revoked."]


def test_many_chains_cost_as_many_queries_as_one(sandbox, team, alice, bob, ines, ruth, make_key):
    change_team(team, max_budget=D(100), by=ruth)
    for holder in (alice, bob):
        set_holder_budget(Membership.objects.get(user=holder), max_budget=D(20), by=ines)
    one = make_key().lease
    many = [make_key(holder=holder).lease for holder in (alice, bob, bob)]
    asked = []
    for some in ([one], many):
        with CaptureQueriesContext(connection) as queries:
            found = budgets.chains(some)
        assert set(found) == {lease.pk for lease in some}
        asked.append(len(queries))
    assert asked == [6, 6]


# --- who is told ----------------------------------------------------------------------------------


def test_thresholds_are_told_once_a_window_the_highest_alone(sandbox, alice, ines, make_key, make_role):
    issued = make_key(role=make_role(max_budget=D("0.0010")))  # a call is 0.00022
    told = []
    for calls in (1, 2, 0, 1, 1, 0):
        call(sandbox, issued.secret, times=calls)
        told.append(spend.sync()["announced"])
    assert told == [0, 1, 0, 1, 1, 0]
    both = ["alice@example.com", "ines@example.com"]
    assert letters() == [(f"Keydesk: {percent} % of a budget is spent", both) for percent in (50, 80, 100)]
    events = AuditEvent.objects.filter(action="budget.reached", target_id=str(issued.lease.pk)).order_by("id")
    assert [event.facts["percent"] for event in events] == [50, 80, 100]
    assert "At 100 % calls are refused." in Letter.objects.order_by("pk")[0].text
    assert "Calls are refused now." in Letter.objects.order_by("-pk")[0].text


def test_in_the_next_window_it_is_told_again(sandbox, make_key, make_role):
    start = timezone.now().replace(hour=12)
    with time_machine.travel(start, tick=False) as clock:
        issued = make_key(role=make_role(max_budget=D("0.0010"), budget_duration="1d"))
        for _ in range(2):
            call(sandbox, issued.secret, times=3)
            assert spend.sync()["announced"] == 1
            clock.shift(timedelta(days=1))
            assert spend.sync()["announced"] == 0


def test_a_counter_that_fell_within_its_window_tells_nothing_twice(sandbox, make_key):
    lease = make_key().lease
    told = []
    for spent in ("45", "10", "26", "45", "50"):
        count(lease, spent)
        told.append(budgets.announce())
    assert told == [1, 0, 0, 0, 1]


def test_a_counter_of_the_window_before_tells_nothing_in_the_new_one(sandbox, team, make_key):
    make_key()
    Team.objects.update(max_budget=D(10))
    counter(team, "10", resets_at=timezone.now() - timedelta(minutes=3))  # the proxy has not done its reset yet
    assert budgets.announce() == 0


def test_team_and_holder_budgets_are_told_to_whom_they_concern(sandbox, team, alice, ines, make_key):
    make_key()
    Team.objects.update(max_budget=D(100))
    Membership.objects.filter(user=alice).update(max_budget=D(10))
    counter(team, "95.5")
    counter(team, "8", holder=alice)
    assert budgets.announce() == 2
    assert sorted(letters()) == [
        ("Keydesk: 80 % of a budget is spent", ["alice@example.com", "ines@example.com"]),
        ("Keydesk: 95 % of a budget is spent", ["ines@example.com"]),
    ]
    assert set(AuditEvent.objects.filter(action="budget.reached").values_list("target_type", "team_id")) == {
        ("team", str(team.pk)), ("membership", str(team.pk)),
    }  # fmt: skip
    assert any("budget of Alice in Search Platform" in letter.text for letter in Letter.objects.all())


def test_letters_of_a_service_account_go_to_the_team_admins(sandbox, team, robot, ines, make_key):
    lease = make_key(holder=robot).lease
    count(lease, "40")
    assert budgets.announce() == 1
    assert letters() == [("Keydesk: 80 % of a budget is spent", ["ines@example.com"])]


def test_with_nobody_to_write_to_it_is_still_on_record_once(sandbox, team, robot, make_key):
    lease = make_key(holder=robot).lease
    count(lease, "40")
    assert [budgets.announce() for _ in range(2)] == [1, 0]
    assert letters() == []
    assert AuditEvent.objects.filter(action="budget.reached").count() == 1


def test_two_at_once_tell_it_once(sandbox, team, ines, make_key):
    lease = make_key().lease
    Team.objects.update(max_budget=D(100))
    count(lease, "48")
    counter(team, "96")
    told = together(*[budgets.announce] * 4)
    assert sum(told) == 2
    assert Letter.objects.filter(key__startswith="budget:").count() == 2
    assert AuditEvent.objects.filter(action="budget.reached").count() == 2


def test_letter_and_event_are_written_together_or_not_at_all(sandbox, make_key, monkeypatch):
    lease = make_key().lease
    count(lease, "40")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(announcing.mail, "budget_reached", broken)
        with pytest.raises(RuntimeError):
            budgets.announce()
    assert not AuditEvent.objects.filter(action="budget.reached").exists()
    assert budgets.announce() == 1


def test_in_an_overlap_the_new_secret_speaks_for_both(sandbox, alice, make_key):
    lease = make_key().lease
    leases.rotate(lease, by=alice)
    count(lease, "40")
    assert budgets.announce() == 1
    assert len(letters()) == 1
