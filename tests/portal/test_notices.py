"""Letters as text and as HTML, and who reads of what at once, once a day, or not at all."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal import digest, letterhead, mail, notices
from portal.models import DigestLine, Letter
from portal.notices import GROUPS, When
from portal.tasks import send_letters
from teams.models import NoticeChoice, User
from teams.roles import MemberRole
from teams.services.invitations import put_or_invite
from tests.ground.processes import apart, manage
from tests.threads import together

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
SEVEN = datetime(2026, 3, 4, 7, tzinfo=UTC)
WHERE = "http://localhost:8000/keys/"


def wants(user: User, **chosen: When) -> None:
    for group, way in chosen.items():
        NoticeChoice.objects.update_or_create(user=user, group=group, defaults={"wanted": way})


def tell(*people: User | str, key: str = "one", kind: str = "key.ends_soon", subject: str = "Keydesk: it ends") -> bool:
    to = [person if isinstance(person, str) else str(person.email) for person in people]
    return mail.post(key, to, subject, f"It ends.\n\nLook:\n{WHERE}{key}/\n", kind=kind)


def html_of(message) -> str:
    (alternative,) = message.alternatives
    assert alternative.mimetype == "text/html"
    return alternative.content


# --- HTML -----------------------------------------------------------------------------------------


def test_a_letter_goes_as_text_and_as_the_same_words_in_html(alice, mailoutbox):
    mail.key_changed(
        [alice.email], "one", alias="nightly", done="revoked", actor="Bob <b>", reason="<script>", path="/keys/1/"
    )
    mail.send_due()
    text, html = mailoutbox[0].body, html_of(mailoutbox[0])
    assert "Bob <b> revoked your virtual key nightly." in text
    assert "Bob &lt;b&gt; revoked your virtual key nightly." in html
    assert "&lt;script&gt;" in html
    assert re.search(r'<a href="http://localhost:8000/keys/1/"[^>]*>How it stands now</a>', html)
    assert "/accounts/notices/" in text
    assert "/accounts/notices/" in html
    assert not re.search(r"<(img|script|link|style|form)|url\(|@import|\son\w+=", html)
    assert {*re.findall(r"https?://[^/\"<]+", html)} == {"http://localhost:8000"}


def test_the_pieces_of_a_letter_are_those_of_its_text():
    text = "First words that\ngo on.\n\nLives: 30 days\nModels: all\n\n- one\n- two\n\nHow it stands now:\nhttps://a.example/x\n"
    blocks = [(block.kind, block.words, block.label) for block in letterhead.blocks_of(text)]
    assert blocks == [
        ("text", "First words that\ngo on.", ""),
        ("fact", "30 days", "Lives"),
        ("fact", "all", "Models"),
        ("item", "one", ""),
        ("item", "two", ""),
        ("button", "https://a.example/x", "How it stands now"),
    ]
    long = "A line that was broken where the page of its author ended goes on, as one, in"
    assert letterhead.blocks_of(f"{long}\nthe next.")[0].words == f"{long} the next."
    facts = letterhead.blocks_of(f"What for: {long}\nAt stake: $4.00")  # a long one does not swallow the next
    assert [block.label for block in facts] == ["What for", "At stake"]
    listed = letterhead.blocks_of("It was paused\nhttps://a.example/x\n\nIt ends\nhttps://a.example/y", button=False)
    assert [block.kind for block in listed] == ["above", "link", "above", "link"]
    assert letterhead.blocks_of("Look:\n\nhttps://a.example/x")[-1].label == "Look"
    assert letterhead.blocks_of("https://a.example/x")[0].label == str(letterhead.OPEN)


def test_an_invitation_has_its_link_in_both_parts_and_in_no_row(team, ines, mailoutbox):
    put_or_invite(team, email="bea@example.com", role=MemberRole.MEMBER, by=ines)
    mail.send_due()
    path = re.search(r"/invitations/[\w-]{20,}/", mailoutbox[0].body).group()
    assert f'href="http://localhost:8000{path}"' in html_of(mailoutbox[0])
    assert path not in Letter.objects.get().text
    assert "/accounts/notices/" not in mailoutbox[0].body  # nothing that they could turn down


# --- who hears of what ----------------------------------------------------------------------------


def test_everybody_hears_of_it_as_they_want_to_and_who_has_no_account_at_once(alice, bob, ines, vic):
    wants(alice, ends=When.DAILY)
    wants(bob, ends=When.NEVER)
    wants(ines, budgets=When.NEVER)
    assert tell(alice, bob, ines, vic, "out@example.com")
    assert Letter.objects.get().to == [ines.email, vic.email, "out@example.com"]
    assert [line.address for line in DigestLine.objects.all()] == [alice.email]
    assert not tell(alice, bob), "the same letter is written once, whoever was told how"


def test_what_nobody_wants_at_once_is_written_once_and_sent_to_nobody(alice, mailoutbox):
    wants(alice, ends=When.NEVER)
    assert (tell(alice), tell(alice)) == (True, False)
    assert mail.send_due() == 0
    assert not Letter.objects.given_up().exists()
    assert not DigestLine.objects.exists()


@pytest.mark.parametrize("kind", ["person.password_changed", "person.emergency_sign_in", "", "unheard.of"])
def test_what_is_in_no_group_goes_at_once_whatever_was_chosen(alice, kind):
    wants(alice, **{group.name: When.NEVER for group in GROUPS})
    tell(alice, kind=kind)
    assert Letter.objects.get().to == [alice.email]


def test_that_others_acted_on_a_key_can_wait_a_day_but_is_always_told(alice):
    wants(alice, keys=When.NEVER)  # as no form offers it
    tell(alice, kind="key.changed")
    assert Letter.objects.get().to == [alice.email]
    assert [group.name for group in GROUPS if When.NEVER not in group.choices] == ["keys"]


def test_a_kind_has_the_group_of_its_whole_name_or_of_its_first_part():
    named = {kind: found.name if (found := notices.group_of(kind)) else None
             for kind in ("request.submitted", "request.denied", "key.ends_soon", "key.changed", "gateway.held",
                          "gateway.back", "person.invited", "")}  # fmt: skip
    assert named == {
        "request.submitted": "decisions", "request.denied": "requests", "key.ends_soon": "ends", "key.changed": "keys",
        "gateway.held": "decisions", "gateway.back": "news", "person.invited": None, "": None,
    }  # fmt: skip


# --- the daily letter -----------------------------------------------------------------------------


@time_machine.travel(NOON, tick=False)
def set_aside(user: User, count: int = 3, kind: str = "key.ends_soon") -> None:
    for n in range(count):
        tell(user, key=f"{kind}-{n}", kind=kind, subject=f"Keydesk: {kind} {n}")


def test_one_letter_a_day_tells_of_all_in_groups_the_newest_first(alice, mailoutbox):
    wants(alice, ends=When.DAILY, requests=When.DAILY)
    set_aside(alice, 2)
    set_aside(alice, 1, "request.denied")
    assert digest.write_due(SEVEN - timedelta(minutes=1)) == 0
    assert digest.write_due(SEVEN) == 1
    mail.send_due()
    (letter,) = mailoutbox
    assert (letter.to, letter.subject) == ([alice.email], "Keydesk, Wed 04 Mar: three pieces of news")
    order = ["== My requests ==", "Request.denied 0 (Tue 03 Mar, 12:00 UTC)", f"{WHERE}request.denied-0/",
             "== My keys and tokens: what ends soon ==", "Key.ends_soon 1", f"{WHERE}key.ends_soon-1/",
             "Key.ends_soon 0", "/accounts/notices/"]  # fmt: skip
    places = [letter.body.index(words) for words in order]
    assert places == sorted(places)
    assert "<h2 style" in html_of(letter)
    assert html_of(letter).count("<a href=") == 4


def test_with_nothing_to_tell_there_is_no_letter(alice, mailoutbox):
    wants(alice, ends=When.DAILY)
    with time_machine.travel(SEVEN):
        assert send_letters() == {"daily": 0, "sent": 0}
    assert mailoutbox == []


def test_a_second_round_writes_no_second_letter_and_what_came_late_is_told_tomorrow(alice):
    wants(alice, ends=When.DAILY)
    set_aside(alice, 1)
    assert [digest.write_due(SEVEN), digest.write_due(SEVEN + timedelta(hours=1))] == [1, 0]
    with time_machine.travel(NOON, tick=False):
        tell(alice, key="late", subject="A long transaction")  # written before seven, seen after it
    with time_machine.travel(SEVEN + timedelta(minutes=30), tick=False):
        tell(alice, key="later")
    assert digest.write_due(SEVEN + timedelta(hours=23, minutes=59)) == 0
    assert digest.write_due(SEVEN + timedelta(days=1)) == 1
    told = DigestLine.objects.filter(digest__key__endswith="2026-03-05").values_list("letter__key", flat=True)
    assert [*told] == ["later", "late"]


def test_a_host_that_dies_while_it_writes_loses_nothing(alice, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    wants(alice, ends=When.DAILY)
    set_aside(alice)
    with monkeypatch.context() as dying:
        dying.setattr("django.db.models.query.QuerySet.update", die)
        with pytest.raises(Killed):
            digest.write_due(SEVEN)
    assert not Letter.objects.filter(kind="digest").exists()
    assert digest.write_due(SEVEN) == 1
    assert DigestLine.objects.filter(digest__kind="digest").count() == 3


@pytest.mark.django_db(transaction=True)
def test_ten_hosts_write_one_letter_to_each_person(alice, bob):
    for user in (alice, bob):
        wants(user, ends=When.DAILY)
    with time_machine.travel(NOON, tick=False):
        for n in range(4):
            tell(alice, bob, key=f"{n}")
    assert sum(together(*[lambda: digest.write_due(SEVEN)] * 10)) == 2
    daily = Letter.objects.filter(kind="digest")
    assert sorted((letter.to, letter.tells_of.count()) for letter in daily) == [([alice.email], 4), ([bob.email], 4)]


def test_a_letter_that_a_daily_one_has_yet_to_tell_is_not_forgotten(alice):
    wants(alice, ends=When.DAILY)
    set_aside(alice, 1)
    long_after = NOON + timedelta(days=200)
    assert mail.forget_old(long_after) == 0
    digest.write_due(long_after)
    assert mail.forget_old(long_after) == 1


def test_an_hour_that_no_day_has_stops_the_start(tmp_path):
    said = manage("check", env=apart(tmp_path, KEYDESK_DIGEST_HOUR="24"), code=1).stderr
    assert "from 0 to 23" in said


def test_what_the_daily_letter_costs_does_not_grow_with_what_it_tells(alice, bob):
    costs = []
    for user, count, kind in ((alice, 2, "key.ends_soon"), (bob, 30, "token.ends_soon")):
        wants(user, ends=When.DAILY)
        set_aside(user, count, kind)
        with CaptureQueriesContext(connection) as seen:
            assert digest.write_due(SEVEN) == 1
        costs.append(len(seen))
    assert costs[0] == costs[1]
