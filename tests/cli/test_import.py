"""`keydesk keys import`: keys made elsewhere become leases; limits and lifetimes are kept, secrets not scattered."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from decimal import Decimal

import pytest
import responses
from django.utils import timezone

from keydesk.app import run
from keys.models import Lease
from keys.services import reconcile
from keys.services.minting import new_secret
from teams.access import SYSTEM
from tests.cli.programs import inside

OTHER = "https://old-litellm.example.com"
HASH = "a1b2c3d4e5f6" * 5 + "a1b2"


@pytest.fixture
def ruths(monkeypatch, client, tmp_path, bearer, ruth, sandbox, make_role, team):
    """ruth's machine, in this process; she administers the platform."""
    make_role(rpm_limit=100)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("SOURCE_API_KEY", "of the other proxy")
    return inside(monkeypatch, client, tmp_path / "home", bearer(ruth)["Authorization"].removeprefix("Bearer "))


@pytest.fixture
def results(capsys):
    """Run the import; answers each key's result, after its exit code was as expected."""

    def ask(*words: str, code: int = 0) -> list[dict[str, str]]:
        assert run(["--json", "keys", "import", "--team", "search", "--role", "coding", *words]) == code
        said = capsys.readouterr()
        return json.loads(said.out[said.out.index('{\n  "results"') :])["results"]

    return ask


def old_key(number: int, **changes: object) -> dict[str, object]:
    """A full row of LiteLLM's /key/list."""
    return {
        "token": f"{number:02d}{HASH}"[:64], "key_alias": f"key-{number}", "models": ["gpt-4o"], "max_budget": 10.0,
        "spend": 4.0, "budget_duration": None, "rpm_limit": 60, "created_at": "2026-11-01T00:00:00Z",
        "expires": (timezone.now() + timedelta(days=7)).isoformat(), "metadata": {}, "blocked": None,
    } | changes  # fmt: skip


@pytest.fixture
def other():
    """Another LiteLLM; answers its list page by page."""
    rows: list[dict[str, object]] = []

    def page(request):
        assert request.headers["Authorization"] == "Bearer of the other proxy"
        number = int(request.params["page"])
        return 200, {}, json.dumps({"keys": rows[(number - 1) * 100 : number * 100], "total_count": len(rows)})

    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.GET, f"{OTHER}/key/list", callback=page)
        yield rows


def test_keys_of_another_litellm_are_issued_with_their_limits_and_their_secrets_go_to_one_file(
    ruths, results, other, tmp_path, sandbox, capsys
):
    other += [old_key(1), old_key(2, blocked=True, budget_duration="1mo"), old_key(3, models=[], max_budget=None)]
    file = tmp_path / "new.jsonl"
    found = results("--from", OTHER, "--secrets", str(file))
    assert [each["outcome"] for each in found] == ["imported"] * 3
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert not any(each["key"] in json.dumps(found) for each in written)
    assert [sandbox.status_of(each["key"]) for each in written] == [200, 401, 200]  # the second was blocked

    first, second, third = (Lease.objects.get(pk=each["lease"]) for each in written)
    assert (first.name, first.limits["models"], first.max_budget) == ("key-1", ["gpt-4o"], Decimal(6))  # 4 were spent
    assert first.limits["rpm_limit"] == 60
    assert timedelta(days=6, hours=23) < first.expires_at - first.issued_at <= timedelta(days=7)
    assert (second.state, second.max_budget) == ("paused", Decimal(10))  # a budget with windows begins anew
    assert third.limits["models"] == ["gpt-4o-mini", "gpt-4o"]

    again = results("--from", OTHER, "--show-secrets")  # a second run makes no second key
    assert [(each["outcome"], each["lease"]) for each in again] == [("skipped", each["lease"]) for each in written]


def test_what_cannot_be_imported_is_told_key_by_key_and_the_rest_goes_on(ruths, results, other):
    other += [
        old_key(1, expires="2026-01-01T00:00:00Z"), old_key(2, spend=11), old_key(3, metadata={"keydesk": {}}),
        old_key(4, models=["gpt-9"]), old_key(5),
    ]  # fmt: skip
    found = results("--from", OTHER, "--show-secrets", code=1)
    assert [each["outcome"] for each in found] == ["skipped", "skipped", "skipped", "failed", "imported"]
    assert [each["what"] for each in found[:3]] == [
        "it has expired", "its budget is spent", "a Keydesk has it on its books: end it there",
    ]  # fmt: skip
    assert "gpt-9" in found[3]["what"]


def test_a_dry_run_filters_pages_and_changes_nothing(ruths, results, other):
    other += [old_key(number, created_at=f"2026-{9 + number % 3:02d}-15T00:00:00Z") for number in range(1, 121)]
    found = results("--from", OTHER, "--dry-run", "--created-since", "2026-11-01", "--match", "^key-1[01]")
    assert {each["outcome"] for each in found} == {"would import"}
    assert [each["key"] for each in found] == ["key-11", "key-101", "key-104", "key-107", "key-110", "key-113",
                                               "key-116", "key-119"]  # fmt: skip
    assert not Lease.objects.exists()


def test_keys_on_a_gateway_are_adopted_and_their_secrets_work_on(ruths, results, sandbox, alice):
    secret = sandbox.client.keys.generate(key=new_secret(), alias="byhand", models=["gpt-4o"], max_budget=7).key
    sandbox.client.keys.generate(key=new_secret(), alias="other", models=["gpt-4o"])
    reconcile.run(sandbox.gateway, by=SYSTEM)
    words = ("--gateway", "sandbox", "--holder", alice.email, "--match", "^by")
    assert [each["outcome"] for each in results(*words, "--dry-run")] == ["would import"]
    assert not Lease.objects.exists()
    [done] = results(*words, "--ttl", "7d")
    lease = Lease.objects.get(pk=done["lease"])
    assert (done["outcome"], lease.holder, lease.max_budget) == ("imported", alice, Decimal(7))
    assert sandbox.status_of(secret) == 200


@pytest.mark.parametrize(
    "words",
    [
        ["--from", OTHER],
        ["--from", OTHER, "--gateway", "sandbox"],
        ["--from", "http://old-litellm.example.com", "--show-secrets"],
        ["--gateway", "sandbox"],
        ["--gateway", "sandbox", "--holder", "me", "--created-since", "2026-11-01"],
        ["--from", OTHER, "--show-secrets", "--match", "("],
        ["--from", OTHER, "--show-secrets", "--created-since", "soon"],
    ],
)
def test_what_is_not_said_clearly_is_asked_before_anything_is_done(ruths, words, capsys):
    assert run(["keys", "import", "--team", "search", "--role", "coding", *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert ruths.calls == []


def test_a_secret_that_cannot_be_written_down_is_revoked_and_the_import_stops(
    ruths, other, monkeypatch, tmp_path, capsys
):
    other += [old_key(1), old_key(2)]
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    words = ["keys", "import", "--team", "search", "--role", "coding", "--from", OTHER, "--secrets"]
    assert run([*words, str(tmp_path / "new")]) == 1
    assert "No space left" in capsys.readouterr().err
    assert Lease.objects.get().state == "revoked"
