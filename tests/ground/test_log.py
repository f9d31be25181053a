"""The last net of the logs: what looks like a secret is blacked out, and words stay readable."""

from __future__ import annotations

import logging
import sys

import pytest

from keys.services.minting import new_secret
from portal.log import scrub
from teams.models import ApiToken

LETTERS = "abcdefghijklmnop"


@pytest.mark.parametrize(
    "line",
    [
        f"sk-{LETTERS}",
        f"x_sk-{LETTERS}",
        f"%22sk-{LETTERS}",
        f'{{"key":"sk-{LETTERS}"}}',
        f"https://proxy.example/key/info?key=sk-{LETTERS}",
        f"tokenkd_{LETTERS}",
        f"kd_{LETTERS}",
        f"Authorization: Bearer {LETTERS}",
        f"authorization: basic {LETTERS}==",
        f"Authorization: Basic {LETTERS}==",
        f"master_key=gAAAAAB{LETTERS}",
    ],
)
def test_what_looks_like_a_secret_is_blacked_out_wherever_it_is_glued(line):
    assert LETTERS not in scrub(line)


@pytest.mark.parametrize("before", ["", " ", "_", "%22", "key", "0"])
@pytest.mark.parametrize("choose", [new_secret, ApiToken.choose])
def test_no_secret_of_ours_passes_whatever_stands_before_it(choose, before):
    secret = choose()
    assert secret[3:] not in scrub(f"{before}{secret}")


@pytest.mark.parametrize(
    "line",
    [
        "task-management",
        "risk-assessment of the desk-top",
        "GET /teams/task-management/ 200",
        "sk-...abcd",
        "a kd_ token",
    ],
)
def test_harmless_words_stay_readable(line):
    assert scrub(line) == line


def test_a_traceback_is_scrubbed_like_any_line():
    secret = new_secret()
    try:
        raise ValueError(f"cannot use {secret}")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x", 1, "%s broke", (secret,), sys.exc_info())
    formatter = logging.getLogger().handlers[0].formatter
    assert formatter is not None
    drawn = formatter.format(record)
    assert "ValueError: cannot use [hidden]" in drawn
    assert secret not in drawn


def test_a_link_that_sets_a_password_is_blacked_out():
    assert "1a-c9xyz" not in scrub("GET /accounts/password/reset/key/1a-c9xyz-abc/ 302")
