"""What every page shares: the policy, the look's files, troubles, the way in, and where acts come from."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from uuid import UUID

import pytest
from django.conf import settings as conf
from django.contrib.staticfiles import finders
from django.core import mail
from django.test import Client
from django.urls import reverse

from keys.services.errors import NotConfigured
from portal.middleware import client_ip
from portal.models import AuditEvent
from teams.access import SYSTEM
from teams.services.people import make_person
from tests.conftest import PASSWORD
from tests.pages.conftest import HTMX, text

pytestmark = pytest.mark.django_db(transaction=True)
FONTS = [f"inter/Inter-{weight}.woff2" for weight in ("Regular", "Medium", "SemiBold", "Bold")]


class Inline(HTMLParser):
    """Collects what the content security policy would stop."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        names = {name for name, _ in attrs}
        self.found += [f"{tag} {name}" for name in names if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)


def every_page(lease, role, gateway):
    lists = "home issue roles role_new gateways gateway_new"
    yield from (reverse(f"keys:{name}") for name in lists.split())
    yield from (reverse(name) for name in ("teams:list", "teams:new", "account_logout", "account_reset_password"))
    yield from (reverse(f"account{page}") for page in ("", "_change_password", "_reauthenticate"))
    yield from (reverse(f"mfa_{page}") for page in ("add_webauthn", "activate_totp", "generate_recovery_codes"))
    rows = {"lease": lease, "revoke": lease, "role": role, "role_edit": role}
    rows |= {"gateway": gateway, "gateway_edit": gateway}
    yield from (reverse(f"keys:{name}", args=[row.pk]) for name, row in rows.items())
    yield from (reverse(f"teams:{name}", args=["search"]) for name in ("team", "edit"))


def test_no_page_needs_anything_that_the_policy_forbids(make_key, ruth, as_person):
    lease = make_key().lease
    client = as_person(ruth)
    for url in every_page(lease, lease.role, lease.gateway):
        page = client.get(url)
        assert page.status_code == 200, url
        policy = page["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        reader = Inline()
        reader.feed(page.content.decode())
        assert reader.found == [], url


def test_every_page_has_one_heading_a_title_and_unique_ids(make_key, ruth, as_person):
    lease = make_key().lease
    client = as_person(ruth)
    for url in every_page(lease, lease.role, lease.gateway):
        page = client.get(url).content.decode()
        assert page.count("<h1") == 1, url
        assert re.search(r"<title>\s*\S", page), url
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert sorted(ids) == sorted(set(ids)), url


@pytest.mark.parametrize("path", [*FONTS, "django_htmx/htmx-2.min.js", "portal/js/desk.js", "portal/js/theme.js"])
def test_files_that_come_with_other_wheels_are_there(path):
    assert finders.find(path), path


def test_every_file_that_a_page_asks_for_is_there(client):
    page = client.get(reverse("account_login")).content.decode()
    asked = re.findall(r'(?:href|src)="/static/([^"]+)"', page)
    assert len(asked) > 20
    assert [path for path in asked if not finders.find(path)] == []


@pytest.mark.parametrize("name", ["keys:home", "keys:issue", "keys:roles", "keys:gateways", "teams:list"])
def test_who_is_not_signed_in_is_sent_to_the_door_and_back(client, name):
    answer = client.get(reverse(name))
    assert answer.status_code == 302
    assert answer["Location"] == f"{reverse('account_login')}?next={reverse(name)}"


def test_signing_in_leads_to_where_one_wanted_to_go(client, alice):
    url = f"{reverse('account_login')}?next=/teams/"
    page = client.get(url)
    assert 'name="next" value="/teams/"' in page.content.decode()
    done = client.post(url, {"login": "alice@example.com", "password": PASSWORD, "next": "/teams/"})
    assert done["Location"] == "/teams/"


def test_a_wrong_password_says_so_and_keeps_the_address(client, alice):
    page = client.post(reverse("account_login"), {"login": "alice@example.com", "password": "wrong"})
    assert "You are not signed in." in text(page)
    assert 'value="alice@example.com"' in page.content.decode()


def test_nobody_makes_an_account_by_themselves(client):
    assert "Accounts are made for you" in text(client.get("/accounts/signup/"))


def test_who_has_no_password_sets_one_by_the_link_in_the_letter(client):
    make_person("zoe@example.com", by=SYSTEM)
    client.post(reverse("account_reset_password"), {"email": "zoe@example.com"})
    link = re.search(r"http://[^\s]+(/accounts/password/reset/key/\S+)", str(mail.outbox[-1].body))
    assert link
    page = client.get(link.group(1), follow=True)
    assert "Choose a password" in text(page)
    where = page.redirect_chain[-1][0]
    sent = {"password1": "many unrelated words", "password2": "many unrelated words"}
    assert "Your password is set" in text(client.post(where, sent, follow=True))
    assert client.login(email="zoe@example.com", password="many unrelated words")


def test_pages_of_accounts_that_are_not_ours_are_not_there(client, alice):
    client.force_login(alice)
    assert client.get("/accounts/email/").status_code == 404


def test_the_admin_has_no_door_of_its_own(client, ruth, alice):
    assert client.get("/admin/login/?next=/admin/")["Location"] == "/accounts/login/?next=/admin/"
    client.force_login(ruth)
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/account/emailaddress/").status_code == 404
    assert client.get("/admin/auth/group/").status_code == 404
    client.force_login(alice)
    assert client.get("/admin/").status_code == 403


def test_making_somebody_inactive_in_the_admin_ends_their_keys_and_is_written_down(client, ruth, make_key, alice):
    lease = make_key().lease
    client.force_login(ruth)
    empty = {"memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0"}
    done = client.post(f"/admin/teams/user/{alice.pk}/change/", {"name": "Alice", "platform_role": "", **empty})
    assert done.status_code == 302
    lease.refresh_from_db()
    assert lease.state == "revoked"
    assert AuditEvent.objects.filter(action="person.changed", target_id=str(alice.pk)).exists()


def test_an_address_that_is_not_there_is_answered_in_words(client, alice):
    client.force_login(alice)
    page = client.get("/nothing/here/")
    assert page.status_code == 404
    assert "There is no such page" in text(page)
    assert "not_found" in text(page)


def test_an_unknown_address_of_the_api_is_answered_in_json(client):
    answer = client.get("/api/v1/nothing/")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_a_form_without_its_token_is_refused_in_words(alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    page = client.post(reverse("keys:issue"), {})
    assert page.status_code == 403
    assert "This form is too old to be sent" in text(page)


@pytest.fixture
def broken_home(monkeypatch):
    def breaks_with(error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr("keys.views.home.stretch_of", fail)

    return breaks_with


def test_a_trouble_is_a_page_with_its_status_and_a_way_on(client, alice, broken_home):
    broken_home(NotConfigured())
    client.force_login(alice)
    page = client.get("/")
    assert page.status_code == 503
    assert "No gateway is configured yet" in text(page)
    assert "not_configured" in text(page)


def test_for_htmx_a_trouble_is_a_notice_at_the_head_of_the_open_page(client, alice, broken_home):
    broken_home(NotConfigured())
    client.force_login(alice)
    part = client.get("/", headers=HTMX)
    assert (part.status_code, part["HX-Retarget"]) == (503, "#problems")
    assert "<html" not in part.content.decode()


def test_a_mistake_of_ours_is_answered_in_words_and_says_nothing_of_the_inside(alice, broken_home):
    broken_home(RuntimeError("inside"))
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    page = client.get("/")
    assert page.status_code == 500
    assert "Keydesk made a mistake here" in text(page)
    assert "inside" not in page.content.decode()


def test_when_the_session_is_over_htmx_opens_the_door_instead_of_drawing_it_into_the_page(client):
    headers = HTMX | {"HX-Current-URL": "http://testserver/keys/new/"}
    answer = client.get(reverse("keys:issue"), headers=headers)
    assert answer["HX-Redirect"] == "/keys/new/"
    assert answer.content == b""


@pytest.mark.parametrize(
    ("trusted", "remote", "forwarded", "found"),
    [
        ([], "10.0.0.9", "1.2.3.4", "10.0.0.9"),
        (["10.0.0.0/8"], "10.0.0.9", "1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/8"], "10.0.0.9", "6.6.6.6, 1.2.3.4, 10.0.0.7", "1.2.3.4"),
        (["10.0.0.0/8"], "8.8.8.8", "1.2.3.4", "8.8.8.8"),
        (["10.0.0.0/8"], "10.0.0.9", "", "10.0.0.9"),
        (["10.0.0.0/8"], "10.0.0.9", "203.0.113.5:4711", "203.0.113.5"),
        (["10.0.0.0/8"], "10.0.0.9", "[2001:db8::1]:55", "2001:db8::1"),
        (["10.0.0.0/8"], "10.0.0.9", "[2001:db8::1]", "2001:db8::1"),
        (["10.0.0.0/8"], "10.0.0.9", "2001:db8::1", "2001:db8::1"),
        (["10.0.0.0/8"], "10.0.0.9", "6.6.6.6, 203.0.113.5:4711, 10.0.0.7:80", "203.0.113.5"),
        (["10.0.0.0/8"], "10.0.0.9", "nonsense", None),
        (["10.0.0.0/8"], "10.0.0.9", "203.0.113.5, nonsense", None),
        (["10.0.0.0/8"], "10.0.0.9", "10.0.0.3, 10.0.0.7", "10.0.0.3"),
        ([], "", "1.2.3.4", None),
    ],
)
def test_only_our_own_proxies_are_believed_about_who_asks(settings, trusted, remote, forwarded, found):
    settings.TRUSTED_PROXIES = trusted
    assert client_ip(remote, forwarded) == found


def test_acts_are_written_down_with_where_they_came_from(client, make_key, alice):
    lease = make_key().lease
    client.force_login(alice)
    client.post(reverse("keys:revoke", args=[lease.pk]), REMOTE_ADDR="192.0.2.7")
    event = AuditEvent.objects.get(action="key.revocation_asked")
    assert event.ip == "192.0.2.7"
    assert event.request_id == str(UUID(event.request_id))


def test_the_rail_costs_one_query(client, alice, django_assert_max_num_queries, team):
    client.force_login(alice)
    with django_assert_max_num_queries(4):  # session, person, the rail's teams, and one for the door of the page
        client.get(reverse("account_logout"))


def test_the_simulated_proxy_answers_holders_of_keys(client, make_key, sandbox):
    issued = make_key(models=("gpt-4o-mini",))
    headers = {"Authorization": f"Bearer {issued.secret}"}
    assert client.get("/sandbox/v1/models", headers=headers).json()["data"][0]["id"] == "gpt-4o-mini"
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    stream = client.post("/sandbox/v1/chat/completions", body, content_type="application/json", headers=headers)
    assert stream.streaming
    assert b"".join(stream.streaming_content).rstrip().endswith(b"[DONE]")
    assert client.get("/sandbox/v1/models").status_code == 401


def test_without_a_sandbox_gateway_there_is_no_simulated_proxy(client):
    assert client.get("/sandbox/v1/models").status_code == 404


def test_the_policy_in_settings_has_no_exception():
    assert "unsafe" not in str(conf.CONTENT_SECURITY_POLICY)
