"""Model calls: check the key as the proxy does, answer from a mock, charge the price."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from . import ledger
from .auth import Caller, bearer, digest
from .models import check_models, offered
from .refusals import Refusal, failure
from .store import Row
from .web import Answer, Request, route
from .windows import stamp

REPLY = "This answer comes from the Keydesk sandbox: the key works, and no model was called."
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Call:
    """One allowed and charged call."""

    model: str
    id: str
    created: int
    prompt: int
    completion: int
    cost: float  # USD

    @property
    def usage(self) -> Row:
        total = self.prompt + self.completion
        return {"completion_tokens": self.completion, "prompt_tokens": self.prompt, "total_tokens": total}


# --- checks ---------------------------------------------------------------------------------------


def check_budgets(request: Request) -> None:
    """Refuse a caller whose own, team's, member's or owner's budget is spent: 422, before the call."""
    caller = request.caller
    if caller.key is None:
        return
    check_spent(caller.key, f"Key={caller.key['key_alias'] or 'key'} ({caller.key['key_name']})")
    if caller.team:
        # A budget of a member needs no member: a row that an update made is enough (LiteLLM 1.106.2, seen).
        membership = request.db.get("members", f"{caller.team['team_id']}/{caller.user_id}")
        if membership and (limit := membership["litellm_budget_table"]):
            owner = f"User={caller.user_id} in Team={caller.team['team_id']}"
            check_spent(membership | {"max_budget": limit["max_budget"]}, owner)
        # A team may spend exactly its budget, so one of 0 lets the first call through (LiteLLM 1.106.2, seen).
        check_spent(caller.team, f"Team={caller.team['team_id']}", beyond=True)
    elif caller.user and (most := caller.user["max_budget"]) is not None and caller.user["spend"] >= most:
        spend = caller.user["spend"]
        raise over_budget(f"ExceededBudget: User={caller.user_id} over budget. Spend={spend}, Budget={most}")


def check_spent(row: Row, owner: str, beyond: bool = False) -> None:
    spend, most = row["spend"], row["max_budget"]
    if most is not None and (spend > most or (spend == most and not beyond)):
        raise over_budget(f"Budget has been exceeded! {owner} Current cost: {spend}, Max budget: {most}")


def over_budget(text: str) -> Refusal:
    return failure(422, text, "budget_exceeded")


def take_turn(request: Request, tokens: int) -> None:
    """Count one call against the limits per minute of key and team; raises 429."""
    caller, now = request.caller, request.now
    if caller.key is None:
        return
    for owner, id_, limits in (("api_key", caller.token, caller.key), ("team", None, caller.team)):
        if limits is None:
            continue
        id_ = id_ or limits["team_id"]
        with request.db.write():
            used = request.db.get("minutes", f"{owner}:{id_}")
            if used is None or datetime.fromisoformat(used["ends"]) <= now:
                used = {"requests": 0, "tokens": 0, "ends": stamp(now + MINUTE)}
            for kind, limit, before, wanted in (
                ("requests", limits["rpm_limit"], used["requests"], 1),
                ("tokens", limits["tpm_limit"], used["tokens"], tokens),
                ("max_parallel_requests", limits["max_parallel_requests"], 0, 1),
            ):
                if limit is not None and before + wanted > limit:
                    ends = datetime.fromisoformat(used["ends"]).strftime("%Y-%m-%d %H:%M:%S UTC")
                    raise failure(
                        429,
                        f"Rate limit exceeded for {owner}: {id_}. Limit type: {kind}. Current limit: "
                        f"{limit}, Remaining: {max(limit - before, 0)}. Limit resets at: {ends}",
                        "throttling_error",
                    )
            used |= {"requests": used["requests"] + 1, "tokens": used["tokens"] + tokens}
            request.db.put("minutes", f"{owner}:{id_}", used)


def call(request: Request, endpoint: str, needs: str, label: str = "", text: str = REPLY) -> Call:
    """Everything between the request and the answer; refused calls are counted too."""
    body = request.body if isinstance(request.body, dict) else {}
    asked = str(body.get("model"))
    name = (request.caller.key or {}).get("aliases", {}).get(asked, asked)
    model = next((model for model in offered(request) if model.name == name), None)
    try:
        check_models(request.caller, name)
        check_budgets(request)
        if needs not in body:
            raise bad_call(f"{label or endpoint}: Missing required parameter: '{needs}'.", needs)
        if model is None:
            raise unknown_model(label or endpoint, name)
        if model.blocked:
            raise failure(403, "litellm.PermissionDeniedError: Model is blocked", "permission_error")
        prompt = count_tokens(body[needs])
        completion = 0 if model.mode == "embedding" else count_tokens(text)
        take_turn(request, prompt + completion)
    except Refusal:
        ledger.record(request, endpoint, name, model, failed=True)
        raise
    cost = prompt * model.input_cost + completion * model.output_cost
    done = Call(asked, f"chatcmpl-{uuid.uuid4()}", int(request.now.timestamp()), prompt, completion, cost)
    ledger.record(request, endpoint, name, model, done.id, prompt, completion, cost)
    return done


def turn_away(request: Request) -> None:
    """Count a call that failed at its key, blocked, expired or deleted, as one more failed request of that key."""
    secret = bearer(request.headers)
    if not secret.startswith("sk-"):
        return
    token = digest(secret)
    request.caller = Caller(request.db.get("keys", token) or {"token": token, "user_id": None, "team_id": None})
    name = str(request.body.get("model")) if isinstance(request.body, dict) else ""
    model = next((model for model in offered(request) if model.name == name), None)
    endpoint = request.path if request.path == "/v1/messages" else request.path.removeprefix("/v1")
    ledger.record(request, endpoint, name, model, failed=True)


def count_tokens(said: Any) -> int:
    """A plain estimate: a token is four characters."""
    text = said if isinstance(said, str) else json.dumps(said)
    return max(1, len(text) // 4)


def bad_call(message: str, param: str | None) -> Refusal:
    return failure(400, message, "invalid_request_error", param)


def unknown_model(where: str, name: str) -> Refusal:
    advice = "Call `/v1/models` to view available models for your key."
    message = f"{where}: Invalid model name passed in model={name}. {advice}"
    refusal = bad_call(message, None)
    refusal.body["error"]["provider_specific_fields"] = {"error": message}
    return refusal


# --- endpoints ------------------------------------------------------------------------------------


def headers(done: Call) -> dict[str, str]:
    return {"x-litellm-response-cost": str(done.cost), "x-litellm-version": "1.106.2"}


@route("POST", "/v1/chat/completions", "/chat/completions", who="llm")
def chat(request: Request) -> Answer:
    done = call(request, "/chat/completions", "messages")
    if request.body.get("stream"):
        return Answer(stream=chat_stream(done, request.body), headers=headers(done))
    message = {"content": REPLY, "role": "assistant"}
    body = {"id": done.id, "created": done.created, "model": done.model, "object": "chat.completion"}
    choice = {"finish_reason": "stop", "index": 0, "message": message}
    return Answer(body | {"choices": [choice], "usage": done.usage}, headers=headers(done))


def chat_stream(done: Call, body: Row) -> Iterator[bytes]:
    """Server-sent events, a few words each."""
    head = {"id": done.id, "object": "chat.completion.chunk", "created": done.created, "model": done.model}
    first: Row = {"role": "assistant"}
    for word in REPLY.split(" "):
        yield event(head | {"choices": [{"index": 0, "delta": first | {"content": word + " "}}]})
        first = {}
    yield event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield event(head | {"choices": [{"index": 0, "delta": {}}], "usage": done.usage})
    yield b"data: [DONE]\n\n"


def event(data: Row) -> bytes:
    return f"data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


@route("POST", "/v1/completions", "/completions", who="llm")
def complete(request: Request) -> Answer:
    done = call(request, "/completions", "prompt")
    choice = {"finish_reason": "stop", "index": 0, "text": REPLY, "logprobs": None}
    body = {"id": done.id, "object": "text_completion", "created": done.created, "model": done.model}
    return Answer(body | {"choices": [choice], "usage": done.usage}, headers=headers(done))


@route("POST", "/v1/embeddings", "/embeddings", who="llm")
def embed(request: Request) -> Answer:
    done = call(request, "/embeddings", "input")
    asked = request.body["input"] if isinstance(request.body["input"], list) else [request.body["input"]]
    data = [{"embedding": [0.1, 0.2, 0.3], "index": i, "object": "embedding"} for i in range(len(asked))]
    return Answer({"model": done.model, "data": data, "object": "list", "usage": done.usage}, headers=headers(done))


@route("POST", "/v1/responses", "/responses", who="llm")
def respond(request: Request) -> Answer:
    done = call(request, "/responses", "input")
    content: list[Row] = [{"annotations": [], "text": REPLY, "type": "output_text", "logprobs": None}]
    output = {
        "id": f"msg_{done.id}",
        "content": content,
        "role": "assistant",
        "status": "completed",
        "type": "message",
        "phase": None,
    }
    total = done.prompt + done.completion
    usage = {"input_tokens": done.prompt, "output_tokens": done.completion, "total_tokens": total}
    body: Row = {
        "id": f"resp_{done.id}",
        "created_at": done.created,
        "error": None,
        "model": done.model,
        "metadata": {},
    }
    body |= {"object": "response", "output": [output], "status": "completed", "usage": usage, "tools": []}
    body |= {
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "temperature": 1.0,
        "top_p": 1.0,
        "store": True,
    }
    body |= {"reasoning": {"effort": None, "summary": None}, "text": {"format": {"type": "text"}}}
    body |= {"truncation": "disabled", "max_output_tokens": None, "previous_response_id": None, "user": None}
    body |= {"incomplete_details": None, "instructions": None}
    return Answer(body, headers=headers(done))


@route("POST", "/v1/messages", who="llm")
def messages(request: Request) -> Answer:
    """Anthropic's form of a chat, which Claude Code speaks; its errors have another shape."""
    try:
        done = call(request, "/v1/messages", "messages", label="anthropic_messages")
    except Refusal as refusal:
        if refusal.status != 400:
            raise
        error = {name: value for name, value in refusal.body["error"].items() if name not in {"param", "code"}}
        raise Refusal(400, {"type": "error", "error": error}) from None
    usage = {"input_tokens": done.prompt, "output_tokens": done.completion}
    body: Row = {"content": [{"text": REPLY, "type": "text"}], "id": f"msg_{done.id}", "model": done.model}
    body |= {
        "role": "assistant",
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "type": "message",
        "usage": usage,
    }
    if not request.body.get("stream"):
        return Answer(body, headers=headers(done))
    return Answer(stream=message_stream(body), headers=headers(done))


def message_stream(body: Row) -> Iterator[bytes]:
    usage = body["usage"]
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    block = {"type": "text", "text": ""}
    for data in (
        {"type": "message_start", "message": body | {"content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": REPLY}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage["output_tokens"]}},
        {"type": "message_stop"},
    ):
        yield f"event: {data['type']}\n".encode() + event(data)
