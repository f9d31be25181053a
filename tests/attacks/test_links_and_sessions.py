"""What was meant for one person once: an invitation's link, a session, a token. None does for another, or twice."""

from __future__ import annotations

import pytest
from django.conf import settings as conf
from django.test import Client
from django.urls import reverse

from portal import links
from portal.errors import NotAllowed
from portal.mail import INVITATION
from portal.models import AuditEvent
from teams.models import ApiToken, Membership, User
from teams.roles import MemberRole, Scope
from teams.services import make_token
from teams.services.invitations import invite
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db

NEW = {"name": "Bea", "password": "a new word for bea 42", "sent": "1"}


@pytest.fixture
def link(scene) -> str:
    """What the letter to bea says."""
    made = invite(scene.team, email="bea@example.com", role=MemberRole.ADMIN, by=scene.ines)
    return reverse("invitations:open", args=[links.secret_of(INVITATION, made.pk)])


def refusals() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action="access.refused").order_by("pk"))


def test_an_invitation_is_used_once(scene, link):
    first, again = Client(), Client()
    for client in (first, again):
        assert client.get(link).status_code == 302
    assert first.post(reverse("invitations:accept"), NEW).status_code == 302
    members = Membership.objects.filter(team=scene.team).count()
    answer = again.post(reverse("invitations:accept"), NEW | {"name": "Eve"})
    assert answer.status_code in {404, 409, 410}
    assert User.objects.filter(email="bea@example.com").count() == 1
    assert Membership.objects.filter(team=scene.team).count() == members
    [event] = refusals()
    assert (event.actor_kind, event.facts["code"], event.facts["route"]) == (
        "stranger", "invitation_used", "invitations:accept",
    )  # fmt: skip
    assert link.split("/")[2] not in str(vars(event))


def test_somebody_elses_invitation_is_refused_and_still_good(scene, link):
    client = Client()
    client.force_login(scene.mallory)
    client.get(link)
    assert client.post(reverse("invitations:accept"), {"sent": "1"}).status_code == 403
    assert not Membership.objects.filter(team=scene.team, user=scene.mallory).exists()
    assert [event.facts["right"] for event in refusals()] == ["invited_address"]
    other = Client()
    other.get(link)
    assert other.post(reverse("invitations:accept"), NEW).status_code == 302


def test_a_role_or_a_team_sent_along_is_not_taken(scene, link):
    client = Client()
    client.get(link)
    wished = {"role": "approver", "team": "mobile", "email": "eve@example.com", "platform_role": "admin"}
    client.post(reverse("invitations:accept"), NEW | wished)
    bea = User.objects.get(email="bea@example.com")
    assert bea.platform_role == ""
    assert list(bea.memberships.values_list("team__slug", "role")) == [("search", "admin")]
    assert not User.objects.filter(email="eve@example.com").exists()


def test_a_session_that_was_there_before_signing_in_is_worth_nothing_after(scene):
    victim = User.objects.get(pk=scene.alice.pk)
    victim.set_password(PASSWORD)
    victim.save()
    browser, thief = Client(), Client()
    browser.get(reverse("account_login"))
    session = browser.session
    session["planted"] = "1"
    session.save()
    planted = str(session.session_key)
    browser.cookies[conf.SESSION_COOKIE_NAME] = planted
    assert browser.post(reverse("account_login"), {"login": victim.email, "password": PASSWORD}).status_code == 302
    assert browser.cookies[conf.SESSION_COOKIE_NAME].value != planted
    thief.cookies[conf.SESSION_COOKIE_NAME] = planted
    assert thief.get("/").status_code == 302


def test_a_token_makes_no_stronger_one(scene):
    """By the service: no address of the API makes tokens."""
    scene.ruth.scopes = frozenset({Scope.READ})
    with pytest.raises(NotAllowed) as refused:
        make_token(scene.ruth, name="more", scopes=[Scope.PLATFORM_MANAGE], by=scene.ruth)
    assert refused.value.right == "scopes_of_token"
    assert not ApiToken.objects.filter(name="more").exists()


def test_a_token_never_opens_a_page(client, scene):
    headers = scene.bearer(scene.ruth)
    for where in ("/", "/teams/new/", "/admin/", "/tokens/"):
        assert client.get(where, headers=headers).status_code == 302
