"""The form of a gateway."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.models import Gateway
from portal.forms import DeskForm, LifetimeField


class GatewayForm(DeskForm):
    """A gateway. The master key is written, never read back."""

    name = forms.CharField(
        max_length=60,
        label=_("Name"),
        help_text=_("Short, like eu-prod."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    base_url = forms.CharField(
        max_length=300,
        label=_("Base URL"),
        help_text=_("Where Keydesk reaches the LiteLLM proxy, like https://litellm.internal:4000."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "inputmode": "url"}),
    )
    master_key = forms.CharField(
        label=_("Master key"),
        help_text=_("The one of LiteLLM. It is stored encrypted and never shown again."),
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
    )
    public_url = forms.CharField(
        max_length=300,
        required=False,
        label=_("Public URL"),
        help_text=_("Where holders of keys reach it. Empty: the base URL."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "inputmode": "url"}),
    )
    ttl = LifetimeField(
        label=_("TTL"), initial=timedelta(days=30), help_text=_("For key roles that name none, like 30d.")
    )
    max_ttl = LifetimeField(
        label=_("Max TTL"), initial=timedelta(days=90), help_text=_("For key roles that name none, like 90d.")
    )
    timeout = forms.IntegerField(
        min_value=1,
        max_value=300,
        initial=30,
        label=_("Timeout"),
        help_text=_("Seconds for one call by a sweep. Where a person waits it is 10 at most."),
    )
    ca_bundle = forms.CharField(
        required=False,
        label=_("CA bundle"),
        help_text=_("PEM text, when the certificate comes from an authority of your own."),
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )
    is_default = forms.BooleanField(required=False, label=_("The default gateway"))

    def __init__(self, data: Any = None, *, gateway: Gateway | None = None) -> None:
        plain = ("name", "base_url", "public_url", "ttl", "max_ttl", "timeout", "ca_bundle", "is_default")
        super().__init__(data, initial={name: getattr(gateway, name) for name in plain} if gateway else None)
        if self.is_bound:
            self.fields["master_key"].help_text += " " + gettext("It is not kept in this form: type it again.")
        if gateway:
            self.fields["master_key"].required = False
            self.fields["master_key"].widget.attrs["placeholder"] = gettext("stored; leave empty to keep")
