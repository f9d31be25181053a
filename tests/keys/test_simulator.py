"""A change of a key role: its versions, what it does to live keys before it is saved, and the three ways to go on."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from keys.models import How, KeyRequest, KeyRole, Lease, Proposal, RoleVersion
from keys.services import bounds, leases, proposals, roles, simulator
from keys.services.bounds import Held
from portal.errors import Conflict, SecondNeeded
from portal.litellm.faults import refused
from portal.models import AuditEvent
from portal.outbox import send_due
from teams.roles import PlatformRole
from tests.pages.conftest import form_of, text

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def as_person(client):
    def sign_in(user):
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def role(sandbox, make_role) -> KeyRole:
    return make_role()


@pytest.fixture
def key(role, make_key):
    def make(**ask):
        return make_key(role=role, **ask)

    return make


def change(role, by, how=How.LEAVE, **fields):
    return roles.change(KeyRole.objects.get(pk=role.pk), by=by, how=how, **fields)


def there(sandbox, issued):
    """The key as the gateway has it."""
    return sandbox.client.keys.info(issued.lease.current.token_hash)


def test_each_change_is_a_version_with_who_when_and_what(role, key, ruth, as_person):
    key()
    change(role, ruth, max_budget=Decimal(80))
    change(role, ruth, models=["gpt-4o", "o3"], ttl=7 * DAY)
    first, second, third = RoleVersion.objects.filter(role=role).order_by("number")
    assert (first.number, first.by_name, first.terms["max_budget"]) == (1, "", "50")
    assert (second.number, second.by, second.by_name) == (2, ruth, ruth.audit_name)
    assert third.terms["ttl"] == 7 * 86400
    said = text(as_person(ruth).get(reverse("keys:role", args=[role.pk])))
    assert "Budget of each key: $50.00 a month → became $80.00 a month" in said
    assert "Models: o3 added; gpt-4o-mini removed" in said
    assert "TTL: 30 days → became 7 days" in said
    assert "Version 1 . One live key." in said
    assert "Version 3 , by ruth@example.com. No live keys." in said


def test_a_refused_change_leaves_no_version(role, ruth):
    change(role, ruth, description="first")
    with pytest.raises(Conflict):
        roles.change(role, by=ruth, description="second")  # as it was read before that
    assert [each.number for each in RoleVersion.objects.filter(role=role)] == [2, 1]


def test_the_simulator_counts_keys_people_and_money(role, key, ruth, alice, bob):
    key(), key(holder=bob), key(holder=bob, models=("gpt-4o",), max_budget=Decimal(5), ttl=DAY)
    found = roles.simulate(role, by=ruth, models=["gpt-4o"], max_budget=Decimal(20))
    assert (found.live, len(found.outside), found.people) == (3, 2, ("Alice", "Bob"))
    assert {each.limits for each in found.outside} == {("models", "max_budget")}
    leave, renewal, now = found.choices
    costs = [Held.by(lease).most(timezone.now(), lease.expires_at) for lease in Lease.objects.all()]
    assert leave.until_end.amount == sum(cost or 0 for cost in costs) == renewal.until_end.amount
    assert now.until_end.amount < leave.until_end.amount
    assert now.renewed.amount < renewal.renewed.amount < leave.renewed.amount
    assert KeyRole.objects.get().max_budget == 50
    assert role.max_budget == 50


def test_a_role_without_a_budget_counts_the_keys_that_nothing_limits(sandbox, make_role, make_key, ruth):
    free = make_role(name="free", max_budget=None, budget_duration="")
    make_key(role=free)
    leave, _, now = roles.simulate(free, by=ruth, max_budget=Decimal(10), budget_duration="1mo").choices
    assert (leave.until_end.unlimited, now.until_end.unlimited) == (1, 0)
    assert now.until_end.amount in {10, 20}


def test_a_change_that_leaves_nobody_outside_is_saved_at_once(role, key, ruth, as_person):
    key()
    url = reverse("keys:role_edit", args=[role.pk])
    client = as_person(ruth)
    sent = form_of(client.get(url)) | {"max_budget": "80"}
    assert client.post(url, sent).status_code == 302
    assert KeyRole.objects.get().max_budget == 80


@pytest.mark.parametrize(
    ("how", "kept", "left"), [("leave", Decimal(50), 50), ("renewal", Decimal(50), 50), ("now", Decimal(20), 20)]
)
def test_the_page_shows_what_a_change_does_and_saves_what_was_chosen(
    sandbox, role, key, ruth, as_person, how, kept, left
):
    issued = key(name="nightly")
    url, client = reverse("keys:role_edit", args=[role.pk]), as_person(ruth)
    shown = client.post(url, form_of(client.get(url)) | {"max_budget": "20"})
    assert "One live key has more than the role would give. Nothing is saved yet." in text(shown)
    assert "Budget: $50.00 a month" in text(shown)
    assert KeyRole.objects.get().max_budget == 50
    assert client.post(url, form_of(shown) | {"how": how}).status_code == 302
    issued.lease.refresh_from_db()
    assert KeyRole.objects.get().max_budget == 20
    assert issued.lease.max_budget == kept
    assert there(sandbox, issued).max_budget == left
    assert RoleVersion.objects.get(number=2).how == how


def test_a_key_that_comes_outside_after_the_look_is_shown_first(role, key, ruth, as_person):
    key()
    url, client = reverse("keys:role_edit", args=[role.pk]), as_person(ruth)
    shown = client.post(url, form_of(client.get(url)) | {"max_budget": "20"})
    key()
    again = client.post(url, form_of(shown) | {"how": "now"})
    assert again.status_code == 409
    assert "Two live keys have more" in text(again)
    assert KeyRole.objects.get().max_budget == 50
    assert client.post(url, form_of(again) | {"how": "now"}).status_code == 302


def test_applied_now_a_key_is_cut_on_the_gateway_and_its_holder_is_told(sandbox, role, key, ruth, alice):
    issued = key(name="nightly")
    small = key(models=("gpt-4o",), max_budget=Decimal(5), ttl=DAY)
    change(role, ruth, How.NOW, models=["gpt-4o", "o3"], max_budget=Decimal(20), rpm_limit=60, ttl=7 * DAY)
    seen = there(sandbox, issued)
    assert (list(seen.models), seen.max_budget, seen.rpm_limit) == (["gpt-4o"], 20, 60)
    assert seen.expires <= timezone.now() + 7 * DAY
    narrow = there(sandbox, small)
    assert (list(narrow.models), narrow.max_budget) == (["gpt-4o"], 5)  # never wider
    issued.lease.refresh_from_db()
    assert issued.lease.limits["role_version"] == 2
    event = AuditEvent.objects.get(action="key.narrowed", target_id=str(issued.lease.pk))
    assert event.facts["limits"] == ["models", "max_budget", "rpm_limit", "ttl"]
    send_due()
    assert "Keydesk: your key nightly was narrowed" in [letter.subject for letter in mail.outbox]
    assert {to for letter in mail.outbox for to in letter.to} == {"alice@example.com"}


def test_applied_now_a_key_of_which_nothing_can_stay_ends(sandbox, role, key, ruth):
    kept, gone = key(), key(models=("gpt-4o-mini",))
    found = roles.simulate(role, by=ruth, models=["gpt-4o"])
    assert found.ending == 1
    change(role, ruth, How.NOW, models=["gpt-4o"])
    gone.lease.refresh_from_db()
    assert gone.lease.state == "revoked"
    assert sandbox.status_of(gone.secret) == 401
    assert sandbox.status_of(kept.secret) == 200


def test_the_page_counts_the_keys_that_end_at_once(role, key, ruth, as_person):
    key(models=("gpt-4o-mini",))
    url, client = reverse("keys:role_edit", args=[role.pk]), as_person(ruth)
    shown = text(client.post(url, form_of(client.get(url)) | {"more_models": "gpt-4o"}))
    assert "One key ends at once." in shown


def test_a_gateway_that_is_away_is_told_later(sandbox, role, key, ruth, after_horizon):
    issued = key()
    sandbox.faults.fail_next("/key/info", refused(), times=3)
    change(role, ruth, How.NOW, max_budget=Decimal(20))
    assert there(sandbox, issued).max_budget == 50
    after_horizon()
    assert there(sandbox, issued).max_budget == 20


def test_at_its_renewal_a_key_takes_the_narrower_of_both_and_the_slip_says_so(sandbox, role, key, ruth, as_person):
    issued = key(name="nightly", ttl=7 * DAY)
    change(role, ruth, How.RENEWAL, models=["gpt-4o", "o3"], max_budget=Decimal(20), max_ttl=40 * DAY)
    before, lease = Lease.objects.get(), issued.lease
    assert before.max_budget == there(sandbox, issued).max_budget == 50
    page = as_person(before.holder).get(reverse("keys:renew", args=[before.pk]))
    assert "gpt-4o instead of gpt-4o-mini, gpt-4o: the key role gives less now" in text(page)
    leases.renew(lease, by=lease.holder)
    after, seen = Lease.objects.get(), there(sandbox, issued)
    assert (after.limits["models"], after.limits["role_version"]) == (["gpt-4o"], 2)
    assert after.max_budget == 20
    assert after.max_expires_at == before.issued_at + 40 * DAY
    assert after.expires_at > before.expires_at
    assert (list(seen.models), seen.max_budget) == (["gpt-4o"], 20)


def test_a_renewal_takes_nothing_where_keys_were_left_as_they_are(sandbox, role, key, ruth):
    issued = key(ttl=7 * DAY)
    change(role, ruth, How.LEAVE, max_budget=Decimal(20))
    leases.renew(issued.lease, by=issued.lease.holder)
    assert Lease.objects.get().max_budget == 50


def test_what_a_person_approved_beyond_the_role_is_not_outside_it(role, key, ruth, alice):
    within, beyond = key().lease, key().lease
    beyond.limits["max_budget"] = "90"
    beyond.save()
    for lease in (within, beyond):
        KeyRequest.objects.create(
            state="fulfilled", team=lease.team, role=role, holder=alice, asked_by=alice, lease=lease, purpose="x",
            asked={}, thread=lease.pk, decider="team", remind_at=timezone.now(), lapses_at=timezone.now(),
        )  # fmt: skip
    found = roles.simulate(role, by=ruth, max_budget=Decimal(20))
    assert ([each.lease for each in found.outside], found.approved) == ([within], 1)
    change(role, ruth, How.NOW, max_budget=Decimal(20))
    beyond.refresh_from_db()
    assert beyond.max_budget == 90


def test_a_second_admin_confirms_the_choice_with_the_change(settings, sandbox, make_role, make_key, ruth, person):
    settings.SECOND_ADMIN = True
    wide = make_role(name="wide", all_models=True, models=[], max_budget=None, budget_duration="")
    lease = make_key(role=wide).lease
    with pytest.raises(SecondNeeded):
        change(wide, ruth, How.NOW, rpm_limit=60)
    assert Proposal.objects.get().after["how"] == "now"
    proposals.confirm(Proposal.objects.get(), by=person("rita", PlatformRole.ADMIN))
    lease.refresh_from_db()
    assert lease.limits["rpm_limit"] == 60


def test_the_simulation_costs_the_same_queries_for_one_key_and_for_many(role, key, ruth):
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            simulator.simulate(role, teams=[])
        return len(seen)

    one = key().lease
    few = queries()
    copies = [
        Lease(alias=f"copy-{n}", team=one.team, holder=one.holder, role=role, gateway=one.gateway, limits=one.limits,
              state="active", issued_at=one.issued_at, expires_at=one.expires_at, max_expires_at=one.max_expires_at)
        for n in range(200)
    ]  # fmt: skip
    Lease.objects.bulk_create(copies)
    assert queries() == few


limits = st.fixed_dictionaries(
    {
        "models": st.lists(st.sampled_from(["gpt-4o", "o3", "openai/gpt-5", "openai/*"]), min_size=1, unique=True),
        "max_budget": st.none() | st.sampled_from(["1", "20", "20.0000", "300"]),
        "budget_duration": st.sampled_from(["", "1h", "1d", "7d", "30d", "1mo"]),
        "tpm_limit": st.none() | st.integers(1, 9),
        "rpm_limit": st.none() | st.integers(1, 9),
        "max_parallel_requests": st.none() | st.integers(1, 9),
    }
)


either, days = st.booleans(), st.integers(1, 99)


@given(has=limits, gives=limits, every=st.tuples(either, either), ttls=st.tuples(days, days, days, days))
def test_what_is_narrowed_is_never_wider_and_stays_as_it_is_the_second_time(has, gives, every, ttls):
    now = timezone.now()
    has = {**has, "all_models": every[0], "models": [] if every[0] else has["models"]}
    if has["max_budget"] is None:
        has["budget_duration"] = ""
    budget = gives["max_budget"]
    fields = {**gives, "models": [] if every[1] else gives["models"], "max_budget": budget and Decimal(budget)}
    if budget is None:
        fields["budget_duration"] = ""
    ttl, longest, rest, last = (timedelta(days=each) for each in ttls)
    role = KeyRole(name="x", all_models=every[1], ttl=min(ttl, longest), max_ttl=longest, **fields)
    held = Held(has, now, now + min(rest, last), now + last)
    cut = bounds.narrowed(held, role, now)
    assert cut.expires_at <= min(held.expires_at, now + role.ttl)
    assert cut.max_expires_at <= min(held.max_expires_at, now + longest)
    for name in bounds.RATES:
        assert cut.limits[name] is None or cut.limits[name] <= (has[name] or cut.limits[name])
    most, before = cut.most(now, held.max_expires_at), held.most(now, held.max_expires_at)
    assert before is None or (most is not None and most <= before)
    allowed = set(cut.limits["models"])
    assert cut.limits["all_models"] <= (every[0] and every[1])
    if not every[0] and not every[1]:
        assert all(bounds._fits(name, has["models"]) and bounds._fits(name, gives["models"]) for name in allowed)
    assert bounds.outside(cut, role, now) == ()
    assert bool(bounds.outside(held, role, now)) == (cut != held)
