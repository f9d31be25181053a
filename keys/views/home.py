"""My keys: how things stand, what waits, the list."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from keys.models import Gateway, KeyRole, Lease, State
from keys.models.lease import ENDED, LeaseQuerySet
from keys.views.issue import platform_admins, teams_to_issue_for
from keys.views.offers import offer
from portal.drawing import is_in_use, urgency
from portal.ui import page_of, render_part
from teams.access import allowed
from teams.models import Membership, Team
from teams.requests import SignedIn
from teams.roles import Can

A_DAY = timedelta(days=1)


@login_required
@require_GET
def my_keys(request: SignedIn) -> HttpResponse:
    user = request.user
    mine = Lease.objects.visible_to(user).filter(holder=user).rows()
    counts = mine.order_by().aggregate(
        live=Count("pk", filter=~Q(state__in=ENDED)), ended=Count("pk", filter=Q(state__in=ENDED))
    )
    state = "ended" if request.GET.get("state") == "ended" else "live"
    find = request.GET.get("q", "").strip()
    waiting = [lease for lease in mine.exclude(state__in=ENDED).order_by("expires_at") if _waits(lease)]
    context: dict[str, Any] = {
        "page": page_of(request, _found(_in_state(mine, state), find)),
        "state": state,
        "find": find,
        "counts": counts,
        "waiting": waiting,
        "ends_soon": list(mine.exclude(state__in=ENDED).filter(expires_at__lte=timezone.now() + A_DAY)),
        "revoking": [lease for lease in waiting if lease.state == State.REVOKING],
        "paused": [lease for lease in waiting if lease.state == State.PAUSED],
        "rotating": [lease for lease in waiting if _old_one_in_use(lease)],
        "ending": [(lease, offer(lease, user).act("renew")) for lease in waiting if _ends_soon(lease)],
        "may_issue": teams_to_issue_for(user).exists(),
        "guide": first_steps() if allowed(user, Can.MANAGE_PLATFORM) else None,
    }
    if not context["may_issue"]:
        context["helpers"] = platform_admins()
    return render_part(request, "keys/home.html", "keys/_home_list.html", context)


def first_steps() -> dict[str, Any] | None:
    """What a new desk still lacks; None once it has everything."""
    steps = {
        "gateway": Gateway.objects.order_by("-is_default").first(),
        "role": KeyRole.objects.filter(ended_at=None, gateway__is_default=True).first(),
        "team": Team.objects.first(),
        "people": Membership.objects.exists(),
    }
    return None if all(steps.values()) else steps


def _waits(lease: Lease) -> bool:
    return lease.state in {State.REVOKING, State.PAUSED} or _ends_soon(lease) or _old_one_in_use(lease)


def _ends_soon(lease: Lease) -> bool:
    return lease.state == State.ACTIVE and bool(urgency(lease))


def _old_one_in_use(lease: Lease) -> bool:
    """Whether somebody still uses a secret that has a successor."""
    old = lease.previous if lease.state == State.ACTIVE else None
    return old is not None and is_in_use(lease, old)


def _in_state(leases: LeaseQuerySet, state: str) -> LeaseQuerySet:
    if state == "ended":
        return leases.filter(state__in=ENDED).order_by("-ended_at", "-issued_at")
    return leases.exclude(state__in=ENDED).order_by("expires_at", "-issued_at")


def _found(leases: LeaseQuerySet, words: str) -> LeaseQuerySet:
    """Leases whose name, alias, role or team holds `words`."""
    if not words:
        return leases
    fields = ("name", "alias", "role__name", "team__name", "purpose")
    match = Q()
    for field in fields:
        match |= Q(**{f"{field}__icontains": words})
    return leases.filter(match)
