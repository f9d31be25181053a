"""The verbs of teams: make them, fill them, and give out API tokens."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from portal import audit, mail
from portal.errors import Conflict, Invalid, NotAllowed, PortalError
from teams.access import Actor, System, allowed, require
from teams.departures import came_back, settled_by_hand
from teams.models import ApiToken, Membership, Team, User
from teams.roles import Can, MemberRole, Scope
from teams.signals import access_ended, budget_changed, team_ended

LONGEST_TOKEN = timedelta(days=365)


class LastAdmin(Conflict):
    code = "last_admin"
    message = "This is the team's last admin."
    action = "Make somebody else a team admin first."


class OverCeiling(PortalError):
    code, status = "over_ceiling", HTTPStatus.UNPROCESSABLE_ENTITY
    action = "Ask a platform admin for more."

    def __init__(self, message: str) -> None:
        super().__init__(message, details={"max_budget": message})


class SlugTaken(Conflict):
    code = "slug_taken"
    action = "Choose another slug."


def create_team(
    *, name: str, slug: str = "", max_budget: Decimal | None = None, budget_duration: str = "1mo", by: Actor
) -> Team:
    """Make a team; the budget is USD per window. Raises NotAllowed, Invalid, SlugTaken."""
    require(by, Can.MANAGE_PLATFORM)
    team = Team(name=name.strip(), slug=slug.strip() or _free_slug(name), max_budget=max_budget,
                budget_duration=budget_duration, budget_ceiling=max_budget)  # fmt: skip
    if Team.objects.filter(slug=team.slug).exists():
        raise SlugTaken(f"A team with the slug {team.slug} exists already.", details={"slug": "Taken already."})
    _validate(team)
    with transaction.atomic():
        team.save(force_insert=True)
        audit.record("team.made", team, by=by, slug=team.slug, max_budget=team.max_budget)
    return team


def change_team(team: Team, *, by: Actor, **changes: Any) -> Team:
    """Change name, slug or budget (USD per window). A team admin's budget stays within the platform's ceiling.

    Raises NotAllowed, Invalid, SlugTaken, OverCeiling.
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
            raise SlugTaken(details={"slug": "Taken already."})
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
            raise OverCeiling(f"The platform gives this team at most ${team.budget_ceiling:,.2f}.")
        if "budget_duration" in before:
            raise OverCeiling("The platform has set how often this team's budget resets.")


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


def put_member(team: Team, *, email: str, role: MemberRole, by: Actor) -> tuple[Membership, bool]:
    """Put a person into the team, or change their role there; True: they are new in it.

    An unknown address gets an account without a password, and a letter with a link to set one.
    Raises NotAllowed, Invalid, LastAdmin.
    """
    require(by, Can.MANAGE_MEMBERS, team)
    email = (email or "").strip().lower()
    try:
        validate_email(email)
        role = MemberRole(role)
    except (ValidationError, ValueError) as error:
        field = "role" if isinstance(error, ValueError) and not isinstance(error, ValidationError) else "email"
        said = "One of viewer, member, approver, admin." if field == "role" else "This is not an e-mail address."
        raise Invalid(said, details={field: said}) from None
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        user, unknown = User.objects.get_or_create(email=email, defaults={"password": make_password(None)})
        if unknown:
            audit.record("person.made", user, by=by)
        there = Membership.objects.filter(team=team, user=user).first()
        if there and there.role == role:
            return there, False
        if there and role != MemberRole.ADMIN:
            _keep_an_admin(there)
        membership, new = Membership.objects.update_or_create(team=team, user=user, defaults={"role": role})
        audit.record(
            "member.added" if new else "member.changed", team, by=by, person=email, role=role,
            before=there.role if there else None,
        )  # fmt: skip
        if unknown:
            mail.welcome(user.email or "", team.name, str(by))
    came_back(user, team, by=by)
    if not new:
        access_ended.send(Team, user=user, team=team)  # a viewer may not hold keys; receivers look themselves
    return membership, new


def remove_member(membership: Membership, *, by: Actor) -> None:
    """Take a person out of a team; their keys there end at once. Raises NotAllowed, LastAdmin."""
    team, user = membership.team, membership.user
    require(by, Can.MANAGE_MEMBERS, team)
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        there = Membership.objects.filter(pk=membership.pk).first()  # as it is now, not as a page showed it
        if there is None:
            return
        _keep_an_admin(there)
        there.delete()
        settled_by_hand(user, team)
        audit.record("member.removed", team, by=by, person=user.audit_name, role=there.role)
    access_ended.send(Team, user=user, team=team)


def make_token(
    owner: User, *, name: str, scopes: Iterable[str], by: Actor, life: timedelta = ApiToken.DEFAULT_LIFE
) -> tuple[ApiToken, str]:
    """Make an API token for oneself; the text is answered once and kept as an HMAC. Raises NotAllowed, Invalid."""
    wanted = sorted(set(scopes))
    mine = set(Scope) if isinstance(by, System) or by.scopes is None else by.scopes
    if isinstance(by, User) and (by.pk != owner.pk or not mine.issuperset(wanted)):
        raise NotAllowed("A token is made by its owner, and never does more than the token in use.")
    unknown = [scope for scope in wanted if scope not in set(Scope)]
    wrong = {}
    if unknown or not wanted:
        wrong["scopes"] = f"Choose of {', '.join(Scope)}."
    if not name.strip():
        wrong["name"] = "A token needs a name, to know it again."
    if not timedelta(0) < life <= LONGEST_TOKEN:
        wrong["days"] = "Between 1 and 365 days."
    if wrong:
        raise Invalid(details=wrong)
    plain = ApiToken.choose()
    with transaction.atomic():
        token = ApiToken.objects.create(
            owner=owner, name=name.strip(), scopes=wanted, digest=ApiToken.digest_of(plain),
            expires_at=timezone.now() + life,
        )  # fmt: skip
        audit.record("token.made", token, by=by, owner=owner.audit_name, scopes=wanted)
    return token, plain


def _keep_an_admin(leaving: Membership) -> None:
    others = Membership.objects.filter(team=leaving.team, role=MemberRole.ADMIN).exclude(pk=leaving.pk)
    if leaving.role == MemberRole.ADMIN and not others.exists():
        raise LastAdmin


def _validate(team: Team) -> None:
    try:
        team.full_clean()
    except ValidationError as error:
        raise Invalid(details={name: " ".join(said) for name, said in error.message_dict.items()}) from None


def _free_slug(name: str) -> str:
    base = slugify(name)[:50] or "team"
    taken = set(Team.objects.filter(slug__startswith=base).values_list("slug", flat=True))
    return base if base not in taken else next(s for n in range(2, 10_000) if (s := f"{base}-{n}") not in taken)


class OverTeamBudget(OverCeiling):
    code = "over_team_budget"
    action = "Ask for less, or raise the team's budget first."


def set_holder_budget(membership: Membership, *, max_budget: Decimal | None, by: Actor) -> Membership:
    """Limit what one person's keys may spend in a team, USD in one window of the team's; None: no limit of their own.

    Raises NotAllowed, Invalid, OverTeamBudget, Conflict when the person has left the team.
    """
    require(by, Can.SET_TEAM_BUDGET, membership.team)
    with transaction.atomic():
        team = Team.objects.select_for_update(no_key=True).get(pk=membership.team_id)
        there = Membership.objects.filter(pk=membership.pk).select_related("user").first()
        if there is None:
            raise Conflict("This person is not in the team any more.")
        if there.max_budget == max_budget:
            return there
        before, there.max_budget = there.max_budget, max_budget
        try:
            there.clean_fields(exclude=["team", "user", "role"])
        except ValidationError as error:
            raise Invalid(details={name: " ".join(said) for name, said in error.message_dict.items()}) from None
        if max_budget is not None and team.max_budget is not None and max_budget > team.max_budget:
            raise OverTeamBudget(f"The team itself has ${team.max_budget:,.2f}.")
        there.save(update_fields=["max_budget"])
        person = there.user.audit_name
        audit.record("member.budget_changed", team, by=by, person=person, before=before, after=max_budget)
        budget_changed.send(Team, team=team, by=by)
    return there
