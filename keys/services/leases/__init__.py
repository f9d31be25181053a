"""The verbs of a lease: issue, renew, rotate, pause, resume, revoke, expire."""

from keys.services.attempts import Issued, Trial
from keys.services.leases.end import (
    Ending,
    Reach,
    end_all_of,
    end_for,
    end_orphaned,
    expire_overdue,
    reach,
    revoke,
    revoke_many,
)
from keys.services.leases.issue import issue, open_roles
from keys.services.leases.pause import pause, resume, resume_for
from keys.services.leases.renew import Renewal, renew, renewal
from keys.services.leases.rotate import GRACE, REPLACE, rotate
from keys.services.terms import Ask, Terms, terms

__all__ = ["GRACE", "REPLACE", "Ask", "Ending", "Issued", "Reach", "Renewal", "Terms", "Trial", "end_all_of",
           "end_for", "end_orphaned", "expire_overdue", "issue", "open_roles", "pause", "reach", "renew", "renewal",
           "resume", "resume_for", "revoke", "revoke_many", "rotate", "terms"]  # fmt: skip
