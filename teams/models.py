"""WHO: people, service accounts, teams, memberships, API tokens."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from portal.litellm.durations import BudgetWindow
from teams.roles import MemberRole, PlatformRole, Scope

ONE_LINE = RegexValidator(r"^[^\x00-\x1f\x7f\u2028\u2029]*\Z", "One line, without control characters.")


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Make a person. `email` is the login, kept in lower case; without a password they cannot use one.

        Raises ValueError when the address is missing.
        """
        if not email:
            raise ValueError("A person needs an e-mail address.")
        user = self.model(email=email.strip().lower(), kind=User.Kind.PERSON, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_service_account(self, name: str, team: Team) -> User:
        """Make a machine of one team: no address, no sign-in, a member's rights."""
        user = self.model(email=None, kind=User.Kind.SERVICE, name=name, service_team=team)
        user.set_unusable_password()
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username or "")


class User(AbstractBaseUser):
    """A person (the e-mail is the login) or a service account (a machine of one team)."""

    class Kind(models.TextChoices):
        PERSON = "person", "Person"
        SERVICE = "service", "Service account"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.PERSON)
    email = models.EmailField(unique=True, null=True, blank=True)
    name = models.CharField(max_length=150, blank=True)
    platform_role = models.CharField(max_length=10, choices=PlatformRole, default=PlatformRole.NONE, blank=True)
    service_team = models.ForeignKey(
        "teams.Team", null=True, blank=True, on_delete=models.PROTECT, related_name="service_accounts"
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()
    scopes: frozenset[Scope] | None = None  # set by a door: what the token in use may do; None: no token

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="user_is_a_person_or_a_service_account",
                condition=Q(kind="person", email__isnull=False, service_team__isnull=True)
                | Q(kind="service", email__isnull=True, service_team__isnull=False, platform_role=""),
            ),
            models.UniqueConstraint(Lower("email"), name="user_email_whatever_its_case"),
        ]

    def __str__(self) -> str:
        return self.name or self.email or str(self.pk)

    @property
    def audit_id(self) -> str:
        return str(self.pk)

    @property
    def audit_name(self) -> str:
        return self.email or self.name

    @property
    def audit_kind(self) -> str:
        return self.kind

    @property
    def litellm_id(self) -> str:
        """Who this is on every proxy."""
        return f"kd-{self.pk}"

    # Django's admin asks these.
    @property
    def is_staff(self) -> bool:
        return self.is_active and self.platform_role == PlatformRole.ADMIN

    @property
    def is_superuser(self) -> bool:
        return self.is_staff

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_staff

    def has_perms(self, perm_list: Any, obj: object = None) -> bool:
        return self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_staff


class Team(models.Model):
    """People who share a budget. On each gateway it uses it is a LiteLLM team, under an id that we choose."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120, validators=[ONE_LINE])
    max_budget = models.DecimalField(  # USD per window; None: no budget of its own
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal("0.01"))],
    )
    budget_duration = models.CharField(
        max_length=3,
        choices=[(window.value, window.value) for window in BudgetWindow],
        default="1mo",
        blank=True,
    )
    # USD per window: what a platform admin last gave, and the most that a team admin may set; None: no ceiling.
    budget_ceiling = models.DecimalField(max_digits=12, decimal_places=2, null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, editable=False)  # it gives no keys any more; its history stays
    members = models.ManyToManyField(User, through="Membership", related_name="teams")

    class Meta:
        ordering = ["name", "slug"]

    def __str__(self) -> str:
        return self.name

    @property
    def litellm_id(self) -> str:
        """Which team this is on every proxy."""
        return f"kd-{self.pk}"


class Membership(models.Model):
    """One person in one team."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=MemberRole, default=MemberRole.MEMBER)
    # USD per window of the team, set by the team for all of this person's keys in it; None: no budget of their own.
    max_budget = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(Decimal("0.01"))]
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="one_membership_a_team")]
        ordering = ["user__name", "user__email"]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class DepartureQuerySet(models.QuerySet["Departure"]):
    def open_for(self, user: Any, team: Any) -> DepartureQuerySet:
        """Departures of `user` from `team`, or from everywhere, that still count."""
        return self.filter(Q(team=team) | Q(team=None), user=user, closed_at=None)


class Departure(models.Model):
    """Access that an identity provider took away: keys are blocked at once, and revoked at `due_at`.

    Until then it may come back, as a hiccup of the provider must not destroy keys. `held`: too many at once;
    nothing happens before a platform admin has decided.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="departures")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, null=True, related_name="departures")  # NULL: everywhere
    role = models.CharField(max_length=10, choices=MemberRole, blank=True)  # what they were, to come back as
    at = models.DateTimeField()
    due_at = models.DateTimeField()
    held = models.BooleanField(default=False)
    closed_at = models.DateTimeField(null=True)  # came back, was revoked, or was dismissed
    outcome = models.CharField(max_length=40, blank=True)

    objects = DepartureQuerySet.as_manager()

    class Meta:
        ordering = ["-at"]
        indexes = [models.Index(fields=["closed_at", "due_at"], name="departure_open")]

    def __str__(self) -> str:
        return f"{self.user} from {self.team or 'everywhere'}"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def usable(self, plain: str) -> ApiToken | None:
        """The living token behind `plain`, with its owner, in one select."""
        found = self.select_related("owner").filter(
            digest=ApiToken.digest_of(plain), expires_at__gt=timezone.now(), owner__is_active=True
        )
        return found.first()


class ApiToken(models.Model):
    """A bearer token for the API. Stored as an HMAC: nobody can read it back.

    Our own small model: knox reads all of a user's tokens and deletes expired ones on every request.
    """

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

    def used(self, at: datetime) -> None:
        """Note the use, at most once a minute: a busy token must not write on every request."""
        if self.last_used_at is None or at - self.last_used_at > timedelta(minutes=1):
            ApiToken.objects.filter(pk=self.pk).update(last_used_at=at)
