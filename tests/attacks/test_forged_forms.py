"""Cross-site request forgery: a form that did not come from a page of ours does nothing, on any page."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import resolve

from portal.models import AuditEvent
from tests.permissions.scene import nothing_happened
from tests.permissions.table import FILES, FOR_NOBODY, PAGES, REST, Asked, rows_of

pytestmark = [pytest.mark.django_db, pytest.mark.apart]

FREE = {"keys:sandbox"}  # opened by a key in a header, never by a session


def test_every_page_that_takes_a_form_wants_its_token(scene):
    client, wrong, seen = Client(enforce_csrf_checks=True), [], 0
    for file in FILES:
        asked = Asked(scene, file)
        for method, name in rows_of(file, "PAGES"):
            if method == "get" or name in FREE:
                continue
            seen += 1
            with nothing_happened():
                client.force_login(scene.ruth)
                status = getattr(client, method)(asked.paths[name], data=asked.bodies.get(name, {})).status_code
                written = AuditEvent.objects.filter(action="access.refused", actor_id=str(scene.ruth.pk))
                if status != 403 or [each.facts["code"] for each in written] != ["stale_form"]:
                    wrong.append(f"{method} {name}: {status}, {len(written)} on record")
    assert (wrong, seen > 20) == ([], True)


def test_no_view_of_a_page_is_exempt(scene):
    for file in FILES:
        for name, where in Asked(scene, file).paths.items():
            if any((method, name) in PAGES for method in ("post", "get")) and name not in FREE:
                assert not getattr(resolve(where.partition("?")[0]).func, "csrf_exempt", False), name


def test_a_session_at_the_api_wants_the_token_too(scene):
    client, wrong = Client(enforce_csrf_checks=True), []
    for file in FILES:
        asked = Asked(scene, file)
        for method, name in rows_of(file, "REST"):
            if method == "get" or not name.startswith("api:") or name in FOR_NOBODY:
                continue
            with nothing_happened():
                client.force_login(scene.ruth)
                where = asked.paths[name]
                answer = getattr(client, method)(where, data={}, content_type="application/json")
                written = AuditEvent.objects.filter(action="access.refused", actor_id=str(scene.ruth.pk)).count()
                if (answer.status_code, written) != (403, 1):
                    wrong.append(f"{method} {name}: {answer.status_code}, {written} on record")
    assert (wrong, bool(REST)) == ([], True)
