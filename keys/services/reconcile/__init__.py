"""Reconcile: a gateway and our books, laid side by side once a day and on demand."""

from keys.services.reconcile.holding import (
    CHECKING,
    GAP,
    GatewayHeld,
    NotUnknown,
    Preview,
    preview,
    release,
    revoke_unknown,
    wake,
)
from keys.services.reconcile.probe import measure
from keys.services.reconcile.running import Outcome, run, run_due

__all__ = ["CHECKING", "GAP", "GatewayHeld", "NotUnknown", "Outcome", "Preview", "measure", "preview", "release",
           "revoke_unknown", "run", "run_due", "wake"]  # fmt: skip
