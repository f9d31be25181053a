"""Acts of the audit trail as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template
from django.utils.translation import gettext

from portal.models import AuditEvent
from portal.templatetags.ui import when
from teams.acts import PHRASES

register = template.Library()


class _Facts(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "…"


@register.filter
def act_words(event: AuditEvent) -> str:
    """What somebody did, to be read after their name: `ended team Search`."""
    facts = _Facts({name: value_words(value) for name, value in event.all_facts.items()}, target=event.target)
    if known := PHRASES.get(event.action):
        return gettext(known).format_map(facts).removesuffix(".")  # a reason ends as people end sentences
    return f"{event.action.replace('.', ' ').replace('_', ' ')}: {event.target}"


@register.filter
def act_details(event: AuditEvent) -> list[tuple[str, str, str]]:
    """The facts of an act: name, value, and what it was before where that is known."""
    before, after = event.all_facts.get("before"), event.all_facts.get("after")
    rows = []
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        old, new = _mapping(before), _mapping(after)
        rows = [(_said(name), _new(new, name), value_words(old.get(name))) for name in {**old, **new}]
    elif before is not None or after is not None:
        rows = [(gettext("Now") if before is not None else gettext("Set to"), value_words(after), value_words(before))]
    others = {name: value for name, value in event.all_facts.items() if name not in {"before", "after"}}
    return rows + [(_said(name), value_words(value), "") for name, value in others.items()]


@register.filter
def value_words(value: Any) -> str:
    """A fact as text; times as elsewhere on the pages."""
    if value is None or value == "":
        return gettext("none")
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, Mapping):
        return ", ".join(f"{_said(name).lower()} {value_words(each)}" for name, each in value.items()) or gettext(
            "none"
        )
    if isinstance(value, list):
        return ", ".join(value_words(each) for each in value) or gettext("none")
    if isinstance(value, str) and len(value) > 18 and value[10:11] == "T":
        try:
            return f"{when(datetime.fromisoformat(value))} UTC"
        except ValueError:
            return value
    return value if isinstance(value, str) else json.dumps(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _new(after: Mapping[str, Any], name: str) -> str:
    return value_words(after[name]) if name in after else ""


def _said(name: str) -> str:
    return name.replace("_", " ").capitalize()
