"""The models of a proxy: each a deployment with an id; several may answer to one name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.utils.translation import gettext as _

from keys.models import Gateway, KeyRole, Lease
from keys.models.role import MODEL_NAME
from keys.services import catalog, gateways
from keys.services.proxy import acts
from keys.services.proxy.acts import AlreadyThere, InConfig, InUse, NotOnProxy, SeveralOfThatName, tidy
from portal.litellm import LiteLLMError, ModelGroup, ModelInfo, NotFound
from portal.litellm.masking import shown
from teams.access import Actor, require
from teams.roles import Can

log = structlog.get_logger(__name__)

RESERVED = frozenset({"all-proxy-models", "all-team-models", "no-default-models"})  # LiteLLM's own words
NOISE = frozenset({  # of `model_info`: told elsewhere, the proxy's inner workings, or another team's business
    "key", "access_via_team_ids", "supported_openai_params", "direct_access", "member_auto_router",
    "pricing_overrides", "team_id",
})  # fmt: skip
INNER = frozenset({  # of `litellm_params`: the proxy's own switches, which nobody set
    "allow_client_keepalive_override", "use_in_pass_through", "use_litellm_proxy", "use_xai_oauth",
    "merge_reasoning_content_in_choices",
})  # fmt: skip


GROUP = (
    "name", "providers", "mode", "max_input_tokens", "max_output_tokens", "input_cost_per_token",
    "output_cost_per_token", "tpm", "rpm", "supports_vision", "supports_function_calling",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A deployment as it may be shown: prices are USD a token, and whatever may be a secret is `****`."""

    id: str
    name: str
    upstream: str
    provider: str
    mode: str
    source: str  # database, or config: the proxy's configuration file
    blocked: bool
    credential: str
    max_input_tokens: int | None
    max_output_tokens: int | None
    input_cost_per_token: Decimal | None
    output_cost_per_token: Decimal | None
    supports_vision: bool | None
    supports_function_calling: bool | None
    params: Mapping[str, Any]
    info: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """Who would miss a model: key roles and live keys that name it, while nothing else answers to the name."""

    roles: list[str] = field(default_factory=list)
    keys: int = 0


def page(
    gateway: Gateway, *, by: Actor, page: int = 1, size: int = 50, name: str | None = None, search: str | None = None
) -> tuple[list[Deployment], int]:
    """One page of the deployments by name, and how many pages there are.

    Raises NotAllowed, GatewayAway, GatewayRefused.
    """
    require(by, Can.SEE_PLATFORM)
    with gateways.calling(gateway, by=by) as line:
        found = line.client.models.info_page(page, size, name=name, search=search)
    return [_seen(model) for model in found.items], found.pages


def get(gateway: Gateway, which: str, *, by: Actor) -> Deployment:
    """The deployment of that id, or of that name. Raises NotAllowed, NotOnProxy, SeveralOfThatName, GatewayAway, …"""
    require(by, Can.SEE_PLATFORM)
    with gateways.calling(gateway, by=by) as line:
        return _seen(_find(line, which))


def groups(gateway: Gateway, *, by: Actor) -> list[dict[str, Any]]:
    """Every name that the proxy answers to, with what it can do and costs. Raises NotAllowed, GatewayAway, …"""
    require(by, Can.SEE_PLATFORM)
    with gateways.calling(gateway, by=by) as line:
        found = sorted(line.client.model_groups.info(), key=lambda group: group.name)
    return [{name: tidy(_plain(group, name)) for name in GROUP} for group in found]


def add(
    gateway: Gateway, *, by: Actor, name: str, params: Mapping[str, Any], info: Mapping[str, Any] | None = None,
    once: UUID | None = None,
) -> Deployment:  # fmt: skip
    """Add a deployment. `params` holds `model` and how it is reached; its secrets go to the proxy alone.

    Prices in `info` are moved to `params`: the proxy drops them there (1.109.1, measured). The proxy does not look
    whether its credential exists; this does. `once`: its id, so that the same order sent again adds no second one.
    Raises NotAllowed, SignInAgain, Invalid, AlreadyThere, GatewayAway, GatewayRefused.
    """
    acts.may_act(by)
    params, info = _checked(params, info)
    _check_name(name)
    if not isinstance(params.get("model"), str) or not params["model"].strip():
        acts.wrong("params", _("`model` says which model of which provider this is, like openai/gpt-4o."))
    info.setdefault("id", str(once or uuid4()))  # ours, so that an unclear outcome can be looked up
    with gateways.calling(gateway, by=by) as line:
        if there := _by_id(line, str(info["id"])):
            if there.name == name and there.id == str(once):
                return _seen(there)
            raise AlreadyThere(_("A deployment of the proxy has this id."))
        _check_credential(line, params)
        beside = line.client.models.info_page(1, 1, name=name).total
        facts = {"model": name, "model_id": str(info["id"]), "after": shown(params)}
        with acts.recorded("model.added", gateway, by=by, **facts):
            made = line.client.models.new(name, params, info)
        found = _after(gateway, line, made.id or str(info["id"]))
    if found is None:
        raise NotOnProxy(_("The proxy took %(model)s and does not list it yet.") % {"model": name})
    return _seen(found, beside=beside)


def change(
    gateway: Gateway, which: str, *, by: Actor, name: str | None = None, params: Mapping[str, Any] | None = None,
    info: Mapping[str, Any] | None = None, blocked: bool | None = None, force: bool = False,
) -> Deployment:  # fmt: skip
    """Change what is given of a deployment, and block or unblock it. The proxy has no way to take a value away.

    Another name is refused while key roles name the old one, without `force`.
    Raises NotAllowed, SignInAgain, Invalid, NotOnProxy, SeveralOfThatName, InConfig, InUse, GatewayAway, …
    """
    acts.may_act(by)
    given, more = _checked(params or {}, info)
    if name is not None:
        _check_name(name)
    for field_, values in (("params", given), ("info", more)):
        if empty := sorted(key for key, value in values.items() if value is None):
            acts.wrong(field_, _("The proxy takes no value away: %(names)s.") % {"names": ", ".join(empty)})
    if name is not None:
        acts.may_end(gateway)  # who uses the old name is read from books that may be old
    with gateways.calling(gateway, by=by) as line:
        old = _own(_find(line, which))
        acts.check_part("id", old.id)
        if name not in {None, old.name} and not force:
            _refuse_while_used(gateway, line, old)
        _check_credential(line, given)
        if given or more or name not in {None, old.name}:
            before = shown({key: old.params.get(key) for key in given})
            facts = {"model": old.name, "model_id": old.id, "before": before, "after": shown(given)}
            facts |= {"fields": sorted([*given, *more]), "renamed_to": name or ""}
            with acts.recorded("model.changed", gateway, by=by, **facts), _there():
                line.client.models.patch(old.id, given, more, name=name)
        if blocked is not None and blocked != old.blocked:
            act = "model.blocked" if blocked else "model.unblocked"
            with acts.recorded(act, gateway, by=by, model=old.name, model_id=old.id), _there():
                (line.client.models.block if blocked else line.client.models.unblock)(old.id)
        found = _after(gateway, line, old.id)
    if found is None:
        raise NotOnProxy
    return _seen(found)


def delete(gateway: Gateway, which: str, *, by: Actor, force: bool = False) -> Deployment:
    """Delete a deployment; answers what it was.

    Refused, but by `force`, while key roles or live keys name it and nothing else answers to the name.
    Raises NotAllowed, SignInAgain, GatewayHeld, NotOnProxy, SeveralOfThatName, InConfig, InUse, GatewayAway, …
    """
    acts.may_act(by)
    acts.may_end(gateway)
    with gateways.calling(gateway, by=by) as line:
        old = _own(_find(line, which))
        if not force:
            _refuse_while_used(gateway, line, old)
        facts = {"model": old.name, "model_id": old.id, "before": shown(_set_by_hand(old.params)), "force": force}
        with acts.recorded("model.deleted", gateway, by=by, **facts), _there():
            line.client.models.delete(old.id)
        _after(gateway, line, None)
    return _seen(old)


def _reach(gateway: Gateway, line: gateways.Line, model: ModelInfo) -> Reach:
    if line.client.models.info_page(1, 1, name=model.name).total > 1:
        return Reach()
    roles = KeyRole.objects.filter(gateway=gateway, ended_at=None).values_list("name", "models")
    limits = Lease.objects.live().filter(gateway=gateway).values_list("limits", flat=True)
    keys = sum(model.name in (each or {}).get("models", ()) for each in limits.iterator())
    return Reach(sorted(name for name, models in roles if model.name in models), keys)


def _plain(group: ModelGroup, name: str) -> Any:
    value = getattr(group, name)
    return acts.amount(value) if isinstance(value, Decimal) else value


def _refuse_while_used(gateway: Gateway, line: gateways.Line, model: ModelInfo) -> None:
    found = _reach(gateway, line, model)
    if found.roles or found.keys:
        said = _("Nothing else answers to %(model)s, and %(roles)s key roles and %(keys)s live keys name it.")
        said %= {"model": model.name, "roles": len(found.roles), "keys": found.keys}
        raise InUse(said, details={"roles": found.roles, "keys": found.keys})


def _find(line: gateways.Line, which: str) -> ModelInfo:
    found = _by_id(line, which)
    exact = [found] if found else []
    if not exact:
        exact = [model for model in line.client.models.info_page(1, 100, name=which).items if model.name == which]
    if not exact:
        raise NotOnProxy(_("The proxy has no model %(which)s.") % {"which": which[:200]})
    if len(exact) > 1:
        raise SeveralOfThatName(details={"ids": [model.id for model in exact]})
    return exact[0]


def _by_id(line: gateways.Line, model_id: str) -> ModelInfo | None:
    return next(
        (each for each in line.client.models.info_page(1, 2, model_id=model_id).items if each.id == model_id), None
    )


def _own(model: ModelInfo) -> ModelInfo:
    if not model.db_model:
        raise InConfig
    return model


class _there:  # noqa: N801  (reads like a word at its place)
    """What the proxy does not know any more is not there, however it says so."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, NotFound):
            raise NotOnProxy from None


def _check_name(name: str) -> None:
    acts.check_name("name", name)
    if name in RESERVED or not MODEL_NAME.fullmatch(name):
        acts.wrong("name", _("No key role could name a model like this."))


def _check_credential(line: gateways.Line, params: Mapping[str, Any]) -> None:
    """The proxy takes a model whose credential does not exist (1.109.1, measured), and then each call fails."""
    name = params.get("litellm_credential_name")
    if isinstance(name, str) and name not in {each.name for each in line.client.credentials.list()}:
        acts.wrong("params", _("The proxy has no credential %(name)s.") % {"name": repr(name[:100])})


def _checked(params: Mapping[str, Any], info: Mapping[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both tables as the proxy takes them, prices in `params`. Raises Invalid."""
    acts.check_texts("params", params)
    acts.check_texts("info", info or {})
    acts.check_size("params", params)
    acts.check_size("info", info or {})
    if "id" in (info or {}):
        acts.check_name("info", str((info or {})["id"]))
    prices = {key: value for key, value in (info or {}).items() if "cost_per" in key}
    rest = {key: value for key, value in (info or {}).items() if key not in prices}
    return {**prices, **params}, rest


def _after(gateway: Gateway, line: gateways.Line, model_id: str | None) -> ModelInfo | None:
    """See that Keydesk's own pictures of the proxy's models are made anew; answers the deployment, if it is there."""
    catalog.forget(gateway)
    try:
        names = sorted({model.id for model in line.client.models.list()})
        Gateway.objects.filter(pk=gateway.pk).update(models_seen=tidy(names))
        if model_id is not None:
            return _by_id(line, model_id)
    except LiteLLMError as error:
        log.warning("models_not_read_again", gateway=gateway.name, reason=error.message)
    return None


def _seen(model: ModelInfo, *, beside: int = 0) -> Deployment:
    params, info = shown(_set_by_hand(model.params)), shown(model.extra, public=True)
    warnings = []
    if not _has_price(model):
        warnings.append(
            _("It has no price: its calls cost $0 in every book, so no budget stops them. Set input_cost_per_token and "
              "output_cost_per_token in params.")
        )  # fmt: skip
    if beside:
        warnings.append(_("%(count)s more deployments answer to this name: calls are spread.") % {"count": beside})
    return Deployment(
        id=tidy(model.id),
        name=tidy(model.name),
        upstream=tidy(str(params.get("model") or "")),
        provider=tidy(model.provider or ""),
        mode=tidy(model.mode or ""),
        source="database" if model.db_model else "config",
        blocked=model.blocked,
        credential=tidy(str(params.get("litellm_credential_name") or "")),
        max_input_tokens=model.max_input_tokens,
        max_output_tokens=model.max_output_tokens,
        input_cost_per_token=acts.amount(model.input_cost_per_token),
        output_cost_per_token=acts.amount(model.output_cost_per_token),
        supports_vision=model.supports_vision,
        supports_function_calling=model.supports_function_calling,
        params=tidy(params),
        info=tidy({key: value for key, value in info.items() if value is not None and key not in NOISE}),
        warnings=tuple(warnings),
    )


def _set_by_hand(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in INNER or value}


def _has_price(model: ModelInfo) -> bool:
    """Whether any use of it costs anything, by token, second, image or whatever else."""
    known = {**model.extra, **model.params}
    prices = [value for key, value in known.items() if "cost_per" in key and isinstance(value, int | float | Decimal)]
    return any([*prices, model.input_cost_per_token or 0, model.output_cost_per_token or 0])
