"""Deliveries to webhooks: written with the act, sent by a sweep, tried for a day, kept for thirty."""

from __future__ import annotations

import json
import random
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import requests
import structlog
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from portal import audit, webhook_mail, webhooks
from portal.log import scrubbed
from portal.models import AuditEvent
from teams import access
from teams.models import Delivery, Team, Webhook
from teams.services.service_accounts import admins_of

log = structlog.get_logger(__name__)

BATCH = 500  # deliveries a round and webhook
PATIENCE = 60.0  # seconds for one round
SHARE = 5.0  # of them one webhook has at least, and as much more as the others leave it
LISTEN = 200  # characters of an answer that are kept
KEPT = timedelta(days=30)  # a delivery, in the log
TURNED_OFF_AFTER = timedelta(days=3)  # of failures alone
TOLD_AFTER = Delivery.PATIENCE - Delivery.LONGEST_PAUSE  # one old event that is sent again, and fails, is no news
WORDS = (  # what a failure is called; the client's own words would name the whole address, which may hold a secret
    (requests.exceptions.SSLError, "Its certificate is not to be trusted."),
    (requests.exceptions.ConnectTimeout, f"It could not be reached within {webhooks.TIMEOUT[0]} s."),
    (requests.exceptions.Timeout, f"It did not answer within {webhooks.TIMEOUT[1]} s."),
    (requests.exceptions.ConnectionError, "It could not be reached."),
)


class NotTaken(Exception):
    """The other side did not take an event; the words are for people."""


def write(sender: Any = None, *, event: AuditEvent, **_: Any) -> None:
    """Write what each webhook that wants the event is to be sent. Answers `portal.audit.recorded`."""
    if found := Webhook.objects.for_event(event):
        Delivery.objects.bulk_create([_for(hook, event) for hook in found])


def write_one(hook: Webhook, event: AuditEvent) -> Delivery:
    """The same for one webhook, whatever it wants: a test. Safe to repeat."""
    new = _for(hook, event)
    fields = {"event": new.event, "created_at": new.created_at}
    return Delivery.objects.get_or_create(webhook=hook, event_id=event.pk, defaults=fields)[0]


def deliver_due(now: datetime | None = None) -> int:
    """Send what is due, the longest due of a webhook first; answers how many were taken. A sweep: safe to repeat.

    Two hosts never hold the same delivery. After a failure, nothing is sent to that webhook for a while. Webhooks take
    turns, in no order, each for a few seconds: a slow one keeps none waiting for long.
    """
    now = now or timezone.now()
    ends, taken = time.monotonic() + PATIENCE, 0
    waiting = list(Delivery.objects.to_try(now).order_by().values_list("webhook", flat=True).distinct())
    random.shuffle(waiting)
    for number, pk in enumerate(waiting):
        left = ends - time.monotonic()
        if left <= 0:
            break
        share = max(SHARE, left / (len(waiting) - number))
        taken += _deliver_to(pk, now, time.monotonic() + min(left, share))
    return taken


def _deliver_to(hook: UUID, now: datetime, ends: float) -> int:
    """Send one webhook what is due, until the first failure or this moment of the monotonic clock."""
    taken = 0
    for delivery in Delivery.objects.to_try(now).filter(webhook=hook)[:BATCH]:
        if time.monotonic() > ends:
            break
        if not delivery.claim(now):
            continue
        try:
            answer = _send(delivery)
        except NotTaken as error:
            _failed(delivery, error, now)
            break
        delivery.was_sent(now, tried_at=now, status=answer.status, answer=answer.words)
        failing = Webhook.objects.filter(pk=hook).exclude(failing_since=None)
        failing.update(failing_since=None, next_try_at=None, told_at=None)
        taken += 1
    return taken


def forget_old(now: datetime | None = None) -> int:
    """Delete the deliveries of more than 30 days ago; answers how many."""
    return Delivery.objects.filter(created_at__lt=(now or timezone.now()) - KEPT).delete()[0]


def number_of(event: AuditEvent) -> str:
    """The id of an event for those who receive it: always the same, and told by nobody else."""
    return f"evt_{event.stamp[:32]}"


def body_of(event: AuditEvent, team: Team | None) -> bytes:
    """An event as JSON, for others: who did what to what, in which team, without where from."""
    told = {
        "id": number_of(event),
        "event": event.action,
        "at": event.at.isoformat(),
        "team": {"id": str(team.pk), "slug": team.slug, "name": team.name} if team else None,
        "actor": {"id": event.actor_id, "name": event.actor, "kind": event.actor_kind},
        "target": {"id": event.target_id, "name": event.target, "type": event.target_type},
        "facts": event.all_facts,
    }
    return json.dumps(scrubbed(told), separators=(",", ":")).encode()


def page_of(hook: Webhook) -> str:
    """The page of a webhook, with its log."""
    return reverse("webhooks:page", args=[hook.pk])


def _for(hook: Webhook, event: AuditEvent) -> Delivery:
    return Delivery(webhook=hook, event_id=event.pk, event=event.action, created_at=event.at)


def _send(delivery: Delivery) -> webhooks.Answer:
    """Raises NotTaken."""
    hook, event = delivery.webhook, AuditEvent.objects.filter(pk=delivery.event_id).first()
    if event is None:
        raise NotTaken("Retention has let go of the act.")
    inside = hook.team is None  # whoever made it runs the platform
    if wrong := webhooks.wrong_address(hook.url, inside=inside) or webhooks.leads_astray(hook.url, inside=inside):
        raise NotTaken(f"It was not sent: {wrong}")
    team = hook.team or (Team.objects.filter(pk=event.team_id).first() if event.team_id else None)
    try:
        answer = webhooks.send(
            hook.url, body_of(event, team), secret=hook.secret, number=number_of(event), listen=LISTEN, inside=inside
        )
    except Exception as error:
        # Whatever goes wrong with one address must hold up no other; what it says may name the address.
        said = next((words for kind, words in WORDS if isinstance(error, kind)), "Its answer could not be read.")
        delivery.status, delivery.answer = None, ""
        raise NotTaken(f"It was not sent: {error}" if isinstance(error, webhooks.Astray) else said) from None
    delivery.status, delivery.answer = answer.status, answer.words
    if not answer.is_taken:
        raise NotTaken(f"It answered {answer.status}.")
    return answer


def _failed(delivery: Delivery, error: NotTaken, now: datetime) -> None:
    """Put it off, or give it up; the webhook's admins are told of the first that is, and once it is turned off."""
    with transaction.atomic():
        hook = Webhook.objects.select_for_update(no_key=True).filter(pk=delivery.webhook_id).first()
        if hook is None:
            return  # removed meanwhile, and its deliveries with it
        delivery.put_off(error, now, tried_at=now, status=delivery.status, answer=delivery.answer)
        since = hook.fails(now)
        key = f"webhook:{hook.pk}:{since:%Y%m%d%H%M%S%f}"
        if now - since >= TURNED_OFF_AFTER:
            hook.is_on, hook.trouble = False, str(error)[:300]
            hook.deliveries.waiting().update(due_at=None)
            audit.record("webhook.turned_off", hook, by=access.SYSTEM, failing_since=since, reason=hook.trouble)
            webhook_mail.turned_off(_people_of(hook), f"{key}:off", name=str(hook), said=str(error), path=page_of(hook))
        elif delivery.due_at is None and hook.told_at is None and now - since >= TOLD_AFTER:
            hook.told_at = now
            to, said = _people_of(hook), str(error)
            webhook_mail.fails(to, f"{key}:told", name=str(hook), since=since, said=said, path=page_of(hook))
        hook.save(update_fields=["failing_since", "next_try_at", "told_at", "is_on", "trouble"])
    log.warning("webhook_not_taken", webhook=str(delivery.webhook_id), attempts=delivery.attempts, reason=str(error))


def _people_of(hook: Webhook) -> list[str]:
    return admins_of(hook.team) if hook.team else access.admin_addresses()
