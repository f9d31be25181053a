"""What teams and keys share: the audit trail, the sweeps' records, the letters."""

from portal.models.audit import AuditCut, AuditEvent, AuditHead, AuditSeal
from portal.models.cache import CacheRow
from portal.models.installation import Installation
from portal.models.letter import DigestLine, Letter, LetterQuerySet
from portal.models.outgoing import Outgoing, OutgoingQuerySet
from portal.models.repeat import Repeat
from portal.models.sweep import Sweep
from portal.models.texts import in_short, storable

__all__ = ["AuditCut", "AuditEvent", "AuditHead", "AuditSeal", "CacheRow", "DigestLine", "Installation", "Letter",
           "LetterQuerySet", "Outgoing", "OutgoingQuerySet", "Repeat", "Sweep", "in_short", "storable"]  # fmt: skip
