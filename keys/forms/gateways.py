"""The form of a gateway."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms

from keys.models import Gateway
from portal.forms import DeskForm, LifetimeField


class GatewayForm(DeskForm):
    """A gateway. The master key is written, never read back."""

    name = forms.CharField(
        max_length=60,
        label="Name",
        help_text="Short, like eu-prod.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    base_url = forms.CharField(
        max_length=300,
        label="Base URL",
        help_text="Where Keydesk reaches the LiteLLM proxy, like https://litellm.internal:4000.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "inputmode": "url"}),
    )
    master_key = forms.CharField(
        label="Master key",
        help_text="The one of LiteLLM. It is stored encrypted and never shown again.",
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
    )
    public_url = forms.CharField(
        max_length=300,
        required=False,
        label="Public URL",
        help_text="Where holders of keys reach it. Empty: the base URL.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "inputmode": "url"}),
    )
    ttl = LifetimeField(label="TTL", initial=timedelta(days=30), help_text="For key roles that name none, like 30d.")
    max_ttl = LifetimeField(
        label="Max TTL", initial=timedelta(days=90), help_text="For key roles that name none, like 90d."
    )
    timeout = forms.IntegerField(
        min_value=1,
        max_value=300,
        initial=30,
        label="Timeout",
        help_text="Seconds for one call by a sweep. Where a person waits it is 10 at most.",
    )
    ca_bundle = forms.CharField(
        required=False,
        label="CA bundle",
        help_text="PEM text, when the certificate comes from an authority of your own.",
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )
    is_default = forms.BooleanField(required=False, label="The default gateway")

    def __init__(self, data: Any = None, *, gateway: Gateway | None = None) -> None:
        plain = ("name", "base_url", "public_url", "ttl", "max_ttl", "timeout", "ca_bundle", "is_default")
        super().__init__(data, initial={name: getattr(gateway, name) for name in plain} if gateway else None)
        if self.is_bound:
            self.fields["master_key"].help_text += " It is not kept in this form: type it again."
        if gateway:
            self.fields["master_key"].required = False
            self.fields["master_key"].widget.attrs["placeholder"] = "stored; leave empty to keep"
