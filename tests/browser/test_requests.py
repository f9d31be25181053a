"""The stories of a request in the browser: asked, narrowed and approved from the mail's link, claimed; denied and asked
again; a rise that is over by itself."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
import requests as http
import time_machine
from playwright.sync_api import Browser, Page, expect

from keys.models import Gateway, KeyRequest, Lease
from keys.services import intents, requests
from portal.models import Letter
from tests.browser.test_journey import chat, sign_in

ROLE = {"models": ["gpt-4o-mini"], "excess": "team", "max_ttl": timedelta(days=90)}


@pytest.fixture
def other(browser: Browser):
    """Another person at another machine."""

    def open_page(script: bool = True) -> Page:
        page = browser.new_context(java_script_enabled=script).new_page()
        page.set_default_timeout(10_000)
        return page

    return open_page


def link_in_letter(to: str) -> str:
    """The address of the page in the last letter to somebody."""
    letters = [letter for letter in Letter.objects.order_by("pk") if to in str(letter.to)]
    return re.findall(r"http://\S+/requests/\S+", letters[-1].text)[-1]


def ask_for_ninety_days(page: Page, purpose: str) -> None:
    page.get_by_role("link", name="Get a key").first.click()
    page.get_by_label("Name").fill("laptop")
    page.get_by_label("What for?").fill(purpose)
    page.locator('input[name="ttl"][value="90d"]').check()
    if page.get_by_role("button", name="Work it out again").is_visible():
        page.get_by_role("button", name="Work it out again").click()
        page.get_by_label("What for?").fill(purpose)
    expect(page.get_by_text("Goes to an approver")).to_be_visible()
    page.get_by_role("button", name="Ask for this key").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You ask for coding")


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_asked_narrowed_from_the_letter_claimed_and_the_key_works(
    proxy, browser, site, page, other, team, alice, bob, make_role, script
):
    make_role(**ROLE)
    mine = page if script else other(script=False)
    sign_in(mine, site, "alice@example.com")
    ask_for_ninety_days(mine, "Reranker work until the February release.")

    theirs = other(script=script)
    sign_in(theirs, site, "bob@example.com")
    theirs.goto(link_in_letter("bob@example.com"))
    assert KeyRequest.objects.get().state == "pending"
    expect(theirs.get_by_text("Reranker work until the February release.").first).to_be_visible()
    theirs.locator('input[name="ttl"][value="14d"]').check()
    theirs.get_by_label("Budget a month").fill("20")
    if script:
        expect(theirs.locator(".slip-figure")).to_have_text(re.compile(r"^\$(20|40)\.00$"))
    theirs.get_by_role("button", name="Approve for Alice").click()
    expect(theirs.get_by_text("Alice can issue the key").first).to_be_visible()

    mine.goto(f"{site}/")
    expect(mine.get_by_text("Bob approved your request for")).to_be_visible()
    mine.get_by_role("button", name="Issue key").click()
    secret = mine.locator("#secret").inner_text().strip()
    assert secret.startswith("sk-")
    assert secret not in theirs.content()
    base_url = f"{site}/sandbox" if proxy.gateway.is_sandbox else proxy.gateway.base_url
    assert chat(base_url, secret) == 200
    there = proxy.client.keys.info(Lease.objects.get().current.token_hash)
    assert there.max_budget == Decimal(20)
    assert list(there.models) == ["gpt-4o-mini"]
    assert there.expires < KeyRequest.objects.get().fulfilled_at + timedelta(days=14, minutes=1)
    mine.reload()
    assert secret not in mine.content()


def test_denied_with_a_reason_and_asked_again(sandbox, site, page, other, team, alice, bob, make_role):
    make_role(**ROLE)
    sign_in(page, site, "alice@example.com")
    ask_for_ninety_days(page, "Because.")
    theirs = other()
    sign_in(theirs, site, "bob@example.com")
    theirs.get_by_role("link", name="Requests 1 open").click()
    theirs.get_by_text("Deny with a reason").click()
    theirs.get_by_label("Why not? Alice reads this.").fill("Say what for.")
    theirs.get_by_role("button", name="Deny request").click()
    expect(theirs.get_by_text("Denied. Alice reads your reason.")).to_be_visible()

    page.goto(link_in_letter("alice@example.com"))
    expect(page.get_by_text("“Say what for.”").first).to_be_visible()
    page.get_by_role("link", name="Ask again").click()
    page.get_by_label("What for?").fill("The February release.")
    page.get_by_role("button", name="Ask for this key").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You ask for coding")
    again = KeyRequest.objects.pending().get()
    theirs.goto(f"{site}/requests/{again.pk}/")
    expect(theirs.get_by_text("Say what for.").first).to_be_visible()
    theirs.get_by_role("button", name="Approve for Alice").click()
    expect(theirs.get_by_text("Alice can issue the key").first).to_be_visible()


def test_a_rise_opens_a_model_and_is_over_by_itself(sandbox, site, page, other, team, alice, bob, make_role, make_key):
    Gateway.objects.update(models_seen=["gpt-4o-mini", "gpt-4o"])
    issued = make_key(role=make_role(**ROLE), name="docs-bot")
    assert chat_with(site, issued.secret, "gpt-4o") != 200
    sign_in(page, site, "alice@example.com")
    page.goto(f"{site}/keys/{issued.lease.pk}/")
    page.get_by_role("link", name="Ask for more").click()
    page.get_by_label("gpt-4o", exact=True).check()
    page.get_by_label("What for?").fill("One customer asks for tables.")
    expect(page.get_by_text("Goes to an approver")).to_be_visible()
    page.get_by_role("button", name="Ask for it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You ask to raise docs-bot")

    theirs = other()
    sign_in(theirs, site, "bob@example.com")
    theirs.goto(f"{site}/requests/")
    theirs.get_by_role("button", name="Approve for Alice").click()
    expect(theirs.get_by_text("Approved: docs-bot is raised until").first).to_be_visible()
    assert chat_with(site, issued.secret, "gpt-4o") == 200

    with time_machine.travel(KeyRequest.objects.get().reverts_at + timedelta(minutes=1), tick=True):
        requests.look_after()
        intents.settle_due()
        assert chat_with(site, issued.secret, "gpt-4o") != 200
        assert chat_with(site, issued.secret, "gpt-4o-mini") == 200


def chat_with(site: str, secret: str, model: str) -> int:
    """The status of one chat call to a model of the simulator."""
    return http.post(
        f"{site}/sandbox/v1/chat/completions",
        json={"model": model, "messages": [{"role": "user", "content": "Say hello."}]},
        headers={"Authorization": f"Bearer {secret}"},
        timeout=20,
    ).status_code
