"""The form of a webhook."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django import forms
from django.utils.translation import gettext_lazy

from portal.forms import DeskForm
from teams.models import Team, Webhook
from teams.services.webhooks import families_of


class WebhookForm(DeskForm):
    """Where events go, and which."""

    name = forms.CharField(
        max_length=80,
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("What takes the events, to know it again."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    url = forms.CharField(
        max_length=500,
        label=gettext_lazy("Address"),
        help_text=gettext_lazy("Begins with https://. Only those who run this webhook see it."),
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    events = forms.MultipleChoiceField(
        label=gettext_lazy("Events"),
        help_text=gettext_lazy("Each act of these kinds is sent, as the audit has it."),
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, team: Team | None, hook: Webhook | None = None, **kwargs: Any) -> None:
        now = {"name": hook.name, "url": hook.url, "events": hook.events} if hook else {"events": ["key"]}
        super().__init__(*args, initial=now | kwargs.pop("initial", {}), **kwargs)
        self.fields["events"].choices = list(families_of(team).items())  # type: ignore[attr-defined]


class NewWebhookForm(WebhookForm):
    """`once`: sent twice, it makes one webhook."""

    once = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, initial={"once": uuid4()}, **kwargs)
