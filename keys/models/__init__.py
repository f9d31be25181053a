"""WHAT: gateways, key roles, requests, leases with their key versions, intents, money, findings."""

from keys.models.advice import Advice
from keys.models.finding import Finding, UnmanagedKey
from keys.models.gateway import Gateway
from keys.models.intent import Intent
from keys.models.lease import EndReason, KeyVersion, Lease, State
from keys.models.proposal import Proposal
from keys.models.request import Bounds, KeyRequest, RequestEntry
from keys.models.role import Approval, Decider, KeyRole
from keys.models.role_version import How, RoleVersion
from keys.models.spend import Counter, SpendDay
from keys.models.statement import Statement, StatementLine

__all__ = ["Advice", "Approval", "Bounds", "Counter", "Decider", "EndReason", "Finding", "Gateway", "How", "Intent",
           "KeyRequest", "KeyRole", "KeyVersion", "Lease", "Proposal", "RequestEntry", "RoleVersion", "SpendDay",
           "State", "Statement", "StatementLine", "UnmanagedKey"]  # fmt: skip
