"""Words about a lease and its versions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import template
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.models import KeyVersion, Lease, State
from keys.models.lease import ENDED
from portal import drawing
from portal.templatetags.ui import ago, day, ends, rough, words
from teams.models import Membership

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

register = template.Library()
register.filter("far_end", drawing.far_end)
register.simple_tag(drawing.overlap_lines)
register.simple_tag(drawing.renewal_line)

AT_ONCE = 1.0  # seconds; whoever waits for it does not notice


@dataclass(frozen=True, slots=True)
class Badge:
    words: StrOrPromise
    shape: str = "disc"
    tone: str = ""


STATES = {
    State.ISSUING: Badge(_("Being issued"), "ring", "quiet"),
    State.PAUSED: Badge(_("Paused"), "pause"),
    State.ROTATING: Badge(_("Being rotated"), "ring", "quiet"),
    State.REVOKING: Badge(_("Not yet revoked"), "triangle", "warn"),
    State.REVOKED: Badge(_("Revoked"), "bar", "quiet"),
    State.EXPIRED: Badge(_("Expired"), "bar", "quiet"),
    State.FAILED: Badge(_("Not issued"), "cross", "quiet"),
}
LATE = {  # what waits_for() says: its badge
    "pause": _("Not yet paused"),
    "resume": _("Not yet resumed"),
    "old": _("Old secret not ended"),
    "end": _("Not yet ended"),
}


@register.filter
def within(gateway: Any) -> str:
    """How soon an ending is known to every worker of the gateway. LiteLLM keeps a key in mind for 60 s."""
    measured = gateway.effective_within
    return gettext("within a second") if measured is not None and measured <= AT_ONCE else gettext("within 60 s")


@register.filter
def team_names(memberships: Iterable[Membership]) -> str:
    """The teams that somebody is in."""
    return ", ".join(str(each.team) for each in memberships)


@register.filter
def whole_life(lease: Lease) -> str:
    """The most that renewals can reach, counted from issue: `90 days`."""
    return words(lease.max_expires_at - lease.issued_at)


@register.filter
def read_at(lease: Lease) -> datetime | None:
    """Since when spend and use may be out of date: the counter of a key that does not move is not read anew."""
    return max((each for each in (lease.current.counter_at, lease.gateway.spend_synced_at) if each), default=None)


@register.filter
def in_rotation(lease: Lease) -> KeyVersion | None:
    """The older secret that still works beside the current one."""
    return None if lease.state in ENDED or lease.state == State.REVOKING else lease.previous


@register.filter
def issued_versions(lease: Lease) -> list[KeyVersion]:
    """Versions whose secret was handed over, the newest first."""
    return [version for version in reversed(lease.versions.all()) if version.issued_at]


@register.simple_tag
def state_badge(lease: Lease) -> Badge:
    """How a lease stands, in one word; what the gateway has not confirmed before everything else."""
    if late := LATE.get(waits_for(lease)):
        return Badge(late, "triangle", "warn")
    if lease.state == State.ACTIVE:
        if soon := drawing.urgency(lease):
            return Badge(ends(lease.expires_at), "half", soon)
        return Badge(gettext("In rotation"), "two") if lease.previous else Badge(gettext("Active"))
    return STATES[State(lease.state)]


@register.simple_tag
def version_badge(version: KeyVersion, lease: Lease) -> Badge:
    """How one secret stands."""
    now = timezone.now()
    if version.ended_at:
        return Badge(gettext("Ended %(ended_at)s") % {"ended_at": day(version.ended_at)}, "bar", "quiet")
    if lease.state == State.REVOKING or (version.dies_at and version.dies_at <= now):
        return Badge(gettext("Not yet ended"), "triangle", "warn")
    if lease.state == State.PAUSED:
        return Badge(gettext("Paused"), "pause")
    if version.number < lease.current.number and version.dies_at:
        tone = "warn" if drawing.is_in_use(lease, version) else ""
        return Badge(gettext("Ends in %(dies_at)s") % {"dies_at": rough(version.dies_at - now)}, "half", tone)
    return Badge(gettext("Active"))


@register.simple_tag
def version_use(version: KeyVersion, lease: Lease) -> str:
    """When a secret was last used, as far as the gateway has told."""
    issued = lease.current.issued_at
    if not version.last_used_at:
        return gettext("never, as far as is known") if version.ended_at else gettext("not yet")
    words = ago(version.last_used_at)
    superseded = version.number < lease.current.number and not version.ended_at
    return (
        gettext("%(words)s; not since the rotation") % {"words": words}
        if superseded and issued and version.last_used_at <= issued
        else words
    )


@register.simple_tag
def is_in_use(version: KeyVersion, lease: Lease) -> bool:
    """Whether an older secret was used after its successor was issued."""
    return drawing.is_in_use(lease, version)


@register.filter
def waits_for(lease: Lease) -> str:
    """What the gateway has yet to confirm, of a lease that is pending; nothing for an ending of all of it."""
    if not lease.is_pending or lease.state == State.REVOKING:
        return ""
    now = timezone.now()
    if any(intent.is_pause for version in lease.versions.all() for intent in version.intents.all()):
        return "pause" if lease.state == State.PAUSED else "resume"
    late = [each for each in lease.versions.all() if each.is_live and each.dies_at and each.dies_at <= now]
    return "old" if all(each.number < lease.current.number for each in late) else "end"
