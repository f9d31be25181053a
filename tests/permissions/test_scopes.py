"""Every operation of the API x every scope that it takes: a token that has all the others is refused."""

from __future__ import annotations

import pytest

from teams.roles import Scope
from tests.permissions.scene import nothing_happened
from tests.permissions.table import FILES, REST, Asked, rows_of

pytestmark = [pytest.mark.django_db, pytest.mark.apart]

# What a token needs (`|`: one of them is enough), for ruth unless another has to ask.
NEEDS = {
    "read": """
        get:account_tokens get:advice get:advice_one get:bundle get:key get:key_spend get:keys get:members get:request
        get:requests get:service_account get:service_accounts get:team get:team_spend get:teams post:revoke_many
        post:rotate_many post:tokens post:why""",
    "read|platform:read": "get:models get:role get:roles",
    "read keys:issue": "post:keys alice:post:request_cancel",
    "read keys:manage": """
        alice:post:renew alice:post:requests alice:post:rotate post:advice_apply post:advice_snooze post:advice_wake
        post:pause post:resume post:revoke post:transfer""",
    "read team:manage": """
        delete:member patch:service_account patch:team post:account_end post:account_tokens post:invitations
        post:members post:request_approve post:request_deny post:request_say post:service_accounts post:webhooks
        put:member_budget""",
    "team:manage": """
        delete:webhook get:deliveries get:invitations get:webhook get:webhooks patch:webhook post:delivery_again
        post:invitation_again post:invitation_withdraw post:webhook_secret post:webhook_test post:webhook_turn""",
    "audit:read": """
        get:audit get:audit_act get:audit_chain get:statement get:statement_lines get:statements post:audit_export
        post:audit_find post:statement_export post:statements_export""",
    "platform:read": """
        get:credential get:credentials get:departures get:findings get:gateway get:gateways get:intents get:leaving
        get:model_groups get:people get:person get:proposal get:proposals get:proxy_model get:proxy_models
        get:proxy_user get:proxy_users get:release get:sweeps get:token get:unmanaged_keys""",
    "platform:manage": """
        delete:credential delete:proxy_model delete:proxy_user delete:role patch:credential patch:proxy_model
        post:adopt_key post:credentials post:departure_decide post:finding_adopt post:finding_ignore
        post:finding_restore post:finding_revoke post:intent_force post:intent_forget post:intent_retry
        post:proposal_confirm post:proposal_reject post:proxy_models post:proxy_users post:reactivate post:reconcile
        post:release post:roles post:teams put:platform_role""",
    "platform:read platform:manage": "post:deactivate post:token_end",
    "read platform:manage": "post:team_end",
}
# No scope opens these: who one is, the token in use itself, and who has none yet.
FREE = "get:me post:device post:device_token post:token_end_current post:token_refresh"
# Not in this scene: one's own tokens, figures of nothing and a request to claim are in tests/api.
ELSEWHERE = "get:tokens get:spend get:spend_csv post:request_claim"


def _told() -> dict[tuple[str, str], tuple[str, str]]:
    """(method, URL): who asks, and what it takes."""
    found = {}
    for needs, words in NEEDS.items():
        for word in words.split():
            *who, method, name = word.split(":")
            found[method, f"api:{name}"] = (who or ["ruth"])[0], needs
    return found


TOLD = _told()


def test_every_operation_says_which_scopes_it_takes():
    others = {(method, f"api:{name}") for method, name in (word.split(":") for word in f"{FREE} {ELSEWHERE}".split())}
    rest = {row for row in REST if row[1].startswith("api:")}
    assert rest == TOLD.keys() | others
    assert not others & TOLD.keys()


@pytest.mark.parametrize("file", [f for f in FILES if rows_of(f, "REST").keys() & TOLD], ids=lambda f: f.__name__)
def test_a_token_that_lacks_a_scope_is_refused(client, scene, file):
    asked, open_doors = Asked(scene, file), []
    heads = {}
    for method, name in rows_of(file, "REST").keys() & TOLD:
        who, needs = TOLD[method, name]
        for lacking in needs.split():
            if (who, lacking) not in heads:
                left = [scope for scope in Scope if scope not in lacking.split("|")]
                heads[who, lacking] = scene.bearer(scene.people[who], left)
            data = None if method == "get" else asked.bodies.get(name, {})
            with nothing_happened():
                answer = getattr(client, method)(
                    asked.paths[name], data=data, content_type="application/json", headers=heads[who, lacking]
                )
            nothing = answer.status_code == 200 and method == "get" and answer.json().get("results") == []
            blind = (method, name) == ("post", "api:keys") and answer.status_code == 422  # the role is not seen
            if answer.status_code not in {403, 404} and not nothing and not blind:
                open_doors.append(f"{method} {name} without {lacking}: {answer.status_code}")
    assert open_doors == []
