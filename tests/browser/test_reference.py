"""The page of the API: Swagger UI offline, under the strict Content-Security-Policy, in Keydesk's own colours."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.looking import Walk
from tests.browser.test_journey import sign_in


def test_the_api_is_drawn_and_opened_without_a_word_on_the_console(browser, site, ruth):
    walk = Walk(browser, site)
    sign_in(walk.page, site, "ruth@example.com")
    for path in ("/api/v1/docs/", "/api/v1/errors/", "/api/v1/errors/over_limit/"):
        walk.open(path)
    page = walk.page
    page.goto(f"{site}/api/v1/docs/")
    page.locator("#operations-tag-Key_roles").click()
    page.locator("#operations-Key_roles-roles_create .opblock-summary-control").click()
    expect(page.locator("#operations-Key_roles-roles_create .responses-inner")).to_be_visible()
    walk.keep("an operation, opened")
    assert walk.wrong() == {}
