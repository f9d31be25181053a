"""Findings, and keys that are not ours, over HTTP."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from keys.models import Intent, Lease, UnmanagedKey
from keys.models.intent import HORIZON
from keys.services import reconcile
from keys.services.minting import new_secret
from portal.litellm import hash_key
from portal.models import Installation
from teams.access import SYSTEM
from teams.models import Departure
from tests.api.answers import code, names

pytestmark = pytest.mark.django_db(transaction=True)


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
