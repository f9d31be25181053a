"""The form of a key role says who decides: about a key, and about more than the role gives."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse

from keys.models import KeyRole
from tests.pages.test_platform_pages import form_of, role_form, text

pytestmark = pytest.mark.django_db


def test_a_role_that_asks_is_made_and_read_back(sandbox, ruth, as_person):
    client = as_person(ruth)
    sent = role_form(client, name="frontier", more_models="gpt-4o", who="all", approval="two", excess="platform",
                     auto_ttl="24h", auto_budget="5")  # fmt: skip
    assert client.post(reverse("keys:role_new"), sent).status_code == 302
    role = KeyRole.objects.get()
    assert (role.approval, role.excess, role.auto_ttl, role.auto_budget) == (
        "two", "platform", timedelta(days=1), Decimal(5),
    )  # fmt: skip
    shown = form_of(client.get(reverse("keys:role_edit", args=[role.pk])), "role")
    assert (shown["approval"], shown["excess"], shown["auto_ttl"]) == ("two", "platform", "24h")


@pytest.mark.parametrize("half", [{"auto_ttl": "24h"}, {"auto_budget": "5"}])
def test_bounds_are_both_or_neither(sandbox, ruth, as_person, half):
    client = as_person(ruth)
    sent = role_form(client, name="frontier", more_models="gpt-4o", who="all", approval="team", **half)
    answer = client.post(reverse("keys:role_new"), sent)
    assert answer.status_code == 422
    assert "Set both bounds, or neither." in text(answer)


def test_a_role_that_issues_everything_at_once_keeps_no_bounds(sandbox, ruth, as_person):
    client = as_person(ruth)
    sent = role_form(client, name="coding", more_models="gpt-4o", who="all", approval="auto", auto_ttl="24h")
    assert client.post(reverse("keys:role_new"), sent).status_code == 302
    assert KeyRole.objects.get().auto_ttl is None
