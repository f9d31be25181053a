"""Make webhooks, change them, look whether they work, and remove them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from portal import audit
from portal.errors import Conflict, Invalid
from portal.webhooks import new_secret, wrong_address
from teams.access import Actor, allowed, may_still, require, require_fresh, within
from teams.acts import GROUPS
from teams.models import Delivery, Team, User, Webhook
from teams.roles import Can
from teams.services import deliveries

MOST = 20  # webhooks of one team, or of the platform
# What is of the platform alone: the other families are events of teams.
PLATFORM_ONLY = {
    "access", "audit", "departure", "directory", "finding", "gateway", "grant", "groups", "intent", "mapping",
    "person", "proposal", "role", "sso",
}  # fmt: skip


class AlreadyMade(Conflict):
    """The same form was sent twice."""

    code = "already_made"
    message = gettext_noop("This form has already made its webhook.")
    action = gettext_noop(
        "Look at the list. A secret that was not copied cannot be shown again: give the webhook another one."
    )


class TurnedOff(Conflict):
    code = "webhook_off"
    message = gettext_noop("This webhook is turned off: nothing is sent to it.")
    action = gettext_noop("Turn it on first.")


def families_of(team: Team | None) -> dict[str, str]:
    """The families of events that a webhook of a team (None: of the platform) can be told of, with their names."""
    return {name: str(said) for name, said in GROUPS.items() if team is None or name not in PLATFORM_ONLY}


def visible_to(user: User) -> QuerySet[Webhook]:
    """The webhooks that somebody runs: nobody else sees where events go."""
    hooks = Webhook.objects.select_related("team", "address_by")
    if allowed(user, Can.MANAGE_WEBHOOKS):
        return hooks
    run = Team.objects.filter(within(user, Can.MANAGE_WEBHOOKS, team="pk"))
    return hooks.filter(Q(team__in=run))


def left_by(hook: Webhook) -> User | None:
    """Who said where it goes, and may not any more: the address may be theirs alone. None: all is well.

    A webhook is the team's, so it works on; those who run it now are told on its page.
    """
    who = hook.address_by
    return who if who is not None and not may_still(who, Can.MANAGE_WEBHOOKS, hook.team) else None


def make(
    team: Team | None, *, name: str, url: str, events: Iterable[str], by: Actor, once: UUID | None = None
) -> tuple[Webhook, str]:
    """Make a webhook of a team, or of the platform; its secret is answered here, and shown once.

    `once`: a form's own token, which becomes the id. Raises NotAllowed, SignInAgain, Invalid, AlreadyMade.
    """
    require(by, Can.MANAGE_WEBHOOKS, team)
    require_fresh(by)
    if team is not None and team.ended_at:
        raise Conflict(
            gettext("%(team)s has ended: nothing happens there any more.") % {"team": team},
            action=gettext("Choose another team."),
        )
    secret = new_secret()
    hook = Webhook(team=team, secret=secret, address_by=by if isinstance(by, User) else None)
    if once:
        hook.pk = once
    _fill(hook, name=name, url=url, events=events)
    if Webhook.objects.filter(team=team).count() >= MOST:
        raise Conflict(
            gettext("There are %(most)s webhooks already.") % {"most": MOST},
            action=gettext("Remove one that is not needed."),
        )
    try:
        with transaction.atomic():
            hook.save(force_insert=True)
            audit.record("webhook.made", hook, by=by, host=hook.host, events=hook.events)
    except IntegrityError:
        if once and Webhook.objects.filter(pk=once).exists():
            raise AlreadyMade from None
        raise
    return hook, secret


def change(hook: Webhook, *, name: str, url: str, events: Iterable[str], by: Actor) -> Webhook:
    """Change a webhook; what waits goes to the new address. Raises NotAllowed, SignInAgain, Invalid."""
    require(by, Can.MANAGE_WEBHOOKS, hook.team)
    require_fresh(by)
    with transaction.atomic():
        hook = _locked(hook)
        before = {"name": hook.name, "host": hook.host, "events": hook.events}
        moved = hook.url != url.strip()
        _fill(hook, name=name, url=url, events=events)
        if moved:  # the trouble was that of the address before
            hook.address_by = by if isinstance(by, User) else None
            hook.failing_since = hook.next_try_at = hook.told_at = None
        after = {"name": hook.name, "host": hook.host, "events": hook.events}
        if before == after and not moved:
            return hook
        changed = ["name", "url", "events", "address_by", "failing_since", "next_try_at", "told_at"]
        hook.save(update_fields=changed)
        audit.record("webhook.changed", hook, by=by, before=before, after=after, address_changed=moved)
    return hook


def give_new_secret(hook: Webhook, *, by: Actor) -> str:
    """Another secret, from the next sending on; the one before signs nothing any more.

    Raises NotAllowed, SignInAgain.
    """
    require(by, Can.MANAGE_WEBHOOKS, hook.team)
    require_fresh(by)
    secret = new_secret()
    with transaction.atomic():
        hook = _locked(hook)
        hook.secret = secret
        hook.save(update_fields=["secret"])
        audit.record("webhook.secret_changed", hook, by=by)
    return secret


def turn(hook: Webhook, *, on: bool, by: Actor) -> Webhook:
    """Turn a webhook on or off; off, what waits is given up. Safe to repeat. Raises NotAllowed."""
    require(by, Can.MANAGE_WEBHOOKS, hook.team)
    with transaction.atomic():
        hook = _locked(hook)
        if hook.is_on is on:
            return hook
        hook.is_on, hook.trouble = on, ""
        hook.failing_since = hook.next_try_at = hook.told_at = None
        hook.save(update_fields=["is_on", "trouble", "failing_since", "next_try_at", "told_at"])
        if not on:
            hook.deliveries.waiting().update(due_at=None)
        audit.record("webhook.turned_on" if on else "webhook.turned_off", hook, by=by)
    return hook


def test(hook: Webhook, *, by: Actor) -> Delivery:
    """Send it an event that says who asked for it. Raises NotAllowed, TurnedOff."""
    require(by, Can.MANAGE_WEBHOOKS, hook.team)
    with transaction.atomic():
        hook = _locked(hook)
        _wake(hook)
        return deliveries.write_one(hook, audit.record("webhook.tested", hook, by=by))


def send_again(delivery: Delivery, *, by: Actor) -> None:
    """Send what was taken or given up once more, under its own id. Raises NotAllowed, TurnedOff."""
    require(by, Can.MANAGE_WEBHOOKS, delivery.webhook.team)
    with transaction.atomic():
        hook = _locked(delivery.webhook)
        _wake(hook)
        if Delivery.objects.filter(pk=delivery.pk, due_at=None).update(due_at=timezone.now(), sent_at=None):
            audit.record("webhook.sent_again", hook, by=by, event=delivery.event, number=delivery.event_id)


def remove(hook: Webhook, *, by: Actor) -> None:
    """Remove a webhook, with its log. Safe to repeat. Raises NotAllowed."""
    require(by, Can.MANAGE_WEBHOOKS, hook.team)
    with transaction.atomic():
        if row := Webhook.objects.select_for_update().filter(pk=hook.pk).first():
            audit.record("webhook.removed", row, by=by, host=row.host)
            row.delete()


def _locked(hook: Webhook) -> Webhook:
    return Webhook.objects.select_for_update(no_key=True, of=("self",)).select_related("team").get(pk=hook.pk)


def _wake(hook: Webhook) -> None:
    """Let the next round send to it, however often it failed: somebody wants to see. Raises TurnedOff."""
    if not hook.is_on:
        raise TurnedOff
    if hook.next_try_at:
        hook.next_try_at = None
        hook.save(update_fields=["next_try_at"])


def _fill(hook: Webhook, *, name: str, url: str, events: Iterable[str]) -> None:
    """Raises Invalid."""
    offered, wanted = families_of(hook.team), list(dict.fromkeys(events))
    hook.name, hook.url, hook.events = name.strip(), url.strip(), sorted(wanted)
    wrong: dict[str, Any] = {}
    try:
        hook.clean_fields(exclude={field.name for field in Webhook._meta.fields} - {"name", "url"})
    except ValidationError as error:
        wrong = {field: " ".join(said) for field, said in error.message_dict.items()}
    wrong["url"] = wrong.get("url") or wrong_address(hook.url, inside=hook.team is None)
    wrong["events"] = (
        ""
        if wanted and not set(wanted) - set(offered)
        else gettext("Choose of %(choices)s.") % {"choices": ", ".join(offered)}
    )
    if any(wrong.values()):
        raise Invalid(details={field: said for field, said in wrong.items() if said})
