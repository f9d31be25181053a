"""Every page, with and without script, light and dark, at 1440 and 390 px: axe finds nothing, nothing scrolls sideways,
the console is quiet, and nobody but the portal is asked."""

from __future__ import annotations

import pytest
from django.conf import settings
from playwright.sync_api import Browser, expect

from teams.models import User
from tests.browser import pages
from tests.browser.looking import Walk
from tests.browser.test_journey import sign_in
from tests.pages.accounts import give_app, give_passkey


@pytest.fixture
def walk(browser: Browser, site) -> Walk:
    return Walk(browser, site)


@pytest.fixture
def busy(sandbox, team, alice, ruth, make_role, make_key):
    return pages.rows(sandbox, team, alice, ruth, make_role, make_key)


def test_the_door_and_a_desk_with_nothing_on_it_yet(walk, site, ruth):
    for path in pages.DOOR:
        walk.open(path)
    sign_in(walk.page, site, "ruth@example.com")
    for path in pages.NOTHING_YET:
        walk.open(path)
    assert walk.wrong() == {}


def test_pages_about_keys_and_requests(walk, busy, site):
    sign_in(walk.page, site, "ruth@example.com")
    for path in pages.KEYS:
        walk.open(path.format(**busy))
    page, key = walk.page, f"{site}/keys/{busy['live']}/"
    page.goto(key)
    for name in ("renew", "rotate", "transfer", "pause", "revoke"):
        page.locator(f'[popovertarget="{name}"]').first.click()
        page.locator(f"#{name}").wait_for()
        walk.keep(f"the popup {name}")
        page.keyboard.press("Escape")
        expect(page.locator(f"#{name}")).to_be_hidden()
    page.goto(f"{key}rotate/")
    page.get_by_role("button", name="Rotate nightly").click()
    page.locator("#secret").wait_for()
    walk.keep("the new secret, once")
    page.goto(f"{site}/keys/new/")
    page.get_by_role("button", name="Issue key").click()
    page.locator("#secret").wait_for()
    walk.keep("the key, once")
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(f"{site}/")
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("navigation", name="Main").wait_for()
    walk.keep("the menu of a phone")
    assert walk.wrong() == {}


def test_pages_about_teams_and_people(walk, busy, site):
    sign_in(walk.page, site, "ruth@example.com")
    for path in pages.TEAMS:
        walk.open(path.format(**busy))
    assert walk.wrong() == {}


def test_pages_of_the_platform(walk, busy, site):
    sign_in(walk.page, site, "ruth@example.com")
    for path in pages.PLATFORM:
        walk.open(path.format(**busy))
    walk.page.goto(f"{site}/roles/{busy['role']}/edit/")
    walk.page.locator("[name=max_budget]").fill("5")
    walk.page.get_by_role("button", name="Save coding").click()
    walk.page.locator("#choose").wait_for()
    walk.keep("what a change of a key role does")
    assert walk.wrong() == {}


def test_pages_about_oneself(walk, busy, site, ruth, client):
    sign_in(walk.page, site, "ruth@example.com")
    for path in pages.OWN:
        walk.open(path.format(**busy))
    give_app(ruth)
    passkey = give_passkey(ruth, name="A laptop " * 6).pk
    for path in pages.WITH_FACTORS:
        walk.open(path.format(passkey=passkey))
    client.force_login(User.objects.create_user("nadia@example.com", None, name="Nadia"))
    held = client.cookies[settings.SESSION_COOKIE_NAME]
    walk.page.context.add_cookies([{"name": held.key, "value": held.value, "url": site}])
    for path in pages.WITHOUT_PASSWORD:
        walk.open(path)
    assert walk.wrong() == {}
