"""The identity providers that the environment names; settings.py reads them once, at the start.

README.md has the table of variables. What is set by halves stops the start with a sentence that says what to set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

OIDC = "KEYDESK_OIDC"
FIELDS = ("ISSUER", "CLIENT_ID", "CLIENT_SECRET", "NAME", "SCOPES", "GROUPS_CLAIM", "DOMAINS", "TRUST_EMAIL")
SUFFIX = re.compile(r"[A-Z0-9]+(?:_[A-Z0-9]+)*")
RESERVED = {"oidc", "github", "google", "microsoft", "scim", "hand"}  # ids that mean something else already
LONGEST_ID = 40  # characters: Grant.source
DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
TENANT = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
LOCAL = {"localhost", "127.0.0.1", "::1"}
TRUE = {"1", "true", "yes", "on"}

# What the three well-known ones may be told, behind KEYDESK_GITHUB_, KEYDESK_GOOGLE_ and KEYDESK_MICROSOFT_.
WELL_KNOWN = {
    "github": ("CLIENT_ID", "CLIENT_SECRET", "DOMAINS"),
    "google": ("CLIENT_ID", "CLIENT_SECRET", "DOMAINS"),
    "microsoft": ("CLIENT_ID", "CLIENT_SECRET", "TENANT", "GROUPS_CLAIM", "DOMAINS", "TRUST_EMAIL"),
}
VARIABLES = frozenset(
    {f"{OIDC}_{what}" for what in FIELDS}
    | {f"KEYDESK_{known.upper()}_{what}" for known, names in WELL_KNOWN.items() for what in names}
)


@dataclass(frozen=True, slots=True)
class Provider:
    """One identity provider, as configured. An identity there is (`issuer`, subject)."""

    id: str
    name: str
    issuer: str  # without a slash at the end
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = ""  # blank: it names no groups
    domains: frozenset[str] = frozenset()  # the mail domains it speaks for
    trust_email: bool = False  # it vouches for addresses of those domains though it sends no `email_verified`
    protocol: str = "openid_connect"  # or "github", which speaks OAuth 2 only

    def speaks_for(self, address: str) -> bool:
        """Whether the address is in one of its domains."""
        return address.rpartition("@")[2].lower() in self.domains


def read(environ: Mapping[str, str]) -> dict[str, Provider]:
    """The providers that `environ` names, by id. Raises ImproperlyConfigured."""
    told = {name: value.strip() for name, value in environ.items() if name.startswith("KEYDESK_") and value.strip()}
    by_suffix: dict[str, dict[str, str]] = {}
    for name, value in told.items():
        if name.startswith(f"{OIDC}_"):
            what, suffix = _split(name)
            by_suffix.setdefault(suffix, {})[what] = value
    found = [_oidc(suffix, values) for suffix, values in sorted(by_suffix.items())]
    for known, names in WELL_KNOWN.items():
        prefix = f"KEYDESK_{known.upper()}"
        values = {what: told[f"{prefix}_{what}"] for what in names if f"{prefix}_{what}" in told}
        if values:
            found.append(_well_known(known, prefix, values))
    return {provider.id: provider for provider in found}


def check_only(sso_only: bool, break_glass: str, found: Iterable[Provider]) -> None:
    """Refuse KEYDESK_SSO_ONLY where nobody could sign in any more. Raises ImproperlyConfigured."""
    if not sso_only:
        return
    if not list(found):
        raise ImproperlyConfigured(
            "KEYDESK_SSO_ONLY turns passwords off, and no identity provider is configured: nobody could sign in."
            f" Set {OIDC}_ISSUER, {OIDC}_CLIENT_ID and {OIDC}_CLIENT_SECRET."
        )
    if "@" not in break_glass:
        raise ImproperlyConfigured(
            "KEYDESK_SSO_ONLY turns passwords off. Set KEYDESK_BREAK_GLASS to the address of the one platform admin"
            " who may still use one when the identity provider is away."
        )


def _split(name: str) -> tuple[str, str]:
    """`KEYDESK_OIDC_CLIENT_ID_OKTA` -> CLIENT_ID, OKTA."""
    rest = name.removeprefix(f"{OIDC}_")
    for what in FIELDS:
        if rest == what:
            return what, ""
        if rest.startswith(f"{what}_"):
            suffix = rest.removeprefix(f"{what}_")
            if not SUFFIX.fullmatch(suffix) or len(suffix) > LONGEST_ID or suffix.lower() in RESERVED:
                raise ImproperlyConfigured(
                    f"{name}: {suffix!r} cannot name a provider. Use capitals, digits and single underscores,"
                    f" {LONGEST_ID} at most, and none of {', '.join(sorted(RESERVED)).upper()}."
                )
            return what, suffix
    raise ImproperlyConfigured(f"{name} is no setting of Keydesk. Known are {OIDC}_{f', {OIDC}_'.join(FIELDS)}.")


def _oidc(suffix: str, values: dict[str, str]) -> Provider:
    tail = f"_{suffix}" if suffix else ""
    for what in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET"):
        if what not in values:
            there = ", ".join(f"{OIDC}_{name}{tail}" for name in sorted(values))
            raise ImproperlyConfigured(f"{there} is set, so {OIDC}_{what}{tail} must be set too.")
    return Provider(
        id=suffix.lower() or "oidc",
        name=values.get("NAME") or suffix.replace("_", " ").title() or "single sign-on",
        issuer=_issuer(values["ISSUER"], f"{OIDC}_ISSUER{tail}"),
        client_id=values["CLIENT_ID"],
        client_secret=values["CLIENT_SECRET"],
        scopes=_scopes(values.get("SCOPES", "openid profile email")),
        groups_claim=values.get("GROUPS_CLAIM", "groups"),
        domains=_domains(values.get("DOMAINS", ""), f"{OIDC}_DOMAINS{tail}"),
        trust_email=_trust(values, f"{OIDC}_TRUST_EMAIL{tail}", f"{OIDC}_DOMAINS{tail}"),
    )


def _well_known(known: str, prefix: str, values: dict[str, str]) -> Provider:
    for what in ("CLIENT_ID", "CLIENT_SECRET"):
        if what not in values:
            raise ImproperlyConfigured(f"{prefix}_{sorted(values)[0]} is set, so {prefix}_{what} must be set too.")
    domains = f"{prefix}_DOMAINS"
    google = Provider(  # the one to begin with: it needs nothing more
        id=known,
        name="Google",
        issuer="https://accounts.google.com",
        client_id=values["CLIENT_ID"],
        client_secret=values["CLIENT_SECRET"],
        domains=_domains(values.get("DOMAINS", ""), domains),
    )
    if known == "github":
        scopes = ("read:user", "user:email")
        return replace(google, name="GitHub", issuer="https://github.com", scopes=scopes, protocol="github")
    if known == "google":
        return google
    tenant = values.get("TENANT", "").lower()
    if not TENANT.fullmatch(tenant):  # `common` would let every Microsoft account of the world knock
        raise ImproperlyConfigured(f"Set {prefix}_TENANT to the Directory (tenant) ID of your Entra tenant, a UUID.")
    return replace(
        google,
        name="Microsoft",
        issuer=f"https://login.microsoftonline.com/{tenant}/v2.0",
        groups_claim=values.get("GROUPS_CLAIM", "groups"),
        trust_email=_trust(values, f"{prefix}_TRUST_EMAIL", domains),
    )


def _issuer(value: str, name: str) -> str:
    url = urlsplit(value)
    if not url.hostname or url.query or url.fragment or url.username:
        raise ImproperlyConfigured(f"{name} must be the issuer's whole address, like https://id.example.com/realms/it")
    if url.scheme != "https" and not (url.scheme == "http" and url.hostname in LOCAL):
        raise ImproperlyConfigured(f"{name} must begin with https://; plain http only for a provider on localhost.")
    return value.removesuffix("/.well-known/openid-configuration").rstrip("/")


def _scopes(value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(["openid", *re.split(r"[\s,]+", value)]))


def _domains(value: str, name: str) -> frozenset[str]:
    found = frozenset(part.strip().removeprefix("@").lower() for part in value.split(",") if part.strip())
    for domain in found:
        if not DOMAIN.fullmatch(domain):
            raise ImproperlyConfigured(
                f"{name}: {domain!r} is no mail domain. Write them as in example.com,example.org"
            )
    return found


def _trust(values: dict[str, str], name: str, domains: str) -> bool:
    trusts = values.get("TRUST_EMAIL", "").lower() in TRUE
    if trusts and not values.get("DOMAINS"):
        raise ImproperlyConfigured(f"{name} vouches for addresses of the provider's domains: set {domains} as well.")
    return trusts
