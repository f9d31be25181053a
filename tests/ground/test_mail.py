"""Letters reach somebody: the default prints them, and an address that means nothing stops the start."""

from __future__ import annotations

import pytest
from django.utils import timezone

from portal import mail
from portal.models import Letter
from teams.roles import MemberRole
from teams.services.invitations import put_or_invite
from tests.ground.processes import apart, manage

BACKEND = "from django.conf import settings; print(settings.EMAIL_BACKEND, getattr(settings, 'EMAIL_USE_TLS', None))"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "django.core.mail.backends.console.EmailBackend False"),
        ("console:", "django.core.mail.backends.console.EmailBackend False"),
        ("submission://user:hunter2@mail.example.com:587", "django.core.mail.backends.smtp.EmailBackend True"),
        ("smtp://mail.example.com", "django.core.mail.backends.smtp.EmailBackend False"),
    ],
)
def test_letters_go_where_email_url_says_and_to_the_console_without_it(tmp_path, url, said):
    done = manage("shell", "--no-imports", "-c", BACKEND, env=apart(tmp_path, EMAIL_URL=url))
    assert done.stdout.strip() == said


@pytest.mark.parametrize("url", ["smtp+tls://user:hunter2@mail.example.com:587", "consolemail://", "nonsense"])
def test_an_email_url_of_no_known_kind_stops_the_start(tmp_path, url):
    done = manage("check", env=apart(tmp_path, EMAIL_URL=url), code=1)
    assert "submission://" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_second_person_gets_a_letter_and_makes_their_account(client, team, ines, mailoutbox):
    put_or_invite(team, email="bea@example.com", role=MemberRole.MEMBER, by=ines)
    mail.send_due()
    link = next(word for word in mailoutbox[0].body.split() if "/invitations/" in word)
    form = client.get(link, follow=True)
    word = "a new word for bea 42"
    assert client.post(form.request["PATH_INFO"], {"name": "Bea", "password": word}).status_code == 302
    client.logout()
    assert client.login(email="bea@example.com", password=word)


def test_a_mail_server_that_is_away_stops_nobody_from_inviting_and_loses_no_letter(team, ines, settings, mailoutbox):
    there = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    put_or_invite(team, email="bea@example.com", role=MemberRole.MEMBER, by=ines)
    assert team.invitations.get().email == "bea@example.com"
    assert mail.send_due() == 0
    settings.EMAIL_BACKEND = there
    assert mail.send_due(timezone.now() + Letter.FIRST_PAUSE) == 1
    assert mailoutbox[0].to == ["bea@example.com"]
