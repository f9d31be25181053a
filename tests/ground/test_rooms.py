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
