"""The registry of errors: every stable code, what it means, and the statuses that it comes with.

docs/api/errors.md is written from it (`manage.py errorcodes --write`), and the pages under /api/v1/errors/ are made of
it. What to do about an error stands where it is raised, in `action`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from portal.api import ACTIONS
from portal.errors import PortalError
from portal.views import TROUBLES


@dataclass(frozen=True, slots=True)
class Code:
    """One stable code. `when`: Markdown, what it is the answer to."""

    code: str
    when: str
    statuses: tuple[int, ...]

    @property
    def told(self) -> str:
        """The statuses with their names."""
        return ", ".join(f"{status} {HTTPStatus(status).phrase}" for status in self.statuses)

    @property
    def action(self) -> str:
        """What to do, unless an answer knows better."""
        return _said().get(self.code, (ACTIONS.get(self.statuses[0], "Try again."), False))[0]

    @property
    def retryable(self) -> bool:
        """Whether the same call may work later, unchanged."""
        return _said().get(self.code, ("", self.statuses[0] in {429, 503}))[1]

    @property
    def where(self) -> str:
        """Which calls give it."""
        return next(where for where, codes in BY_CALLS.items() if self in codes)

    @property
    def as_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "statuses": list(self.statuses),
            "when": self.when,
            "action": self.action,
            "retryable": self.retryable,
            "where": self.where,
        }


def _said() -> dict[str, tuple[str, bool]]:
    """What to do and whether to repeat it, of every error of ours that is loaded; of two, the more general one."""
    found = {each.code: (each.action, each.retryable) for each in TROUBLES}
    return found | {kind.code: (kind.action, kind.retryable) for kind in reversed([*_every(PortalError)])}


def _every(kind: type[PortalError]) -> Iterator[type[PortalError]]:
    """Itself, then its subclasses, level by level."""
    level = [kind]
    while level:
        yield from level
        level = [each for above in level for each in above.__subclasses__()]


def _code(code: str, when: str, *statuses: int) -> Code:
    return Code(code, when, statuses)


BY_CALLS = {
    "Any call": (
        _code("parse_error", "the body is no JSON, or the request cannot be read", 400),
        _code("bad_request", "the body is no JSON, or the request cannot be read", 400),
        _code("not_authenticated", "no token, or none that is alive and may be used from where you are", 401),
        _code("authentication_failed", "no token, or none that is alive and may be used from where you are", 401),
        _code(
            "not_allowed",
            "`details.right` is missing; `details.who` names up to three people who have it, where you "
            "may know; `details.scope` when the token lacks it",
            403,
        ),
        _code(
            "sign_in_again",
            "a browser's session that signed in too long ago for this act; tokens are never asked",
            403,
        ),
        _code(
            "second_factor_needed",
            "a browser's session of somebody whose role needs a second factor, and who has none",
            403,
        ),
        _code("permission_denied", "a browser's session without its CSRF token", 403),
        _code("stale_form", "a browser's session without its CSRF token", 403),
        _code(
            "not_found",
            "not there, or not yours to see; for a name in the body `details` says which (`POST keys/` "
            "answers 422 `invalid` there)",
            404,
        ),
        _code("method_not_allowed", "this address does not take that method", 405),
        _code("not_acceptable", "answers are JSON", 406),
        _code("unsupported_media_type", "send `Content-Type: application/json`", 415),
        _code("invalid", "`details` names the fields", 422),
        _code(
            "unknown_field",
            "the body has a field that the act does not have; `details` names each, and nothing was done",
            422,
        ),
        _code(
            "too_many",
            "more than one actor may ask for in a while; `details.retry_after` in seconds, and `Retry-After`",
            429,
        ),
        _code("conflict", "somebody else changed it meanwhile", 409),
        _code("in_progress", "the call with this `Idempotency-Key` still runs; send it again after `Retry-After`", 409),
        _code(
            "outcome_unknown",
            "the call with this `Idempotency-Key` was begun and never answered; look before you repeat it with another",
            409,
        ),
        _code("idempotency_mismatch", "this `Idempotency-Key` was sent with another address or body", 422),
        _code(
            "throttled",
            "wait as long as `Retry-After` says: more calls than the token has in a minute, or too many wrong tokens "
            "from your address",
            429,
        ),
        _code("internal_error", "our mistake; the log has it under the `request_id`", 500),
        _code("unavailable", "something Keydesk needs is away", 503),
        _code("error", "nothing better is known", 400),
    ),
    "Keys": (
        _code(
            "too_many_keys",
            "the holder, or who asks, got `KEYDESK_ISSUES_AN_HOUR` keys within an hour; "
            "`details.retry_after` in seconds, and `Retry-After`",
            429,
        ),
        _code("over_limit", "more than the key role gives", 422),
        _code("gateway_refused", "the proxy says no; 422 when our input was at fault", 409, 422),
        _code("allowance_spent", "the holder has as many live keys as the role allows", 409),
        _code("role_ended", "it gives no keys any more, or not to this team", 409),
        _code("team_ended", "it gives no keys any more, or not to this team", 409),
        _code("holder_left", "the holder may not hold keys of this team any more", 409),
        _code("nothing_left", "the lease has reached its max TTL: issue another key", 409),
        _code("not_now", "the key's state does not allow it: paused, ended, over its time", 409),
        _code("rotation_in_overlap", "an older secret's grace period still runs; `grace: 0` replaces all", 409),
        _code("already_rotated", "the version in `replaces` is not the current one", 409),
        _code("already_issued", "the same order was sent before; `details.lease`", 409),
        _code("ended_meanwhile", "somebody ended the key during the call; no key is left", 409),
        _code("invitation_used", "nobody can accept it any more; the page says since when", 410),
        _code("invitation_expired", "nobody can accept it any more; the page says since when", 410),
        _code("invitation_withdrawn", "nobody can accept it any more; the page says since when", 410),
        _code("gateway_away", "the proxy cannot be reached; nothing is lost, and the lease is as it was", 503),
    ),
    "Requests": (
        _code(
            "approval_needed",
            "a person must decide first; `action` has the page where to ask. `POST keys/` asks by itself",
            403,
        ),
        _code("nothing_to_decide", "the key role gives this at once: issue the key", 409),
        _code("request_closed", "the request was decided, cancelled, claimed, or has lapsed", 409),
        _code("wider_than_asked", "an approver gives what was asked, or less", 422),
        _code("approved_before", "two different people must approve, and this one has", 409),
        _code(
            "not_claimable",
            "there is no key to claim: not approved, over its time, or being issued at this moment",
            409,
        ),
        _code("rise_running", "one rise of a key at a time", 409),
        _code("too_many_waiting", "that many requests of one person wait for a decision", 409),
    ),
    "Teams and people": (
        _code("over_ceiling", "more than the platform gives the team", 422),
        _code("over_team_budget", "a member's budget above the team's", 422),
        _code("slug_taken", "a team with that slug exists", 409),
        _code("name_taken", "the team has a service account with that name, perhaps an ended one", 409),
        _code("last_admin", "a team keeps one admin", 409),
        _code("no_account", "nobody has this address, and Keydesk itself invites nobody", 409),
        _code("kept_by_provider", "a group of the identity provider gives this; `details.given_by`", 409),
        _code("last_platform_admin", "Keydesk keeps one active platform admin", 409),
        _code("too_many_invitations", "one person's letters within an hour; `details.retry_after` in seconds", 429),
    ),
    "The platform": (
        _code("second_admin_needed", "nothing was done: `details.proposal` waits for another platform admin", 409),
        _code("proposal_over", "it was decided, has expired, or its target changed since", 409),
        _code("in_use", "something hangs on it: `details` says what; `?force=true` does it all the same", 409),
        _code("already_there", "the proxy has one of that name or id", 409),
        _code("in_config", "it stands in the proxy's configuration file, and is changed there", 409),
        _code("several_of_that_name", "several deployments have the name: use one of `details.ids`", 409),
        _code("kept_by_keydesk", "the proxy's user stands for a holder, or has keys that are leases", 409),
        _code(
            "gateway_not_allowed",
            "the gateway stands where none may be (`KEYDESK_GATEWAY_HOSTS`, link-local addresses): nothing was sent",
            409,
        ),
        _code("nothing_to_force", "only an ending can be forced", 409),
        _code("finding_closed", "the finding was answered, or is gone", 409),
        _code("cannot_restore", "not with a finding, or a key, like this; `message` says why", 409),
        _code("cannot_adopt", "not with a finding, or a key, like this; `message` says why", 409),
        _code("cannot_ignore", "not with a finding, or a key, like this; `message` says why", 409),
        _code("changed_since", "it is not on the gateway any more as it was found", 409),
        _code("not_unknown", "this key has a lease, or is not of this installation", 409),
        _code("gateway_held", "nothing is ended on a held gateway: release it first", 409),
        _code("key_gone", "the key to adopt is not on the gateway any more", 409),
        _code("of_another_keydesk", "it is on another Keydesk's books; `take_over` adopts it all the same", 409),
        _code("already_imported", "it is a lease; `details.lease`", 409),
        _code("already_decided", "somebody decided about this departure", 409),
        _code("busy", "somebody else walks that gateway at this moment", 503),
        _code("not_configured", "there is no gateway yet", 503),
    ),
    "Pages, letters, the log and SCIM; no call of the REST API": (
        _code("already_made", "of API tokens and webhooks: the same form or call was sent before", 409),
        _code("webhook_off", "of webhooks: nothing is sent to it", 409),
        _code(
            "last_factor",
            "on the pages of one's own account: the role needs a second factor, and this is the last one",
            409,
        ),
        _code("too_many_tries", "on the pages of signing in", 429),
        _code("already_mapped", "on the pages of group mappings: the group gives something there already", 409),
        _code(
            "last_way_in",
            "on the page of sign-in connections: set a password or connect another provider first",
            409,
        ),
        _code("sign_in_lost", "on the pages of single sign-on: it was not begun in this browser; start again", 400),
        _code(
            "sign_in_stopped",
            "on the pages of single sign-on: you or the provider said no; Keydesk does not let this account in",
            403,
        ),
        _code(
            "sign_in_refused",
            "on the pages of single sign-on: you or the provider said no; Keydesk does not let this account in",
            403,
        ),
        _code("provider_away", "on the pages of single sign-on: the identity provider does not answer", 503),
        _code(
            "audit_head_forged",
            "in the log, the doctor and on Operations: the audit chain's head is not ours; its stream is not taken",
            503,
        ),
        _code(
            "audit_stream_away",
            "in the log, the doctor and on Operations: the audit chain's head is not ours; its stream is not taken",
            503,
        ),
        _code("uniqueness", "for a SCIM client, in SCIM's shape: taken by another; must be able to sign in", 409),
        _code("protected", "for a SCIM client, in SCIM's shape: taken by another; must be able to sign in", 409),
        _code("account_exists", "on the invitation's page: there is an account, sign in with it", 409),
        _code("plan_changed", "of leaving: what it ends is no longer what was shown", 409),
        _code(
            "simulation_changed",
            "on the pages of key roles: what a change does to live keys is no longer what was shown",
            409,
        ),
        _code("advice_closed", "right-sizing: it was answered, or is gone", 409),
        _code("cannot_apply", "right-sizing: it is done by hand", 409),
        _code("figures_changed", "right-sizing: what is proposed is no longer what was shown", 409),
        _code("wrong_days", "on the pages and exports of spend: `from` and `to` are no range of days", 422),
        _code("invitation_for_another", "an invitation is for one address alone", 403),
        _code("invitation_unknown", "no invitation has this link", 404),
    ),
    "Signing the command line in": (
        _code("authorization_pending", "nobody has confirmed the code yet; ask again after `interval`", 400),
        _code("slow_down", "asked before the interval was over; `details.retry_after`", 400),
        _code("expired_token", "not confirmed within ten minutes, collected before, or none of ours", 400),
        _code("access_denied", "the person sent it away, or may not sign in any more", 400),
        _code("device_code_unknown", "on the page `/device/`: no login waits with that code", 404),
        _code("no_login", "only a login of the command line is refreshed, and only a token ends itself", 409),
    ),
}
CODES = {each.code: each for codes in BY_CALLS.values() for each in codes}


def table() -> str:
    """The registry as docs/api/errors.md has it."""
    parts = []
    for where, codes in BY_CALLS.items():
        rows = [f"| `{each.code}` | {', '.join(map(str, each.statuses))} | {each.when} |" for each in codes]
        parts.append("\n".join([f"### {where}", "| code | status | when |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"
