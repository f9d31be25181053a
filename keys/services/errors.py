"""The troubles of keys and gateways."""

from __future__ import annotations

from http import HTTPStatus

from keys.models import Lease
from portal.errors import Conflict, PortalError, TooMany, Unavailable


class NotConfigured(Unavailable):
    code, retryable = "not_configured", False
    message = "No gateway is configured yet."
    action = "A platform admin enters one under Gateways, or sets LITELLM_BASE_URL and LITELLM_MASTER_KEY."


class GatewayAway(Unavailable):
    """The proxy cannot be reached, or its breaker is open."""

    code = "gateway_away"
    action = "Try again in a minute. Nothing is lost."


class GatewayRefused(Conflict):
    """The proxy answered and said no; its own status is never passed on."""

    code = "gateway_refused"
    action = "Show this message to a platform admin."
    upstream: int | None = None  # the proxy's own status, for our eyes only


class GatewayNotAllowed(GatewayRefused):
    """The gateway stands where none may be: nothing was sent there."""

    code = "gateway_not_allowed"
    action = "A platform admin changes its base URL, or KEYDESK_GATEWAY_HOSTS."


class TooManyKeys(TooMany):
    """One holder got more keys within an hour than KEYDESK_ISSUES_AN_HOUR."""

    code = "too_many_keys"
    action = "Wait, or use a key that is there; a platform admin can set KEYDESK_ISSUES_AN_HOUR."


class OverLimit(PortalError):
    """More was asked than the key role gives."""

    code, status = "over_limit", HTTPStatus.UNPROCESSABLE_ENTITY
    on_record = True
    action = "Ask for no more than the key role gives, or choose another role."


class ApprovalNeeded(Conflict):
    code = "approval_needed"
    message = "Keys of this role need an approval, and requests are not part of this version yet."
    action = "Choose a role that issues at once, or ask a platform admin."


class AllowanceSpent(Conflict):
    code = "allowance_spent"
    action = "Revoke one that you no longer need, then issue again."


class RoleEnded(Conflict):
    code = "role_ended"
    message = "This key role is not open to the team."
    action = "Choose another role."


class EndedMeanwhile(Conflict):
    """Somebody ended the lease, or access to it, while it was being issued. No key is left."""

    code = "ended_meanwhile"
    message = "This key was ended while it was being issued. No key was left behind."
    action = "Look at the lease for the reason, then issue again."


class AlreadyIssued(Conflict):
    """The same form was sent twice; `lease` is what the first one made."""

    code = "already_issued"
    message = "This form has already issued its key."
    action = "Open the lease. A secret that was not copied cannot be shown again."

    def __init__(self, lease: Lease) -> None:
        super().__init__(details={"lease": str(lease.pk)})
        self.lease = lease


class NotNow(Conflict):
    """The lease is in a state in which this cannot be done."""

    code = "not_now"
    action = "Look at the key for how it stands."


class NothingLeft(Conflict):
    """The lease has reached its max TTL."""

    code = "nothing_left"
    action = "Issue another key; this one works until its end."


class HolderLeft(Conflict):
    code = "holder_left"
    message = "Its holder may not hold keys of this team any more."
    action = "A team admin puts the holder back into the team, or the key ends."


class RotationInOverlap(Conflict):
    """An older secret's grace period still runs."""

    code = "rotation_in_overlap"
    action = "Wait until it has ended, or replace the secret now (grace 0): that ends every older one at once."


class AlreadyRotated(Conflict):
    """The version that was to be replaced is not the current one any more: the form was sent before, or another."""

    code = "already_rotated"
    message = "This key has been rotated since the form was opened."
    action = "Look at its versions. A secret that was not copied cannot be shown again, only replaced."


class TeamEnded(Conflict):
    code = "team_ended"
    action = "Choose another team."


class NothingToForce(Conflict):
    code = "nothing_to_force"
    message = "Only an ending can be forced."
    action = "Retry it, or forget it."
