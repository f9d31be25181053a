"""Everything a program needs of a key in one answer: its models with what they can do, its budget, its rates.

Source: the TypeScript client's requestKey. Where that one was wrong this is right: the models are read for the key
itself and with it, so keys of every model and of their team's models have theirs; what is not set is None and never 0;
and nothing here can fail a key that was issued.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.utils import timezone

from keys.models import Gateway, KeyRole, Lease
from keys.services import catalog
from keys.services.attempts import Issued
from keys.services.budgets.windows import counted, window_of
from keys.services.catalog import Age, Catalog, Model
from keys.services.gateways import GETTING_IN_LINE

log = structlog.get_logger(__name__)

MODES = {  # a model's mode: what it is good for, in requestKey's words
    "chat": "chat",
    "responses": "chat",
    "completion": "completion",
    "embedding": "embeddings",
    "image_generation": "imageGeneration",
    "audio_transcription": "audioTranscription",
    "audio_speech": "audioGeneration",
    "moderation": "moderation",
    "moderations": "moderation",
    "rerank": "reranking",
    "realtime": "realtime",
    "ocr": "ocr",
    "batch": "batch",
}
SUPPORTED = {"vision": "vision", "function_calling": "functionCalling"}  # what a model supports: the same
FEATURES = (*dict.fromkeys(MODES.values()), *SUPPORTED.values())


@dataclass(frozen=True, slots=True)
class Budget:
    """USD. `duration` None: one budget for the key's whole life. `spent`: in the running window, as last read."""

    max: Decimal
    spent: Decimal
    duration: str | None
    resets_at: datetime | None

    @property
    def remaining(self) -> Decimal:
        return max(Decimal(0), self.max - self.spent)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Tokens and requests a minute, requests at a time. None: no such limit."""

    tpm: int | None
    rpm: int | None
    parallel: int | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a key is good for. `catalog`: how old the details of its models are; away: some or all are missing."""

    lease: Lease
    models: tuple[Model, ...] = ()
    budget: Budget | None = None
    rate_limit: RateLimit | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)  # of the key role, as the key has it
    catalog: str = Age.AWAY

    @property
    def features(self) -> dict[str, bool]:
        return features(self.models)


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that somebody may have a key for, and the key roles that give it."""

    model: Model
    gateway: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offers:
    """What somebody may use. `ages`: of the catalog of each gateway."""

    offers: tuple[Offer, ...]
    ages: Mapping[str, str]

    @property
    def features(self) -> dict[str, bool]:
        return features(each.model for each in self.offers)


def features(models: Iterable[Model]) -> dict[str, bool]:
    """The 13 flags: true if any of the models can. What no proxy says is no."""
    found = dict.fromkeys(FEATURES, False)
    for model in models:
        if name := MODES.get(model.mode or ""):
            found[name] = True
        for what, name in SUPPORTED.items():
            found[name] = found[name] or model.supports.get(what) is True
    return found


def of_issued(issued: Issued) -> Bundle:
    """Of a key just issued, from what it was shown when it was tried. Never raises: it has a secret to hand over."""
    lease = issued.lease
    try:
        return _of(lease, *_tried(issued))
    except Exception:
        log.exception("bundle_broke", lease=str(lease.pk))
        return Bundle(lease, tuple(map(Catalog().get, lease.limits.get("models") or ())))


def of_lease(lease: Lease) -> Bundle:
    """Of a key whose secret nobody has here: from its limits, and the catalog of its gateway."""
    ends = time.monotonic() + catalog.PATIENCE
    known = catalog.look_up(lease.gateway)
    models, age = _named(lease.limits, lease.gateway, known), known.age
    if lease.limits.get("all_models") and lease.is_live:
        names = _of_team(lease, ends - time.monotonic())
        models, age = (models, Age.AWAY) if names is None else ([known.get(name) for name in names], age)
    return _of(lease, models, age)


def _of_team(lease: Lease, seconds: float) -> list[str] | None:
    """What its team may call on the gateway, where somebody may have narrowed it. None: the gateway did not say."""
    team = lease.team.litellm_id
    listed = catalog.ask(lease.gateway, seconds, lambda client: client.models.list(team_id=team))
    if listed is None:
        return None
    return list(dict.fromkeys(model.id for model in listed if model.id and "*" not in model.id))


def of_roles(roles: Iterable[KeyRole]) -> Offers:
    """What keys of these roles open, by gateway and name; each catalog is looked up once, all within its patience."""
    ends, known = time.monotonic() + catalog.PATIENCE, dict[int, Catalog]()
    found: dict[tuple[str, str], tuple[Model, dict[str, None]]] = {}
    for role in roles:
        gateway = role.gateway
        if gateway.pk not in known:
            known[gateway.pk] = catalog.look_up(gateway, seconds=ends - time.monotonic())
        for model in _named(role.limits(), gateway, known[gateway.pk]):
            found.setdefault((gateway.name, model.id), (model, {}))[1][role.name] = None
    ages = {role.gateway.name: known[role.gateway_id].age.value for role in roles}
    offers = [Offer(model, name, tuple(given)) for (name, _), (model, given) in sorted(found.items(), key=_by_name)]
    return Offers(tuple(offers), ages)


def _by_name(item: tuple[tuple[str, str], Any]) -> tuple[str, str]:
    return item[0]


def _tried(issued: Issued) -> tuple[list[Model], Age]:
    """The models that the new key listed, with what the catalog has beyond that.

    A pattern like `gpt-*` opens models that the proxy does not list for it (tried on 1.106.2): those are the
    catalog's. Where the key could not be tried, its models are those of our books.
    """
    lease, trial = issued.lease, issued.trial
    known = catalog.look_up(lease.gateway, seconds=min(catalog.PATIENCE, trial.left - GETTING_IN_LINE))
    if not trial.ok:
        return _named(lease.limits, lease.gateway, known), Age.AWAY
    own = [catalog.of_group(group).filled(known.models.get(group.name)) for group in trial.models]
    listed = {model.id: model for model in own if "*" not in model.id}
    patterns = [name for name in lease.limits.get("models") or () if "*" in name]
    more = {name: known.get(name) for pattern in patterns for name in known.under(pattern)}
    return list((more | listed).values()), known.age


def _named(limits: Mapping[str, Any], gateway: Gateway, known: Catalog) -> list[Model]:
    """The models that these limits name: every model there is, each by its name, or under a pattern."""
    if limits.get("all_models"):
        seen = (name for name in gateway.models_seen if "*" not in name)
        return list(known.models.values()) or [known.get(name) for name in seen]
    names: dict[str, None] = {}
    for name in limits.get("models") or ():
        names |= dict.fromkeys(known.under(name) if "*" in name else [name])
    return [known.get(name) for name in names]


def _of(lease: Lease, models: Iterable[Model], age: Age) -> Bundle:
    rates = RateLimit(*(lease.limits.get(name) for name in ("tpm_limit", "rpm_limit", "max_parallel_requests")))
    return Bundle(
        lease=lease,
        models=tuple(models),
        budget=_budget(lease),
        rate_limit=rates if rates != RateLimit(None, None, None) else None,
        metadata=dict(lease.role.metadata),
        catalog=age.value,
    )


def _budget(lease: Lease) -> Budget | None:
    most, version, now = lease.max_budget, lease.current, timezone.now()
    if most is None:
        return None
    duration = lease.limits.get("budget_duration") or None
    window = window_of(duration, now)
    return Budget(most, counted(version.counter, version.resets_at, now) or Decimal(0), duration, window and window[1])
