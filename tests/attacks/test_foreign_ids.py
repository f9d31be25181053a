"""What belongs to another team is not there: the answer is the one for an id that nobody ever had, word for word."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

import pytest
from django.urls import reverse

from portal.models import AuditEvent
from tests.permissions.scene import PEOPLE, nothing_happened
from tests.permissions.table import FILE_OF, PAGES, REST, Asked, address

pytestmark = [pytest.mark.django_db, pytest.mark.apart]

OUTSIDE = ("olga", "mallory", "carol")  # no team, another team's admin, and a member who does not hold the key
PARTS = {
    name: file for name, file in FILE_OF.items() if not name.startswith(("/", "admin:", "account_", "keys:sandbox"))
}
NOISE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|csrfmiddlewaretoken\W+value=.\w+|request_id|\b\d+\b")


def absent(part: object) -> object:
    """Something of the same kind that nobody has."""
    if isinstance(part, UUID):
        return uuid4()
    if isinstance(part, int):
        return 987654
    return "nobody-at-all@example.com" if "@" in str(part) else "no-such-thing"


def said(answer, *parts: object) -> tuple[int, str]:
    """Status and body, without what was asked for and what differs from one request to the next."""
    text = answer.getvalue().decode(errors="replace") + answer.get("Location", "")
    for part in sorted((str(each) for each in parts), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "…", text)
    return answer.status_code, NOISE.sub("…", text)


@pytest.mark.parametrize("who", OUTSIDE)
def test_in_a_path(client, scene, who):
    """Every URL with parts x every method: with each part that is another team's, and with one that is nobody's."""
    column, told, wrong = PEOPLE.index(who), {**PAGES, **REST}, []
    client.force_login(scene.people[who])
    token = scene.bearer(scene.people[who])
    files = {file: Asked(scene, file) for file in set(PARTS.values())}
    for (method, name), row in told.items():
        if name not in PARTS or row.split()[column] not in {"404", "403"}:
            continue
        asked = files[PARTS[name]]
        parts = asked.arguments.get(name, [])
        rest = (method, name) in REST
        for place, part in enumerate(parts):
            answers = []
            for value in (part, absent(part)):
                where = address(name, [*parts[:place], value, *parts[place + 1 :]])
                data = asked.bodies.get(name, {}) if method != "get" else asked.queries.get(name, {})
                how = {"content_type": "application/json", "headers": token} if rest else {}
                with nothing_happened():
                    before = AuditEvent.objects.count()
                    answer = getattr(client, method)(where, data=None if rest and method == "get" else data, **how)
                    answers.append(said(answer, *parts, value))
                    written = AuditEvent.objects.filter(action="access.refused").count()
                    if method != "get" and not (written and AuditEvent.objects.count() == before + 1):
                        wrong.append(f"{method} {name}: {answer.status_code} is not on record")
            if row.split()[column] == "404" and answers[0] != answers[1]:
                wrong.append(f"{method} {name}: {answers[0][0]} for what is there, {answers[1][0]} for what is not")
    assert wrong == []


BODIES = [  # (method, URL, what is sent of mallory's own, the field, what is another team's in it)
    ("post", "api:keys", {"role": "coding"}, "team", "search"),
    ("post", "api:keys", {"team": "mobile"}, "role", "coding"),
    ("post", "api:keys", {"team": "mobile", "role": "coding"}, "holder", "alice@example.com"),
    ("post", "api:revoke_many", {}, "team", "search"),
    ("post", "api:revoke_many", {"team": "mobile"}, "holder", "alice@example.com"),
    ("post", "api:revoke_many", {"team": "mobile"}, "role", "coding"),
    ("post", "api:rotate_many", {}, "team", "search"),
    ("post", "api:rotate_many", {}, "holder", "alice@example.com"),
    ("post", "api:rotate_many", {}, "role", "coding"),
    ("post", "keys:issue", {}, "team", "search"),
    ("post", "keys:issue", {"team": "mobile"}, "role", "{role}"),
    ("post", "keys:issue", {"team": "mobile", "role": "1"}, "holder", "{alice}"),
    ("post", "keys:revoke_many", {}, "id", "{lease}"),
    ("get", "keys:issue", {}, "team", "search"),
    ("get", "keys:issue", {"team": "mobile"}, "role", "{role}"),
    ("get", "keys:revoke_many", {}, "id", "{lease}"),
    ("get", "api:keys", {}, "team", "search"),
    ("get", "api:keys", {}, "holder", "alice@example.com"),
    ("get", "api:keys", {}, "role", "coding"),
    ("get", "api:keys", {}, "gateway", "sandbox"),
    ("get", "api:roles", {}, "gateway", "sandbox"),
    ("get", "api:requests", {}, "team", "search"),
    ("get", "api:requests", {}, "role", "coding"),
    ("get", "api:requests", {}, "gateway", "sandbox"),
    ("get", "api:advice", {}, "team", "search"),
    ("get", "api:statements", {}, "team", "search"),
    ("get", "api:audit", {}, "team", "search"),
    ("get", "api:spend", {}, "team", "search"),
    ("get", "api:spend", {}, "member", "alice@example.com"),
    ("get", "api:spend", {"by": "member"}, "key", "{lease}"),
    ("get", "api:spend_csv", {}, "team", "search"),
    ("get", "api:tokens", {}, "team", "search"),
    ("get", "api:tokens", {}, "owner", "alice@example.com"),
    ("get", "api:invitations", {}, "team", "search"),
    ("get", "api:service_accounts", {}, "team", "search"),
    ("get", "api:webhooks", {}, "team", "search"),
    ("post", "api:requests", {"role": "coding", "purpose": "x"}, "team", "search"),
    ("post", "api:requests", {"team": "mobile", "purpose": "x"}, "role", "coding"),
    ("post", "api:requests", {"team": "mobile", "role": "coding", "purpose": "x"}, "holder", "alice@example.com"),
    ("post", "api:requests", {"lasts": "1d", "purpose": "x"}, "lease", "{lease}"),
    ("post", "api:audit_export", {}, "team", "search"),
]


@pytest.mark.parametrize(("method", "name", "own", "field", "foreign"), BODIES)
def test_in_a_body_or_a_query(client, scene, method, name, own, field, foreign):
    meant = {"{role}": scene.role.pk, "{alice}": scene.alice.pk, "{lease}": scene.lease.pk}.get(foreign, foreign)
    client.force_login(scene.mallory)
    how = {"headers": scene.bearer(scene.mallory)} if name.startswith("api:") else {}
    if name.startswith("api:") and method == "post":
        how["content_type"] = "application/json"
    answers, values = [], (meant, absent(meant))
    for value in values:
        with nothing_happened():
            answer = getattr(client, method)(reverse(name), data={**own, field: str(value)}, **how)
            answers.append(said(answer, *values))  # each page has the word "search", too
    assert answers[0] == answers[1]
    assert answers[0][0] in ({200, 404, 422} if method == "get" else {404, 422})
    assert not re.search(r"alice|coding-|search platform", answers[0][1], re.IGNORECASE)


def test_the_list_of_fields_that_name_things_is_whole():
    """A new filter of the API that narrows by somebody's or something's name stands above, or here with a reason."""
    from keys.api import urls
    from keys.api.rest.common import Listed

    naming = {"team", "holder", "role", "gateway", "owner", "account", "key", "version"}
    listed = {
        (f"api:{each.name}", field)
        for each in urls.urlpatterns
        if issubclass(getattr(each.callback, "cls", object), Listed)
        for field in each.callback.cls.filters
        if field in naming
    }
    platform = {(f"api:{name}", field) for name in ("intents", "findings", "unmanaged_keys") for field in naming}
    assert listed - {(name, field) for _, name, _, field, _ in BODIES} - platform == set()
