"""The provider credentials that a proxy keeps. Their values go to the proxy alone: what comes back here is masked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from keys.models import Gateway
from keys.services import gateways
from keys.services.proxy import acts
from keys.services.proxy.acts import AlreadyThere, InUse, NotOnProxy, tidy
from portal.litellm import UNSET, AlreadyExists, Credential, NotFound, Unset
from portal.litellm.masking import shown
from teams.access import Actor, require
from teams.roles import Can

FIELD = re.compile(r"[\w.-]{1,60}")
MOST_VALUES = 50
LONGEST_VALUE = 20_000  # characters; a service account's file has some 2,500


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A credential as it may be shown. `used_by`: names of the models that use it; None: not asked."""

    name: str
    label: str
    values: Mapping[str, Any]
    info: Mapping[str, Any]
    source: str
    used_by: tuple[str, ...] | None = None


def all_of(gateway: Gateway, *, by: Actor) -> list[Kept]:
    """Every credential, by name. Raises NotAllowed, GatewayAway, GatewayRefused."""
    require(by, Can.SEE_PLATFORM)
    with gateways.calling(gateway, by=by) as line:
        return sorted((_seen(each) for each in line.client.credentials.list()), key=lambda kept: kept.name)


def get(gateway: Gateway, name: str, *, by: Actor) -> Kept:
    """One credential and the models that use it. Raises NotAllowed, NotOnProxy, GatewayAway, GatewayRefused."""
    require(by, Can.SEE_PLATFORM)
    with gateways.calling(gateway, by=by) as line:
        return _seen(_find(line, name), used_by=_used_by(line, name))


def create(
    gateway: Gateway, *, by: Actor, name: str, values: Mapping[str, str], info: Mapping[str, Any] | None = None,
    label: str = "",
) -> Kept:  # fmt: skip
    """Have the proxy keep a credential; the audit tells the names of its fields.

    Raises NotAllowed, SignInAgain, Invalid, AlreadyThere, GatewayAway, GatewayRefused.
    """
    acts.may_act(by)
    acts.check_name("name", name)
    _check_values(values)
    _check_about(info, label)
    with gateways.calling(gateway, by=by) as line:
        facts = {"credential": name, "label": label, "fields": sorted(values)}
        with acts.recorded("credential.made", gateway, by=by, **facts):
            try:
                line.client.credentials.create(name, values, info=info, display_name=label or None)
            except AlreadyExists:
                raise AlreadyThere(_("The proxy has a credential %(name)s.") % {"name": name}) from None
        return _seen(_find(line, name))


def change(
    gateway: Gateway, name: str, *, by: Actor, label: str | Unset | None = UNSET,
    values: Mapping[str, str] | None = None, info: Mapping[str, Any] | None = None,
) -> Kept:  # fmt: skip
    """Give it another label (None: none), and replace or add the given values; the name stays.

    Raises NotAllowed, SignInAgain, Invalid, NotOnProxy, GatewayAway, GatewayRefused.
    """
    acts.may_act(by)
    if values is not None:
        _check_values(values)
    _check_about(info, label if isinstance(label, str) else "")
    acts.check_part("name", name)
    with gateways.calling(gateway, by=by) as line:
        old = _find(line, name)
        facts: dict[str, Any] = {"credential": name, "fields": sorted(values or {})}
        if label is not UNSET:
            facts |= {"before": {"label": old.display_name}, "after": {"label": label}}
        with acts.recorded("credential.changed", gateway, by=by, **facts):
            try:
                line.client.credentials.update(name, values=values, info=info, display_name=label)
            except NotFound:
                raise NotOnProxy from None
        return _seen(_find(line, name))


def delete(gateway: Gateway, name: str, *, by: Actor, force: bool = False) -> Kept:
    """Delete a credential; answers what it was. Refused while models use it, but by `force`: the proxy would not.

    Raises NotAllowed, SignInAgain, GatewayHeld, NotOnProxy, InUse, GatewayAway, GatewayRefused.
    """
    acts.may_act(by)
    acts.may_end(gateway)
    acts.check_part("name", name)
    with gateways.calling(gateway, by=by) as line:
        old, models = _find(line, name), _used_by(line, name)
        if models and not force:
            said = _("Models that use it: %(count)s. Their calls would fail.") % {"count": len(models)}
            raise InUse(said, details={"models": list(models)})
        with acts.recorded("credential.deleted", gateway, by=by, credential=name, used_by=models, force=force):
            try:
                line.client.credentials.delete(name)
            except NotFound:
                raise NotOnProxy from None
    return _seen(old, used_by=models)


def _find(line: gateways.Line, name: str) -> Credential:
    """By the list: some names cannot stand in an address of every proxy."""
    found = next((each for each in line.client.credentials.list() if each.name == name), None)
    if found is None:
        raise NotOnProxy(_("The proxy has no credential %(name)s.") % {"name": repr(name[:100])})
    return found


def _used_by(line: gateways.Line, name: str) -> tuple[str, ...]:
    users = {model.name for model in line.client.models.info() if model.params.get("litellm_credential_name") == name}
    return tuple(sorted(tidy(each) for each in users))


def _check_values(values: Mapping[str, str]) -> None:
    if not 0 < len(values) <= MOST_VALUES:
        acts.wrong("values", _("At least one value, like api_key, and at most 50."))
    for name, value in values.items():
        if not FIELD.fullmatch(name):
            acts.wrong("values", _("The name of a field has letters, digits and _ . - only."))
        if not 0 < len(value) <= LONGEST_VALUE:
            acts.wrong("values", _("%(name)s: text of 1 to 20,000 characters.") % {"name": name})
    acts.check_texts("values", values)


def _check_about(info: Mapping[str, Any] | None, label: str) -> None:
    acts.check_texts("info", info or {})
    acts.check_size("info", info or {})
    acts.check_texts("label", label)


def _seen(found: Credential, used_by: tuple[str, ...] | None = None) -> Kept:
    return Kept(
        name=tidy(found.name),
        label=tidy(found.display_name or ""),
        values=tidy(shown(found.values)),
        info=tidy(shown(found.info, public=True)),
        source=tidy(found.source or ""),
        used_by=used_by,
    )
