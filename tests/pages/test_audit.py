"""The page of the audit trail: who sees what of it, how it is searched, and how it leaves."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime

import pytest
import time_machine
from django.urls import reverse

from keys.services import leases
from portal.audit import sealing
from portal.models import AuditEvent
from teams.acts import GROUPS, PHRASES
from teams.models import ApiToken
from teams.services import change_team, make_token, trail
from tests.ground.processes import ROOT
from tests.pages.conftest import form_of, text
from tests.portal.trails import act

pytestmark = pytest.mark.django_db

PAGE = "/audit/"


def rows(page):
    return [event for event, _ in page.context["events"]]


def body(response) -> str:
    return b"".join(response.streaming_content).decode()


@pytest.fixture
def two_teams(team, other_team, ines, mallory):
    """One act in each team, and one in none."""
    return [
        act("member.added", team, by=ines, person="new@example.com", role="viewer"),
        act("team.changed", other_team, by=mallory, before={"max_budget": "5.00"}, after={"max_budget": "9.00"}),
        act("person.made", ines),
    ]


# --- who sees what --------------------------------------------------------------------------------


@pytest.mark.parametrize(("who", "sees"), [("ruth", [3, 2, 1]), ("audra", [3, 2, 1]), ("ines", [1]), ("mallory", [2])])
def test_platform_people_see_all_acts_and_team_admins_those_of_their_teams(request, two_teams, as_person, who, sees):
    page = as_person(request.getfixturevalue(who)).get(PAGE)
    assert [two_teams.index(event) + 1 for event in rows(page)] == sees


@pytest.mark.parametrize("who", ["vic", "alice", "bob"])
def test_nobody_else_sees_any_and_is_told_why(request, two_teams, as_person, who):
    client = as_person(request.getfixturevalue(who))
    for refused in (
        client.get(PAGE),
        client.post(reverse("audit:secret"), {"secret": "kd_x"}),
        client.post(reverse("audit:export", args=["csv"])),
    ):
        assert refused.status_code == 403
        assert "see this team's audit" in text(refused)
    assert not AuditEvent.objects.filter(action="audit.exported").exists()


def test_the_trail_of_another_team_is_not_there(two_teams, as_person, ines, team, other_team):
    client = as_person(ines)
    assert client.get(PAGE, {"team": other_team.slug}).status_code == 404
    assert client.post(reverse("audit:export", args=["csv"]) + f"?team={other_team.slug}").status_code == 404
    assert rows(client.get(PAGE, {"team": team.slug})) == two_teams[:1]
    assert rows(client.get(PAGE, {"target": str(other_team.pk)})) == []


# --- how it reads ---------------------------------------------------------------------------------


def test_a_row_is_a_sentence_with_its_exact_time_and_what_changed(two_teams, as_person, ruth):
    said = text(as_person(ruth).get(PAGE))
    assert "ines@example.com put new@example.com into Search Platform as viewer." in said
    assert "mallory@example.com changed the team Mobile Assist." in said
    assert "Max budget 5.00 → became 9.00" in said
    assert f"{two_teams[0].at:%Y-%m-%d %H:%M:%S}" in said


def test_an_act_that_has_no_words_is_still_readable(team, ruth, as_person):
    act("something.quite_new", team)
    assert "Keydesk something quite new: Search Platform." in text(as_person(ruth).get(PAGE))


def test_a_reason_that_ends_with_a_full_stop_gets_no_second_one(team, ruth, as_person):
    act("request.denied", team, reason="Try coding first.")
    assert "Keydesk denied Search Platform: Try coding first. " in text(as_person(ruth).get(PAGE))


def test_names_are_text_and_not_markup(other_team, ruth, as_person):
    other_team.name = "<script>alert(1)</script> {target}"
    act("team.made", other_team)
    assert "<script>alert" not in as_person(ruth).get(PAGE).content.decode()


def test_it_says_how_far_it_is_sealed(two_teams, as_person, ruth):
    client = as_person(ruth)
    assert "No act is sealed yet; three acts wait to be." in text(client.get(PAGE))
    sealing.seal()
    assert "3 acts are sealed" in text(client.get(PAGE))


# --- how it is searched ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"action": "member."}, [1]),
        ({"action": "team.changed"}, [2]),
        ({"actor": "MALLORY"}, [2]),
        ({"target": "search"}, [1]),
        ({"team": "mobile"}, [2]),
        ({"from": "2026-02-01", "to": "2026-02-01"}, []),
        ({"from": "2020-01-01"}, [3, 2, 1]),
        ({"ip": "10.0.0.1"}, []),
        ({"token": "8a8a8a8a-8a8a-4a8a-8a8a-8a8a8a8a8a8a"}, []),
        ({"action": "member.", "actor": "mallory"}, []),
    ],
)
def test_filters_are_the_address_of_the_page(two_teams, as_person, ruth, query, found):
    page = as_person(ruth).get(PAGE, query)
    assert [two_teams.index(event) + 1 for event in rows(page)] == found


def test_days_are_utc_and_both_of_them_count(team, ruth, as_person):
    for hour in (datetime(2026, 1, 31, 23, 59, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)):
        with time_machine.travel(hour, tick=False):
            act("team.made", team)
    client = as_person(ruth)
    assert [event.at.day for event in rows(client.get(PAGE, {"from": "2026-01-31", "to": "2026-01-31"}))] == [31]
    assert [event.at.day for event in rows(client.get(PAGE, {"from": "2026-02-01"}))] == [1]


def test_a_filter_that_cannot_be_used_says_so_and_exports_nothing(two_teams, as_person, ruth):
    client = as_person(ruth)
    assert "Enter a valid date" in text(client.get(PAGE, {"from": "yesterday"}))
    assert client.post(reverse("audit:export", args=["csv"]) + "?from=yesterday").status_code == 422


def test_pages_go_by_the_last_act_so_that_new_acts_move_none(team, ruth, as_person, monkeypatch):
    monkeypatch.setattr("teams.views.audit.ROWS", 2)
    events = [act("team.made", team) for _ in range(3)]
    client = as_person(ruth)
    first = client.get(PAGE, {"team": team.slug})
    assert rows(first) == events[:0:-1]
    act("team.made", team)
    older = client.get(PAGE, {"team": team.slug, "before": first.context["older"]})
    assert rows(older) == events[:1]
    assert older.context["older"] is None
    assert rows(client.get(PAGE, {"before": "x"})) == rows(client.get(PAGE))


# --- a pasted secret ------------------------------------------------------------------------------


def test_a_pasted_virtual_key_finds_what_was_done_with_it(make_key, alice, ines, as_person, caplog):
    caplog.set_level("DEBUG")
    first = make_key()
    make_key()
    leases.revoke(first.lease, by=ines, reason="asked")
    client = as_person(ines)
    answer = client.post(reverse("audit:secret"), form_of(client.get(PAGE), "") | {"secret": f"  {first.secret}\n"})
    assert answer.status_code == 302
    page = client.get(answer["Location"])
    assert {event.action for event in rows(page)} == {"key.issued", "key.revocation_asked", "key.revoked"}
    assert {event.target_id for event in rows(page)} == {str(first.lease.pk)}
    for place in (answer["Location"], page.content.decode(), str(dict(client.session)), caplog.text):
        assert first.secret not in place
    assert rows(client.get(PAGE, {"secret": trail.hash_of(first.lease.current.token_hash)})) == rows(page)
    assert "No act with this secret" in text(client.get(PAGE, {"secret": trail.hash_of("sk-unknown")}))


def test_both_secrets_of_a_rotated_key_are_found(make_key, alice, ines, as_person):
    issued = make_key()
    again = leases.rotate(issued.lease, by=alice)
    client = as_person(ines)
    for secret, found in ((issued.secret, "key.issued"), (again.secret, "key.rotated")):
        page = client.get(PAGE, {"secret": trail.hash_of(secret)})
        assert found in {event.action for event in rows(page)}


def test_a_pasted_api_token_is_found(ruth, as_person):
    _, plain = make_token(ruth, name="ci", scopes=["read"], by=ruth)
    page = as_person(ruth).get(PAGE, {"secret": trail.hash_of(plain)})
    assert [event.action for event in rows(page)] == ["token.made"]


def test_another_team_cannot_find_the_secrets_of_this_one(make_key, mallory, as_person):
    assert rows(as_person(mallory).get(PAGE, {"secret": trail.hash_of(make_key().secret)})) == []


def test_no_secret_and_no_bare_hash_of_one_is_in_the_trail(make_key, alice):
    issued = make_key()
    leases.rotate(issued.lease, by=alice)
    kept = str(list(AuditEvent.objects.values()))
    for version in issued.lease.versions.all():
        assert version.token_hash not in kept
    assert issued.secret not in kept


def test_an_empty_paste_is_refused_at_its_field(ruth, as_person):
    refused = as_person(ruth).post(reverse("audit:secret"), {"secret": ""})
    assert refused.status_code == 422
    assert "This field is required" in text(refused)


# --- exports --------------------------------------------------------------------------------------


def test_an_export_holds_what_the_page_shows_and_is_itself_on_record(two_teams, as_person, ruth):
    client = as_person(ruth)
    answer = client.post(reverse("audit:export", args=["jsonl"]) + "?action=team.")
    found = [json.loads(line) for line in body(answer).splitlines()]
    assert [row["id"] for row in found] == [two_teams[1].pk]
    assert (found[0]["before"], found[0]["after"]) == ({"max_budget": "5.00"}, {"max_budget": "9.00"})
    assert "salt" not in found[0]
    assert "attachment" in answer["Content-Disposition"]
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.actor, event.facts) == (
        "audit.exported", "ruth@example.com", {"kind": "jsonl", "looked_for": {"action": "team."}},
    )  # fmt: skip


def test_a_team_admin_exports_their_team_alone_and_it_is_in_that_teams_audit(two_teams, as_person, ines, team):
    answer = as_person(ines).post(reverse("audit:export", args=["csv"]))
    table = list(csv.DictReader(io.StringIO(body(answer))))
    assert [row["id"] for row in table] == [str(two_teams[0].pk)]
    assert json.loads(table[0]["facts"]) == {"person": "new@example.com", "role": "viewer"}
    assert AuditEvent.objects.get(action="audit.exported").team_id == str(team.pk)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "|x"])
def test_no_cell_is_a_formula(name, team, ruth, as_person):
    team.name = name
    act("team.made", team)
    (row,) = csv.DictReader(io.StringIO(body(as_person(ruth).post(reverse("audit:export", args=["csv"])))))
    assert row["target"] == f"'{name}"


def test_a_long_export_is_read_in_batches(team, ruth, as_person, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(trail, "BATCH", 2)
    events = [act("team.made", team) for _ in range(5)]
    answer = as_person(ruth).post(reverse("audit:export", args=["jsonl"]))
    assert [json.loads(line)["id"] for line in body(answer).splitlines()] == [event.pk for event in reversed(events)]


def test_there_is_no_other_kind_of_export(ruth, as_person):
    assert as_person(ruth).post(reverse("audit:export", args=["xml"])).status_code == 404


# --- the way there --------------------------------------------------------------------------------


def test_team_admins_find_it_on_the_page_of_their_team_and_of_its_keys(team, ines, alice, make_key, as_person):
    lease = make_key().lease
    client = as_person(ines)
    assert f"/audit/?team={team.slug}" in client.get(reverse("teams:team", args=[team.slug])).content.decode()
    assert f"/audit/?target={lease.pk}" in client.get(reverse("keys:lease", args=[lease.pk])).content.decode()
    client = as_person(alice)
    assert "/audit/" not in client.get(reverse("teams:team", args=[team.slug])).content.decode()


def test_an_act_for_somebody_says_for_whom(team, ines, alice, ruth, make_key, as_person):
    lease = make_key().lease
    leases.pause(lease, by=ines)
    change_team(team, by=ruth, name="Renamed")
    said = text(as_person(ines).get(PAGE))
    assert "ines@example.com paused" in said
    assert "on behalf of alice@example.com" in said
    assert AuditEvent.objects.get(action="team.changed").on_behalf_of == ""
    assert AuditEvent.objects.get(action="key.issued").on_behalf_of == ""


def test_what_is_done_with_an_api_token_is_found_by_it(client, ruth, bearer, as_person):
    headers = bearer(ruth)
    client.post("/api/v1/teams/", {"name": "New"}, content_type="application/json", headers=headers)
    token = ApiToken.objects.get()
    assert [event.action for event in rows(as_person(ruth).get(PAGE, {"token": str(token.pk)}))] == ["team.made"]


def test_every_act_belongs_to_a_group_that_the_filter_names():
    kinds = set()
    for source in (path for app in ("portal", "teams", "keys") for path in (ROOT / app).rglob("*.py")):
        kinds |= set(re.findall(r'_?record\(\s*f?"([a-z_]+)\.', source.read_text()))
    assert {"key", "member", "token", "audit"} <= kinds
    assert kinds - set(GROUPS) == set(), "add what people call these to teams/acts.py"
    assert {action.partition(".")[0] for action in PHRASES} <= set(GROUPS)
