"""Search from anywhere: a key by its secret or hash; by words keys, people, teams and key roles that one may see."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet

from keys.models import KeyRole, KeyVersion, Lease
from portal.litellm import hash_key
from teams.access import allowed, within
from teams.models import Team, User
from teams.roles import Can

ROWS = 10  # of each kind; a list with filters has the rest
LIVE_FIRST = F("ended_at").desc(nulls_first=True)
LONGEST = 200  # characters that are looked at
HASH = re.compile(r"[0-9a-f]{64}")
SHOWN = re.compile(r"sk-\.\.\.\w{4}")  # how pages and LiteLLM name a secret without telling it
# Virtual keys, our own tokens, tokens of Vault, a header that was copied whole.
MARKED = re.compile(r"(?<![a-z0-9])(sk-\S{8}|kd_\S{8}|hv[sbr]\.\S|bearer\b)", re.IGNORECASE)
# No name that people give: base64, a key of another make.
DENSE = re.compile(r"(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)\S{24,}")


@dataclass(frozen=True, slots=True)
class Found:
    """The first rows of each kind, and whether there are more."""

    keys: list[Lease]
    people: list[User]
    teams: list[Team]
    roles: list[KeyRole]
    more: frozenset[str] = frozenset()  # the names above of which there are more

    def __bool__(self) -> bool:
        return bool(self.keys or self.people or self.teams or self.roles)


def is_secret(text: str) -> bool:
    """Whether somebody pasted what may be a secret: it must reach no address, no page and no log."""
    return not SHOWN.fullmatch(text) and bool(MARKED.search(text) or DENSE.search(text))


def key_of(text: str, user: User) -> Lease | None:
    """The key with this secret, hash or id, if `user` may see it. The secret is hashed at once."""
    plain = re.sub(r"(?i)^(authorization:\s*)?bearer\s+", "", text.strip())[:LONGEST]
    seen = Lease.objects.visible_to(user)
    if HASH.fullmatch(plain):
        return seen.filter(versions__token_hash=plain).first()
    try:
        return seen.filter(pk=UUID(plain)).first()
    except ValueError:
        return seen.filter(versions__token_hash=hash_key(plain)).first() if is_secret(plain) else None


def look(words: str, user: User) -> Found:
    """What has these words in its name, as far as `user` may see it; four queries."""
    words = words.strip()[:LONGEST]
    if not words or is_secret(words):
        return Found([], [], [], [])
    named = _has(words, "name", "alias", "purpose", "role__name", "team__name", "holder__name", "holder__email")
    if SHOWN.fullmatch(words):
        named |= Q(pk__in=KeyVersion.objects.filter(key_name=words).values("lease"))
    keys = Lease.objects.visible_to(user).filter(named)
    teams = Team.objects.filter(within(user, Can.SEE_TEAM, team="pk"))
    rows = {
        "keys": keys.select_related("team", "holder", "role").order_by(LIVE_FIRST, "-issued_at", "-pk"),
        "people": _people(user).filter(_has(words, "name", "email")).order_by("name", "email"),
        "teams": teams.filter(_has(words, "name", "slug")).order_by("name"),
        "roles": KeyRole.objects.visible_to(user).filter(_has(words, "name", "description"), ended_at=None),
    }
    found: dict[str, list[Any]] = {name: list(each[: ROWS + 1]) for name, each in rows.items()}
    more = frozenset(name for name, each in found.items() if len(each) > ROWS)
    return Found(**{name: each[:ROWS] for name, each in found.items()}, more=more)


def _people(user: User) -> QuerySet[User]:
    """Everybody for the platform's people; the members and machines of their teams for everybody else."""
    if allowed(user, Can.SEE_PLATFORM):
        return User.objects.select_related("service_team")
    seen = Team.objects.filter(within(user, Can.SEE_TEAM, team="pk")).values("pk")
    near = Q(memberships__team__in=seen) | Q(service_team__in=seen)
    return User.objects.filter(near).select_related("service_team").distinct()


def _has(words: str, *columns: str) -> Q:
    found = Q(pk__in=[])
    for column in columns:
        found |= Q(**{f"{column}__icontains": words})
    return found
