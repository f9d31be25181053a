"""Models: the ones the sandbox answers for, and those added over HTTP."""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from .auth import Caller
from .refusals import Refusal, detail, failure, no_team, quoted, unauthorized
from .store import Exists, Row, names
from .web import Request, route, validated
from .windows import stamp, zulu

CREATED = 1_677_610_602  # one constant for all models, as at the proxy
FLAGS = {
    "allow_client_keepalive_override": False, "use_in_pass_through": False, "use_litellm_proxy": False,
    "use_xai_oauth": False, "merge_reasoning_content_in_choices": False,
}  # fmt: skip
OPENAI_PARAMS = [
    "temperature",
    "top_p",
    "max_tokens",
    "stream",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
]


@dataclass(frozen=True)
class Model:
    """A model on offer. Prices are USD for one token."""

    name: str
    target: str  # the provider's name of it, such as `openai/gpt-4o`
    input_cost: float
    output_cost: float = 0.0
    mode: str = "chat"
    max_input: int | None = None
    max_output: int | None = None
    supports: frozenset[str] = frozenset()
    added: bool = False  # over HTTP, hence not part of the configuration
    id: str = ""
    params: Row = field(default_factory=dict, hash=False)  # of `litellm_params`, what was stored
    info: Row = field(default_factory=dict, hash=False)
    blocked: bool = False

    @property
    def provider(self) -> str:
        return self.target.partition("/")[0] if "/" in self.target else "openai"

    @property
    def deployment(self) -> str:
        return self.id or hashlib.sha256(f"{self.name}|{self.target}".encode()).hexdigest()


TOOLS = frozenset({"function_calling", "parallel_function_calling", "tool_choice", "system_messages"})
EYES = TOOLS | {"vision", "response_schema", "prompt_caching", "pdf_input"}
DEFAULT_MODELS = (
    Model("gpt-4o", "openai/gpt-4o", 2.5e-06, 1e-05, "chat", 128_000, 16_384, EYES),
    Model("gpt-4o-mini", "openai/gpt-4o-mini", 1.5e-07, 6e-07, "chat", 128_000, 16_384, EYES),
    Model("claude-sonnet", "anthropic/claude-sonnet-4-20250514", 3e-06, 1.5e-05, "chat", 200_000, 64_000, EYES),
    Model("text-embedding-3-small", "openai/text-embedding-3-small", 2e-08, 0.0, "embedding", 8191),
)
NOTHING = Model("", "", 0.0)  # what stands behind a name that the proxy does not know: a chat model, it says


def offered(request: Request) -> list[Model]:
    """Configured models first, then the added ones."""
    configured = {model.name: model for model in request.rules.models}
    added = []
    for row in request.db.find("models"):
        params, base = row["litellm_params"], configured.get(row["litellm_params"]["model"].partition("/")[2])
        added.append(
            Model(
                row["model_name"],
                params["model"],
                params.get("input_cost_per_token", base.input_cost if base else 0.0),
                params.get("output_cost_per_token", base.output_cost if base else 0.0),
                row["model_info"].get("mode") or (base.mode if base else "chat"),
                base.max_input if base else None,
                base.max_output if base else None,
                base.supports if base else frozenset(),
                added=True,
                id=row["model_id"],
                params=params,
                info=row["model_info"],
                blocked=row["blocked"],
            )
        )
    return [*request.rules.models, *added]


def allowed(names: list[str], model: str) -> bool:
    """Whether a key's or a team's list of models covers one; an empty list covers all."""
    return not names or any(name in {model, "*", "all-proxy-models"} or fnmatchcase(model, name) for name in names)


def names_of(request: Request, caller: Caller) -> list[str]:
    """The models a caller is shown, existing or not: the key's list, else the team's, else all."""
    every = list(dict.fromkeys(model.name for model in offered(request)))
    team = (caller.team["models"] if caller.team else []) or ["all-proxy-models"]
    listed = (caller.key["models"] if caller.key else []) or (team if caller.team else ["all-proxy-models"])
    names: list[str] = []
    for name in listed:
        for part in team if name == "all-team-models" else [name]:
            if part == "all-proxy-models":
                names += every
            elif part != "no-default-models" and "*" not in part:
                names.append(part)
    return list(dict.fromkeys(names))


def check_models(caller: Caller, model: str) -> None:
    """Refuse a model that the key, its team or its owner may not use."""
    if caller.key is None:
        return
    team = caller.team["models"] if caller.team else []
    key = [part for name in caller.key["models"] for part in ((team or ["*"]) if name == "all-team-models" else [name])]
    if not allowed(key, model):
        raise denied(model, "key")
    if not allowed(team, model):
        raise denied(model, "team")
    if caller.team is None and caller.user and not allowed(caller.user["models"], model):
        raise denied(model, "user")


def denied(model: str, whose: str) -> Refusal:
    return unauthorized(
        f"The requested model '{model}' is not available for this API key, or the model name is invalid. "
        "Check the models available to you and try again.",
        403,
        f"{whose}_model_access_denied",
        "model",
    )


# --- looking --------------------------------------------------------------------------------------


@route("GET", "/v1/models", "/models", who="llm", charged=True)
def list_models(request: Request) -> Row:
    """Those that the caller may call, or a team's for who names one."""
    caller = request.caller
    if team_id := request.query.get("team_id"):
        caller = Caller(team=request.db.get("teams", team_id))
        if caller.team is None:
            raise detail(404, {"error": no_team(team_id)})
    known = {model.name: model for model in offered(request)}
    return {"data": [card(name, known.get(name)) for name in names_of(request, caller)], "object": "list"}


@route("GET", "/v1/models/{name}", "/models/{name}")
def one_model(request: Request, name: str) -> Row:
    if name not in names_of(request, request.caller):
        raise detail(404, f"The model `{name}` does not exist or is not accessible")
    return card(name, next((model for model in offered(request) if model.name == name), None))


def card(name: str, model: Model | None) -> Row:
    row: Row = {"id": name, "object": "model", "created": CREATED, "owned_by": "openai"}
    if model is None:
        return row
    limits = {"max_input_tokens": model.max_input, "max_output_tokens": model.max_output}
    return row | {"mode": model.mode} | {name: value for name, value in limits.items() if value is not None}


@route("GET", "/v1/model/info", "/model/info", who="llm")
def model_info(request: Request) -> Row:
    """Every deployment; a `model=` parameter is ignored, only `litellm_model_id` picks one."""
    mine = [model for model in offered(request) if model.name in names_of(request, request.caller)]
    if wanted := request.query.get("litellm_model_id"):
        mine = [model for model in mine if model.deployment == wanted]
        if not mine:
            raise detail(400, {"error": f"Model id = {wanted} not found on litellm proxy"})
    return {"data": [deployment(model) for model in mine]}


@route("GET", "/v2/model/info", who="llm")
def model_pages(request: Request) -> Row:
    """The same in pages; by name where `sortBy` asks for it (LiteLLM 1.109.1, seen)."""
    query, page, size = request.query, request.number("page", 1), request.number("size", 50)
    mine = [model for model in offered(request) if model.name in names_of(request, request.caller)]
    mine = [model for model in mine if query.get("modelId") in {None, model.deployment}]
    mine = [model for model in mine if query.get("model") in {None, model.name}]
    mine = [model for model in mine if query.get("search", "").lower() in model.name.lower()]
    if query.get("sortBy") == "model_name":
        mine.sort(key=lambda model: model.name.lower(), reverse=query.get("sortOrder", "asc") == "desc")
    rows = [deployment(model) for model in mine[(page - 1) * size : page * size]]
    pages = -(-len(mine) // size)
    return {"data": rows, "total_count": len(mine), "current_page": page, "total_pages": pages, "size": size}


def deployment(model: Model) -> Row:
    costs: Row = {"input_cost_per_token": model.input_cost, "output_cost_per_token": model.output_cost}
    if model.added:  # nobody knows its price: none, not zero (LiteLLM 1.109.1, seen)
        costs = {name: model.params.get(name, cost or None) for name, cost in costs.items()}
    info = {"id": model.deployment, "db_model": model.added, "member_auto_router": False, "mode": model.mode}
    info |= {"access_via_team_ids": [], "direct_access": True, "pricing_overrides": []}
    info |= {"key": model.target.rpartition("/")[2], "max_tokens": model.max_output or model.max_input}
    info |= {"max_input_tokens": model.max_input, "max_output_tokens": model.max_output}
    info |= costs | {"litellm_provider": model.provider, "supported_openai_params": OPENAI_PARAMS}
    info |= {f"supports_{name}": name in model.supports for name in sorted(EYES)}
    params = FLAGS | model.params if model.added else costs | FLAGS | {"model": model.target}
    return {
        "model_name": model.name,
        "litellm_params": params,
        "model_info": info | {"blocked": model.blocked} | told(model.info),
    }


def told(info: Row) -> Row:
    """What the proxy tells of a stored `model_info`: prices in it are dropped (LiteLLM 1.109.1, seen)."""
    return {name: value for name, value in info.items() if "cost_per" not in name and name != "db_model"}


@route("GET", "/model_group/info", who="llm")
def model_groups(request: Request) -> Row:
    """Every name that the caller is shown, also one behind which nothing stands. Source: 1.106.2."""
    wanted = request.query.get("model_group")
    groups: dict[str, list[Model]] = {name: [] for name in names_of(request, request.caller) if wanted in {None, name}}
    for model in offered(request):
        if model.name in groups:
            groups[model.name].append(model)
    return {"data": [group(name, models) for name, models in groups.items()]}


def group(name: str, models: list[Model]) -> Row:
    first = models[0] if models else NOTHING
    told_of = deployment(first)["model_info"] if models else {}
    flags = names("parallel_function_calling vision web_search url_context reasoning function_calling fast_mode")
    blank = names(
        "input_cost_per_pixel tpm rpm itpm otpm supported_reasoning_efforts configurable_clientside_auth_params"
    )
    return {
        "model_group": name,
        "providers": sorted({model.provider for model in models}),
        "max_input_tokens": first.max_input and float(first.max_input),
        "max_output_tokens": first.max_output and float(first.max_output),
        "input_cost_per_token": told_of.get("input_cost_per_token"),
        "output_cost_per_token": told_of.get("output_cost_per_token"),
        "mode": first.mode,
        **dict.fromkeys(blank),
        **{f"supports_{flag}": flag in first.supports for flag in flags},
        "supported_openai_params": OPENAI_PARAMS,
        "is_public_model_group": False,
        **dict.fromkeys(("health_status", "health_response_time", "health_checked_at")),
    }


# --- changing -------------------------------------------------------------------------------------

SHAPE = {"model_name": "text", "litellm_params": "dict", "model_info": "dict"}


@route("POST", "/model/new")
def new_model(request: Request) -> Row:
    data = validated(request.body, SHAPE)
    params, info = data.get("litellm_params"), data.get("model_info") or {}
    if not data.get("model_name") or params is None:
        raise Refusal(500, {"error": {"message": "Internal server error", "type": "internal_server_error"}})
    if not params.get("model"):
        missing = {"type": "missing", "loc": ["body", "litellm_params", "model"], "msg": "Field required"}
        raise Refusal(422, {"detail": [missing]})
    if (team_id := info.get("team_id")) and request.db.get("teams", team_id) is None:
        raise admin_error(400, f"Team id={team_id} does not exist in db")
    id_ = info.get("id") or str(uuid.uuid4())
    row = {"model_id": id_, "model_name": data["model_name"], "litellm_params": without_secrets(params)}
    row |= {
        "model_info": info | {"id": id_, "db_model": False, "member_auto_router": False},
        "blocked": False,
    }
    row |= {"created_at": stamp(request.now), "created_by": request.caller.user_id}
    row |= {"updated_at": stamp(request.now), "updated_by": request.caller.user_id}
    try:
        request.db.add("models", id_, row)
    except Exists:
        raise admin_error(500, "Failed to add model to db. Check your server logs for more details.") from None
    return sealed(row)


@route("POST", "/model/update", shape=SHAPE)
def update_model(request: Request) -> Row:
    data, db = request.body, request.db
    id_ = (data.get("model_info") or {}).get("id")
    if not id_:
        raise unauthorized("Authentication Error, model_info not provided", 400)
    if any(model.deployment == id_ for model in request.rules.models):
        raise admin_error(400, "Can't edit model. Model in config. Store model in db via `/model/new`. to edit.")
    with db.write():
        row = db.get("models", id_)
        if row is None:
            raise unauthorized("Authentication Error, model not found", 400)
        row["model_name"] = data.get("model_name") or row["model_name"]
        row["litellm_params"] |= without_secrets(data.get("litellm_params") or {})
        row["model_info"] |= data.get("model_info") or {}
        row |= {"updated_at": stamp(request.now), "updated_by": request.caller.user_id}
        db.put("models", id_, row)
    return sealed(row)


@route("PATCH", "/model/{id_}/update", shape=SHAPE)
def patch_model(request: Request, id_: str) -> Row:
    """Change what is sent; null changes nothing (LiteLLM 1.109.1, seen)."""
    data, db = request.body, request.db
    params = without_secrets({k: v for k, v in (data.get("litellm_params") or {}).items() if v is not None})
    wanted = params.get("litellm_credential_name")
    if wanted and db.get("credentials", wanted) is None:
        text = f"Credential '{wanted}' not found. Create it via /credentials before attaching it to a model."
        raise failure(400, text, "validation_error", "litellm_credential_name")
    with db.write():
        row = stored(request, id_)
        row["model_name"] = data.get("model_name") or row["model_name"]
        row["litellm_params"] |= params
        row["model_info"] |= {k: v for k, v in (data.get("model_info") or {}).items() if v is not None} | {"id": id_}
        row |= {"updated_at": stamp(request.now), "updated_by": request.caller.user_id}
        db.put("models", id_, row)
    return sealed(row)


@route("POST", "/model/block", shape={"model_id": "text!"})
def block_model(request: Request) -> Row:
    return set_blocked(request, blocked=True)


@route("POST", "/model/unblock", shape={"model_id": "text!"})
def unblock_model(request: Request) -> Row:
    return set_blocked(request, blocked=False)


def set_blocked(request: Request, *, blocked: bool) -> Row:
    with request.db.write():
        row = stored(request, request.body["model_id"])
        row["blocked"] = blocked
        request.db.put("models", row["model_id"], row)
    return sealed(row)


def stored(request: Request, id_: str) -> Row:
    """The row of an added model; inside the caller's transaction."""
    if any(model.deployment == id_ for model in request.rules.models):
        text = "Cannot edit config-based model. Store model in DB via /model/new first."
        raise failure(400, text, "validation_error")
    row = request.db.get("models", id_)
    if row is None:
        raise failure(404, f"Model {id_} not found on proxy.", "not_found_error")
    return row


@route("POST", "/model/delete", shape={"id": "text!"})
def delete_model(request: Request) -> Row:
    id_ = request.body["id"]
    with request.db.write():
        if request.db.get("models", id_) is None:
            raise admin_error(400, f"Model with id={id_} not found in db")
        request.db.drop("models", id_)
    return {"message": f"Model: {id_} deleted successfully"}


def admin_error(status: int, text: str) -> Refusal:
    return quoted(status, text, "auth_error", "None")


def without_secrets(params: Row) -> Row:
    """Provider keys are never kept: no model here calls a provider."""
    return {name: value for name, value in params.items() if "key" not in name and "secret" not in name}


def sealed(row: Row) -> Row:
    """The row with unreadable texts, as the proxy answers it."""

    def seal(value: Any) -> Any:
        digest = hashlib.sha256(str(value).encode()).digest()
        return base64.urlsafe_b64encode(digest).decode() if isinstance(value, str) else value

    return zulu(row | {"litellm_params": {name: seal(value) for name, value in row["litellm_params"].items()} | FLAGS})
