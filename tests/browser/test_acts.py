"""Rotating in the browser, by hand and by keyboard: the secret is seen once, and a reload rotates nothing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_journey import chat, sign_in


def rotations(lease) -> int:
    return lease.versions.exclude(issued_at=None).count()


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_rotation_shows_its_secret_once_and_a_reload_rotates_nothing(
    browser, site, page, sandbox, make_key, alice, script
):
    issued = make_key(name="laptop")
    if not script:
        page = browser.new_context(java_script_enabled=False).new_page()
    sign_in(page, site, "alice@example.com")
    page.get_by_role("link", name="laptop").first.click()
    page.get_by_role("button", name="Rotate", exact=True).click()
    page.get_by_text("in 1 hour").click()
    page.get_by_role("button", name="Rotate laptop").click()

    secret = page.locator("#secret").inner_text().strip()
    assert secret != issued.secret
    assert [chat(f"{site}/sandbox", each) for each in (secret, issued.secret)] == [200, 200]
    page.reload()
    assert secret not in page.content()
    expect(page.get_by_text("has been rotated since the form was opened")).to_be_visible()
    expect(page.get_by_role("heading", name="Versions")).to_be_visible()
    assert rotations(issued.lease) == 2
    page.go_back()
    assert secret not in page.content()

    page.goto(f"{site}/keys/{issued.lease.pk}/?unseen=1")
    page.get_by_role("link", name="Replace the secret").click()
    page.get_by_role("button", name="Replace the secret of laptop").click()
    newest = page.locator("#secret").inner_text().strip()
    assert [chat(f"{site}/sandbox", each) for each in (newest, secret, issued.secret)] == [200, 401, 401]


def test_two_presses_at_once_rotate_once_and_show_the_secret(site, page: Page, sandbox, make_key, alice):
    lease = make_key(name="laptop").lease
    sign_in(page, site, "alice@example.com")
    page.goto(f"{site}/keys/{lease.pk}/rotate/")
    page.get_by_role("button", name="Rotate laptop").dblclick()
    expect(page.locator("#secret")).to_be_visible()
    assert rotations(lease) == 2


def test_all_acts_can_be_reached_and_left_by_keyboard(site, page: Page, sandbox, make_key, alice):
    lease = make_key(name="laptop").lease
    sign_in(page, site, "alice@example.com")
    page.goto(f"{site}/keys/{lease.pk}/")
    for name in ("Renew 30 days", "Rotate", "Pause", "Revoke"):
        button = page.get_by_role("button", name=name, exact=True)
        button.focus()
        page.keyboard.press("Enter")
        popup = page.get_by_role("dialog")
        expect(popup).to_be_visible()
        page.keyboard.press("Tab")
        assert popup.evaluate("popup => popup.contains(document.activeElement)")
        page.keyboard.press("Escape")
        expect(popup).to_be_hidden()
        expect(button).to_be_focused()

    page.get_by_role("button", name="Rotate", exact=True).press("Enter")
    page.get_by_role("radio", name="in 24 hours").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Its last day")).to_be_visible()
    page.get_by_role("radio", name="in 1 hour").check(force=True)
    expect(page.get_by_label("Its last day")).to_be_hidden()


def test_the_slip_of_a_renewal_follows_what_is_typed(site, page: Page, sandbox, make_key, alice):
    lease = make_key(name="laptop").lease
    sign_in(page, site, "alice@example.com")
    page.goto(f"{site}/keys/{lease.pk}/")
    page.get_by_role("button", name="Renew 30 days").click()
    field = page.get_by_label("TTL")
    field.fill("1h30m")
    slip = page.locator("#renew-slip")
    expect(slip).to_contain_text("write 90m")
    field.fill("30d")
    expect(slip).to_contain_text(re.compile("The most it can cost from now until then"))


def test_what_was_wrong_with_a_field_goes_once_it_is_changed(site, page: Page, sandbox, make_key, alice):
    lease = make_key(name="laptop").lease
    sign_in(page, site, "alice@example.com")
    page.goto(f"{site}/keys/{lease.pk}/renew/")
    page.get_by_label("TTL").fill("60d")
    page.get_by_role("button", name="Renew laptop").click()
    expect(page.locator("#renew_ttl_error")).to_be_visible()
    page.get_by_label("TTL").fill("30d")
    expect(page.locator("#renew_ttl_error")).to_have_count(0)


def test_chosen_keys_are_revoked_from_the_list(site, page: Page, sandbox, make_key, alice):
    one, two = make_key(name="one"), make_key(name="two")
    sign_in(page, site, "alice@example.com")
    page.get_by_label("Choose one").check()
    page.get_by_label("Choose two").check()
    page.get_by_role("button", name="Revoke selected").click()
    page.get_by_role("button", name="Revoke two keys").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Two keys of 2 ended")
    assert [sandbox.status_of(each.secret) for each in (one, two)] == [401, 401]
