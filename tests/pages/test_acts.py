"""Renew, rotate, pause and resume: what a page offers, what it says before, and what it says after."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from keys.models import Gateway, KeyVersion, Lease, State
from keys.services import leases, roles
from portal.litellm.faults import refused
from tests.pages.conftest import HTMX, form_of, secret_in, text
from tests.pages.test_own_pages import lease_url

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


def act(client, lease, name, **changes):
    """The form of an act's own page, sent; and the page that answers."""
    url = lease_url(lease, name)
    return client.post(url, form_of(client.get(url)) | changes, follow=True)


def offered(page) -> set[str]:
    return set(
        re.findall(r'popovertarget="(renew|rotate|pause|resume|revoke)"[^>]*>(?!Keep|Leave)', page.content.decode())
    )


def test_a_live_key_offers_its_holder_all_acts_and_an_approver_only_those_that_end(make_key, alice, bob, as_person):
    lease = make_key().lease
    assert offered(as_person(alice).get(lease_url(lease))) == {"renew", "rotate", "pause", "revoke"}
    assert offered(as_person(bob).get(lease_url(lease))) == {"pause", "revoke"}


def test_an_auditor_is_offered_nothing(make_key, audra, as_person):
    assert offered(as_person(audra).get(lease_url(make_key().lease))) == set()


def test_renewing_says_the_new_end_how_far_it_reaches_and_what_it_can_cost(make_key, alice, as_person):
    with time_machine.travel(timezone.now() - 10 * DAY, tick=True):
        lease = make_key(name="laptop").lease
    page = text(as_person(alice).get(lease_url(lease, "renew")))
    until, far = timezone.now() + 30 * DAY, lease.issued_at + 90 * DAY
    assert f"New end {until:%a} {until.day} {until:%b}" in page
    assert f"Renewing reaches {far:%a} {far.day} {far:%b}" in page
    assert "The most it can cost from now until then $" in page


def test_renewing_lengthens_the_lease_and_says_until_when(make_key, alice, as_person):
    with time_machine.travel(timezone.now() - 10 * DAY, tick=True):
        lease = make_key().lease
    page = text(act(as_person(alice), lease, "renew"))
    lease.refresh_from_db()
    assert lease.expires_at - timezone.now() > 29 * DAY
    assert f"Renewed; {lease} ends {lease.expires_at:%a} {lease.expires_at.day}" in page
    assert "Renewed by 10 days, to " in page


def test_a_query_works_a_renewal_out_and_htmx_gets_the_slip_alone(make_key, alice, as_person):
    with time_machine.travel(timezone.now() - 25 * DAY, tick=True):
        lease = make_key().lease
    part = as_person(alice).get(lease_url(lease, "renew"), {"ttl": "10d"}, headers=HTMX)
    assert "<html" not in part.content.decode()
    assert "10 days left" in text(part)
    assert "write 90m" in text(as_person(alice).get(lease_url(lease, "renew"), {"ttl": "1h30m"}, headers=HTMX))


def test_a_renewal_that_is_refused_is_said_at_its_field_and_nothing_changes(make_key, alice, as_person):
    lease = make_key().lease
    client = as_person(alice)
    answer = client.post(lease_url(lease, "renew"), {"ttl": "60d"})
    assert answer.status_code == 422
    assert "Nothing was renewed." in text(answer)
    assert 'id="renew_ttl_error"' in answer.content.decode()
    assert "coding gives 30d at a time." in text(answer)
    assert 'value="60d"' in answer.content.decode()


def test_a_gateway_that_is_away_is_said_on_the_form_and_the_key_ends_as_before(make_key, alice, sandbox, as_person):
    lease = make_key().lease
    sandbox.faults.fail_next("*", refused(), times=20)
    answer = as_person(alice).post(lease_url(lease, "renew"), {"ttl": "30d"})
    assert answer.status_code == 503
    assert "sandbox does not answer" in text(answer)


def test_a_key_at_its_max_ttl_says_so_in_one_line(make_key, make_role, alice, as_person):
    lease = make_key(role=make_role(name="short", ttl=DAY, max_ttl=DAY)).lease
    page = as_person(alice).get(lease_url(lease))
    assert "renew" not in offered(page)
    assert "Renewed as far as its role allows, 24 hours from issue: ends" in text(page)
    assert "Can be renewed to" not in text(page)
    alone = as_person(alice).get(lease_url(lease, "renew"))
    assert alone.status_code == 200
    assert "Renewed as far as its role allows" in text(alone)


def test_renewing_is_the_first_button_only_when_the_key_ends_soon(make_key, alice, as_person):
    lease = make_key().lease
    primary = 'class="button button-primary"\n              type="button"\n              popovertarget="renew"'
    assert primary not in as_person(alice).get(lease_url(lease)).content.decode()
    Lease.objects.filter(pk=lease.pk).update(
        issued_at=timezone.now() - 29 * DAY, expires_at=timezone.now() + DAY, max_expires_at=timezone.now() + 60 * DAY
    )
    assert primary in as_person(alice).get(lease_url(lease)).content.decode()


def test_the_first_page_offers_a_renewal_of_what_ends_soon(make_key, alice, as_person):
    lease = make_key(name="nightly").lease
    Lease.objects.filter(pk=lease.pk).update(
        issued_at=timezone.now() - 29 * DAY,
        expires_at=timezone.now() + DAY / 2,
        max_expires_at=timezone.now() + 60 * DAY,
    )
    page = as_person(alice).get("/")
    assert "It can be renewed until" in text(page)
    assert lease_url(lease, "renew") in page.content.decode()


def test_a_rotation_shows_the_new_secret_once_and_until_when_the_old_one_works(make_key, alice, sandbox, as_person):
    issued = make_key(name="laptop")
    done = act(as_person(alice), issued.lease, "rotate")
    secret = secret_in(done)
    assert secret != issued.secret
    assert "no-store" in done["Cache-Control"]
    assert 'hx-history="false"' in done.content.decode()
    old = issued.lease.versions.get(number=1)
    assert f"{old.key_name} works until {old.dies_at:%a} {old.dies_at.day}" in text(done)
    assert [sandbox.status_of(each) for each in (secret, issued.secret)] == [200, 200]
    assert secret not in as_person(alice).get(lease_url(issued.lease)).content.decode()


def test_the_same_form_twice_rotates_once(make_key, alice, as_person):
    lease = make_key().lease
    client = as_person(alice)
    for grace in ("24h", "now"):
        sent = form_of(client.get(lease_url(lease, "rotate") + "?replace=1")) | {"grace": grace}
        assert secret_in(client.post(lease_url(lease, "rotate"), sent))
        before = lease.versions.count()
        again = client.post(lease_url(lease, "rotate"), sent, follow=True)
        assert again.redirect_chain[-1][0] == f"{lease_url(lease)}?unseen=1"
        assert "has been rotated since the form was opened" in text(again)
        assert "Did not copy the secret?" in text(again)
        assert lease.versions.count() == before


def test_inside_an_overlap_only_a_replacement_is_offered_and_it_ends_both(make_key, alice, sandbox, as_person):
    issued = make_key(name="laptop")
    client = as_person(alice)
    second = secret_in(act(client, issued.lease, "rotate"))
    page = client.get(lease_url(issued.lease))
    assert "In rotation. Held by you" in text(page)
    assert "Replace the secret of laptop?" in text(page)
    assert "Rotate laptop?" not in text(page)
    third = secret_in(act(client, issued.lease, "rotate"))
    assert [sandbox.status_of(each) for each in (issued.secret, second, third)] == [401, 401, 200]


def test_who_never_saw_the_secret_replaces_it(make_key, alice, sandbox, as_person):
    issued = make_key()
    client = as_person(alice)
    url = lease_url(issued.lease, "rotate")
    done = client.post(url, form_of(client.get(f"{url}?replace=1")))
    assert "has ended, within 60 s everywhere" in text(done)
    assert [sandbox.status_of(each) for each in (issued.secret, secret_in(done))] == [401, 200]


def test_the_old_secret_can_be_given_a_last_day(make_key, alice, as_person):
    lease = make_key().lease
    client = as_person(alice)
    day = timezone.now().date() + 3 * DAY
    act(client, lease, "rotate", grace="day", day=day.isoformat())
    old = lease.versions.get(number=1)
    assert old.dies_at.date() == day + DAY
    assert (old.dies_at.hour, old.dies_at.minute) == (0, 0)


@pytest.mark.parametrize(
    ("day", "words"), [("", "Choose the day."), ("2020-01-01", "This day is over."), ("soon", "date")]
)
def test_a_day_that_cannot_be_is_said_at_its_field(make_key, alice, as_person, day, words):
    lease = make_key().lease
    answer = as_person(alice).post(lease_url(lease, "rotate"), {"grace": "day", "day": day, "replaces": "1"})
    assert answer.status_code == 422
    assert words in text(answer)
    assert 'id="rotate_day_error"' in answer.content.decode()
    assert lease.versions.count() == 1


def test_a_rotation_that_fails_leaves_the_secret_and_the_form(make_key, alice, sandbox, as_person):
    issued = make_key()
    client = as_person(alice)
    sent = form_of(client.get(lease_url(issued.lease, "rotate")))
    sandbox.faults.fail_next("*", refused(), times=20)
    answer = client.post(lease_url(issued.lease, "rotate"), sent)
    assert answer.status_code == 503
    assert "Nothing was rotated." in text(answer)
    sandbox.faults.clear()
    assert sandbox.status_of(issued.secret) == 200
    Gateway.objects.update(next_try_at=None)
    assert secret_in(client.post(lease_url(issued.lease, "rotate"), sent))


def test_versions_say_who_still_uses_the_old_secret(make_key, alice, as_person):
    lease = make_key().lease
    client = as_person(alice)
    act(client, lease, "rotate")
    page = text(client.get(lease_url(lease)))
    assert "Version 1 still answers, and ends by itself." in page
    assert "Ends in 24 hours" in page
    KeyVersion.objects.filter(lease=lease, number=1).update(last_used_at=timezone.now() + timedelta(seconds=1))
    assert "Version 1 still answers. Move its users to the new secret." in text(client.get(lease_url(lease)))
    assert f"The old secret of {lease} ends" in text(client.get("/"))
    KeyVersion.objects.filter(lease=lease, number=1).update(last_used_at=timezone.now() - DAY)
    page = text(client.get(lease_url(lease)))
    assert "24 hours ago; not since the rotation" in page
    assert "Version 1 was not used since" in page


def test_an_old_secret_that_the_gateway_has_not_ended_is_called_that(make_key, alice, sandbox, as_person):
    lease = make_key().lease
    client = as_person(alice)
    sandbox.faults.fail_next("/key/delete", refused(), times=9)
    done = act(client, lease, "rotate", grace="now")
    assert "has not ended yet. sandbox has not confirmed it." in text(done)
    assert "The old secret has not ended yet." in text(client.get(lease_url(lease)))
    assert "Old secret not ended" in text(client.get("/"))


def test_pausing_says_what_it_does_and_resuming_undoes_it(make_key, alice, sandbox, as_person):
    issued = make_key(name="laptop")
    client = as_person(alice)
    ask = text(client.get(lease_url(issued.lease, "pause")))
    assert "Calls are refused until somebody resumes it, within 60 s. Its time runs on" in ask
    done = act(client, issued.lease, "pause", reason="On a journey")
    assert "Paused; sandbox confirmed it." in text(done)
    assert "Paused: “On a journey”." in text(done)
    assert sandbox.status_of(issued.secret) == 401
    assert offered(done) == {"resume", "revoke"}
    assert "A paused key is neither renewed nor rotated." in text(done)
    assert "laptop is paused: “On a journey”" in text(client.get("/"))
    assert "Resumed; sandbox confirmed it." in text(act(client, issued.lease, "resume"))
    assert sandbox.status_of(issued.secret) == 200


def test_a_pause_that_the_gateway_has_not_confirmed_is_called_that_and_looks_again(make_key, alice, sandbox, as_person):
    lease = make_key().lease
    client = as_person(alice)
    sandbox.faults.fail_next("/key/block", refused(), times=9)
    page = act(client, lease, "pause")
    assert "Paused here, and not yet effective: sandbox has not confirmed it." in text(page)
    assert "Not yet effective" in text(client.get(lease_url(lease)))
    assert "every 5s" in page.content.decode()
    assert "Not yet paused" in text(client.get("/"))


def test_looking_again_brings_the_buttons_along_once_the_state_is_another(make_key, alice, as_person):
    lease = make_key().lease
    client = as_person(alice)
    mark = re.search(r"seen=([\w-]+)", client.get(lease_url(lease)).content.decode())
    assert mark is None  # nothing is awaited, so nothing looks again
    same = client.get(lease_url(lease), {"seen": "active-False"}, headers=HTMX).content.decode()
    other = client.get(lease_url(lease), {"seen": "active-True"}, headers=HTMX).content.decode()
    assert "hx-swap-oob" not in same
    assert 'id="acts"' in other
    assert 'hx-swap-oob="true"' in other


def test_a_slow_gateway_is_told_to_whoever_ends_something(make_key, alice, as_person):
    lease = make_key().lease
    client = as_person(alice)
    Gateway.objects.update(effective_within=0.2)
    assert "stops, within a second" in text(client.get(lease_url(lease, "revoke")))
    Gateway.objects.update(effective_within=42.0)
    assert "stops, within 60 s" in text(client.get(lease_url(lease, "revoke")))
    assert "confirmed it at" in (done := text(client.post(lease_url(lease, "revoke"), follow=True)))
    assert "effective within 60 s" in done


def test_a_key_of_an_ended_role_says_why_it_is_not_renewed(make_key, alice, sandbox, ruth, as_person):
    lease = make_key().lease
    sandbox.faults.fail_next("/key/delete", refused(), times=9)
    roles.end(lease.role, by=ruth)
    page = as_person(alice).get(lease_url(lease))
    assert offered(page) == set()
    assert "Not yet revoked." in text(page)


def test_the_popups_hold_real_forms_with_ids_of_their_own(make_key, alice, as_person):
    page = as_person(alice).get(lease_url(make_key().lease)).content.decode()
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for name in ("renew", "rotate", "pause", "revoke"):
        assert re.search(rf'<form method="post"\s+action="[^"]*/{name}/"', page)


def test_an_act_on_a_key_that_has_ended_says_how_it_stands(make_key, alice, as_person):
    lease = make_key().lease
    leases.revoke(lease, by=alice)
    client = as_person(alice)
    for name in ("renew", "rotate", "pause", "resume", "revoke"):
        assert "It is revoked already." in text(client.get(lease_url(lease, name)))
    answer = client.post(lease_url(lease, "pause"), {"reason": ""})
    assert answer.status_code == 409
    assert "it cannot be paused" in text(answer)
    lease.refresh_from_db()
    assert lease.state == State.REVOKED


def test_the_counter_says_how_far_renewing_reaches(make_role, alice, as_person):
    make_role()
    page = text(as_person(alice).get(reverse("keys:issue")))
    assert "30 days at a time, up to 90 days by renewing" in page
    assert "for 30 days at a time up to 90 days from issue" in page
