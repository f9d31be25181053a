"""Second factors: set up, used, taken away; and who has to have one."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from portal.models import Letter
from teams import mfa
from teams.access import SYSTEM
from teams.services import people
from tests.pages.accounts import code, events, give_app, is_signed_in, later, sign_in
from tests.pages.conftest import text

pytestmark = pytest.mark.django_db(transaction=True)
APP, CODES, STEP = "/accounts/second-factors/app/", "/accounts/second-factors/codes/", "/accounts/login/second-factor/"


def letters() -> list[str]:
    return list(Letter.objects.order_by("pk").values_list("text", flat=True))


def shown_secret(page) -> str:
    return re.search(r'id="secret">\s*([A-Z2-7]+)', page.content.decode()).group(1)


def codes_of(user) -> list[str]:
    return Authenticator.objects.get(user=user, type="recovery_codes").wrap().get_unused_codes()


def test_an_app_is_set_up_with_a_picture_a_code_and_recovery_codes_shown_once(as_person, alice):
    client = as_person(alice)
    page = client.get(APP)
    assert "<svg" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    done = client.post(APP, {"code": code(shown_secret(page))}, follow=True)
    assert done.redirect_chain[-1][0] == CODES
    assert all(each in text(done) for each in codes_of(alice))
    assert "no-store" in done["Cache-Control"]
    again = text(client.get(CODES))
    assert not any(each in again for each in codes_of(alice))
    assert [event.facts["factor"] for event in events("person.factor_added")] == ["totp"]
    assert len(events("person.recovery_codes_made")) == 1
    assert any("An authenticator app was added" in said for said in letters())


def test_a_wrong_code_sets_up_nothing_and_keeps_the_picture(as_person, alice):
    client = as_person(alice)
    secret = shown_secret(client.get(APP))
    page = client.post(APP, {"code": "000000"})
    assert "The app is not set up." in text(page)
    assert shown_secret(page) == secret
    assert not mfa.has_factor(alice)


def test_secrets_of_second_factors_lie_sealed_while_they_wait_and_after(as_person, alice):
    client = as_person(alice)
    secret = shown_secret(client.get(APP))
    session = client.session
    assert secret not in str(dict(session.items()))
    client.post(APP, {"code": code(secret)})
    with connection.cursor() as rows:
        rows.execute("SELECT data FROM mfa_authenticator")
        stored = str(rows.fetchall())
    assert "gAAAA" in stored
    assert secret not in stored
    assert not any(each in stored for each in codes_of(alice))


def test_second_factors_outlive_a_rotation_of_the_encryption_keys(settings, client, alice, capsys):
    give_app(alice)
    old, new = settings.ENCRYPTION_KEYS[0], Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, old]
    call_command("rotate_encryption_keys")
    settings.ENCRYPTION_KEYS = [new]
    assert "second factors: 2 of 2 written anew" in capsys.readouterr().out
    sign_in(client, alice)
    client.post(STEP, {"code": code()})
    assert is_signed_in(client)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(ImproperlyConfigured):
        mfa.opened()


def test_the_password_alone_does_not_sign_in_who_has_an_app(client, alice):
    give_app(alice)
    assert sign_in(client, alice, next="/teams/")["Location"] == STEP
    assert not is_signed_in(client)
    assert "One more step" in text(client.get(STEP))
    done = client.post(STEP, {"code": code()})
    assert done["Location"] == "/teams/"
    assert events("person.signed_in")[0].facts["methods"] == ["password", "totp"]


def test_a_code_works_once(client, alice):
    give_app(alice)
    sign_in(client, alice)
    used = code()
    client.post(STEP, {"code": used})
    client.post("/accounts/logout/")
    sign_in(client, alice)
    for seconds in (0, 40):  # the code of the step before is still taken, for clocks that differ
        with later(minutes=seconds / 60):
            assert "This is not right, or was used before." in text(client.post(STEP, {"code": used}))
    assert not is_signed_in(client)


def test_a_recovery_code_signs_in_once_and_is_written_down(client, alice):
    give_app(alice)
    spare = codes_of(alice)[0]
    sign_in(client, alice)
    client.post(STEP, {"code": spare})
    assert is_signed_in(client)
    assert [event.facts["left"] for event in events("person.recovery_code_used")] == [9]
    client.post("/accounts/logout/")
    sign_in(client, alice)
    client.post(STEP, {"code": spare})
    assert not is_signed_in(client)


def test_new_recovery_codes_make_the_old_ones_worthless(as_person, alice):
    give_app(alice)
    client, before = as_person(alice), codes_of(alice)
    page = client.post(reverse("mfa_generate_recovery_codes"), follow=True)
    assert codes_of(alice)[0] in text(page)
    assert set(before).isdisjoint(codes_of(alice))
    assert any("New recovery codes were made" in said for said in letters())


def test_codes_can_be_guessed_five_times_and_each_guess_is_written_down(client, alice):
    give_app(alice)
    sign_in(client, alice)
    for _ in range(7):
        page = client.post(STEP, {"code": "000000"})
    assert "Too many tries." in text(page)
    client.post(STEP, {"code": code()})
    assert not is_signed_in(client)
    failed = events("person.sign_in_failed")
    assert [event.facts["method"] for event in failed] == ["totp"] * 5


def test_an_app_is_removed_with_its_recovery_codes_and_the_person_is_told(as_person, alice):
    give_app(alice)
    client = as_person(alice)
    client.post(reverse("mfa_deactivate_totp"))
    assert not Authenticator.objects.exists()
    assert [event.facts["factor"] for event in events("person.factor_removed")] == ["totp"]
    assert any("An authenticator app was removed from your account." in said for said in letters())


# --- who has to have one ---------------------------------------------------------------------------


def test_who_has_to_have_one_is_led_to_it_before_anything_else(settings, client, bearer, ruth, alice):
    settings.MFA_REQUIRED = ["admin"]
    client.force_login(ruth)
    for url in ("/", "/gateways/", "/admin/", "/tokens/new/"):
        assert client.get(url)["Location"] == "/accounts/", url
    assert client.get("/", headers={"HX-Request": "true"})["HX-Redirect"] == "/accounts/"
    page = text(client.get("/accounts/"))
    assert "Set up an authenticator app or a passkey to go on." in page
    refused = client.get("/api/v1/teams/")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "second_factor_needed")
    assert client.get("/api/v1/teams/", headers=bearer(ruth)).status_code == 200
    client.post(APP, {"code": code(shown_secret(client.get(APP)))})
    assert client.get("/gateways/").status_code == 200
    client.force_login(alice)
    assert client.get("/").status_code == 200


def test_a_header_that_looks_like_a_token_leads_nobody_past_it(settings, client, ruth, alice):
    settings.MFA_REQUIRED = ["all"]
    client.force_login(ruth)
    headers = {"Authorization": "Bearer x"}
    assert client.get("/people/", headers=headers)["Location"] == "/accounts/"
    role = reverse("keys:platform_role", args=[alice.pk])
    assert client.post(role, {"role": "admin"}, headers=headers)["Location"] == "/accounts/"
    alice.refresh_from_db()
    assert alice.platform_role == ""
    assert client.get("/api/v1/teams/", headers=headers).status_code == 401


@pytest.mark.parametrize(("required", "who", "led"), [
    (["auditor"], "audra", True), (["auditor"], "ruth", False), (["all"], "alice", True), ([], "ruth", False),
])  # fmt: skip
def test_it_is_asked_of_the_platform_roles_that_are_named_or_of_all(settings, request, client, required, who, led):
    settings.MFA_REQUIRED = required
    client.force_login(request.getfixturevalue(who))
    assert (client.get("/teams/").status_code == 302) is led


def test_the_last_factor_stays_while_the_role_needs_one(settings, as_person, ruth):
    settings.MFA_REQUIRED = ["admin"]
    factor = give_app(ruth)
    client = as_person(ruth)
    where = reverse("mfa_deactivate_totp")
    assert "this is the last one" in text(client.get(where))
    client.post(where)
    assert mfa.has_factor(ruth)
    with pytest.raises(mfa.LastFactor):
        factor.delete()


# --- reset by an admin -----------------------------------------------------------------------------


def test_a_platform_admin_resets_the_factors_of_somebody_whose_devices_are_gone(as_person, ruth, alice):
    give_app(alice)
    client, where = as_person(ruth), reverse("keys:person_factors", args=[alice.pk])
    assert "Reset the second factors of Alice?" in text(client.get(where))
    client.post(where)
    assert not Authenticator.objects.exists()
    event = events("person.factor_removed")[0]
    assert (event.actor, event.target) == ("ruth@example.com", "Alice")
    assert any("removed from your account, by ruth@example.com." in said for said in letters())


def test_a_reset_takes_the_last_factor_even_where_one_is_needed(settings, ruth):
    settings.MFA_REQUIRED = ["admin"]
    give_app(ruth)
    assert people.reset_factors(ruth, by=SYSTEM) == 1
    assert not Authenticator.objects.exists()


def test_the_host_resets_the_factors_of_its_last_admin(ruth, capsys):
    give_app(ruth)
    call_command("reset_factors", "RUTH@example.com")
    assert "1" in capsys.readouterr().out
    assert not mfa.has_factor(ruth)
