"""The table of rights: right x role -> none, own, any. Nothing is decided anywhere else."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, StrEnum

from django.db import models
from django.utils.translation import gettext_lazy, gettext_noop


class MemberRole(models.TextChoices):
    VIEWER = "viewer", gettext_lazy("Viewer")
    MEMBER = "member", gettext_lazy("Member")
    APPROVER = "approver", gettext_lazy("Approver")
    ADMIN = "admin", gettext_lazy("Team admin")


class PlatformRole(models.TextChoices):
    NONE = "", gettext_lazy("None")
    AUDITOR = "auditor", gettext_lazy("Auditor")
    ADMIN = "admin", gettext_lazy("Platform admin")


class Scope(StrEnum):
    """What an API token may be used for; a token never has more than its owner has."""

    READ = "read"
    KEYS_ISSUE = "keys:issue"
    KEYS_MANAGE = "keys:manage"
    TEAM_MANAGE = "team:manage"
    AUDIT_READ = "audit:read"
    PLATFORM_READ = "platform:read"
    PLATFORM_MANAGE = "platform:manage"


class Reach(Enum):
    """On whose rows a right holds: nobody's, those the actor holds, those somebody else holds, or everybody's."""

    NONE = 0
    OWN = 1
    OTHERS = 2
    ANY = 3


class Can(Enum):
    """A right. The value is what a refusal says, in English: "You may not …"."""

    SEE_TEAM = gettext_noop("see this team")
    SEE_KEY = gettext_noop("see this key")
    ISSUE_KEY = gettext_noop("issue a key for this team")
    RENEW_KEY = gettext_noop("renew, rotate or replace this key")
    REVOKE_KEY = gettext_noop("pause, resume or revoke this key")
    LIFT_PAUSE = gettext_noop("let a key answer again that somebody else paused")
    DECIDE = gettext_noop("decide requests and rises of this team")
    TRANSFER_KEY = gettext_noop("hand this key over to somebody else")
    ACT_FOR_SERVICE = gettext_noop("act for this team's service accounts")
    MANAGE_MEMBERS = gettext_noop("change who is in this team, its service accounts and their tokens")
    MANAGE_WEBHOOKS = gettext_noop("manage webhooks")
    END_TOKENS = gettext_noop("end API tokens of other people")
    SET_TEAM_BUDGET = gettext_noop("change this team's budget")
    SEE_TEAM_AUDIT = gettext_noop("see this team's audit, reports and exports")
    SEE_PLATFORM = gettext_noop("see the platform")
    MANAGE_PLATFORM = gettext_noop("change teams, key roles and gateways")


NONE, OWN, OTHERS, ANY = Reach
# right: (viewer, member, approver, team admin, auditor, platform admin). Source: product.md, section 5.
TABLE: dict[Can, tuple[Reach, Reach, Reach, Reach, Reach, Reach]] = {
    Can.SEE_TEAM: (ANY, ANY, ANY, ANY, ANY, ANY),
    Can.SEE_KEY: (NONE, OWN, ANY, ANY, ANY, ANY),
    Can.ISSUE_KEY: (NONE, OWN, OWN, OWN, NONE, OWN),
    Can.RENEW_KEY: (NONE, OWN, OWN, OWN, NONE, OWN),
    Can.REVOKE_KEY: (NONE, OWN, ANY, ANY, NONE, ANY),
    Can.LIFT_PAUSE: (NONE, NONE, ANY, ANY, NONE, ANY),
    Can.DECIDE: (NONE, NONE, OTHERS, OTHERS, NONE, OTHERS),
    Can.TRANSFER_KEY: (NONE, NONE, NONE, ANY, NONE, ANY),
    Can.ACT_FOR_SERVICE: (NONE, NONE, NONE, ANY, NONE, ANY),
    Can.MANAGE_MEMBERS: (NONE, NONE, NONE, ANY, NONE, ANY),
    Can.MANAGE_WEBHOOKS: (NONE, NONE, NONE, ANY, NONE, ANY),
    Can.END_TOKENS: (NONE, NONE, NONE, NONE, NONE, ANY),
    Can.SET_TEAM_BUDGET: (NONE, NONE, NONE, ANY, NONE, ANY),
    Can.SEE_TEAM_AUDIT: (NONE, NONE, NONE, ANY, ANY, ANY),
    Can.SEE_PLATFORM: (NONE, NONE, NONE, NONE, ANY, ANY),
    Can.MANAGE_PLATFORM: (NONE, NONE, NONE, NONE, NONE, ANY),
}
COLUMNS: tuple[MemberRole | PlatformRole, ...] = (
    MemberRole.VIEWER,
    MemberRole.MEMBER,
    MemberRole.APPROVER,
    MemberRole.ADMIN,
    PlatformRole.AUDITOR,
    PlatformRole.ADMIN,
)

# The scope a token needs before its owner's right counts.
SCOPES: dict[Can, Scope] = {
    Can.SEE_TEAM: Scope.READ,
    Can.SEE_KEY: Scope.READ,
    Can.ISSUE_KEY: Scope.KEYS_ISSUE,
    Can.RENEW_KEY: Scope.KEYS_MANAGE,
    Can.REVOKE_KEY: Scope.KEYS_MANAGE,
    Can.LIFT_PAUSE: Scope.KEYS_MANAGE,
    Can.DECIDE: Scope.TEAM_MANAGE,  # a token that may end keys may not allow them
    Can.TRANSFER_KEY: Scope.KEYS_MANAGE,
    Can.ACT_FOR_SERVICE: Scope.KEYS_MANAGE,
    Can.MANAGE_MEMBERS: Scope.TEAM_MANAGE,
    Can.MANAGE_WEBHOOKS: Scope.TEAM_MANAGE,
    Can.END_TOKENS: Scope.PLATFORM_MANAGE,
    Can.SET_TEAM_BUDGET: Scope.TEAM_MANAGE,
    Can.SEE_TEAM_AUDIT: Scope.AUDIT_READ,  # a program that collects acts may change nothing
    Can.SEE_PLATFORM: Scope.PLATFORM_READ,
    Can.MANAGE_PLATFORM: Scope.PLATFORM_MANAGE,
}


def reach(can: Can, role: MemberRole | PlatformRole) -> Reach:
    """How far `role` carries the right. By identity: a team's "admin" and the platform's are equal as text."""
    return next(found for column, found in zip(COLUMNS, TABLE[can], strict=True) if column is role)


def holds_keys(role: MemberRole | PlatformRole) -> bool:
    """Whether it may hold keys: who is given another one loses theirs."""
    return reach(Can.ISSUE_KEY, role) is not Reach.NONE


def leads(role: str) -> bool:
    """Whether it is a team admin's: a team keeps one of those."""
    return bool(role) and MemberRole(role) is MemberRole.ADMIN


def strength(role: str, *, platform: bool = False) -> int:
    """How much a role is among those of its kind: one more than the weaker one. No role is 0."""
    return [*PlatformRole].index(PlatformRole(role)) if platform else ["", *MemberRole].index(role)


def together(reaches: Iterable[Reach]) -> Reach:
    """How far several roles go together."""
    found = {*reaches, NONE}
    return ANY if {OWN, OTHERS} <= found else max(found, key=lambda each: each.value)


def roles_with(can: Can, *reaches: Reach) -> list[MemberRole]:
    """The member roles that carry the right so far, the weakest first."""
    return [role for role in MemberRole if reach(can, role) in reaches]
