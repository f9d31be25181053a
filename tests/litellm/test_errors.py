import pickle
from collections.abc import Iterator

import pytest
import time_machine

from portal.litellm import errors
from portal.litellm.errors import LiteLLMError, redact, refusal, said, secrets_in

ADVERTISEMENT = (
    "You must be a LiteLLM Enterprise user to use this feature. If you have a license please set"
    " `LITELLM_LICENSE` in your env. Get a 7 day trial key here: https://www.litellm.ai/. \nPricing: https://x"
)


def wrapped(message, kind="internal_server_error", code="400"):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


# Answers recorded from LiteLLM 1.106.2, shortened, by the error that they mean
RECORDED = {
    errors.AlreadyExists: {
        "alias taken": (
            400,
            wrapped("Key with alias 'a' already exists. Unique key aliases", "bad_request_error"),
        ),
        "team id taken": (
            400,
            wrapped("{'error': 'Team id = t already exists. Please use a different team id.'}"),
        ),
        "team made by another at the same time": (
            500,
            wrapped("Unique constraint failed on the fields: (`team_id`)"),
        ),
        "user id taken": (409, wrapped("{'error': 'User with id u already exists'}")),
        "credential taken": (
            409,
            wrapped("Credential 'c' already exists. Update it with PATCH /credentials/c"),
        ),
        "tag taken": (500, {"detail": "400: Tag t already exists"}),
        "budget taken": (400, {"detail": {"error": "Budget with id 'b' already exists."}}),
        "already a member": (
            400,
            wrapped("User already in team. Member: user_id=u", "team_member_already_in_team"),
        ),
    },
    errors.Invalid: {
        "bad duration on generate": (500, wrapped("Invalid duration format", code="500")),
        "bad budget window": (400, wrapped("{'error': \"Invalid budget_duration 'banana'.\"}")),
        "negative budget": (400, wrapped("{'error': 'max_budget must be a non-negative finite number.'}")),
        "wrong type": (
            422,
            {"detail": [{"type": "list_type", "loc": ["body", "models"], "msg": "Input should be a list"}]},
        ),
        "chosen key too short": (400, wrapped("{'error': 'Invalid key format.'}")),
        "no team for a service account": (400, {"detail": "team_id is required for service account keys."}),
        "reset above spend": (400, {"detail": {"error": "reset_to (5.0) must be <= current spend (0.0)"}}),
        "unknown model in a call": (400, wrapped("/chat/completions: Invalid model name passed in model=m.")),
    },
    errors.KeyNotFound: {
        "unknown key": (404, wrapped("Key not found in database", "not_found_error", "404")),
        "unknown key to update": (404, wrapped("Key not found.", "not_found_error", "404")),
        "no key to delete": (404, wrapped("{'error': 'No keys found'}", code="404")),
    },
    errors.TeamNotFound: {
        "team of the key missing": (
            404,
            wrapped("{'error': \"Team doesn't exist in db. Team=t.\"}", "auth_error"),
        ),
        "unknown team": (404, wrapped("{'message': 'Team not found, passed team id: t.'}", "auth_error")),
        "unknown team to block": (404, {"detail": {"error": "Team not found, passed team_id=t"}}),
        "unknown team of a member": (400, {"detail": {"error": "Team id=t does not exist in db"}}),
    },
    errors.NotFound: {
        "unknown user": (404, wrapped("User u not found", code="404")),
        "unknown model": (400, {"detail": {"error": "Model id = m not found on litellm proxy"}}),
        "unknown model to delete": (
            400,
            wrapped("{'error': 'Model with id=m not found in db'}", "auth_error"),
        ),
        "unknown credential": (404, wrapped("Credential not found. Got credential name: c")),
    },
    errors.NoSuchRoute: {
        "no such route": (404, {"detail": "Not Found"}),
        "a web server's own 404": (404, None),
        "wrong method": (405, {"detail": "Method Not Allowed"}),
    },
    errors.Unauthorized: {
        "no key": (401, wrapped("Authentication Error, No api key passed in.", "auth_error", "401")),
        "wrong key": (
            401,
            wrapped("Authentication Error, Invalid proxy server token passed.", "token_not_found_in_db"),
        ),
        "expired key": (401, wrapped("Authentication Error - Expired Key.", "expired_key", "401")),
        "blocked key": (401, wrapped("Authentication Error, Key is blocked.", "auth_error", "401")),
    },
    errors.WrongRole: {
        "not an admin": (
            401,
            wrapped("Authentication Error, Only proxy admin can be used to generate", "auth_error"),
        ),
    },
    errors.Forbidden: {
        "no user": (
            403,
            wrapped("You are not authorized to access this endpoint.", "bad_request_error", "403"),
        ),
        "model not allowed": (
            403,
            wrapped("The requested model 'm' is not available", "key_model_access_denied"),
        ),
    },
    errors.ChosenKeysRefused: {
        "chosen keys off": (
            403,
            wrapped("{'error': 'Custom API key values are disabled by your administrator.'}"),
        ),
    },
    errors.LicenceNeeded: {
        "licence: tags": (
            403,
            wrapped("{'error': 'This feature is only available for LiteLLM Enterprise users: tags.'}"),
        ),
        "licence: regenerate": (
            500,
            wrapped(f"Regenerating Virtual Keys is an Enterprise feature, {ADVERTISEMENT}"),
        ),
        "licence: organization": (
            403,
            {"detail": {"error": "Organizations are only available for LiteLLM Enterprise users."}},
        ),
        "licence: report": (400, {"detail": {"error": f"/spend/report endpoint {ADVERTISEMENT}"}}),
        "licence: team admin": (
            400,
            {"detail": {"error": f"Assigning team admins is a premium feature. {ADVERTISEMENT}"}},
        ),
        "licence: model budget": (
            500,
            wrapped("You must have an enterprise license to set model_max_budget."),
        ),
    },
    errors.BudgetExceeded: {
        "over budget": (
            422,
            wrapped("Budget has been exceeded! Current cost: 1.4", "budget_exceeded", "422"),
        ),
        "over budget, older": (429, wrapped("Budget has been exceeded!", "budget_exceeded", "429")),
        "over budget, oldest": (400, wrapped("Budget has been exceeded! Current cost: 2", "budget_exceeded")),
    },
    errors.RateLimited: {
        "too many requests": (429, wrapped("Rate limit exceeded for api_key", "throttling_error", "429")),
    },
    errors.ServerError: {
        "unknown budget": (500, wrapped("{'error': 'Internal Server Error.'}", code="500")),
        "body not JSON": (
            500,
            {"error": {"message": "Internal server error", "type": "internal_server_error"}},
        ),
        "database away": (503, wrapped("No connected db.", "no_db_connection", "503")),
        "a gateway's page": (502, None),
    },
    errors.TimedOut: {
        "request time-out": (408, None),
    },
    errors.Refused: {
        "teapot": (418, None),
    },
}
CASES = [
    pytest.param(status, body, kind, id=name)
    for kind, rows in RECORDED.items()
    for name, (status, body) in rows.items()
]


@pytest.mark.parametrize(("status", "body", "expected"), CASES)
def test_each_refusal_becomes_its_own_error(status, body, expected):
    error = refusal(status, body)
    assert type(error) is expected
    assert error.status == status
    assert error.message
    assert error.action


@pytest.mark.parametrize(("status", "body", "expected"), CASES)
def test_a_refusal_says_that_nothing_was_applied_and_a_server_error_that_it_does_not_know(status, body, expected):
    assert refusal(status, body).applied is (None if expected in (errors.ServerError, errors.TimedOut) else False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "plain"}}, "plain"),
        ({"error": {"message": "{'error': 'inside a repr'}"}}, "inside a repr"),
        ({"error": {"message": "{'message': 'inside another'}"}}, "inside another"),
        ({"error": {"message": "{'error': {'message': 'deep'}}"}}, "deep"),
        ({"error": {"message": "{broken"}}, "{broken"),
        ({"error": "text"}, "text"),
        ({"detail": "text"}, "text"),
        ({"detail": {"error": "text"}}, "text"),
        (
            {"detail": [{"loc": ["query", "size"], "msg": "too big"}, {"loc": ["body"], "msg": "bad"}]},
            "query.size: too big; body: bad",
        ),
        ({"title": "Conflict", "detail": "problem+json", "status": 409}, "problem+json"),
        ({"message": "text"}, "text"),
        ([], ""),
        (None, ""),
        ("text", "text"),
        ({"error": {"message": None}}, ""),
        ({"error": {"message": {"error": {"error": {"error": {"error": {"error": {"error": "x"}}}}}}}}, ""),
    ],
)
def test_every_shape_of_error_body_is_read(body, message):
    assert said(body)[0] == message


def test_an_error_without_a_reason_still_says_its_status():
    assert refusal(500, None).message == "The proxy answered 500 without a reason."


def test_the_advertisement_for_a_licence_is_left_out():
    message = refusal(400, {"detail": {"error": f"Team admins are a premium feature. {ADVERTISEMENT}"}}).message
    assert "trial" not in message
    assert "Pricing" not in message


def test_a_404_of_the_route_is_never_taken_for_a_missing_thing():
    assert not isinstance(refusal(404, {"detail": "Not Found"}), errors.NotFound)


def test_messages_are_short_and_on_one_line():
    message = refusal(500, {"detail": "two\nlines " + "x" * 5000}).message
    assert len(message) == errors.LONGEST_MESSAGE
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        "key sk-example1234 here",
        "Authorization: Bearer canary-token-1 here",
        "{'Authorization': 'bearer canary-token-1'}",
        'say "canary \\"secret\\"" or canary%20%22secret%22',
    ],
)
def test_whatever_looks_like_a_secret_is_blanked(text):
    clean = redact(text, ['canary "secret"'])
    assert "example1234" not in clean
    assert "canary" not in clean


def test_the_masked_name_of_a_key_is_no_secret():
    assert redact("Received API Key = sk-...x_hg") == "Received API Key = sk-...x_hg"


def test_secrets_of_a_body_are_found_by_the_names_of_their_fields_and_hashes_are_left():
    body = {
        "key": "chosen-key",
        "keys": ["one-key-of-many", "0" * 64],
        "key_alias": "alias-stays",
        "litellm_params": {
            "api_key": "provider-key",
            "aws_secret_access_key": "aws-secret",
            "model": "model-stays",
        },
        "credential_values": {"anything": "credential-value"},
        "max_budget": 1,
    }
    expected = {"chosen-key", "one-key-of-many", "provider-key", "aws-secret", "credential-value"}
    assert set(secrets_in(body)) == expected


def test_rate_limits_tell_how_long_to_wait():
    assert refusal(429, None, headers={"Retry-After": "7"}).retry_after == 7
    assert refusal(429, None, headers={"Retry-After": "soon"}).retry_after is None
    with time_machine.travel("2026-11-21T08:25:35Z", tick=False):
        assert refusal(429, None, headers={"Retry-After": "Sat, 21 Nov 2026 08:25:45 GMT"}).retry_after == 10
        told = wrapped("Rate limit exceeded. Limit resets at: 2026-11-21 08:25:45 UTC", "throttling_error")
        assert refusal(429, told).retry_after == 10
        past = wrapped("Rate limit exceeded. Limit resets at: 2026-11-21 08:25:05 UTC", "throttling_error")
        assert refusal(429, past).retry_after == 0


def every_error(kind: type[LiteLLMError] = LiteLLMError) -> Iterator[type[LiteLLMError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from every_error(below)


@pytest.mark.parametrize("kind", dict.fromkeys(every_error()))
def test_every_error_has_its_code_and_advice_and_survives_pickling(kind):
    error = kind("text", status=500)
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.message, again.status) == (kind.code, "text", 500)
    assert error.action.endswith(".")


def test_no_two_errors_share_a_code():
    kinds = set(every_error())
    assert len({kind.code for kind in kinds}) == len(kinds)
