"""Tell people when a budget is nearly spent: once for each window, threshold and budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from django.db import transaction
from django.db.models import DecimalField, F
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.urls import reverse
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from keys.models import Counter, KeyVersion, Lease
from keys.models.lease import LIVE
from keys.services import letters
from keys.services.budgets.windows import window_of
from portal import audit, mail
from portal.models import AuditEvent
from teams.access import SYSTEM
from teams.models import Membership, Team

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

THRESHOLDS = (100, 95, 80, 50)  # per cent
RECENT = timedelta(hours=1)  # a process may die between reading a counter and telling of it
REACHED = "budget.reached"


@dataclass(frozen=True, slots=True)
class _Reached:
    """A threshold that a budget has reached on one gateway. Money is USD, times are UTC."""

    target: Lease | Membership | Team
    gateway: str
    percent: int
    spent: Decimal
    limit: Decimal
    window: str  # its end; "life": it never resets
    resets_at: datetime | None


def announce(now: datetime | None = None, *, since: datetime | None = None) -> int:
    """Tell of the budgets that reached a threshold by the counters read in the last hour (or since); answers how many.

    One letter and one audit event for each window, threshold and budget; where several thresholds are crossed at
    once, for the highest alone. Safe to repeat, and at once.
    """
    now = now or timezone.now()
    since = since or now - RECENT
    reached = [*_keys(since), *_teams_and_holders(since)]
    told = _told(reached)
    return sum(_tell(each) for each in reached if not _was_told(each, told))


def _keys(since: datetime) -> Iterator[_Reached]:
    versions = KeyVersion.objects.filter(
        counter_at__gte=since, counter__gt=0, issued_at__isnull=False, ended_at=None, handed_on=None,
        lease__state__in=LIVE,
    )  # fmt: skip
    limit = Cast(KeyTextTransform("max_budget", "lease__limits"), DecimalField(max_digits=18, decimal_places=9))
    high = versions.annotate(limit=limit).filter(limit__lte=F("counter") * 100 / THRESHOLDS[-1])
    found = high.select_related("lease__team", "lease__holder", "lease__gateway").defer("lease__gateway__master_key")
    for version in found:
        lease = version.lease
        window = lease.limits.get("budget_duration") or ""
        yield from _reached(
            lease, str(lease.gateway), version.counter, lease.max_budget, window, version.resets_at, version.counter_at
        )


def _teams_and_holders(since: datetime) -> Iterator[_Reached]:
    rows = Counter.objects.filter(read_at__gte=since, spend__gt=0, team__ended_at=None)
    counters = list(rows.select_related("team", "gateway").defer("gateway__master_key"))
    people = Membership.objects.filter(
        team__in={each.team_id for each in counters if each.holder_id}, max_budget__isnull=False
    )
    members = {(each.team_id, each.user_id): each for each in people.select_related("team", "user")}
    for each in counters:
        target = each.team if each.holder_id is None else members.get((each.team_id, each.holder_id))
        if target is not None:
            window, limit = each.team.budget_duration, target.max_budget
            yield from _reached(target, str(each.gateway), each.spend, limit, window, each.resets_at, each.read_at)


def _reached(
    target: Lease | Membership | Team,
    gateway: str,
    spent: Decimal | None,
    limit: Decimal | None,
    window: str,
    resets_at: datetime | None,
    at: datetime | None,
) -> Iterator[_Reached]:
    if not limit or spent is None or at is None or (resets_at and resets_at <= at):
        return  # the last: the proxy has not done its reset yet, and tells of the window before
    percent = next((each for each in THRESHOLDS if spent * 100 >= limit * each), None)
    if percent:
        running = window_of(window, at)
        end = running[1] if running else None
        yield _Reached(target, gateway, percent, spent, limit, end.isoformat() if end else "life", end)


Told = set[tuple[str, str, str, str, int]]


def _told(reached: Iterable[_Reached]) -> Told:
    """What was told of these targets, in whichever window: type, id, gateway, window, per cent."""
    events = AuditEvent.objects.filter(action=REACHED, target_id__in={str(each.target.pk) for each in reached})
    return {
        (kind, pk, str(facts.get("gateway")), str(facts.get("window")), int(facts.get("percent", 0)))
        for kind, pk, facts in events.order_by().values_list("target_type", "target_id", "facts")
    }


def _was_told(each: _Reached, told: Told) -> bool:
    """Whether this threshold, or a higher one, was told of in this window: a counter may be set lower again."""
    name = each.target._meta.model_name or ""
    here = (name, str(each.target.pk), each.gateway, each.window)
    return any((*here, percent) in told for percent in THRESHOLDS if percent >= each.percent)


def _tell(each: _Reached) -> bool:
    """Letter and audit event in one transaction. False: another worker was quicker, or the budget's row is gone."""
    target = each.target
    with transaction.atomic():
        if not type(target)._default_manager.select_for_update(no_key=True).filter(pk=str(target.pk)).exists():
            return False
        if _was_told(each, _told([each])):
            return False
        audit.record(
            REACHED, target, by=SYSTEM, percent=each.percent, spent=each.spent, limit=each.limit, window=each.window,
            gateway=each.gateway,
        )  # fmt: skip
        what, path, to = _about(target)
        mail.budget_reached(
            to,
            f"budget:{target._meta.model_name}:{target.pk}:{each.gateway}:{each.window}:{each.percent}",
            what=what,
            percent=each.percent,
            spent=each.spent,
            limit=each.limit,
            resets_at=each.resets_at,
            path=path,
        )
    return True


def _about(target: Lease | Membership | Team) -> tuple[str, str, list[str]]:
    """What it is in words, where to see it, and who is told."""
    if isinstance(target, Team):
        return (
            _named(_("the team {name}"), name=target),
            reverse("teams:team", args=[target.slug]),
            letters.admins_of(target),
        )
    admins = letters.admins_of(target.team)
    if isinstance(target, Lease):
        own = letters.people_of(target) if target.holder.is_active else []
        return (
            _named(_("the virtual key {name}"), name=target),
            reverse("keys:lease", args=[target.pk]),
            [*own, *admins],
        )
    own = [target.user.email] if target.user.email and target.user.is_active else []
    return (
        _named(_("{person} in {team}"), person=target.user, team=target.team),
        reverse("teams:team", args=[target.team.slug]),
        [*own, *admins],
    )


def _named(said: StrOrPromise, **names: object) -> str:
    """In the language of each letter, which is known when it is written."""
    return cast("str", format_lazy(said, **names))
