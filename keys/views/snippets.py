"""How to use a new key, ready to paste. Only the first snippet holds the secret; the others read it from there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from keys.services.leases import Issued
from portal.litellm import ModelGroup

CHAT = ("chat", "responses", "completion", None, "")  # modes that answer a message; None: the proxy does not say


@dataclass(frozen=True, slots=True)
class Snippet:
    label: str
    text: str = field(repr=False)
    note: str = ""


def snippets(issued: Issued) -> list[Snippet]:
    """For the shell, curl, the OpenAI clients, and the coding agents, with a model that the key really opens."""
    groups = issued.trial.models if issued.trial.ok else ()
    listed = list(issued.lease.limits.get("models") or issued.lease.gateway.models_seen or ["MODEL"])
    chat = _chat_model(groups) or (None if groups else next((n for n in listed if "*" not in n), "MODEL"))
    url = issued.lease.gateway.url_for_holders
    found = [_environment(url, issued.secret)]
    if chat:
        return [*found, _curl(chat), _python(chat), _javascript(chat), _claude(groups, chat), _codex(url, chat)]
    embeds = next((group.name for group in groups if group.mode == "embedding"), listed[0])
    return [*found, _curl_embeddings(embeds), _python_embeddings(embeds), _javascript_embeddings(embeds)]


def _chat_model(groups: tuple[ModelGroup, ...]) -> str | None:
    """A chat model, one that says so before one that says nothing."""
    sure = [group.name for group in groups if group.mode == "chat"]
    maybe = [group.name for group in groups if group.mode in CHAT]
    return next(iter(name for name in sure + maybe if "*" not in name), None)


def _environment(url: str, secret: str) -> Snippet:
    return Snippet(
        _("Environment"),
        f'export LITELLM_BASE_URL="{url}"\nexport LITELLM_API_KEY="{secret}"',
        _("The only snippet with the secret in it. The others read it from here."),
    )


def _curl(model: str) -> Snippet:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Say hello."}]})
    return Snippet("curl", _curl_of("chat/completions", body))


def _curl_of(path: str, body: str) -> str:
    quoted = body.replace("'", "'\\''")
    return (
        f'curl "$LITELLM_BASE_URL/v1/{path}" \\\n'
        '  -H "Authorization: Bearer $LITELLM_API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{quoted}'"
    )


PYTHON = """import os
from openai import OpenAI

client = OpenAI(base_url=os.environ["LITELLM_BASE_URL"] + "/v1",
                api_key=os.environ["LITELLM_API_KEY"])
"""
JAVASCRIPT = """import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.LITELLM_BASE_URL}/v1`,
  apiKey: process.env.LITELLM_API_KEY,
});
"""


def _python(model: str) -> Snippet:
    return Snippet(
        "Python",
        f"""{PYTHON}answer = client.chat.completions.create(
    model={json.dumps(model)},
    messages=[{{"role": "user", "content": "Say hello."}}],
)
print(answer.choices[0].message.content)""",
    )


def _javascript(model: str) -> Snippet:
    return Snippet(
        "JavaScript",
        f"""{JAVASCRIPT}const answer = await client.chat.completions.create({{
  model: {json.dumps(model)},
  messages: [{{ role: "user", content: "Say hello." }}],
}});
console.log(answer.choices[0].message.content);""",
    )


def _claude(groups: tuple[ModelGroup, ...], chat: str) -> Snippet:
    """Claude Code, with a Claude model where the key opens one."""
    own = next((g.name for g in groups if "claude" in g.name and g.mode in CHAT and "*" not in g.name), None)
    return Snippet(
        "Claude Code",
        'export ANTHROPIC_BASE_URL="$LITELLM_BASE_URL"\n'
        'export ANTHROPIC_AUTH_TOKEN="$LITELLM_API_KEY"\n'
        f"claude --model {json.dumps(own or chat)}",
        "" if own else _("This key opens no Claude model; the gateway translates for another one."),
    )


def _codex(url: str, chat: str) -> Snippet:
    return Snippet(
        "Codex",
        f"""# ~/.codex/config.toml
model = {json.dumps(chat)}
model_provider = "keydesk"

[model_providers.keydesk]
name = "Keydesk"
base_url = {json.dumps(f"{url}/v1")}
env_key = "LITELLM_API_KEY"
wire_api = "responses\"""",
    )


def _curl_embeddings(model: str) -> Snippet:
    return Snippet("curl", _curl_of("embeddings", json.dumps({"model": model, "input": "Hello."})))


def _python_embeddings(model: str) -> Snippet:
    return Snippet(
        "Python",
        f"""{PYTHON}answer = client.embeddings.create(model={json.dumps(model)}, input="Hello.")
print(len(answer.data[0].embedding))""",
    )


def _javascript_embeddings(model: str) -> Snippet:
    return Snippet(
        "JavaScript",
        f"""{JAVASCRIPT}const answer = await client.embeddings.create({{
  model: {json.dumps(model)},
  input: "Hello.",
}});
console.log(answer.data[0].embedding.length);""",
    )
