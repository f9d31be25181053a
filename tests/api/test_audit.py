"""The audit trail over REST: the same acts for the same people as on the page, and never a secret."""

from __future__ import annotations

import json

import pytest

from portal.audit import sealing
from portal.models import AuditEvent
from tests.api.answers import code, names
from tests.portal.trails import act

pytestmark = pytest.mark.django_db


@pytest.fixture
def acts(sandbox, team, other_team, ines, mallory, ruth, audra):
    """One act in each team, and one in none; oldest first."""
    return [
        act("member.added", team, by=ines, person="new@example.com", role="viewer"),
        act("team.changed", other_team, by=mallory, before={"max_budget": "5.00"}, after={"max_budget": "9.00"}),
        act("person.made", ines),
    ]


def seen(answer) -> list[int]:
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def test_team_admins_see_their_teams_acts_and_the_platform_all_newest_first(call, acts, ruth, audra, ines, mallory):
    one, two, three = (each.pk for each in acts)
    for who, found in ((ruth, [three, two, one]), (audra, [three, two, one]), (ines, [one]), (mallory, [two])):
        assert seen(call("get", "audit/", by=who)) == found
    assert call("get", f"audit/{two}/", by=mallory).json()["after"] == {"max_budget": "9.00"}
    for pk in (one, three, 10**30):
        assert code(call("get", f"audit/{pk}/", by=mallory)) == (404, "not_found")


def test_nobody_else_sees_any_and_a_token_needs_its_own_scope(call, acts, vic, alice, bob, robot, ines):
    paths = [("get", "audit/"), ("get", f"audit/{acts[0].pk}/"), ("get", "audit/chain/"), ("post", "audit/export/")]
    for method, path in paths:
        for who in (vic, alice, bob, robot):
            assert code(call(method, path, {} if method == "post" else None, by=who)) == (403, "not_allowed")
        others = ["read", "keys:issue", "keys:manage", "team:manage"]
        refused = call(method, path, {} if method == "post" else None, by=ines, scopes=others)
        assert refused.json()["error"]["details"]["scope"] == "audit:read"
    assert seen(call("get", "audit/", by=ines, scopes=["audit:read"])) == [acts[0].pk]
    assert not AuditEvent.objects.filter(action="audit.exported").exists()


def test_it_is_searched_as_the_page_is(call, acts, team, ruth, ines):
    one, two, three = (each.pk for each in acts)
    today = f"{acts[0].at:%Y-%m-%d}"
    for query, found in {
        "action=member.added": [one], "action=team.": [two], "actor=ines": [one],
        f"actor={ines.pk}": [one],
        "target=Search": [one], f"target={team.pk}": [one], "team=search": [one],
        f"from={today}&to={today}": [three, two, one],
        "to=2020-01-01": [], "from=9999-12-31": [], "ip=203.0.113.9": [], f"token={team.pk}": [],
        f"secret={'a' * 64}": [],
        "page_size=1": [three],
    }.items():  # fmt: skip
        assert seen(call("get", f"audit/?{query}", by=ruth)) == found, query
    first = call("get", "audit/?page_size=2", by=ruth).json()
    rest = first["next"].partition("/api/v1/")[2]
    assert [row["id"] for row in first["results"]] + seen(call("get", rest, by=ruth)) == [three, two, one]


def test_what_cannot_be_looked_for_is_refused_and_finds_no_more(call, acts, ruth, mallory):
    for query, name in {
        "from=yesterday": "from", "token=x": "token", "ip=x": "ip", "secret=sk-abc": "secret", "actor=%00": "actor",
        "action=": "action", "who=ines": "who", f"actor={'x' * 255}": "actor", "from=2026-13-01": "from",
    }.items():  # fmt: skip
        refused = call("get", f"audit/?{query}", by=ruth)
        assert (code(refused), names(refused)) == ((422, "invalid"), [name]), query
    for query in ("team=search", "team=nonsense", "cursor=nonsense"):
        assert code(call("get", f"audit/?{query}", by=mallory)) == (404, "not_found"), query
    assert call("get", "audit/", by=mallory).json()["results"][0]["team_id"]


def test_an_export_holds_what_was_asked_and_is_on_record(call, acts, ines, ruth):
    answer = call("post", "audit/export/", {"action": "member.added"}, by=ines)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/jsonl; charset=utf-8")
    assert [json.loads(line)["id"] for line in answer.getvalue().decode().splitlines()] == [acts[0].pk]
    noted = AuditEvent.objects.get(action="audit.exported")
    assert (noted.actor, noted.facts["looked_for"]) == (ines.audit_name, {"action": "member.added"})
    table = call("post", "audit/export/", {"kind": "csv"}, by=ruth).getvalue().decode().splitlines()
    assert (table[0].split(",")[:3], len(table)) == (["id", "at", "action"], 5)
    for body in ({"kind": "xml"}, {"from": "x"}, {"secret": "x"}):
        assert code(call("post", "audit/export/", body, by=ruth)) == (422, "invalid")
    assert code(call("post", "audit/export/", {"team": "search"}, by=ruth, scopes=["read"])) == (404, "not_found")


def test_the_acts_of_a_secret_are_found_without_it_in_an_address(sandbox, call, make_key, alice, ines):
    issued = make_key()
    found = call("post", "audit/find/", {"secret": issued.secret}, by=ines)
    assert (found.status_code, list(found.json())) == (200, ["secret_hash"])
    rows = call("get", f"audit/?secret={found.json()['secret_hash']}", by=ines)
    assert "key.issued" in [row["action"] for row in rows.json()["results"]]
    assert issued.secret not in rows.content.decode()
    assert code(call("post", "audit/find/", {"secret": issued.secret}, by=alice)) == (403, "not_allowed")


def test_it_says_how_far_the_trail_is_sealed(call, acts, ruth, ines):
    assert call("get", "audit/chain/", by=ines).json() == {"sealed": 0, "sealed_at": None, "waiting": 3}
    sealing.seal()
    told = call("get", "audit/chain/", by=ruth).json()
    assert (told["sealed"], told["waiting"], bool(told["sealed_at"])) == (3, 0, True)


def test_an_export_that_is_sent_again_is_written_again(client, bearer, acts, ruth):
    """A file is not kept to be answered twice: it would come back empty."""
    headers = bearer(ruth) | {"Idempotency-Key": "one"}
    sizes = []
    for _ in range(2):
        answer = client.post("/api/v1/audit/export/", {}, content_type="application/json", headers=headers)
        sizes.append(len(answer.getvalue().decode().splitlines()))
    assert sizes == [3, 4]
