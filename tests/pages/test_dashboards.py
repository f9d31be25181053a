"""Dashboards as people get them: what each one sees, for which days, and the same as a file. No proxy is asked."""

from __future__ import annotations

import csv
import io
import re
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.contrib.staticfiles import finders
from django.urls import reverse
from django.utils import timezone

from keys.models import Counter, Gateway, Lease, Statement
from keys.services import statements
from portal.models import AuditEvent
from teams.models import Team, User
from tests.keys.statement_rows import row
from tests.pages.conftest import text

pytestmark = pytest.mark.django_db


def url(name, *more):
    return reverse(f"keys:{name}", args=["search", *more])


def file_of(response) -> list[dict[str, str]]:
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


@pytest.fixture
def today() -> date:
    return timezone.now().date()


@pytest.fixture
def spent(make_key, alice, bob, today):
    """Alice $600 today with one model, Bob $187.60 with two; and $100 of hers on the first day of the month before."""
    hers, his = make_key(name="laptop").lease, make_key(holder=bob, name="batch").lease
    row(hers, today, "600")
    row(his, today, "180")
    row(his, today, "7.60", model="gpt-4o-mini")
    row(hers, (today.replace(day=1) - timedelta(days=1)).replace(day=1), "100")
    Gateway.objects.update(spend_synced_at=timezone.now())
    return hers, his


def test_chart_js_comes_from_the_wheel_and_only_with_a_chart(spent, ines, as_person):
    assert finders.find("chart/chart.js")
    assert finders.find("portal/js/charts.js")
    client = as_person(ines)
    for path, has in (
        (url("team_spend"), True),
        ("/teams/search/", True),
        ("/teams/search/keys/", False),
        ("/", False),
    ):
        assert ("chart/chart.js" in client.get(path).content.decode()) is has, path


def test_a_team_sees_what_it_spent_by_member_model_and_day(spent, bob, as_person):
    page = text(as_person(bob).get(url("team_spend")))
    assert re.search(r"Alice \S+ calls? \$600.00 \+500 % \$100.00", page)
    assert re.search(r"Bob \S+ calls? \$187.60 new \$0.00", page)
    assert re.search(r"gpt-4o-mini \S+ calls? \$7.60", page)
    assert "$787.60 on " in page
    assert "from the ledger, as of" in page


def test_who_does_not_see_all_keys_sees_totals_and_no_names(spent, alice, vic, as_person):
    for who in (alice, vic):
        page = text(as_person(who).get(url("team_spend")))
        assert "$787.60" in page
        assert "gpt-4o-mini" in page
        assert "By member" not in page
        assert "Bob" not in page
        assert "csv" not in page.lower()


def test_a_chart_is_drawn_from_a_table_that_says_the_same(spent, bob, as_person, today):
    body = as_person(bob).get(url("team_spend")).content.decode()
    chart = body[body.index('id="chart-days"') : body.index("</figure>")]
    figures = [Decimal(each) for each in re.findall(r'data-value="([^"]+)"', chart)]
    assert len(figures) == today.day
    assert sum(figures) == Decimal("787.60")
    assert chart.count('data-series="bar"') == 1
    assert "open>" in chart


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?from=2026-02-30&to=2026-03-01", "“2026-02-30” is not a day"),
        ("?from=2025-03-01&to=2025-02-01", "2025-03-01 is after 2025-02-01"),
        ("?from=2025-03-01", "Give both days"),
        ("?from=2024-01-01&to=2025-06-01", "518 days are too many: at most 366 at once"),
        ("?from=2025-01-01&to=9999-12-31", "9999-12-31 is not here yet"),
        ("?from=1900-01-01&to=1900-01-02", "before there was anything to spend"),
        ("?from=%0A&to=x", "“That” is not a day"),
    ],
)
def test_days_that_cannot_be_are_told_and_this_month_is_shown(spent, ines, as_person, query, said):
    client = as_person(ines)
    page = client.get(url("team_spend") + query)
    assert page.status_code == 200
    assert said in text(page)
    assert "This month is shown instead." in text(page)
    assert "$787.60" in text(page)
    refused = client.get(url("team_spend_csv", "member") + query)
    assert refused.status_code == 422  # a file of other days than were asked for would be wrong
    assert said in text(refused)


def test_days_are_in_the_address_and_have_neighbours_to_compare_with(spent, ines, as_person, today):
    last = today.replace(day=1) - timedelta(days=1)
    page = as_person(ines).get(f"{url('team_spend')}?from={last.replace(day=1)}&to={last}")
    assert "$100.00 on 1 to" in text(page)
    assert "Bob" not in text(page)
    assert re.search(r'aria-current="true">\s*Last month', page.content.decode())
    assert f'value="{last}"' in page.content.decode()


@pytest.mark.parametrize(("what", "column"), [("member", "member"), ("model", "model"), ("day", "day")])
def test_a_file_says_what_the_page_says(spent, ines, as_person, what, column):
    client = as_person(ines)
    told = file_of(client.get(url("team_spend_csv", what)))
    assert sum(Decimal(each["spend_usd"]) for each in told) == Decimal("787.60")
    page = text(client.get(url("team_spend")))
    for each in told[:3]:
        assert column == "day" or each[column] in page
    assert client.get(url("team_spend_csv", "secrets")).status_code == 404


def test_no_cell_of_a_file_is_a_formula(spent, ines, as_person):
    for name in ('=HYPERLINK("http://evil.example")', " =1+1", "\uff1d1+1", "\ufeff=1+1"):
        User.objects.filter(email="bob@example.com").update(name=name)
        told = file_of(as_person(ines).get(url("team_spend_csv", "member")))
        assert [each["member"] for each in told] == ["Alice", f"'{name}"]


def test_the_overview_says_where_the_budget_leads(spent, team, alice, as_person):
    Team.objects.filter(pk=team.pk).update(max_budget=2400, created_at=timezone.now() - timedelta(days=99))
    hers, _ = spent
    Counter.objects.create(gateway=hers.gateway, team=team, spend=Decimal("787.60"), read_at=timezone.now())
    page = as_person(alice).get("/teams/search/")
    said = text(page)
    assert "Left of $2,400.00 $1,612.40" in said
    assert "Spent $787.60" in said
    assert "counted by sandbox, as of" in said
    assert "starts anew" in said
    assert "Promised to live keys $100.00 0.0 times the budget" in said
    assert "Two live keys held by two people" in said
    assert "Under 7 days 2" in said
    assert 'id="chart-burn-' in page.content.decode()


def test_keys_that_nobody_uses_are_listed_to_who_may_see_them(spent, alice, bob, as_person):
    Lease.objects.update(last_used_at=timezone.now() - timedelta(days=41))
    assert "batch" in text(as_person(bob).get("/teams/search/"))
    page = text(as_person(alice).get("/teams/search/"))
    assert "laptop" in page
    assert "41 days" in page
    assert "batch" not in page


def test_old_addresses_of_the_keys_lead_to_their_page(spent, bob, as_person):
    page = as_person(bob).get("/teams/search/?state=ended", follow=True)
    assert page.redirect_chain == [("/teams/search/keys/?state=ended", 302)]


def test_the_platform_sees_spend_by_team_and_who_moved(spent, other_team, ruth, alice, as_person, today):
    hers, _ = spent
    row(hers, today, "5", model="o1", team=other_team, team_name="Mobile Assist")
    client = as_person(ruth)
    page = text(client.get("/platform/"))
    assert "Live keys 2 held by two people" in page
    assert "$792.60" in page
    assert re.search(r"Search Platform \S+ calls? \$787.60 \+688 % \$100.00", page)
    assert "Search Platform +$687.60 +688 %" in page
    assert "Mobile Assist +$5.00 new" in page
    assert "sandbox" in page
    told = file_of(client.get(reverse("keys:platform_csv", args=["team"])))
    assert [(each["team"], each["spend_usd"]) for each in told] == [
        ("Search Platform", "787.60"), ("Mobile Assist", "5.00"),
    ]  # fmt: skip
    assert as_person(alice).get("/platform/").status_code == 403


def test_a_platform_on_its_first_day_says_that_nothing_is_there_yet(sandbox, ruth, as_person):
    page = text(as_person(ruth).get("/platform/"))
    assert "Nothing was spent on these days." in page
    assert "No live key yet, so nothing can be too wide." in page
    assert "100 %" not in page


def test_my_own_page_says_what_my_keys_spent(spent, alice, as_person):
    page = text(as_person(alice).get("/"))
    assert "so far $600.00 +500 % on" in page
    assert "End within 7 days 0" in page


@pytest.mark.parametrize("path", ["/teams/search/", "/teams/search/spend/", "/platform/", "/teams/search/statements/"])
def test_a_page_asks_as_many_questions_for_many_rows(spent, team, ruth, make_key, as_person, path, today):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    client = as_person(ruth)
    client.get(path)

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path).status_code == 200
        return len(queries)

    few = asked()
    hers, his = spent
    for number in range(40):
        row(hers, today, "1", model=f"model-{number}")
        row(his, today - timedelta(days=number), "1", model="o1")
    for number in range(4):
        make_key(name=f"more-{number}")
    assert asked() == few


def test_no_dashboard_asks_a_proxy(spent, sandbox, ruth, as_person):
    sandbox.faults.fail_next("*", RuntimeError("a page called the proxy"), times=50)
    client = as_person(ruth)
    for path in ("/teams/search/", "/teams/search/spend/", "/teams/search/statements/", "/statements/", "/platform/"):
        assert client.get(path).status_code == 200


@pytest.fixture
def closed(spent, team, today) -> Statement:
    """The statement of last month, closed with the month's settling time over."""
    Team.objects.filter(pk=team.pk).update(cost_centre="CC-100")
    statements.close_due(timezone.now() + timedelta(days=4))
    return Statement.objects.earliest("month")


def test_a_team_admin_reads_a_statement_and_takes_it_along(closed, team, ines, as_person):
    client = as_person(ines)
    assert f"{closed.month:%B %Y} $100.00 CC-100" in text(client.get(url("team_statements")))
    page = text(client.get(url("statement", closed.number)))
    assert "Search Platform spent $100.00" in page
    assert "Alice" in page
    told = file_of(client.post(url("statement_export", closed.number, "csv")))
    columns = ("holder", "spend_usd", "cost_centre")
    assert [tuple(each[name] for name in columns) for each in told] == [("Alice", "100.00", "CC-100")]
    focus = file_of(client.post(url("statement_export", closed.number, "focus")))
    assert [each["BilledCost"] for each in focus] == ["100.00"]
    assert AuditEvent.objects.filter(action="statement.exported", target_type="statement").count() == 2
    assert client.get(url("statement", "1999-01")).status_code == 404
    assert client.get(url("statement", "soon")).status_code == 404
    assert client.post(url("statement_export", closed.number, "xlsx")).status_code == 404


def test_the_platform_takes_a_month_by_cost_centre(closed, ruth, as_person):
    client, month = as_person(ruth), closed.number
    page = text(client.get(f"/statements/?month={month}&cost_centre=CC-100"))
    assert "CC-100: $100.00 of one team" in page
    export = reverse("keys:statements_export", args=["focus"])
    assert len(file_of(client.post(export, {"month": month, "cost_centre": "CC-100"}))) == 1
    assert file_of(client.post(export, {"month": month, "cost_centre": "CC-200"})) == []
    assert client.post(export, {"month": "x"}).status_code == 404


def test_who_may_not_see_reports_finds_no_statement(closed, alice, bob, mallory, as_person):
    for who in (alice, bob):
        client = as_person(who)
        for path in (url("team_statements"), url("statement", closed.number), "/statements/"):
            assert client.get(path).status_code == 403
        assert "Statements" not in text(client.get("/teams/search/"))
    assert as_person(mallory).get(url("team_statements")).status_code == 404
    assert "Search Platform" not in text(as_person(mallory).get(f"/statements/?month={closed.number}"))


def test_only_a_platform_admin_changes_a_cost_centre(team, ruth, ines, as_person):
    edit = reverse("teams:edit", args=["search"])
    sent = {"name": "Search Platform", "budget_duration": "1mo", "max_budget": "", "cost_centre": "CC-7"}
    as_person(ines).post(edit, sent)
    team.refresh_from_db()
    assert team.cost_centre == ""
    as_person(ruth).post(edit, sent)
    team.refresh_from_db()
    assert team.cost_centre == "CC-7"
    too_long = as_person(ruth).post(edit, sent | {"cost_centre": "C" * 65})
    assert too_long.status_code == 422
