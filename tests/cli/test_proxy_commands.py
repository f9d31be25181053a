"""`keydesk models|model-groups|credentials|users`: the proxy is managed from a terminal, and no secret is ever typed
where others can read it."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
import yaml

from keydesk import app
from keydesk.desk import Desk
from portal.litellm import faults
from teams.models import User
from tests.cli.inside import OF_THE_SERVER, SERVER, Said, Through

SECRET = "provider-value-0123456789"


@pytest.fixture
def keydesk(monkeypatch, capsys, tmp_path, bearer, ruth, sandbox):
    """Run a command line as somebody, ruth unless said otherwise. Only what `keydesk` sends goes to the server."""
    before = Desk.__init__

    def through(self, *args, **kwargs):
        before(self, *args, **kwargs)
        self.session.mount("http://", Through())

    monkeypatch.setattr(Desk, "__init__", through)
    monkeypatch.setenv("KEYDESK_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KEYDESK_SERVER", SERVER)

    def run(*words: str, by: User | None = None, stdin: str = "") -> Said:
        monkeypatch.setenv("KEYDESK_TOKEN", bearer(by or ruth)["Authorization"].removeprefix("Bearer "))
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = app.run(words)
        printed = capsys.readouterr()
        own = [line for line in printed.err.splitlines() if not any(mark in line for mark in OF_THE_SERVER)]
        return Said(int(code), printed.out, "\n".join(own))

    return run


def test_a_model_is_added_shown_changed_and_deleted(keydesk):
    added = keydesk(
        "models", "add", "house/small", "--model", "openai/own-thing", "--param", "api_key=-", "--param", "rpm=60",
        "--param", "api_base=https://api.example", "--info", "notes=ours", stdin=f"{SECRET}\n",
    )  # fmt: skip
    assert (added.code, "no price" in added.err) == (0, True)
    priced = ("--param", "input_cost_per_token=0.000002", "--param", "output_cost_per_token=0.000008")
    assert keydesk("models", "change", "house/small", *priced).code == 0
    shown = keydesk("models", "show", "house/small", "--json").json
    assert (shown["params"]["rpm"], shown["info"]["notes"], shown["warnings"]) == (60, "ours", [])
    listed = keydesk("models", "list", "--search", "house", "--columns", "name,input,output,blocked").out
    assert listed.splitlines()[1].split() == ["house/small", "2", "8", "no"]
    assert keydesk("models", "change", "house/small", "--block", "--json").json["blocked"] is True
    asked = keydesk("models", "delete", "house/small")
    assert (asked.code, "--yes" in asked.err) == (2, True)
    assert keydesk("models", "delete", "house/small", "--yes").code == 0
    gone = keydesk("models", "show", "house/small")
    assert (gone.code, len(gone.err.splitlines())) == (4, 2)
    assert keydesk("models", "list", "--columns", "nothing").code == 2


def test_a_secret_in_the_command_line_is_refused(keydesk, tmp_path, monkeypatch):
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    monkeypatch.setenv("OF_THE_PROVIDER", SECRET)
    for words in (
        ("credentials", "create", "eu", "--value", f"api_key={SECRET}"),
        ("credentials", "create", "eu", "--value", f"pin={SECRET}"),
        ("models", "add", "a", "--model", "openai/a", "--param", f"api_key={SECRET}"),
        ("models", "add", "a", "--model", "openai/a", "--param", f'extra_headers={{"x": "{SECRET}"}}'),
    ):
        refused = keydesk(*words)
        assert (refused.code, SECRET in refused.err, "@FILE" in refused.err) == (2, False, True)
    for name, value in (("a", f"@{file}"), ("b", "env:OF_THE_PROVIDER"), ("c", "-"), ("d", "os.environ/OPENAI_KEY")):
        made = keydesk("credentials", "create", name, "--value", f"api_key={value}", stdin=f"{SECRET}\n", by=None)
        assert (made.code, SECRET in made.out + made.err) == (0, False)
    assert keydesk("credentials", "create", "e", "--value", "api_key=env:NOT_SET").code == 2
    assert keydesk("credentials", "create", "e", "--value", "api_key=@/none").code == 1
    assert keydesk("credentials", "create", "e").code == 2


def test_a_credential_is_listed_renamed_changed_and_deleted(keydesk):
    words = ("--provider", "openai", "--value", "api_key=-", "--value", "api_base=https://api.example")
    made = keydesk("credentials", "create", "eu/open ai", *words, "--json", stdin=SECRET)
    assert made.json["values"] == {"api_key": "****", "api_base": "https://api.example"}
    assert keydesk("credentials", "rename", "eu/open ai", "Europe", "--json").json["label"] == "Europe"
    assert keydesk("credentials", "change", "eu/open ai", "--value", "api_key=-", stdin="another-value").code == 0
    assert "Europe" in keydesk("credentials", "list").out
    user = keydesk("models", "add", "m", "--model", "openai/gpt-4o", "--credential", "eu/open ai")
    assert user.code == 0
    refused = keydesk("credentials", "delete", "eu/open ai", "--yes")
    assert (refused.code, "use it: 1." in refused.err) == (1, True)
    assert "m" in keydesk("credentials", "show", "eu/open ai").out.splitlines()[-1]
    assert keydesk("credentials", "delete", "eu/open ai", "--yes", "--force").code == 0
    assert keydesk("credentials", "show", "eu/open ai").code == 4


def test_a_user_is_made_shown_and_deleted(keydesk):
    made = keydesk("users", "create", "--email", "ada@people.example", "--max-budget", "5", "--json").json
    assert keydesk("users", "show", made["id"], "--json").json["email"] == "ada@people.example"
    assert "ada@people.example" in keydesk("users", "list", "--email", "ada").out
    assert keydesk("users", "delete", made["id"], "--yes").code == 0
    assert keydesk("users", "show", made["id"]).code == 4
    assert keydesk("users", "create").code == 1


def test_groups_are_listed_with_prices(keydesk):
    rows = {row.split()[0]: row.split()[1:5] for row in keydesk("model-groups", "list").out.splitlines()}
    assert rows["gpt-4o"] == ["chat", "openai", "2.5", "10"]


def test_who_does_not_run_the_platform_sees_what_they_may_use(keydesk, alice, make_role):
    make_role()
    for line in ("models list", "model-groups list", "models list --gateway sandbox"):
        told = keydesk(*line.split(), by=alice)
        assert (told.code, "gpt-4o-mini" in told.out, "claude" in told.out) == (0, True, False)
        assert "you may have keys for" in told.err
    assert keydesk("models", "show", "gpt-4o", by=alice).code == 0
    assert keydesk("models", "show", "claude-sonnet", by=alice).code == 4
    for line in ("credentials list", "users list", "models add a --model b"):
        told = keydesk(*line.split(), by=alice)
        assert (told.code, len(told.err.splitlines()), "Traceback" in told.err) == (5, 2, False)


def test_auditors_look_and_do_not_act(keydesk, audra):
    assert keydesk("models", "list", by=audra).code == keydesk("users", "list", by=audra).code == 0
    assert keydesk("models", "add", "a", "--model", "openai/a", by=audra).code == 5
    assert keydesk("users", "create", "--id", "a", by=audra).code == 5


CONFIG = {
    "model_list": [
        {"model_name": "a", "litellm_params": {"model": "openai/gpt-4o", "api_key": "os.environ/OPENAI_KEY"}},
        {"model_name": "a", "litellm_params": {"model": "openai/gpt-4o", "api_base": "https://eu.example"}},
        {
            "model_name": "b",
            "litellm_params": {"model": "azure/gpt-4o", "api_key": SECRET},
            "model_info": {"mode": "chat"},
        },
        {"model_name": "c d", "litellm_params": {"model": "openai/gpt-4o"}},
        {"model_name": "e"},
        "f",
    ],
    "litellm_settings": {"drop_params": True},
}


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(CONFIG))
    return str(file)


def test_a_configuration_is_imported_model_by_model_and_a_failure_is_told(keydesk, config, sandbox):
    dry = keydesk("models", "import", config, "--dry-run", "--json")
    assert [row["result"] for row in dry.json["results"]] == [*["would be added"] * 4, "failed", "failed"]
    done = keydesk("models", "import", config, "--json")
    assert [row["result"] for row in done.json["results"]] == [*["added"] * 3, *["failed"] * 3]
    assert (done.code, SECRET in done.out + done.err, "3 of 6 failed" in done.err) == (1, False, True)
    assert "name: Letters" in done.json["results"][3]["why"] or "No key role" in done.json["results"][3]["why"]
    [first, second] = sandbox.client.models.info_page(name="a").items
    assert {first.params.get("api_base"), second.params.get("api_base")} == {None, "https://eu.example"}
    again = keydesk("models", "import", config, "--json")
    assert [row["result"] for row in again.json["results"][:3]] == ["there already"] * 3


def test_an_import_takes_what_fits_and_leaves_what_does_not(keydesk, config):
    def of(*words: str) -> tuple[int, list[str]]:
        told = keydesk("models", "import", config, "--dry-run", "--json", *words)
        return told.code, [row["name"] for row in told.json.get("results", [])]

    assert of("--only", "^a$") == (0, ["a", "a"])
    assert of("--only", "azure/") == (0, ["b"])
    assert of("--only", "gpt", "--skip", "^a$|c d") == (0, ["b"])
    assert of("--only", "(")[0] == 2


def test_a_file_that_makes_much_of_little_is_no_burden(keydesk, tmp_path):
    laughs = "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9))
    row = "{model_name: x, litellm_params: {model: y, z: %s }}"
    lists = f"model_list:\n- {row % '*a9'}\n- {row % '&s [*s]'}\n- {row % '1'}\n"
    (tmp_path / "x").write_text(f"a0: &a0 lol\n{laughs}{lists}")
    told = keydesk("models", "import", str(tmp_path / "x"), "--dry-run", "--json")
    assert [row["result"] for row in told.json["results"]] == ["failed", "failed", "would be added"]
    (tmp_path / "x").write_text("#" * 1_000_001)
    assert "longer than" in keydesk("models", "import", str(tmp_path / "x")).err


def test_a_name_that_leads_elsewhere_in_an_address_is_none(keydesk):
    for line in ("users delete .. --yes", "models delete . --yes", "credentials show .."):
        assert keydesk(*line.split()).code == 2


@pytest.mark.parametrize("text", ["a: [", "{}", "model_list: 5", "", "\x00"])
def test_a_file_that_is_no_configuration_is_said_in_two_lines(keydesk, tmp_path, text):
    (tmp_path / "x").write_text(text)
    told = keydesk("models", "import", str(tmp_path / "x"))
    assert (told.code, len(told.err.splitlines()) <= 2, "Traceback" in told.err) == (1, True, False)


def test_an_import_goes_on_when_the_proxy_refuses_one(keydesk, config, sandbox):
    said = faults.Answer(400, {"error": {"message": f"no {SECRET}", "code": "400"}})
    sandbox.faults.fail_next("/model/new", said, match=lambda body: body["model_name"] == "b")
    done = keydesk("models", "import", config, "--only", "^[ab]$", "--json")
    assert [row["result"] for row in done.json["results"]] == ["added", "added", "failed"]
    assert (done.code, SECRET in done.out + done.err) == (1, False)


def test_the_commands_import_no_django_and_none_of_the_portal():
    modules = "keydesk.models, keydesk.model_groups, keydesk.credentials, keydesk.users"
    code = f"import {modules}, sys; print([m for m in sys.modules if m.split('.')[0] in ('django', 'portal', 'keys')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, timeout=60)
    assert ran.stdout.strip() == "[]", ran.stderr
