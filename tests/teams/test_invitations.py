"""Invitations: good once, for one address, as long as whoever sent them may invite."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from portal import links
from portal.errors import Conflict, Invalid, NotAllowed
from portal.mail import INVITATION
from portal.models import AuditEvent, Letter
from teams import departures, grants, services
from teams.access import SYSTEM
from teams.models import Departure, GroupMapping, Invitation, Membership, User
from teams.roles import MemberRole, PlatformRole
from teams.services import invitations
from teams.services.invitations import (
    AccountExists,
    InvitationExpired,
    InvitationForAnother,
    InvitationUnknown,
    InvitationUsed,
    InvitationWithdrawn,
    TooManyInvitations,
    accept,
    accept_new,
    invite,
    look,
    put_or_invite,
    resend,
    withdraw,
)
from teams.services.members import NoAccount
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)

WORD = "a new word for bea 42"


def sent(team, by, email="bea@example.com", role=MemberRole.MEMBER):
    """An invitation, and the ticket of its letter's link."""
    invitation = invite(team, email=email, role=role, by=by)
    return invitation, invitations.ticket_of(links.secret_of(INVITATION, invitation.pk))


def events(action):
    return AuditEvent.objects.filter(action=action)


def test_an_address_without_an_account_is_invited_and_one_with_an_account_is_put_in(team, ines, person):
    nora = person("nora")
    put = put_or_invite(team, email="NORA@example.com", role=MemberRole.VIEWER, by=ines)
    assert put == (Membership.objects.get(team=team, user=nora), True)
    waits = put_or_invite(team, email="Bea@Example.com", role=MemberRole.MEMBER, by=ines)
    assert isinstance(waits, Invitation)
    assert (waits.email, waits.invited_by) == ("bea@example.com", ines)
    assert not User.objects.filter(email="bea@example.com").exists()


def test_the_new_person_makes_the_account_and_is_in_the_team_as_offered(team, ines):
    _, ticket = sent(team, ines, role=MemberRole.APPROVER)
    bea = accept_new(ticket, name=" Bea  Lund ", password=WORD)
    assert (bea.name, bea.email, bea.check_password(WORD)) == ("Bea Lund", "bea@example.com", True)
    there = Membership.objects.get(user=bea)
    assert (there.team, there.role, there.given_role) == (team, "approver", "approver")
    assert [event.actor for event in events("invitation.accepted")] == ["bea@example.com"]
    assert events("member.added").get().facts["role"] == "approver"


def test_a_used_invitation_says_when_and_gives_nothing_more(team, ines):
    _, ticket = sent(team, ines)
    bea = accept_new(ticket, name="Bea", password=WORD)
    for again in (lambda: accept(ticket, by=bea), lambda: accept_new(ticket, name="Eve", password=WORD)):
        with pytest.raises(InvitationUsed, match=rf"was used on .*{timezone.now():%Y}, \d\d:\d\d UTC"):
            again()
    assert Membership.objects.filter(user=bea).count() == 1


def test_an_expired_invitation_opens_nothing_until_it_is_sent_again(team, ines):
    invitation, ticket = sent(team, ines)
    with time_machine.travel(invitation.expires_at + timedelta(seconds=1)):
        with pytest.raises(InvitationExpired) as over:
            accept_new(ticket, name="Bea", password=WORD)
        assert "Ask Ines to send it again" in over.value.action
        resend(invitation, by=ines)
        assert accept_new(ticket, name="Bea", password=WORD).teams.get() == team


def test_a_withdrawn_invitation_opens_nothing_and_a_new_one_has_another_link(team, ines):
    invitation, ticket = sent(team, ines)
    withdraw(invitation, by=ines)
    with pytest.raises(InvitationWithdrawn):
        look(ticket)
    _, other = sent(team, ines)
    assert other != ticket
    with pytest.raises(InvitationWithdrawn):
        accept_new(ticket, name="Bea", password=WORD)
    assert accept_new(other, name="Bea", password=WORD)


def test_one_that_is_over_can_be_neither_withdrawn_nor_sent_again(team, ines):
    used, ticket = sent(team, ines)
    accept_new(ticket, name="Bea", password=WORD)
    gone, _ = sent(team, ines, email="eve@example.com")
    stale = Invitation.objects.get(pk=gone.pk)
    withdraw(gone, by=ines)
    used.refresh_from_db()
    for act in (withdraw, resend):
        with pytest.raises(InvitationUsed):
            act(used, by=ines)
    with pytest.raises(InvitationWithdrawn):
        withdraw(stale, by=ines)  # as a page showed it before
    assert events("invitation.withdrawn").count() == 1


def test_a_guessed_secret_and_a_forgotten_one_look_alike(team, ines):
    for ticket in ("", "0" * 64, invitations.ticket_of(""), invitations.ticket_of("x" * 43)):
        with pytest.raises(InvitationUnknown):
            look(ticket)


def test_nobody_else_uses_an_invitation(team, ines, mallory):
    _, ticket = sent(team, ines)
    with pytest.raises(InvitationForAnother) as refused:
        accept(ticket, by=mallory)
    assert (refused.value.code, int(refused.value.status)) == ("invitation_for_another", 403)
    assert not Membership.objects.filter(team=team, user=mallory).exists()
    assert look(ticket).accepted_at is None  # the refusal has not used it up


def test_the_case_of_an_address_makes_nobody_somebody_else(team, ines, person):
    _, ticket = sent(team, ines, email="BEA@example.COM")
    bea = person("bea")
    User.objects.filter(pk=bea.pk).update(email="Bea@Example.com")  # as an older version may have kept it
    bea.refresh_from_db()
    assert accept(ticket, by=bea).team == team


def test_an_account_made_meanwhile_is_asked_to_sign_in_and_joins(team, ines, person):
    _, ticket = sent(team, ines)
    bea = person("bea")
    with pytest.raises(AccountExists):
        accept_new(ticket, name="Bea", password=WORD)
    assert accept(ticket, by=bea).role == "member"


def test_an_invitation_takes_nothing_away_from_who_became_more_meanwhile(team, ines, person):
    _, ticket = sent(team, ines, role=MemberRole.VIEWER)
    bea = person("bea")
    services.put_member(team, email=bea.email, role=MemberRole.ADMIN, by=ines)
    assert accept(ticket, by=bea).role == "admin"


@pytest.mark.parametrize("loss", ["role", "membership", "account"])
def test_it_is_void_once_whoever_sent_it_may_not_invite_any_more(team, ines, bob, ruth, loss):
    _, ticket = sent(team, ines)
    services.put_member(team, email=bob.email, role=MemberRole.ADMIN, by=ines)
    if loss == "role":
        services.put_member(team, email=ines.email, role=MemberRole.APPROVER, by=bob)
    elif loss == "membership":
        services.remove_member(Membership.objects.get(user=ines), by=bob)
    else:
        departures.deactivate(ines, by=ruth)
    with pytest.raises(InvitationWithdrawn, match="may not invite"):
        accept_new(ticket, name="Bea", password=WORD)
    assert not User.objects.filter(email="bea@example.com").exists()


def test_who_accepts_keeps_the_place_whatever_becomes_of_what_a_provider_gave(team, ines, person, ruth, monkeypatch):
    GroupMapping.objects.create(source="okta", value="eng", team=team, role="member")
    carol = person("carol")
    grants.follow(carol, "okta", ["eng"])
    monkeypatch.setattr(departures, "MOST", 0)
    assert grants.follow(carol, "okta", []).held
    held = Departure.objects.get()
    offered = invitations.invite(team, email=carol.email, role=MemberRole.MEMBER, by=ines)
    invitations.accept(offered.digest, by=carol)
    with pytest.raises(departures.Decided):
        departures.decide(held, go_on=True, by=ruth)
    grants.follow(carol, "okta", [])
    assert carol.memberships.get().role == "member"


def test_an_ended_team_takes_nobody_in(team, ines, ruth):
    invitation, ticket = sent(team, ines)
    services.end_team(team, by=ruth)
    with pytest.raises(InvitationWithdrawn, match="has ended"):
        look(ticket)
    with pytest.raises(Conflict):
        resend(invitation, by=ines)


def test_only_who_manages_members_invites_resends_and_withdraws(team, ines, bob, alice, mallory, audra):
    invitation, _ = sent(team, ines)
    for outsider in (alice, bob, mallory, audra):
        for act in (
            lambda by: invite(team, email="eve@example.com", role=MemberRole.MEMBER, by=by),
            lambda by: resend(invitation, by=by),
            lambda by: withdraw(invitation, by=by),
        ):
            with pytest.raises(NotAllowed):
                act(outsider)
    assert Invitation.objects.count() == 1


def test_keydesk_itself_invites_nobody(team):
    with pytest.raises(NoAccount):
        put_or_invite(team, email="bea@example.com", role=MemberRole.MEMBER, by=SYSTEM)


def test_inviting_somebody_again_sends_the_same_link_with_the_new_role(team, ines, bob):
    _, ticket = sent(team, ines)
    services.put_member(team, email=bob.email, role=MemberRole.ADMIN, by=ines)
    again, same = sent(team, bob, role=MemberRole.ADMIN)
    assert same == ticket
    assert Invitation.objects.count() == 1
    assert (again.role, again.invited_by) == ("admin", bob)
    assert AuditEvent.objects.filter(action="invitation.sent").count() == 2


@pytest.mark.parametrize(
    ("field", "value"), [("email", "nobody"), ("email", f"{'x' * 64}@{'y' * 200}.example"), ("role", "emperor")]
)
def test_what_cannot_be_invited_is_named(team, ines, field, value):
    with pytest.raises(Invalid) as refused:
        put_or_invite(team, **{"email": "bea@example.com", "role": MemberRole.MEMBER, field: value}, by=ines)
    assert list(refused.value.details) == [field]


@pytest.mark.parametrize(("name", "password", "wrong"), [("", WORD, "name"), ("Bea", "short", "password")])
def test_an_account_that_cannot_be_made_leaves_the_invitation_open(team, ines, name, password, wrong):
    _, ticket = sent(team, ines)
    with pytest.raises(Invalid) as refused:
        accept_new(ticket, name=name, password=password)
    assert list(refused.value.details) == [wrong]
    assert accept_new(ticket, name="Bea", password=WORD)


def test_where_only_a_provider_signs_in_no_account_with_a_password_is_made(team, ines, settings):
    _, ticket = sent(team, ines)
    settings.SSO_ONLY = True
    with pytest.raises(NotAllowed):
        accept_new(ticket, name="Bea", password=WORD)
    assert look(ticket)


def test_invitations_an_hour_are_counted_and_sending_again_counts(team, ines, bob, settings):
    settings.INVITATIONS_AN_HOUR = 3
    services.put_member(team, email=bob.email, role=MemberRole.ADMIN, by=ines)
    first, _ = sent(team, ines)
    resend(first, by=ines)
    sent(team, ines, email="eve@example.com")
    with pytest.raises(TooManyInvitations) as refused:
        sent(team, ines, email="kim@example.com")
    assert (refused.value.code, int(refused.value.status)) == ("too_many_invitations", 429)
    assert 3500 < refused.value.details["retry_after"] <= 3600
    assert sent(team, bob, email="kim@example.com")  # each person has their own
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        assert sent(team, ines, email="lou@example.com")


def test_two_at_once_make_one_account_and_one_membership(team, ines):
    _, ticket = sent(team, ines)
    done = together(*(lambda n=n: accept_new(ticket, name=f"Bea {n}", password=WORD) for n in range(4)))
    assert sum(isinstance(each, User) for each in done) == 1
    assert all(isinstance(each, User | InvitationUsed) for each in done), done
    assert Membership.objects.filter(team=team, user__email="bea@example.com").count() == 1
    assert events("invitation.accepted").count() == 1


def test_the_same_person_twice_at_once_is_in_once(team, ines, person):
    _, ticket = sent(team, ines)
    bea = person("bea")
    done = together(*(lambda: accept(ticket, by=bea) for _ in range(4)))
    assert sum(isinstance(each, Membership) for each in done) == 1
    assert all(isinstance(each, Membership | InvitationUsed) for each in done), done
    assert events("member.added").count() == 1


def test_more_than_allowed_at_once_are_still_counted(team, ines, settings):
    settings.INVITATIONS_AN_HOUR = 2
    done = together(*(lambda n=n: sent(team, ines, email=f"bea{n}@example.com") for n in range(5)))
    assert sum(isinstance(each, TooManyInvitations) for each in done) == 3, done
    assert Letter.objects.count() == 2


def test_what_expired_a_month_ago_is_forgotten(team, ines, ruth):
    old, _ = sent(team, ines)
    sent(team, ruth, email="eve@example.com")
    Invitation.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(days=31))
    assert invitations.forget_old() == 1
    assert Invitation.objects.get().email == "eve@example.com"


def test_a_platform_admin_invites_into_any_team(team, ruth):
    _, ticket = sent(team, ruth, role=MemberRole.ADMIN)
    assert accept_new(ticket, name="Bea", password=WORD).platform_role == PlatformRole.NONE


# --- leaving --------------------------------------------------------------------------------------


def test_anybody_leaves_a_team_by_themselves_and_nobody_makes_them(team, alice, bob, vic):
    there = Membership.objects.get(user=alice)
    with pytest.raises(NotAllowed):
        services.leave(there, by=bob)
    services.leave(there, by=alice)
    services.leave(there, by=alice)  # safe to repeat
    assert events("member.left").count() == 1
    assert not team.memberships.filter(user=alice).exists()


def test_the_last_admin_cannot_leave_and_an_inactive_one_does_not_count(team, ines, bob, alice, ruth):
    there = Membership.objects.get(user=ines)
    services.put_member(team, email=bob.email, role=MemberRole.ADMIN, by=ines)
    departures.deactivate(bob, by=ruth)
    with pytest.raises(services.LastAdmin) as refused:
        services.leave(there, by=ines)
    assert refused.value.action == "Make somebody else a team admin first, like Alice."
    services.put_member(team, email=alice.email, role=MemberRole.ADMIN, by=ines)
    services.leave(there, by=ines)
    assert not team.memberships.filter(user=ines).exists()
