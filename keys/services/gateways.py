"""Reach the proxies: the only room that builds a client, opens a master key, or trips the breaker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext
from requests.adapters import BaseAdapter

from keys.models import Gateway, Intent, KeyVersion, Proposal
from keys.models.gateway import SANDBOX_URL
from keys.services import second
from keys.services.addresses import free_name, wrong_address
from keys.services.errors import GatewayAway, GatewayNotAllowed, GatewayRefused, NotConfigured
from keys.services.gateway_facts import Facts, look
from keys.services.minting import new_secret
from portal import audit
from portal.errors import Conflict, Invalid
from portal.litellm import Client, ConfigurationError, LiteLLMError, NoAnswer, Refused, ServerError
from portal.litellm import Invalid as InvalidThere
from portal.litellm.sandbox import Sandbox, SandboxAdapter
from portal.models import storable
from teams.access import SYSTEM, Actor, System, require, require_fresh
from teams.roles import Can

log = structlog.get_logger(__name__)

PATIENCE = 10.0  # seconds a person waits, for all calls of one act together
GETTING_IN_LINE = 1.0  # seconds
CONNECTION = ("base_url", "master_key", "timeout", "ca_bundle")  # what a client is built from

# At most the web threads but three wait for gateways, so a proxy that hangs never deafens the desk.
_places = threading.BoundedSemaphore(max(1, settings.WEB_THREADS - 3))
_clients: dict[int, tuple[int, Client]] = {}
_sandboxes: dict[int, tuple[int, Sandbox]] = {}
_building = threading.Lock()


class Line:
    """An open line to one gateway, with the time that is left for all its calls together."""

    def __init__(self, client: Client, seconds: float, gateway: Gateway | None = None) -> None:
        self.gateway = gateway
        self._client = client
        self._ends = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until the time is over."""
        return max(0.0, self._ends - time.monotonic())

    @property
    def client(self) -> Client:
        """The client, told to be back before the time is over. Raises GatewayAway when it is over."""
        left = self.left
        if not left:
            raise GatewayAway("The gateway took too long.")
        return self._client.with_timeout(min(left, self._client.http.timeout))


@contextmanager
def calling(gateway: Gateway, *, by: Actor, seconds: float = PATIENCE) -> Iterator[Line]:
    """Open a line to `gateway` for one act by `by`, for at most `seconds` in all.

    The row is read anew, so a changed gateway is used at once by every process.
    Raises GatewayAway when the proxy cannot be reached (and opens the breaker) or the breaker is open,
    GatewayRefused when it answers no.
    """
    try:
        gateway = Gateway.objects.get(pk=gateway.pk)
    except ImproperlyConfigured as error:  # the key that opens its master key is lost
        raise GatewayAway(str(error), action=gettext("A platform admin sets KEYDESK_ENCRYPTION_KEYS right.")) from None
    now = timezone.now()
    if where := wrong_address(gateway.base_url, called=True):
        raise GatewayNotAllowed(f"{gateway} is not called: {where}")
    if gateway.next_try_at and gateway.next_try_at > now:
        raise GatewayAway(f"{gateway} does not answer since {gateway.away_since:%H:%M} UTC.")
    if not _places.acquire(timeout=GETTING_IN_LINE):
        raise GatewayAway(f"Too many people wait for {gateway} right now.")
    try:
        yield Line(_client_of(gateway).changed_by(by.litellm_id), seconds, gateway)
        _came_back(gateway)
    except (NoAnswer, ServerError) as error:
        if isinstance(error, NoAnswer) or error.status in {502, 503, 504}:
            _went_away(gateway, str(error))
            never = (
                "" if gateway.checked_at else gettext("It has never answered: check its base URL and its master key.")
            )
            raise GatewayAway(f"{gateway} does not answer: {error.message}", action=never) from None
        raise refused(gateway, error) from None
    except LiteLLMError as error:
        _came_back(gateway)
        raise refused(gateway, error) from None
    finally:
        _places.release()


def _went_away(gateway: Gateway, reason: str) -> None:
    """Open the breaker; whoever opens it first writes it down, for all who want to be told."""
    now, there = timezone.now(), Gateway.objects.filter(pk=gateway.pk, away_since=None)
    with transaction.atomic():
        first = there.update(away_since=now)
        gateway.went_away(reason, now)
        if first:
            audit.record("gateway.away", gateway, by=SYSTEM, reason=storable(gateway.away_reason))


def _came_back(gateway: Gateway) -> None:
    """Close the breaker, and let every promise that waited for the gateway be kept now."""
    if not gateway.away_since:
        return
    away = Gateway.objects.filter(pk=gateway.pk, away_since__isnull=False)
    with transaction.atomic():
        if away.update(away_since=None):
            audit.record("gateway.back", gateway, by=SYSTEM, away_since=gateway.away_since)
        gateway.came_back()
        Intent.objects.filter(gateway=gateway, attempts__gt=0).update(due_at=timezone.now())


def refused(gateway: Gateway, error: LiteLLMError) -> GatewayRefused:
    """The proxy's no, in our words: 422 where our input was at fault, else 409."""
    found = GatewayRefused(f"{gateway} refused: {error.message}", action=error.action)
    found.upstream = error.status
    if isinstance(error, InvalidThere):
        found.status = HTTPStatus.UNPROCESSABLE_ENTITY
    return found


def default() -> Gateway:
    """The gateway that is meant when nobody names one. Raises NotConfigured."""
    gateway = Gateway.objects.filter(is_default=True).first()
    if gateway is None:
        raise NotConfigured
    return gateway


def make(*, by: Actor, check_first: bool = True, confirmed: bool = False, **fields: Any) -> Gateway:
    """Enter a gateway, after its connection was tried.

    `fields`: name, base_url, public_url, master_key, timeout (seconds), ca_bundle (PEM), ttl, max_ttl
    (timedelta), is_default. Raises NotAllowed, SignInAgain, Invalid, GatewayAway, GatewayRefused.
    """
    require(by, Can.MANAGE_PLATFORM)
    require_fresh(by)
    gateway = Gateway(**_tidy(fields))
    gateway.is_default = gateway.is_default or not Gateway.objects.filter(is_default=True).exists()
    _validate(gateway)
    second.needed(Proposal.Verb.GATEWAY_MAKE, gateway, fields, by=by, confirmed=confirmed)
    facts = _try_connection(gateway) if check_first else None
    with transaction.atomic():
        _only_default(gateway)
        gateway.save(force_insert=True)
        _keep(gateway, facts)
        audit.record("gateway.made", gateway, by=by, base_url=gateway.base_url)
    return gateway


def change(gateway: Gateway, *, by: Actor, check_first: bool = True, confirmed: bool = False, **fields: Any) -> Gateway:
    """Change a gateway; a blank master key keeps the stored one. Used at once by every process.

    A base URL changes only to a place that knows our keys.
    Raises NotAllowed, SignInAgain, Invalid, GatewayAway, GatewayRefused.
    """
    require(by, Can.MANAGE_PLATFORM)
    require_fresh(by)
    gateway = Gateway.objects.get(pk=gateway.pk)
    read = gateway.version
    before = {name: getattr(gateway, name) for name in fields}
    for name, value in _tidy(fields).items():
        if name != "master_key" or value:
            setattr(gateway, name, value)
    changed = sorted(name for name, value in before.items() if getattr(gateway, name) != value)
    if not changed:
        return gateway
    _validate(gateway)
    before = {name: before[name] for name in changed}
    second.needed(Proposal.Verb.GATEWAY_CHANGE, gateway, fields, by=by, before=before, confirmed=confirmed)
    facts, moved = None, "base_url" in changed
    if moved and not fields.get("master_key"):
        said = gettext(
            "Enter the master key again for a new address: the stored one is not sent where it was not meant for."
        )
        raise Invalid(said, details={"master_key": said})
    written = list(changed)
    if set(changed) & set(CONNECTION):
        facts = _try_connection(gateway, knows_our_keys=moved) if check_first or moved else None
        gateway.away_since = gateway.next_try_at = None
        written += ["away_since", "next_try_at"]
    gateway.version = read + 1
    with transaction.atomic():
        if not Gateway.objects.filter(pk=gateway.pk, version=read).update(version=read + 1):
            raise Conflict(gettext("Somebody else changed this gateway meanwhile."))
        _only_default(gateway)
        gateway.save(update_fields=written)
        _keep(gateway, facts)
        audit.record("gateway.changed", gateway, by=by, fields=changed)
    return gateway


def check(gateway: Gateway, *, by: Actor) -> Gateway:
    """Ask the gateway how it is and keep what it says. Raises NotAllowed, GatewayAway, GatewayRefused."""
    require(by, Can.MANAGE_PLATFORM)
    Gateway.objects.filter(pk=gateway.pk).update(next_try_at=None)  # a person asked: try now
    with calling(gateway, by=by) as line:
        facts = look(line.client)
    _keep(gateway, facts)
    return gateway


def from_environment(*, by: System) -> Gateway | None:
    """Make or update the gateway that the environment names; without one, the sandbox, if there is none at all.

    Never re-points a gateway: another URL is another gateway. It becomes the default.
    """
    url, key = settings.LITELLM_BASE_URL.rstrip("/"), settings.LITELLM_MASTER_KEY
    if not url:
        if Gateway.objects.exists():
            return None
        return make(by=by, name="sandbox", base_url=SANDBOX_URL, master_key=new_secret())
    if not key:
        raise NotConfigured(gettext("LITELLM_BASE_URL is set, LITELLM_MASTER_KEY is not."))
    fields: dict[str, Any] = {"master_key": key, "public_url": settings.LITELLM_PUBLIC_URL, "is_default": True}
    known = Gateway.objects.filter(base_url=url).first()
    if known:
        gateway = change(known, by=by, check_first=False, **fields)
    else:
        gateway = make(
            by=by,
            check_first=False,
            name=free_name(url, set(Gateway.objects.values_list("name", flat=True))),
            base_url=url,
            **fields,
        )
    try:
        return check(gateway, by=by)
    except (GatewayAway, GatewayRefused) as error:
        log.warning("gateway_not_answering", gateway=gateway.name, reason=error.message)
        return gateway


def sandbox_app() -> Callable[..., Any] | None:
    """The sandbox as a WSGI callable, while a gateway uses it; else None."""
    gateway = Gateway.objects.filter(base_url=SANDBOX_URL).first()
    return None if gateway is None else _sandbox_of(gateway)


def transport(gateway: Gateway) -> Mapping[str, BaseAdapter]:
    """Adapters that a gateway's client needs beside plain HTTP."""
    return {"http+sandbox://": SandboxAdapter(_sandbox_of(gateway))} if gateway.is_sandbox else {}


def forget_connections() -> None:
    """Drop every pooled connection of this process."""
    with _building:
        for _, client in _clients.values():
            client.close()
        _clients.clear()
        _sandboxes.clear()


def _client_of(gateway: Gateway) -> Client:
    with _building:
        version, client = _clients.get(gateway.pk, (0, None))
        if client is None or version != gateway.version:
            client = _build(gateway)
            _clients[gateway.pk] = (gateway.version, client)
        return client


def _build(gateway: Gateway) -> Client:
    return Client(
        gateway.base_url,
        gateway.master_key,
        timeout=gateway.timeout,
        ca_bundle=_ca_file(gateway),
        adapters=transport(gateway),
    )


def _sandbox_of(gateway: Gateway) -> Sandbox:
    version, sandbox = _sandboxes.get(gateway.pk or 0, (0, None))
    if sandbox is None or version != gateway.version:
        sandbox = Sandbox(settings.SANDBOX_FILE, master_key=gateway.master_key)
        _sandboxes[gateway.pk or 0] = (gateway.version, sandbox)
    return sandbox


def _ca_file(gateway: Gateway) -> str | None:
    """Where `requests` can read the authorities; made anew from the row, so any host has it."""
    if not gateway.ca_bundle:
        return None
    path = Path(settings.DATA_DIR) / "ca" / f"{gateway.pk or 'new'}-{gateway.version}.pem"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(gateway.ca_bundle)
    return str(path)


def _try_connection(gateway: Gateway, *, knows_our_keys: bool = False) -> Facts:
    try:
        client = _build(gateway)
    except ConfigurationError as error:
        raise Invalid(error.message, action=error.action, details={"base_url": error.message}) from None
    try:
        facts = look(client.with_timeout(PATIENCE))
        if knows_our_keys and not _knows_one(client, gateway):
            raise Invalid(
                gettext("The proxy at that address knows none of the keys issued here."),
                action=gettext("Enter it as a gateway of its own, or restore the proxy's database there first."),
                details={"base_url": gettext("This proxy knows none of the keys issued here.")},
            )
    except NoAnswer as error:
        raise GatewayAway(f"{gateway.base_url} does not answer: {error.message}", action=error.action) from None
    except Refused as error:
        field = "master_key" if error.status in {401, 403} else "base_url"
        raise Invalid(
            f"The proxy refused: {error.message}", action=error.action, details={field: error.message}
        ) from None
    except LiteLLMError as error:
        raise refused(gateway, error) from None
    finally:
        client.close()
    return facts


def _knows_one(client: Client, gateway: Gateway) -> bool:
    ours = KeyVersion.objects.filter(lease__gateway=gateway, ended_at=None).exclude(token_hash=None)
    hashes = [version.token_hash for version in ours[:5] if version.token_hash]
    return not hashes or bool(client.keys.info_many(hashes))


def _keep(gateway: Gateway, facts: Facts | None) -> None:
    if facts is None:
        return
    fields: dict[str, Any] = {name: getattr(facts, name) for name in Facts.__slots__}
    fields |= {"checked_at": timezone.now(), "away_since": None, "next_try_at": None, "away_reason": ""}
    Gateway.objects.filter(pk=gateway.pk).update(**fields)
    gateway.refresh_from_db()


def _tidy(fields: dict[str, Any]) -> dict[str, Any]:
    for name in ("base_url", "public_url"):
        if name in fields:
            fields[name] = (fields[name] or "").strip().rstrip("/")
    return fields


def _validate(gateway: Gateway) -> None:
    wrong = {}
    try:
        gateway.full_clean(exclude=["master_key"], validate_constraints=False)  # another default gives way
    except ValidationError as error:
        wrong = {name: " ".join(said) for name, said in error.message_dict.items()}
    if not gateway.master_key:
        wrong["master_key"] = gettext("The proxy's master key is needed.")
    for name in ("base_url", "public_url"):
        if found := wrong_address(getattr(gateway, name), called=name == "base_url"):
            wrong[name] = found
    if gateway.ttl > gateway.max_ttl:
        wrong["ttl"] = gettext("The TTL cannot be longer than the max TTL.")
    if wrong:
        raise Invalid(details=wrong)


def _only_default(gateway: Gateway) -> None:
    if gateway.is_default:
        Gateway.objects.exclude(pk=gateway.pk).filter(is_default=True).update(is_default=False)
