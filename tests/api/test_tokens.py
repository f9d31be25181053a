"""Tokens through the API: made and shown once, ended, and what one that was found somewhere must not be able to do."""

from __future__ import annotations

import pytest
from django.utils import timezone

from portal.models import AuditEvent, Letter
from teams.models import ApiToken
from teams.services import make_token
from tests.api.answers import code

pytestmark = pytest.mark.django_db(transaction=True)


def token_of(user, *scopes: str) -> ApiToken:
    return make_token(user, name="other", scopes=scopes, by=user)[0]


def test_a_token_is_shown_once_and_works(call, client, alice):
    made = call("post", "tokens/", {"name": "ci", "scopes": ["read"], "ttl": "1h"}, by=alice)
    said = made.json()
    assert (made.status_code, made["Cache-Control"], said["token"]["owner"]) == (201, "no-store", "alice@example.com")
    assert client.get("/api/v1/me/", headers={"Authorization": f"Bearer {said['secret']}"}).status_code == 200
    seen = call("get", f"tokens/{said['token']['id']}/", by=alice)
    assert said["secret"] not in seen.content.decode() + str([*AuditEvent.objects.values()])


def test_a_call_that_is_sent_twice_makes_one_token_and_shows_it_once(client, bearer, alice):
    headers = bearer(alice) | {"Idempotency-Key": "once"}
    body = {"name": "ci", "scopes": ["read"]}
    sent = [client.post("/api/v1/tokens/", body, content_type="application/json", headers=headers) for _ in range(2)]
    assert [each.status_code for each in sent] == [201, 200]
    assert sent[1].json() == {"secret": "shown_once", "token": sent[0].json()["token"]}
    assert ApiToken.objects.filter(name="ci").count() == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"scopes": ["read", "platform:manage"]}, (403, "not_allowed")),
        ({"scopes": ["keys:issue"]}, (403, "not_allowed")),
        ({"scopes": ["read"], "ttl": "366d"}, (422, "invalid")),
        ({"scopes": ["read"], "owner": "ruth@example.com"}, (422, "unknown_field")),
        ({"scopes": ["read"], "kind": "login"}, (422, "unknown_field")),
        ({"scopes": ["read"], "networks": ["nowhere"]}, (422, "invalid")),
    ],
)
def test_a_token_makes_none_that_may_more_or_is_somebody_elses(call, alice, body, expected):
    assert code(call("post", "tokens/", {"name": "ci", **body}, by=alice, scopes=["read"])) == expected
    assert ApiToken.objects.count() == 1


def test_a_reading_token_that_was_found_cuts_off_no_other(call, alice):
    wide, narrow = token_of(alice, "read", "keys:manage"), token_of(alice, "read")
    assert code(call("post", f"tokens/{wide.pk}/end/", by=alice, scopes=["read"])) == (403, "not_allowed")
    assert call("post", f"tokens/{narrow.pk}/end/", by=alice, scopes=["read"]).json()["living"] is False
    assert call("post", f"tokens/{wide.pk}/end/", by=alice, scopes=["read", "keys:manage"]).status_code == 200


def test_a_token_ends_itself_and_what_was_made_with_it(client, alice):
    outer, plain = make_token(alice, name="outer", scopes=["keys:issue"], by=alice)
    headers = {"Authorization": f"Bearer {plain}"}
    sent = {"name": "inner", "scopes": ["keys:issue"]}
    inner = client.post("/api/v1/tokens/", sent, content_type="application/json", headers=headers).json()["token"]
    assert inner["made_with"] == str(outer.pk)
    token_of(alice, "read")
    seen = client.get("/api/v1/tokens/", headers=headers).json()["results"]
    assert [each["name"] for each in seen] == ["outer"]  # without `read` itself alone
    preview = client.post(
        f"/api/v1/tokens/{outer.pk}/end/", {"preview": True}, content_type="application/json", headers=headers
    )
    assert preview.json()["reach"]["tokens"] == 1
    assert client.post(f"/api/v1/tokens/{outer.pk}/end/", headers=headers).status_code == 415
    assert ApiToken.objects.living(timezone.now()).count() == 3
    done = client.post(f"/api/v1/tokens/{outer.pk}/end/", {}, content_type="application/json", headers=headers)
    assert done.status_code == 200
    assert [each.name for each in ApiToken.objects.living(timezone.now())] == ["other"]


def test_a_platform_admin_sees_and_ends_anybodys_login_and_its_owner_is_told(call, ruth, audra, ines, alice):
    login = token_of(alice, "read")
    ApiToken.objects.filter(pk=login.pk).update(kind=ApiToken.Kind.LOGIN)
    listed = call("get", "tokens/?kind=login&owner=alice@example.com&state=live", by=ruth).json()["results"]
    assert [each["id"] for each in listed] == [str(login.pk)]
    assert call("get", f"tokens/{login.pk}/", by=ines).status_code == 404
    assert code(call("post", f"tokens/{login.pk}/end/", by=audra)) == (403, "not_allowed")
    watching = ["read", "platform:read"]
    assert code(call("post", f"tokens/{login.pk}/end/", by=ruth, scopes=watching)) == (403, "not_allowed")
    for _ in range(2):  # safe to repeat, and told once
        assert call("post", f"tokens/{login.pk}/end/", by=ruth).json()["living"] is False
    assert AuditEvent.objects.get(action="token.ended").actor == "ruth@example.com"
    letter = Letter.objects.get(kind="token.ended")
    assert (letter.to, "Ruth ended your token other" in letter.subject) == (["alice@example.com"], True)


def test_the_page_of_a_person_lists_their_tokens_for_a_platform_admin_to_end(client, ruth, alice):
    login = token_of(alice, "read")
    client.force_login(ruth)
    page = client.get(f"/people/{alice.pk}/").content.decode()
    assert f"/tokens/{login.pk}/end/" in page
    assert client.post(f"/tokens/{login.pk}/end/")["Location"] == f"/people/{alice.pk}/"
    login.refresh_from_db()
    assert login.ended_at


def test_a_service_accounts_token_runs_nothing_of_its_team(call, robot, ines, alice, team):
    held = token_of(alice, "read")
    made = call(
        "post", f"service-accounts/{robot.pk}/tokens/", {"name": "n", "scopes": ["read", "team:manage"]}, by=ines
    )
    assert code(made) == (422, "invalid")
    for method, path, body in (
        ("delete", f"teams/{team.slug}/members/alice@example.com/", None),
        ("patch", f"service-accounts/{robot.pk}/", {"name": "boss"}),
        ("post", "invitations/", {"team": team.slug, "email": "x@example.com"}),
        ("post", f"teams/{team.slug}/members/", {"email": "alice@example.com", "role": "admin"}),
    ):
        assert code(call(method, path, body, by=robot)) == (403, "not_allowed"), path
    assert call("post", f"tokens/{held.pk}/end/", by=robot).status_code == 404
