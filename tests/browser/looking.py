"""What is wrong with a page: what axe objects to, what scrolls sideways, what the console says, who else is asked."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page

# A page is looked at twice: as it comes, and once its scripts run. The other width and scheme the second time; the
# other way round for every other page.
TURNS = (((1440, "light"), (390, "dark")), ((390, "light"), (1440, "dark")))
EXPECTED = ("status of 401", "status of 403", "status of 404", "status of 409", "status of 422", "status of 503")

AXE = """async (context) => {
  await Promise.allSettled(document.getAnimations().map((each) => each instanceof CSSTransition && each.finished));
  const { violations } = await axe.run(context, { resultTypes: ["violations"], preload: false });
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`));
}"""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Scripts were off while the page was read: now they run, in their order.
START = """async () => {
  await Promise.all([...document.querySelectorAll("script[src]")].map((old) => new Promise((done, failed) => {
    const script = document.createElement("script");
    Object.assign(script, { src: old.src, async: false, onload: done, onerror: () => failed(old.src) });
    old.replaceWith(script);
  })));
  await new Promise(requestAnimationFrame);
}"""


def listen(page: Page, site: str) -> list[str]:
    """What goes wrong behind a page from now on: console errors, broken scripts, requests that leave the host."""
    heard: list[str] = []

    def say(what: str) -> None:
        if not any(text in what for text in EXPECTED):
            heard.append(what)

    page.on("console", lambda said: say(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: say(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith((site, "data:")) else say(sent.url))
    return heard


def trouble(page: Page, *, apart: str = "") -> list[str]:
    """What axe objects to on the page that is open, and whether it is wider than its window."""
    page.evaluate(AXE_SCRIPT)
    return _objections(page, apart) + _sideways(page)


def _objections(page: Page, apart: str) -> list[str]:
    found: list[str] = page.evaluate(AXE, {"exclude": [apart]} if apart else {"include": ["html"]})
    return found


def _sideways(page: Page) -> list[str]:
    wide = page.evaluate(WIDER)
    return [f"{wide} px wider than {page.viewport_size and page.viewport_size['width']}"] if wide > 0 else []


class Walk:
    """Opens pages one after the other, each without script and then with it, and keeps what is wrong with them.

    Contrast, the dearest rule of axe, depends on the scheme; little depends on the width, and a scrollbar is asked
    about at both. So two looks, light and dark, wide and narrow, with and without script, see what eight would.
    """

    def __init__(self, browser: Browser, site: str) -> None:
        # Another scheme comes by transitions of some 100 ms: axe reads the colours it ends in.
        page = browser.new_context(reduced_motion="reduce").new_page()
        self.page, self.site = page, site
        self.found: dict[str, list[str]] = {}
        self.heard = listen(page, site)
        self.line: Any = page.context.new_cdp_session(page)

    def open(self, path: str) -> None:
        first, second = TURNS[len(self.found) % 2]
        apart = "#rail" if self.found else ""  # it is the same on all pages
        self._turn(*first)
        self.line.send("Emulation.setScriptExecutionDisabled", {"value": True})
        answer = self.page.goto(self.site + path)
        self.line.send("Emulation.setScriptExecutionDisabled", {"value": False})
        said = [] if answer and (answer.ok or path == "/nowhere/") else [f"status {answer and answer.status}"]
        self.page.evaluate(AXE_SCRIPT)
        bare = _objections(self.page, apart) + _sideways(self.page)
        self._turn(*second)
        bare += _sideways(self.page)
        self.page.evaluate(START)
        said += [f"without script: {each}" for each in bare] + _objections(self.page, apart) + _sideways(self.page)
        self.keep(path, said)

    def keep(self, what: str, said: list[str] | None = None) -> None:
        """What is wrong with the page as it stands now, after somebody pressed something on it."""
        self.found[what] = (trouble(self.page, apart="#rail") if said is None else said) + self.heard
        self.heard.clear()

    def wrong(self) -> dict[str, list[str]]:
        return {what: said for what, said in self.found.items() if said}

    def _turn(self, width: int, scheme: Any) -> None:
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": 900})
