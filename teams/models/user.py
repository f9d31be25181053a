"""People and service accounts."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy

from teams.roles import Can, PlatformRole, Reach, Scope, reach

if TYPE_CHECKING:
    from teams.models.team import Team
    from teams.models.token import ApiToken


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
        PERSON = "person", gettext_lazy("Person")
        SERVICE = "service", gettext_lazy("Service account")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.PERSON)
    email = models.EmailField(unique=True, null=True, blank=True)
    name = models.CharField(max_length=150, blank=True)
    platform_role = models.CharField(max_length=10, choices=PlatformRole, default=PlatformRole.NONE, blank=True)
    service_team = models.ForeignKey(
        "teams.Team", null=True, blank=True, on_delete=models.PROTECT, related_name="service_accounts"
    )
    # What was given by hand; blank: none, or only an identity provider gives one. `platform_role` is what counts.
    given_platform_role = models.CharField(max_length=10, choices=PlatformRole, default="", blank=True, editable=False)
    # Who answers for a service account, and gets its letters; None: its team's admins do.
    responsible = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="answers_for", editable=False
    )
    language = models.CharField(max_length=10, blank=True, db_default="", default="")  # blank: as the browser asks
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()
    scopes: frozenset[Scope] | None = None  # set by a door: what the token in use may do; None: no token
    token: ApiToken | None = None  # set by a door as well: the one in use
    signed_in_at: datetime | None = None  # set by a door: when they last showed who they are; None: they do each time

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="user_is_a_person_or_a_service_account",
                condition=Q(kind="person", email__isnull=False, service_team__isnull=True)
                | Q(kind="service", email__isnull=True, service_team__isnull=False, platform_role=""),
            ),
            models.UniqueConstraint(Lower("email"), name="user_email_whatever_its_case"),
            models.UniqueConstraint(
                Lower("name"), "service_team", condition=Q(kind="service"), name="service_account_name_in_its_team"
            ),
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
        if not self.is_active or not self.platform_role:
            return False
        return reach(Can.MANAGE_PLATFORM, PlatformRole(self.platform_role)) is Reach.ANY

    @property
    def is_superuser(self) -> bool:
        return self.is_staff

    def has_perm(self, perm: str, obj: object = None) -> bool:
        return self.is_staff

    def has_perms(self, perm_list: Any, obj: object = None) -> bool:
        return self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_staff
