"""What every page shares: a part for htmx or the whole page, and what the rail shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib import messages
from django.contrib.messages.storage.base import Message
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext, ngettext

UNDO = "undo:"
RAIL_TEAMS = 6  # more are under "All teams"
ROWS = 50  # of one list on one page


def is_htmx(request: HttpRequest) -> bool:
    """Whether htmx asks, for a part of the page it is on."""
    return bool(getattr(request, "htmx", False))


def render_part(
    request: HttpRequest,
    page: str,
    part: str,
    context: Mapping[str, Any] | None = None,
    *,
    status: int | None = None,
) -> HttpResponse:
    """Answer `part` to htmx and `page`, which includes it, to everybody else."""
    response = render(request, part if is_htmx(request) else page, context, status=status)
    patch_vary_headers(response, ["HX-Request"])
    return response


def undoable(request: HttpRequest, words: str, *, label: str, path: str) -> None:
    """Say that something was done, with a button that takes it back: `path` is posted to, and asks for nothing."""
    messages.success(request, words, extra_tags=f"{UNDO}{label}|{path}")


def undo_of(message: Message) -> tuple[str, str] | None:
    """The label and the path of a toast's button. None: what it tells of cannot be taken back."""
    tags = message.extra_tags or ""
    if not tags.startswith(UNDO):
        return None
    label, _, path = tags.removeprefix(UNDO).partition("|")
    return label, path


def sent(request: HttpRequest) -> QueryDict | None:
    """What a form was sent with, even when that is nothing; None: it was not sent."""
    return request.POST if request.method == "POST" else None


@dataclass
class Rail:
    """The person at the desk, as the rail shows them: one query, and none where no rail is drawn."""

    user: Any

    @cached_property
    def memberships(self) -> list[Any]:
        if not self.user.is_authenticated:
            return []
        return list(self.user.memberships.filter(team__ended_at=None).select_related("team").order_by("team__name"))

    @property
    def teams(self) -> list[Any]:
        return [membership.team for membership in self.memberships[:RAIL_TEAMS]]

    @property
    def has_more(self) -> bool:
        return len(self.memberships) > RAIL_TEAMS

    @property
    def standing(self) -> str:
        """Who this person is here, in a few words."""
        if self.user.platform_role:
            return str(self.user.get_platform_role_display())
        if not self.memberships:
            return gettext("In no team yet")
        if len(self.memberships) == 1:
            only = self.memberships[0]
            return f"{only.get_role_display()}, {only.team}"
        number = len(self.memberships)
        return ngettext("Member of %(number)d team", "Member of %(number)d teams", number) % {"number": number}


def desk(request: HttpRequest) -> dict[str, Any]:
    """Context processor: `rail`."""
    return {"rail": Rail(request.user)} if hasattr(request, "user") else {}
