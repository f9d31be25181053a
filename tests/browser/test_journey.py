"""The main job in the browser: sign in, issue, use, revoke, 401."""

from __future__ import annotations

import time

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.conftest import PASSWORD


def sign_in(page: Page, site: str, email: str) -> None:
    page.goto(f"{site}/accounts/login/")
    field = page.get_by_label("E-mail")
    if not field.is_visible():
        page.get_by_text("Sign in with e-mail and password").click()
    field.fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("My keys")


def chat(base_url: str, secret: str) -> int:
    """The status of one chat call with the key."""
    return requests.post(
        f"{base_url}/v1/chat/completions",
        json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]},
        headers={"Authorization": f"Bearer {secret}"},
        timeout=20,
    ).status_code


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_a_person_gets_a_working_key_and_ends_it(proxy, browser, site, page, team, alice, make_role, script):
    make_role(models=["gpt-4o-mini"])
    if not script:
        page = browser.new_context(java_script_enabled=False).new_page()
    sign_in(page, site, "alice@example.com")

    page.get_by_role("link", name="Get a key").first.click()
    expect(page.get_by_text("The most it can cost")).to_be_visible()
    page.get_by_role("button", name="Issue key").click()

    secret = page.locator("#secret").inner_text().strip()
    assert secret.startswith("sk-")
    expect(page.get_by_role("rowheader", name="gpt-4o-mini")).to_be_visible()
    base_url = f"{site}/sandbox" if proxy.gateway.is_sandbox else proxy.gateway.base_url
    assert base_url in page.content()
    assert chat(base_url, secret) == 200

    page.reload()
    assert secret not in page.content()
    page.goto(f"{site}/")
    page.locator("table").get_by_role("link").first.click()
    assert secret not in page.content()
    page.get_by_role("button", name="Revoke").or_(page.get_by_role("link", name="Revoke")).first.click()
    page.get_by_role("button", name="Revoke").last.click()
    revoked = time.monotonic()
    while (status := chat(base_url, secret)) == 200 and time.monotonic() < revoked + 1:
        pass
    assert status == 401
    expect(page.get_by_text("Revoked").first).to_be_visible()
