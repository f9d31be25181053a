"""Pages in the reader's language, letters in the recipient's, machines in English."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail as outbox
from django.utils import timezone, translation

from portal import mail
from portal.models import AuditEvent, Letter
from portal.templatetags.ui import about, ago, count, day, left, money, words
from tests.pages.conftest import text

GERMAN = {"HTTP_ACCEPT_LANGUAGE": "fr-CH, de-CH;q=0.8, en;q=0.5"}
CHOICE = "/accounts/language/"


@pytest.fixture
def german(db):
    with translation.override("de"):
        yield


def test_a_page_speaks_what_the_browser_asks_for(client, db):
    page = client.get("/accounts/login/", **GERMAN)
    assert '<html lang="de">' in page.content.decode()
    assert "Anmelden" in text(page)
    assert page["Content-Language"] == "de"
    assert "Accept-Language" in page["Vary"]
    assert '<html lang="en">' in client.get("/accounts/login/", HTTP_ACCEPT_LANGUAGE="fr").content.decode()


def test_what_a_person_chose_counts_more_than_their_browser(as_person, alice):
    client = as_person(alice)
    assert "Your account" in text(client.get("/accounts/"))
    done = client.post(CHOICE, {"language": "de"}, follow=True)
    assert "Keydesk spricht jetzt Deutsch." in text(done)
    assert "Ihr Konto" in text(client.get("/accounts/", HTTP_ACCEPT_LANGUAGE="en"))
    assert AuditEvent.objects.get(action="person.language_chosen").after == "de"
    assert "Your account" in text(client.post(CHOICE, {"language": ""}, follow=True))
    assert "Ihr Konto" in text(client.get("/accounts/", **GERMAN))


def test_a_language_that_is_not_there_is_not_taken(as_person, alice):
    assert as_person(alice).post(CHOICE, {"language": "tlh"}).status_code == 422
    alice.refresh_from_db()
    assert alice.language == ""


def test_machines_are_answered_in_english(as_person, alice):
    alice.language = "de"
    alice.save()
    client = as_person(alice)
    refused = client.post("/api/v1/gateways/", {}, content_type="application/json", **GERMAN)
    assert refused.json()["error"]["message"].startswith("You may not")
    assert refused["Content-Language"] == "en"
    assert "Accept-Language" not in refused.get("Vary", "")
    assert "dürfen Sie nicht" in text(client.get("/teams/new/"))


def test_what_is_written_down_is_english(as_person, alice):
    alice.language = "de"
    alice.save()
    as_person(alice).get("/teams/new/")
    facts = AuditEvent.objects.get(action="access.refused").facts
    assert facts["right"] == "manage_platform"


def test_numbers_that_machines_read_stay_as_they_are(as_person, alice, make_key):
    make_key(max_budget=Decimal("12.50"))
    page = as_person(alice).get("/", **GERMAN).content.decode()
    drawn = re.findall(r'\s(?:x[12]?|width|value|min|max)="([^"]*\d[^"]*)"', page)
    assert drawn
    assert [value for value in drawn if "," in value] == []
    assert "12,50\xa0$" in page


def test_each_reads_a_letter_in_their_own_language(alice, bob):
    bob.language = "de"
    bob.save()
    mail.key_changed(
        ["alice@example.com", "Bob@example.com"], "one", alias="ranker", done="paused", actor="Ines", reason="a look",
        path="/keys/1/",
    )  # fmt: skip
    english, german = Letter.objects.order_by("key")
    assert (english.to, german.to) == (["alice@example.com"], ["Bob@example.com"])
    assert english.subject == "Keydesk: your key ranker was paused"
    assert german.subject == "Keydesk: Ihr Schlüssel ranker wurde pausiert"
    assert "Der angegebene Grund: „a look“" in german.text
    mail.send_due(timezone.now() + timedelta(minutes=1))
    sent = next(each for each in outbox.outbox if each.to == ["Bob@example.com"])
    assert "Welche E-Mails Sie bekommen, und wann:" in sent.body
    html = sent.alternatives[0][0]
    assert '<html lang="de">' in html
    assert ">Wie es jetzt steht</a>" in html


def test_a_letter_is_not_in_the_language_of_who_caused_it(alice, german):
    mail.password_changed("alice@example.com", "one")
    assert Letter.objects.get().subject == "Keydesk: your password was changed"


def test_german_has_its_own_figures(german):
    assert money(Decimal("1234.5")) == "1.234,50\xa0$"
    assert money(Decimal("0.00042")) == "0,00042\xa0$"
    assert about(Decimal(540)) == "540\xa0$"
    assert count(1, "live key") == "1 aktiver Schlüssel"
    assert count(1234, "live key") == "1.234 aktive Schlüssel"
    assert words(timedelta(days=30)) == "30 Tage"
    now = timezone.now()
    assert ago(now - timedelta(days=3)) == "vor 3 Tagen"
    assert left(now + timedelta(hours=19, minutes=1)) == "noch 19 Stunden"
    assert re.fullmatch(r"(Mo|Di|Mi|Do|Fr|Sa|So), \d+\. \w+\.?", day(now))
