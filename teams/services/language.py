"""The language that Keydesk speaks to a person, on pages and in letters."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext

from portal import audit
from portal.errors import Invalid
from portal.languages import LANGUAGES
from teams.models import User


def choose(language: str, *, by: User) -> None:
    """Choose one's own; blank: pages speak what the browser asks for, letters English. Raises Invalid."""
    if language and language not in LANGUAGES:
        raise Invalid(details={"language": gettext("There is no such language here.")})
    with transaction.atomic():
        before = User.objects.select_for_update(no_key=True).values_list("language", flat=True).get(pk=by.pk)
        if before != language:
            User.objects.filter(pk=by.pk).update(language=language)
            audit.record("person.language_chosen", by, by=by, before=before, after=language)
    by.language = language
