"""My keys: how things stand, what waits, the list."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count, Exists, OuterRef, Q
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from keys.models import Gateway, KeyRole, KeyVersion, Lease, State
from keys.models.lease import ENDED, LeaseQuerySet
from keys.views.issue import platform_admins, teams_to_issue_for
from keys.views.offers import renew_label
from keys.views.requests import asked_and_claims
from portal.drawing import is_in_use, urgency
from portal.paging import stretch_of
from portal.ui import render_part
from teams.access import allowed
from teams.models import Invitation, Membership, Team, User
from teams.requests import SignedIn
from teams.roles import Can

A_DAY = timedelta(days=1)
ORDER = {"live": ("expires_at", "pk"), "ended": ("-ended_at", "-pk")}  # of keys in a list


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
    soon = timezone.now() + A_DAY
    some = list(_some_that_wait(mine, soon))
    waiting = [lease for lease in some if _waits(lease)]
    context: dict[str, Any] = {
        "page": stretch_of(request, _found(_in_state(mine, state), find), *ORDER[state]),
        "state": state,
        "find": find,
        "counts": counts,
        "waiting": waiting,
        "ends_soon": [lease for lease in some if lease.expires_at <= soon],
        "revoking": [lease for lease in waiting if lease.state == State.REVOKING],
        "paused": [lease for lease in waiting if lease.state == State.PAUSED],
        "rotating": [lease for lease in waiting if _old_one_in_use(lease)],
        "ending": [(lease, renew_label(lease)) for lease in waiting if _ends_soon(lease)],
        "may_issue": teams_to_issue_for(user).exists(),
        **asked_and_claims(user),
        "guide": first_steps(user) if allowed(user, Can.MANAGE_PLATFORM) else None,
    }
    if not context["may_issue"]:
        context["helpers"] = platform_admins()
    return render_part(request, "keys/home.html", "keys/_home_list.html", context)


def first_steps(user: User) -> dict[str, Any] | None:
    """What a new desk still lacks before somebody else can get a key; None once it has everything."""
    teams = Team.objects.filter(ended_at=None)
    opened = Q(all_teams=True) | Q(teams__in=teams)
    others = Membership.objects.filter(team__in=teams, user__is_active=True).exclude(user=user)
    steps = {
        "gateway": Gateway.objects.order_by("-is_default").first(),
        "role": KeyRole.objects.filter(opened, ended_at=None).first(),
        "team": teams.first(),
        "people": others.exists() or Invitation.objects.open(timezone.now()).filter(team__in=teams).exists(),
    }
    return None if all(steps.values()) else {**steps, "left": sum(1 for step in steps.values() if not step)}


def _some_that_wait(leases: LeaseQuerySet, soon: datetime) -> LeaseQuerySet:
    """Those that end before `soon`, and those of which `_waits` may be true: few of many."""
    rotated = Exists(KeyVersion.objects.filter(lease=OuterRef("pk"), number__gt=1))
    near = Q(state__in=[State.REVOKING, State.PAUSED]) | Q(expires_at__lte=soon) | rotated
    found = leases.exclude(state__in=ENDED).filter(near).order_by("expires_at")
    return found.select_related("role__gateway").defer("role__gateway__master_key", "gateway__master_key")


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
        return leases.filter(state__in=ENDED)
    return leases.exclude(state__in=ENDED)


def _found(leases: LeaseQuerySet, words: str) -> LeaseQuerySet:
    """Leases whose name, alias, role or team holds `words`."""
    if not words:
        return leases
    fields = ("name", "alias", "role__name", "team__name", "purpose")
    match = Q()
    for field in fields:
        match |= Q(**{f"{field}__icontains": words})
    return leases.filter(match)
