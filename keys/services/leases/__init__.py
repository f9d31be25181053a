"""The verbs of a lease: issue, renew, rotate, pause, resume, transfer, revoke, expire."""

from keys.services.attempts import Issued, Trial
from keys.services.leases.ending import (
    Ending,
    Reach,
    end_for,
    end_orphaned,
    end_role,
    end_team,
    expire_overdue,
    reach,
    revoke,
    revoke_many,
)
from keys.services.leases.issuing import issue, open_roles
from keys.services.leases.many import NEEDS, Rotation, act_on_many, rotate_many
from keys.services.leases.pausing import may_lift, pause, resume, resume_for
from keys.services.leases.renewing import Renewal, renew, renewal
from keys.services.leases.rotating import GRACE, REPLACE, rotate
from keys.services.leases.transferring import heirs, transfer
from keys.services.terms import Ask, Terms, terms

__all__ = ["GRACE", "NEEDS", "REPLACE", "Ask", "Ending", "Issued", "Reach", "Renewal", "Rotation", "Terms", "Trial",
           "act_on_many", "end_for", "end_orphaned", "end_role", "end_team", "expire_overdue", "heirs", "issue",
           "may_lift", "open_roles", "pause", "reach", "renew", "renewal", "resume", "resume_for", "revoke",
           "revoke_many", "rotate", "rotate_many", "terms", "transfer"]  # fmt: skip
