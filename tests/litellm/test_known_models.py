"""What a model's name tells: how it is written, and who serves it."""

from __future__ import annotations

import pytest

from portal.litellm.known_models import provider_of, title_of


@pytest.mark.parametrize(
    ("model", "title", "provider"),
    [
        ("gpt-4o", "GPT-4o", "openai"),
        ("gpt-4o-mini", "GPT-4o mini", "openai"),  # the longest part that is known, not the first one
        ("openai/gpt-4o-mini-2024-07-18", "GPT-4o mini (2024-07-18)", "openai"),
        ("gpt-4o-audio-preview", "GPT-4o Audio Preview", "openai"),  # two models never share a name
        ("gpt-4.1-nano", "GPT-4.1 Nano", "openai"),
        ("gpt-oss-120b", "GPT OSS 120B", "openai"),
        ("azure/gpt-4-turbo", "GPT-4 Turbo", "azure"),
        ("claude-sonnet", "Claude Sonnet", "anthropic"),
        ("anthropic/claude-sonnet-4-20250514", "Claude Sonnet 4 (2025-05-14)", "anthropic"),
        ("claude-3-5-sonnet-20241022", "Claude 3.5 Sonnet (2024-10-22)", "anthropic"),
        ("bedrock/us.anthropic.claude-3-haiku-20240307-v1:0", "Claude 3 Haiku (2024-03-07)", "bedrock"),
        ("deepseek-r1-distill-llama-70b", "DeepSeek R1 Distill Llama 70B", "deepseek"),  # and not Meta's
        ("llama3.1:70b", "Llama3.1 70B", "meta"),  # a tag, and no provider `llama3.1`
        ("ollama/llama3", "Llama3", "ollama"),
        ("gemini-2.5-pro", "Gemini 2.5 Pro", "google"),
        ("mixtral-8x7b", "Mixtral 8x7b", "mistral"),
        ("command-r-plus", "Command R Plus", "cohere"),
        ("rerank-english-v3.0", "Rerank English v3.0", "cohere"),
        ("stable-diffusion-xl", "Stable Diffusion Xl", "stability"),
        ("dall-e-3", "DALL·E 3", "openai"),
        ("whisper-1", "Whisper", "openai"),
        ("tts-1-hd", "TTS-1 HD", "openai"),
        ("text-embedding-3-small", "Text Embedding 3 Small", "openai"),
        ("text-embedding-ada-002", "Text Embedding Ada 002", "openai"),
        ("our-own/helper", "Helper", "our-own"),
        ("pricey", "Pricey", None),  # nothing is made up
        ("proto-o1x", "Proto O1x", None),
        ("/", "/", None),
        ("", "", None),
    ],
)
def test_a_name_is_written_for_people_and_tells_who_serves_it(model, title, provider):
    assert (title_of(model), provider_of(model)) == (title, provider)
