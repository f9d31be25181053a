"""Apply and snooze what is proposed: through the services there are, by who may, and never wider than it was."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from keys.models import Advice, KeyRequest, Lease, SpendDay, State
from keys.services import advice, intents, leases
from keys.services.advice.judging import narrows
from portal.errors import Invalid, NotAllowed
from portal.models import AuditEvent, Letter
from teams.roles import PlatformRole
from tests.keys.test_advice import old, use  # noqa: F401  (fixtures)

Kind = Advice.Kind
D = Decimal


@pytest.fixture
def hardly(old, use):  # noqa: F811
    """A key that used $2.40 of its $50.00 in a month."""
    lease = old(models=("gpt-4o",), name="notebook")
    use(lease, "2.4")
    advice.look()
    return Advice.objects.get(lease=lease, kind=Kind.BUDGET)


@pytest.fixture
def unused(old):  # noqa: F811
    lease = old(name="forgotten")
    advice.look()
    return Advice.objects.get(lease=lease, kind=Kind.UNUSED)


def there(sandbox, lease):
    return sandbox.client.keys.info(lease.current.token_hash)


def test_a_budget_becomes_smaller_here_and_on_the_gateway_and_it_is_on_record(sandbox, hardly, alice):
    done = advice.apply(hardly, by=alice)
    lease = Lease.objects.get()
    assert (lease.max_budget, lease.limits["budget_duration"], lease.limits["models"]) == (D(10), "1mo", ["gpt-4o"])
    assert there(sandbox, lease).max_budget == D(10)
    assert (done.state, done.by) == (Advice.State.APPLIED, "alice@example.com")
    event = AuditEvent.objects.get(action="advice.applied")
    assert (event.target_id, event.facts["kind"], event.before) == (str(lease.pk), "budget", {"max_budget": "50"})
    assert not Letter.objects.exists()
    assert advice.look() == {"opened": 0, "closed": 0}


def test_the_gateway_follows_later_when_it_is_away(sandbox, hardly, alice):
    hardly.lease.gateway.went_away("no route", timezone.now())
    advice.apply(hardly, by=alice)
    lease = Lease.objects.get()
    assert (lease.max_budget, there(sandbox, lease).max_budget) == (D(10), D(50))
    with time_machine.travel(timezone.now() + timedelta(minutes=2), tick=True):
        intents.settle_due()
    assert there(sandbox, lease).max_budget == D(10)


def test_models_that_were_never_called_go(sandbox, old, use, alice):  # noqa: F811
    lease = old()
    use(lease, "40")
    advice.look()
    advice.apply(Advice.objects.get(), by=alice)
    assert there(sandbox, lease).models == ("gpt-4o",)


def test_an_unused_key_is_revoked_and_its_holder_told_by_whom(sandbox, team, unused, alice, bob):
    advice.apply(unused, by=bob)
    lease = Lease.objects.get()
    assert (lease.state, lease.end_reason) == (State.REVOKED, "not used for 30 days")
    assert sandbox.keys_there(team) == set()
    letter = Letter.objects.get()
    assert (letter.to, "Bob revoked your virtual key forgotten" in letter.text) == (["alice@example.com"], True)


def test_the_holder_is_told_when_somebody_else_narrows(hardly, bob):
    advice.apply(hardly, by=bob)
    letter = Letter.objects.get()
    assert letter.to == ["alice@example.com"]
    assert "Bob narrowed your virtual key notebook." in letter.text


def test_a_key_that_lives_too_long_ends_in_90_days_and_can_be_renewed_as_before(sandbox, make_key, make_role, alice):
    role = make_role(ttl=timedelta(days=400), max_ttl=timedelta(days=800))
    lease = make_key(role=role).lease
    advice.look()
    advice.apply(Advice.objects.get(lease=lease), by=alice)
    before, lease = lease, Lease.objects.get()
    assert abs(lease.expires_at - timezone.now() - timedelta(days=90)) < timedelta(minutes=1)
    assert abs(there(sandbox, lease).expires - lease.expires_at) < timedelta(seconds=10)
    assert lease.max_expires_at == before.max_expires_at
    assert Advice.objects.get(role=role).state == Advice.State.OPEN


def test_a_role_is_changed_by_a_platform_admin_as_its_next_version(sandbox, make_role, ruth, ines):
    role = make_role(ttl=timedelta(days=400), max_ttl=timedelta(days=800), key_type="default")
    advice.look()
    for found in Advice.objects.filter(role=role):
        with pytest.raises(NotAllowed):
            advice.apply(found, by=ines)
        advice.apply(found, by=ruth)
    role.refresh_from_db()
    assert (role.ttl, role.key_type, role.version) == (timedelta(days=90), "llm_api", 3)


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("alice", True),
        ("bob", True),
        ("ines", True),
        ("ruth", True),
        ("vic", False),
        ("audra", False),
        ("mallory", False),
    ],
)
def test_who_may_end_a_key_may_answer_and_nobody_else(request, unused, name, may):
    who = request.getfixturevalue(name)
    assert advice.may_answer(unused, who) is may
    if not may:
        for act in (advice.apply, snoozed):
            with pytest.raises(NotAllowed):
                act(unused, by=who)
        assert Lease.objects.get().state == State.ACTIVE


def test_everybody_who_sees_the_key_sees_what_is_said_of_it(person, unused, make_role, alice, bob, vic, mallory, audra):
    make_role(name="wide", models=[], all_models=True)
    advice.look()
    carol = person("carol", PlatformRole.NONE)
    seen = {who: Advice.objects.visible_to(who).count() for who in (alice, bob, vic, mallory, carol, audra)}
    assert list(seen.values()) == [1, 1, 0, 0, 0, 2]


def snoozed(found, by, days=30, reason="The quarter ends."):
    return advice.snooze(found, by=by, until=timezone.now() + timedelta(days=days), reason=reason)


def test_what_is_put_off_comes_back_when_its_time_is_over_and_it_is_still_true(unused, alice):
    snoozed(unused, alice)
    advice.look()
    unused.refresh_from_db()
    assert (unused.state, unused.reason, unused.by) == ("snoozed", "The quarter ends.", "alice@example.com")
    assert AuditEvent.objects.get(action="advice.snoozed").facts["reason"] == "The quarter ends."
    with time_machine.travel(timezone.now() + timedelta(days=31), tick=True):
        type(unused.lease.gateway).objects.update(spend_synced_at=timezone.now())
        advice.look()
    unused.refresh_from_db()
    assert (unused.state, unused.reason) == ("open", "")


@pytest.mark.parametrize(
    ("days", "reason", "field"), [(91, "Why not.", "until"), (0, "Why not.", "until"), (9, " ", "reason")]
)
def test_a_snooze_has_a_reason_and_an_end_within_90_days(unused, alice, days, reason, field):
    with pytest.raises(Invalid) as refused:
        snoozed(unused, alice, days, reason)
    assert list(refused.value.details) == [field]


def test_a_secret_in_a_reason_is_kept_nowhere(unused, alice):
    secret = "sk-" + "aB3" * 8
    with pytest.raises(Invalid) as refused:
        advice.snooze(unused, by=alice, until=timezone.now() + timedelta(days=1), reason=f"it is {secret}")
    assert secret not in str(refused.value.details)
    unused.refresh_from_db()
    assert (unused.state, unused.reason) == (Advice.State.OPEN, "")


def test_what_is_not_true_any_more_is_not_done(unused, use, alice):  # noqa: F811
    use(unused.lease, "40")
    with pytest.raises(advice.NotWaiting):
        advice.apply(unused, by=alice)
    assert Lease.objects.get().state == State.ACTIVE


def test_figures_that_changed_are_shown_before_they_are_applied(hardly, alice):
    SpendDay.objects.update(spend=D("0.4"))
    with pytest.raises(advice.FiguresChanged):
        advice.apply(hardly, by=alice)
    hardly.refresh_from_db()
    assert hardly.proposed == {"max_budget": "5"}
    assert Lease.objects.get().max_budget == D(50)
    advice.apply(hardly, by=alice)
    assert Lease.objects.get().max_budget == D(5)


def test_what_is_applied_while_a_look_runs_stays_applied(hardly, alice, monkeypatch):
    """The look has read the key before, and writes after."""
    from keys.services.advice import looking

    write, began = looking._write, timezone.now()

    def later(*args):
        if Advice.objects.filter(state=Advice.State.OPEN).exists():
            advice.apply(hardly, by=alice)
        write(*args)

    monkeypatch.setattr(looking, "_write", later)
    advice.look(began)
    assert Advice.objects.get(kind=Kind.BUDGET).state == Advice.State.APPLIED


def test_what_was_answered_is_not_answered_again(hardly, alice):
    advice.apply(hardly, by=alice)
    for act in (advice.apply, snoozed):
        with pytest.raises(advice.NotWaiting):
            act(hardly, by=alice)


def test_where_only_a_person_can_know_nothing_is_done(sandbox, make_key, make_role, alice):
    lease = make_key(role=make_role(models=[], all_models=True)).lease
    advice.look()
    with pytest.raises(advice.CannotApply):
        advice.apply(Advice.objects.get(lease=lease), by=alice)


def test_a_key_that_is_raised_for_a_while_is_left_alone(hardly, alice, bob):
    lease = hardly.lease
    now = timezone.now()
    KeyRequest.objects.create(
        kind="rise", state="fulfilled", team=lease.team, role=lease.role, holder=alice, asked_by=alice, lease=lease,
        thread=lease.pk, purpose="More", asked={}, decider="team", remind_at=now, lapses_at=now, reverts_at=now,
    )  # fmt: skip
    with pytest.raises(advice.CannotApply):
        advice.apply(hardly, by=alice)
    assert Lease.objects.get().max_budget == D(50)
    assert advice.look() == {"opened": 0, "closed": 0}


def test_a_proposal_that_would_widen_the_key_is_none(make_key, sandbox):
    lease = make_key(models=("gpt-4o",), max_budget=D(10)).lease
    assert narrows({"max_budget": "5"}, lease)
    assert not narrows({"max_budget": "20"}, lease)
    assert not narrows({"models": ["gpt-4o", "o3"]}, lease)
    assert not narrows({"models": []}, lease)


def test_a_key_that_was_ended_meanwhile_is_not_narrowed(hardly, alice):
    leases.revoke(hardly.lease, by=alice)
    with pytest.raises(advice.NotWaiting):
        advice.apply(hardly, by=alice)
    assert Lease.objects.get().max_budget == D(50)
