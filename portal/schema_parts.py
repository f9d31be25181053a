"""Parts of the schema that many operations share: the error, its answers, headers and parameters."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_TEXT = {"type": "string"}
SCHEMAS: dict[str, Json] = {
    "Error": {
        "type": "object",
        "description": "What went wrong, and what to do about it.",
        "required": ["error"],
        "additionalProperties": False,
        "properties": {
            "error": {
                "type": "object",
                "required": ["action", "code", "details", "message", "retryable"],
                "additionalProperties": False,
                "properties": {
                    "code": {**_TEXT, "description": "Stable; `/api/v1/errors/<code>/` explains it."},
                    "message": {**_TEXT, "description": "What happened."},
                    "action": {**_TEXT, "description": "What to do about it."},
                    "retryable": {"type": "boolean", "description": "Whether the same call may work later, unchanged."},
                    "details": {
                        "type": "object",
                        "additionalProperties": True,
                        "description": "Facts by name: for input that cannot be used, each field and what is wrong.",
                    },
                },
            }
        },
    }
}

HEADERS: dict[str, Json] = {
    "Retry-After": {"schema": {"type": "string"}, "description": "Seconds to wait before the same call."},
    "Idempotency-Replayed": {
        "schema": {"type": "string", "enum": ["true"]},
        "description": "There when this is the answer of an earlier call with the same `Idempotency-Key`.",
    },
    "Link": {"schema": {"type": "string"}, "description": 'Leads to the page of the error\'s code, as `rel="help"`.'},
    "RateLimit-Limit": {"schema": {"type": "integer", "minimum": 0}, "description": "Calls a minute."},
    "RateLimit-Remaining": {"schema": {"type": "integer", "minimum": 0}, "description": "Calls left of this minute."},
    "RateLimit-Reset": {"schema": {"type": "integer", "minimum": 0}, "description": "Seconds until the next minute."},
}

PARAMETERS: dict[str, Json] = {
    "IdempotencyKey": {
        "in": "header",
        "name": "Idempotency-Key",
        "description": "Chosen by the caller: sent again with the same body, the act is not done a second time.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
    }
}


def _answer(description: str, code: str, message: str, action: str, **more: Any) -> Json:
    example = {"code": code, "message": message, "action": action, "retryable": False, "details": {}, **more}
    content = {"schema": {"$ref": "#/components/schemas/Error"}, "example": {"error": example}}
    return {"description": description, "content": {"application/json": content}}


RESPONSES: dict[int, tuple[str, Json]] = {
    400: ("BadRequest", _answer(
        "The body is no JSON, or the request cannot be read.", "parse_error",
        "JSON parse error - Expecting value: line 1 column 1 (char 0)", "Correct the request and send it again.",
    )),
    401: ("Unauthenticated", _answer(
        "No token, or none that is alive and may be used from where you are.", "not_authenticated",
        "Authentication credentials were not provided.",
        "Send `Authorization: Bearer kd_…` with a token that is alive.",
    )),
    403: ("NotAllowed", _answer(
        "You see it, and may not do this.", "not_allowed", "You may not do this.", "Ask a team admin.",
        details={"right": "key.revoke", "who": ["ines@example.com"]},
    )),
    404: ("NotFound", _answer(
        "Not there, or not yours to see.", "not_found", "Not found.",
        "Check the address; you may not be allowed to see it.",
    )),
    406: ("NotAcceptable", _answer(
        "Answers are JSON.", "not_acceptable", "Could not satisfy the request Accept header.", "Try again.",
    )),
    409: ("Conflict", _answer(
        "The state has changed, or the act does not fit it.", "conflict", "This does not fit what is there now.",
        "Look at the current state, then decide again.",
    )),
    410: ("Gone", _answer(
        "It was there, and is over.", "invitation_expired", "This invitation is over.", "Ask for another one.",
    )),
    415: ("UnsupportedMediaType", _answer(
        "Bodies are JSON.", "unsupported_media_type", 'Unsupported media type "text/plain" in request.',
        "Send JSON, with `Content-Type: application/json`.",
    )),
    422: ("Invalid", _answer(
        "Something that was sent cannot be used; `details` names it.", "invalid", "Some of this cannot be used.",
        "Correct what is named and send it again.", details={"ttl": "Seconds as a number, or text like 24h."},
    )),
    429: ("TooMany", _answer(
        "Too often; wait as long as `Retry-After` says.", "too_many", "That was too often.",
        "Wait a while, then repeat it.", retryable=True, details={"retry_after": 17},
    )),
    503: ("Unavailable", _answer(
        "The gateway, or something else that Keydesk needs, is away; nothing is lost.", "gateway_away",
        "The gateway prod cannot be reached.", "Try again in a minute.", retryable=True,
    )),
}  # fmt: skip
