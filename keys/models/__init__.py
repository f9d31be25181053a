"""WHAT: gateways, key roles, leases with their key versions, intents."""

from keys.models.gateway import Gateway
from keys.models.intent import Intent
from keys.models.lease import KeyVersion, Lease, State
from keys.models.role import Approval, KeyRole

__all__ = ["Approval", "Gateway", "Intent", "KeyRole", "KeyVersion", "Lease", "State"]
