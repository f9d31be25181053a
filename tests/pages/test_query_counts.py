"""What each page and each list of REST asks of the database: a fixed number, with two rows and with sixty of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import time_machine
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal import sweeps
from tests.pages.many_rows import grow
from tests.permissions.scene import Scene, scene
from tests.permissions.table import FILES, PAGES, REST, Asked

__all__ = ["scene"]
pytestmark = pytest.mark.django_db
FEW, MANY = 2, 60  # a page has 50 rows, a page of REST too

# Who looks, and how many queries each page takes of them. Left out are pages of allauth's and forms without rows.
LEFT_OUT = ("account", "mfa_", "socialaccount_", "/", "healthz", "keys:sandbox", "admin:password", "admin:jsi18n")
COUNTS: dict[str, dict[str, int]] = {
    "alice": {
        "api:me": 4,
        "device": 2,
        "keys:find": 8,
        "keys:gallery": 10,
        "keys:home": 23,
        "keys:issue": 7,
        "keys:lease": 26,
        "keys:renew_many": 10,
        "keys:renew": 16,
        "keys:request": 10,
        "keys:rise": 7,
        "keys:rotate": 13,
        "keys:why": 16,
        "notices": 4,
        "tokens:list": 5,
        "tokens:new": 3,
    },
    "ines": {
        "audit:page": 11,
        "keys:advice": 7,
        "keys:advice_one": 6,
        "keys:pause": 15,
        "keys:requests": 19,
        "keys:resume": 15,
        "keys:revoke": 15,
        "keys:pause_many": 11,
        "keys:resume_many": 9,
        "keys:revoke_many": 12,
        "keys:service_account": 13,
        "keys:service_account_edit": 8,
        "keys:service_account_end": 10,
        "keys:service_accounts": 10,
        "keys:statement": 8,
        "keys:statements": 8,
        "keys:team_spend": 21,
        "keys:team_spend_csv": 5,
        "keys:team_statements": 14,
        "keys:transfer": 17,
        "teams:edit": 6,
        "teams:holder_budget": 7,
        "teams:keys": 21,
        "teams:list": 6,
        "teams:members": 19,
        "teams:new_webhook": 6,
        "teams:service_token": 7,
        "teams:team": 18,
        "teams:webhooks": 7,
        "webhooks:edit": 5,
        "webhooks:page": 6,
        "webhooks:remove": 6,
        "webhooks:secret": 5,
    },
    "ruth": {
        "admin:app_list": 2,
        "admin:index": 3,
        "admin:keys_counter_change": 5,
        "admin:keys_counter_changelist": 6,
        "admin:keys_finding_change": 5,
        "admin:keys_finding_changelist": 6,
        "admin:keys_gateway_change": 3,
        "admin:keys_gateway_changelist": 5,
        "admin:keys_intent_change": 5,
        "admin:keys_intent_changelist": 6,
        "admin:keys_keyrole_change": 5,
        "admin:keys_keyrole_changelist": 6,
        "admin:keys_lease_change": 9,
        "admin:keys_lease_changelist": 7,
        "admin:keys_spendday_change": 7,
        "admin:keys_spendday_changelist": 9,
        "admin:keys_unmanagedkey_change": 4,
        "admin:keys_unmanagedkey_changelist": 6,
        "admin:portal_auditevent_change": 3,
        "admin:portal_auditevent_changelist": 9,
        "admin:portal_letter_change": 3,
        "admin:portal_letter_changelist": 5,
        "admin:portal_letter_delete": 5,
        "admin:portal_sweep_change": 3,
        "admin:portal_sweep_changelist": 5,
        "admin:teams_apitoken_change": 4,
        "admin:teams_apitoken_changelist": 5,
        "admin:teams_team_change": 3,
        "admin:teams_team_changelist": 5,
        "admin:teams_user_change": 4,
        "admin:teams_user_changelist": 5,
        "api:bundle": 8,
        "api:account_tokens": 5,
        "api:deliveries": 5,
        "api:invitations": 4,
        "api:leaving": 11,
        "api:people": 4,
        "api:person": 4,
        "api:proposal": 4,
        "api:proposals": 4,
        "api:service_account": 4,
        "api:service_accounts": 4,
        "api:token": 4,
        "api:tokens": 4,
        "api:webhook": 4,
        "api:webhooks": 4,
        "api:advice": 4,
        "api:advice_one": 4,
        "api:audit": 4,
        "api:audit_act": 4,
        "api:audit_chain": 5,
        "api:departures": 4,
        "api:findings": 4,
        "api:gateway": 4,
        "api:gateways": 4,
        "api:intents": 4,
        "api:key": 6,
        "api:key_spend": 18,
        "api:keys": 6,
        "api:members": 5,
        "api:models": 6,
        "api:credentials": 5,
        "api:model_groups": 5,
        "api:proxy_model": 5,
        "api:proxy_models": 5,
        "api:proxy_users": 5,
        "api:release": 12,
        "api:role": 6,
        "api:request": 21,
        "api:requests": 4,
        "api:roles": 6,
        "api:spend": 6,
        "api:spend_csv": 4,
        "api:statement": 4,
        "api:statement_lines": 5,
        "api:statements": 4,
        "api:sweeps": 4,
        "api:team": 4,
        "api:team_spend": 15,
        "api:teams": 4,
        "api:unmanaged_keys": 4,
        "keys:departures": 7,
        "keys:finding": 5,
        "keys:findings": 11,
        "keys:gateway": 8,
        "keys:gateway_edit": 6,
        "keys:gateway_end": 7,
        "keys:gateway_hold": 5,
        "keys:gateway_new": 4,
        "keys:gateways": 5,
        "keys:intent_force": 5,
        "keys:intent_forget": 5,
        "keys:list": 18,
        "keys:member_leaving": 15,
        "keys:operations": 15,
        "keys:people": 9,
        "keys:person": 12,
        "keys:person_factors": 6,
        "keys:person_leaving": 12,
        "keys:platform": 24,
        "keys:platform_csv": 3,
        "keys:proposals": 7,
        "keys:role": 8,
        "keys:role_edit": 9,
        "keys:role_end": 8,
        "keys:role_new": 17,
        "keys:roles": 9,
        "keys:team_end": 8,
        "keys:unmanaged": 8,
        "keys:unmanaged_import": 8,
        "mappings:list": 11,
        "mappings:new": 5,
        "mappings:remove": 7,
        "mappings:try": 4,
        "teams:new": 4,
        "tokens:end": 8,
        "webhooks:list": 5,
        "webhooks:new": 4,
        "reference:docs": 4,
        "reference:error": 2,
        "reference:errors": 2,
        "reference:schema": 2,
    },
}


def test_no_page_is_forgotten():
    rows = [(name, row) for (method, name), row in (PAGES | REST).items() if method == "get" and "200" in row]
    asked = {name for name, _ in rows if not (name.startswith(LEFT_OUT) or name.endswith("_history"))}
    told = {name for counted in COUNTS.values() for name in counted}
    assert (sorted(asked - told), sorted(told - asked)) == ([], [])


@pytest.mark.parametrize("who", COUNTS)
def test_a_page_takes_as_many_queries_whatever_the_number_of_rows(client, scene, who):
    places = {name: (path, each.queries.get(name)) for each in _asked(scene) for name, path in each.paths.items()}
    bearer = scene.bearer(scene.people[who])
    client.force_login(scene.people[who])

    def queries() -> dict[str, int]:
        found = {}
        for name in COUNTS[who]:
            cache.clear()
            path, query = places[name]
            with CaptureQueriesContext(connection) as seen:
                answer = client.get(path, query, headers=bearer if name.startswith("api:") else None)
                assert answer.status_code == 200, name
                assert answer.getvalue()  # a file is read as it is sent
            found[name] = len(seen)
        return found

    with time_machine.travel(timezone.now(), tick=False):  # a token's use is written once a minute
        grow(scene, FEW)
        client.get("/"), client.get("/api/v1/teams/", headers=bearer)  # what is read, and written, once
        ContentType.objects.get_for_models(*apps.get_models())
        sweeps.status()
        assert queries() == COUNTS[who]
        grow(scene, MANY, first=FEW)
        assert queries() == COUNTS[who]


def _asked(scene: Scene) -> Iterator[Asked]:
    return (Asked(scene, file) for file in FILES)
