"""Bearer tokens for the API."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, TypeAlias

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy

from teams.models.user import User

if TYPE_CHECKING:
    from teams.models.team import Team

Network: TypeAlias = IPv4Network | IPv6Network


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def living(self, now: datetime) -> ApiTokenQuerySet:
        """Those that were not ended and have not expired, whoever their owners are."""
        return self.filter(expires_at__gt=now, ended_at=None)

    def usable(self, plain: str) -> ApiToken | None:
        """The living token behind `plain`, with its owner, in one select; for a secret just replaced, in two."""
        now, digest = timezone.now(), ApiToken.digest_of(plain)
        living = self.living(now).select_related("owner").filter(owner__is_active=True)
        return (
            living.filter(digest=digest).first()
            or living.filter(replaced__digest=digest, replaced__good_until__gt=now).first()
        )


class ApiToken(models.Model):
    """A bearer token for the API. Stored as an HMAC: nobody can read it back.

    Our own small model: knox reads all of a user's tokens and deletes expired ones on every request.
    """

    class Kind(models.TextChoices):
        TOKEN = "token", gettext_lazy("API token")
        LOGIN = "login", gettext_lazy("Login of the command line")

    PREFIX = "kd_"
    DEFAULT_LIFE = timedelta(days=90)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=64, unique=True)
    owner = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # revoked by a person; None: it ends by time alone
    networks = models.JSONField(default=list, blank=True)  # from where it may be used, as CIDR; empty: from anywhere
    # The token it was made with: it ends with it.
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children", editable=False)

    # Who made it, of a service account somebody else. NULL: Keydesk's operator, or a version that did not note it.
    made_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)

    kind = models.CharField(max_length=10, choices=Kind, default=Kind.TOKEN, editable=False)
    # Of a login: it is refreshed while it is used, until then. None: `expires_at` stays as it is.
    refreshable_until = models.DateTimeField(null=True, editable=False)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def digest_of(plain: str) -> str:
        return hmac.new(settings.SECRET_KEY.encode(), plain.encode(), hashlib.sha256).hexdigest()

    @classmethod
    def choose(cls) -> str:
        """A new token, 32 random bytes behind the prefix."""
        return cls.PREFIX + secrets.token_urlsafe(32)

    @property
    def team(self) -> Team | None:
        """Whose audit shows what is done with it."""
        return self.owner.service_team

    @property
    def is_living(self) -> bool:
        return self.ended_at is None and self.expires_at > timezone.now()

    def may_come_from(self, ip: str | None) -> bool:
        """Whether it may be used from this address. None: nobody knows where from."""
        if not self.networks:
            return True
        if ip is None:
            return False
        address = ip_address(ip)
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped  # as a socket for both kinds tells of IPv4
        return any(address in ip_network(network) for network in self.networks)

    def used(self, at: datetime) -> None:
        """Note the use, at most once a minute: a busy token must not write on every request."""
        if self.last_used_at is None or at - self.last_used_at > timedelta(minutes=1):
            ApiToken.objects.filter(pk=self.pk).update(last_used_at=at)
