"""The browser looks at every page that somebody can open: tests/browser/pages.py against the table of permissions."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

import pytest
from django.urls import resolve

from tests.browser import pages
from tests.permissions.table import PAGES

pytestmark = pytest.mark.apart
# Answers for machines, and files.
NO_PAGES = {"healthz", "reference:schema", "keys:sandbox", "keys:platform_csv", "keys:team_spend_csv"}
DJANGOS = "admin:"  # Django's own pages: read-mostly, for the last resort
WALKS = (
    pages.DOOR,
    pages.NOTHING_YET,
    pages.KEYS,
    pages.TEAMS,
    pages.PLATFORM,
    pages.OWN,
    pages.WITHOUT_PASSWORD,
    pages.WITH_FACTORS,
    pages.BAD_DAY,
)
UUIDS = {"live", "ended", "turned", "paused", "waits", "denied", "approved", "ruth", "robot", "token", "hook"}


def test_the_browser_looks_at_every_page_that_somebody_can_open():
    opened = {
        name
        for (method, name), answers in PAGES.items()
        if method == "get" and "200" in answers.split() and not name.startswith(DJANGOS)
    } - NO_PAGES
    rows = defaultdict(lambda: "1") | dict.fromkeys(UUIDS, str(UUID(int=1)))
    looked_at = {
        resolve(path.format_map(rows).partition("?")[0]).view_name
        for walk in WALKS
        for path in walk
        if path != "/nowhere/"
    }
    assert sorted(opened - looked_at) == []
