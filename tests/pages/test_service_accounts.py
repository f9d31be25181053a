"""Service accounts of a team: made, given keys and tokens, handed over, ended; and handing a key over on its page."""

from __future__ import annotations

import re

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from keys.models import Lease, State
from keys.services import leases
from portal.errors import Invalid, NotAllowed
from portal.models import AuditEvent, Letter
from teams.models import ApiToken, Team, User
from teams.services import make_token, service_accounts
from tests.pages.conftest import form_of, secret_in, text

pytestmark = pytest.mark.django_db(transaction=True)
ALL, ISSUE = "/teams/search/service-accounts/", "/keys/new/"


def page_of(account: User, act: str = "") -> str:
    return f"{ALL}{account.pk}/{act}"


# --- made, changed, ended -------------------------------------------------------------------------


def test_a_team_admin_makes_one_and_says_who_answers_for_it(as_person, team, ines, alice):
    client = as_person(ines)
    done = client.post(ALL, {"name": "nightly labels", "responsible": str(alice.pk)}, follow=True)
    account = User.objects.get(kind="service")
    assert done.redirect_chain[-1][0] == page_of(account)
    assert (account.name, account.service_team, account.responsible) == ("nightly labels", team, alice)
    assert "Alice answers for it" in text(done)
    assert "nightly labels" in text(client.get(ALL))
    letter = Letter.objects.get()
    assert (letter.to, "you answer for nightly labels" in letter.subject) == ([alice.email], True)
    event = AuditEvent.objects.get(action="service_account.made")
    assert (event.actor, event.team_id, event.facts["account"]) == (ines.email, str(team.pk), "nightly labels")


@pytest.mark.parametrize("name", ["", "me", "ME", "a@b.example", "-x", "x" * 61, "a\nb\0", "sk/../x"])
def test_a_name_that_cannot_be_is_refused(team, ines, name):
    with pytest.raises(Invalid) as refused:
        service_accounts.make(team, name=name, by=ines)
    assert "name" in refused.value.details


def test_a_name_is_one_accounts_in_its_team_in_any_case(as_person, team, other_team, robot, ines, ruth):
    refusal = as_person(ines).post(ALL, {"name": "Nightly"})
    assert refusal.status_code == 409
    assert "Search Platform has a service account called nightly already." in text(refusal)
    service_accounts.end(robot, by=ines)
    with pytest.raises(service_accounts.NameTaken, match="an ended one"):
        service_accounts.make(team, name="nightly", by=ines)
    assert service_accounts.make(other_team, name="nightly", by=ruth).service_team == other_team
    with pytest.raises(IntegrityError), transaction.atomic():  # nor by two at once
        User.objects.create_service_account("NIGHTLY", team)


def test_it_is_renamed_and_handed_over_by_one_form(as_person, team, robot, ines, alice, vic):
    client = as_person(ines)
    sent = form_of(client.get(page_of(robot, "edit/")))
    assert sent == {"csrfmiddlewaretoken": sent["csrfmiddlewaretoken"], "name": "nightly", "responsible": ""}
    client.post(page_of(robot, "edit/"), sent | {"name": "labels", "responsible": str(vic.pk)})
    robot.refresh_from_db()
    assert (robot.name, robot.responsible) == ("labels", vic)
    client.post(page_of(robot, "edit/"), {"name": "labels", "responsible": ""})
    robot.refresh_from_db()
    assert robot.responsible is None
    actions = AuditEvent.objects.order_by("id").values_list("action", flat=True)
    assert list(actions) == [
        "service_account.renamed", "service_account.handed_over", "service_account.handed_over",
    ]  # fmt: skip


def test_only_a_member_of_its_team_answers_for_it(as_person, robot, ines, mallory):
    assert (
        as_person(ines).post(page_of(robot, "edit/"), {"name": "x", "responsible": str(mallory.pk)}).status_code == 422
    )
    with pytest.raises(Invalid, match="is not in"):
        service_accounts.set_responsible(robot, responsible=mallory, by=ines)


@pytest.mark.parametrize("who", ["vic", "alice", "bob", "audra", "mallory"])
def test_nobody_else_manages_them(request, team, robot, who):
    by = request.getfixturevalue(who)
    for act in (
        lambda: service_accounts.make(team, name="x", by=by),
        lambda: service_accounts.rename(robot, name="x", by=by),
        lambda: service_accounts.set_responsible(robot, responsible=None, by=by),
        lambda: service_accounts.end(robot, by=by),
    ):
        with pytest.raises(NotAllowed):
            act()
    robot.refresh_from_db()
    assert (robot.name, robot.is_active) == ("nightly", True)


def test_ending_it_ends_its_keys_and_tokens_at_once(as_person, sandbox, client, robot, ines, make_key):
    issued = make_key(holder=robot)
    _, plain = make_token(robot, name="ci", scopes=["read"], by=ines)
    admin = as_person(ines)
    asked = text(admin.get(page_of(robot, "end/")))
    assert "one token end at once" in asked
    assert "Live keys 1" in asked
    done = admin.post(page_of(robot, "end/"), follow=True)
    assert "nightly is ended, with one live key and its tokens" in text(done)
    assert sandbox.status_of(issued.secret) == 401
    assert ApiToken.objects.usable(plain) is None
    assert Lease.objects.get().state == State.REVOKED
    assert "Ended" in text(admin.get(ALL))  # its history stays


# --- its page -------------------------------------------------------------------------------------


def test_its_page_shows_keys_and_tokens_to_who_may_see_them(as_person, robot, ines, alice, bob, audra, make_key):
    make_key(holder=robot, name="labels key")
    make_token(robot, name="cron token", scopes=["read"], by=ines)
    seen = {}
    for who in (alice, bob, ines, audra):
        page = text(as_person(who).get(page_of(robot)))
        seen[who.name] = ("labels key" in page, "cron token" in page, "Get a key for it" in page)
    assert seen == {
        "Alice": (False, False, False), "Bob": (True, False, False), "Ines": (True, True, True),
        "Audra": (True, True, False),
    }  # fmt: skip


def test_one_of_another_team_is_not_there(as_person, robot, mallory, ines, other_team):
    foreign = User.objects.create_service_account("drone", other_team)
    client = as_person(ines)
    for act in ("", "edit/", "end/", "tokens/new/"):
        assert client.get(page_of(foreign, act)).status_code == 404
        assert client.get(f"/teams/mobile/service-accounts/{foreign.pk}/{act}").status_code == 404
        assert client.get(f"/teams/mobile/service-accounts/{robot.pk}/{act}").status_code == 404


def test_its_token_is_made_shown_and_ended_by_who_runs_the_team(as_person, robot, ines, bob):
    client = as_person(ines)
    path = page_of(robot, "tokens/new/")
    page = client.get(path)
    assert 'value="keys:issue"' in page.content.decode()
    assert "team:manage" not in page.content.decode()
    done = client.post(path, form_of(page) | {"name": "cron"})
    plain = re.search(r'id="secret">\s*(kd_[\w-]+)', done.content.decode()).group(1)
    assert "no-store" in done["Cache-Control"]
    token = ApiToken.objects.usable(plain)
    assert token.owner == robot
    assert as_person(bob).get(path).status_code == 403
    assert as_person(bob).post(f"/tokens/{token.pk}/end/").status_code == 404
    ended = as_person(ines).post(f"/tokens/{token.pk}/end/")
    assert ended["Location"] == page_of(robot)
    assert ApiToken.objects.usable(plain) is None


# --- a key for it ---------------------------------------------------------------------------------


def test_who_runs_the_team_issues_a_key_for_it_and_sees_the_secret_once(as_person, sandbox, robot, ines, make_role):
    make_role()
    client = as_person(ines)
    page = client.get(ISSUE, {"team": "search", "holder": robot.pk})
    assert "Held by nightly" in text(page)
    sent = form_of(page, "issue")
    assert sent["holder"] == str(robot.pk)
    secret = secret_in(client.post(ISSUE, sent | {"name": "labels"}))
    lease = Lease.objects.get()
    assert (lease.holder, sandbox.status_of(secret)) == (robot, 200)
    again = client.post(ISSUE, sent, follow=True)
    assert again.redirect_chain[-1][0].startswith(reverse("keys:lease", args=[lease.pk]))
    assert Lease.objects.count() == 1
    event = AuditEvent.objects.get(action="key.issued")
    assert (event.actor, event.on_behalf_of) == (ines.email, "nightly")


def test_the_choice_is_shown_only_to_who_may_act_for_one(as_person, robot, ines, alice, bob, make_role):
    make_role()
    shown = {who.name: "For whom?" in text(as_person(who).get(ISSUE)) for who in (alice, bob, ines)}
    assert shown == {"Alice": False, "Bob": False, "Ines": True}


def test_a_holder_that_is_sent_all_the_same_is_refused(as_person, robot, alice, ines, other_team, make_role):
    make_role()
    foreign = User.objects.create_service_account("drone", other_team)
    client = as_person(alice)
    sent = form_of(client.get(ISSUE), "issue")
    assert client.post(ISSUE, sent | {"holder": str(robot.pk)}).status_code == 403
    assert client.post(ISSUE, sent | {"holder": str(ines.pk)}).status_code == 404
    assert as_person(ines).post(ISSUE, sent | {"holder": str(foreign.pk)}).status_code == 404
    assert not Lease.objects.exists()


def test_a_choice_of_another_team_is_shown_anew_before_anything_is_issued(
    as_person, robot, ruth, other_team, make_role
):
    make_role()
    Team.objects.filter(pk=other_team.pk).update(name="A first team")
    client = as_person(ruth)
    sent = form_of(client.get(ISSUE, {"team": "mobile"}), "issue") | {"holder": str(robot.pk)}
    shown = client.post(ISSUE, sent)
    assert shown.status_code == 409
    assert not Lease.objects.exists()


# --- handing a key over ---------------------------------------------------------------------------


def test_the_page_says_before_that_the_secret_is_known_and_the_new_holders_says_so_after(
    as_person, sandbox, alice, bob, ines, robot, make_key
):
    lease = make_key(name="notebook").lease
    path = reverse("keys:transfer", args=[lease.pk])
    admin = as_person(ines)
    asked = admin.get(path)
    assert "Alice has seen the secret" in text(asked)
    assert "nightly, service account" in text(asked)
    done = admin.post(path, {"to": str(bob.pk)}, follow=True)
    assert "notebook is held by Bob now" in text(done)
    here = reverse("keys:lease", args=[lease.pk])
    assert as_person(alice).get(here).status_code == 404
    seen = as_person(bob).get(here)
    assert "Handed over by ines@example.com" in text(seen)
    assert "alice@example.com held it before and has seen its secret" in text(seen)
    assert f'href="{reverse("keys:rotate", args=[lease.pk])}?replace=1"' in seen.content.decode()
    assert "Handed over from" in text(seen)
    leases.rotate(Lease.objects.get(), by=bob, grace=leases.REPLACE)
    assert "held it before and has seen its secret" not in text(as_person(bob).get(here))


@pytest.mark.parametrize("wrong", ["", "mallory", "vic", "alice", "nonsense"])
def test_a_holder_that_cannot_be_is_refused_and_nothing_changes(request, as_person, alice, ines, make_key, wrong):
    lease = make_key().lease
    person = request.getfixturevalue(wrong) if wrong in {"mallory", "vic", "alice"} else None
    answer = as_person(ines).post(
        reverse("keys:transfer", args=[lease.pk]), {"to": str(person.pk) if person else wrong}
    )
    assert answer.status_code == 422
    assert "Nothing was handed over." in text(answer)
    assert Lease.objects.get().holder == alice


def test_it_is_offered_only_to_who_may(as_person, alice, bob, ines, ruth, audra, make_key):
    here = reverse("keys:lease", args=[make_key().lease.pk])
    offered = {who.name: "Hand over" in text(as_person(who).get(here)) for who in (alice, bob, ines, ruth, audra)}
    assert offered == {"Alice": False, "Bob": False, "Ines": True, "Ruth": True, "Audra": False}
