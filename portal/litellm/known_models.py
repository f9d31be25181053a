"""What a model is called and who makes it, where the proxy does not say: read from its name."""

from __future__ import annotations

import re
from collections.abc import Iterable

# LiteLLM's names of providers that stand before a model, as in `openai/gpt-4o`. Source: LiteLLM 1.106.2.
PREFIXES = """
ai21 aleph_alpha anthropic azure azure_ai bedrock cerebras cloudflare codestral cohere cohere_chat dashscope databricks
deepinfra deepseek fireworks_ai gemini github groq hosted_vllm huggingface jina_ai litellm_proxy lm_studio mistral
moonshot nebius novita nscale nvidia_nim ollama ollama_chat openai openrouter perplexity replicate sagemaker sambanova
snowflake text-completion-openai together_ai triton vertex_ai vertex_ai_beta vllm volcengine voyage watsonx xai
xinference
"""
SERIES = {  # who makes models that have one of these in their name
    "openai": "gpt chatgpt o1 o3 o4 codex davinci babbage whisper tts dall-e sora text-embedding-ada text-embedding-3 "
    "omni-moderation",
    "anthropic": "claude",
    "google": "gemini gemma palm imagen veo text-bison chat-bison",
    "meta": "llama",
    "mistral": "mistral mixtral codestral ministral magistral devstral pixtral",
    "cohere": "command cohere embed-english embed-multilingual rerank-english rerank-v3",
    "stability": "stable-diffusion sdxl",
    "amazon": "nova titan",
    "deepseek": "deepseek",
    "alibaba": "qwen",
    "xai": "grok",
    "microsoft": "phi",
    "ai21": "jamba",
    "perplexity": "sonar",
    "voyage": "voyage",
    "jina_ai": "jina",
    "moonshot": "kimi",
}
MAKERS = {part: maker for maker, parts in SERIES.items() for part in parts.split()}
PROVIDERS = frozenset(PREFIXES.split())
TITLES = {  # part of a name: how it is written; the rest of the name follows in words
    "gpt-3.5-turbo": "GPT-3.5 Turbo",
    "gpt-4": "GPT-4",
    "gpt-4-turbo": "GPT-4 Turbo",
    "gpt-4o": "GPT-4o",
    "gpt-4o-mini": "GPT-4o mini",
    "gpt-4.1": "GPT-4.1",
    "gpt-5": "GPT-5",
    "o1": "o1",
    "o3": "o3",
    "o3-mini": "o3-mini",
    "o4-mini": "o4-mini",
    "chatgpt": "ChatGPT",
    "claude-3-haiku": "Claude 3 Haiku",
    "claude-3-opus": "Claude 3 Opus",
    "claude-3-sonnet": "Claude 3 Sonnet",
    "claude-3-5-haiku": "Claude 3.5 Haiku",
    "claude-3-5-sonnet": "Claude 3.5 Sonnet",
    "claude-3-7-sonnet": "Claude 3.7 Sonnet",
    "claude-haiku-4-5": "Claude Haiku 4.5",
    "claude-opus-4-1": "Claude Opus 4.1",
    "claude-opus-4-5": "Claude Opus 4.5",
    "claude-sonnet-4-5": "Claude Sonnet 4.5",
    "dall-e": "DALL·E",
    "dall-e-2": "DALL·E 2",
    "dall-e-3": "DALL·E 3",
    "deepseek": "DeepSeek",
    "text-embedding": "Text Embedding",
    "text-embedding-ada-002": "Text Embedding Ada 002",
    "whisper-1": "Whisper",
    "tts-1": "TTS-1",
    "tts-1-hd": "TTS-1 HD",
}
WORDS = {"gpt": "GPT", "tts": "TTS", "hd": "HD", "ai": "AI", "oss": "OSS", "ocr": "OCR", "api": "API", "sdxl": "SDXL"}
DATE = re.compile(r"(?<!\d)(20\d\d)-?(0[1-9]|1[0-2])-?([0-2]\d|3[01])(?!\d)")
SIZE = re.compile(r"\d+(?:\.\d+)?[bkm]")  # 70b
VERSION = re.compile(r"v\d[\d.]*")  # stays in lower case
BEDROCK = re.compile(r"^(?:[a-z]{2,4}\.)?[a-z]+\d*\.(?=[a-z])|-v\d+:\d+$")  # us.anthropic.claude-3-haiku-v1:0


def provider_of(model: str) -> str | None:
    """Who serves a model, by its name: its prefix where that is a provider, else whose models are called so.

    None: its name does not tell.
    """
    head, mark, rest = re.match(r"([^/:]*)([/:]?)(.*)", model, re.S).groups()  # type: ignore[union-attr]
    if mark and head.lower() in PROVIDERS:
        return head.lower()
    found = _longest(MAKERS, model.lower())
    return MAKERS[found] if found else (head.lower() if mark == "/" and head and rest else None)


def title_of(model: str) -> str:
    """How a model is written for people: known parts as their makers write them, the rest in words, a date at the end.

    `openai/gpt-4o-mini-2024-07-18` is GPT-4o mini (2024-07-18).
    """
    name = BEDROCK.sub("", model.strip("/").rpartition("/")[2]) or model
    date = DATE.search(name)
    if date:
        name = name[: date.start()] + "-" + name[date.end() :]
    known = _longest(TITLES, name.lower())
    if known:
        start = _place(known, name.lower())
        parts = [*_words(name[:start]), TITLES[known], *_words(name[start + len(known) :])]
    else:
        parts = _words(name)
    return " ".join([*parts, f"({'-'.join(date.groups())})"] if date and parts else parts) or model


def _words(text: str) -> list[str]:
    return [_word(word) for word in re.split(r"[-_\s:@]+", text) if word]


def _word(word: str) -> str:
    if SIZE.fullmatch(word.lower()):
        return word.upper()
    return WORDS.get(word.lower()) or (word if VERSION.fullmatch(word) else word[:1].upper() + word[1:])


def _longest(table: Iterable[str], name: str) -> str:
    """The longest of these that stands in a name as a part of its own; nothing: none does."""
    return max((part for part in table if _place(part, name) >= 0), key=len, default="")


def _place(part: str, name: str) -> int:
    """Where it stands; digits and a point may follow a word at once, as in `llama3.1`. -1: nowhere."""
    follows = r"(?![a-z])" if part[-1].isalpha() else r"(?![a-z0-9.])"
    found = re.search(rf"(?<![a-z0-9]){re.escape(part)}{follows}", name)
    return found.start() if found else -1
