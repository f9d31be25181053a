"""`make screenshots`: the ten main pages, light, dark and on a phone, as docs/screenshots/*.png.

It starts a desk of its own in a folder that is thrown away (tests/pictures/desk.py), and walks it with the Chromium of
KEYDESK_CHROMIUM, as the people of the demo. A picture is what a window shows, not the whole length of a page.
"""

from __future__ import annotations

import base64
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.ground.processes import ROOT, apart, free_port

TO = ROOT / "docs" / "screenshots"
ADMIN, WORD = "ruth@keydesk.local", "a word for pictures 42"
DESK: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--font-render-hinting=none"]
LOOKS: tuple[tuple[str, ViewportSize, Literal["light", "dark"]], ...] = (
    ("light", DESK, "light"),
    ("dark", DESK, "dark"),
    ("phone", PHONE, "light"),
)
MOST, MOST_IN_ALL = 150_000, 3_000_000  # bytes
FEW_COLOURS = (Path(__file__).parent / "few_colours.js").read_text()


@dataclass(frozen=True)
class Picture:
    """One page: its name, who looks, from where, and what they do there before it looks as it should."""

    name: str
    who: str
    path: str
    then: Callable[[Page], object] = lambda page: None


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def issue(page: Page) -> None:
    page.locator("#id_name").fill("notebook ranker")
    page.get_by_role("button", name="Issue key").click()
    page.get_by_role("link", name="I have stored it").wait_for()


def ask_why(page: Page) -> None:
    paused = page.locator("option", has_text="paused").first.get_attribute("value")
    page.get_by_label("The key").select_option(value=paused)
    page.get_by_role("button", name="Walk its limits").click()
    page.locator(".crumbs").wait_for()  # of the answer


PICTURES = (
    Picture("home", "alice", "/"),
    Picture("get-a-key", "alice", "/keys/new/"),
    Picture("key", "alice", "/", lambda page: page.get_by_role("link", name="laptop", exact=True).first.click()),
    Picture("key-once", "alice", "/keys/new/", issue),
    Picture("why", "yuki", "/why/", ask_why),
    Picture("requests", "linnea", "/requests/"),
    Picture("gallery", "tomas", "/gallery/"),
    Picture("team", "tomas", "/teams/support/"),
    Picture("statement", "tomas", "/teams/support/statements/2026-10/"),
    Picture("platform", ADMIN, "/platform/"),
)


def main() -> int:
    TO.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, desk(Path(scratch)) as (address, word), sync_playwright() as play:
        browser = play.chromium.launch(executable_path=os.environ["KEYDESK_CHROMIUM"], args=FLAGS)
        for who in dict.fromkeys(picture.who for picture in PICTURES):
            walk(browser, address, who, WORD if who == ADMIN else word)
        browser.close()
    sizes = {file.name: file.stat().st_size for file in sorted(TO.glob("*.png"))}
    for name, size in sizes.items():
        say(f"{size / 1000:6.0f} kB  {name}")
    say(f"{sum(sizes.values()) / 1000:6.0f} kB  in all, {len(sizes)} pictures")
    return int(max(sizes.values()) > MOST or sum(sizes.values()) > MOST_IN_ALL)


@contextmanager
def desk(scratch: Path) -> Iterator[tuple[str, str]]:
    """A desk with the demo's company: its address, and the password of everybody there."""
    port = free_port()
    more = {"KEYDESK_ADMIN_EMAIL": ADMIN, "KEYDESK_ADMIN_PASSWORD": WORD, "KEYDESK_EMBEDDED_WORKER": "false"}
    env = apart(scratch, KEYDESK_LOG_LEVEL="ERROR", PYTHONHASHSEED="0", KEYDESK_URL="http://localhost:8000", **more)
    command = [sys.executable, "-m", "tests.pictures.desk", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            for line in process.stdout:
                say(line.rstrip())
                if line == "ready\n":
                    break
            else:
                raise SystemExit("The desk did not start.")
            yield f"http://localhost:{port}", (scratch / "demo-password").read_text().strip()
        finally:
            process.terminate()


def walk(browser: Browser, address: str, who: str, word: str) -> None:
    """All pictures that this person sees."""
    page = browser.new_page(viewport=DESK, base_url=address, reduced_motion="reduce", locale="en-GB")
    page.set_default_timeout(60_000)
    page.goto("/accounts/login/")
    page.get_by_label("E-mail").fill(who if "@" in who else f"{who}@keydesk.local")
    page.get_by_label("Password").fill(word)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{address}/")
    for picture in PICTURES:
        if picture.who == who:
            page.set_viewport_size(DESK)
            page.emulate_media(color_scheme="light")
            page.goto(picture.path)
            picture.then(page)
            page.wait_for_load_state("networkidle")
            photograph(page, picture.name)
    page.context.close()


def photograph(page: Page, name: str) -> None:
    """The page as it is: a page that shows a secret cannot be loaded again."""
    with page.context.browser.new_context() as apart_from_it:
        workshop = apart_from_it.new_page()
        for look, size, scheme in LOOKS:
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(300)  # charts are drawn anew
            page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
            (TO / f"{name}-{look}.png").write_bytes(small(workshop, page.screenshot(animations="disabled")))


def small(workshop: Page, png: bytes) -> bytes:
    """The same picture in 256 colours."""
    drawn = workshop.evaluate(FEW_COLOURS, base64.b64encode(png).decode())
    head = struct.pack(">IIBBBBB", drawn["width"], drawn["height"], 8, 3, 0, 0, 0)
    rows = zlib.compress(base64.b64decode(drawn["rows"]), 9)
    pieces = ((b"IHDR", head), (b"PLTE", bytes(drawn["palette"])), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in pieces
    )


if __name__ == "__main__":
    sys.exit(main())
