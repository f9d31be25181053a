"""Who may do what: one table, asked for one object and for lists."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from keys.models import Gateway, KeyRole, Lease
from keys.models.gateway import SANDBOX_URL
from portal.errors import NotAllowed
from portal.models import AuditEvent
from teams.access import SYSTEM, allowed, may_hold, require, within
from teams.models import ApiToken, Membership, Team, User
from teams.roles import COLUMNS, SCOPES, TABLE, Can, MemberRole, PlatformRole, Reach, Scope, reach
from teams.services import LastAdmin, make_token, put_member, remove_member

pytestmark = pytest.mark.django_db

CAST = ["vic", "alice", "bob", "ines", "mallory", "audra", "ruth", "robot", "drone"]


@pytest.fixture
def drone(other_team):
    """A service account of another team."""
    return User.objects.create_service_account("drone", other_team)


@pytest.fixture
def leases_of_all(request, team, other_team):
    """One lease for each of the cast in both teams, on no gateway that matters."""
    gateway = Gateway.objects.create(name="g", base_url=SANDBOX_URL, master_key="sk-example-0")
    role = KeyRole.objects.create(name="r", gateway=gateway, all_models=True, all_teams=True)
    now = timezone.now()
    for name in CAST:
        for where in (team, other_team):
            Lease.objects.create(
                alias=f"{name}-{where.slug}",
                team=where,
                holder=request.getfixturevalue(name),
                role=role,
                gateway=gateway,
                issued_at=now,
                expires_at=now + timedelta(days=1),
                max_expires_at=now,
            )


@pytest.mark.parametrize("scopes", [None, [Scope.READ], [Scope.KEYS_MANAGE, Scope.PLATFORM_READ]])
@pytest.mark.parametrize("name", CAST)
def test_one_object_and_lists_are_answered_alike(request, leases_of_all, name, scopes):
    actor = request.getfixturevalue(name)
    actor.scopes = None if scopes is None else frozenset(scopes)
    keys, teams = Lease.objects.select_related("team", "holder"), Team.objects.all()
    for can in Can:
        listed = set(Lease.objects.filter(within(actor, can)).values_list("alias", flat=True))
        assert listed == {lease.alias for lease in keys if allowed(actor, can, lease)}, can
        named = set(Team.objects.filter(within(actor, can, team="pk")).values_list("slug", flat=True))
        assert named == {each.slug for each in teams if allowed(actor, can, each)}, can


@pytest.mark.parametrize("can", [Can.ISSUE_KEY, Can.RENEW_KEY, Can.REVOKE_KEY])
def test_who_runs_a_team_acts_for_its_service_accounts_and_no_others(
    leases_of_all, team, vic, alice, bob, ines, mallory, audra, ruth, can
):
    mine, foreign = Lease.objects.get(alias="robot-search"), Lease.objects.get(alias="drone-mobile")
    stray = Lease.objects.get(alias="drone-search")  # of another team, with a key of this one
    found = {
        person.name: (allowed(person, can, mine), allowed(person, can, foreign))
        for person in (vic, alice, bob, ines, mallory, audra, ruth)
    }
    over_all = can is Can.REVOKE_KEY
    assert found == {
        "Vic": (False, False), "Alice": (False, False), "Bob": (over_all, False), "Ines": (True, False),
        "Mallory": (False, True), "Audra": (False, False), "Ruth": (True, True),
    }  # fmt: skip
    assert allowed(ines, can, stray) is over_all
    ines.scopes = frozenset({Scope.READ})
    assert not allowed(ines, can, mine)


def test_the_table_has_a_scope_and_a_full_row_for_every_right():
    assert set(TABLE) == set(SCOPES) == set(Can)
    assert {len(row) for row in TABLE.values()} == {len(COLUMNS)}


def test_a_team_admin_is_no_platform_admin_though_both_are_called_admin():
    assert MemberRole.ADMIN.value == PlatformRole.ADMIN.value
    assert reach(Can.MANAGE_PLATFORM, MemberRole.ADMIN) is Reach.NONE
    assert reach(Can.MANAGE_PLATFORM, PlatformRole.ADMIN) is Reach.ANY


def test_an_inactive_person_may_nothing(team, ines, ruth):
    for person in (ines, ruth):
        person.is_active = False
        person.save()
        assert not any(allowed(person, can, team) for can in Can)
        assert not Team.objects.filter(within(person, Can.SEE_TEAM, team="pk")).exists()
        assert not may_hold(person, team)


def test_a_refusal_names_the_right_and_who_has_it(team, alice, ines):
    with pytest.raises(NotAllowed) as refused:
        require(alice, Can.MANAGE_MEMBERS, team)
    assert refused.value.message == "You may not change who is in this team, its service accounts and their tokens."
    assert refused.value.action == "A team admin of Search Platform can: Ines."
    assert refused.value.details == {"right": "manage_members", "who": ["Ines"]}


def test_keydesk_itself_may_do_what_its_sweeps_do(team):
    assert all(allowed(SYSTEM, can, team) for can in Can)


def test_a_service_account_has_no_address_and_cannot_be_anything_else(team, robot):
    assert (robot.email, robot.has_usable_password()) == (None, False)
    for wrong in ({"email": "x@example.com"}, {"service_team": None}, {"platform_role": "admin"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            User.objects.filter(pk=robot.pk).update(**wrong)


def test_a_person_has_an_address_that_nobody_else_has_in_any_case(alice):
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.filter(pk=alice.pk).update(email=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        User(email="ALICE@example.com").save()


def test_a_team_keeps_an_admin(team, ines, ruth):
    only = Membership.objects.get(user=ines)
    with pytest.raises(LastAdmin):
        remove_member(only, by=ruth)
    with pytest.raises(LastAdmin):
        put_member(team, email="ines@example.com", role=MemberRole.VIEWER, by=ruth)
    assert Membership.objects.get(user=ines).role == MemberRole.ADMIN


def test_tokens_lie_as_a_keyed_hash_and_are_found_by_one_select(alice, django_assert_num_queries):
    token, plain = make_token(alice, name="ci", scopes=["read"], by=SYSTEM)
    assert plain.startswith("kd_")
    assert plain not in str(ApiToken.objects.values().get())
    with django_assert_num_queries(1):
        found = ApiToken.objects.usable(plain)
        assert found is not None
        assert (found, found.owner) == (token, alice)
    ApiToken.objects.update(expires_at=timezone.now())
    assert ApiToken.objects.usable(plain) is None


def test_a_tokens_last_use_is_written_at_most_once_a_minute(alice, django_assert_num_queries):
    token, _ = make_token(alice, name="ci", scopes=["read"], by=SYSTEM)
    now = timezone.now()
    token.used(now)
    token.refresh_from_db()
    with django_assert_num_queries(0):
        token.used(now + timedelta(seconds=59))
    with django_assert_num_queries(1):
        token.used(now + timedelta(seconds=61))


def test_audit_events_are_never_changed_or_deleted(alice):
    make_token(alice, name="ci", scopes=["read"], by=SYSTEM)
    event = AuditEvent.objects.get()
    for act in (
        event.save,
        event.delete,
        AuditEvent.objects.all().delete,
        lambda: AuditEvent.objects.update(actor="x"),
    ):
        with pytest.raises(TypeError):
            act()
