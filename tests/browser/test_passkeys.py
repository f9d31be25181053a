"""Passkeys, with the authenticator that Chromium simulates."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from django.utils import timezone
from playwright.sync_api import Page, expect

from portal.models import AuditEvent
from tests.browser.looking import trouble
from tests.browser.test_journey import sign_in

INSIDE = {  # a phone or a laptop whose owner is there and has just shown a finger
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def laptop(page: Page):
    """What holds the passkeys of this page: Chromium's virtual authenticator."""
    line = page.context.new_cdp_session(page)
    line.send("WebAuthn.enable")
    made = line.send("WebAuthn.addVirtualAuthenticator", {"options": INSIDE})
    return line, made["authenticatorId"]


@pytest.fixture
def with_passkey(page: Page, site, alice, laptop) -> None:
    """Alice has signed in and added one."""
    sign_in(page, site, "alice@example.com")
    page.goto(f"{site}/accounts/passkeys/add/")
    page.get_by_label("Name").fill("My laptop")
    page.get_by_role("button", name="Add the passkey").click()
    page.wait_for_url("**/accounts/second-factors/codes/")


def methods() -> list[list[str]]:
    found = AuditEvent.objects.filter(action="person.signed_in").order_by("pk")
    return [event.facts["methods"] for event in found]


def test_a_passkey_is_added_and_signs_in_alone(page: Page, site, with_passkey):
    expect(page.locator("#secret")).to_have_text(re.compile(r"(\d{8}\s*){10}"))
    page.get_by_role("link", name="I have stored them").click()
    expect(page.get_by_role("row", name="My laptop")).to_contain_text("not used yet")
    assert trouble(page) == []
    page.get_by_role("row", name="(this one)").get_by_role("button", name="Sign out").click()
    page.goto(f"{site}/accounts/login/?next=/teams/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{site}/teams/")
    assert methods() == [["password"], ["webauthn"]]
    page.goto(f"{site}/accounts/")
    expect(page.get_by_role("row", name="My laptop")).to_contain_text("used")


def test_a_passkey_is_the_second_step_after_the_password(page: Page, site, with_passkey):
    page.context.clear_cookies()
    page.goto(f"{site}/accounts/login/")
    page.get_by_label("E-mail").fill("alice@example.com")
    page.get_by_label("Password").fill("long enough for a test 42")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/second-factor/")
    assert trouble(page) == []
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(f"{site}/")
    assert methods()[-1] == ["password", "webauthn"]


def test_a_passkey_makes_a_sign_in_fresh_again(page: Page, site, with_passkey):
    with time_machine.travel(timezone.now() + timedelta(minutes=20), tick=True):
        page.goto(f"{site}/tokens/new/")
        page.get_by_role("link", name="Use a passkey").click()
        page.get_by_role("button", name="Use a passkey").click()
        page.wait_for_url(f"{site}/tokens/new/")
        expect(page.get_by_role("heading", level=1)).not_to_have_text("Sign in again")
    event = AuditEvent.objects.get(action="person.signed_in_again")
    assert event.facts["method"] == "webauthn"


def test_what_went_wrong_is_said_in_the_page(page: Page, site, with_passkey, laptop):
    line, held = laptop
    line.send("WebAuthn.clearCredentials", {"authenticatorId": held})
    line.send("WebAuthn.setUserVerified", {"authenticatorId": held, "isUserVerified": False})
    page.goto(f"{site}/accounts/reauthenticate/passkey/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("alert").filter(has_text="No passkey was used")).to_be_visible()


def test_a_passkey_that_was_removed_opens_nothing(page: Page, site, with_passkey):
    page.goto(f"{site}/accounts/")
    page.get_by_role("link", name="Remove My laptop").click()
    page.get_by_role("button", name="Remove My laptop").click()
    page.wait_for_url(f"{site}/accounts/")
    assert not Authenticator.objects.exists()
    page.context.clear_cookies()
    page.goto(f"{site}/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("This is not right, or was used before.")).to_be_visible()


def test_without_script_the_other_ways_are_there(browser, site, alice):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{site}/accounts/login/")
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
    sign_in(page, site, "alice@example.com")
    page.goto(f"{site}/accounts/passkeys/add/")
    expect(page.get_by_text("This browser knows no passkeys, or no script runs here.")).to_be_visible()
