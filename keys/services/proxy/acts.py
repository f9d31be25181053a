"""What the acts on a proxy share: the right to act, the two ends of each act in the audit, and the troubles."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from http import HTTPStatus
from math import isfinite
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from keys.models import Gateway
from keys.services.reconcile.holding import GatewayHeld
from portal import audit
from portal.errors import Conflict, Invalid, PortalError
from portal.litellm import LiteLLMError
from portal.litellm.masking import REFERENCE
from portal.models import storable
from teams.access import Actor, require, require_fresh
from teams.roles import Can

LARGEST_PAGE = 100
LARGEST_TABLE = 64 * 1024  # characters of JSON
DEEPEST = 20  # tables in tables; LiteLLM's own are three deep
READ_THERE = (REFERENCE, "oidc/env/", "oidc/env_path/")  # LiteLLM reads the variable that follows
MOST_USD = Decimal(10) ** 12
# What opens the proxy itself. A model that names one of these would send it to whoever its `api_base` is.
OWN_SECRETS = re.compile(r"LITELLM_.*|.*(MASTER|SALT)_KEY|.*DATABASE.*|UI_(USERNAME|PASSWORD)|REDIS_.*", re.I)


class NotOnProxy(PortalError):
    """The proxy has nothing of that name or id."""

    code, status = "not_found", HTTPStatus.NOT_FOUND
    message = gettext_noop("The proxy has nothing of that name.")
    action = gettext_noop("Look at the list: it may have been deleted.")


class InUse(Conflict):
    """Something hangs on it; `details` says what."""

    code = "in_use"
    action = gettext_noop("Look at what uses it. With force=true it goes all the same.")


class OfKeydesk(Conflict):
    """The user there is Keydesk's, or another Keydesk's: its deletion would end keys behind our back."""

    code = "kept_by_keydesk"
    action = gettext_noop("End the keys, the person or the gateway in Keydesk instead.")


class InConfig(Conflict):
    """It stands in the proxy's own configuration file."""

    code = "in_config"
    message = gettext_noop("This stands in the configuration file of the proxy.")
    action = gettext_noop("Change it in that file, and restart the proxy.")


class AlreadyThere(Conflict):
    """The proxy has one of that name or id."""

    code = "already_there"
    message = gettext_noop("The proxy has one of that name or id.")
    action = gettext_noop("Choose another name, or change the one that is there.")


class SeveralOfThatName(Conflict):
    """Several deployments have the name; `details.ids`."""

    code = "several_of_that_name"
    message = gettext_noop("Several deployments have this name.")
    action = gettext_noop("Use the id of one.")


def may_act(by: Actor) -> None:
    """Raises NotAllowed, SignInAgain."""
    require(by, Can.MANAGE_PLATFORM)
    require_fresh(by)


def may_end(gateway: Gateway) -> None:
    """Raises GatewayHeld: whoever uses a thing is read from our rows, and those may be older than the proxy."""
    if gateway.held_since:
        raise GatewayHeld(_("%(gateway)s is held.") % {"gateway": gateway})


@contextmanager
def recorded(act: str, gateway: Gateway, *, by: Actor, **facts: Any) -> Iterator[dict[str, Any]]:
    """Do something on the proxy inside: that it was asked for is committed before, and what became of it after.

    An event `gateway.act_asked` without its second end is of a process that died meanwhile: look at the proxy.
    What the block puts into the yielded dict is told of the act as well. No fact may hold a secret.
    """
    facts = tidy(facts)
    with transaction.atomic(durable=True):
        audit.record("gateway.act_asked", gateway, by=by, act=act, **facts)
    done: dict[str, Any] = {}
    try:
        yield done
    except (LiteLLMError, PortalError) as error:
        unclear = isinstance(error, LiteLLMError) and error.applied is None
        with transaction.atomic():
            said = storable(error.message)
            audit.record("gateway.act_failed", gateway, by=by, act=act, unclear=unclear, reason=said, **facts)
        raise
    with transaction.atomic():
        audit.record(act, gateway, by=by, **{**facts, **tidy(done)})


def tidy(value: Any) -> Any:
    """What a proxy says, as a database and an answer can hold it: no secret of ours, no NUL, no half of a character."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(name)): tidy(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(item) for item in value]
    if isinstance(value, Decimal) and not value.is_finite():
        return None
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def amount(value: Decimal | None) -> Decimal | None:
    """USD as an answer can hold them; None for what is no sum."""
    return value if value is not None and value.is_finite() and abs(value) < MOST_USD else None


def part(items: Sequence[Any], page: int, size: int) -> tuple[list[Any], int]:
    """One page of what came whole, and how many pages there are."""
    return list(items[(page - 1) * size : page * size]), -(-len(items) // size)


def check_texts(field: str, value: Any, depth: int = 0) -> None:
    """Refuse what a proxy cannot store, or must not read for whoever asks. Raises Invalid."""
    if depth > DEEPEST:
        wrong(field, _("This is nested too deeply."))
    if isinstance(value, Mapping):
        for name, item in value.items():
            check_texts(field, str(name), depth + 1)
            check_texts(field, item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            check_texts(field, item, depth + 1)
    elif isinstance(value, float) and not isfinite(value):
        wrong(field, _("A number is out of range."))
    elif isinstance(value, str):
        if "\0" in value or not _is_whole(value):
            wrong(field, _("Text without NUL and without halves of characters."))
        if value.startswith(READ_THERE) and OWN_SECRETS.fullmatch(_variable(value)):
            wrong(field, _("This names a secret of the proxy itself; a model must not send it anywhere."))


def check_size(field: str, value: Any) -> None:
    """Refuse a table that no proxy needs; the audit keeps a copy. Raises Invalid."""
    if len(json.dumps(value, default=str)) > LARGEST_TABLE:
        wrong(field, _("At most 64 KiB."))


def _variable(value: str) -> str:
    """Which variable LiteLLM reads for a text like `os.environ/NAME`. It takes the word away wherever it stands."""
    for prefix in READ_THERE:
        value = value.replace(prefix, "")
    return value.strip()


def check_part(field: str, name: str) -> None:
    """Refuse a name that no client can put into an address. Raises Invalid."""
    if name in {"", ".", ".."}:
        wrong(field, _("This name cannot stand in an address: change it on the proxy itself."))


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def wrong(field: str, said: str) -> None:
    """Raises Invalid."""
    raise Invalid(said, details={field: said})


NAME = re.compile(r"[\w.:/@+*| -]{1,200}")


def check_name(field: str, name: str) -> None:
    """Refuse a name that could not stand in an address again. Raises Invalid."""
    dots = {".", "..", ""}.intersection(name.split("/"))
    if not NAME.fullmatch(name) or dots or name != name.strip():
        wrong(field, _("Letters, digits and _ . : / @ + * | - with no slash at an end, at most 200."))
