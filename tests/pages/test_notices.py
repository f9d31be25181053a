"""The pages of letters and of webhooks, as people get them."""

from __future__ import annotations

import html
import re

import pytest
import responses
from django.contrib.sessions.models import Session
from django.core import serializers
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal import addresses, mail
from portal.models import AuditEvent, Letter
from teams.models import Delivery, Webhook
from teams.services import deliveries, webhooks
from tests.pages.conftest import form_of, text

LETTERS = "/accounts/notices/"
HOOK = "https://chat.example.com/hooks/8dh2"


@pytest.fixture(autouse=True)
def _nobody_asks_for_names(monkeypatch) -> None:
    monkeypatch.setattr(addresses, "resolved", lambda *_: {"192.0.2.7"})


@pytest.fixture
def hook(team, ines) -> Webhook:
    return webhooks.make(team, name="chat", url=HOOK, events=["key"], by=ines)[0]


def secret_in(response) -> str:
    return html.unescape(re.search(r'id="secret">\s*(whsec_\S+?)<', response.content.decode()).group(1))


# --- letters --------------------------------------------------------------------------------------


def test_people_choose_what_they_hear_of_and_when(as_person, alice):
    client = as_person(alice)
    page = client.get(LETTERS)
    sent = form_of(page)
    assert (sent["ends"], sent["news"]) == ("now", "daily")
    assert "alice@example.com" in text(page)
    assert "07:00 UTC" in text(page)
    done = client.post(LETTERS, sent | {"ends": "never", "news": "now"}, follow=True)
    assert "Saved." in text(done)
    assert (form_of(done)["ends"], form_of(done)["news"]) == ("never", "now")
    event = AuditEvent.objects.get(action="person.notices_chosen")
    assert (event.before, event.after) == ({"ends": "now", "news": "daily"}, {"ends": "never", "news": "now"})
    mail.post("one", ["Alice@example.com"], "It ends", "Soon.", kind="key.ends_soon")
    assert Letter.objects.get().to == []


def test_what_nobody_may_turn_off_is_not_offered_and_not_taken(as_person, alice):
    client = as_person(alice)
    sent = form_of(client.get(LETTERS))
    assert "Always at once" in text(client.get(LETTERS))
    assert client.post(LETTERS, sent | {"keys": "never"}).status_code == 422
    assert not AuditEvent.objects.filter(action="person.notices_chosen").exists()
    assert "/accounts/notices/" in client.get("/accounts/").content.decode()


# --- webhooks -------------------------------------------------------------------------------------


def test_a_team_admin_adds_a_webhook_and_sees_its_secret_once(as_person, ines):
    client = as_person(ines)
    where = "/teams/search/webhooks/new/"
    sent = form_of(client.get(where)) | {"name": "chat", "url": HOOK, "events": ["key", "budget"]}
    done = client.post(where, sent)
    secret = secret_in(done)
    assert done.status_code == 200
    assert "no-store" in done["Cache-Control"]
    hook = Webhook.objects.get()
    assert (hook.secret, hook.events, hook.team.slug) == (secret, ["budget", "key"], "search")
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM teams_webhook")
        assert cursor.fetchone()[0].startswith("gAAAA")
    rows = serializers.serialize("json", [*AuditEvent.objects.all(), *Session.objects.all()])
    assert secret not in rows
    assert "8dh2" not in rows, "the address may hold a secret of the other side"
    assert secret not in client.get(f"/webhooks/{hook.pk}/").content.decode()
    assert client.post(where, sent).status_code == 302
    assert Webhook.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "http://chat.example.com/"}, "begin with https://"),
        ({"url": "https://user:word@chat.example.com/"}, "without a password"),
        ({"url": "https://169.254.169.254/latest/"}, "Link-local"),
        ({"url": "nonsense"}, "A whole address"),
        ({"events": ["gateway"]}, "gateway is not one of"),
        ({"name": ""}, "required"),
    ],
)
def test_what_cannot_be_a_webhook_is_said_at_its_field(as_person, ines, changes, said):
    client = as_person(ines)
    where = "/teams/search/webhooks/new/"
    sent = form_of(client.get(where)) | {"name": "chat", "url": HOOK, "events": ["key"]}
    done = client.post(where, sent | changes)
    assert done.status_code == 422
    assert said in text(done)
    assert not Webhook.objects.exists()


def test_the_platforms_webhooks_are_for_platform_admins(as_person, ruth, ines):
    client = as_person(ruth)
    sent = form_of(client.get("/webhooks/new/")) | {"name": "siem", "url": HOOK, "events": ["gateway", "person"]}
    secret_in(client.post("/webhooks/new/", sent))
    assert "siem" in text(client.get("/webhooks/"))
    assert as_person(ines).get("/webhooks/").status_code == 403


def test_a_test_is_sent_and_the_log_shows_its_answer_and_sends_it_again(as_person, ines, hook):
    client, page = as_person(ines), f"/webhooks/{hook.pk}/"
    assert "A test is on its way" in text(client.post(f"{page}test/", follow=True))
    with responses.RequestsMock() as there:
        there.add("POST", HOOK, status=500, body="<b>broken</b>")
        deliveries.deliver_due()
    shown = client.get(page)
    assert "webhook.tested" in text(shown)
    assert "500 <b>broken</b>" in text(shown)
    assert "The next try is at" in text(shown)
    Delivery.objects.update(due_at=None)
    client.post(f"{page}deliveries/{Delivery.objects.get().pk}/")
    with responses.RequestsMock() as there:
        there.add("POST", HOOK)
        assert deliveries.deliver_due() == 1
    assert "Taken" in text(client.get(page))


def test_a_webhook_is_changed_turned_off_given_another_secret_and_removed(as_person, ines, hook):
    client, page, before = as_person(ines), f"/webhooks/{hook.pk}/", hook.secret
    form = form_of(client.get(f"{page}edit/"))
    assert form["url"] == HOOK
    client.post(f"{page}edit/", form | {"name": "tickets", "events": ["budget"]})
    assert secret_in(client.post(f"{page}secret/")) == Webhook.objects.get().secret != before
    assert "Nothing is sent to" in text(client.post(f"{page}turn/", {"on": "0"}, follow=True))
    assert client.post(f"{page}test/").status_code == 409
    client.post(f"{page}turn/", {"on": "1"})
    hook.refresh_from_db()
    assert (hook.name, hook.events, hook.is_on) == ("tickets", ["budget"], True)
    assert "Remove tickets" in text(client.get(f"{page}remove/"))
    client.post(f"{page}remove/")
    assert client.get(page).status_code == 404
    done = AuditEvent.objects.filter(action__startswith="webhook.").order_by("pk").values_list("action", flat=True)
    assert [*done] == ["webhook.made", "webhook.changed", "webhook.secret_changed", "webhook.turned_off",
                       "webhook.turned_on", "webhook.removed"]  # fmt: skip


def test_one_team_never_sees_another_ones_webhooks(as_person, mallory, alice, hook):
    for person in (mallory, alice):
        assert as_person(person).get(f"/webhooks/{hook.pk}/").status_code == 404


def test_the_log_takes_as_many_queries_with_many_rows(as_person, ines, hook):
    client, page = as_person(ines), f"/webhooks/{hook.pk}/"

    def queries() -> int:
        client.get(page)
        with CaptureQueriesContext(connection) as seen:
            assert client.get(page).status_code == 200
        return len(seen)

    Delivery.objects.create(webhook=hook, event_id=1, event="key.issued")
    few = queries()
    Delivery.objects.bulk_create(Delivery(webhook=hook, event_id=n, event="key.issued") for n in range(2, 150))
    assert queries() == few
    assert "Next" in text(client.get(page))
