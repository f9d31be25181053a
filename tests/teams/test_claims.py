"""Reading the groups out of what providers say."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teams.claims import LONGEST, MOST, Trouble, groups_in, groups_pasted

KEYCLOAK = {"sub": "f:1:ada", "realm_access": {"roles": ["offline_access", "eng"]}, "groups": ["/eng", "/leads"]}
ENTRA = {"sub": "x", "groups": ["02bd9fd6-8f93-4758-87c3-1fb73740a315", "06bf7b9e-3f26-4b3b-8e0c-8a2d2d5e1b11"]}
ENTRA_OVERAGE = {
    "sub": "x",
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://graph.windows.net/t/users/u/getMemberObjects"}},
}
ENTRA_IMPLICIT = {"sub": "x", "hasgroups": "true"}
COGNITO = {"cognito:groups": ["eng"], "https://example.com/roles": "admin"}


@pytest.mark.parametrize(
    ("claims", "name", "found"),
    [
        (KEYCLOAK, "groups", ["/eng", "/leads"]),
        (KEYCLOAK, "realm_access.roles", ["offline_access", "eng"]),
        (ENTRA, "groups", ENTRA["groups"]),
        (COGNITO, "cognito:groups", ["eng"]),
        (COGNITO, "https://example.com/roles", ["admin"]),
        ({"a.b": ["whole"], "a": {"b": ["inner"]}}, "a.b", ["whole"]),
        ({"groups": []}, "groups", []),
        ({"groups": ""}, "groups", []),
        ({"groups": ["a", "b", "a"]}, "groups", ["a", "b"]),
        ({"groups": ["x" * LONGEST]}, "groups", ["x" * LONGEST]),
        ({"groups": [str(n) for n in range(MOST)]}, "groups", [str(n) for n in range(MOST)]),
    ],
)
def test_groups_are_read_in_the_shapes_that_providers_send(claims, name, found):
    assert groups_in(claims, name) == (found, "")


@pytest.mark.parametrize(
    ("claims", "name", "trouble"),
    [
        ({}, "groups", Trouble.MISSING),
        ({"groups": None}, "groups", Trouble.MISSING),
        (KEYCLOAK, "realm_access.groups", Trouble.MISSING),
        (KEYCLOAK, "sub.roles", Trouble.MISSING),
        (ENTRA_OVERAGE, "groups", Trouble.OVERAGE),
        (ENTRA_IMPLICIT, "groups", Trouble.OVERAGE),
        ({"hasgroups": True}, "groups", Trouble.OVERAGE),
        (ENTRA_OVERAGE, "roles", Trouble.MISSING),
        ({"groups": {"eng": True}}, "groups", Trouble.UNREADABLE),
        ({"groups": 7}, "groups", Trouble.UNREADABLE),
        ({"groups": ["eng", 7]}, "groups", Trouble.UNREADABLE),
        ({"groups": ["eng", ""]}, "groups", Trouble.UNREADABLE),
        ({"groups": [["eng"]]}, "groups", Trouble.UNREADABLE),
        ({"groups": ["x" * (LONGEST + 1)]}, "groups", Trouble.UNREADABLE),
        ({"groups": [str(n) for n in range(MOST + 1)]}, "groups", Trouble.UNREADABLE),
    ],
)
def test_what_cannot_be_read_is_no_empty_list(claims, name, trouble):
    assert groups_in(claims, name) == (None, trouble)


@pytest.mark.parametrize(
    ("pasted", "found"),
    [
        (json.dumps(KEYCLOAK), (["/eng", "/leads"], "")),
        ('["eng", "leads"]', (["eng", "leads"], "")),
        ("eng\n\n  leads  \n", (["eng", "leads"], "")),
        ('"eng"', (["eng"], "")),
        ("{}", (None, Trouble.MISSING)),
        ("  ", (None, Trouble.MISSING)),
        ("{broken", (None, Trouble.UNREADABLE)),
        ("[" * 100_000, (None, Trouble.UNREADABLE)),
    ],
)
def test_claims_are_pasted_as_json_or_as_lines(pasted, found):
    assert groups_pasted(pasted, "groups") == found


plain = st.none() | st.booleans() | st.integers() | st.text()
anything = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.text(), anything, max_size=4), st.text())
def test_whatever_is_sent_there_are_groups_or_a_trouble_and_never_both(claims, name):
    values, trouble = groups_in(claims, name)
    assert (values is None) == bool(trouble)
    assert all(values or [])  # no group without a name
