"""What letters tell of, in groups that a person can turn down: at once, in one daily letter, or not at all.

A letter has a kind, like "request.submitted". A kind that is in no group goes out at once, always: that somebody
signed in, that a password is another one, an invitation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from django.db import models
from django.dispatch import Signal
from django.utils.translation import gettext_lazy

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# Asks how the people behind `addresses` want to hear of `group`; each receiver answers {address: When}.
# An address that nobody knows hears of everything at once.
asked = Signal()


class When(models.TextChoices):
    NOW = "now", gettext_lazy("At once")
    DAILY = "daily", gettext_lazy("In the daily letter")
    NEVER = "never", gettext_lazy("Not at all")


@dataclass(frozen=True, slots=True)
class Group:
    """Letters that one choice is about. `kinds`: a whole kind, or its first part for all that begin so."""

    name: str
    title: StrOrPromise
    says: StrOrPromise
    kinds: frozenset[str]
    usual: When = When.NOW
    choices: tuple[When, ...] = tuple(When)


GROUPS = (
    Group(
        "decisions",
        gettext_lazy("Decisions I owe"),
        gettext_lazy(
            "Requests that wait for you, changes that need a second admin, a gateway or a team that "
            "waits for your word."
        ),
        frozenset({"request.submitted", "request.reminded", "request.escalated", "proposal", "departure"})
        | {"gateway.held", "gateway.apart", "team.without_admin"},
    ),
    Group(
        "requests",
        gettext_lazy("My requests"),
        gettext_lazy("What was decided, said and done about what you asked for."),
        frozenset({"request"}),
    ),
    Group(
        "ends",
        gettext_lazy("My keys and tokens: what ends soon"),
        gettext_lazy("Virtual keys 7, 3 and 1 days before their end, API tokens 7 and 1."),
        frozenset({"key.ends_soon", "token.ends_soon"}),
    ),
    Group(
        "keys",
        gettext_lazy("My keys: what others did"),
        gettext_lazy(
            "Somebody revoked, paused or handed over a key of yours, or made you answer for a service account."
        ),
        frozenset({"key", "token", "service_account"}),
        choices=(When.NOW, When.DAILY),  # the holder is always told: product.md, section 5
    ),
    Group(
        "budgets",
        gettext_lazy("Budgets"),
        gettext_lazy("A budget of a key, of yours or of a team you run is nearly spent."),
        frozenset({"budget"}),
    ),
    Group(
        "news",
        gettext_lazy("Team and platform news"),
        gettext_lazy("A webhook that takes nothing, differences found, a statement."),
        frozenset({"team", "webhook", "gateway", "finding", "role", "statement"}),
        usual=When.DAILY,
    ),
)
NAMED = {group.name: group for group in GROUPS}
_GROUP_OF = {kind: group for group in GROUPS for kind in group.kinds}


def group_of(kind: str) -> Group | None:
    """The group of a kind of letter. None: it always goes out at once."""
    return _GROUP_OF.get(kind) or _GROUP_OF.get(kind.partition(".")[0])


def sort(addresses: Iterable[str], kind: str) -> dict[str, When]:
    """How each address hears of a kind of letter."""
    found = dict.fromkeys(addresses, When.NOW)
    if found and (group := group_of(kind)):
        for _, told in asked.send(Group, addresses=list(found), group=group):
            found |= cast("dict[str, When]", told)
    return found
