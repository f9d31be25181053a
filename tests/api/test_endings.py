"""What ends over HTTP: removals by a provider, and roles."""

from __future__ import annotations

import pytest

from keys.models import Gateway, KeyRole
from keys.services.minting import new_secret
from teams.departures import lost_by_provider
from teams.models import Departure, Membership
from tests.api.answers import code, names

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def held(team, alice, person):
    """Alice's removal, held because too many were lost at once."""
    for n in range(12):
        Membership.objects.create(team=team, user=person(f"member{n}"))
    found = [lost_by_provider(each.user, team) for each in Membership.objects.select_related("user")[:12]]
    return next(each for each in found if each.held)


def test_a_mass_removal_is_listed_and_decided_one_by_one(sandbox, call, ruth, audra, held):
    rows = call("get", "departures/?held=true&open=true", by=audra).json()["results"]
    assert held.pk in {row["id"] for row in rows}
    assert set(rows[0]) == {
        "id", "person", "person_id", "team", "role", "lowered", "new_role", "at", "due_at", "held", "closed_at",
        "outcome",
    }  # fmt: skip
    done = call("post", f"departures/{held.pk}/decide/", {"go_on": False}, by=ruth).json()
    assert (done["held"], done["outcome"], done["person"]) == (False, "dismissed", held.user.email)
    assert Membership.objects.filter(user=held.user).exists()
    assert code(call("post", f"departures/{held.pk}/decide/", {"go_on": True}, by=ruth)) == (409, "already_decided")
    assert held.pk in {row["id"] for row in call("get", "departures/?open=false", by=ruth).json()["results"]}


def test_a_removal_that_goes_on_takes_the_membership(sandbox, call, ruth, held):
    done = call("post", f"departures/{held.pk}/decide/", {"go_on": True}, by=ruth).json()
    assert (done["held"], done["closed_at"]) == (False, None)
    assert not Membership.objects.filter(user=held.user).exists()


@pytest.mark.parametrize("body", [{}, {"go_on": None}, {"go_on": "perhaps"}, {"go_on": [True]}, {"go_on": {}}])
def test_a_decision_is_plain(sandbox, call, client, ruth, held, body):
    client.raise_request_exception = False
    answer = call("post", f"departures/{held.pk}/decide/", body, by=ruth)
    assert (answer.status_code, names(answer)) == (422, ["go_on"])
    assert Departure.objects.get(pk=held.pk).held


@pytest.mark.parametrize("query", ["held=perhaps", "held=%00", "open="])
def test_a_truth_that_is_none_finds_nothing(sandbox, call, ruth, held, query):
    assert call("get", f"departures/?{query}", by=ruth).json()["results"] == []


def test_a_role_ends_with_the_keys_it_gave_and_the_reach_is_counted_before(sandbox, call, ruth, alice, bob, make_key):
    hers, his = make_key(), make_key(holder=bob)
    before = call("delete", "roles/coding/?preview=true", by=ruth)
    assert before.status_code == 200
    assert before.json() == {
        "reach": {
            "keys": 2, "refused": 0, "holders": ["alice@example.com", "bob@example.com"], "busy": 0,
            "spend": "0.000000",
        }
    }  # fmt: skip
    assert KeyRole.objects.get().ended_at is None
    blind = call("delete", "roles/coding/?preview=true", by=ruth, scopes=["read", "platform:read", "platform:manage"])
    assert blind.json() == before.json()  # the role's end asks for no right over keys, so neither does its count

    ended = call("delete", "roles/coding/", by=ruth)
    assert (ended.status_code, ended.json()["name"]) == (200, "coding")
    assert ended.json()["ended_at"] is not None
    assert sandbox.status_of(hers.secret) == sandbox.status_of(his.secret) == 401
    again = call("delete", "roles/coding/", by=ruth).json()
    assert again == ended.json()
    assert call("get", "roles/coding/", by=alice).status_code == 404
    assert call("get", "roles/coding/", by=ruth).json() == ended.json()


def test_a_token_that_sees_no_ended_roles_ends_one_and_hears_so(sandbox, call, ruth, make_key):
    make_key()
    ended = call("delete", "roles/coding/", by=ruth, scopes=["read", "platform:manage"])
    assert (ended.status_code, bool(ended.json()["ended_at"])) == (200, True)


@pytest.mark.parametrize(
    ("query", "body", "field"),
    [("?preveiw=true", None, "preveiw"), ("?preview=perhaps", None, "preview"), ("?preview=", None, "preview"),
     ("", {"preview": True}, "preview"), ("?preview=%00", None, "preview"), ("?gateway=%00", None, "gateway")],
)  # fmt: skip
def test_a_preview_that_was_misspelt_ends_nothing(sandbox, call, client, ruth, make_key, query, body, field):
    client.raise_request_exception = False
    issued = make_key()
    answer = call("delete", f"roles/coding/{query}", body, by=ruth)
    assert (answer.status_code, names(answer)) == (422, [field])
    assert sandbox.status_of(issued.secret) == 200


def test_a_preview_is_for_who_may_end_the_role(sandbox, call, audra, alice, make_key):
    make_key()
    for who in (audra, alice):
        answer = call("delete", "roles/coding/?preview=true", by=who)
        assert answer.json()["error"]["details"] == {"right": "manage_platform"}


def test_of_two_roles_of_one_name_the_gateway_says_which(sandbox, call, ruth, make_role):
    other = Gateway.objects.create(name="other", base_url="http://127.0.0.1:9", master_key=new_secret())
    make_role()
    make_role(gateway=other)
    answer = call("delete", "roles/coding/", by=ruth)
    assert (answer.status_code, names(answer)) == (422, ["gateway"])
    assert not KeyRole.objects.exclude(ended_at=None).exists()
    assert call("delete", "roles/coding/?gateway=other", by=ruth).json()["gateway"] == "other"
    assert KeyRole.objects.get(ended_at=None).gateway == sandbox.gateway
    assert call("get", "roles/?gateway=sandbox", by=ruth).json()["results"][0]["gateway"] == "sandbox"


def test_a_role_of_another_team_is_not_there(sandbox, call, mallory, team, make_role):
    make_role(all_teams=False, teams=[team])
    for method in ("get", "delete"):
        assert code(call(method, "roles/coding/", by=mallory)) == (404, "not_found")
