"""The OpenAPI schema: what every operation has in common is said here once, and the rest on the views."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.utils.text import capfirst
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers
from rest_framework.permissions import AllowAny

from portal.schema_parts import HEADERS, PARAMETERS, RESPONSES, SCHEMAS, Json

API = "/api/v1/"
WRITES = {"POST", "PUT", "PATCH", "DELETE"}
ACTS = {"POST": "create", "PUT": "set", "PATCH": "change", "DELETE": "delete"}
TAGS = {"teams": "Teams", "roles": "Key roles", "keys": "Keys", "tokens": "API tokens", "me": "Me"}
RATE = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
WAITS = {"409", "429", "503"}  # answers that may say how long to wait


def only_ours(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """spectacular's hook: the operations of `/api/v1/`; what Python calls `pk` is `id` to others."""
    return [
        (path.replace("{pk}", "{id}"), regex.replace(":pk>", ":id>"), method, callback)
        for path, regex, method, callback in endpoints
        if path.startswith(API)
    ]


def tidy(result: Json, **_: Any) -> Json:
    """spectacular's hook: without its own marks."""
    _drop(result, {"x-spec-enum-id"})
    for shape in result["components"]["schemas"].values():
        for each in shape.get("properties", {}).values():
            if any(part.get("maxLength") == 0 for part in each.get("oneOf", ())):
                each["anyOf"] = each.pop("oneOf")
    return result


def _drop(node: Any, names: set[str]) -> None:
    if isinstance(node, dict):
        for name in names & set(node):
            del node[name]
        for inner in node.values():
            _drop(inner, names)
    elif isinstance(node, list):
        for inner in node:
            _drop(inner, names)


def whole(shape: type[serializers.BaseSerializer[Any]]) -> type[serializers.Serializer[Any]]:
    """The answer of a list that is never cut into pages: `{results, next: null, previous: null}`."""
    name = f"{shape.__name__.removesuffix('Out')}List"
    links = {each: serializers.URLField(allow_null=True, help_text="Always null.") for each in ("next", "previous")}
    return type(name, (serializers.Serializer,), {"__doc__": "All there are.", "results": shape(many=True), **links})


def holding(name: str, **fields: serializers.Field[Any, Any, Any, Any]) -> type[serializers.Serializer[Any]]:
    """A shape for an answer that puts others side by side, like `{"outcome": {…}}`."""
    return type(name, (serializers.Serializer,), {"__doc__": "", **fields})


def either(*shapes: type[serializers.Serializer[Any]]) -> PolymorphicProxySerializer:
    """One of several answers."""
    name = "Or".join(shape.__name__.removesuffix("Out") for shape in shapes)
    return PolymorphicProxySerializer(component_name=name, serializers=list(shapes), resource_type_field_name=None)


class Operation(AutoSchema):
    """One call: its own shapes as annotated; names, errors, headers and paging by the rules of all."""

    def get_operation_id(self) -> str:
        """`keys_list`, `keys_get`, `keys_renew`, `teams_members_create`: the path without what varies, and the act."""
        words = [word.replace("-", "_") for word in self._tokenize_path()]
        if self.method == "GET":
            words.append("get" if self.path.rstrip("/").endswith("}") or not self._many() else "list")
        elif not self._is_act():
            words.append(ACTS[self.method])
        return "_".join(words)

    def _many(self) -> bool:
        """Whether a GET answers a list."""
        answers: Any = self.get_response_serializers()
        found = answers.get(200) if isinstance(answers, dict) else answers
        name = found.__name__ if isinstance(found, type) else type(found).__name__
        return bool(self._is_list_view()) or name.endswith("List")

    def _is_act(self) -> bool:
        """A POST whose path ends in a verb: nothing is read there."""
        return self.method == "POST" and not hasattr(self.view, "get") and not self.path.rstrip("/").endswith("}")

    def get_tags(self) -> list[str]:
        """The subject: the first word of the path."""
        first = self._tokenize_path()[0]
        return [TAGS.get(first, capfirst(first.replace("-", " ")))]

    def get_summary(self) -> str:
        return self._told()[0]

    def get_description(self) -> str:  # type: ignore[override]  # spectacular's own
        return self._told()[1]

    def _told(self) -> tuple[str, str]:
        """First line and rest of what the method's docstring says, or its view's."""
        method = getattr(self.view, self.method.lower())
        own = vars(type(self.view)).get("__doc__") or ""
        text = (method.__doc__ if method.__module__.startswith(("keys.", "teams.", "portal.")) else "") or own
        first, _, rest = re.sub(r"\n +", "\n", text.strip()).partition("\n\n")
        summary, _, more = first.replace("\n", " ").partition(". ")
        return summary.strip().rstrip("."), "\n\n".join(part for part in (more.strip(), rest.strip()) if part)

    def get_request_serializer(self) -> Any:
        """What acts of one family differ in: the body, as `shape` on the view."""
        return getattr(self.view, "shape", None) or super().get_request_serializer()

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        """Answers are called what they are: LeaseOut is a Lease."""
        return super().get_serializer_name(serializer, direction).removesuffix("Out")

    def get_paginated_name(self, serializer_name: str) -> str:
        return f"{serializer_name}Page"

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Json:
        """Bodies with other fields are refused; answers hold every field, and none of them is to be sent."""
        schema: Json = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        if direction == "request":
            return {**schema, "additionalProperties": False}
        rows = isinstance(serializer, serializers.ModelSerializer)
        for name, each in schema.get("properties", {}).items():
            each.pop("readOnly", None)
            if set(each) == {"allOf"}:  # only there to carry the mark
                each.update(each.pop("allOf")[0])
            if rows and "type" in each and _may_be_null(serializer.Meta.model, serializer.fields[name].source):
                each["nullable"] = True
        always = [name for name, field in serializer.fields.items() if rows or field.required or field.read_only]
        if always:
            schema["required"] = always
        return schema

    def get_override_parameters(self) -> list[Any]:
        """What the view asks of the query, and the headers of every POST."""
        query = getattr(self.view, "query", None)
        return [*super().get_override_parameters(), *([query] if query else [])]

    def _get_parameters(self) -> list[Json]:
        found: list[Json] = super()._get_parameters()
        named = {each["name"] for each in found}
        plain = [*getattr(self.view, "filters", ())] if self.method == "GET" else []
        plain += sorted(getattr(self.view, "queries", ()))
        found += [
            {"in": "query", "name": name, "schema": {"type": "string"}}
            for name in dict.fromkeys(plain)
            if name not in named
        ]
        if orders := getattr(self.view, "orders", ()) if self.method == "GET" else ():
            ways = [way for each in orders for way in (each, f"-{each}")]
            found.append({"in": "query", "name": "ordering", "schema": {"type": "string", "enum": ways}})
        if self.method == "POST":
            found.append(self._shared(ResolvedComponent.PARAMETER, "IdempotencyKey", PARAMETERS["IdempotencyKey"]))
        return found

    def _get_response_bodies(self, direction: Any = "response") -> Json:
        """The answers as annotated, and every error that a call of this kind may meet."""
        found: Json = super()._get_response_bodies(direction)
        for status, answer in found.items():
            if status < "300" and isinstance(answer, dict):
                answer.setdefault("headers", {}).update(self._headers(status))
        self._shared(ResolvedComponent.SCHEMA, "Error", SCHEMAS["Error"])
        for trouble in self._errors():
            name, response = RESPONSES[trouble]
            response = {**response, "headers": {**self._headers(str(trouble)), **self._refs("Link")}}
            found.setdefault(str(trouble), self._shared(ResolvedComponent.RESPONSE, name, response))
        return dict(sorted(found.items()))

    def _errors(self) -> list[int]:
        found = {401, 403, 406, 422, 429, 503} | set(getattr(self.view, "troubles", ()))
        if any(isinstance(each, AllowAny) for each in self.view.get_permissions()):
            found -= {401, 403}
        names = getattr(self.view, "query", None) or getattr(self.view, "filters", None) or self._is_list_view()
        if "{" in self.path or self.method in WRITES or names:
            found.add(404)
        if self.method in WRITES:
            found |= {400, 409, 415}
        return sorted(found)

    def _headers(self, status: str) -> Json:
        names = list(RATE) if status < "300" or status == "429" else []
        if status in WAITS:
            names.append("Retry-After")
        if self.method == "POST" and status < "300":
            names.append("Idempotency-Replayed")
        return self._refs(*names)

    def _refs(self, *names: str) -> Json:
        return {name: self._shared(ResolvedComponent.HEADER, name, HEADERS[name]) for name in names}

    def _shared(self, kind: str, name: str, schema: Json) -> Json:
        """A part that many operations point at."""
        part = ResolvedComponent(name=name, type=kind, schema=schema, object=name)  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(part)
        ref: Json = part.ref
        return ref


def _may_be_null(model: type[Model], source: str) -> bool:
    """Whether an answer made from that column, or through that relation, can be null."""
    try:
        for step in source.split("."):
            field = model._meta.get_field(step)
            if getattr(field, "null", False):
                return True
            model = field.related_model or model
    except FieldDoesNotExist:
        pass
    return False


class Bearer(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """An API token."""

    target_class = "teams.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> Json:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API token, `kd_…`; its scopes bound what it may do.",
        }


class Session(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """A browser's session."""

    target_class = "rest_framework.authentication.SessionAuthentication"
    name = "session"
    priority = 1  # before spectacular's own

    def get_security_definition(self, auto_schema: AutoSchema) -> Json:
        told = "A signed-in browser; whatever writes also sends the CSRF token as `X-CSRFToken`."
        return {"type": "apiKey", "in": "cookie", "name": "keydesk_session", "description": told}
