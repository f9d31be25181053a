"""Every page, wide and light, narrow and dark: axe finds nothing, nothing scrolls sideways."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from keys.services import leases
from teams.models import User
from teams.services import make_token
from tests.browser.test_journey import sign_in


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_on_any_page(sandbox, browser: Browser, site, team, ruth, make_role, make_key, width, scheme):
    make_role(name="a-role-with-quite-a-long-name-that-has-to-wrap-somewhere", description="For long names. " * 10)
    team.memberships.create(user=ruth, role="admin")
    live, ended = make_key(holder=ruth, name="nightly").lease, make_key(holder=ruth, name="gone " * 15).lease
    leases.revoke(ended, by=ruth)
    turned, paused = make_key(holder=ruth, name="turned").lease, make_key(holder=ruth, name="paused").lease
    leases.rotate(turned, by=ruth)
    robot = User.objects.create_service_account("labels", team)
    token, _ = make_token(robot, name="cron", scopes=["read"], networks=["10.0.0.0/8", "2001:db8::/32"], by=ruth)
    make_token(ruth, name="laptop", scopes=["all"], by=ruth)
    leases.pause(paused, by=ruth, reason="A reason that takes more than a few words to say. " * 3)
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    page.goto(f"{site}/accounts/login/")
    found = {"/accounts/login/": trouble(page)}
    sign_in(page, site, "ruth@example.com")
    for path in (
        "/",
        "/?state=ended",
        "/keys/new/",
        f"/keys/{live.pk}/",
        f"/keys/{live.pk}/renew/",
        f"/keys/{live.pk}/rotate/",
        f"/keys/{live.pk}/rotate/?replace=1",
        f"/keys/{live.pk}/pause/",
        f"/keys/{live.pk}/revoke/",
        f"/keys/{live.pk}/transfer/",
        f"/keys/{live.pk}/?unseen=1",
        f"/keys/{turned.pk}/",
        f"/keys/{paused.pk}/",
        f"/keys/{paused.pk}/resume/",
        "/keys/revoke/?team=search",
        "/keys/revoke/",
        f"/keys/{ended.pk}/",
        "/tokens/",
        "/tokens/?state=ended",
        "/tokens/new/",
        f"/tokens/{token.pk}/end/",
        "/teams/search/service-accounts/",
        f"/teams/search/service-accounts/{robot.pk}/",
        f"/teams/search/service-accounts/{robot.pk}/edit/",
        f"/teams/search/service-accounts/{robot.pk}/end/",
        f"/teams/search/service-accounts/{robot.pk}/tokens/new/",
        "/teams/",
        "/teams/new/",
        "/teams/search/",
        "/teams/search/edit/",
        "/teams/search/end/",
        f"/teams/search/members/{ruth.pk}/budget/",
        f"/teams/search/members/{ruth.pk}/leaving/",
        "/people/",
        "/people/?q=nobody-like-this",
        f"/people/{ruth.pk}/",
        f"/people/{ruth.pk}/leaving/",
        "/roles/",
        "/roles/new/",
        f"/roles/{live.role_id}/",
        f"/roles/{live.role_id}/edit/",
        f"/roles/{live.role_id}/end/",
        "/gateways/",
        "/gateways/new/",
        f"/gateways/{live.gateway_id}/",
        f"/gateways/{live.gateway_id}/edit/",
        f"/gateways/{live.gateway_id}/end/",
        f"/gateways/{live.gateway_id}/hold/",
        "/operations/",
        "/operations/departures/",
        "/operations/findings/",
        "/operations/findings/?state=closed",
        "/operations/unmanaged/",
        "/nowhere/",
        "/accounts/logout/",
        "/accounts/password/change/",
        "/accounts/",
        "/accounts/reauthenticate/",
        "/accounts/passkeys/add/",
        "/accounts/second-factors/app/",
        "/accounts/second-factors/codes/new/",
        f"/people/{ruth.pk}/second-factors/",
    ):
        page.goto(site + path)
        found[path] = trouble(page)
    for name in ("renew", "rotate", "transfer", "pause", "revoke"):
        page.goto(f"{site}/keys/{live.pk}/")
        page.locator(f'[popovertarget="{name}"]').first.click()
        page.locator(f"#{name}").wait_for()
        found[f"the popup {name}"] = trouble(page)
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    page.goto(f"{site}/keys/{live.pk}/rotate/")
    page.get_by_role("button", name="Rotate nightly").click()
    page.locator("#secret").wait_for()
    found["the new secret, once"] = trouble(page)
    page.goto(f"{site}/keys/new/")
    page.get_by_role("button", name="Issue key").click()
    page.locator("#secret").wait_for()
    found["the key, once"] = trouble(page)
    assert {path: said for path, said in found.items() if said} == {}


def trouble(page) -> list[str]:
    """What axe objects to on the page that is open, and whether it is wider than its window."""
    violations = Axe().run(page).response["violations"]
    said = [f"{each['id']}: {node['html'][:120]}" for each in violations for node in each["nodes"]]
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return said + ([f"{wide} px too wide"] if wide > 0 else [])
