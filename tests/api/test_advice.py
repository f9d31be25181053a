"""Right-sizing over REST: who sees what is proposed, and who answers it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from keys.models import Advice
from keys.services import advice
from tests.api.answers import code, names
from tests.keys.test_advice import old, use  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db


@pytest.fixture
def found(old, use):  # noqa: F811
    """Alice's key used $2.40 of its $50.00 in a month, and one was never used; what saves more is first."""
    use(old(models=("gpt-4o",), name="notebook"), "2.4")
    old(name="forgotten")
    advice.look()
    return {each.kind: each for each in Advice.objects.all()}


def test_a_holder_sees_what_is_proposed_and_applies_it(sandbox, call, found, alice, mallory, vic):
    rows = call("get", "advice/?state=open", by=alice).json()["results"]
    assert {row["id"] for row in rows} == {each.pk for each in found.values()}
    assert [row["saves"] for row in rows] == sorted((row["saves"] for row in rows), key=lambda x: -float(x or -1))
    one = found["budget"]
    told = call("get", f"advice/{one.pk}/", by=alice).json()
    assert (told["proposed"]["max_budget"], told["team"], told["role"]) == ("10", "search", None)
    for who in (mallory, vic):
        assert call("get", "advice/", by=who).json()["results"] == []
        assert code(call("post", f"advice/{one.pk}/apply/", by=who)) == (404, "not_found")
    done = call("post", f"advice/{one.pk}/apply/", by=alice)
    assert (done.status_code, done.json()["state"], done.json()["by"]) == (200, "applied", alice.email)
    assert call("get", f"keys/{one.lease_id}/", by=alice).json()["max_budget"] == "10.0000"
    assert code(call("post", f"advice/{one.pk}/apply/", by=alice)) == (409, "advice_closed")


def test_it_is_put_off_and_brought_back_and_narrowed_in_the_list(call, found, alice, audra):
    one, until = found["unused"], timezone.now().date() + timedelta(days=7)
    path = f"advice/{one.pk}/"
    done = call("post", f"{path}snooze/", {"until": str(until), "reason": "on leave"}, by=alice).json()
    assert (done["state"], done["reason"], done["snoozed_until"]) == ("snoozed", "on leave", f"{until}T00:00:00Z")
    for query, count in {
        "state=snoozed": 1,
        "kind=unused": 1,
        "kind=x": 0,
        "team=search": len(found),
        "team=x": 0,
    }.items():
        assert len(call("get", f"advice/?{query}", by=audra).json()["results"]) == count, query
    assert call("post", f"{path}wake/", by=alice).json()["state"] == "open"
    for body, name in (
        ({"until": str(until)}, "reason"), ({"until": "x", "reason": "x"}, "until"),
        ({"until": "2020-01-01", "reason": "x"}, "until"), ({"until": "9999-12-31", "reason": "x"}, "until"),
    ):  # fmt: skip
        refused = call("post", f"{path}snooze/", body, by=alice)
        assert (code(refused), names(refused)) == ((422, "invalid"), [name])
    refused = call("post", f"{path}apply/", by=alice, scopes=["read", "keys:issue"])
    assert (refused.status_code, refused.json()["error"]["details"]["scope"]) == (403, "keys:manage")
    assert code(call("post", f"{path}apply/", by=audra)) == (403, "not_allowed")
