"""A real browser (Debian's Chromium) on a real server; skipped with a reason where there is none.

Its headless shell is the same Chromium without a browser's own windows, which nobody sees and which cost more than the
pages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page

from tests.browser.looking import listen

CHROMIUM = os.environ.get("KEYDESK_CHROMIUM", "")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright's loop runs in the test's thread


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.django_db(transaction=True))


@pytest.fixture(scope="session", autouse=True)
def _chromium() -> None:
    if not CHROMIUM:
        pytest.skip("set KEYDESK_CHROMIUM to a Chromium, like /usr/bin/chromium-headless-shell")


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": QUIET}


@pytest.fixture
def site(live_server, settings) -> str:
    """The portal's address. Chromium and passkeys want a name, so it is localhost."""
    url = live_server.url.replace("127.0.0.1", "localhost")
    settings.URL = url
    settings.ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
    settings.CSRF_TRUSTED_ORIGINS = [url]
    return url


@pytest.fixture(autouse=True)
def _nothing_left_open(browser: Browser) -> Iterator[None]:
    """A page that stays open goes on asking, and takes its share of the machine from all later tests."""
    yield
    for context in browser.contexts:
        context.close()


@pytest.fixture
def page(page: Page, site: str) -> Iterator[Page]:
    """A page that fails its test on a console error, a broken script, or a request that leaves the host."""
    heard = listen(page, site)
    page.set_default_timeout(20_000)
    yield page
    assert heard == []


__all__ = ["settings"]
