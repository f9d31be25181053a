"""Every page that a person can open, in a few walks; `rows` puts something on each of them.

Written as addresses with the names of rows in them. tests/pages/test_every_page.py compares them with the table of
permissions: a new page has its line here.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from django.utils import timezone

from keys.models import Advice, Lease, Proposal
from keys.services import advice, leases, requests, statements
from keys.services.terms import Ask
from teams.models import GroupMapping, User
from teams.roles import MemberRole
from teams.services import devices, make_token, webhooks
from teams.services.invitations import invite
from tests.keys.statement_rows import row


def lines(text: str) -> list[str]:
    return text.split()


DOOR = lines("""
/accounts/login/
/accounts/signup/
/accounts/inactive/
/accounts/password/reset/
/accounts/password/reset/done/
/accounts/password/reset/key/x-x/
/accounts/password/reset/key/done/
/api/v1/errors/
/api/v1/errors/over_limit/
""")

NOTHING_YET = lines("""
/
/gallery/
/requests/
/keys/new/
/platform/
/gateways/
""")

KEYS = lines("""
/
/?state=ended
/keys/
/keys/?state=ended&team=search&ends=nonsense
/find/
/find/?q=nightly
/gallery/
/keys/new/
/keys/new/?role=frontier
/keys/{live}/
/keys/{live}/renew/
/keys/{live}/rotate/
/keys/{live}/pause/
/keys/{live}/revoke/
/keys/{live}/transfer/
/keys/{live}/rise/
/keys/{live}/rise/?max_budget=90&lasts=7d
/keys/{turned}/
/keys/{paused}/
/keys/{paused}/resume/
/keys/{ended}/
/keys/revoke/?team=search
/keys/pause/?id={live}&id={turned}
/keys/resume/?id={paused}
/keys/renew/?id={live}
/requests/
/requests/?tab=decided
/requests/{waits}/
/requests/{waits}/?max_budget=20&ttl=7d
/requests/{denied}/
/requests/{approved}/
/why/
/why/?key={live}
/why/?key={ended}&said=budget
/advice/
/advice/?state=snoozed
/advice/{advice}/
""")

TEAMS = lines("""
/teams/
/teams/new/
/teams/search/
/teams/search/edit/
/teams/search/end/
/teams/search/keys/
/teams/search/members/
/teams/search/members/{ruth}/budget/
/teams/search/members/{ruth}/leaving/
/teams/search/service-accounts/
/teams/search/service-accounts/{robot}/
/teams/search/service-accounts/{robot}/edit/
/teams/search/service-accounts/{robot}/end/
/teams/search/service-accounts/{robot}/tokens/new/
/teams/search/spend/
/teams/search/statements/
/teams/search/statements/2026-01/
/teams/search/webhooks/
/teams/search/webhooks/new/
/people/
/people/{ruth}/
/people/{ruth}/leaving/
/people/{ruth}/second-factors/
/nowhere/
""")

PLATFORM = lines("""
/platform/
/roles/
/roles/new/
/roles/{role}/
/roles/{role}/edit/
/roles/{role}/end/
/gateways/
/gateways/new/
/gateways/{gateway}/
/gateways/{gateway}/edit/
/gateways/{gateway}/end/
/gateways/{gateway}/hold/
/operations/
/operations/departures/
/operations/findings/
/operations/proposals/
/operations/unmanaged/
/statements/
/audit/
/mappings/
/mappings/new/
/mappings/try/
/mappings/{mapping}/remove/
/webhooks/
/webhooks/new/
/webhooks/{hook}/
/webhooks/{hook}/edit/
/webhooks/{hook}/secret/
/webhooks/{hook}/remove/
""")

OWN = lines("""
/accounts/
/accounts/notices/
/accounts/logout/
/accounts/3rdparty/
/accounts/password/change/
/accounts/reauthenticate/
/accounts/passkeys/add/
/accounts/second-factors/app/
/accounts/second-factors/codes/new/
/tokens/
/tokens/new/
/tokens/{token}/end/
/api/v1/docs/
/api/v1/errors/
/api/v1/errors/over_limit/
/device/
/device/?code={device}
/device/?said=confirmed
""")

WITHOUT_PASSWORD = lines("""
/accounts/password/set/
""")

WITH_FACTORS = lines("""
/accounts/
/accounts/second-factors/codes/
/accounts/second-factors/app/remove/
/accounts/passkeys/{passkey}/
/accounts/passkeys/{passkey}/remove/
/accounts/reauthenticate/code/
/accounts/reauthenticate/passkey/
""")

BAD_DAY = lines("""
/
/operations/
/operations/departures/
/operations/findings/
/operations/findings/?state=ignored
/operations/findings/{finding}/
/operations/unmanaged/?gateway=eu-prod-frankfurt-1
/operations/unmanaged/{foreign}/import/
/operations/intents/{promise}/force/
/operations/intents/{promise}/forget/
/gateways/{away}/
/gateways/{away}/end/
/gateways/{gateway}/
""")

LONG = "A purpose that takes more than a few words. " * 4


def rows(sandbox, team, alice, ruth, make_role, make_key) -> dict[str, Any]:
    """Something on every page, with long words in it. Ruth, a platform admin, is an admin of the team too."""
    make_role(name="a-role-with-quite-a-long-name-that-has-to-wrap-somewhere", description="For long names. " * 10)
    team.memberships.create(user=ruth, role="admin")
    live, ended = make_key(holder=ruth, name="nightly").lease, make_key(holder=ruth, name="gone " * 15).lease
    leases.revoke(ended, by=ruth)
    turned, paused = make_key(holder=ruth, name="turned").lease, make_key(holder=ruth, name="paused").lease
    leases.rotate(turned, by=ruth)
    leases.pause(paused, by=ruth, reason=LONG)
    _spend_and_state(live)
    robot = User.objects.create_service_account("labels", team)
    make_token(robot, name="cron", scopes=["read"], networks=["10.0.0.0/8", "2001:db8::/32"], by=ruth)
    token, _ = make_token(ruth, name="laptop", scopes=["all"], by=ruth)
    hook, _ = webhooks.make(team, name="chat", url="https://chat.example.com/", events=["key"], by=ruth)
    webhooks.test(hook, by=ruth)
    invite(team, email="somebody.with.a.long.name@departments.example.com", role=MemberRole.MEMBER, by=ruth)
    Proposal.objects.create(
        verb=Proposal.Verb.GATEWAY_CHANGE, name="sandbox", gateway=sandbox.gateway,
        target_version=sandbox.gateway.version, proposed_by=alice,
    )  # fmt: skip
    asked = _asked(ruth, alice, team, make_role(name="frontier", approval="team"))
    make_role(name="wide", models=[], all_models=True, key_type="default")
    advice.look()
    return asked | {
        "live": live.pk, "ended": ended.pk, "turned": turned.pk, "paused": paused.pk, "ruth": ruth.pk,
        "robot": robot.pk, "token": token.pk, "device": devices.begin("laptop")[0].code, "hook": hook.pk,
        "role": live.role_id, "gateway": live.gateway_id,
        "advice": Advice.objects.get(kind=Advice.Kind.ALL_ROUTES).pk,
        "mapping": GroupMapping.objects.create(value="eng", team=team, role="member").pk,
    }  # fmt: skip


def _asked(ruth, alice, team, role) -> dict[str, Any]:
    """Requests with long words: one waits for ruth, one of her own was denied, and one waits to be claimed."""
    asks = Ask(team=team, role=role, name="n" * 80, purpose=LONG)
    denied = requests.submit(asks, holder=ruth, by=ruth)
    approved = requests.submit(asks, holder=ruth, by=ruth)
    team.memberships.filter(user=alice).update(role="approver")
    requests.deny(denied, by=alice, reason=LONG)
    requests.approve(approved, by=alice)
    waits = requests.submit(asks, holder=alice, by=alice)
    requests.say(waits, by=ruth, text=LONG)
    return {"denied": denied.pk, "approved": approved.pk, "waits": waits.pk}


def _spend_and_state(lease: Lease) -> None:
    """Spend on both sides of a month's end, with the statement of January 2026."""
    for day in (date(2026, 1, 3), date(2025, 12, 30), timezone.now().date()):
        row(lease, day, "12.5")
    statements.close_due(datetime(2026, 1, 10, tzinfo=UTC))
    row(lease, date(2025, 12, 30), "12", model="a-model-with-quite-a-long-name-that-has-to-wrap-somewhere")
    statements.close_due(datetime(2026, 2, 10, tzinfo=UTC))
