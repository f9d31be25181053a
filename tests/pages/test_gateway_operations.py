"""One gateway: compared, its list of keys to end, held and released, measured."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from keys.models import Finding, Gateway, KeyVersion, Lease, State
from keys.services import reconcile
from portal.litellm.faults import refused
from tests.pages import conftest
from tests.pages.conftest import HTMX

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listed(sandbox, make_key, later):
    """Eleven keys that ended here and are still there: one more than a reconcile ends by itself."""
    secrets = [make_key().secret for _ in range(11)]
    now = timezone.now()
    Lease.objects.update(state=State.REVOKED, ended_at=now)
    KeyVersion.objects.update(ended_at=now)
    later()
    reconcile.run_due()
    return secrets


@pytest.fixture
def held(sandbox, make_key, later):
    """As after a restore: a key that nobody knows, a lease whose time is up, one that ends later there."""
    unknown, over, longer, other = (make_key(name=name) for name in ("unknown", "over", "longer", "other"))
    now = timezone.now()
    unknown.lease.versions.all().delete()
    unknown.lease.delete()
    Lease.objects.filter(pk=over.lease.pk).update(expires_at=now)
    Lease.objects.filter(pk=longer.lease.pk).update(expires_at=now + timedelta(days=2))
    KeyVersion.objects.filter(lease=longer.lease).update(dies_at=now + timedelta(days=2))
    sandbox.client.keys.delete(other.secret)
    Gateway.objects.update(held_since=now, held_reason="One key is not known here.")
    later()
    return unknown


def text(response):
    """What the page says, as a person would type it."""
    return re.sub(r" ([,;.])", r"\1", conftest.text(response))


def url(sandbox, name="gateway"):
    return reverse(f"keys:{name}", args=[sandbox.gateway.pk])


def test_the_page_says_when_it_was_compared_and_that_both_sides_agree(sandbox, make_key, audra, as_person):
    make_key()
    client = as_person(audra)
    assert "Not yet. The next sweep does it." in text(client.get(url(sandbox)))
    reconcile.run_due()
    page = text(client.get(url(sandbox)))
    assert "Both sides agree." in page
    assert "Compare now" not in page  # an auditor looks on
    assert "nobody makes keys past Keydesk" in page


def test_comparing_now_is_asked_for_and_done_by_the_sweep(sandbox, make_key, ruth, as_person):
    make_key()
    reconcile.run_due()
    client = as_person(ruth)
    asked = client.post(url(sandbox, "gateway_compare"), follow=True)
    assert "Asked for 0 s ago by ruth@example.com. It runs within 20 s" in text(asked)
    assert "Compare now" not in text(asked)
    part = client.get(url(sandbox), headers=HTMX).content.decode()
    assert "<html" not in part
    assert 'hx-trigger="click, every 5s"' in part
    assert reconcile.run_due()["gateways"] == 1
    done = client.get(url(sandbox), headers=HTMX)
    assert "Both sides agree." in text(done)
    assert "every 5s" not in done.content.decode()


def test_asking_again_is_possible_after_a_run_that_broke(sandbox, ruth, as_person, monkeypatch):
    cache.add(f"reconcile:{sandbox.gateway.pk}", True, 600)
    assert reconcile.run_due()["gateways"] == 0
    as_person(ruth).post(url(sandbox, "gateway_compare"))
    assert reconcile.run_due()["gateways"] == 1


def test_what_was_found_leads_to_its_lists(sandbox, listed, ruth, as_person):
    response = as_person(ruth).get(url(sandbox))
    assert "11 keys, more than Keydesk ends by itself." in text(response)
    assert url(sandbox, "gateway_end") in response.content.decode()
    assert "11 keys should end on sandbox." in text(as_person(ruth).get("/operations/"))
    findings = text(as_person(ruth).get("/operations/findings/"))
    assert "11 keys should end on sandbox." in findings
    assert "Likely cause" not in findings  # they are answered together
    assert "11 findings." in text(as_person(ruth).get("/operations/findings/", {"kind": "orphan"}))


def test_the_listed_keys_end_once_somebody_has_seen_them(sandbox, listed, ruth, as_person):
    client = as_person(ruth)
    page = text(client.get(url(sandbox, "gateway_end")))
    assert "End these 11 keys" in page
    assert page.count("ended here, still there") == 11
    assert sandbox.status_of(listed[0]) == 200
    done = text(client.post(url(sandbox, "gateway_end"), follow=True))
    assert "11 keys ended." in done
    assert {sandbox.status_of(secret) for secret in listed} == {401}
    assert "None waits to be seen." in text(client.get(url(sandbox, "gateway_end")))


def test_an_auditor_sees_the_list_and_no_button(sandbox, listed, audra, as_person):
    page = text(as_person(audra).get(url(sandbox, "gateway_end")))
    assert "11 keys are on one side only." in page
    assert "End these" not in page


def test_nothing_is_ended_while_the_gateway_is_held(sandbox, listed, ruth, as_person):
    Gateway.objects.update(held_since=timezone.now(), held_reason="An old database.")
    client = as_person(ruth)
    page = text(client.get(url(sandbox, "gateway_end")))
    assert "sandbox is held, so nothing ends there now." in page
    assert "End these" not in page
    refusal = client.post(url(sandbox, "gateway_end"))
    assert refusal.status_code == 409
    assert "sandbox is held" in text(refusal)
    assert sandbox.status_of(listed[0]) == 200


def test_a_second_walk_of_the_same_gateway_is_put_off(sandbox, listed, ruth, as_person):
    cache.add(f"operations:walk:{sandbox.gateway.pk}", True, 60)
    refusal = as_person(ruth).post(url(sandbox, "gateway_end"))
    assert refusal.status_code == 503
    assert "sandbox is being read at this moment" in text(refusal)
    assert sandbox.status_of(listed[0]) == 200


def test_a_hold_shows_what_a_release_would_do(sandbox, held, audra, ruth, as_person):
    assert "Held since" in text(as_person(ruth).get(url(sandbox)))
    page = text(as_person(ruth).get(url(sandbox, "gateway_hold")))
    assert "sandbox is held Since" in page
    assert "ends one key at once, by its time" in page
    assert "lets one key end earlier than sandbox has it" in page
    assert "revoke no keys there and close one lease here" in page
    assert "leaves one key of ours that this database does not know" in page
    assert "Release sandbox" in page
    assert Gateway.objects.get().held_since
    assert Lease.objects.filter(state=State.ACTIVE).count() == 3
    seen = as_person(audra).get(url(sandbox, "gateway_hold"))
    assert "lets one key end earlier" in text(seen)
    assert "<form" not in seen.content.decode().split("<main")[1]


def test_a_release_ends_the_hold(sandbox, held, ruth, as_person):
    page = text(as_person(ruth).post(url(sandbox, "gateway_hold"), {"act": "release"}, follow=True))
    assert "sandbox is released. The sweeps act there again." in page
    assert Gateway.objects.get().held_since is None
    assert "sandbox is not held" in text(as_person(ruth).get(url(sandbox, "gateway_hold")))


def test_unknown_keys_are_revoked_when_ticked(sandbox, held, ruth, as_person):
    client = as_person(ruth)
    keys = ticked(client.get(url(sandbox, "gateway_hold")))
    assert "No key was ticked." in text(client.post(url(sandbox, "gateway_hold"), {"act": "revoke"}, follow=True))
    page = text(client.post(url(sandbox, "gateway_hold"), {"act": "revoke", "key": keys}, follow=True))
    assert "One key is gone from sandbox." in page
    assert "leaves no key that we do not know" in page
    assert sandbox.status_of(held.secret) == 401


def ticked(page):
    """The hashes of the unknown keys whose boxes are ticked."""
    box = r'name="key"\s+form="unknown-keys"\s+value="([0-9a-f]{64})"\s+checked'
    return re.findall(box, page.content.decode())


def test_without_a_look_there_is_no_release(sandbox, held, ruth, as_person):
    sandbox.faults.fail_next("*", refused(), times=20)
    page = as_person(ruth).get(url(sandbox, "gateway_hold"))
    assert page.status_code == 503
    assert "What a release would do cannot be seen now." in text(page)
    assert "Release sandbox" not in text(page)


def test_measuring_shows_the_figure(sandbox, ruth, as_person):
    client = as_person(ruth)
    assert "Not measured" in text(client.get(url(sandbox)))
    page = text(client.post(url(sandbox, "gateway_measure"), follow=True))
    assert "An ending on sandbox works within" in page
    assert "An ending works within 1 s" in page
    assert Gateway.objects.get().effective_within is not None


def test_one_measurement_at_a_time_and_a_trouble_is_said(sandbox, ruth, as_person):
    cache.add(f"operations:measure:{sandbox.gateway.pk}", True, 60)
    client = as_person(ruth)
    assert "is being measured at this moment" in text(client.post(url(sandbox, "gateway_measure"), follow=True))
    cache.clear()
    sandbox.faults.fail_next("*", refused(), times=20)
    assert "does not answer" in text(client.post(url(sandbox, "gateway_measure"), follow=True))


def test_the_proxys_own_figures_have_their_time(sandbox, ruth, as_person):
    page = text(as_person(ruth).get(url(sandbox)))
    assert "Spend, last 30 days Not read" in page
    figures = {"spend": Decimal("9214.07"), "max_budget": Decimal(20000), "foreign_keys": 1312}
    Gateway.objects.update(spend_synced_at=timezone.now(), **figures)
    page = text(as_person(ruth).get(url(sandbox)))
    assert "$9,214.07 as of" in page
    assert "$20,000.00 for all its keys, ours or not" in page
    assert "1,312 see them; never touched" in page


def test_acts_that_are_unknown_are_refused(sandbox, ruth, as_person):
    client = as_person(ruth)
    for name in ("gateway_hold",):
        assert client.post(url(sandbox, name), {"act": "explode"}).status_code == 422
    assert client.post(reverse("keys:departures"), {"act": "explode"}).status_code == 422
    assert not Finding.objects.exists()
