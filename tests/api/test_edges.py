"""What a script may send by mistake or on purpose: refused in words, never a 500, and nobody else's names told."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from keys.api import urls
from keys.models import Lease
from keys.models.role import MOST_MODELS, RESERVED
from portal.mail import send_due
from portal.models import AuditEvent
from teams.models import Team, User
from tests.permissions.table import FILE_OF, Asked

pytestmark = pytest.mark.django_db(transaction=True)

ROLE = {"name": "coding", "models": ["gpt-4o-mini"], "all_teams": True}
ORDER = {"team": "search", "role": "coding"}


@pytest.fixture
def call(client, call):
    """A bug answers 500, as in production."""
    client.raise_request_exception = False
    return call


def refused(answer, field: str) -> bool:
    return answer.status_code == 422 and field in answer.json()["error"]["details"]


# --- queries and bodies ---------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["team=%00", "state=%00", "state=nonsense", "team=nowhere"])
def test_a_filter_that_fits_nothing_finds_nothing(sandbox, call, alice, make_key, query):
    make_key()
    answer = call("get", f"keys/?{query}", by=alice)
    assert (answer.status_code, answer.json()["results"]) == (200, [])


def test_a_list_comes_in_the_order_that_is_asked_for_across_its_pages(sandbox, call, alice, make_key):
    keys = [make_key(ttl=timedelta(hours=hours)).lease for hours in (2, 3, 1)]
    for ordering, wanted in (("expires_at", (2, 0, 1)), ("-expires_at", (1, 0, 2)), ("issued_at", (0, 1, 2))):
        first = call("get", f"keys/?ordering={ordering}&page_size=2", by=alice).json()
        rest = call("get", first["next"].removeprefix("http://testserver/api/v1/"), by=alice).json()
        assert [each["id"] for each in first["results"] + rest["results"]] == [str(keys[each].pk) for each in wanted]
    for wrong in ("spend", "--issued_at", "", "holder__password"):
        assert refused(call("get", f"keys/?ordering={wrong}", by=alice), "ordering")
    assert refused(call("get", "gateways/?ordering=name", by=alice), "ordering")


def test_every_order_of_every_list_works(call, ruth):
    views = {str(each.pattern): each.callback.view_class for each in urls.urlpatterns}
    orders = {path: view.orders for path, view in views.items() if getattr(view, "orders", ())}
    assert {"keys/", "requests/", "teams/", "tokens/"} <= set(orders)
    for path, names in orders.items():
        for ordering in (way + name for name in names for way in ("", "-")):
            assert call("get", f"{path}?ordering={ordering}", by=ruth).status_code == 200, (path, ordering)


def test_an_amount_of_an_answer_may_be_sent_again(sandbox, call, alice, make_role):
    make_role(max_budget=5)
    first = call("post", "keys/", ORDER | {"max_budget": "1.5"}, by=alice).json()
    assert first["budget"]["max"] == "1.500000"
    again = call("post", "keys/", ORDER | {"max_budget": first["budget"]["max"]}, by=alice).json()
    assert again["budget"] == first["budget"]
    assert refused(call("post", "keys/", ORDER | {"max_budget": "1.500001"}, by=alice), "max_budget")


@pytest.mark.parametrize("cursor", ["cD14", "cD0lMDA%3D", "%00", "nonsense"])  # p=x, p=%00
@pytest.mark.parametrize("path", ["keys", "roles", "teams"])
def test_a_cursor_that_is_none_of_ours_is_no_500(sandbox, call, alice, make_key, path, cursor):
    make_key()
    assert call("get", f"{path}/?cursor={cursor}", by=alice).status_code in {200, 404}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("ttl", "9" * 5000, id="a ttl of 5,000 nines"),
        pytest.param("ttl", 10**4000, id="a ttl of 4,001 digits"),
        ("ttl", "²"),
        ("ttl", ["1h"]),
        ("max_budget", 1e300),
        ("max_budget", "1e-9"),
        ("max_budget", "NaN"),
        ("models", ["a\u0000"]),
        ("models", [["x"]]),
        ("models", {"a": 1}),
        ("name", "\ud800"),
        ("purpose", "a\u0000"),
        ("team", {"a": 1}),
        ("role", "\u0000"),
        ("gateway", "\u0000"),
    ],
)
def test_a_value_that_is_none_is_refused_with_its_field_named(sandbox, call, alice, make_role, field, value):
    make_role()
    assert refused(call("post", "keys/", ORDER | {field: value}, by=alice), field)
    assert not Lease.objects.exists()


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "{", "nonsense", "\ud800"])
def test_json_that_cannot_be_read_is_a_bad_request(sandbox, client, bearer, alice, text):
    client.raise_request_exception = False
    body = text.encode(errors="surrogatepass")
    answer = client.generic("POST", "/api/v1/keys/", body, content_type="application/json", headers=bearer(alice))
    assert answer.status_code == 400
    assert answer.json()["error"]["action"]


# --- every address of the API ---------------------------------------------------------------------

ODD = ["[]", "null", '"text"', "5", "true", "[[]]", '{"": 1}', '{"no_such_field": 1}', "{", '{"a": NaN}', "\udcff"]
WRITES = [
    (method, pattern.name)
    for pattern in urls.urlpatterns
    for method in ("post", "put", "patch", "delete")
    if hasattr(pattern.callback.view_class, method)
]


@pytest.fixture
def place(scene):
    """Where each name of the API is, with rows that are there and that ruth sees."""
    files = {file: Asked(scene, file) for file in {FILE_OF[f"api:{pattern.name}"] for pattern in urls.urlpatterns}}
    return lambda name: files[FILE_OF[f"api:{name}"]].paths[f"api:{name}"].partition("?")[0]


@pytest.mark.parametrize(("method", "name"), WRITES)
def test_a_body_that_is_none_changes_nothing_at_any_address(client, scene, place, method, name):
    client.raise_request_exception = False
    acts = AuditEvent.objects.exclude(action="access.refused")
    where, headers, before = place(name), scene.bearer(scene.ruth), acts.count()
    for body in ODD:
        sent = body.encode(errors="surrogateescape")
        answer = client.generic(method.upper(), where, sent, content_type="application/json", headers=headers)
        assert answer.status_code in {400, 422}, (body, answer.content)
        assert set(answer.json()["error"]) == {"code", "message", "action", "retryable", "details"}
    unreadable = client.generic(method.upper(), where, b"ttl=1h", content_type="text/plain", headers=headers)
    assert unreadable.status_code == 415
    wrong = client.generic(method.upper(), f"{where}?dry_run=1", b"", content_type="application/json", headers=headers)
    assert (wrong.status_code, list(wrong.json()["error"]["details"])) == (422, ["dry_run"])
    assert acts.count() == before


@pytest.mark.parametrize("name", [pattern.name for pattern in urls.urlpatterns])
def test_every_address_refuses_nobody_and_a_wrong_method_in_the_one_shape(client, scene, place, name):
    where = place(name)
    for answer in (client.get(where), client.generic("TRACE", where, headers=scene.bearer(scene.ruth))):
        assert answer.status_code in {401, 405}
        assert answer.json()["error"]["action"]
    assert client.options(where, headers=scene.bearer(scene.ruth)).status_code == 200


@pytest.mark.parametrize("query", ["q=%00", f"q={'x' * 101}", "holder=%00", "role=%00", "gateway=%00", "q=%25_%5C"])
def test_a_filter_of_keys_that_fits_nothing_finds_nothing_or_says_why(sandbox, call, alice, make_key, query):
    make_key()
    answer = call("get", f"keys/?{query}", by=alice)
    assert answer.status_code == 422 if "xx" in query else answer.json()["results"] == []


# --- models, metadata and aliases -----------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["gpt\u0007-4o", "gpt-4o\n\u202e", "two words", "no-default-models", "all-proxy-models", "*"]
)
def test_what_is_no_model_name_is_ordered_from_no_role_and_put_into_none(sandbox, call, alice, ruth, make_role, name):
    make_role(models=[], all_models=True)
    assert refused(call("post", "keys/", ORDER | {"models": [name]}, by=alice), "models")
    assert refused(call("post", "roles/", ROLE | {"name": "r", "models": ["gpt-4o", name]}, by=ruth), "models")


def test_a_member_cannot_fill_the_audit_with_model_names(sandbox, call, alice, make_role):
    make_role(models=[], all_models=True)
    names = [f"{n:06d}" + "x" * 190 for n in range(MOST_MODELS + 1)]
    assert refused(call("post", "keys/", ORDER | {"models": names}, by=alice), "models")
    assert sum(len(json.dumps(event.facts)) for event in AuditEvent.objects.all()) < 10_000


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_metadata_that_means_more_to_litellm_or_to_us_is_refused(sandbox, call, ruth, name):
    assert refused(call("post", "roles/", ROLE | {"metadata": {"cost_centre": "4711", name: "x"}}, by=ruth), "metadata")


@pytest.mark.parametrize("prefix", ["a/../b", "a b", "-a", "a\nb", "a\u0000"])
def test_an_alias_prefix_that_makes_no_alias_is_refused(sandbox, call, ruth, prefix):
    assert refused(call("post", "roles/", ROLE | {"alias_prefix": prefix}, by=ruth), "alias_prefix")


# --- whose names are told -------------------------------------------------------------------------


def test_a_role_does_not_name_teams_that_the_caller_may_not_see(
    sandbox, call, team, other_team, mallory, ruth, make_role
):
    make_role(all_teams=False, teams=[team, other_team])
    (hers,) = call("get", "roles/", by=mallory).json()["results"]
    (all_of_them,) = call("get", "roles/", by=ruth).json()["results"]
    assert hers["teams"] == ["mobile"]
    assert sorted(all_of_them["teams"]) == ["mobile", "search"]


def test_a_person_of_no_team_sees_no_roles(sandbox, call, person, make_role):
    make_role()
    assert call("get", "roles/", by=person("nobody")).json()["results"] == []


def test_a_token_without_read_sees_no_roles(sandbox, call, alice, make_role):
    make_role()
    assert call("get", "roles/", by=alice, scopes=["keys:issue"]).json()["results"] == []
    assert len(call("get", "roles/", by=alice, scopes=["read"]).json()["results"]) == 1


def test_a_session_of_somebody_inactive_opens_nothing(sandbox, client, alice, make_key):
    make_key()
    client.force_login(alice)
    User.objects.update(is_active=False)
    assert client.get("/api/v1/keys/").status_code == 401


# --- teams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["A\nB", "A\rB", "A\u2028B", "A\u0000B"])
def test_a_team_has_a_name_of_one_line(call, team, ruth, name):
    assert refused(call("post", "teams/", {"name": name, "slug": "ab"}, by=ruth), "name")
    assert refused(call("patch", "teams/search/", {"name": name}, by=ruth), "name")


def test_a_letter_goes_out_whatever_the_team_is_called(call, team, ines, mailoutbox):
    Team.objects.update(name="A\nBcc: eve@example.com")
    assert call("post", "teams/search/members/", {"email": "new@example.com"}, by=ines).status_code == 202
    send_due()
    assert mailoutbox[0].recipients() == ["new@example.com"]
    assert "\n" not in mailoutbox[0].subject


def test_a_team_admin_is_told_the_ceiling_that_the_platform_set(call, team, ines, ruth):
    assert call("patch", "teams/search/", {"max_budget": "10.00"}, by=ruth).status_code == 200
    for change in ({"max_budget": None}, {"max_budget": "10.01"}, {"budget_duration": "1d"}):
        answer = call("patch", "teams/search/", change, by=ines)
        assert refused(answer, "max_budget")
        assert answer.json()["error"]["code"] == "over_ceiling"
    assert call("patch", "teams/search/", {"max_budget": "9.00"}, by=ines).json()["max_budget"] == "9.00"
