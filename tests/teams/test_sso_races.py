"""Two at once: first sign-ins of one person, and disconnecting the last two ways in."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
from allauth.socialaccount.models import SocialAccount

from portal.models import AuditEvent
from teams.models import User
from teams.sso import identities
from teams.sso.troubles import LastWayIn, SignInRefused
from tests.teams.provider import okta
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)
CARLA = identities.Claimed(okta(), "okta-1", "carla@example.com", verified=True, name="Carla")


def test_one_person_who_comes_in_twice_at_once_gets_one_account():
    found = together(*[partial(identities.let_in, CARLA)] * 4)
    assert {getattr(each, "user_id", each) for each in found} == {User.objects.get().pk}
    assert AuditEvent.objects.filter(action="sso.account_made").count() == 1


def test_who_was_let_in_between_our_look_and_our_lock_comes_in_too(monkeypatch):
    first = identities.let_in(CARLA)
    monkeypatch.setattr(identities, "_known", lambda _: None)  # as we looked a moment too early
    assert identities.let_in(CARLA) == first


def test_two_people_with_one_address_do_not_both_get_its_account():
    found = together(*(partial(identities.let_in, replace(CARLA, subject=subject)) for subject in ("a", "b", "c")))
    assert [type(each) for each in found].count(SocialAccount) == 1
    assert [type(each) for each in found].count(SignInRefused) == 2
    assert SocialAccount.objects.count() == User.objects.count() == 1


def test_of_the_last_two_ways_in_one_stays(settings):
    settings.SSO_PROVIDERS = {"okta": okta(), "second": okta(id="second")}
    user = User.objects.create_user("carla@example.com")
    both = [SocialAccount.objects.create(user=user, provider=name, uid="1") for name in settings.SSO_PROVIDERS]
    found = together(*(partial(identities.disconnect, each, by=user) for each in both))
    assert [type(each) for each in found].count(LastWayIn) == 1
    assert SocialAccount.objects.count() == 1
