"""The verbs of a request: submit, approve, deny, cancel, claim; what deciders look at, and the sweep behind it."""

from keys.services.errors import NotClaimable
from keys.services.requests.asking import cancel, may_cancel, say, submit, submit_rise
from keys.services.requests.claiming import claim, may_claim
from keys.services.requests.deciders import deciders, may_decide, may_say, standing_approvals
from keys.services.requests.deciding import approve, deny
from keys.services.requests.ending import end_for, end_team
from keys.services.requests.errors import (
    ApprovedBefore,
    NothingToDecide,
    NotOpen,
    RiseRunning,
    TooManyWaiting,
    Wider,
)
from keys.services.requests.ordering import order
from keys.services.requests.sweeping import look_after
from keys.services.requests.thread import thread
from keys.services.requests.weighing import History, Similar, Stake, history_of, if_renewed, similar, stake

__all__ = ["ApprovedBefore", "History", "NotClaimable", "NotOpen", "NothingToDecide", "RiseRunning", "Similar",
           "Stake", "TooManyWaiting", "Wider", "approve", "cancel", "claim", "deciders", "deny", "end_for",
           "end_team", "history_of", "if_renewed", "look_after", "may_cancel", "may_claim", "may_decide", "may_say",
           "order", "say", "similar", "stake", "standing_approvals", "submit", "submit_rise", "thread"]  # fmt: skip
