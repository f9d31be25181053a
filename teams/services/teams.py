"""Make, change and end teams."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext, gettext_noop

from portal import audit
from portal.errors import Conflict, Invalid, PortalError
from portal.templatetags.ui import money
from teams.access import Actor, allowed, require
from teams.models import Team
from teams.roles import Can
from teams.signals import budget_changed, team_ended


class OverCeiling(PortalError):
    code, status = "over_ceiling", HTTPStatus.UNPROCESSABLE_ENTITY
    on_record = True  # who tries to raise their own budget is seen
    action = gettext_noop("Ask a platform admin for more.")

    def __init__(self, message: str) -> None:
        super().__init__(message, details={"max_budget": message})


class SlugTaken(Conflict):
    code = "slug_taken"
    action = gettext_noop("Choose another slug.")


def create_team(
    *,
    name: str,
    slug: str = "",
    max_budget: Decimal | None = None,
    budget_duration: str = "1mo",
    cost_centre: str = "",
    by: Actor,
) -> Team:
    """Make a team; the budget is USD per window. Raises NotAllowed, Invalid, SlugTaken."""
    require(by, Can.MANAGE_PLATFORM)
    team = Team(name=name.strip(), slug=slug.strip() or _free_slug(name), max_budget=max_budget,
                budget_duration=budget_duration, budget_ceiling=max_budget,
                cost_centre=cost_centre.strip())  # fmt: skip
    if Team.objects.filter(slug=team.slug).exists():
        raise SlugTaken(
            gettext("A team with the slug %(slug)s exists already.") % {"slug": team.slug},
            details={"slug": gettext("Taken already.")},
        )
    _validate(team)
    with transaction.atomic():
        team.save(force_insert=True)
        audit.record("team.made", team, by=by, slug=team.slug, max_budget=team.max_budget)
    return team


def change_team(team: Team, *, by: Actor, **changes: Any) -> Team:
    """Change name, slug, cost centre or budget (USD per window).

    A team admin's budget stays within the platform's ceiling. Raises NotAllowed, Invalid, SlugTaken,
    OverCeiling.
    """
    require(by, Can.SET_TEAM_BUDGET, team)
    with transaction.atomic():
        team = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        before = {name: getattr(team, name) for name, value in changes.items() if getattr(team, name) != value}
        money = {"max_budget", "budget_duration"} & set(before)
        if set(before) - money:
            require(by, Can.MANAGE_PLATFORM)
        if not before:
            return team
        if "slug" in before and Team.objects.filter(slug=changes["slug"]).exists():
            raise SlugTaken(details={"slug": gettext("Taken already.")})
        for name in before:
            setattr(team, name, changes[name])
        _within_ceiling(team, before, by=by)
        _validate(team)
        team.save(update_fields=[*before, "budget_ceiling"])
        after = {name: str(changes[name]) for name in before}
        audit.record("team.changed", team, by=by, before={n: str(old) for n, old in before.items()}, after=after)
        if money:
            budget_changed.send(Team, team=team, by=by)
    return team


def _within_ceiling(team: Team, before: Iterable[str], *, by: Actor) -> None:
    """What a platform admin gives is the ceiling; others stay within it, and leave its window alone."""
    if allowed(by, Can.MANAGE_PLATFORM):
        if "max_budget" in before:
            team.budget_ceiling = team.max_budget
    elif team.budget_ceiling is not None:
        if team.max_budget is None or team.max_budget > team.budget_ceiling:
            raise OverCeiling(
                gettext("The platform gives this team at most %(money)s.") % {"money": money(team.budget_ceiling)}
            )
        if "budget_duration" in before:
            raise OverCeiling(gettext("The platform has set how often this team's budget resets."))


def end_team(team: Team, *, by: Actor) -> Team:
    """Let the team give no keys any more, and end those it has; its history stays. Raises NotAllowed."""
    require(by, Can.MANAGE_PLATFORM)
    with transaction.atomic():
        team = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        if team.ended_at:
            return team
        team.ended_at = timezone.now()
        team.save(update_fields=["ended_at"])
        audit.record("team.ended", team, by=by)
    team_ended.send(Team, team=team, by=by)
    return team


def _validate(team: Team) -> None:
    try:
        team.full_clean()
    except ValidationError as error:
        raise Invalid(details={name: " ".join(said) for name, said in error.message_dict.items()}) from None


def _free_slug(name: str) -> str:
    base = slugify(name)[:50] or "team"
    taken = set(Team.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    return base if base not in taken else next(s for n in range(2, 10_000) if (s := f"{base}-{n}") not in taken)
