"""My keys, one lease, and its end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from keys.models import Lease, State
from portal.litellm.faults import refused
from tests.pages.conftest import HTMX, text

pytestmark = pytest.mark.django_db(transaction=True)


def lease_url(lease, name="lease"):
    return reverse(f"keys:{name}", args=[lease.pk])


def test_the_first_sentence_says_how_things_stand(make_key, alice, as_person):
    one = make_key(name="nightly").lease
    make_key(name="laptop")
    begun = timezone.now() - timedelta(days=29)
    Lease.objects.filter(pk=one.pk).update(issued_at=begun, expires_at=timezone.now() + timedelta(hours=10))
    page = text(as_person(alice).get("/"))
    assert "Two live keys. nightly ends" in page
    assert "10 hours left" in page
    assert "It can be renewed until" in page
    assert "Renew 30 days" in page


def test_nothing_waits_when_nothing_ends_soon(make_key, alice, as_person):
    make_key(ttl=timedelta(hours=8))
    assert "Waits for you" not in text(as_person(alice).get("/"))


def test_ended_keys_have_a_list_of_their_own(make_key, alice, as_person):
    lease = make_key(name="old-one").lease
    client = as_person(alice)
    client.post(lease_url(lease, "revoke"))
    assert "old-one" not in text(client.get("/"))
    assert "old-one" in text(client.get("/", {"state": "ended"}))


def test_the_list_is_filtered_by_name_and_by_role(make_key, alice, as_person):
    make_key(name="nightly-eval")
    make_key(name="laptop")
    client = as_person(alice)
    found = text(client.get("/", {"q": "NIGHT"}, headers=HTMX))
    assert "nightly-eval" in found
    assert "laptop" not in found
    assert "laptop" in text(client.get("/", {"q": "coding"}))
    assert "No key like “zebra”" in text(client.get("/", {"q": "zebra"}))


def test_somebody_without_a_key_is_offered_one(sandbox, alice, as_person):
    assert "No key yet" in text(as_person(alice).get("/"))


def test_a_viewer_reads_that_a_team_admin_can_make_them_a_member(sandbox, vic, as_person):
    page = text(as_person(vic).get("/"))
    assert "A team admin can make you a member of Search Platform" in page


def test_a_platform_admin_sees_the_first_things_until_they_are_done(db, ruth, as_person):
    page = text(as_person(ruth).get("/"))
    assert "Connect a gateway" in page
    assert "after the gateway" in page


def test_the_first_things_are_gone_when_all_are_done(sandbox, make_role, alice, ruth, as_person):
    make_role()
    assert "First things" not in text(as_person(ruth).get("/"))


def test_a_lease_shows_its_limits_its_most_and_its_history(make_key, alice, as_person):
    lease = make_key(name="laptop", purpose="A talk in Lisbon").lease
    page = text(as_person(alice).get(lease_url(lease)))
    for words in ("30 days left", "$50.00 a month", "$100.00", "A talk in Lisbon", "Issued from coding", "gpt-4o"):
        assert words in page


def test_a_team_mate_does_not_see_it_and_an_approver_does(make_key, person, team, bob, as_person):
    lease = make_key().lease
    carol = person("carol")
    team.memberships.create(user=carol, role="member")
    assert as_person(carol).get(lease_url(lease)).status_code == 404
    assert as_person(bob).get(lease_url(lease)).status_code == 200


def test_revoking_says_what_stops_and_is_confirmed_by_the_gateway(make_key, alice, sandbox, as_person):
    issued = make_key(name="laptop")
    client = as_person(alice)
    ask = text(client.get(lease_url(issued.lease, "revoke")))
    assert "Revoke laptop?" in ask
    assert "This cannot be undone" in ask
    done = client.post(lease_url(issued.lease, "revoke"), {"reason": "Left on a train"}, follow=True)
    assert "Revoked; sandbox confirmed it at" in text(done)
    assert "Left on a train" in text(done)
    assert sandbox.status_of(issued.secret) == 401


def test_revoking_twice_is_safe(make_key, alice, as_person):
    lease = make_key().lease
    client = as_person(alice)
    client.post(lease_url(lease, "revoke"))
    assert "had ended before" in text(client.post(lease_url(lease, "revoke"), follow=True))
    assert "already" in text(client.get(lease_url(lease, "revoke")))


def test_a_revocation_that_the_gateway_has_not_confirmed_is_called_that(make_key, alice, sandbox, as_person):
    lease = make_key(name="laptop").lease
    client = as_person(alice)
    sandbox.faults.fail_next("/key/delete", refused(), times=5)
    page = text(client.post(lease_url(lease, "revoke"), follow=True))
    lease.refresh_from_db()
    assert lease.state == State.REVOKING
    assert "Not yet revoked" in page
    assert "may still answer" in page
    assert "laptop is not yet revoked" in text(client.get("/"))


def test_a_pending_lease_looks_again_by_itself_through_a_real_link(make_key, alice, as_person):
    lease = make_key().lease
    Lease.objects.filter(pk=lease.pk).update(state=State.REVOKING)
    client = as_person(alice)
    page = client.get(lease_url(lease)).content.decode()
    assert "every 5s" in page
    part = client.get(lease_url(lease), headers=HTMX).content.decode()
    assert "<html" not in part
    assert f'href="{lease_url(lease)}"' in part


def test_a_viewer_may_not_revoke_and_an_auditor_only_looks(make_key, audra, as_person):
    lease = make_key().lease
    client = as_person(audra)
    assert 'id="revoke"' not in client.get(lease_url(lease)).content.decode()
    assert client.post(lease_url(lease, "revoke")).status_code == 403
    lease.refresh_from_db()
    assert lease.state == State.ACTIVE


def test_keys_that_end_within_a_day_are_never_said_to_last(alice, as_person, make_key):
    make_key(ttl=timedelta(hours=1))
    page = text(as_person(alice).get("/"))
    assert "One live key." in page
    assert "None ends within a day" not in page
