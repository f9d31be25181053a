"""The models of a LiteLLM configuration file, as they are sent on. References to an environment stay references."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keydesk.errors import CliError, Usage
from keydesk.proxies import content
from keydesk.show import note

MOST_VALUES = 500  # in the params of one model


@dataclass(frozen=True)
class Entry:
    """One of `model_list`. `wrong`: why it cannot be sent; blank: it can."""

    name: str
    upstream: str
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    info: Mapping[str, Any] = field(default_factory=dict)
    wrong: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        return self.name, self.upstream


def read(file: str, only: str = "", skip: str = "") -> list[Entry]:
    """The entries that fit: `only` and `skip` are looked for in the name and in the provider's model.

    Raises CliError, and Usage for what is no regular expression.
    """
    wanted, unwanted = _pattern("--only", only), _pattern("--skip", skip)
    whole = _parsed(file)
    rows = whole.get("model_list") if isinstance(whole, Mapping) else whole
    if not isinstance(rows, list):
        raise CliError(f"{file} has no model_list.", "It is the configuration file of a LiteLLM proxy that is read.")
    if isinstance(whole, Mapping) and whole.get("include"):
        note("What it includes is not read: import those files too.")
    found = [_entry(row, number) for number, row in enumerate(rows, 1)]
    return [
        entry for entry in found
        if (wanted is None or _fits(wanted, entry)) and (unwanted is None or not _fits(unwanted, entry))
    ]  # fmt: skip


def counted(rows: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """How many deployments there are of each name and provider's model."""
    return Counter((row["name"], row["upstream"]) for row in rows)


def _pattern(option: str, text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise Usage(f"{option}: {error}.", "It is a regular expression, as Python's re has them.") from None


def _fits(pattern: re.Pattern[str], entry: Entry) -> bool:
    return bool(pattern.search(entry.name) or pattern.search(entry.upstream))


def _parsed(file: str) -> Any:
    text = content(file)
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        import yaml
    except ImportError:
        raise CliError("PyYAML is needed to read YAML.", "Install `keydesk[cli]`, or give a file of JSON.") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""  # never its text: it may hold a secret
        raise CliError(f"{file} is neither YAML nor JSON{where}.") from None


def _entry(row: Any, number: int) -> Entry:
    if not isinstance(row, Mapping):
        return Entry(f"entry {number}", "", wrong="It is no object.")
    params, info = row.get("litellm_params"), row.get("model_info")
    upstream = params.get("model") if isinstance(params, Mapping) else None
    name = str(row.get("model_name") or f"entry {number}")
    if not row.get("model_name") or not isinstance(upstream, str) or not isinstance(info, Mapping | None):
        return Entry(name, str(upstream or ""), wrong="It has no model_name, or no litellm_params with a model.")
    try:
        return Entry(name, upstream, _plain(params, [0]), _plain(info or {}, [0]))
    except (OverflowError, RecursionError):
        return Entry(name, upstream, wrong="It is too large, or holds itself.")


def _plain(value: Any, seen: list[int]) -> Any:
    """As JSON has it: YAML knows dates, names that are no text, and aliases that make much of little.

    `seen`: how many values there were. Raises OverflowError.
    """
    seen[0] += 1
    if seen[0] > MOST_VALUES:
        raise OverflowError
    if isinstance(value, Mapping):
        return {str(name): _plain(item, seen) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item, seen) for item in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else str(value)
