"""Operations: how things stand, promises that a gateway has not confirmed, sweeps, and who lost access."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from keys.models import Finding, Gateway, Intent, KeyVersion, Lease, State, UnmanagedKey
from keys.services import leases, operations
from keys.services.findings import note
from portal import sweeps
from portal.litellm.faults import refused, timed_out
from portal.models import AuditEvent, Sweep
from teams.models import Departure, Membership
from tests.pages.conftest import form_of, text
from tests.pages.test_frame import Inline

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/operations/"


@pytest.fixture
def stuck(sandbox, make_key, alice):
    """An ending that the gateway does not confirm, tried six times."""
    lease = make_key(name="nightly").lease
    sandbox.faults.fail_next("/key/delete", timed_out(), times=1)
    leases.revoke(lease, by=alice)
    promise = Intent.objects.get(version__lease=lease)
    Gateway.objects.update(away_since=None, next_try_at=None)
    Intent.objects.filter(pk=promise.pk).update(attempts=6, due_at=timezone.now() + timedelta(minutes=40))
    return promise


@pytest.fixture
def leavers(sandbox, team, person, make_role, make_key):
    """Three people whom a provider named no more, all at once; the first holds two keys."""
    people = [person(name) for name in ("lena", "lars", "lise")]
    for someone in people:
        Membership.objects.create(team=team, user=someone, role="member")
    now = timezone.now()
    due = now + timedelta(hours=24)
    held = [Departure.objects.create(user=user, team=team, at=now, due_at=due, held=True) for user in people]
    for _ in range(2):
        make_key(holder=people[0])
    return held


def act(promise, name):
    return reverse(f"keys:intent_{name}", args=[promise.pk])


def test_a_quiet_desk_says_that_nothing_is_open(sandbox, ruth, as_person):
    now = timezone.now()
    sweeps.status()
    client = as_person(ruth)
    assert "No sweep is late, nothing is open." in text(client.get(PAGE))
    Sweep.objects.update(
        succeeded_at=now, started_at=now, finished_at=now, seconds=0.4, counts={"kept": 3, "lost": 0, "gateways": 1}
    )
    page = text(client.get(PAGE))
    assert "All sweeps ran, nothing is open." in page
    assert "Every promise is kept" in page
    assert "Waits for you" not in page
    assert "took 0.4 s 3 kept, 1 gateway in" in page


def test_a_stuck_promise_says_what_must_happen_since_when_and_what_is_wrong(stuck, ruth, as_person):
    page = text(as_person(ruth).get(PAGE))
    assert "One promise is stuck." in page
    assert f"{stuck.version.key_name} must not stay on sandbox" in page
    assert "nightly of Alice" in page
    assert "6, stuck" in page
    assert "in 40 minutes" in page
    assert stuck.last_error in page


def test_a_promise_that_only_waits_is_no_alarm(sandbox, make_key, alice, ruth, as_person):
    lease = make_key().lease
    sandbox.faults.fail_next("/key/delete", timed_out())
    leases.revoke(lease, by=alice)
    page = text(as_person(ruth).get(PAGE))
    assert "No sweep is late. One promise waits for its gateway, none is stuck." in page
    assert "Waits for you" not in page


def test_pauses_and_teams_are_promises_in_words(sandbox, make_key, alice, team, ruth, as_person):
    lease = make_key().lease
    sandbox.faults.fail_next("/key/block", timed_out())
    leases.pause(lease, by=alice)
    shape = Intent.objects.promise(Intent.Kind.SHAPE, timezone.now(), gateway_id=sandbox.gateway.pk, team=team)
    Intent.objects.filter(pk=shape.pk).update(attempts=1)
    page = text(as_person(ruth).get(PAGE))
    assert "must not answer on sandbox" in page
    assert "Search Platform must be as the team is here on sandbox" in page
    assert "Force" not in page  # only an ending can be forced


def test_retrying_keeps_the_promise_at_once(sandbox, stuck, ruth, as_person):
    page = text(as_person(ruth).post(act(stuck, "retry"), follow=True))
    assert "must not stay on sandbox, and sandbox confirmed it." in page
    assert Lease.objects.get().state == State.REVOKED
    assert "nothing is open" in page


def test_a_retry_that_fails_says_why_and_when_the_next_one_is(sandbox, stuck, ruth, as_person):
    sandbox.faults.fail_next("*", refused(), times=9)
    page = text(as_person(ruth).post(act(stuck, "retry"), follow=True))
    assert "Not yet:" in page
    assert "does not answer" in page
    assert "Next try in" in page


def test_a_promise_that_was_kept_meanwhile_is_no_error(stuck, ruth, as_person):
    Intent.objects.all().delete()
    for name in ("retry", "force", "forget"):
        assert "kept already" in text(as_person(ruth).post(act(stuck, name), follow=True))


def test_forcing_says_what_it_means_and_takes_a_reason(stuck, ruth, as_person):
    client = as_person(ruth)
    asked = text(client.get(act(stuck, "force")))
    assert "although sandbox has not confirmed it" in asked
    assert "The key may still answer. Keydesk keeps trying." in asked
    refusal = client.post(act(stuck, "force"), {"reason": " "})
    assert refusal.status_code == 422
    assert "Nothing was forced." in text(refusal)
    assert Lease.objects.get().state == State.REVOKING

    done = text(client.post(act(stuck, "force"), {"reason": "the proxy is scrapped"}, follow=True))
    assert "has ended by our books" in done
    assert Lease.objects.get().state == State.REVOKED
    assert Intent.objects.filter(pk=stuck.pk).exists()
    assert "our books say it ended" in done
    assert reverse("keys:intent_force", args=[stuck.pk]) not in client.get(PAGE).content.decode()
    assert AuditEvent.objects.get(action="intent.forced").facts["reason"] == "the proxy is scrapped"


def test_forgetting_says_what_it_means_and_takes_a_reason(stuck, ruth, as_person):
    client = as_person(ruth)
    asked = text(client.get(act(stuck, "forget")))
    assert "Keydesk stops trying." in asked
    assert "finds it again" in asked
    assert client.post(act(stuck, "forget"), {}).status_code == 422
    done = text(client.post(act(stuck, "forget"), {"reason": "never existed"}, follow=True))
    assert "does not try any more" in done
    assert not Intent.objects.exists()
    assert Lease.objects.get().state == State.REVOKED


def test_only_an_ending_can_be_forced_and_that_is_said(sandbox, team, ruth, as_person):
    shape = Intent.objects.promise(Intent.Kind.SHAPE, timezone.now(), gateway_id=sandbox.gateway.pk, team=team)
    refusal = as_person(ruth).post(act(shape, "force"), {"reason": "why not"})
    assert refusal.status_code == 409
    assert "Only an ending can be forced." in text(refusal)


def test_an_auditor_sees_all_of_it_and_is_offered_no_act(stuck, leavers, audra, as_person):
    client = as_person(audra)
    for url in (PAGE, reverse("keys:departures")):
        page = client.get(url)
        assert page.status_code == 200
        main = page.content.decode().split("<main")[1]
        assert "<form" not in main
        assert "Force" not in main
    assert "Waits for a platform admin" in text(client.get(PAGE))


def test_a_late_and_a_failing_sweep_are_named_with_their_trouble(sandbox, ruth, as_person):
    sweeps.status()
    now, long_ago = timezone.now(), timezone.now() - timedelta(hours=2)
    Sweep.objects.update(succeeded_at=now, started_at=now, finished_at=now)
    Sweep.objects.filter(name="settle_intents").update(succeeded_at=long_ago, created_at=long_ago)
    broken = {"failures": 2, "error": "OperationalError: disk full"}
    Sweep.objects.filter(name="send_letters").update(**broken)
    page = text(as_person(ruth).get(PAGE))
    assert "One sweep is late, one sweep fails." in page
    assert "Keep promises is late. It last ended well 2 hours ago." in page.replace("120 minutes", "2 hours")
    assert "Send letters fails." in page
    assert "OperationalError: disk full" in page
    assert "two failures in a row" in page


def test_a_sweep_that_is_new_to_the_page_is_still_readable(sandbox, ruth, as_person, settings):
    settings.SWEEPS = {"keys.tasks.count_the_stars": 3600.0}
    page = text(as_person(ruth).get(PAGE))
    assert "Count the stars" in page
    assert "1 hour" in page


def test_held_departures_wait_for_a_decision(leavers, ruth, as_person):
    client = as_person(ruth)
    page = text(client.get(PAGE))
    assert "Three people wait for a decision." in page
    assert "lost access within an hour" in page
    found = text(client.get(reverse("keys:departures")))
    assert "Three removals wait for a decision." in found
    assert "Two live keys are blocked at once" in found


def test_one_removal_goes_on_and_the_others_wait(leavers, team, ruth, as_person):
    first = leavers[0]
    sent = {"departure": first.pk, "act": "go_on"}
    page = text(as_person(ruth).post(reverse("keys:departures"), sent, follow=True))
    assert "One person loses access now. Their keys are blocked." in page
    assert "Two removals wait" in page
    assert not Membership.objects.filter(team=team, user=first.user).exists()
    assert {lease.state for lease in Lease.objects.filter(holder=first.user)} == {State.PAUSED}


def test_all_that_are_shown_are_dismissed_together(leavers, team, ruth, as_person):
    client = as_person(ruth)
    form = form_of(client.get(reverse("keys:departures")), "all")
    page = text(client.post(reverse("keys:departures"), form | {"act": "dismiss"}, follow=True))
    assert "Three removals are dismissed. Nothing was taken away." in page
    assert "Nobody waits for a decision." in page
    assert Membership.objects.filter(team=team).count() == 4
    again = client.post(reverse("keys:departures"), form | {"act": "go_on"}, follow=True)
    assert "Somebody else has decided meanwhile." in text(again)


def test_when_the_time_is_over_the_rest_is_said_to_be_left(leavers, ruth, as_person, monkeypatch):
    monkeypatch.setattr(operations.decide_all, "__kwdefaults__", {"seconds": 0.0})
    client = as_person(ruth)
    form = form_of(client.get(reverse("keys:departures")), "all")
    page = text(client.post(reverse("keys:departures"), form | {"act": "go_on"}, follow=True))
    assert "The time was over; three are left. Press again." in page


def test_a_held_gateway_is_the_first_line_for_platform_admins_alone(sandbox, ruth, alice, as_person):
    Gateway.objects.update(held_since=timezone.now(), held_reason="Two keys are not known here.")
    page = text(as_person(ruth).get("/"))
    assert page.index("sandbox is held: nothing ends there by itself") < page.index("You hold no key yet")
    assert "Gateway sandbox is held." in text(as_person(ruth).get(PAGE))
    assert "is held" not in text(as_person(alice).get("/"))


def test_every_page_of_operations_keeps_to_the_policy_with_one_heading_and_unique_ids(
    sandbox, stuck, leavers, make_key, ruth, as_person
):
    now, token = timezone.now(), "a" * 64
    version = stuck.version
    for kind, subject in ((Finding.Kind.LIMITS, token), (Finding.Kind.ORPHAN, "b" * 64)):
        facts = {"max_budget": ["1", "2"]} if kind == Finding.Kind.LIMITS else {}
        found = note(sandbox.gateway, kind, subject, message="Changed.", version=version, facts=facts, now=now)
    foreign = UnmanagedKey.objects.create(gateway=sandbox.gateway, token_hash=token, seen_at=now)
    Gateway.objects.update(held_since=now, held_reason="An old database.")
    urls = [PAGE, act(stuck, "force"), act(stuck, "forget"), reverse("keys:finding", args=[found.pk])]
    urls += [reverse("keys:unmanaged_import", args=[foreign.pk])]
    urls += [reverse(f"keys:{name}") for name in ("departures", "findings", "unmanaged")]
    urls += [reverse(f"keys:{name}", args=[sandbox.gateway.pk]) for name in ("gateway", "gateway_end", "gateway_hold")]
    client = as_person(ruth)
    for url in urls:
        response = client.get(url)
        assert response.status_code == 200, url
        page, reader = response.content.decode(), Inline()
        reader.feed(page)
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert (reader.found, page.count("<h1")) == ([], 1), url
        assert sorted(ids) == sorted(set(ids)), url


def test_the_list_of_promises_is_paged(sandbox, make_key, ruth, as_person):
    lease = make_key().lease
    for number in range(2, 55):
        KeyVersion.objects.create(lease=lease, number=number, alias=f"more-{number}", token_hash=f"{number:064}")
    for promise in Intent.objects.doom(lease.versions.all(), timezone.now()):
        promise.put_off("away", timezone.now())
    page = as_person(ruth).get(PAGE)
    assert "54 promises." in text(page)
    assert 'rel="next"' in page.content.decode()
    assert Intent.objects.open(timezone.now()).count() == 54
