"""Charts in the browser: drawn from their table, walked by keyboard, and not needed. No inline style, no shift."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from keys.models import Gateway
from teams.models import Team
from tests.browser.test_journey import sign_in
from tests.keys.statement_rows import row

WATCH = """
  window.shifts = 0;
  new PerformanceObserver((list) => { for (const each of list.getEntries()) window.shifts += each.value; })
    .observe({ type: "layout-shift", buffered: true });
"""
INK = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = {};
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200) {
    const name = `${data[at]},${data[at + 1]},${data[at + 2]}`;
    seen[name] = (seen[name] || 0) + 1;
  }
  return Object.entries(seen).sort((a, b) => b[1] - a[1])[0]?.[0];
}"""


@pytest.fixture
def spent(sandbox, team, ines, make_key) -> Team:
    lease, today = make_key(holder=ines, name="laptop").lease, timezone.now().date()
    Team.objects.filter(pk=team.pk).update(max_budget=Decimal(2400), created_at=timezone.now() - timedelta(days=90))
    for back in range(40):
        row(lease, today - timedelta(days=back), str(back + 1))
    Gateway.objects.update(spend_synced_at=timezone.now())
    return team


def test_a_chart_is_drawn_walked_by_keyboard_and_said(spent, page: Page, site):
    page.add_init_script(WATCH)
    sign_in(page, site, "ines@example.com")
    today = timezone.now().date()
    page.goto(f"{site}/teams/search/spend/?from={today - timedelta(days=29)}&to={today}")
    chart = page.get_by_role("application", name="Spend per day")
    expect(chart.locator("canvas")).to_be_visible()
    assert page.evaluate("window.shifts") <= 0.02
    said = page.locator("#chart-days [role=status]")
    chart.focus()
    page.keyboard.press("ArrowLeft")
    expect(said).to_have_text(f"{today.day} {today:%b}: Spent $1.00")
    page.keyboard.press("ArrowLeft")
    before = today - timedelta(days=1)
    expect(said).to_have_text(f"{before.day} {before:%b}: Spent $2.00")
    page.keyboard.press("Home")
    expect(said).to_contain_text("Spent $30.00")
    page.keyboard.press("Escape")
    expect(said).to_have_text("")
    table = page.get_by_role("table", name="Spend per day")
    expect(table).to_be_hidden()
    page.get_by_text("Show as table").click()
    expect(table).to_be_visible()


def test_a_chart_takes_the_colours_of_the_scheme_that_is_chosen(spent, browser: Browser, site):
    page = browser.new_context(color_scheme="light").new_page()
    sign_in(page, site, "ines@example.com")
    page.goto(f"{site}/teams/search/")
    canvas = page.locator("[data-chart] canvas").first
    expect(canvas).to_be_visible()
    light = canvas.evaluate(INK)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(light) => ({INK})(document.querySelector('[data-chart] canvas')) !== light", arg=light)
    page.get_by_role("button", name="Light").click()
    page.wait_for_function(f"(light) => ({INK})(document.querySelector('[data-chart] canvas')) === light", arg=light)


def test_without_script_the_table_stands_where_the_chart_would(spent, browser: Browser, site):
    page = browser.new_context(java_script_enabled=False).new_page()
    sign_in(page, site, "ines@example.com")
    page.goto(f"{site}/teams/search/spend/")
    expect(page.get_by_role("table", name="Spend per day")).to_be_visible()
    expect(page.locator(".chart-box")).to_be_hidden()
    page.get_by_role("link", name="90 days").click()
    expect(page.get_by_role("link", name="90 days")).to_have_attribute("aria-current", "true")
