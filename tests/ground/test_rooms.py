"""What import-linter cannot say, as it names whole packages only: services and models meet no request and no form."""

from __future__ import annotations

import re

import pytest

from tests.ground.processes import ROOT

INNER = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*/services/*.py", "*/services.py", "*/models/*.py", "*/models.py", "teams/access.py")
    for path in ROOT.glob(pattern)
    if path.parts[len(ROOT.parts)] in {"portal", "teams", "keys"}
)
DOORS = re.compile(r"^\s*(?:from|import) django\.(?:http|forms|views|shortcuts|template|contrib\.messages)\b", re.M)


@pytest.mark.parametrize("module", INNER)
def test_services_and_models_never_see_a_request_or_a_form(module):
    assert not DOORS.findall((ROOT / module).read_text())


# Who may do what is asked of teams/access.py. These compare roles all the same, and decide nothing by it.
COMPARES = {
    "teams/access.py",
    "teams/grants.py",  # which of several given roles counts
    "teams/mfa.py",  # whether a setting names the role
    "teams/admin.py",  # whether a role that was given by hand is the one that counts now
    "teams/models/user.py",  # what Django's admin asks, answered by the table
}
ROLES = re.compile(
    r"\b(?:platform_role|role) *(?:==|!=)|\.(?:platform_role|role) (?:not )?in\b"
    r"|\b(?:platform_role|role)=(?:PlatformRole|MemberRole)\.ADMIN|\bis_staff\b|\bis_superuser\b"
)
DRAWS = re.compile(r"counter\.role %\}|role == counter\.role")  # which key role is chosen
OUTSIDE = sorted(
    path.relative_to(ROOT).as_posix()
    for room, kind in (("portal", "py"), ("teams", "py"), ("keys", "py"), ("templates", "html"))
    for path in (ROOT / room).rglob(f"*.{kind}")
    if not {"migrations", "sandbox", "management"} & {*path.parts}  # the sandbox has LiteLLM's roles
)


def test_roles_are_compared_where_access_is_decided_and_nowhere_else():
    compare = {
        name
        for name in OUTSIDE
        for line in (ROOT / name).read_text().splitlines()
        if ROLES.search(line) and not DRAWS.search(line)
    }
    assert compare - COMPARES == set(), "ask teams/access.py"
    assert COMPARES - compare == set(), "these compare none any more: take them out of the list"
