"""The outbox: a letter is written with what it tells of, goes once, and is not lost while the mail server is away."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as django_mail
from django.db import transaction
from django.utils import timezone

from portal import mail
from portal.management.commands import doctor
from portal.models import AuditEvent, Letter
from teams.models import Invitation, Team
from teams.roles import MemberRole
from teams.services.invitations import invite
from tests.threads import together

LINK = "https://keys.example.com/keys/"


def post(key: str = "one", to: str = "bea@example.com", subject: str = "Your key ends soon", text: str = LINK) -> bool:
    return mail.post(key, [to], subject, text)


def letter(key: str = "one") -> Letter:
    return Letter.objects.get(key=key)


def in_(**time: float) -> Any:
    return timezone.now() + timedelta(**time)


# --- writing --------------------------------------------------------------------------------------


def test_the_same_letter_is_written_once(db):
    assert post() is True
    assert post(subject="Another", to="eve@example.com") is False
    assert (letter().subject, letter().to) == ("Your key ends soon", ["bea@example.com"])


def test_a_letter_belongs_to_the_transaction_of_what_it_tells_of(db):
    with transaction.atomic():
        assert post()
        transaction.set_rollback(True)
    assert not Letter.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_repeated_key_does_not_spoil_the_transaction():
    with transaction.atomic():
        assert [post(), post(), post()] == [True, False, False]
        Team.objects.create(name="Search", slug="search")
    assert (Letter.objects.count(), Team.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_of_many_who_post_one_key_at_once_one_is_told_it_is_new():
    def tell(slug: str) -> bool:
        with transaction.atomic():
            new = post()
            Team.objects.create(name=slug, slug=slug)
            return new

    told = together(*[lambda n=n: tell(f"team-{n}") for n in range(6)])
    assert sorted(told) == [False] * 5 + [True]
    assert (Letter.objects.count(), Team.objects.count()) == (1, 6)


def test_what_is_kept_has_one_line_for_a_subject_and_no_secret(db):
    post(subject="A\nBcc: eve@example.com\u2028\0 sk-abcdefghijklmnop " + "x" * 300, text="kd_abcdefghijklmnop\0\udc80")
    kept = letter()
    assert kept.subject.startswith("A Bcc: eve@example.com [hidden] xxx")
    assert (len(kept.subject), kept.text) == (200, "[hidden]?")


def test_a_key_of_any_length_is_kept_apart_from_others(db):
    assert post("k" * 300 + "1")
    assert post("k" * 300 + "2")
    assert not post("k" * 300 + "1")
    assert max(len(each.key) for each in Letter.objects.all()) == 120


def test_a_letter_to_nobody_is_none(db):
    assert mail.post("one", [], "Subject", "Text") is False
    assert mail.post("one", ["", ""], "Subject", "Text") is False
    assert mail.post("one", ["a@example.com", "", "a@example.com"], "Subject", "Text") is True
    assert letter().to == ["a@example.com"]


# --- sending --------------------------------------------------------------------------------------


def test_what_is_due_goes_once_and_says_that_a_machine_wrote_it(db, mailoutbox):
    post()
    assert (mail.send_due(), mail.send_due()) == (1, 0)
    assert (mailoutbox[0].to, mailoutbox[0].subject, mailoutbox[0].body) == (
        ["bea@example.com"], "Your key ends soon", LINK,
    )  # fmt: skip
    assert mailoutbox[0].extra_headers["Auto-Submitted"] == "auto-generated"
    assert letter().sent_at is not None
    assert post() is False


def test_a_letter_that_is_not_due_waits(db, mailoutbox):
    post()
    Letter.objects.update(due_at=in_(minutes=5))
    assert mail.send_due() == 0
    assert mail.send_due(in_(minutes=6)) == 1


@pytest.mark.django_db(transaction=True)
def test_many_hosts_send_each_letter_once(mailoutbox):
    for n in range(12):
        post(f"{n}")
    assert sum(together(*[mail.send_due] * 5)) == 12
    assert len({each.extra_headers["Message-ID"] for each in mailoutbox}) == len(mailoutbox) == 12


def test_a_host_that_dies_before_it_noted_the_sending_makes_the_same_letter_go_again(db, mailoutbox, monkeypatch):
    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    post()
    with monkeypatch.context() as dying:
        dying.setattr(Letter, "was_sent", die)
        with pytest.raises(Killed):
            mail.send_due()
    assert mail.send_due() == 0  # it is claimed
    assert mail.send_due(timezone.now() + Letter.CLAIMED) == 1
    first, again = (each.extra_headers["Message-ID"] for each in mailoutbox)
    assert first == again
    assert first.endswith("@localhost>")


def test_a_worker_that_comes_too_late_does_not_bring_a_sent_letter_back(db):
    post()
    slow = letter()
    assert slow.claim(timezone.now())
    assert mail.send_due(timezone.now() + Letter.CLAIMED) == 1
    slow.put_off(OSError("timed out"), in_(minutes=6))
    assert (letter().due_at, letter().last_error) == (None, "")


# --- mail servers ---------------------------------------------------------------------------------


class Desk(socketserver.ThreadingTCPServer):
    """A mail server of few words. It refuses what is for bad@, and may be told to fall silent."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.taken: list[str] = []
        self.talks, self.silent = 0, False


class Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.server.talks += 1
        self.say("220 here" if not self.server.silent else "")
        while line := self.rfile.readline().decode().strip():
            if line == "data":
                self.say("354 go on")
                self.server.taken.append("".join(iter(lambda: self.rfile.readline().decode(), ".\r\n")))
            refused = "bad@" in line and line.startswith("rcpt")
            self.say("550 nobody of that name, sk-abcdefghijklmnop" if refused else "250 fine")
            if line == "quit":
                return

    def say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode() if words else b"")


@pytest.fixture
def smtp(settings) -> Iterator[Desk]:
    with Desk() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_letters_go_through_a_mail_server_in_one_conversation(db, smtp):
    post("one"), post("two")
    assert mail.send_due() == 2
    assert smtp.talks == 1
    assert "Subject: Your key ends soon" in smtp.taken[0]


def test_a_letter_that_is_refused_holds_up_no_other(db, smtp):
    post("refused", to="bad@example.com"), post("fine")
    assert mail.send_due() == 1
    assert "550" in letter("refused").last_error
    assert "nobody of that name, [hidden]" in letter("refused").last_error
    assert letter("fine").sent_at is not None


def test_a_letter_that_cannot_even_be_written_holds_up_no_other(db, mailoutbox):
    post("broken", to="a@example.com\nBcc: eve@example.com"), post("fine")
    assert mail.send_due() == 1
    assert "BadHeaderError" in letter("broken").last_error


def test_a_mail_server_that_says_nothing_holds_up_a_round_for_its_limit_at_most(db, smtp, settings):
    settings.EMAIL_TIMEOUT, smtp.silent = 0.2, True
    post()
    assert mail.send_due() == 0
    assert (letter().attempts, letter().due_at > timezone.now()) == (1, True)


def away(settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9


def test_while_the_mail_server_is_away_each_round_tries_one_letter(db, settings, mailoutbox):
    there = settings.EMAIL_BACKEND
    away(settings)
    for n in range(3):
        post(f"{n}")
    assert (mail.send_due(), mail.send_due()) == (0, 0)
    assert sorted(each.attempts for each in Letter.objects.all()) == [0, 1, 1]
    assert "ConnectionRefusedError" in letter("0").last_error
    settings.EMAIL_BACKEND = there
    assert mail.send_due() == 1  # those not tried go at once,
    assert mail.send_due(in_(minutes=1)) == 2  # the others after their pause
    assert letter("0").last_error == ""


def test_failures_are_tried_again_ever_more_seldom_for_three_days(db, settings):
    away(settings)
    post()
    now, pauses = timezone.now(), []
    while mail.send_due(now) == 0 and (next_try := letter().due_at):
        pauses.append(next_try - now)
        now = next_try
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    assert [minute * 0.75 * 2**n <= pauses[n] <= minute * 2**n for n in range(5)] == [True] * 5
    assert hour * 0.75 <= min(pauses[6:]) < max(pauses[6:]) <= hour
    assert timedelta(days=3) < now - letter().created_at < timedelta(days=3, hours=1)
    assert list(Letter.objects.given_up()) == [letter()]


def test_the_doctor_lists_what_is_stuck_and_what_was_given_up(db, settings):
    away(settings)
    post("stuck"), post("lost", subject="Your key has ended"), post("new")
    assert [each.do for each in doctor.letters()] == [""]
    Letter.objects.filter(key="stuck").update(attempts=Letter.STUCK, last_error="no route")
    Letter.objects.filter(key="lost").update(due_at=None, last_error="550")
    waiting, stuck, lost = doctor.letters()
    assert "127.0.0.1, 2 waiting" in waiting.said
    assert "3 tries, no route" in stuck.said
    assert "EMAIL_URL" in stuck.do
    assert "Your key has ended, to bea@example.com: 550" in lost.said
    assert lost.do.endswith("/admin/portal/letter/")


def test_a_platform_admin_sends_again_what_was_given_up_and_throws_away_the_rest(ruth, client, mailoutbox):
    post("again"), post("away")
    Letter.objects.update(due_at=None)
    client.force_login(ruth)
    assert client.get("/admin/portal/sweep/").status_code == 200
    for query, shown in (("bea@example", True), ("ends SOON", True), ("eve@example", False)):
        page = client.get("/admin/portal/letter/", {"q": query}).content.decode()
        assert ("Your key ends soon" in page) is shown
    chosen = {"action": "send_again", "_selected_action": [letter("again").pk]}
    client.post("/admin/portal/letter/", chosen)
    assert mail.send_due() == 1
    client.post("/admin/portal/letter/", chosen)
    assert mail.send_due() == 0
    chosen = {"action": "delete_selected", "_selected_action": [letter("away").pk], "post": "yes"}
    client.post("/admin/portal/letter/", chosen)
    assert [each.key for each in Letter.objects.all()] == ["again"]


def test_old_letters_are_forgotten_once_they_were_sent(db, mailoutbox):
    post("old"), post("recent"), post("lost")
    Letter.objects.filter(key="lost").update(due_at=None, created_at=in_(days=-200))
    mail.send_due()
    Letter.objects.filter(key="old").update(sent_at=in_(days=-91))
    assert mail.forget_old() == 1
    assert {each.key for each in Letter.objects.all()} == {"recent", "lost"}


# --- invitations ----------------------------------------------------------------------------------


def test_an_invitation_says_in_plain_words_who_asks_and_what_to_do(team, ines, mailoutbox):
    invite(team, email="bea@example.com", role=MemberRole.VIEWER, by=ines)
    assert django_mail.outbox == []  # no request waits for a mail server
    mail.send_due()
    lines = mailoutbox[0].body.strip().splitlines()
    assert len(mailoutbox) == 1
    assert lines[0] == "Ines invites you to Search Platform on Keydesk, the desk for virtual keys, as viewer."
    assert lines[-1] == "If you do not know what this is about, leave it: nothing happens by itself."
    assert max(len(line) for line in lines) <= 100


def test_the_link_of_an_invitation_is_in_the_letter_that_is_sent_and_nowhere_else(team, ines, mailoutbox):
    invitation = invite(team, email="bea@example.com", role=MemberRole.MEMBER, by=ines)
    stored = Letter.objects.get()
    mail.send_due()
    secret = mailoutbox[0].body.split("/invitations/")[1].split("/")[0]
    assert len(secret) == 43
    kept = [*Letter.objects.values_list(), *AuditEvent.objects.values_list(), *Invitation.objects.values_list()]
    assert secret not in str(kept)
    assert "/invitations/" not in stored.text
    assert invitation.digest not in mailoutbox[0].body


def test_words_that_a_person_chose_bring_no_link_into_a_letter(team, ines, mailoutbox):
    invitation = invite(team, email="bea@example.com", role=MemberRole.MEMBER, by=ines)
    Letter.objects.all().delete()
    mail.post(
        "key-revoked:1", ["ines@example.com"], "Your key", f"{mail.LINK} invitation:{invitation.pk}:1 {mail.LINK}"
    )
    mail.send_due()
    assert "/invitations/" not in mailoutbox[0].body
