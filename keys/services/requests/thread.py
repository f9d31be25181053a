"""The thread of a request: one line for each thing that happened, kept for good."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from keys.models import KeyRequest, RequestEntry
from keys.services import words
from teams.access import Actor
from teams.models import User


def add(
    request: KeyRequest, act: RequestEntry.Act, *, by: Actor, at: datetime, text: str = "",
    terms: Mapping[str, Any] | None = None,
) -> RequestEntry:  # fmt: skip
    """One more line, in the transaction of what it tells of."""
    who = by if isinstance(by, User) else None
    said = words.clean(text)[:1000]
    return RequestEntry.objects.create(
        request=request, at=at, who=who, who_name=by.audit_name, act=act, text=said, terms=terms
    )


def thread(request: KeyRequest) -> QuerySet[RequestEntry]:
    """All that was done and said about it, also before it was asked again; the oldest first."""
    return RequestEntry.objects.filter(request__thread=request.thread).select_related("who", "request")
