"""Operations in the browser: what an admin does on a bad day works by keyboard, with and without script."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from keys.models import Finding, Gateway, Intent, KeyVersion, Lease, State, UnmanagedKey
from keys.services import findings, reconcile
from portal.models import Sweep
from teams.access import SYSTEM
from teams.models import Departure, User
from tests.browser.looking import Walk
from tests.browser.pages import BAD_DAY
from tests.browser.test_journey import sign_in

LONG = "a-name-that-is-quite-long-and-goes-on-for-a-while-until-it-has-to-wrap-somewhere"
Kind = Finding.Kind


@pytest.fixture
def bad_day(sandbox, team, ruth, make_role, make_key):
    """Everything that can wait for a platform admin waits, under long names; answers the gateway that is away."""
    team.memberships.create(user=ruth, role="admin")
    role, now = make_role(), timezone.now()
    lease = make_key(holder=ruth, name=LONG).lease
    away = Gateway.objects.create(
        name="eu-prod-frankfurt-1", base_url="http://127.0.0.1:9", master_key="sk-x", foreign_keys=1312,
        reconciled_at=now, spend=Decimal("9214.07"), max_budget=Decimal(20000), spend_synced_at=now,
    )  # fmt: skip
    for number, hours in enumerate((1, 2, 3), start=2):
        version = KeyVersion.objects.create(
            lease=lease,
            number=number,
            alias=f"{LONG}-{number}"[:120],
            token_hash=f"{number:064}",
            key_name="sk-...77ab",
        )
        Intent.objects.create(
            version=version, gateway=away, attempts=6 if number == 2 else 1, last_error=f"{LONG} timed out after 30 s",
            due_at=now + timedelta(hours=hours),
        )  # fmt: skip
        if number > 2:
            findings.note(
                away, Kind.ORPHAN, version.token_hash or "", message=f"{version} is on the gateway, and ended here.",
                cause="A request landed late.", version=version, now=now,
            )  # fmt: skip
    current = lease.versions.get(number=1)
    facts: dict[str, object] = {
        "max_budget": (Decimal(50), None),
        "models": (["gpt-4o"], []),
        "budget_duration": ("1mo", None),
    }
    findings.note(away, Kind.LIMITS, "l", message=f"The limits of {LONG} were changed.", version=current, facts=facts,
                  now=now)  # fmt: skip
    findings.note(away, Kind.TEAM, "t", message="A team is another.", team=team, facts={"name": ("a", LONG)}, now=now)
    findings.note(away, Kind.ORPHAN, "f" * 64, message="A key is not in our database.", facts={"alias": LONG}, now=now)
    ignored = findings.note(away, Kind.PRICE, "m", message="m costs nothing.", facts={"price": "none"}, now=now)
    findings.ignore(ignored, by=ruth, reason="It runs on our own cards.")
    for number in range(3):
        UnmanagedKey.objects.create(
            gateway=away, token_hash=f"{number:064x}", alias=LONG if number else "", key_name="sk-...0001", team=LONG,
            spend=Decimal(number), seen_at=now, instance="b7e0f2aa" if number == 2 else "", models=["gpt-4o"],
        )  # fmt: skip
    for name in ("lena", "lars"):
        user = User.objects.create_user(f"{name}@example.com", None, name=name * 9)
        Departure.objects.create(user=user, team=team, at=now, due_at=now, held=True)
    Sweep.objects.create(
        name="sync_spend", created_at=now - timedelta(days=1), failures=3, error=f"GatewayAway: {LONG} {LONG}"
    )
    Gateway.objects.filter(pk=sandbox.gateway.pk).update(held_since=now, held_reason="Two keys are not known here.")
    unknown = make_key(holder=ruth, role=role).lease
    unknown.versions.all().delete()
    unknown.delete()
    over = make_key(holder=ruth, role=role, name=LONG[:70]).lease
    Lease.objects.filter(pk=over.pk).update(expires_at=now)
    return away


def test_axe_finds_nothing_on_the_pages_of_a_bad_day(bad_day, sandbox, browser: Browser, site):
    walk = Walk(browser, site)
    sign_in(walk.page, site, "ruth@example.com")
    rows = {
        "promise": Intent.objects.first().pk,
        "finding": Finding.objects.get(kind=Kind.LIMITS).pk,
        "foreign": UnmanagedKey.objects.latest("pk").pk,
        "away": bad_day.pk,
        "gateway": sandbox.gateway.pk,
    }
    for path in BAD_DAY:
        walk.open(path.format(**rows))
    with time_machine.travel(timezone.now() + timedelta(minutes=20), tick=True):
        walk.open(f"/gateways/{sandbox.gateway.pk}/hold/")
        expect(walk.page.get_by_role("heading", name="Ours, and not in this database")).to_be_visible()
        walk.page.get_by_role("button", name="Revoke these").click()
        expect(walk.page.get_by_role("dialog")).to_be_visible()
        walk.keep("hold, asked")
    assert walk.wrong() == {}


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_drift_is_found_restored_and_gone(sandbox, browser: Browser, site, page: Page, make_key, ruth, team, script):
    issued = make_key(name="churn-batch")
    sandbox.client.keys.update(issued.secret, max_budget=Decimal(500))
    with time_machine.travel(timezone.now() + timedelta(minutes=20), tick=True):
        reconcile.run(sandbox.gateway, by=SYSTEM)
    if not script:
        page = browser.new_context(java_script_enabled=False).new_page()
    sign_in(page, site, "ruth@example.com")
    page.get_by_role("link", name="Operations").click()
    expect(page.get_by_text("One finding is open.").first).to_be_visible()
    page.get_by_role("link", name="Look at it").click()
    page.get_by_label("Kind", exact=True).select_option("block")
    if not script:
        page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("None of this kind")).to_be_visible()
    assert "kind=block" in page.url
    page.get_by_role("link", name="Show them all").click()
    row = page.get_by_role("row", name="Budget")
    expect(row).to_contain_text("$50.00")
    expect(row).to_contain_text("$500.00")
    page.get_by_role("button", name="Restore").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Restored: on sandbox it is as it is here.")).to_be_visible()
    assert sandbox.client.keys.info(issued.secret).max_budget == Decimal(50)


def test_a_comparison_that_is_asked_for_shows_itself_when_it_is_done(sandbox, site, page: Page, make_key, ruth):
    make_key()
    sign_in(page, site, "ruth@example.com")
    page.goto(f"{site}/gateways/{sandbox.gateway.pk}/")
    page.get_by_role("button", name="Compare now").click()
    expect(page.get_by_text("Asked for")).to_be_visible()
    reconcile.run_due()
    expect(page.get_by_text("Both sides agree.")).to_be_visible(timeout=15_000)  # it looks every 5 s
    expect(page.get_by_role("button", name="Compare now")).to_be_visible()


def test_who_lost_access_is_asked_about_once_more_before_it_goes_on(bad_day, site, page: Page, ruth):
    sign_in(page, site, "ruth@example.com")
    page.goto(f"{site}/operations/departures/")
    page.get_by_role("button", name="Go on with all 2").click()
    expect(page.get_by_role("dialog")).to_contain_text("No live keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert Departure.objects.filter(held=True).count() == 2
    page.get_by_role("button", name="Go on with all 2").click()
    page.get_by_role("button", name="Go on with two removals").click()
    expect(page.get_by_text("Two people lose access now.")).to_be_visible()
    assert Lease.objects.filter(state=State.PAUSED).count() == 0
