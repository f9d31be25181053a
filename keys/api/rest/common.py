"""What the views share: who asks, what they may see, and bodies, queries and lists read in one way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar, cast
from uuid import UUID

from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from keys.api.rest.once import do_once, wanted
from keys.models import Gateway, KeyRole, Lease
from keys.models.request import RATES
from keys.services import leases
from keys.services.terms import Ask
from portal.errors import Invalid, PortalError, UnknownField
from portal.limits import Limited
from teams.access import require, within
from teams.models import Team, User
from teams.roles import Can

M = TypeVar("M", bound=Model)
Narrow = Callable[[QuerySet[Any], str, User], QuerySet[Any]]
PAGING = frozenset({"cursor", "page_size"})
ORDERING = "ordering"
ALWAYS = frozenset({"format"})  # DRF's own


class NotThere(PortalError):
    """Something named in a body that is not there, or that the caller may not see: they cannot tell which."""

    code, status = "not_found", HTTPStatus.NOT_FOUND
    action = "Check the name; you may not be allowed to see it."

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, details={field: message})


class Nothing(serializers.Serializer[Any]):
    """No fields."""


class Door(Limited):
    """A view of the API. A query parameter that it does not know is refused: `?preveiw=true` must not end keys."""

    queries: frozenset[str] = frozenset()
    query: type[serializers.Serializer[Any]] | None = None  # or a shape of what may be asked, read with asked()
    repeatable = False  # whether a POST that nobody knows the end of may be done again: see do_once()
    of_token = False  # whether it is about the token in use: another one's call is another call
    troubles: frozenset[int] = frozenset()  # statuses of errors beyond those of every call of its kind: for the schema

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        known = self.queries | (frozenset(self.query().fields) if self.query else frozenset())
        if unknown := sorted(set(request.query_params) - known - ALWAYS):
            raise serializers.ValidationError(dict.fromkeys(unknown, "There is no such query parameter."))
        if wanted(request) and (act := getattr(self, "post", None)):
            vars(self)["post"] = partial(do_once, self, act)  # in the place of the view's own, for this request

    def still_seen(self, request: Request, **kwargs: Any) -> None:
        """Look again before a kept answer is shown: what it is about may be out of sight by now. Raises Http404."""
        if "slug" in kwargs:
            visible_team(request, kwargs["slug"])


class PlatformDoor(Door):
    """A view of the platform: whoever sees it reads, whoever manages it acts. Others learn nothing of its rows."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        require(actor(request), Can.SEE_PLATFORM if request.method in SAFE_METHODS else Can.MANAGE_PLATFORM)


class Listed(Door, ListAPIView[M]):
    """A list in pages. `filters`: query parameter -> how it narrows the rows; what fits nothing finds nothing.

    `orders`: columns, never null, by which it comes when `ordering` says so, backwards with a `-`.
    """

    filters: Mapping[str, Narrow] = {}
    orders: tuple[str, ...] = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.queries = self.queries | PAGING | frozenset(self.filters) | ({ORDERING} if self.orders else frozenset())
        super().initial(request, *args, **kwargs)
        asked_for = request.query_params.get(ORDERING)
        if asked_for is not None and asked_for.removeprefix("-") not in self.orders:
            raise serializers.ValidationError({ORDERING: f"One of {', '.join(self.orders)}; with a - backwards."})

    def filter_queryset(self, queryset: Any) -> Any:
        asker = actor(self.request)
        for name, value in self.request.query_params.dict().items():
            if name in self.filters:
                queryset = queryset.none() if "\0" in value else self.filters[name](queryset, value, asker)
        return queryset


def exact(path: str) -> Narrow:
    """Rows whose `path` is the value."""
    return lambda rows, value, _: rows.filter(**{path: value})


def truth(path: str) -> Narrow:
    """Rows of which `path` is so, by `true` or `false`."""
    return lambda rows, value, _: rows.filter(**{path: value == "true"}) if value in {"true", "false"} else rows.none()


def actor(request: Request) -> User:
    return cast(User, request.user)


def checked(shape: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body in `shape`. Raises ValidationError, and UnknownField for what `shape` does not know."""
    if not isinstance(request.data, dict):
        raise Invalid("Send one JSON object.")
    form = shape(data=request.data)
    unknown = sorted(set(request.data) - set(form.fields))
    if unknown:
        raise UnknownField(unknown)
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


def asked(shape: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's query in `shape`. Raises ValidationError."""
    form = shape(data=request.query_params.dict())
    form.is_valid(raise_exception=True)
    return dict(form.validated_data)


def seen_teams(user: User) -> QuerySet[Team]:
    return Team.objects.filter(within(user, Can.SEE_TEAM, team="pk"))


def visible_team(request: Request, slug: str) -> Team:
    return get_object_or_404(seen_teams(actor(request)), slug=slug)


def visible_lease(request: Request, pk: UUID) -> Lease:
    return get_object_or_404(Lease.objects.visible_to(actor(request)).rows(), pk=pk)


def named_team(user: User, slug: str) -> Team:
    """A team named in a body. Raises NotThere."""
    team = seen_teams(user).filter(slug=slug).first()
    if team is None:
        raise NotThere("team", f"There is no team {slug!r} that you may see.")
    return team


def named_role(team: Team, name: str, gateway: str | None) -> KeyRole | None:
    """The role of that name open to the team; of several gateways, the named one or the default one."""
    found = leases.open_roles(team).filter(name=name.lower())
    found = found.filter(gateway__name=gateway) if gateway else found.order_by("-gateway__is_default", "pk")
    return cast("KeyRole | None", found.first())


def ask_of(team: Team, role: KeyRole, fields: Mapping[str, Any]) -> Ask:
    """An order, of the fields of a body. What is left out is whatever the role gives."""
    models = fields.get("models")
    return Ask(
        team=team, role=role, ttl=fields.get("ttl"), models=None if models is None else tuple(models),
        max_budget=fields.get("max_budget"), name=fields.get("name", ""), purpose=fields["purpose"],
        **{rate: fields.get(rate) for rate in RATES},
    )  # fmt: skip


def named_gateway(name: str) -> Gateway:
    """A gateway named in the address. Raises Http404."""
    return get_object_or_404(Gateway.objects.defer("master_key"), name=name)


def named_person(user: User, text: str) -> User:
    """Somebody named in a body, of the teams that `user` sees. Raises NotThere."""
    teams, held = seen_teams(user), Lease.objects.visible_to(user).filter(holder=OuterRef("pk"))
    near = Q(pk=user.pk) | Q(memberships__team__in=teams) | Q(service_team__in=teams) | Exists(held)
    found = User.objects.filter(whose(text)).filter(near).first()
    if found is None:
        raise NotThere("holder", f"There is nobody {text!r} whom you may see.")
    return found


def named_account(team: Team, name: str) -> User | None:
    """The service account of the team with that name, in any case."""
    return User.objects.filter(service_team=team, name__iexact=name.replace("\0", ""), is_active=True).first()


def named_heir(lease: Lease, text: str) -> User:
    """Somebody of the lease's team, by e-mail, id, or a service account's name. Raises NotThere."""
    near = Q(memberships__team=lease.team_id) | Q(service_team=lease.team_id)
    found = named_account(lease.team, text) or User.objects.filter(near).filter(whose(text.replace("\0", ""))).first()
    if found is None:
        raise NotThere("to", f"There is nobody {text!r} in {lease.team.slug}.")
    return found


def whose(text: str, path: str = "") -> Q:
    """A person by e-mail or id, as a filter. `path`: to their row, like `holder__`."""
    try:
        return Q(**{f"{path}pk": UUID(text)})
    except ValueError:
        return Q(**{f"{path}email__iexact": text})
