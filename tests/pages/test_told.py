"""What the books say in English is shown in the reader's language, and what is written stays English."""

from __future__ import annotations

import pytest
from django.utils import translation

from keys.models import Finding, KeyRequest
from keys.services.reconcile import drift
from keys.templatetags.told import SENTENCES, retold
from portal import audit
from portal.models import AuditEvent


@pytest.mark.parametrize(
    "written",
    [
        drift.SAID[Finding.Kind.LIMITS].format("coding-1"),
        drift.SAID[Finding.Kind.METADATA].format("coding-1"),
        "coding-1 is live here, and not on the gateway.",
        "3 of 40 keys end later on the gateway than by our database.",
        "eu-prod does not answer since 09:12 UTC.",
        "The key role coding was ended.",
    ],
)
def test_a_sentence_of_the_books_is_said_in_the_readers_language(written):
    assert retold(written) == written
    with translation.override("de"):
        assert retold(written) != written
        assert retold(retold(written)) == retold(written)


def test_words_of_a_person_stay_as_they_are():
    with translation.override("de"):
        assert retold("Leave it, it is mine") == "Leave it, it is mine"


def test_a_name_in_a_sentence_is_kept():
    assert len(SENTENCES) == len(set(SENTENCES))
    with translation.override("de"):
        assert "search (50 %)" in retold("The key role search (50 %) was ended.")


def test_the_trail_is_english_whatever_language_the_page_is_in(db, make_role, team, alice):
    role = make_role()
    request = KeyRequest(role=role, team=team, holder=alice, asked_by=alice)
    with translation.override("de"):
        assert str(request) != f"a key of {role}"
        audit.record("request.made", request, by=alice)
    assert AuditEvent.objects.get(action="request.made").target == f"a key of {role}"
