"""The audit trail: `record` writes it; sealing, verifying, retention and stream work behind the writers' backs."""

from portal.audit.writing import NOWHERE, STRANGER, Actor, Origin, origin, record, recorded

__all__ = ["NOWHERE", "STRANGER", "Actor", "Origin", "origin", "record", "recorded"]
