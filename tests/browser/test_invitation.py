"""A team admin invites somebody, who comes by the letter's link, makes the account and gets a key that works."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from portal import mail
from tests.browser.test_journey import chat, sign_in


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_an_invited_person_comes_by_the_link_and_gets_a_key(
    sandbox, browser: Browser, page: Page, site, team, ines, make_role, mailoutbox, script
):
    make_role(models=["gpt-4o-mini"])
    sign_in(page, site, "ines@example.com")
    page.goto(f"{site}/teams/search/members/")
    page.get_by_label("E-mail").fill("Bea@example.com")
    page.get_by_role("button", name="Add to Search Platform").click()
    expect(page.get_by_text("Invited bea@example.com; the link is good until")).to_be_visible()
    expect(page.get_by_role("rowheader", name="bea@example.com")).to_be_visible()

    mail.send_due()
    link = next(word for word in mailoutbox[0].body.split() if "/invitations/" in word)
    hers = browser.new_context(java_script_enabled=script).new_page()
    asked: list[str] = []
    hers.on("request", lambda sent: asked.append(sent.headers.get("referer", "")))
    hers.goto(link)
    expect(hers).to_have_url(f"{site}/invitations/accept/")
    expect(hers.get_by_role("heading", level=1)).to_have_text("Join Search Platform")
    if script:
        assert [each["id"] for each in Axe().run(hers).response["violations"]] == []
    hers.get_by_label("Your name").fill("Bea Lund")
    hers.get_by_label("Password").fill("a new word for bea 42")
    hers.get_by_role("button", name="Make account and join").click()

    expect(hers).to_have_url(f"{site}/teams/search/")
    hers.get_by_role("link", name="Get a key").first.click()
    hers.get_by_role("button", name="Issue key").click()
    secret = hers.locator("#secret").inner_text().strip()
    assert chat(f"{site}/sandbox", secret) == 200
    assert not [referer for referer in asked if link.split("/")[4] in referer]

    hers.goto(link)
    expect(hers.get_by_role("heading", level=1)).to_contain_text("This invitation was used on")

    hers.goto(f"{site}/teams/search/members/")
    hers.get_by_role("link", name="Leave Search Platform").click()
    expect(hers.get_by_text("nothing changes while you look")).to_be_visible()
    if script:
        assert [each["id"] for each in Axe().run(hers).response["violations"]] == []
    assert chat(f"{site}/sandbox", secret) == 200
    hers.get_by_role("button", name="Leave Search Platform and end one key").click()
    expect(hers.get_by_text("You are out of Search Platform, with one live key.")).to_be_visible()
    assert chat(f"{site}/sandbox", secret) == 401
