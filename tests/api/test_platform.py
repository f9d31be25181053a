"""The platform over HTTP: gateways, reconcile, promises, sweeps, findings, keys that are not ours, removals, roles."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.models import Finding, Gateway, Intent, KeyRole, KeyVersion, Lease, State, UnmanagedKey
from keys.models.intent import HORIZON
from keys.services import reconcile
from keys.services.minting import new_secret
from portal.litellm import faults, hash_key
from portal.models import AuditEvent, Installation
from teams.access import SYSTEM
from teams.departures import lost_by_provider
from teams.models import Departure, Membership

pytestmark = pytest.mark.django_db(transaction=True)
WATCHED = ["gateways", "intents", "findings", "unmanaged-keys", "departures", "sweeps"]


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def names(answer) -> list[str]:
    return list(answer.json()["error"]["details"])


@pytest.fixture
def stuck(sandbox, make_key, call, alice):
    """The promise to end a key that its gateway does not delete."""
    lease = make_key().lease
    sandbox.faults.fail_next("/key/delete", faults.refused(), times=1000)
    call("post", f"keys/{lease.pk}/revoke/", by=alice)
    return Intent.objects.get()


@pytest.fixture
def drifted(sandbox, make_key):
    """A key of alice's whose limit was changed on the gateway, as the reconcile found it."""
    issued = make_key()
    sandbox.client.keys.update(issued.secret, rpm_limit=5)
    reconcile.run(sandbox.gateway, by=SYSTEM, now=timezone.now() + HORIZON + timedelta(minutes=1))
    return Finding.objects.get()


@pytest.fixture
def byhand(sandbox):
    """A key that somebody made on the gateway itself, as the reconcile listed it; and its secret."""
    secret = sandbox.client.keys.generate(key=new_secret(), alias="byhand", models=["gpt-4o"], max_budget=7).key
    reconcile.run(sandbox.gateway, by=SYSTEM)
    return UnmanagedKey.objects.get(), secret


# --- who ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WATCHED)
def test_the_platform_needs_the_scope_to_read_it(sandbox, call, ruth, ines, path):
    refused = call("get", f"{path}/", by=ruth, scopes=["read", "keys:manage", "platform:manage"])
    assert code(refused) == (403, "not_allowed")
    assert refused.json()["error"]["details"] == {"right": "see_platform", "scope": "platform:read"}
    assert call("get", f"{path}/", by=ruth, scopes=["platform:read"]).status_code == 200
    assert call("get", f"{path}/", by=ines).json()["error"]["details"] == {"right": "see_platform"}


@pytest.mark.parametrize(
    "path",
    ["intents/1/retry", "intents/1/force", "intents/1/forget", "findings/1/restore", "findings/1/adopt",
     "findings/1/ignore", "findings/1/revoke", "gateways/sandbox/reconcile", "gateways/sandbox/release",
     "unmanaged-keys/1/adopt", "departures/1/decide"],
)  # fmt: skip
def test_an_act_on_the_platform_needs_its_scope_before_anything_is_looked_up(sandbox, call, ruth, audra, ines, path):
    refused = call("post", f"{path}/", by=ruth, scopes=["read", "keys:manage", "platform:read"])
    assert refused.json()["error"]["details"] == {"right": "manage_platform", "scope": "platform:manage"}
    for who in (audra, ines):
        assert call("post", f"{path}/", by=who).json()["error"]["details"] == {"right": "manage_platform"}


@pytest.mark.parametrize("pk", ["0", "999999", "9" * 30, "9" * 5000])
@pytest.mark.parametrize("path", ["intents/{}/retry", "findings/{}/restore", "departures/{}/decide"])
def test_a_row_that_is_not_there_is_404(sandbox, call, client, ruth, path, pk):
    client.raise_request_exception = False
    assert code(call("post", f"{path.format(pk)}/", by=ruth)) == (404, "not_found")


@pytest.mark.parametrize("name", ["nowhere", "%00", "a%00b", "x" * 61, "-", "..", "%F0%9F%94%91"])
def test_a_gateway_or_role_that_is_not_there_is_404(sandbox, call, client, ruth, name):
    client.raise_request_exception = False
    for path in (f"gateways/{name}/", f"gateways/{name}/release/", f"roles/{name}/"):
        assert call("get", path, by=ruth).status_code == 404
    assert call("delete", f"roles/{name}/", by=ruth).status_code == 404


@pytest.mark.parametrize("path", WATCHED)
@pytest.mark.parametrize("query", ["nonsense=1", "cursor=cD14", "cursor=%00", "page_size=x"])
def test_a_list_answers_to_odd_queries_in_words(sandbox, call, client, ruth, drifted, path, query):
    client.raise_request_exception = False
    assert call("get", f"{path}/?{query}", by=ruth).status_code in {200, 404, 422}


@pytest.mark.parametrize("path", [*WATCHED, "keys", "teams", "roles"])
def test_a_query_that_a_list_does_not_know_is_refused_by_name(sandbox, call, ruth, path):
    answer = call("get", f"{path}/?stat=open", by=ruth)
    assert (answer.status_code, names(answer)) == (422, ["stat"])


# --- gateways -------------------------------------------------------------------------------------


def test_a_gateway_tells_how_it_is_and_never_its_master_key(sandbox, call, audra):
    (row,) = call("get", "gateways/", by=audra).json()["results"]
    one = call("get", "gateways/sandbox/", by=audra)
    assert one.json() == row
    assert set(row) == {
        "id", "name", "base_url", "is_default", "timeout", "ttl", "max_ttl", "litellm_version", "licence",
        "chosen_keys", "models", "health", "held", "reconciled_at", "foreign_keys", "effective_within", "spend",
        "max_budget", "spend_synced_at", "version",
    }  # fmt: skip
    assert row["health"] == {
        "state": "never_asked", "checked_at": None, "away_since": None, "away_reason": "", "next_try_at": None,
    }  # fmt: skip
    assert (row["held"], row["ttl"]) == (None, 30 * 24 * 3600)
    assert sandbox.gateway.master_key not in one.content.decode()


def test_a_gateway_that_is_away_says_since_when(sandbox, call, ruth):
    sandbox.gateway.went_away("Connection refused", timezone.now())
    health = call("get", "gateways/sandbox/", by=ruth).json()["health"]
    assert (health["state"], health["away_reason"]) == ("away", "Connection refused")
    assert health["away_since"] < health["next_try_at"]


def test_the_list_of_gateways_does_not_need_the_key_that_opens_a_master_key(sandbox, call, ruth):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE keys_gateway SET master_key = 'not to be opened'")
    assert call("get", "gateways/", by=ruth).status_code == 200
    assert call("get", "gateways/sandbox/", by=ruth).status_code == 200
    assert call("get", "keys/", by=ruth).status_code == 200


def test_a_reconcile_is_asked_for_and_the_next_sweep_runs_it(sandbox, call, ruth, make_key):
    issued = make_key()
    sandbox.client.keys.generate(key=new_secret())
    reconcile.run(sandbox.gateway, by=SYSTEM)
    answer = call("post", "gateways/sandbox/reconcile/", by=ruth)
    assert (answer.status_code, answer.json()) == (202, {"outcome": None})
    assert call("get", "gateways/sandbox/", by=ruth).json()["reconciled_at"] is None
    assert reconcile.run_due()["gateways"] == 1
    gateway = call("get", "gateways/sandbox/", by=ruth).json()
    assert (gateway["foreign_keys"], gateway["reconciled_at"] is None) == (1, False)
    assert sandbox.status_of(issued.secret) == 200


def test_an_approved_list_is_ended(sandbox, call, ruth, make_key, make_role):
    role = make_role()
    made = [make_key(role=role) for _ in range(11)]
    sandbox.client.keys.delete([issued.secret for issued in made])
    KeyVersion.objects.update(issued_at=timezone.now() - 2 * HORIZON)
    assert call("post", "gateways/sandbox/reconcile/", {"approved": False}, by=ruth).status_code == 202
    assert reconcile.run_due()["ended"] == 0
    assert len(call("get", "findings/?kind=missing&state=open", by=ruth).json()["results"]) == 11
    done = call("post", "gateways/sandbox/reconcile/", {"approved": True}, by=ruth).json()["outcome"]
    assert set(done) == {
        "gateway", "live", "foreign", "revoked", "closed", "listed", "unknown", "drifted", "held", "stopped",
    }  # fmt: skip
    assert (done["gateway"], done["listed"], len(done["closed"])) == ("sandbox", [], 11)


@pytest.mark.parametrize("body", [{"approved": "perhaps"}, {"approved": None}, {"approved": [True]}, {"aproved": True}])
def test_an_approval_is_plain(sandbox, call, ruth, body):
    answer = call("post", "gateways/sandbox/reconcile/", body, by=ruth)
    assert (answer.status_code, names(answer)) == (422, list(body))


def test_a_gateway_that_is_held_shows_what_a_release_would_do_and_is_released(sandbox, call, ruth, audra, make_key):
    late, kept = make_key().lease, make_key()
    Lease.objects.filter(pk=late.pk).update(expires_at=timezone.now() - timedelta(hours=1))
    Gateway.objects.update(held_since=timezone.now(), held_reason="A backup was put back.")
    assert call("get", "gateways/sandbox/", by=ruth).json()["held"]["reason"] == "A backup was put back."
    assert code(call("post", "gateways/sandbox/reconcile/", {"approved": True}, by=ruth)) == (409, "gateway_held")

    shown = call("get", "gateways/sandbox/release/", by=audra).json()
    assert set(shown) == {"expiring", "ending", "orphans", "missing", "later", "unknown"}
    assert shown["expiring"] == [{"lease": str(late.pk), "alias": late.alias, "holder": "alice@example.com"}]
    assert Gateway.objects.get().held_since is not None

    assert call("post", "gateways/sandbox/release/", by=ruth).json()["held"] is None
    assert sandbox.status_of(kept.secret) == 200


def test_what_asks_the_gateway_says_that_it_is_away(sandbox, call, ruth):
    sandbox.faults.fail_next("*", faults.refused(), times=50)
    assert code(call("get", "gateways/sandbox/release/", by=ruth)) == (503, "gateway_away")
    Gateway.objects.update(next_try_at=None)
    assert code(call("post", "gateways/sandbox/reconcile/", {"approved": True}, by=ruth)) == (503, "gateway_away")


# --- promises -------------------------------------------------------------------------------------


def test_an_open_promise_is_listed_with_its_trouble(sandbox, call, audra, stuck):
    (row,) = call("get", "intents/", by=audra).json()["results"]
    assert set(row) == {
        "id", "kind", "gateway", "lease", "team", "issuing", "created_at", "due_at", "attempts", "stuck",
        "last_error", "watching_since", "looks",
    }  # fmt: skip
    lease = Lease.objects.get()
    assert row["lease"] == {"id": str(lease.pk), "alias": lease.alias, "state": "revoking", "version": 1}
    assert (row["kind"], row["attempts"], row["stuck"], row["team"]) == ("gone", 1, False, None)
    assert row["last_error"]
    Intent.objects.update(attempts=6)
    assert call("get", "intents/?kind=gone&gateway=sandbox", by=audra).json()["results"][0]["stuck"] is True
    assert call("get", "intents/?kind=shape", by=audra).json()["results"] == []


def test_what_is_not_due_yet_is_listed_when_asked_for(sandbox, call, alice, ruth, make_key):
    call("post", f"keys/{make_key().lease.pk}/rotate/", {"grace": "1h"}, by=alice)
    assert call("get", "intents/", by=ruth).json()["results"] == []
    assert call("get", "intents/?all=false", by=ruth).json()["results"] == []
    (coming,) = call("get", "intents/?all=true", by=ruth).json()["results"]
    assert (coming["kind"], coming["attempts"]) == ("gone", 0)
    assert call("get", "intents/?all=perhaps", by=ruth).status_code == 422


def test_a_promise_is_retried_now(sandbox, call, ruth, stuck):
    still = call("post", f"intents/{stuck.pk}/retry/", by=ruth)
    assert (still.status_code, still.json()["intent"]["attempts"]) == (200, 1)
    sandbox.faults.clear()
    assert call("post", f"intents/{stuck.pk}/retry/", by=ruth).json() == {"intent": None}
    assert Lease.objects.get().state == State.REVOKED
    assert call("post", f"intents/{stuck.pk}/retry/", by=ruth).status_code == 404


def test_an_ending_is_forced_in_our_books_and_still_retried(sandbox, call, ruth, stuck):
    answer = call("post", f"intents/{stuck.pk}/force/", {"reason": "the proxy is gone for good"}, by=ruth).json()
    assert answer["intent"]["lease"]["state"] == "revoked"
    event = AuditEvent.objects.get(action="intent.forced")
    assert (event.actor, event.facts["reason"]) == ("ruth@example.com", "the proxy is gone for good")
    assert Intent.objects.filter(pk=stuck.pk).exists()


def test_a_promise_is_forgotten_with_a_reason(sandbox, call, ruth, stuck):
    assert call("post", f"intents/{stuck.pk}/forget/", {"reason": "deleted by hand"}, by=ruth).json() == {
        "intent": None
    }
    assert not Intent.objects.exists()
    assert AuditEvent.objects.get(action="intent.forgotten").facts["reason"] == "deleted by hand"


def test_only_an_ending_is_forced(sandbox, call, team, ruth):
    promise = Intent.objects.promise(Intent.Kind.SHAPE, timezone.now(), gateway_id=sandbox.gateway.pk, team=team)
    assert code(call("post", f"intents/{promise.pk}/force/", {"reason": "x"}, by=ruth)) == (409, "nothing_to_force")


# --- sweeps ---------------------------------------------------------------------------------------


def test_each_sweep_says_how_it_is_doing(sandbox, call, ruth):
    answer = call("get", "sweeps/", by=ruth).json()
    assert set(answer) == {"results", "next", "previous"}
    sweeps = {each["name"]: each for each in answer["results"]}
    assert {"settle_intents", "expire_leases"} <= set(sweeps)
    assert set(sweeps["settle_intents"]) == {
        "name", "every", "started_at", "finished_at", "succeeded_at", "seconds", "counts", "error", "failures",
        "running_since", "late", "due_at",
    }  # fmt: skip
    assert sweeps["settle_intents"]["late"] is False


# --- findings -------------------------------------------------------------------------------------


def test_what_was_changed_on_the_gateway_is_listed_and_restored(sandbox, call, ruth, audra, drifted):
    (row,) = call("get", "findings/?state=open&kind=limits&gateway=sandbox", by=audra).json()["results"]
    assert set(row) == {
        "id", "gateway", "kind", "subject", "lease", "team", "message", "cause", "facts", "state", "first_seen_at",
        "seen_at", "closed_at", "closed_by", "reason", "acts",
    }  # fmt: skip
    assert row["acts"] == ["adopt", "ignore", "restore"]
    assert (row["lease"], row["facts"]) == (str(Lease.objects.get().pk), {"rpm_limit": [None, 5]})
    done = call("post", f"findings/{drifted.pk}/restore/", by=ruth).json()
    assert (done["state"], done["closed_by"], done["reason"]) == ("closed", "ruth@example.com", "restored")
    assert sandbox.client.keys.info(drifted.subject).rpm_limit is None
    assert code(call("post", f"findings/{drifted.pk}/restore/", by=ruth)) == (409, "finding_closed")
    assert call("get", "findings/?state=open", by=ruth).json()["results"] == []


def test_what_was_changed_on_the_gateway_is_adopted(sandbox, call, ruth, drifted):
    assert call("post", f"findings/{drifted.pk}/adopt/", by=ruth).json()["reason"] == "adopted"
    assert Lease.objects.get().limits["rpm_limit"] == 5


def test_what_changed_since_it_was_found_is_not_adopted(sandbox, call, ruth, drifted):
    sandbox.client.keys.update(drifted.subject, rpm_limit=6)
    assert code(call("post", f"findings/{drifted.pk}/adopt/", by=ruth)) == (409, "changed_since")


def test_what_was_changed_on_the_gateway_is_left_with_a_reason(sandbox, call, ruth, drifted):
    done = call("post", f"findings/{drifted.pk}/ignore/", {"reason": "agreed with the team"}, by=ruth).json()
    assert (done["state"], done["reason"]) == ("ignored", "agreed with the team")
    assert call("get", "findings/?state=ignored", by=ruth).json()["results"] == [done]


def test_a_key_that_only_the_gateway_knows_is_revoked(sandbox, call, ruth, make_key):
    mark = {"keydesk": {"instance": Installation.current(), "lease": "x", "version": 1}}
    secret = sandbox.client.keys.generate(key=new_secret(), metadata=mark).key
    reconcile.run(sandbox.gateway, by=SYSTEM, now=timezone.now() + 2 * HORIZON)
    (row,) = call("get", "findings/?kind=orphan", by=ruth).json()["results"]
    assert (row["lease"], row["acts"]) == (None, ["ignore", "revoke"])
    done = call("post", f"findings/{row['id']}/revoke/", by=ruth).json()
    assert (done["state"], done["acts"]) == ("closed", [])
    assert sandbox.status_of(secret) == 401


def test_a_key_that_has_a_lease_is_not_revoked_as_unknown(sandbox, call, ruth, drifted):
    assert code(call("post", f"findings/{drifted.pk}/revoke/", by=ruth)) == (409, "not_unknown")
    assert sandbox.client.keys.info(drifted.subject).status == "active"


@pytest.mark.parametrize("reason", [..., "", "  ", None, "x" * 201, "a\u0000", "\ud800", ["x"]])
@pytest.mark.parametrize("act", ["findings/{finding}/ignore", "intents/{intent}/force", "intents/{intent}/forget"])
def test_a_reason_is_asked_for_and_must_be_one(sandbox, call, client, team, ruth, act, reason):
    client.raise_request_exception = False
    now = timezone.now()
    promise = Intent.objects.promise(Intent.Kind.SHAPE, now, gateway_id=sandbox.gateway.pk, team=team)
    finding = sandbox.gateway.findings.create(
        kind="team", subject="x", team=team, message="x", first_seen_at=now, seen_at=now
    )
    place = act.format(finding=finding.pk, intent=promise.pk)
    answer = call("post", f"{place}/", {} if reason is ... else {"reason": reason}, by=ruth)
    assert (answer.status_code, names(answer)) == (422, ["reason"])
    assert Intent.objects.get() == promise


@pytest.mark.parametrize("path", ["intents", "findings", "unmanaged-keys", "departures"])
def test_a_list_asks_as_often_for_many_rows_as_for_one(sandbox, call, team, ruth, person, make_key, path):
    now = timezone.now()

    def more(n: int) -> None:
        version = make_key(name=str(n)).lease.current
        Intent.objects.promise(Intent.Kind.SHAPE, now, gateway_id=sandbox.gateway.pk, version=version)
        sandbox.gateway.findings.create(
            kind="limits", subject=f"{n}", version=version, team=team, message="x", first_seen_at=now, seen_at=now
        )
        sandbox.gateway.unmanaged.create(token_hash=f"{n}", seen_at=now)
        Departure.objects.create(user=person(f"leaver{n}"), team=team, at=now, due_at=now)

    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            rows = call("get", f"{path}/", by=ruth).json()["results"]
        assert rows
        return len(asked)

    more(1)
    few = queries()
    for n in range(2, 6):
        more(n)
    assert queries() == few


# --- keys that are not ours -----------------------------------------------------------------------

ADOPT = {"team": "search", "role": "coding", "holder": "alice@example.com"}


def test_a_key_that_is_not_ours_is_listed_and_becomes_a_lease(sandbox, call, ruth, audra, alice, make_role, byhand):
    make_role()
    key, secret = byhand
    (row,) = call("get", "unmanaged-keys/?gateway=sandbox", by=audra).json()["results"]
    assert (row["token_hash"], row["alias"], row["max_budget"]) == (hash_key(secret), "byhand", "7.000000")
    answer = call("post", f"unmanaged-keys/{key.pk}/adopt/", ADOPT | {"name": "Old one", "ttl": "24h"}, by=ruth)
    assert answer.status_code == 201
    lease = answer.json()
    assert (lease["holder"], lease["team"], lease["name"], lease["state"]) == (
        alice.email,
        "search",
        "Old one",
        "active",
    )
    assert set(lease) == set(call("get", f"keys/{lease['id']}/", by=alice).json())
    assert sandbox.status_of(secret) == 200
    assert call("get", "unmanaged-keys/", by=ruth).json()["results"] == []
    assert secret not in answer.content.decode()
    assert call("get", "unmanaged-keys/?gateway=nowhere", by=ruth).json()["results"] == []


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"team": "nowhere"}, 404, "team"),
        ({"role": "nothing"}, 404, "role"),
        ({"holder": "nobody@example.com"}, 404, "holder"),
        ({"holder": "\u0000"}, 422, "holder"),
        ({"team": 10**400}, 422, "team"),
        ({"role": ["coding"]}, 422, "role"),
        ({"ttl": "1h30m"}, 422, "ttl"),
        ({"ttl": 10**30}, 422, "ttl"),
        ({"ttl": 1}, 422, "ttl"),
        ({"name": "x" * 81}, 422, "name"),
        ({"take_over": "perhaps"}, 422, "take_over"),
        ({"key": "x"}, 422, "key"),
    ],
)
def test_an_adoption_that_cannot_be_names_its_field(
    sandbox, call, client, ruth, alice, make_role, byhand, change, status, field
):
    client.raise_request_exception = False
    make_role()
    answer = call("post", f"unmanaged-keys/{byhand[0].pk}/adopt/", ADOPT | change, by=ruth)
    assert (answer.status_code, names(answer)) == (status, [field])
    assert not Lease.objects.exists()


def test_a_key_of_another_keydesk_is_taken_over_only_knowingly(sandbox, call, ruth, alice, make_role):
    make_role()
    mark = {"keydesk": {"instance": "another", "lease": "x", "version": 1}}
    sandbox.client.keys.generate(key=new_secret(), metadata=mark)
    reconcile.run(sandbox.gateway, by=SYSTEM)
    place = f"unmanaged-keys/{UnmanagedKey.objects.get().pk}/adopt/"
    assert code(call("post", place, ADOPT, by=ruth)) == (409, "of_another_keydesk")
    assert call("post", place, ADOPT | {"take_over": True}, by=ruth).status_code == 201


def test_a_key_that_is_gone_is_not_adopted(sandbox, call, ruth, alice, make_role, byhand):
    make_role()
    key, secret = byhand
    sandbox.client.keys.delete(secret)
    assert code(call("post", f"unmanaged-keys/{key.pk}/adopt/", ADOPT, by=ruth)) == (409, "key_gone")


# --- removals by a provider -----------------------------------------------------------------------


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
        "id", "person", "person_id", "team", "role", "at", "due_at", "held", "closed_at", "outcome",
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


# --- the end of a role ----------------------------------------------------------------------------


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
