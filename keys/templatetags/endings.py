"""What many keys are about to go through, and what became of each."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING

from django import template
from django.utils.text import capfirst
from django.utils.translation import gettext

from keys.models import State
from portal.templatetags.ui import count, when

if TYPE_CHECKING:
    from keys.views.many import Result

register = template.Library()


@register.simple_tag
def to_act(act: str, leases: Sized) -> str:
    """`Pause two keys`; where there is none, that there is nothing to do."""
    keys = {"keys": count(leases, "key")}
    if not leases:
        return gettext("Nothing to do")
    if act == "pause":
        return gettext("Pause %(keys)s") % keys
    if act == "resume":
        return gettext("Resume %(keys)s") % keys
    return gettext("Renew %(keys)s") % keys


@register.simple_tag
def acted(act: str, done: int, number: int) -> str:
    """`Two keys of 3 ended`."""
    said = {"keys": capfirst(count(done, "key")), "number": number}
    if act == "revoke":
        return gettext("%(keys)s of %(number)s ended") % said
    if act == "pause":
        return gettext("%(keys)s of %(number)s paused") % said
    if act == "resume":
        return gettext("%(keys)s of %(number)s resumed") % said
    return gettext("%(keys)s of %(number)s renewed") % said


@register.filter
def result_words(result: Result, act: str) -> str:
    """`Ended; eu-prod confirmed it at 14:07:02 UTC.`; or that it is not yet effective; or why it was refused."""
    lease, said = result.lease, {"gateway": str(result.lease.gateway)}
    if result.trouble:
        return result.trouble
    if lease.state == State.REVOKING:
        return gettext("Not yet effective: %(gateway)s has not confirmed it. Until then it may still answer.") % said
    if lease.is_pending:
        return gettext("Not yet effective: %(gateway)s has not confirmed it. Keydesk keeps trying.") % said
    if act == "revoke" and lease.ended_at:
        said["at"] = f"{lease.ended_at:%H:%M:%S}"
        return gettext("Ended; %(gateway)s confirmed it at %(at)s UTC.") % said
    if act == "renew":
        return gettext("Renewed; it ends %(at)s UTC.") % {"at": when(lease.expires_at)}
    return gettext("Done; %(gateway)s confirmed it.") % said
