"""Spend and statements over REST: what each person sees of the ledger, summed by what they ask, and files of it."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from keys.services import focus, statements
from portal.models import AuditEvent
from tests.api.answers import code, names
from tests.keys.statement_rows import row

pytestmark = pytest.mark.django_db

OCTOBER, DAYS = date(2026, 10, 5), "from=2026-10-01&to=2026-10-31"


@pytest.fixture
def spent(sandbox, team, alice, bob, make_key, make_role):
    """Alice spent 3 with two models on two days, bob 5 with one key; the team has a cost centre."""
    team.cost_centre = "CC-7"
    team.save()
    one, two = make_key().lease, make_key(holder=bob).lease
    row(one, OCTOBER, "1.5")
    row(one, OCTOBER.replace(day=6), "0.5")
    row(one, OCTOBER, "1", model="gpt-4o-mini")
    row(two, OCTOBER, "5")
    return one, two


def table(answer) -> dict[str, str]:
    assert answer.status_code == 200, answer.content
    return {found["id"]: found["spend"] for found in answer.json()["results"]}


def test_spend_is_summed_by_what_is_asked_the_dearest_first(call, spent, ruth, alice, bob):
    one, two = spent
    for by, found in {
        "team": {"search": "8.000000"},
        "key": {str(two.pk): "5.000000", str(one.pk): "3.000000"},
        "member": {str(bob.pk): "5.000000", str(alice.pk): "3.000000"},
        "model": {"gpt-4o": "7.000000", "gpt-4o-mini": "1.000000"},
        "day": {"2026-10-05": "7.500000", "2026-10-06": "0.500000"},
        "gateway": {"sandbox": "8.000000"},
        "role": {"coding": "8.000000"},
        "cost_centre": {"CC-7": "8.000000"},
    }.items():
        answer = call("get", f"spend/?{DAYS}&by={by}", by=ruth)
        assert list(table(answer).items()) == list(found.items()), by
        assert (answer.json()["by"], answer.json()["total"]["spend"]) == (by, "8.000000")
    told = call("get", f"spend/?{DAYS}", by=ruth).json()["results"][0]
    assert (told["name"], told["requests"], told["prompt_tokens"]) == ("Search Platform", 12, 400)


def test_each_sees_what_the_keys_they_see_spent(call, spent, alice, bob, ines, vic, mallory, audra, robot):
    for who, found in ((alice, "3.000000"), (bob, "8.000000"), (ines, "8.000000"), (audra, "8.000000")):
        assert table(call("get", f"spend/?{DAYS}", by=who)) == {"search": found}
    for who in (vic, mallory, robot):
        answer = call("get", f"spend/?{DAYS}&by=key", by=who)
        assert (table(answer), answer.json()["total"]["spend"]) == ({}, "0.000000")
    assert table(call("get", f"spend/?{DAYS}", by=bob, scopes=["keys:issue"])) == {}


def test_it_is_narrowed_and_paged(call, spent, alice, bob, ruth, mallory):
    one, two = spent
    for query, found in {
        "team=search": "8.000000", "team=mobile": "0.000000", "member=me": "5.000000",
        f"member={alice.email}": "3.000000",
        f"member={alice.pk}": "3.000000", f"key={two.pk}": "5.000000", "model=gpt-4o-mini": "1.000000",
        "gateway=sandbox": "8.000000", "gateway=x": "0.000000", "role=coding&model=gpt-4o": "7.000000",
        "cost_centre=CC-7": "8.000000", "cost_centre=x": "0.000000",
    }.items():  # fmt: skip
        assert call("get", f"spend/?{DAYS}&{query}", by=bob).json()["total"]["spend"] == found, query
    first = call("get", f"spend/?{DAYS}&by=key&page_size=1", by=ruth).json()
    second = call("get", first["next"].partition("/api/v1/")[2], by=ruth).json()
    assert [each["results"][0]["id"] for each in (first, second)] == [str(two.pk), str(one.pk)]
    assert (second["next"], first["previous"], first["total"]) == (None, None, second["total"])
    assert call("get", second["previous"].partition("/api/v1/")[2], by=ruth).json()["results"] == first["results"]


def test_what_cannot_be_asked_is_refused(call, spent, ruth):
    for query, name in {
        "by=secret": "by", "from=x": "from", "from=2026-10-02&to=2026-10-01": "from", "from=2020-01-01": "from",
        "key=x": "key", "member=%00": "member", "cursor=x": "cursor", "cursor=-1": "cursor",
        f"cursor={10**30}": "cursor",
        "page_size=0": "page_size", "page_size=201": "page_size", "who=x": "who", "team=": "team",
    }.items():  # fmt: skip
        refused = call("get", f"spend/?{query}", by=ruth)
        assert (code(refused), names(refused)) == ((422, "invalid"), [name]), query


def test_the_same_is_a_table_for_a_spreadsheet(call, client, bearer, spent, alice):
    answer = client.get(f"/api/v1/spend/csv/?{DAYS}&by=model", headers=bearer(alice) | {"Accept": "text/csv"})
    lines = list(csv.reader(answer.getvalue().decode().splitlines()))
    assert lines == [
        ["model", "name", "spend_usd", "prompt_tokens", "completion_tokens", "requests", "failed"],
        ["gpt-4o", "gpt-4o", "2.00", "200", "40", "6", "0"],
        ["gpt-4o-mini", "gpt-4o-mini", "1.00", "100", "20", "3", "0"],
    ]
    spend = "spend-by-model-2026-10-01-2026-10-31.csv"
    assert answer["Content-Disposition"] == f'attachment; filename="keydesk-{spend}"'
    assert code(call("get", "spend/csv/?cursor=1", by=alice)) == (422, "invalid")


@pytest.fixture
def stated(spent, other_team, mallory, make_key):
    """October is closed of both teams; November corrects it by 2."""
    statements.close_due(datetime(2026, 11, 20, tzinfo=UTC))
    row(spent[0], OCTOBER, "3.5", at=datetime(2026, 11, 21, tzinfo=UTC))
    statements.close_due(datetime(2026, 12, 20, tzinfo=UTC))


def test_statements_are_listed_and_read_with_their_lines(call, stated, ines, ruth):
    rows = call("get", "statements/", by=ines).json()["results"]
    assert [(each["month"], each["total"], each["spent"], each["corrected"]) for each in rows] == [
        ("2026-11", "2.000000", "0.000000", "2.000000"), ("2026-10", "8.000000", "8.000000", "0.000000"),
    ]  # fmt: skip
    assert (rows[0]["team"], rows[0]["cost_centre"]) == ("search", "CC-7")
    assert call("get", f"statements/{rows[0]['id']}/", by=ruth).json() == rows[0]
    lines = call("get", f"statements/{rows[1]['id']}/lines/?page_size=2", by=ines).json()
    more = call("get", lines["next"].partition("/api/v1/")[2], by=ines).json()
    told = [*lines["results"], *more["results"]]
    assert sum(Decimal(each["spend"]) for each in told) == 8
    assert {each["of_month"] for each in told} == {"2026-10"}
    note = call("get", f"statements/{rows[0]['id']}/lines/", by=ines).json()["results"][0]
    assert (note["of_month"], note["noted_on"], note["spend"]) == ("2026-10", "2026-11-21", "2.000000")


def test_statements_are_narrowed_and_are_not_there_for_others(call, stated, ines, alice, mallory, bob):
    for query, found in {
        "month=2026-10": 1, "month=2026-09": 0, "team=search": 2, "team=mobile": 0, "cost_centre=CC-7": 2,
        "cost_centre=": 0,
    }.items():  # fmt: skip
        assert len(call("get", f"statements/?{query}", by=ines).json()["results"]) == found, query
    for wrong in ("month=x", "month=2026-13", "month=%00"):
        assert call("get", f"statements/?{wrong}", by=ines).json().get("results") in (None, []), wrong
    one = call("get", "statements/", by=ines).json()["results"][0]["id"]
    assert call("get", "statements/", by=mallory).json()["results"] == []
    for method, path in (("get", f"{one}/"), ("get", f"{one}/lines/"), ("post", f"{one}/export/")):
        body: object = {} if method == "post" else None
        assert code(call(method, f"statements/{path}", body, by=mallory)) == (404, "not_found")
        assert code(call(method, f"statements/{path}", body, by=bob)) == (403, "not_allowed")
        assert code(call(method, f"statements/{path}", body, by=ines, scopes=["read", "team:manage"]))[0] == 403
    assert not AuditEvent.objects.filter(action="statement.exported").exists()


def test_statements_leave_as_files_and_that_is_on_record(call, stated, ines, mallory):
    one = call("get", "statements/?month=2026-10", by=ines).json()["results"][0]["id"]
    plain = call("post", f"statements/{one}/export/", by=ines)
    assert (plain.status_code, plain["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert len(plain.getvalue().decode().splitlines()) == 4
    told = call("post", "statements/export/", {"month": "2026-10", "kind": "focus", "cost_centre": "CC-7"}, by=ines)
    assert told.getvalue().decode().splitlines()[0].split(",") == list(focus.COLUMNS)
    assert AuditEvent.objects.filter(action="statement.exported").count() == 2
    refusals: list[tuple[dict[str, str], str]] = [
        ({}, "month"),
        ({"month": "2026-1"}, "month"),
        ({"month": "2026-10", "kind": "pdf"}, "kind"),
    ]
    for body, name in refusals:
        refused = call("post", "statements/export/", body, by=ines)
        assert (code(refused), names(refused)) == ((422, "invalid"), [name])
    assert code(call("post", "statements/export/", {"month": "2026-10"}, by=mallory)) == (403, "not_allowed")
