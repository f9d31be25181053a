"""What a gateway's models can do and cost: one catalog a gateway, kept in the cache and refreshed by a sweep.

Fresh for an hour, kept for a day: what is older than an hour is shown as stale until the sweep has read it anew. A
catalog that cannot be had is away, and nothing waits or fails for it. What other teams' models on a proxy are called
is not in it. Each version of a gateway's connection has its own, so another address never shows the models of the one
before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import structlog
from django.core.cache import cache
from django.utils import timezone

from keys.models import Gateway
from keys.services import gateways
from keys.services.errors import GatewayAway, GatewayRefused
from portal.errors import PortalError
from portal.litellm import Client, ModelGroup, ModelInfo, TimedOut
from portal.litellm.known_models import provider_of, title_of
from teams.access import SYSTEM

log = structlog.get_logger(__name__)

FRESH = timedelta(hours=1)
KEPT = timedelta(hours=24)
PAUSE = 60  # seconds until a catalog that could not be read is tried again where a person waits
PATIENCE = 3.0  # seconds that a person waits for one
LEAST = 0.3  # seconds: with less left it is not tried
SWEEPS_FOR = 30.0  # seconds for one gateway
FORMAT = 1  # of what is cached; another code's is not read
NUMBERS = ("max_tokens", "max_input_tokens", "max_output_tokens")
COSTS = ("input_cost_per_token", "output_cost_per_token")
SUPPORTS = (
    "vision", "function_calling", "parallel_function_calling", "tool_choice", "system_messages", "response_schema",
    "prompt_caching", "reasoning", "web_search", "pdf_input", "audio_input", "audio_output",
)  # fmt: skip
T = TypeVar("T")
MOST = 100_000_000_000  # tokens; what is above is no limit but a mistake


class Age(StrEnum):
    FRESH = "fresh"
    STALE = "stale"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Model:
    """A model by the name that keys call it by. Prices are USD a token; None: not known, or no such limit."""

    id: str
    provider: str | None = None
    mode: str | None = None
    max_tokens: int | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    input_cost_per_token: Decimal | None = None
    output_cost_per_token: Decimal | None = None
    supports: Mapping[str, bool | None] = field(default_factory=dict)  # SUPPORTS

    @property
    def name(self) -> str:
        """How it is written for people."""
        return title_of(self.id)

    def under(self, pattern: str) -> bool:
        """Whether a key with this pattern may call it. Tried on 1.106.2: `gpt-*` and `openai/*` open gpt-4o."""
        names = [self.id, f"{self.provider}/{self.id}"] if self.provider else [self.id]
        return any(fnmatchcase(name, pattern) for name in names)

    def filled(self, other: Model | None) -> Model:
        """This one, with what only the other says."""
        if other is None:
            return self
        more = {name: getattr(other, name) for name in (*NUMBERS, *COSTS, "mode") if getattr(self, name) is None}
        provider = other.provider if self.provider in {None, provider_of(self.id)} else self.provider
        said = {name: each for name, each in self.supports.items() if each is not None}
        return replace(self, **more, provider=provider or self.provider, supports={**other.supports, **said})


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models of a gateway by name. Away: it holds none."""

    age: Age = Age.AWAY
    models: Mapping[str, Model] = field(default_factory=dict)

    def under(self, pattern: str) -> list[str]:
        """The names of those that a key with this pattern may call."""
        return [name for name, model in self.models.items() if model.under(pattern)]

    def get(self, name: str) -> Model:
        """The model of that name; one that the catalog does not have, with what its name tells."""
        return self.models.get(name) or Model(name, provider_of(name))


def look_up(gateway: Gateway, *, seconds: float = PATIENCE) -> Catalog:
    """The catalog as it is cached, else read now within `seconds`. Never raises: then it is away."""
    kept = Catalog()
    try:
        kept = _cached(gateway)
        if kept.age != Age.AWAY or _failed_lately(gateway):
            return kept
        models = ask(gateway, seconds, _read)
        if models is not None:
            _keep(gateway, models)
            return Catalog(Age.FRESH, models)
        if seconds >= LEAST:
            _note_failure(gateway)
    except Exception:  # whoever looks it up has a key to hand over
        log.exception("catalog_broke", gateway=gateway.name)
    return kept


def ask(gateway: Gateway, seconds: float, read: Callable[[Client], T]) -> T | None:
    """Read something that can be done without, within `seconds`. None: the gateway is away, unwilling or too slow.

    That it is slow for once calls it not away.
    """
    if seconds < LEAST or not Gateway.objects.filter(pk=gateway.pk, away_since=None).exists():
        return None
    try:
        with gateways.calling(gateway, by=SYSTEM, seconds=seconds) as line:
            try:
                return read(line.client)
            except (TimedOut, GatewayAway) as error:
                log.info("models_not_read", gateway=gateway.name, reason=error.message)
    except PortalError as error:
        log.info("models_not_read", gateway=gateway.name, reason=error.message)
    return None


def refresh() -> dict[str, int]:
    """Read every gateway's catalog anew; what cannot be read stays as it is. A sweep."""
    counts = {"read": 0, "away": 0}
    for gateway in Gateway.objects.defer("master_key"):
        try:
            with gateways.calling(gateway, by=SYSTEM, seconds=SWEEPS_FOR) as line:
                models = _read(line.client)
        except (GatewayAway, GatewayRefused) as error:
            log.info("catalog_not_read", gateway=gateway.name, reason=error.message)
            counts["away"] += 1
        else:
            _keep(gateway, models)
            counts["read"] += 1
    return counts


def forget(gateway: Gateway) -> None:
    """Have it read anew by whoever needs it next: what the proxy serves was changed. A cache that is away forgets."""
    with suppress(Exception):
        cache.delete_many([_key(gateway), _key(gateway, "catalog-failed")])


def of_group(group: ModelGroup) -> Model:
    """What the proxy says of a name. Without a provider nothing stands behind it, and what it says is made up."""
    if not group.providers:
        return Model(group.name, provider_of(group.name))
    said = {name: _said(group, f"supports_{name}") for name in SUPPORTS}
    return _sane(
        Model(
            group.name, _provider(group), group.mode, _number(group.extra.get("max_tokens")), group.max_input_tokens,
            group.max_output_tokens, group.input_cost_per_token, group.output_cost_per_token, said,
        )
    )  # fmt: skip


def _provider(group: ModelGroup) -> str:
    """Of several that serve one name, the one that the name tells of."""
    guess = provider_of(group.name)
    return guess if guess in group.providers else group.providers[0]


def _read(client: Client) -> dict[str, Model]:
    """Two calls, however many models there are. Raises LiteLLMError, GatewayAway."""
    deployments = client.models.info()
    ours = [each for each in deployments if each.name and not each.extra.get("team_id")]
    theirs = [each for each in deployments if each.extra.get("team_id")]  # models of one team of the proxy
    hidden = {each.name for each in theirs} | {_text(each.extra.get("team_public_model_name")) for each in theirs}
    hidden -= {each.name for each in ours}
    found: dict[str, Model] = {}
    for each in ours:
        model = _of_deployment(each)
        found[each.name] = _together(found[each.name], model) if each.name in found else model
    for group in client.model_groups.info():
        if group.name and group.name not in hidden:
            found[group.name] = of_group(group).filled(found.get(group.name))
    return {name: model for name, model in found.items() if "*" not in name}


def _of_deployment(row: ModelInfo) -> Model:
    provider = row.provider or provider_of(_text(row.params.get("model"))) or provider_of(row.name)
    return _sane(
        Model(
            row.name, provider, row.mode, row.max_tokens, row.max_input_tokens,
            row.max_output_tokens, row.input_cost_per_token, row.output_cost_per_token,
            {name: _said(row, f"supports_{name}") for name in SUPPORTS},
        )
    )  # fmt: skip


def _together(one: Model, other: Model) -> Model:
    """Two deployments of one name: of two limits or prices the larger, and what either can. As LiteLLM's groups do."""
    both: dict[str, Any] = {
        name: max((each for each in (getattr(one, name), getattr(other, name)) if each is not None), default=None)
        for name in (*NUMBERS, *COSTS)
    }
    can = {name: _either(one.supports.get(name), other.supports.get(name)) for name in SUPPORTS}
    return replace(one.filled(other), **both, supports=can)


def _either(one: bool | None, other: bool | None) -> bool | None:
    said = [each for each in (one, other) if each is not None]
    return any(said) if said else None


def _said(row: ModelGroup | ModelInfo, name: str) -> bool | None:
    said = getattr(row, name) if hasattr(row, name) else row.extra.get(name)
    return said if isinstance(said, bool) else None


def _number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return int(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _sane(model: Model) -> Model:
    """Without limits and prices that are none."""
    wrong = [name for name in NUMBERS if (most := getattr(model, name)) is not None and not 0 < most <= MOST]
    wrong += [name for name in COSTS if (cost := getattr(model, name)) is not None and not _is_price(cost)]
    unset: dict[str, Any] = dict.fromkeys(wrong)
    return replace(model, **unset) if wrong else model


def _is_price(cost: Decimal) -> bool:
    return cost.is_finite() and 0 <= cost < MOST


# --- in the cache ---------------------------------------------------------------------------------


def _key(gateway: Gateway, kind: str = "catalog") -> str:
    return f"{kind}:{FORMAT}:{gateway.pk}:{gateway.version}"


def _keep(gateway: Gateway, models: Mapping[str, Model]) -> None:
    """Put it in the cache, as text. A cache that is away keeps nothing."""
    told = {"read_at": timezone.now().isoformat(), "models": [_told(each) for each in models.values()]}
    try:
        cache.set(_key(gateway), json.dumps(told), KEPT.total_seconds())
    except Exception:
        log.warning("catalog_not_kept", gateway=gateway.name, exc_info=True)


def _cached(gateway: Gateway) -> Catalog:
    """What the cache has of it; anything else there, or no cache, is nothing."""
    try:
        told = json.loads(cache.get(_key(gateway)) or "null")
        if told is None:
            return Catalog()
        models = [_heard(each) for each in told["models"]]
        age = timezone.now() - datetime.fromisoformat(told["read_at"])
    except Exception:
        log.warning("catalog_unreadable", gateway=gateway.name, exc_info=True)
        return Catalog()
    if not timedelta(0) <= age + timedelta(minutes=5) <= KEPT:  # of a clock that is wrong
        return Catalog()
    return Catalog(Age.FRESH if age <= FRESH else Age.STALE, {each.id: each for each in models})


def _failed_lately(gateway: Gateway) -> bool:
    """Whether it could not be read a moment ago: people wait for that once a minute, and not each of them."""
    with suppress(Exception):
        return bool(cache.get(_key(gateway, "catalog-failed")))
    return False


def _note_failure(gateway: Gateway) -> None:
    with suppress(Exception):
        cache.set(_key(gateway, "catalog-failed"), 1, PAUSE)


def _told(model: Model) -> dict[str, Any]:
    costs = {name: None if getattr(model, name) is None else str(getattr(model, name)) for name in COSTS}
    plain = {name: getattr(model, name) for name in ("id", "provider", "mode", *NUMBERS)}
    return {**plain, **costs, "supports": dict(model.supports)}


def _heard(row: Any) -> Model:
    """Raises KeyError, TypeError, ValueError, ArithmeticError for what this code would not have written."""
    numbers: dict[str, Any] = {name: None if row[name] is None else int(row[name]) for name in NUMBERS}
    costs: dict[str, Any] = {name: None if row[name] is None else Decimal(row[name]) for name in COSTS}
    said = {name: each for name, each in row["supports"].items() if name in SUPPORTS and each in (True, False, None)}
    words = {name: row[name] for name in ("id", "provider", "mode")}
    if not isinstance(row["id"], str) or not all(each is None or isinstance(each, str) for each in words.values()):
        raise TypeError("text was expected")
    return _sane(Model(**words, **numbers, **costs, supports=said))
