"""Every URL of every door x every actor. A URL without a row fails; so does a row without a URL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from keys.models import Finding, Intent, KeyRole, UnmanagedKey
from keys.services.findings import note
from keys.services.terms import Ask
from teams.models import Departure

pytestmark = pytest.mark.django_db(transaction=True)

# The actors, in the order of the columns below. mallory administers another team; vic is a viewer of this one.
PEOPLE = ("nobody", "mallory", "vic", "alice", "carol", "bob", "ines", "audra", "ruth")
# alice holds the key in question; carol is another member.

SEES = "302 404 404 200 404 200 200 200 200"
PAGES = {  # (method, name): one status for each of PEOPLE
    ("get", "keys:home"): "302 200 200 200 200 200 200 200 200",
    ("get", "keys:issue"): "302 200 200 200 200 200 200 200 200",
    ("post", "keys:issue"): "302 404 403 200 200 200 200 403 200",
    ("get", "keys:lease"): SEES,
    ("get", "keys:renew"): "302 404 404 200 404 403 403 403 403",
    ("post", "keys:renew"): "302 404 404 302 404 403 403 403 403",
    ("get", "keys:rotate"): "302 404 404 200 404 403 403 403 403",
    ("post", "keys:rotate"): "302 404 404 200 404 403 403 403 403",
    ("get", "keys:pause"): "302 404 404 200 404 200 200 403 200",
    ("post", "keys:pause"): "302 404 404 302 404 302 302 403 302",
    ("get", "keys:resume"): "302 404 404 200 404 200 200 403 200",
    ("post", "keys:resume"): "302 404 404 302 404 302 302 403 302",
    ("get", "keys:revoke_many"): "302 404 404 200 404 200 200 403 200",
    ("post", "keys:revoke_many"): "302 404 404 200 404 200 200 403 200",
    ("get", "keys:revoke"): "302 404 404 200 404 200 200 403 200",
    ("post", "keys:revoke"): "302 404 404 302 404 302 302 403 302",
    ("get", "keys:roles"): "302 403 403 403 403 403 403 200 200",
    ("get", "keys:role_new"): "302 403 403 403 403 403 403 403 200",
    ("post", "keys:role_new"): "302 403 403 403 403 403 403 403 422",
    ("get", "keys:role"): "302 403 403 403 403 403 403 200 200",
    ("get", "keys:role_edit"): "302 403 403 403 403 403 403 403 200",
    ("post", "keys:role_edit"): "302 403 403 403 403 403 403 403 422",
    ("get", "keys:role_end"): "302 403 403 403 403 403 403 403 200",
    ("post", "keys:role_end"): "302 403 403 403 403 403 403 403 302",
    ("get", "keys:team_end"): "302 404 403 403 403 403 403 403 200",
    ("post", "keys:team_end"): "302 404 403 403 403 403 403 403 302",
    ("get", "keys:gateways"): "302 403 403 403 403 403 403 200 200",
    ("get", "keys:gateway_new"): "302 403 403 403 403 403 403 403 200",
    ("post", "keys:gateway_new"): "302 403 403 403 403 403 403 403 422",
    ("get", "keys:gateway"): "302 403 403 403 403 403 403 200 200",
    ("get", "keys:gateway_edit"): "302 403 403 403 403 403 403 403 200",
    ("post", "keys:gateway_edit"): "302 403 403 403 403 403 403 403 422",
    ("post", "keys:gateway_check"): "302 403 403 403 403 403 403 403 302",
    ("get", "keys:operations"): "302 403 403 403 403 403 403 200 200",
    ("post", "keys:intent_retry"): "302 403 403 403 403 403 403 403 302",
    ("get", "keys:intent_force"): "302 403 403 403 403 403 403 403 200",
    ("post", "keys:intent_force"): "302 403 403 403 403 403 403 403 422",
    ("get", "keys:intent_forget"): "302 403 403 403 403 403 403 403 200",
    ("post", "keys:intent_forget"): "302 403 403 403 403 403 403 403 422",
    ("get", "keys:departures"): "302 403 403 403 403 403 403 200 200",
    ("post", "keys:departures"): "302 403 403 403 403 403 403 403 422",
    ("get", "keys:findings"): "302 403 403 403 403 403 403 200 200",
    ("get", "keys:finding"): "302 403 403 403 403 403 403 200 200",
    ("post", "keys:finding"): "302 403 403 403 403 403 403 403 422",
    ("get", "keys:unmanaged"): "302 403 403 403 403 403 403 200 200",
    ("get", "keys:unmanaged_import"): "302 403 403 403 403 403 403 403 200",
    ("post", "keys:unmanaged_import"): "302 403 403 403 403 403 403 403 422",
    ("post", "keys:gateway_compare"): "302 403 403 403 403 403 403 403 302",
    ("get", "keys:gateway_end"): "302 403 403 403 403 403 403 200 200",
    ("post", "keys:gateway_end"): "302 403 403 403 403 403 403 403 302",
    ("get", "keys:gateway_hold"): "302 403 403 403 403 403 403 200 200",
    ("post", "keys:gateway_hold"): "302 403 403 403 403 403 403 403 422",
    ("post", "keys:gateway_measure"): "302 403 403 403 403 403 403 403 302",
    ("get", "teams:list"): "302 200 200 200 200 200 200 200 200",
    ("get", "teams:new"): "302 403 403 403 403 403 403 403 200",
    ("post", "teams:new"): "302 403 403 403 403 403 403 403 422",
    ("get", "teams:team"): "302 404 200 200 200 200 200 200 200",
    ("get", "teams:edit"): "302 404 403 403 403 403 200 403 200",
    ("post", "teams:edit"): "302 404 403 403 403 403 302 403 422",
    ("post", "teams:add_member"): "302 404 403 403 403 403 422 403 422",
    ("post", "teams:member"): "302 404 403 403 403 403 302 403 302",
    ("get", "teams:holder_budget"): "302 404 403 403 403 403 200 403 200",
    ("post", "teams:holder_budget"): "302 404 403 403 403 403 302 403 302",
}
PROXY = {("get", "keys:sandbox"): "200 200 200 200 200 200 200 200 200"}  # LiteLLM's own door: its keys open it
HOLDS = "401 404 404 200 404 403 403 403 403 404 403"  # the holder alone
ENDS = "401 404 404 200 404 200 200 403 200 404 403"
WATCHES = "401 403 403 403 403 403 403 200 200 403 403"
MANAGES = "401 403 403 403 403 403 403 403 200 403 403"
REST = {  # nobody without a token, then PEOPLE, then the team's service account and a token that may only read
    ("get", "api:teams"): "401 200 200 200 200 200 200 200 200 200 200",
    ("post", "api:teams"): "401 403 403 403 403 403 403 403 201 403 403",
    ("get", "api:team"): "401 404 200 200 200 200 200 200 200 200 200",
    ("patch", "api:team"): "401 404 403 403 403 403 200 403 200 403 403",
    ("get", "api:members"): "401 404 200 200 200 200 200 200 200 200 200",
    ("post", "api:members"): "401 404 403 403 403 403 200 403 200 403 403",
    ("get", "api:roles"): "401 200 200 200 200 200 200 200 200 200 200",
    ("post", "api:roles"): "401 403 403 403 403 403 403 403 201 403 403",
    ("get", "api:keys"): "401 200 200 200 200 200 200 200 200 200 200",
    ("post", "api:keys"): "401 422 403 201 201 201 201 403 201 201 403",
    ("get", "api:key"): "401 404 404 200 404 200 200 200 200 404 200",
    ("post", "api:renew"): HOLDS,
    ("post", "api:rotate"): HOLDS,
    ("post", "api:pause"): ENDS,
    ("post", "api:resume"): ENDS,
    ("post", "api:revoke"): ENDS,
    ("post", "api:revoke_many"): "401 404 200 200 200 200 200 200 200 200 200",  # each key has its own answer
    ("get", "api:key_spend"): "401 404 404 200 404 200 200 200 200 404 200",
    ("get", "api:team_spend"): "401 404 200 200 200 200 200 200 200 200 200",
    ("put", "api:member_budget"): "401 404 403 403 403 403 200 403 200 403 403",
    ("get", "api:role"): "401 404 200 200 200 200 200 200 200 200 200",
    ("delete", "api:role"): "401 404 403 403 403 403 403 403 200 404 404",  # ruth has ended it by then
    ("get", "api:gateways"): WATCHES,
    ("get", "api:gateway"): WATCHES,
    ("post", "api:reconcile"): MANAGES.replace("200", "202"),
    ("get", "api:release"): WATCHES,
    ("post", "api:release"): MANAGES,
    ("get", "api:unmanaged_keys"): WATCHES,
    ("post", "api:adopt_key"): MANAGES.replace("200", "422"),  # with an empty body
    ("get", "api:intents"): WATCHES,
    ("post", "api:intent_retry"): MANAGES,
    ("post", "api:intent_force"): MANAGES.replace("200", "409"),  # only an ending can be forced
    ("post", "api:intent_forget"): MANAGES,
    ("get", "api:sweeps"): WATCHES,
    ("get", "api:findings"): WATCHES,
    ("post", "api:finding_restore"): MANAGES,
    ("post", "api:finding_adopt"): MANAGES,
    ("post", "api:finding_ignore"): MANAGES,
    ("post", "api:finding_revoke"): MANAGES.replace("200", "409"),  # this one is a lease's
    ("get", "api:departures"): WATCHES,
    ("post", "api:departure_decide"): MANAGES,
}
FREE = {  # for everybody, signed in or not: signing in itself, health, Django's own admin behind its own sign-in
    "healthz",
    "account_login",
    "account_logout",
    "account_signup",
    "account_inactive",
    "account_reauthenticate",
    "account_change_password",
    "account_set_password",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
}
CLOSED = {  # pages of allauth that are no part of Keydesk yet
    "account_email",
    "account_confirm_email",
    "account_confirm_login_code",
    "account_email_verification_sent",
}


def names(patterns: list[URLPattern | URLResolver], space: str = "") -> Iterator[str]:
    """Every named URL of the site but those of Django's admin."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else ""
            if pattern.namespace != "admin":
                yield from names(pattern.url_patterns, space + inner)
        elif pattern.name:
            yield space + pattern.name


def test_every_url_has_its_rows_and_every_row_its_url():
    told = {name for _, name in (*PAGES, *PROXY, *REST)} | FREE | CLOSED
    assert set(names(get_resolver().url_patterns)) == told


API_ACTS = {  # names that stand on the same row
    "renew rotate pause resume revoke key_spend": "key",
    "intent_retry intent_force intent_forget": "intent",
    "finding_restore finding_adopt finding_ignore finding_revoke": "finding",
    "gateway reconcile release": "gateway",
}


@pytest.fixture
def carol(person, team):
    user = person("carol")
    user.memberships.create(team=team, role="member")
    return user


@pytest.fixture
def scene(sandbox, team, make_role, make_key, robot, carol, request):
    """A key of alice's, a role of her team, and everybody else."""
    role = make_role(all_teams=False, teams=[team])
    lease = make_key(role=role).lease
    everybody = {name: request.getfixturevalue(name) for name in PEOPLE[1:]}
    gateway, now, token = sandbox.gateway, timezone.now(), "a" * 64
    promise = Intent.objects.promise(Intent.Kind.SHAPE, now, gateway_id=gateway.pk, team=team)
    noted = note(gateway, Finding.Kind.LIMITS, token, message="Changed.", version=lease.versions.get(), now=now)
    held = Departure.objects.create(user=everybody["vic"], team=team, at=now, due_at=now, held=True)
    foreign = UnmanagedKey.objects.create(gateway=gateway, token_hash=token, seen_at=now)
    arguments = {
        "keys:lease": [lease.pk],
        **{f"keys:{act}": [lease.pk] for act in ("renew", "rotate", "pause", "resume", "revoke")},
        "keys:role": [role.pk],
        "keys:role_edit": [role.pk],
        "keys:role_end": [role.pk],
        "keys:team_end": [team.slug],
        "keys:gateway": [sandbox.gateway.pk],
        "keys:gateway_edit": [sandbox.gateway.pk],
        "keys:gateway_check": [sandbox.gateway.pk],
        "keys:gateway_compare": [sandbox.gateway.pk],
        "keys:gateway_end": [sandbox.gateway.pk],
        "keys:gateway_hold": [sandbox.gateway.pk],
        "keys:gateway_measure": [sandbox.gateway.pk],
        "keys:intent_retry": [promise.pk],
        "keys:intent_force": [promise.pk],
        "keys:intent_forget": [promise.pk],
        "keys:finding": [noted.pk],
        "keys:unmanaged_import": [foreign.pk],
        "keys:sandbox": ["health/liveliness"],
        "teams:team": [team.slug],
        "teams:edit": [team.slug],
        "teams:add_member": [team.slug],
        "teams:member": [team.slug, everybody["vic"].pk],
        "teams:holder_budget": [team.slug, everybody["vic"].pk],
        "api:team": [team.slug],
        "api:members": [team.slug],
        "api:key": [lease.pk],
        "api:role": [role.name],
        "api:team_spend": [team.slug],
        "api:member_budget": [team.slug, "vic@example.com"],
        "api:adopt_key": [foreign.pk],
        "api:departure_decide": [held.pk],
    }
    for things, place in API_ACTS.items():
        one = {"key": lease.pk, "intent": promise.pk, "finding": noted.pk, "gateway": gateway.name}[place]
        arguments |= {f"api:{thing}": [one] for thing in things.split()}
    return everybody | {"robot": robot}, arguments, Ask(team=team, role=role)


BODIES = {
    "keys:issue": {"team": "search"},
    "keys:renew": {"ttl": "30d"},
    "keys:rotate": {"grace": "24h", "replaces": "1"},
    "teams:member": {"role": "viewer"},
    "api:keys": {"team": "search", "role": "coding"},
    "api:teams": {"name": "New"},
    "api:members": {"email": "vic@example.com", "role": "viewer"},
    "api:roles": {"name": "new", "models": ["gpt-4o"], "all_teams": True},
    "api:team": {"max_budget": "10.00"},
    "api:revoke_many": {"team": "search"},
    "api:member_budget": {"max_budget": "5.00"},
    "api:intent_force": {"reason": "a test"},
    "api:intent_forget": {"reason": "a test"},
    "api:finding_ignore": {"reason": "a test"},
    "api:departure_decide": {"go_on": False},
}


@pytest.mark.parametrize(("method", "name"), PAGES | PROXY)
def test_a_page_answers_each_person_as_the_table_says(client, scene, method, name):
    everybody, arguments, _ = scene
    found = []
    for who in PEOPLE:
        if who != "nobody":
            client.force_login(everybody[who])
        body = {"sent": "1"} | BODIES.get(name, {}) if method == "post" else {}
        if name == "keys:issue":
            body["role"] = str(KeyRole.objects.get().pk)
        if name == "keys:revoke_many":
            body["id"] = str(arguments["keys:lease"][0])
        answer = getattr(client, method)(reverse(name, args=arguments.get(name, [])), data=body)
        if who == "nobody" and answer.status_code == 302:
            assert answer["Location"].startswith("/accounts/login/")
        found.append(f"{who} {answer.status_code}")
    statuses = (PAGES | PROXY)[method, name].split()
    assert found == [f"{who} {status}" for who, status in zip(PEOPLE, statuses, strict=True)]


@pytest.mark.parametrize(("method", "name"), REST)
def test_the_api_answers_each_actor_as_the_table_says(client, bearer, scene, method, name):
    everybody, arguments, _ = scene
    found = []
    for who in (*PEOPLE, "robot", "alice who may only read"):
        actor = everybody.get(who.split()[0])
        scopes = ["read"] if who.endswith("only read") else None
        answer = getattr(client, method)(
            reverse(name, args=arguments.get(name, [])),
            data=BODIES.get(name, {}) if method != "get" else None,
            content_type="application/json",
            headers=bearer(actor, scopes) if actor else {},
        )
        found.append(f"{who} {answer.status_code}")
    statuses = REST[method, name].split()
    actors = (*PEOPLE, "robot", "alice who may only read")
    assert found == [f"{who} {status}" for who, status in zip(actors, statuses, strict=True)]
