"""WHAT: gateways, key roles, leases with their key versions, intents, money, findings."""

from keys.models.finding import Finding, UnmanagedKey
from keys.models.gateway import Gateway
from keys.models.intent import Intent
from keys.models.lease import EndReason, KeyVersion, Lease, State
from keys.models.proposal import Proposal
from keys.models.role import Approval, KeyRole
from keys.models.spend import Counter, SpendDay

__all__ = ["Approval", "Counter", "EndReason", "Finding", "Gateway", "Intent", "KeyRole", "KeyVersion", "Lease",
           "Proposal", "SpendDay", "State", "UnmanagedKey"]  # fmt: skip
