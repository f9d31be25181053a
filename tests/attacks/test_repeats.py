"""Every POST of the API, sent twice with one Idempotency-Key: done once, and no secret comes a second time."""

from __future__ import annotations

import pytest

from portal.log import SECRET
from portal.models import AuditEvent, Letter, Repeat
from tests.permissions.scene import ACTORS, Scene, nothing_happened
from tests.permissions.table import FILE_OF, REST, Asked

pytestmark = [pytest.mark.django_db, pytest.mark.apart]
ENDS_ITS_OWN_TOKEN = {"api:token_end_current"}  # whoever repeats that is nobody
POSTS = {name: row.split() for (method, name), row in REST.items() if method == "post"}


def who_may(row: list[str]) -> str | None:
    """An actor whom the act answers well, if there is one in the scene."""
    return next((who for who, cell in zip(ACTORS[1:], row[1:], strict=True) if cell < "300"), None)


def left(scene: Scene) -> tuple[int, int, int]:
    """What acts leave behind; a repeat leaves nothing."""
    return AuditEvent.objects.count(), Letter.objects.count(), Repeat.objects.count()


def test_the_second_one_does_nothing_and_tells_no_secret(client, scene):
    wrong, done = [], 0
    for name, row in POSTS.items():
        who = who_may(row)
        if who is None or row[0] != "401" or name in ENDS_ITS_OWN_TOKEN:
            continue
        headers = scene.bearer(scene.people[who.split(maxsplit=1)[0]]) | {"Idempotency-Key": "one"}
        with nothing_happened():
            asked, first, second, counts = Asked(scene, FILE_OF[name]), None, None, []
            body = asked.bodies.get(name, {})
            for _ in range(2):
                first, second = second, client.post(asked.paths[name], body, "application/json", headers=headers)
                counts.append(left(scene))
        if first.streaming or first.status_code >= 300:  # a file, or a row that test_permissions.py finds wrong
            continue
        done += 1
        told = f"{name} as {who}: {first.status_code}, then {second.status_code} {second.content[:200]!r}"
        if second.status_code not in {first.status_code, 200} or second.get("Idempotency-Replayed") != "true":
            wrong.append(told)
        elif counts[0] != counts[1] or SECRET.search(second.content.decode()):
            wrong.append(f"{told}: {counts}")
        elif second.status_code == first.status_code and (first.content != second.content) != (
            b"shown_once" in second.content
        ):
            wrong.append(f"{told}: not {first.content[:200]!r}")
    assert wrong == []
    assert done >= 40
