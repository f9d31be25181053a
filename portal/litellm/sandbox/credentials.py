"""Provider credentials: kept masked, because nothing here ever uses them."""

from __future__ import annotations

from typing import Any

from .refusals import failure, invalid
from .store import Exists, Row
from .web import Request, route, validated

SHAPE = {
    "credential_name": "text",
    "display_name": "text",
    "credential_info": "dict",
    "credential_values": "dict",
}
SECRET = ("key", "secret", "token", "password", "credential")


@route("POST", "/credentials", shape=SHAPE | {"model_id": "text"})
def create(request: Request) -> Row:
    data = request.body
    if not data.get("credential_values") and not data.get("model_id"):
        text = "Value error, Either credential_values or model_id must be set"
        raise invalid("value_error", ["body"], text)
    data = validated(data, SHAPE | {"credential_name": "text!", "credential_info": "dict!"})
    name = data["credential_name"]
    row = {"credential_name": name, "display_name": data.get("display_name")}
    row |= {"credential_info": data.get("credential_info") or {}, "source": "db"}
    row |= {"credential_values": masked(data.get("credential_values") or {})}
    try:
        request.db.add("credentials", name, row)
    except Exists:
        advice = f"Update it with PATCH /credentials/{name}, or delete it first."
        raise failure(409, f"Credential '{name}' already exists. {advice}") from None
    return {"success": True, "message": "Credential created successfully"}


def masked(values: dict[str, Any]) -> dict[str, Any]:
    """`sk****ey`: the first and last two characters of what looks secret by its name."""
    return {
        name: f"{value[:2]}****{value[-2:]}"
        if isinstance(value, str) and any(word in name.lower() for word in SECRET)
        else value
        for name, value in values.items()
    }


@route("GET", "/credentials")
def list_all(request: Request) -> Row:
    return {"success": True, "credentials": [shown(row) for row in request.db.find("credentials")]}


def shown(row: Row) -> Row:
    return {name: row[name] for name in (*SHAPE, "source")}


@route("GET", "/credentials/by_name/{name*}")
def by_name(request: Request, name: str) -> Row:
    row = request.db.get("credentials", name)
    if row is None:
        raise failure(404, f"Credential not found. Got credential name: {name}")
    return shown(row)


@route("GET", "/credentials/by_model/{model}")
def by_model(request: Request, model: str) -> Row:
    raise failure(404, "Model not found")


@route("PATCH", "/credentials/{name*}", shape=SHAPE | {"credential_info": "dict!"})
def change(request: Request, name: str) -> Row:
    data = request.body
    if data.get("credential_name") not in {None, name}:
        text = "credential_name is immutable. Set display_name to change how the credential is labeled."
        raise failure(400, text, "validation_error", "credential_name")
    with request.db.write():
        row = request.db.get("credentials", name)
        if row is None:
            raise failure(404, "Credential not found in DB.")
        row["credential_info"] |= data["credential_info"]
        row["credential_values"] |= masked(data.get("credential_values") or {})
        row["display_name"] = data.get("display_name", row["display_name"])
        request.db.put("credentials", name, row)
    return {"success": True, "message": "Credential updated successfully"}


@route("DELETE", "/credentials/{name*}")
def delete(request: Request, name: str) -> Row:
    by_name(request, name)
    request.db.drop("credentials", name)
    return {"success": True, "message": "Credential deleted successfully"}
