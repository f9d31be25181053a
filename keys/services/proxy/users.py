"""The users of a proxy. Those of holders of keys are Keydesk's: with a user the proxy deletes all of their keys."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from keys.models import Gateway, KeyVersion
from keys.services import gateways
from keys.services.proxy import acts
from keys.services.proxy.acts import AlreadyThere, InUse, NotOnProxy, OfKeydesk, tidy
from keys.services.reconcile.walk import instance_of
from portal.litellm import AlreadyExists, KeyInfo, NotFound, hash_key
from portal.litellm import User as UserThere
from portal.litellm.users import UserRole
from teams.access import Actor, require
from teams.models import User
from teams.roles import Can

OURS = re.compile(r"kd-(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.I)
THEIR_OWN = frozenset({"default_user_id", "keydesk", "keydesk-scim", "litellm-dashboard"})  # LiteLLM's and Keydesk's
MOST_KEYS = 1000  # looked at of one user


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user of the proxy. Money is USD. `holder`: who that is in Keydesk; `kept`: why Keydesk deletes none of them."""

    id: str
    email: str
    alias: str
    role: str
    teams: tuple[str, ...]
    models: tuple[str, ...]
    spend: Decimal
    max_budget: Decimal | None
    budget_duration: str
    keys: int | None
    created_at: datetime | None
    holder: str
    kept: str


def page(
    gateway: Gateway, *, by: Actor, page: int = 1, size: int = 50, role: str | None = None, email: str | None = None,
    search: str | None = None,
) -> tuple[list[Person], int]:  # fmt: skip
    """One page of the users by id, and how many pages there are. Raises NotAllowed, GatewayAway, GatewayRefused."""
    require(by, Can.SEE_PLATFORM)
    with gateways.calling(gateway, by=by) as line:
        only = {"role": role, "user_email": email, "search": search}
        found = line.client.users.list_page(page, size, sort_by="user_id", sort_order="asc", **only)
    return _seen(found.items), found.pages


def get(gateway: Gateway, user_id: str, *, by: Actor) -> Person:
    """One user. Raises NotAllowed, NotOnProxy, GatewayAway, GatewayRefused."""
    require(by, Can.SEE_PLATFORM)
    with gateways.calling(gateway, by=by) as line:
        return _with_keys(gateway, line, _find(line, user_id))[0]


def create(
    gateway: Gateway, *, by: Actor, user_id: str | None = None, email: str | None = None, alias: str | None = None,
    role: UserRole = "internal_user", teams: Iterable[str] = (), max_budget: Decimal | None = None,
) -> Person:  # fmt: skip
    """Make a user, without the unlimited key that the proxy would mint along. `max_budget`: USD, for life.

    Raises NotAllowed, SignInAgain, Invalid, AlreadyThere, GatewayAway, GatewayRefused.
    """
    acts.may_act(by)
    joined = list(teams)
    _check(user_id, email, joined)
    with gateways.calling(gateway, by=by) as line:
        _check_teams(line, joined)
        facts: dict[str, Any] = {"user": user_id or email, "role": role, "teams": joined, "max_budget": max_budget}
        with acts.recorded("proxy_user.made", gateway, by=by, **facts) as done:
            try:
                made = line.client.users.create(
                    user_id=user_id, email=email, alias=alias, role=role, teams=joined or None, max_budget=max_budget
                )
            except AlreadyExists:
                raise AlreadyThere(_("The proxy has a user with this id or e-mail.")) from None
            done["user"] = made.user_id or user_id
        return _seen([_find(line, made.user_id)])[0]


def delete(gateway: Gateway, user_id: str, *, by: Actor, force: bool = False) -> Person:
    """Delete a user and, as the proxy does it, every key of theirs; answers who it was.

    Refused for users who are Keydesk's or hold a key of ours, always; for others with keys, but by `force`.
    Raises NotAllowed, SignInAgain, GatewayHeld, NotOnProxy, OfKeydesk, InUse, GatewayAway, GatewayRefused.
    """
    acts.may_act(by)
    acts.may_end(gateway)
    with gateways.calling(gateway, by=by, seconds=3 * gateways.PATIENCE) as line:
        old, keys = _with_keys(gateway, line, _find(line, user_id))
        if old.kept:
            raise OfKeydesk(old.kept)
        if keys and not force:
            said = _("The proxy deletes a user's keys with the user, without a trace: %(count)s of them.")
            raise InUse(said % {"count": keys}, details={"keys": keys})
        facts = {"user": user_id, "before": {"email": old.email, "role": old.role, "keys": keys}, "force": force}
        with acts.recorded("proxy_user.deleted", gateway, by=by, **facts):
            try:
                line.client.users.delete(user_id)
            except NotFound:
                raise NotOnProxy from None
    return old


def _find(line: gateways.Line, user_id: str) -> UserThere:
    try:
        found = line.client.users.get_v2(user_id)
    except NotFound:
        raise NotOnProxy(_("The proxy has no user %(user)s.") % {"user": repr(user_id[:100])}) from None
    if found.user_id != user_id:
        raise NotOnProxy  # a proxy that answers with somebody else must not have that one deleted
    return found


def _with_keys(gateway: Gateway, line: gateways.Line, user: UserThere) -> tuple[Person, int]:
    keys = list(islice(line.client.keys.list(user_id=user.user_id), MOST_KEYS))
    kept = _kept(user.user_id) or _kept_by_keys(line, keys)
    person = _seen([user])[0]
    return _replaced(person, keys=len(keys), kept=kept), len(keys)


def _replaced(person: Person, **changes: Any) -> Person:
    return Person(**{name: changes.get(name, getattr(person, name)) for name in Person.__slots__})


def _kept(user_id: str) -> str:
    """Why nobody deletes this user from here, as far as the id tells; blank: nothing speaks against it."""
    if user_id.lower() in THEIR_OWN:
        return _("This is the proxy's or Keydesk's own user.")
    if OURS.fullmatch(user_id):
        return _("This user stands for a holder of keys: with it the proxy would delete their keys.")
    return ""


def _kept_by_keys(line: gateways.Line, keys: list[KeyInfo]) -> str:
    tokens = {key.token for key in keys}
    if line.gateway and hash_key(line.gateway.master_key) in tokens:
        return _("Keydesk's own key for this proxy is one of this user's.")
    if KeyVersion.objects.filter(token_hash__in=tokens, ended_at=None).exists() or any(map(instance_of, keys)):
        return _("This user holds keys that are leases of Keydesk, or of another Keydesk.")
    if len(keys) >= MOST_KEYS:
        return _("This user has more keys than can be looked at: end those first.")
    return ""


def _check(user_id: str | None, email: str | None, teams: list[str]) -> None:
    if not user_id and not email:
        acts.wrong("email", _("An e-mail or an id is needed."))
    if user_id is not None:
        acts.check_name("id", user_id)
        if _kept(user_id):
            acts.wrong("id", _("Ids like this are Keydesk's and the proxy's own."))
    if email is not None:
        try:
            validate_email(email)
        except ValidationError:
            acts.wrong("email", _("This is no e-mail address."))
    if ours := [team for team in teams if OURS.fullmatch(team)]:
        acts.wrong("teams", _("%(team)s is a team of Keydesk: put people into it here.") % {"team": ours[0]})


def _check_teams(line: gateways.Line, teams: list[str]) -> None:
    """The proxy takes a team that does not exist (1.109.1, measured)."""
    for team in teams:
        if not any(each.team_id == team for each in line.client.teams.list_v2_page(1, 1, team_id=team).items):
            acts.wrong("teams", _("The proxy has no team %(team)s.") % {"team": repr(team[:100])})


def _seen(users: Iterable[UserThere]) -> list[Person]:
    """As they may be shown, with who they are in Keydesk: one query for all of them."""
    rows = list(users)
    ids = {row.user_id: UUID(found["id"]) for row in rows if (found := OURS.fullmatch(row.user_id))}
    known = {user.pk: user.audit_name for user in User.objects.filter(pk__in=ids.values())}
    return [
        Person(
            id=tidy(row.user_id),
            email=tidy(row.email or ""),
            alias=tidy(row.alias or ""),
            role=tidy(row.role or ""),
            teams=tuple(tidy(list(row.teams))),
            models=tuple(tidy(list(row.models))),
            spend=acts.amount(row.spend) or Decimal(0),
            max_budget=acts.amount(row.max_budget),
            budget_duration=tidy(row.budget_duration or ""),
            keys=row.key_count,
            created_at=row.created_at,
            holder=known.get(ids[row.user_id], "") if row.user_id in ids else "",
            kept=_kept(row.user_id),
        )
        for row in rows
    ]
