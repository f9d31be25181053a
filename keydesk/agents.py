"""How coding agents want to be told of a gateway and of the command that prints its key. Text in, text out.

Sources: code.claude.com/docs (settings, LLM gateway); openai/codex, pull request 16288 (the table `auth`);
opencode.ai/docs/providers (2.x, `providers`) and opencode.ai/v1/docs/providers (`provider`).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OURS = "keydesk"  # our name among an agent's providers
ASK_EVERY = 300_000  # milliseconds after which an agent runs the command again, unless it was refused before
ANSWER_WITHIN = 20_000  # milliseconds: a key that has to be issued first takes seconds
KEY_NAME = "KEYDESK_KEY"  # the key in the environment, for who knows no other name
BEGIN, END, REPLACED = "# keydesk: begin", "# keydesk: end", "# keydesk replaced: "
RIVALS = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY")  # where one is set, Claude Code may take it instead
USUAL_NAMES = ("OPENAI_API_KEY", "ANTHROPIC_AUTH_TOKEN", KEY_NAME)
KEY_NAMES = frozenset({*USUAL_NAMES, *RIVALS})  # what programs send to the addresses that we set

Settings = dict[str, Any]
Changes = Mapping[tuple[str, ...], Any]


class CannotMerge(Exception):
    """The file is not what the agent's documentation says it is; it was left alone."""


@dataclass(frozen=True)
class Gateway:
    """What an agent needs: where, how to ask for a key, and which models there are."""

    base_url: str
    helper: Sequence[str]
    model: str = ""
    models: Sequence[str] = field(default_factory=tuple)


def openai_url(base_url: str) -> str:
    return f"{base_url.rstrip('/')}/v1"


def anthropic_url(base_url: str) -> str:
    """Without /v1: these clients add it."""
    return base_url.rstrip("/")


def environment(base_url: str, key: str, names: Iterable[str] = ()) -> dict[str, str]:
    """A key in a program's environment: under `names`, or under those which most programs read.

    ANTHROPIC_API_KEY is not among them: Claude Code asks about each new one, and warns where both are set.
    """
    where = {"OPENAI_BASE_URL": openai_url(base_url), "ANTHROPIC_BASE_URL": anthropic_url(base_url)}
    return where | dict.fromkeys(tuple(names) or USUAL_NAMES, key)


def exports(gateway: Gateway) -> str:
    """Lines for a shell or an .envrc. The key is asked for when they are read; it is not in them."""
    first, *others = USUAL_NAMES
    there = environment(gateway.base_url, "")
    lines = [f"export {name}={shlex.quote(value)}" for name, value in there.items() if value]
    lines += [f'export {first}="$({shlex.join(gateway.helper)})"', *(f'export {each}="${first}"' for each in others)]
    return "\n".join(lines) + "\n"


def claude(gateway: Gateway) -> Changes:
    """`~/.claude/settings.json`."""
    model = {("model",): gateway.model} if gateway.model else {}
    return model | {
        ("apiKeyHelper",): shlex.join(gateway.helper),
        ("env", "ANTHROPIC_BASE_URL"): anthropic_url(gateway.base_url),
        ("env", "CLAUDE_CODE_API_KEY_HELPER_TTL_MS"): str(ASK_EVERY),
    }


def opencode(gateway: Gateway, *, first: bool = False) -> Changes:
    """`opencode.json`; it runs no command for a key, so it reads one from the environment. `first`: of OpenCode 1."""
    models = {name: {"name": name} for name in gateway.models}
    model = {("model",): f"{OURS}/{gateway.model}"} if gateway.model else {}
    if first:
        options = {"baseURL": openai_url(gateway.base_url), "apiKey": f"{{env:{KEY_NAME}}}"}
        said = {"npm": "@ai-sdk/openai-compatible", "name": "Keydesk", "options": options, "models": models}
        return model | {("provider", OURS): said}
    settings = {"baseURL": openai_url(gateway.base_url)}
    package = "@opencode/ai/providers/openai-compatible"
    return model | {
        ("providers", OURS): {
            "name": "Keydesk", "env": [KEY_NAME], "package": package, "settings": settings, "models": models,
        }
    }  # fmt: skip


def claude_file() -> Path:
    return Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude") / "settings.json"


def codex_file() -> Path:
    return Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex") / "config.toml"


def opencode_file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "opencode" / "opencode.json"


def rivals(settings: Settings) -> list[str]:
    """What in Claude Code's settings may win over ours."""
    said = settings.get("env")
    return [name for name in RIVALS if isinstance(said, dict) and said.get(name)]


def read_json(text: str) -> Settings:
    """Raises CannotMerge."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        raise CannotMerge("It is not plain JSON (comments are not, either).") from None
    if not isinstance(found, dict):
        raise CannotMerge("It is not a JSON object.")
    return found


def with_ours(text: str, changes: Changes) -> str:
    """A JSON file with our settings among what is there. Raises CannotMerge."""
    settings = read_json(text)
    for (*above, name), value in changes.items():
        _at(settings, above)[name] = value
    return _json(settings)


def without_ours(text: str, before: str, changes: Iterable[tuple[str, ...]]) -> str:
    """What it was before, where we changed it; the rest stays as it is now. "" if nothing is left.

    Raises CannotMerge.
    """
    settings, old = read_json(text), read_json(before)
    for *above, name in changes:
        place, was = _at(settings, above), _at(old, above)
        place.pop(name, None)
        if name in was:
            place[name] = was[name]
        if above and not place and above[0] not in read_json(before):
            settings.pop(above[0], None)
    return _json(settings) if settings or before else ""


def _at(settings: Settings, above: Sequence[str]) -> Settings:
    for name in above:
        settings = settings.setdefault(name, {})
        if not isinstance(settings, dict):
            raise CannotMerge(f"{name} is not an object.")
    return settings


def _json(settings: Settings) -> str:
    return json.dumps(settings, indent=2, ensure_ascii=False) + "\n"


def codex(text: str, gateway: Gateway) -> str:
    """`config.toml` with our provider chosen; lines of the file that say otherwise become comments.

    Raises CannotMerge, where the result would not be the file with our settings.
    """
    text = codex_without_ours(text)
    before = _toml(text)
    first = {"model_provider": OURS} | ({"model": gateway.model} if gateway.model else {})
    command, *arguments = gateway.helper
    auth = {"command": command, "args": arguments, "timeout_ms": ANSWER_WITHIN, "refresh_interval_ms": ASK_EVERY}
    provider = {"name": "Keydesk", "base_url": openai_url(gateway.base_url), "wire_api": "responses"}
    table = re.search(r"^[ \t]*\[", text, re.M)
    above, below = (text[: table.start()], text[table.start() :]) if table else (text, "")
    for name in first:
        above = re.sub(rf"^(?=[ \t]*{name}[ \t]*=)", REPLACED, above, flags=re.M)
    head = [BEGIN, *_lines(first), END]
    tail = [
        BEGIN, f"[model_providers.{OURS}]", *_lines(provider), f"[model_providers.{OURS}.auth]", *_lines(auth), END,
    ]  # fmt: skip
    rest = f"{above}{below}".strip("\n")
    done = "\n".join([*head, *(["", rest, ""] if rest else [""]), *tail]) + "\n"
    others = before.get("model_providers", {})
    if _toml(done) != before | first | {"model_providers": others | {OURS: provider | {"auth": auth}}}:
        raise CannotMerge("Its settings cannot be merged with ours.")
    return done


def codex_without_ours(text: str) -> str:
    """The file as it was before. Changes made since, outside of our lines, stay."""
    kept = re.sub(rf"^{BEGIN}$.*?^{END}$\n*", "", text, flags=re.M | re.S).strip("\n")
    return re.sub(rf"^{REPLACED}", "", kept, flags=re.M) + "\n" if kept else ""


def _lines(settings: Settings) -> list[str]:
    return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in settings.items()]


def _toml(text: str) -> Settings:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CannotMerge(f"It is not TOML: {error}.") from None
