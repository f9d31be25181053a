"""Read the groups out of what an identity provider says of somebody. The one place that knows the shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from teams.models import ToldGroups

Trouble = ToldGroups.Trouble
MOST, LONGEST = 1_000, 200  # groups of one person, and characters of one: more is no list of groups

Groups = tuple[list[str] | None, str]  # the groups and no trouble, or None and the trouble


def groups_in(claims: Mapping[str, Any], name: str) -> Groups:
    """The groups that the claim `name` holds, or None and what was wrong: missing is not the same as empty.

    `name` may lead into claims within claims ("realm_access.roles"); a claim whose own name has dots is found first.
    One text is one group. Entra leaves the claim out of the token of somebody in too many groups, and sends a marker
    instead. Source: learn.microsoft.com/entra/identity-platform/access-token-claims-reference, "groups overage claim".
    """
    found, there = _at(claims, name)
    if not there:
        return None, Trouble.OVERAGE if _too_many_for_a_token(claims, name) else Trouble.MISSING
    if isinstance(found, str):
        found = [found] if found else []
    if not isinstance(found, list | tuple) or len(found) > MOST:
        return None, Trouble.UNREADABLE
    if not all(isinstance(each, str) and 0 < len(each) <= LONGEST and _is_text(each) for each in found):
        return None, Trouble.UNREADABLE
    return list(dict.fromkeys(found)), ""


def groups_pasted(text: str, name: str) -> Groups:
    """The groups in what a person pasted: claims as JSON, a JSON list of groups, or one group a line."""
    text = text.strip()
    if not text:
        return None, Trouble.MISSING
    try:
        said = json.loads(text)
    except ValueError:
        if text[0] in "{[":  # meant as JSON
            return None, Trouble.UNREADABLE
        said = [line.strip() for line in text.splitlines() if line.strip()]
    except RecursionError:
        return None, Trouble.UNREADABLE
    return groups_in(said, name) if isinstance(said, dict) else groups_in({"groups": said}, "groups")


def _is_text(value: str) -> bool:
    """Whether a database keeps it: PostgreSQL refuses NUL and halves of characters."""
    return value.replace("\0", "").encode("utf-8", "ignore").decode() == value


def _at(claims: Mapping[str, Any], name: str) -> tuple[Any, bool]:
    """What is at `name`, and whether anything is. An explicit null is nothing."""
    if name in claims:
        return claims[name], claims[name] is not None
    found: Any = claims
    for part in name.split("."):
        if not isinstance(found, Mapping) or found.get(part) is None:
            return None, False
        found = found[part]
    return found, True


def _too_many_for_a_token(claims: Mapping[str, Any], name: str) -> bool:
    elsewhere = claims.get("_claim_names")
    return (isinstance(elsewhere, Mapping) and name in elsewhere) or claims.get("hasgroups") in (True, "true")
