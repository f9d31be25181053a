"""REST of who is where: tokens, invitations, service accounts, people, leaving, webhooks, second admins, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from keys.models import Proposal
from keys.services.second import pack
from teams.models import Delivery, Invitation, Webhook
from teams.services import make_token
from tests.permissions.scene import Scene

RUNS = "401 404 404 404 404 404 404 200 404 200 404 404"
WATCHES = "401 403 403 403 403 403 403 403 200 200 403 403"
MANAGES = "401 403 403 403 403 403 403 403 403 200 403 403"
EVERYBODY = "401 200 200 200 200 200 200 200 200 200 200 200"
# nobody olga mallory vic alice carol bob ines audra ruth robot reader
REST = {
    ("get", "api:tokens"): EVERYBODY,
    ("post", "api:tokens"): "401 201 201 201 201 201 201 201 201 201 201 201",
    ("get", "api:token"): "401 404 404 404 200 404 404 404 200 200 404 200",  # alice's
    ("post", "api:token_end"): "401 404 404 404 200 404 404 404 403 200 404 403",  # it may more than a reading one
    ("get", "api:invitations"): EVERYBODY,
    ("post", "api:invitations"): "401 404 404 403 403 403 403 201 403 201 403 403",
    ("post", "api:invitation_withdraw"): RUNS,
    ("post", "api:invitation_again"): RUNS,
    ("get", "api:service_accounts"): EVERYBODY,
    ("post", "api:service_accounts"): "401 404 404 403 403 403 403 201 403 201 403 403",
    ("get", "api:service_account"): "401 404 404 200 200 200 200 200 200 200 200 200",
    ("patch", "api:service_account"): "401 404 404 403 403 403 403 200 403 200 403 403",
    ("post", "api:account_end"): "401 404 404 403 403 403 403 200 403 200 403 403",
    ("get", "api:account_tokens"): "401 404 404 200 200 200 200 200 200 200 200 200",
    ("post", "api:account_tokens"): "401 404 404 403 403 403 403 201 403 201 201 403",
    ("delete", "api:member"): "401 404 404 200 403 403 403 200 403 200 403 403",  # vic leaves
    ("post", "api:team_end"): "401 404 404 403 403 403 403 403 403 200 403 403",
    ("get", "api:people"): WATCHES,
    ("get", "api:person"): WATCHES,
    ("put", "api:platform_role"): MANAGES,
    ("get", "api:leaving"): WATCHES,
    ("post", "api:deactivate"): MANAGES,
    ("post", "api:reactivate"): MANAGES,
    ("get", "api:webhooks"): EVERYBODY,
    ("post", "api:webhooks"): "401 404 404 403 403 403 403 201 403 201 403 403",
    ("get", "api:webhook"): RUNS,
    ("patch", "api:webhook"): RUNS,
    ("delete", "api:webhook"): RUNS.replace("200", "204"),
    ("post", "api:webhook_secret"): RUNS,
    ("post", "api:webhook_turn"): RUNS,
    ("post", "api:webhook_test"): RUNS.replace("200", "202"),
    ("get", "api:deliveries"): RUNS,
    ("post", "api:delivery_again"): RUNS.replace("200", "202"),
    ("get", "api:proposals"): WATCHES,
    ("get", "api:proposal"): WATCHES,
    ("post", "api:proposal_confirm"): MANAGES.replace("200", "409"),  # who proposed it is no platform admin any more
    ("post", "api:proposal_reject"): MANAGES,
    ("post", "api:why"): "401 404 404 404 200 404 200 200 200 200 404 200",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    soon = timezone.now() + timedelta(days=1)
    token, _ = make_token(scene.alice, name="cron", scopes=["read", "keys:issue"], by=scene.alice)
    waits = Invitation.objects.create(
        team=scene.team, email="rest@example.com", digest="r", invited_by=scene.ines, expires_at=soon
    )
    hook = Webhook.objects.create(
        team=scene.team, name="rest", url="https://hooks.example.com/x", events=["key"], secret="x"
    )
    sent = Delivery.objects.create(webhook=hook, event_id=1, event="key.issued", sent_at=soon, due_at=None)
    proposal = Proposal.objects.create(
        verb=Proposal.Verb.GATEWAY_CHANGE,
        name="sandbox",
        gateway=scene.gateway,
        target_version=scene.gateway.version,
        payload=pack({"public_url": "https://llm.example.com"}),
        after={"public_url": "https://llm.example.com"},
        proposed_by=scene.audra,
    )
    things = {
        token.pk: ("token", "token_end"),
        waits.pk: ("invitation_withdraw", "invitation_again"),
        scene.robot.pk: ("service_account", "account_end", "account_tokens"),
        scene.vic.pk: ("person", "platform_role", "leaving", "deactivate", "reactivate"),
        hook.pk: ("webhook", "webhook_secret", "webhook_turn", "webhook_test", "deliveries"),
        proposal.pk: ("proposal", "proposal_confirm", "proposal_reject"),
    }
    return {
        **{f"api:{name}": [pk] for pk, names in things.items() for name in names},
        "api:delivery_again": [hook.pk, sent.pk],
        "api:member": [scene.team.slug, "vic@example.com"],
        "api:team_end": [scene.team.slug],
    }


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    token = {"name": "ci", "scopes": ["read"], "ttl": "1h"}
    hook = {"name": "chat", "url": "https://hooks.example.com/y", "events": ["key"]}
    return {
        "api:tokens": token,
        "api:account_tokens": token,
        "api:invitations": {"team": "search", "email": "new@example.com"},
        "api:service_accounts": {"team": "search", "name": "labels"},
        "api:service_account": {"name": "labels"},
        "api:platform_role": {"role": "auditor"},
        "api:webhooks": {"team": "search", **hook},
        "api:webhook": {"name": "other"},
        "api:webhook_turn": {"on": False},
        "api:proposal_reject": {"reason": "a test"},
        "api:why": {"lease": str(scene.lease.pk)},
    }
