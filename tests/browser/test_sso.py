"""Single sign-on through a real OpenID provider in a process of its own, with a real browser."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import requests
import time_machine
from allauth.socialaccount.models import SocialAccount
from django.utils import timezone
from playwright.sync_api import Browser, Page, Route, expect

from keys.services import intents, leases
from portal.providers import Provider
from teams.models import GroupMapping, Membership, ToldGroups, User
from tests.browser.looking import trouble
from tests.browser.test_journey import sign_in

CARLA = "carla@example.com"


class Okta:
    """The provider's own API: who its people are."""

    def __init__(self, url: str) -> None:
        self.url = url

    def says(self, sub: str = "okta-1", **claims: object) -> None:
        known = {"email": CARLA, "email_verified": True, "name": "Carla Diaz"} | claims
        requests.put(f"{self.url}/users/{sub}", json=known, timeout=5).raise_for_status()


@pytest.fixture(scope="session")
def okta_process() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, program = f"http://localhost:{port}", Path(__file__).with_name("oidc_process.py")
    process = subprocess.Popen(
        [sys.executable, program, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(f"{url}/.well-known/openid-configuration")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(url: str) -> None:
    ends = time.monotonic() + 60
    while True:
        try:
            requests.get(url, timeout=1).raise_for_status()
        except requests.RequestException:
            if time.monotonic() > ends:
                raise
        else:
            return


@pytest.fixture
def okta(okta_process, settings) -> Okta:
    settings.SSO_PROVIDERS = {
        "okta": Provider(
            id="okta", name="Okta", issuer=okta_process, client_id="keydesk", client_secret="secret",
            groups_claim="groups", domains=frozenset({"example.com"}),
        )
    }  # fmt: skip
    return Okta(okta_process)


@pytest.fixture
def visitor(browser: Browser, site: str, okta: Okta) -> Iterator[Page]:
    """A page that may go to the desk and to the provider, and nowhere else; nothing of ours may complain."""
    page = browser.new_context().new_page()
    trouble: list[str] = []
    page.on("console", lambda said: trouble.append(said.text) if said.type == "error" and site in said.text else None)
    page.route("**/*", lambda way: way.continue_() if way.request.url.startswith((site, okta.url)) else way.abort())
    page.set_default_timeout(10_000)
    yield page
    refused = ("status of 403", "status of 409")
    assert [each for each in trouble if not any(text in each for text in refused)] == []


def come(page: Page, site: str, sub: str = "okta-1") -> None:
    page.goto(f"{site}/accounts/login/")
    page.get_by_role("button", name="Continue with Okta").click()
    page.get_by_placeholder("sub").fill(sub)
    page.get_by_role("button", name="Authorize").click()


def leave(page: Page, site: str) -> None:
    page.goto(f"{site}/accounts/logout/")
    page.get_by_role("button", name="Sign out here and at Okta").click()
    page.get_by_role("button", name="End session").click()
    expect(page).to_have_url(f"{site}/accounts/login/")


def status_within(proxy, secret: str, wanted: int, seconds: float) -> float:
    """How long until a call with the key answers `wanted`, in seconds."""
    began = time.monotonic()
    while proxy.status_of(secret) != wanted:
        assert time.monotonic() < began + seconds, f"no {wanted} within {seconds} s"
    return time.monotonic() - began


def test_groups_bring_into_teams_and_out_of_them(proxy, visitor, site, okta, team, make_role, make_key, settings):
    make_role()
    GroupMapping.objects.create(source="okta", value="search-devs", team=team, role="member")
    okta.says(groups=["search-devs", "everybody"])
    come(visitor, site)
    expect(visitor.get_by_role("heading", level=1)).to_have_text("My keys")
    expect(visitor.get_by_role("link", name="Search Platform").first).to_be_visible()
    carla = User.objects.get(email=CARLA)
    assert (carla.name, carla.has_usable_password()) == ("Carla Diaz", False)
    issued = make_key(holder=carla)
    assert proxy.status_of(issued.secret) == 200

    leave(visitor, site)
    okta.says()  # no claim at all, which is not an empty one
    come(visitor, site)
    expect(visitor.get_by_role("link", name="Search Platform").first).to_be_visible()
    assert ToldGroups.objects.get(user=carla).trouble == "missing"
    assert proxy.status_of(issued.secret) == 200

    leave(visitor, site)
    okta.says(groups=["everybody"])
    come(visitor, site)
    expect(visitor.get_by_role("heading", level=1)).to_have_text("My keys")
    assert status_within(proxy, issued.secret, 401, 2.0) < 2.0
    assert not Membership.objects.filter(user=carla).exists()
    assert issued.lease.versions.get().token_hash in proxy.keys_there(team)

    with time_machine.travel(timezone.now() + settings.LEAVER_GRACE + timedelta(minutes=1), tick=True):
        leases.end_orphaned()
        intents.settle_due()
    assert proxy.keys_there(team) == set()
    assert proxy.status_of(issued.secret) == 401


def test_who_comes_back_within_the_grace_finds_the_key_answering(
    sandbox, visitor, site, okta, team, make_role, make_key
):
    make_role()
    GroupMapping.objects.create(source="okta", value="search-devs", team=team, role="member")
    okta.says(groups=["search-devs"])
    come(visitor, site)
    expect(visitor.get_by_role("heading", level=1)).to_have_text("My keys")
    issued = make_key(holder=User.objects.get(email=CARLA))
    for groups, status in ([], 401), (["search-devs"], 200):
        leave(visitor, site)
        okta.says(groups=groups)
        come(visitor, site)
        expect(visitor.get_by_role("heading", level=1)).to_have_text("My keys")
        status_within(sandbox, issued.secret, status, 2.0)


def test_an_account_of_another_address_is_connected_from_inside(visitor, site, okta, alice):
    okta.says("okta-7", email="a.berg@elsewhere.org")
    come(visitor, site, "okta-7")
    expect(visitor.get_by_role("heading", level=1)).to_have_text("There is no account for a.berg@elsewhere.org yet")

    sign_in(visitor, site, "alice@example.com")
    visitor.goto(f"{site}/accounts/3rdparty/")
    visitor.get_by_role("button", name="Connect Okta").click()
    visitor.get_by_placeholder("sub").fill("okta-7")
    visitor.get_by_role("button", name="Authorize").click()
    expect(visitor.get_by_text("a.berg@elsewhere.org")).to_be_visible()
    visitor.goto(f"{site}/accounts/logout/")
    visitor.get_by_role("button", name="Sign out", exact=True).click()
    come(visitor, site, "okta-7")
    expect(visitor.get_by_role("heading", level=1)).to_have_text("My keys")
    assert User.objects.count() == 1


def test_who_says_no_at_the_provider_is_back_at_the_door(visitor, site, okta):
    visitor.goto(f"{site}/accounts/login/")
    visitor.get_by_role("button", name="Continue with Okta").click()
    visitor.get_by_role("button", name="Deny").click()
    expect(visitor.get_by_role("heading", level=1)).to_contain_text("Okta did not sign you in")
    visitor.get_by_role("link", name="To the desk").click()
    expect(visitor.get_by_role("button", name="Continue with Okta")).to_be_visible()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_on_the_way(browser, site, okta, alice, settings, width, scheme):
    settings.SSO_PROVIDERS = settings.SSO_PROVIDERS | {
        "long": replace(settings.SSO_PROVIDERS["okta"], id="long", name="A provider with quite a long name of its own")
    }
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    page.route(f"{okta.url}/oauth2/authorize*", lambda way: way.abort())
    page.goto(f"{site}/accounts/login/")
    found = {"sign in": trouble(page)}
    settings.SSO_ONLY, settings.BREAK_GLASS = True, "alice@example.com"
    for path in ("/accounts/login/", "/accounts/login/?emergency=1"):
        page.goto(f"{site}{path}")
        found[path] = trouble(page)
    page.goto(f"{site}/accounts/oidc/okta/login/callback/?error=access_denied")
    found["refused"] = trouble(page)
    settings.SSO_ONLY = False
    SocialAccount.objects.create(user=alice, provider="okta", uid="okta-1", extra_data={"shown": "a" * 60})
    sign_in(page, site, "alice@example.com")
    page.goto(f"{site}/accounts/3rdparty/")
    found["connected"] = trouble(page)
    assert {name: said for name, said in found.items() if said} == {}


def test_the_page_between_is_accessible_and_leads_on_by_a_link(browser, site, okta):
    page = browser.new_context().new_page()
    page.goto(f"{site}/accounts/login/")
    page.route(f"{site}/**", lambda way: way.continue_() if way.request.method == "GET" else _held(way))
    page.get_by_role("button", name="Continue with Okta").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Going to Okta")
    assert trouble(page) == []
    assert page.get_by_role("link", name="Go to Okta").get_attribute("href").startswith(f"{okta.url}/oauth2/authorize?")


def _held(way: Route) -> None:
    """Answer without the refresh, so that there is time to look."""
    answer = way.fetch()
    way.fulfill(response=answer, body=re.sub(r"<meta http-equiv[^>]*>", "", answer.text()))


def test_the_way_works_without_script(browser, site, okta):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.route("**/*", lambda way: way.continue_() if way.request.url.startswith((site, okta.url)) else way.abort())
    okta.says()
    come(page, site)
    expect(page.get_by_role("heading", level=1)).to_have_text("My keys")
