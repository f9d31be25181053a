"""Money on the pages: three figures, limits along the chain, budgets of a team and of its members: no proxy asked."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from keys.models import KeyVersion, SpendDay
from tests.pages.conftest import form_of, text
from tests.pages.test_own_pages import lease_url

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def spent(sandbox):
    """Write down that a key spent something, as the sync does."""

    def write(lease, amount, counter=None, model="gpt-4o", day=None):
        now, version = timezone.now(), lease.current
        SpendDay.objects.create(
            gateway=lease.gateway, version=version, day=day or now.date(), model=model, spend=Decimal(amount),
            prompt_tokens=12_345, completion_tokens=678, requests=9, team=lease.team, holder=lease.holder,
            key_alias=version.alias, team_name=str(lease.team), holder_name=str(lease.holder),
            role_name=str(lease.role), written_at=now,
        )  # fmt: skip
        KeyVersion.objects.filter(pk=version.pk).update(
            counter=Decimal(counter or amount), total=Decimal(counter or amount), counter_at=now
        )
        type(lease).objects.filter(pk=lease.pk).update(spend=Decimal(amount), last_used_at=now)

    return write


def test_three_figures_stand_side_by_side_with_their_difference(make_key, alice, spent, as_person):
    lease = make_key().lease
    spent(lease, "38.14", counter="38.20")
    page = text(as_person(alice).get(lease_url(lease)))
    assert "Counter of the gateway $38.20" in page
    assert "Ledger of the gateway $38.14" in page
    assert "Ours $38.14" in page
    assert "Difference $0.06" in page
    assert "12,345" in page
    assert "UTC days from 1" in page


def test_a_difference_below_a_cent_is_none(make_key, alice, spent, as_person):
    lease = make_key().lease
    spent(lease, "38.14", counter="38.1409")
    assert "the three agree to the cent" in text(as_person(alice).get(lease_url(lease)))


def test_the_limits_name_the_one_that_binds_what_is_left_and_who_set_it(make_key, alice, spent, as_person):
    lease = make_key(max_budget=Decimal(40)).lease
    spent(lease, "38.20")
    page = text(as_person(alice).get(lease_url(lease)))
    assert "binds: $40.00 a month $1.80 left" in page
    assert "Alice, when the key was issued" in page
    assert f"$1.80 of $40.00 a month left for {lease}." in page
    assert "Once it is spent, calls are refused until" in page


def test_a_spent_budget_says_until_when_calls_are_refused(make_key, alice, spent, as_person):
    lease = make_key(max_budget=Decimal(40)).lease
    spent(lease, "40")
    assert f"The budget of {lease} is spent: $40.00 a month. Calls are refused until" in text(
        as_person(alice).get(lease_url(lease))
    )


def test_lists_show_what_is_spent_of_what(make_key, alice, spent, as_person):
    lease = make_key(max_budget=Decimal(40)).lease
    spent(lease, "38.20")
    page = as_person(alice).get("/")
    assert "$38.20 of $40.00 a month" in text(page)
    assert "bar-danger" in page.content.decode()
    assert "Spend and use as of" in text(page)


def test_a_list_of_keys_costs_the_same_few_queries_however_long(
    make_key, make_role, alice, as_person, django_assert_max_num_queries
):
    role = make_role()
    for number in range(6):
        make_key(role=role, name=f"key-{number}")
    client = as_person(alice)
    with django_assert_max_num_queries(28):
        client.get("/")


def test_a_team_admin_sets_what_a_member_may_spend(make_key, team, alice, ines, as_person):
    make_key()
    client = as_person(ines)
    url = reverse("teams:holder_budget", args=["search", alice.pk])
    assert url in client.get("/teams/search/members/").content.decode()
    done = client.post(url, form_of(client.get(url)) | {"max_budget": "$500"}, follow=True)
    assert "Alice has a budget of $500.00 here now." in text(done)
    assert "$0.00 of $500.00 a month" in text(done)
    assert team.memberships.get(user=alice).max_budget == 500
    done = client.post(url, {"max_budget": ""}, follow=True)
    assert "Alice has no budget of their own here now." in text(done)
    assert team.memberships.get(user=alice).max_budget is None


def test_a_holder_budget_above_the_team_is_refused_at_its_field(make_key, team, alice, ines, as_person):
    type(team).objects.filter(pk=team.pk).update(max_budget=100)
    url = reverse("teams:holder_budget", args=["search", alice.pk])
    answer = as_person(ines).post(url, {"max_budget": "500"})
    assert answer.status_code == 422
    assert "id_max_budget_error" in answer.content.decode()
    assert "The team itself has $100.00." in text(answer)


def test_a_member_sees_budgets_and_no_way_to_set_them(make_key, team, alice, bob, as_person):
    team.memberships.filter(user=bob).update(max_budget=50)
    page = as_person(alice).get("/teams/search/members/")
    assert "$50.00 a month" in text(page)
    assert "/budget/" not in page.content.decode()


def test_no_page_asks_a_proxy(make_key, alice, ines, sandbox, as_person):
    lease = make_key().lease
    sandbox.faults.fail_next("*", RuntimeError("a page called the proxy"), times=50)
    for who, url in (
        (alice, "/"),
        (alice, lease_url(lease)),
        (ines, "/teams/search/keys/"),
        (ines, "/teams/search/members/"),
        (ines, f"/keys/revoke/?id={lease.pk}"),
    ):
        assert as_person(who).get(url).status_code == 200
