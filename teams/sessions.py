"""Where somebody is signed in: one's own sessions, listed and ended."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from allauth.usersessions.models import UserSession
from django.contrib.sessions.backends.base import SessionBase
from django.core.cache import caches
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone as django_timezone
from django.utils import translation
from django.utils.translation import gettext

from portal import audit
from portal.audit import origin
from teams.models import User

NEVER = datetime.fromtimestamp(0, tz=UTC)  # a session from before sign-ins were noted: not fresh
LISTED = "keydesk_listed"  # in a session that has a row in the list: how many records its last sign-in had left
SEEN_EVERY = 300  # seconds between two notes of when a session was last used, for each process

BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
SYSTEMS = {"Windows": "Windows", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Mac OS X": "Mac",
           "CrOS": "ChromeOS", "Linux": "Linux"}  # fmt: skip


class SessionsAdapter(DefaultUserSessionsAdapter):  # type: ignore[misc]
    """Ending a session is an act like others: it is written down."""

    def end_sessions(self, sessions: Iterable[UserSession]) -> None:
        for session in sessions:
            end(session, by=session.user)


def sessions_of(user: User) -> list[UserSession]:
    """Those that live, the last used first."""
    found: list[UserSession] = UserSession.objects.purge_and_list(user)
    return sorted(found, key=lambda session: session.last_seen_at, reverse=True)


def end(session: UserSession, *, by: User) -> None:
    """Sign one's own session out, wherever it is."""
    with transaction.atomic():
        with translation.override("en"):
            browser = browser_of(session)
        audit.record("person.session_ended", session.user, by=by, address=session.ip, browser=browser)
        session.end()


def end_others(user: User, *, but: str | None) -> int:
    """Sign the person out everywhere but in the session with that key; answers how many ended."""
    others = [session for session in sessions_of(user) if session.session_key != but]
    with transaction.atomic():
        for session in others:
            end(session, by=user)
    return len(others)


def browser_of(session: UserSession) -> str:
    """In the words people use for it, as "Firefox on Linux"; what it says of itself where that is nothing known."""
    said = session.user_agent
    browser = next((name for mark, name in BROWSERS.items() if f"{mark}/" in said), "")
    system = next((name for mark, name in SYSTEMS.items() if mark in said), "")
    if browser and system:
        return gettext("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or said[:60] or gettext("An unknown browser")


def last_sign_in(request: HttpRequest) -> datetime:
    """When whoever is signed in last showed that it is them, by whatever means."""
    noted = [record["at"] for record in get_authentication_records(request, request.user)]
    return datetime.fromtimestamp(max(noted), tz=UTC) if noted else NEVER


def record(request: HttpRequest, user: User) -> None:
    """Note that `user` has just shown who they are, by a door that does not say so itself."""
    record_authentication(request, user, method="other")


def note_use(session: SessionBase) -> None:
    """Keep when and from where a listed session was last used, every few minutes."""
    key = session.session_key
    if LISTED in session and caches["near"].add(f"seen:{key}", True, SEEN_EVERY):
        seen = {"last_seen_at": django_timezone.now()} | ({"ip": ip} if (ip := origin.get().ip) else {})
        UserSession.objects.filter(session_key=key).update(**seen)


def choose_new_key(request: HttpRequest) -> None:
    """Give the session another key, as after every step up: what somebody else may have set or seen opens nothing."""
    before = request.session.session_key
    request.session.cycle_key()
    UserSession.objects.filter(session_key=before).update(session_key=request.session.session_key)
