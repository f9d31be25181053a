"""Keydesk: the self-service desk for LiteLLM virtual keys."""
