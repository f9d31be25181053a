"""The language of a page is its reader's, that of a letter its recipient's. Machines are always answered in English.

What is written down (the audit trail, logs, the names of states) is English too; only what people read is translated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers

ENGLISH = "en"
MACHINES = ("/api/", "/scim/", "/healthz")
LANGUAGES: dict[str, str] = dict(settings.LANGUAGES)  # each by its own name
letter_in: ContextVar[str] = ContextVar("letter_in", default=ENGLISH)  # the language of the letter being written

P = ParamSpec("P")
To = TypeVar("To", bound=Iterable[str])


class LanguageMiddleware:
    """Speak the language that a person chose, else the first of ours that their browser asks for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        machine = request.path.startswith(MACHINES)
        language = ENGLISH if machine else _of_reader(request)
        request.LANGUAGE_CODE = language
        with translation.override(language):
            response = self.get_response(request)
        if not machine:
            patch_vary_headers(response, ["Accept-Language"])
        response.headers.setdefault("Content-Language", language)
        return response


def _of_reader(request: HttpRequest) -> str:
    chosen = request.user.language if SESSION_KEY in request.session and request.user.is_authenticated else ""
    return chosen if chosen in LANGUAGES else translation.get_language_from_request(request)


def of_addresses(addresses: Iterable[str]) -> Mapping[str, list[str]]:
    """The addresses by the language of the letter they get: the one that the person chose, else English."""
    people = list(addresses)
    chosen = get_user_model().objects.exclude(language="").annotate(low=Lower("email"))
    known = dict(chosen.filter(low__in=[each.lower() for each in people]).values_list("low", "language"))
    found: dict[str, list[str]] = {}
    for each in people:
        language = known.get(each.lower(), ENGLISH)
        found.setdefault(language if language in LANGUAGES else ENGLISH, []).append(each)
    return found


@contextmanager
def writing_in(language: str) -> Iterator[None]:
    """Write a letter in that language: its words, and what `post` notes of it."""
    token = letter_in.set(language)
    try:
        with translation.override(language):
            yield
    finally:
        letter_in.reset(token)


def in_their_language(write: Callable[Concatenate[To, P], Any]) -> Callable[Concatenate[To, P], None]:
    """Make of a letter (its first argument is whom it goes to, one address or several) one for each of their languages.

    Words that its caller gives are lazy, or names: what is translated already stays in the caller's language.
    """

    @wraps(write)
    def letter(to: To, /, *args: P.args, **kwargs: P.kwargs) -> None:
        one = isinstance(to, str)
        for language, people in of_addresses([cast("str", to)] if one else to).items():
            with writing_in(language):
                write(cast("To", people[0] if one else people), *args, **kwargs)

    return letter
