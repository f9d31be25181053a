"""The troubles of keys and gateways."""

from __future__ import annotations

from http import HTTPStatus

from django.utils.translation import gettext_noop

from keys.models import Lease
from portal.errors import Conflict, PortalError, TooMany, Unavailable


class NotConfigured(Unavailable):
    code, retryable = "not_configured", False
    message = gettext_noop("No gateway is configured yet.")
    action = gettext_noop(
        "A platform admin enters one under Gateways, or sets LITELLM_BASE_URL and LITELLM_MASTER_KEY."
    )


class GatewayAway(Unavailable):
    """The proxy cannot be reached, or its breaker is open."""

    code = "gateway_away"
    action = gettext_noop("Try again in a minute. Nothing is lost.")


class GatewayRefused(Conflict):
    """The proxy answered and said no; its own status is never passed on."""

    code = "gateway_refused"
    action = gettext_noop("Show this message to a platform admin.")
    upstream: int | None = None  # the proxy's own status, for our eyes only


class GatewayNotAllowed(GatewayRefused):
    """The gateway stands where none may be: nothing was sent there."""

    code = "gateway_not_allowed"
    action = gettext_noop("A platform admin changes its base URL, or KEYDESK_GATEWAY_HOSTS.")


class TooManyKeys(TooMany):
    """One holder got more keys within an hour than KEYDESK_ISSUES_AN_HOUR."""

    code = "too_many_keys"
    action = gettext_noop("Wait, or use a key that is there; a platform admin can set KEYDESK_ISSUES_AN_HOUR.")


class OverLimit(PortalError):
    """More was asked than the key role gives."""

    code, status = "over_limit", HTTPStatus.UNPROCESSABLE_ENTITY
    on_record = True
    action = gettext_noop("Ask for no more than the key role gives, or choose another role.")


class ApprovalNeeded(PortalError):
    """A person must decide first: this door issues nothing before. `details` name what is more than the role gives."""

    code, status = "approval_needed", HTTPStatus.FORBIDDEN
    message = gettext_noop("This needs an approval.")
    action = gettext_noop("Ask for it on the page Issue a key. Once it is approved, its holder claims the key.")


class NotClaimable(Conflict):
    """There is nothing to claim, not yet or not any more."""

    code = "not_claimable"
    action = gettext_noop("Look at the request for how it stands, or ask again.")


class AllowanceSpent(Conflict):
    code = "allowance_spent"
    action = gettext_noop("Revoke one that you no longer need, then issue again.")


class RoleEnded(Conflict):
    code = "role_ended"
    message = gettext_noop("This key role is not open to the team.")
    action = gettext_noop("Choose another role.")


class EndedMeanwhile(Conflict):
    """Somebody ended the lease, or access to it, while it was being issued. No key is left."""

    code = "ended_meanwhile"
    message = gettext_noop("This key was ended while it was being issued. No key was left behind.")
    action = gettext_noop("Look at the lease for the reason, then issue again.")


class AlreadyIssued(Conflict):
    """The same form was sent twice; `lease` is what the first one made."""

    code = "already_issued"
    message = gettext_noop("This form has already issued its key.")
    action = gettext_noop("Open the lease. A secret that was not copied cannot be shown again.")

    def __init__(self, lease: Lease) -> None:
        super().__init__(details={"lease": str(lease.pk)})
        self.lease = lease


class NotNow(Conflict):
    """The lease is in a state in which this cannot be done."""

    code = "not_now"
    action = gettext_noop("Look at the key for how it stands.")


class NothingLeft(Conflict):
    """The lease has reached its max TTL."""

    code = "nothing_left"
    action = gettext_noop("Issue another key; this one works until its end.")


class HolderLeft(Conflict):
    code = "holder_left"
    message = gettext_noop("Its holder may not hold keys of this team any more.")
    action = gettext_noop("A team admin puts the holder back into the team, or the key ends.")


class RotationInOverlap(Conflict):
    """An older secret's grace period still runs."""

    code = "rotation_in_overlap"
    action = gettext_noop(
        "Wait until it has ended, or replace the secret now (grace 0): that ends every older one at once."
    )


class AlreadyRotated(Conflict):
    """The version that was to be replaced is not the current one any more: the form was sent before, or another."""

    code = "already_rotated"
    message = gettext_noop("This key has been rotated since the form was opened.")
    action = gettext_noop("Look at its versions. A secret that was not copied cannot be shown again, only replaced.")


class TeamEnded(Conflict):
    code = "team_ended"
    action = gettext_noop("Choose another team.")


class NothingToForce(Conflict):
    code = "nothing_to_force"
    message = gettext_noop("Only an ending can be forced.")
    action = gettext_noop("Retry it, or forget it.")
