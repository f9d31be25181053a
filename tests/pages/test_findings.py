"""Findings and keys that are not ours: seen, told with both sides, and answered by platform admins."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from keys.models import Finding, Lease, UnmanagedKey
from keys.services import findings, reconcile
from keys.services.minting import new_secret
from portal.litellm import hash_key
from teams.access import SYSTEM
from tests.pages.conftest import HTMX, form_of, text

pytestmark = pytest.mark.django_db(transaction=True)
LIST, NOT_OURS = "/operations/findings/", "/operations/unmanaged/"
Kind = Finding.Kind


@pytest.fixture
def drift(sandbox, make_key, later):
    """A key whose budget somebody raised on the gateway itself, found by a reconcile."""
    issued = make_key(name="churn-batch")
    sandbox.client.keys.update(issued.secret, max_budget=Decimal(500), rpm_limit=1200)
    later()
    reconcile.run(sandbox.gateway, by=SYSTEM)
    return Finding.objects.get()


@pytest.fixture
def foreign(sandbox, later):
    """A key that somebody made on the gateway itself; answers its secret."""
    secret = new_secret()
    sandbox.client.keys.generate(key=secret, alias="ci-runner", user_id="tomas", max_budget=Decimal(10))
    later()
    reconcile.run(sandbox.gateway, by=SYSTEM)
    return secret


def page_of(finding):
    return reverse("keys:finding", args=[finding.pk])


def import_page():
    return reverse("keys:unmanaged_import", args=[UnmanagedKey.objects.get().pk])


def test_a_finding_shows_both_sides_field_by_field_and_the_lease(drift, ruth, as_person):
    response = as_person(ruth).get(LIST)
    page = text(response)
    assert "Limits changed on the gateway" in page
    assert "In our books On sandbox" in page
    assert "Budget $50.00 $500.00" in page
    assert "Requests a minute no limit 1,200" in page
    assert "churn-batch" in page
    assert reverse("keys:lease", args=[Lease.objects.get().pk]) in response.content.decode()


def test_restoring_makes_the_gateway_follow_and_closes_the_finding(sandbox, drift, ruth, as_person):
    client = as_person(ruth)
    page = text(client.post(page_of(drift), {"act": "restore"}, follow=True))
    assert "Restored: on sandbox it is as it is here." in page
    assert "Nothing is open" in page
    assert sandbox.client.keys.info(drift.subject).max_budget == Decimal(50)
    assert "by ruth@example.com: restored" in text(client.get(LIST, {"state": "closed"}))


def test_adopting_takes_over_what_is_there(drift, ruth, as_person):
    page = text(as_person(ruth).post(page_of(drift), {"act": "adopt"}, follow=True))
    assert "Adopted: here it is as it is on sandbox now." in page
    assert Lease.objects.get().max_budget == Decimal(500)


def test_what_changed_since_is_not_adopted_and_that_is_said(sandbox, drift, ruth, as_person):
    sandbox.client.keys.update(drift.subject, max_budget=Decimal(900))
    page = text(as_person(ruth).post(page_of(drift), {"act": "adopt"}, follow=True))
    assert "It has changed on the gateway since this was found." in page
    assert "What was found" in page
    assert Lease.objects.get().max_budget == Decimal(50)


def test_ignoring_takes_a_reason_and_moves_it_to_its_own_tab(drift, ruth, as_person):
    client = as_person(ruth)
    refusal = client.post(page_of(drift), {"act": "ignore", "reason": ""})
    assert refusal.status_code == 422
    assert "Nothing was changed." in text(refusal)
    done = text(client.post(page_of(drift), {"act": "ignore", "reason": "agreed with Bob"}, follow=True))
    assert "Left as it is." in done
    assert "churn-batch" not in done
    ignored = client.get(LIST, {"state": "ignored"})
    assert "“agreed with Bob”" in text(ignored)
    assert 'value="restore"' in ignored.content.decode()  # one may think better of it
    assert 'value="ignore"' not in client.get(page_of(drift)).content.decode()


def test_a_closed_finding_offers_nothing_and_answers_that_it_is_closed(drift, ruth, as_person):
    Finding.objects.update(state="closed", closed_at=timezone.now(), reason="gone by itself")
    client = as_person(ruth)
    assert "What to do about it" not in text(client.get(page_of(drift)))
    answer = client.post(page_of(drift), {"act": "restore"}, follow=True)
    assert "not open any more" in text(answer)


def test_the_list_is_filtered_by_kind_and_gateway_in_its_address(sandbox, drift, ruth, as_person):
    findings.note(
        sandbox.gateway, Kind.PRICE, "m-1", message="m-1 is used and costs nothing.", now=timezone.now()
    )  # fmt: skip
    client = as_person(ruth)
    both = text(client.get(LIST))
    assert "Two findings." in both
    part = client.get(LIST, {"kind": "price", "gateway": "sandbox"}, headers=HTMX)
    assert "<html" not in part.content.decode()
    assert "m-1 is used and costs nothing" in text(part)
    assert "churn-batch" not in text(part)
    assert "kind=price" in part.content.decode()  # the tabs keep it
    assert "None of this kind" in text(client.get(LIST, {"kind": "expiry"}))
    assert "Two findings." in text(client.get(LIST, {"kind": "nonsense", "gateway": "nowhere"}))


def test_an_auditor_sees_both_sides_and_no_act(drift, foreign, audra, as_person):
    client = as_person(audra)
    for url in (LIST, page_of(drift), NOT_OURS):
        main = client.get(url).content.decode().split("<main")[1]
        assert "Restore" not in main
        assert "Import" not in main
        assert 'method="post"' not in main


@pytest.mark.parametrize(
    ("kind", "facts", "words"),
    [
        (Kind.EXPIRY, {"expires": ["2020-01-02T03:04:00+00:00", None]}, "Ends Thu 2 Jan 2020, 03:04 UTC never"),
        (Kind.BLOCK, {"blocked": [False, True]}, "Answers yes no, it is blocked"),
        (Kind.METADATA, {"metadata": [{"lease": "12345678-9", "version": 2}, {}]}, "lease 12345678, version 2 nothing"),
        (Kind.METADATA, {"user_id": ["kd-00000000-0000-4000-8000-000000000000", "tomas"]}, "tomas"),
        (Kind.TEAM, {"team": ["Search", None]}, "Team Search nothing"),
        (Kind.LIMITS, {"models": [["a", "b"], []]}, "Models a, b every model"),
        (Kind.LIMITS, {"budget_duration": ["1mo", "45d"]}, "The budget is for a month 45d"),
        (Kind.SPEND, {"difference": "0.5"}, "Difference $0.50"),
        (Kind.PRICE, {"price": "none"}, "Price none"),
    ],
)
def test_facts_are_words(sandbox, ruth, as_person, kind, facts, words):
    found = findings.note(sandbox.gateway, kind, "x", message="Something.", facts=facts, now=timezone.now())
    assert words in text(as_person(ruth).get(page_of(found)))


def test_a_key_of_ours_that_nobody_knows_can_be_revoked(sandbox, make_key, ruth, as_person, later):
    issued = make_key()
    Lease.objects.get().versions.all().delete()
    Lease.objects.all().delete()
    later()
    reconcile.run(sandbox.gateway, by=SYSTEM)
    found = Finding.objects.get()
    client = as_person(ruth)
    assert "is of this installation, and not in its database" in text(client.get(LIST))
    assert "Alice" in text(client.get(page_of(found)))
    done = text(client.post(page_of(found), {"act": "revoke"}, follow=True))
    assert "Revoked; it is gone from sandbox." in done
    assert sandbox.status_of(issued.secret) == 401


def test_keys_not_ours_are_listed_counted_and_never_touched(sandbox, foreign, ruth, as_person):
    sandbox.gateway.refresh_from_db()
    type(sandbox.gateway).objects.update(foreign_keys=313)
    client = as_person(ruth)
    page = text(client.get(NOT_OURS))
    assert "ci-runner" in page
    assert "tomas" in page
    assert "of $10.00" in page
    assert "never" in page
    assert "One key; 312 more are not listed." in page
    assert "No key like “zebra”" in text(client.get(NOT_OURS, {"q": "zebra"}, headers=HTMX))
    assert sandbox.status_of(foreign) == 200


def test_a_gateway_without_others_keys_says_so(sandbox, ruth, as_person):
    assert "Not counted yet" in text(as_person(ruth).get(NOT_OURS))
    reconcile.run(sandbox.gateway, by=SYSTEM)
    assert "Every key there is ours" in text(as_person(ruth).get(NOT_OURS))


def test_an_imported_key_is_a_lease_and_its_secret_goes_on_working(
    sandbox, foreign, make_role, team, alice, ruth, as_person
):
    role = make_role()
    client = as_person(ruth)
    asked = client.get(import_page())
    assert "Keydesk does not know it" in text(asked)
    assert "never it gets an end now" in text(asked)
    sent = form_of(asked) | {"team": team.pk, "holder": "ALICE@example.com", "role": role.pk, "ttl": "7d"}
    done = client.post(import_page(), sent, follow=True)
    lease = Lease.objects.get()
    assert done.redirect_chain == [(reverse("keys:lease", args=[lease.pk]), 302)]
    assert "ci-runner is a lease now." in text(done)
    assert (lease.holder, lease.team, lease.current.token_hash) == (alice, team, hash_key(foreign))
    assert lease.expires_at - lease.issued_at == timedelta(days=7)
    assert sandbox.status_of(foreign) == 200
    assert not UnmanagedKey.objects.exists()


def test_a_service_account_may_hold_an_imported_key(sandbox, foreign, make_role, team, robot, ruth, as_person):
    sent = {"team": team.pk, "holder": "Nightly", "role": make_role().pk}
    as_person(ruth).post(import_page(), sent)
    assert Lease.objects.get().holder == robot


@pytest.mark.parametrize(
    ("holder", "words"),
    [("nobody@example.com", "Nobody here has this address"), ("mallory@example.com", "may not hold keys of")],
)
def test_who_cannot_hold_it_is_said_at_the_field(
    sandbox, foreign, make_role, team, mallory, ruth, as_person, holder, words
):
    sent = {"team": team.pk, "holder": holder, "role": make_role().pk, "name": "kept"}
    refusal = as_person(ruth).post(import_page(), sent)
    assert refusal.status_code in {409, 422}
    assert words in text(refusal)
    assert "Nothing was imported." in text(refusal)
    assert 'value="kept"' in refusal.content.decode()
    assert 'id="id_holder_error"' in refusal.content.decode()


def test_a_key_role_that_is_not_open_to_the_team_is_said_at_the_field(
    sandbox, foreign, make_role, team, other_team, alice, ruth, as_person
):
    role = make_role(all_teams=False, teams=[other_team])
    client = as_person(ruth)
    assert "coding (open to Mobile Assist)" in text(client.get(import_page()))
    refusal = client.post(import_page(), {"team": team.pk, "holder": "alice@example.com", "role": role.pk})
    assert 'id="id_role_error"' in refusal.content.decode()


def test_a_key_of_another_keydesk_has_to_be_taken_over_knowingly(
    sandbox, make_role, team, alice, ruth, as_person, later
):
    mark = {"keydesk": {"instance": "b7e0f2aa-1111-4222-8333-944455556666"}}
    sandbox.client.keys.generate(key=new_secret(), alias="theirs", metadata=mark)
    later()
    reconcile.run(sandbox.gateway, by=SYSTEM)
    client, role = as_person(ruth), make_role()
    assert "of another Keydesk" in text(client.get(NOT_OURS))
    sent = {"team": team.pk, "holder": "alice@example.com", "role": role.pk}
    refusal = client.post(import_page(), sent)
    assert refusal.status_code == 409
    assert "Another Keydesk has this key on its books" in text(refusal)
    assert client.post(import_page(), sent | {"take_over": "on"}).status_code == 302
    assert Lease.objects.get().name == "theirs"


def test_the_admin_shows_what_was_seen_and_no_hash(sandbox, drift, foreign, ruth, as_person):
    client, key = as_person(ruth), UnmanagedKey.objects.get()
    urls = [f"/admin/keys/{name}/" for name in ("finding", "unmanagedkey", "spendday", "counter")]
    urls += [f"/admin/keys/finding/{drift.pk}/change/", f"/admin/keys/unmanagedkey/{key.pk}/change/"]
    for url in urls:
        page = client.get(url)
        assert page.status_code == 200, url
        assert drift.subject not in page.content.decode(), url
        assert key.token_hash not in page.content.decode(), url
        assert 'name="_save"' not in page.content.decode(), url
