"""Somebody signs the command line in: the code stands in the terminal and on the page, and one press lets it in."""

from __future__ import annotations

import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.test_journey import sign_in
from tests.cli.programs import Program


def test_the_command_line_is_signed_in_by_comparing_two_codes(page: Page, site, alice, team, tmp_path):
    program = Program(site, "", tmp_path)
    del program.env["KEYDESK_TOKEN"]
    sign_in(page, site, "alice@example.com")
    with program.on_terminal("login", "--no-browser", "--name", "laptop") as terminal:
        terminal.until("/device/")
        code = re.search(r"Your code:\s+(\w{4}-\w{4})", terminal.seen).group(1)
        page.goto(f"{site}/device/")
        page.get_by_label("Code").fill(code.lower())
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("group", name="Your terminal shows this code")).to_have_text(code)
        expect(page.get_by_text("laptop")).to_be_visible()
        assert [each["id"] for each in Axe().run(page).response["violations"]] == []
        page.get_by_role("button", name="The codes are the same: sign it in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("The command line is signed in")
        assert terminal.wait() == 0, terminal.seen
        assert "Signed in at" in terminal.seen
    who = program.run("whoami")
    assert (who.returncode, "alice@example.com" in who.stdout) == (0, True), who.stderr
    page.goto(f"{site}/tokens/")
    expect(page.get_by_role("rowheader", name="keydesk on laptop")).to_be_visible()
