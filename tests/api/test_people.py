"""Who is where through the API: out of teams, invitations, service accounts, people, webhooks, and why."""

from __future__ import annotations

import pytest

from keys.models import Lease
from portal.models import AuditEvent, Letter
from teams.models import Invitation, Membership, User, Webhook
from teams.services import service_accounts
from tests.api.answers import code, names

pytestmark = pytest.mark.django_db(transaction=True)


def test_who_is_taken_out_loses_the_keys_that_the_plan_named(call, sandbox, make_key, team, ines, alice):
    lease = make_key().lease
    path = f"teams/{team.slug}/members/alice@example.com/"
    plan = call("delete", f"{path}?preview=true", by=ines).json()["plan"]
    assert ([each["alias"] for each in plan["dies"]], Lease.objects.live().count()) == ([lease.alias], 1)
    make_key()
    assert code(call("delete", f"{path}?seen={plan['mark']}", by=ines)) == (409, "plan_changed")
    done = call("delete", path, by=ines)
    assert (done.status_code, len(done.json()["plan"]["dies"]), Lease.objects.live().count()) == (200, 2, 0)
    assert call("delete", path, by=ines).status_code == 404
    event = AuditEvent.objects.get(action="member.removed")
    assert (event.actor, event.facts["keys"]) == ("ines@example.com", 2)


def test_one_leaves_oneself_and_not_with_a_token_that_only_reads(call, team, alice):
    assert code(call("delete", "teams/search/members/me/", by=alice, scopes=["read"])) == (403, "not_allowed")
    assert call("delete", "teams/search/members/me/", by=alice).status_code == 200
    assert AuditEvent.objects.get(action="member.left").actor == "alice@example.com"


def test_the_last_admin_of_a_team_and_of_the_platform_stays(call, team, ines, ruth):
    assert code(call("delete", "teams/search/members/me/", by=ines)) == (409, "last_admin")
    assert code(call("delete", "teams/search/members/ines@example.com/", by=ruth)) == (409, "last_admin")
    assert code(call("post", f"people/{ruth.pk}/deactivate/", by=ruth)) == (409, "last_platform_admin")
    assert code(call("put", f"people/{ruth.pk}/platform-role/", {"role": ""}, by=ruth)) == (409, "last_platform_admin")


def test_a_team_ends_with_its_keys_after_a_look(call, sandbox, make_key, team, ruth, ines):
    make_key()
    assert call("post", "teams/search/end/", {"preview": True}, by=ruth).json()["reach"]["keys"] == 1
    assert (Lease.objects.live().count(), code(call("post", "teams/search/end/", by=ines))) == (1, (403, "not_allowed"))
    assert call("post", "teams/search/end/", {}, by=ruth).json()["ended_at"]
    assert Lease.objects.live().count() == 0


def test_the_cost_centre_is_the_platforms_to_set(call, team, ines, ruth):
    assert call("patch", "teams/search/", {"cost_centre": "4711"}, by=ruth).json()["cost_centre"] == "4711"
    assert code(call("patch", "teams/search/", {"cost_centre": "1"}, by=ines)) == (403, "not_allowed")
    assert names(call("patch", "teams/search/", {"budget_ceiling": "1"}, by=ines)) == ["budget_ceiling"]


def test_an_invitation_is_sent_again_and_withdrawn_by_who_runs_that_team_alone(call, team, ines, mallory):
    made = call("post", "invitations/", {"team": "search", "email": "New@example.com", "role": "approver"}, by=ines)
    invited = made.json()
    assert (made.status_code, invited["email"], invited["role"]) == (201, "new@example.com", "approver")
    assert call("get", "invitations/", by=mallory).json()["results"] == []
    for act in ("withdraw", "send-again"):
        assert call("post", f"invitations/{invited['id']}/{act}/", {}, by=mallory).status_code == 404
    assert call("post", f"invitations/{invited['id']}/send-again/", {}, by=ines).status_code == 200
    assert call("post", f"invitations/{invited['id']}/withdraw/", {}, by=ines).json()["withdrawn_at"]
    assert code(call("post", f"invitations/{invited['id']}/send-again/", {}, by=ines)) == (410, "invitation_withdrawn")
    assert call("get", "invitations/?team=search", by=ines).json()["results"] == []
    invitation = Invitation.objects.get()
    assert invitation.digest not in made.content.decode()
    assert Letter.objects.filter(kind="invitation").count() <= 2


def test_a_service_account_is_made_handed_over_and_ended(call, sandbox, make_key, team, ines, alice, mallory):
    sent = {"team": "search", "name": "labels", "responsible": "alice@example.com"}
    account = call("post", "service-accounts/", sent, by=ines).json()
    path = f"service-accounts/{account['id']}/"
    assert (account["responsible"], account["active"]) == ("alice@example.com", True)
    outside = call("patch", path, {"responsible": "mallory@example.com"}, by=ines)
    assert code(outside) == (404, "not_found")
    assert call("patch", path, {"name": "other"}, by=mallory).status_code == 404
    assert names(call("patch", path, {"service_team": "mobile"}, by=ines)) == ["service_team"]
    assert call("patch", path, {"responsible": None}, by=ines).json() == {**account, "responsible": ""}
    make_key(holder=User.objects.get(pk=account["id"]))
    preview = call("post", f"{path}end/", {"preview": True}, by=ines).json()
    assert (preview["reach"]["keys"], preview["tokens"]) == (1, 0)
    assert call("post", f"{path}end/", {}, by=ines).json()["active"] is False
    assert Lease.objects.live().count() == 0


def test_people_are_found_and_let_go_by_the_platform(call, sandbox, make_key, ruth, alice, ines):
    make_key()
    found = call("get", "people/?q=ali", by=ruth).json()["results"]
    assert [(each["email"], each["teams"], each["live_keys"]) for each in found] == [("alice@example.com", 1, 1)]
    plan = call("get", f"people/{alice.pk}/leaving/", by=ruth).json()["plan"]
    wrong = call("post", f"people/{alice.pk}/deactivate/", {"seen": "another"}, by=ruth)
    assert code(wrong) == (409, "plan_changed")
    done = call("post", f"people/{alice.pk}/deactivate/", {"seen": plan["mark"]}, by=ruth).json()
    assert (done["person"]["active"], len(done["plan"]["dies"]), Lease.objects.live().count()) == (False, 1, 0)
    assert call("post", f"people/{alice.pk}/reactivate/", {}, by=ruth).json()["active"] is True
    assert call("get", f"people/{service_of(ines).pk}/", by=ruth).status_code == 404  # a machine is no person


def service_of(ines: User) -> User:
    return service_accounts.make(Membership.objects.get(user=ines).team, name="labels", by=ines)


def test_a_webhooks_secret_is_shown_once_and_its_team_stays(call, team, ines, mallory):
    sent = {"team": "search", "name": "chat", "url": "https://hooks.example.com/x", "events": ["key"]}
    made = call("post", "webhooks/", sent, by=ines)
    pk, secret = made.json()["webhook"]["id"], made.json()["secret"]
    assert (made.status_code, made["Cache-Control"]) == (201, "no-store")
    assert secret not in call("get", f"webhooks/{pk}/", by=ines).content.decode()
    assert call("get", f"webhooks/{pk}/", by=mallory).status_code == 404
    assert names(call("patch", f"webhooks/{pk}/", {"team": "mobile"}, by=ines)) == ["team"]
    assert call("post", f"webhooks/{pk}/new-secret/", {}, by=ines).json()["secret"] != secret
    assert code(call("post", "webhooks/", {**sent, "team": None}, by=ines)) == (403, "not_allowed")
    assert call("post", f"webhooks/{pk}/test/", {}, by=ines).json()["state"] == "waiting"
    assert call("get", f"webhooks/{pk}/deliveries/", by=ines).json()["results"][0]["event"] == "webhook.tested"
    assert call("post", f"webhooks/{pk}/turn/", {"on": False}, by=ines).json()["on"] is False
    assert code(call("post", f"webhooks/{pk}/test/", {}, by=ines)) == (409, "webhook_off")
    assert call("delete", f"webhooks/{pk}/", by=ines).status_code == 204
    assert not Webhook.objects.exists()


def test_why_names_the_limit_that_binds_and_keeps_nothing_of_the_text(call, sandbox, make_key, alice, mallory, caplog):
    issued = make_key()
    call("post", f"keys/{issued.lease.pk}/pause/", {"reason": "perhaps leaked"}, by=alice)
    text = f"Error code: 401 - Authentication Error, key={issued.secret} is blocked"
    answer = call("post", "why/", {"error": text}, by=alice)
    said = answer.json()
    assert (said["held_secret"], said["answer"]["lease"]) == (True, str(issued.lease.pk))
    assert [step["place"] for step in said["answer"]["steps"] if step["stops"]] == ["key"]
    assert said["answer"]["ways"][0]["do"] == "resume"
    assert issued.secret not in answer.content.decode() + caplog.text
    foreign = call("post", "why/", {"error": text}, by=mallory).json()
    assert (foreign["leases"], foreign["answer"]) == ([], None)
    assert call("post", "why/", {"lease": str(issued.lease.pk)}, by=mallory).status_code == 404


def test_me_names_the_rights_that_the_token_in_use_lets_count(call, team, ines, ruth, robot):
    mine = call("get", "me/", by=ines).json()
    assert (mine["rights"], "manage_members" in mine["teams"][0]["rights"]) == ([], True)
    reading = call("get", "me/", by=ines, scopes=["read"]).json()
    assert reading["teams"][0]["rights"] == ["see_team", "see_key"]
    assert "manage_platform" in call("get", "me/", by=ruth).json()["rights"]
    assert call("get", "me/", by=robot).json()["teams"][0]["rights"] == [
        "see_team", "see_key", "issue_key", "renew_key", "revoke_key",
    ]  # fmt: skip
