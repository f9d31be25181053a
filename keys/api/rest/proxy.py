"""What the proxy of a gateway has: models, model groups, credentials and users. Secrets go in, and never come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args
from uuid import uuid5

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from keys.api.fields import Amount, Usd
from keys.api.rest.bundle_shapes import TokenPrice
from keys.api.rest.common import Nothing, PlatformDoor, actor, asked, checked, named_gateway
from keys.services.proxy import acts, credentials, models, users
from keys.services.proxy.credentials import Kept
from keys.services.proxy.models import Deployment
from keys.services.proxy.users import Person
from portal.errors import Invalid
from portal.litellm import UNSET
from portal.litellm.users import UserRole


@extend_schema_field({"type": "object", "additionalProperties": True})
class Table(serializers.JSONField):
    """A JSON object."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError("A JSON object.")
        return super().to_internal_value(data)


class ModelOut(serializers.Serializer[Deployment]):
    """A deployment. In `params`, whatever may be a secret is `****`; `source` is `database` or `config`."""

    id = serializers.CharField()
    name = serializers.CharField()
    upstream = serializers.CharField()
    provider = serializers.CharField()
    mode = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    blocked = serializers.BooleanField()
    credential = serializers.CharField()
    max_input_tokens = serializers.IntegerField(allow_null=True)
    max_output_tokens = serializers.IntegerField(allow_null=True)
    input_cost_per_token = TokenPrice()
    output_cost_per_token = TokenPrice()
    supports_vision = serializers.BooleanField(allow_null=True)
    supports_function_calling = serializers.BooleanField(allow_null=True)
    params = Table()
    info = Table()
    warnings = serializers.ListField(child=serializers.CharField())


class ModelGroupOut(serializers.Serializer[Any]):
    """A name that the proxy answers to, however many deployments stand behind it. Prices are USD a token."""

    name = serializers.CharField()
    providers = serializers.ListField(child=serializers.CharField())
    mode = serializers.CharField(allow_null=True)
    max_input_tokens = serializers.IntegerField(allow_null=True)
    max_output_tokens = serializers.IntegerField(allow_null=True)
    input_cost_per_token = TokenPrice()
    output_cost_per_token = TokenPrice()
    tpm = serializers.IntegerField(allow_null=True)
    rpm = serializers.IntegerField(allow_null=True)
    supports_vision = serializers.BooleanField(allow_null=True)
    supports_function_calling = serializers.BooleanField(allow_null=True)


class CredentialOut(serializers.Serializer[Kept]):
    """A provider credential; its secrets are `****`. `used_by`: models, where one credential was asked for."""

    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    values = Table()
    info = Table()
    source = serializers.CharField()  # type: ignore[assignment]
    used_by = serializers.ListField(child=serializers.CharField(), allow_null=True)


class ProxyUserOut(serializers.Serializer[Person]):
    """A user of the proxy. `holder`: who that is in Keydesk; `kept`: why Keydesk would not delete them, or nothing."""

    id = serializers.CharField()
    email = serializers.CharField()
    alias = serializers.CharField()
    role = serializers.CharField()
    teams = serializers.ListField(child=serializers.CharField())
    models = serializers.ListField(child=serializers.CharField())
    spend = Usd()
    max_budget = Usd(allow_null=True)
    budget_duration = serializers.CharField()
    keys = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)
    holder = serializers.CharField()
    kept = serializers.CharField()


class PageIn(serializers.Serializer[Any]):
    """`cursor` as the links `next` and `previous` have it; the proxy counts pages, so a row may move meanwhile."""

    cursor = serializers.IntegerField(min_value=1, max_value=1_000_000, default=1)
    page_size = serializers.IntegerField(min_value=1, max_value=200, default=50, help_text="At most 100 come.")

    def validate_page_size(self, value: int) -> int:
        return min(value, acts.LARGEST_PAGE)  # the proxy's own limit


class ModelsIn(PageIn):
    name = serializers.CharField(required=False, help_text="The whole name.")
    search = serializers.CharField(required=False, help_text="Part of the name.")


class UsersIn(PageIn):
    role = serializers.CharField(required=False)
    email = serializers.CharField(required=False, help_text="Part of the address.")
    search = serializers.CharField(required=False, help_text="Part of the id or the address.")


class ForceIn(serializers.Serializer[Any]):
    force = serializers.BooleanField(default=False, help_text="Though something hangs on it.")


class ModelIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    params = Table(help_text="LiteLLM's `litellm_params`: at least `model`; secrets go to the proxy alone.")
    info = Table(required=False, help_text="LiteLLM's `model_info`.")


class ModelChangeIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200, required=False)
    params = Table(required=False)
    info = Table(required=False)
    blocked = serializers.BooleanField(required=False)


class CredentialIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    values = serializers.DictField(child=serializers.CharField(trim_whitespace=False), allow_empty=False)
    info = Table(required=False)
    label = serializers.CharField(max_length=200, required=False, allow_blank=True)  # type: ignore[assignment]


class CredentialChangeIn(serializers.Serializer[Any]):
    label = serializers.CharField(max_length=200, required=False, allow_null=True, allow_blank=True)  # type: ignore[assignment]
    values = serializers.DictField(child=serializers.CharField(trim_whitespace=False), required=False)
    info = Table(required=False)


class ProxyUserIn(serializers.Serializer[Any]):
    id = serializers.CharField(max_length=200, required=False)
    email = serializers.CharField(max_length=254, required=False)
    alias = serializers.CharField(max_length=200, required=False)
    role = serializers.ChoiceField(choices=get_args(UserRole), default="internal_user")
    teams = serializers.ListField(child=serializers.CharField(max_length=200), required=False, max_length=20)
    max_budget = Amount(required=False)


def listing(shape: type[serializers.Serializer[Any]]) -> type[serializers.Serializer[Any]]:
    """The answer of a list in pages."""
    rows = shape(many=True)
    links = {name: serializers.URLField(read_only=True, allow_null=True) for name in ("next", "previous")}
    fields = {"results": rows, **links}
    return type(f"{shape.__name__.removesuffix('Out')}List", (serializers.Serializer,), {"__doc__": "", **fields})


class ProxyDoor(PlatformDoor):
    """A view of what a proxy has. Lists answer `{results, next, previous}`, with the proxy's own pages."""

    troubles = frozenset({409, 503})
    asks: Mapping[str, type[serializers.Serializer[Any]]] = {}  # method: what its query may hold

    @property
    def query(self) -> type[serializers.Serializer[Any]] | None:  # type: ignore[override]
        return self.asks.get(str(self.request.method))

    @staticmethod
    def pages(
        request: Request, shape: type[serializers.Serializer[Any]], rows: list[Any], pages: int, page: int
    ) -> Response:
        """One page; `page` counts from 1, `pages` is how many there are."""

        def link(number: int) -> str | None:
            there = 1 <= number <= pages
            return replace_query_param(request.build_absolute_uri(), "cursor", number) if there else None

        found: Any = rows
        return Response(
            {"results": shape(found, many=True).data, "next": link(page + 1), "previous": link(min(page - 1, pages))}
        )


class ProxyModelsView(ProxyDoor):
    asks = {"GET": ModelsIn}

    @extend_schema(responses={200: listing(ModelOut)})
    def get(self, request: Request, name: str) -> Response:
        """The deployments of the proxy, by name."""
        asked_ = asked(ModelsIn, request)
        page, size = asked_.pop("cursor"), asked_.pop("page_size")
        rows, pages = models.page(named_gateway(name), by=actor(request), page=page, size=size, **asked_)
        return self.pages(request, ModelOut, rows, pages, page)

    @extend_schema(request=ModelIn, responses={201: ModelOut})
    def post(self, request: Request, name: str) -> Response:
        """Add a deployment to the proxy's database; the proxy calls its `api_base` from where it stands."""
        by, said = actor(request), request.headers.get("Idempotency-Key")
        once = uuid5(by.pk, f"{name} {said}") if said else None
        made = models.add(named_gateway(name), by=by, once=once, **checked(ModelIn, request))
        return Response(ModelOut(made).data, status=status.HTTP_201_CREATED)


class ProxyModelView(ProxyDoor):
    asks = {"PATCH": ForceIn, "DELETE": ForceIn}

    @extend_schema(responses={200: ModelOut})
    def get(self, request: Request, name: str, model: str) -> Response:
        """One deployment, by its id or its name."""
        return Response(ModelOut(models.get(named_gateway(name), model, by=actor(request))).data)

    @extend_schema(request=ModelChangeIn, responses={200: ModelOut})
    def patch(self, request: Request, name: str, model: str) -> Response:
        """Change what is given of a deployment, or block it; another name is 409 `in_use` as with a deletion."""
        fields, force = checked(ModelChangeIn, request), asked(ForceIn, request)["force"]
        found = models.change(named_gateway(name), model, by=actor(request), force=force, **fields)
        return Response(ModelOut(found).data)

    @extend_schema(request=None, responses={200: ModelOut})
    def delete(self, request: Request, name: str, model: str) -> Response:
        """Delete a deployment; 409 `in_use` while key roles name it and nothing else answers to the name."""
        force = _forced(request)
        return Response(ModelOut(models.delete(named_gateway(name), model, by=actor(request), force=force)).data)


class ModelGroupsView(ProxyDoor):
    asks = {"GET": PageIn}

    @extend_schema(responses={200: listing(ModelGroupOut)})
    def get(self, request: Request, name: str) -> Response:
        """The names that the proxy answers to, with what they can do and cost."""
        return _whole(self, request, ModelGroupOut, models.groups(named_gateway(name), by=actor(request)))


class CredentialsView(ProxyDoor):
    asks = {"GET": PageIn}

    @extend_schema(responses={200: listing(CredentialOut)})
    def get(self, request: Request, name: str) -> Response:
        """The credentials that the proxy keeps, masked."""
        return _whole(self, request, CredentialOut, credentials.all_of(named_gateway(name), by=actor(request)))

    @extend_schema(request=CredentialIn, responses={201: CredentialOut})
    def post(self, request: Request, name: str) -> Response:
        """Have the proxy keep a credential; its values are nowhere else, and never answered."""
        made = credentials.create(named_gateway(name), by=actor(request), **checked(CredentialIn, request))
        return Response(CredentialOut(made).data, status=status.HTTP_201_CREATED)


class CredentialView(ProxyDoor):
    asks = {"DELETE": ForceIn}

    @extend_schema(responses={200: CredentialOut})
    def get(self, request: Request, name: str, credential: str) -> Response:
        """One credential, masked, and the models that use it."""
        return Response(CredentialOut(credentials.get(named_gateway(name), credential, by=actor(request))).data)

    @extend_schema(request=CredentialChangeIn, responses={200: CredentialOut})
    def patch(self, request: Request, name: str, credential: str) -> Response:
        """Give it another label, or replace some of its values."""
        fields = checked(CredentialChangeIn, request)
        if not fields:
            raise Invalid("Say what is to change: `label`, `values` or `info`.")
        fields["label"] = (fields["label"] or None) if "label" in fields else UNSET
        found = credentials.change(named_gateway(name), credential, by=actor(request), **fields)
        return Response(CredentialOut(found).data)

    @extend_schema(request=None, responses={200: CredentialOut})
    def delete(self, request: Request, name: str, credential: str) -> Response:
        """Delete a credential; 409 `in_use` while models use it."""
        force = _forced(request)
        found = credentials.delete(named_gateway(name), credential, by=actor(request), force=force)
        return Response(CredentialOut(found).data)


class ProxyUsersView(ProxyDoor):
    asks = {"GET": UsersIn}

    @extend_schema(responses={200: listing(ProxyUserOut)})
    def get(self, request: Request, name: str) -> Response:
        """The users of the proxy, by id."""
        asked_ = asked(UsersIn, request)
        page, size = asked_.pop("cursor"), asked_.pop("page_size")
        rows, pages = users.page(named_gateway(name), by=actor(request), page=page, size=size, **asked_)
        return self.pages(request, ProxyUserOut, rows, pages, page)

    @extend_schema(request=ProxyUserIn, responses={201: ProxyUserOut})
    def post(self, request: Request, name: str) -> Response:
        """Make a user, without the unlimited key that the proxy would mint along."""
        fields = checked(ProxyUserIn, request)
        if "id" in fields:
            fields["user_id"] = fields.pop("id")
        made = users.create(named_gateway(name), by=actor(request), **fields)
        return Response(ProxyUserOut(made).data, status=status.HTTP_201_CREATED)


class ProxyUserView(ProxyDoor):
    asks = {"DELETE": ForceIn}

    @extend_schema(responses={200: ProxyUserOut})
    def get(self, request: Request, name: str, user: str) -> Response:
        """One user, by id."""
        return Response(ProxyUserOut(users.get(named_gateway(name), user, by=actor(request))).data)

    @extend_schema(request=None, responses={200: ProxyUserOut})
    def delete(self, request: Request, name: str, user: str) -> Response:
        """Delete a user and, as the proxy does it, their keys; 409 for Keydesk's own, `in_use` for others with keys."""
        force = _forced(request)
        return Response(ProxyUserOut(users.delete(named_gateway(name), user, by=actor(request), force=force)).data)


def _forced(request: Request) -> bool:
    checked(Nothing, request)  # a `force` in the body must not be lost
    return bool(asked(ForceIn, request)["force"])


def _whole(door: ProxyDoor, request: Request, shape: type[serializers.Serializer[Any]], rows: list[Any]) -> Response:
    """A page of what the proxy answers whole."""
    asked_ = asked(PageIn, request)
    found, pages = acts.part(rows, asked_["cursor"], asked_["page_size"])
    return door.pages(request, shape, found, pages, asked_["cursor"])
