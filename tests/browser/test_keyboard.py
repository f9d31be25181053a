"""Every act by keyboard: Tab comes to whatever can be pressed, and one sees where one is."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser import pages
from tests.browser.pages import lines
from tests.browser.test_journey import sign_in

MAIN = lines("""
/
/keys/
/keys/new/
/keys/{live}/
/requests/{waits}/
/requests/
/teams/search/members/
/teams/search/spend/
/roles/new/
/accounts/notices/
""")

# One press of Tab: where that came to, and whether one sees it, by its own ring or that of the label around it.
STEP = """() => {
  const here = document.activeElement;
  if (here === window.before) return "";  // a date has parts
  if (!here || here === document.body || here.dataset.met) return null;
  window.before = here;
  here.dataset.met = "1";
  const ringed = [here, here.closest("label, .affix, summary")].some((each) => {
    if (!each) return false;
    const { outlineStyle, outlineWidth } = getComputedStyle(each);
    return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
  });
  const { width, height } = here.getBoundingClientRect();
  return ringed && width && height ? "" : `no ring: ${here.outerHTML.slice(0, 120)}`;
}"""
# What can be pressed and was not come to. Of radios, one of the group: the arrows go to the others.
LEFT = """() => {
  const press = "a[href], button, input, select, textarea, summary, [role=button], [onclick]";
  return [...document.querySelectorAll(press)]
    .filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled && !each.dataset.met)
    .filter((each) => each.type !== "hidden" && !(each.type === "radio"
      && document.querySelector(`[type=radio][name="${each.name}"][data-met]`)))
    .map((each) => `not reached: ${each.outerHTML.slice(0, 120)}`);
}"""
MOST = 250  # presses on one page


@pytest.fixture
def busy(sandbox, team, alice, ruth, make_role, make_key):
    return pages.rows(sandbox, team, alice, ruth, make_role, make_key)


def test_tab_comes_to_everything_that_can_be_pressed_and_shows_where_it_is(busy, page: Page, site):
    sign_in(page, site, "ruth@example.com")
    found = {}
    for path in MAIN:
        page.goto(site + path.format(**busy))
        page.evaluate("document.activeElement?.blur()")
        said, here = [], ""
        for _ in range(MOST):
            page.keyboard.press("Tab")
            here = page.evaluate(STEP)
            if here is None:
                break
            said.append(here)
        said += page.evaluate(LEFT)
        if trouble := [each for each in said if each]:
            found[path] = trouble
    assert found == {}


def test_the_menu_of_a_phone_opens_and_closes_by_keyboard(page: Page, site, alice):
    page.set_viewport_size({"width": 390, "height": 800})
    sign_in(page, site, "alice@example.com")
    button, rail = page.get_by_role("button", name="Menu"), page.locator("#rail")
    expect(rail).to_be_hidden()
    button.press("Enter")
    expect(rail).to_be_visible()
    page.keyboard.press("Tab")
    assert rail.evaluate("(rail) => rail.contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(rail).to_be_hidden()
    expect(button).to_be_focused()
    page.goto(f"{site}/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # "Skip to the page"
    expect(page.locator("#main")).to_be_focused()


def test_all_keys_of_a_page_are_chosen_and_revoked_by_keyboard(page: Page, site, sandbox, make_key, alice):
    issued = [make_key(name=name) for name in ("one", "two")]
    sign_in(page, site, "alice@example.com")
    page.get_by_label("Choose all on this page").press("Space")
    expect(page.get_by_label("Choose one")).to_be_checked()
    expect(page.get_by_label("Choose two")).to_be_checked()
    page.get_by_role("button", name="Revoke selected").press("Enter")
    page.get_by_role("button", name="Revoke two keys").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Two keys of 2 ended")
    assert [sandbox.status_of(each.secret) for each in issued] == [401, 401]
