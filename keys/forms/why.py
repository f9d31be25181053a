"""Forms of what was refused, and of what is put off."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from keys.services.refused.reading import LONGEST
from portal.forms import DeskForm

SNOOZED_FOR = timedelta(days=30)


class RefusedForm(DeskForm):
    """An error, as somebody copied it. It may hold a secret: the page never shows what was sent."""

    error = forms.CharField(
        max_length=LONGEST,
        label=_("The error"),
        help_text=_("As LiteLLM or your program printed it. A secret in it is not kept, and not shown."),
        widget=forms.Textarea(attrs={"rows": 7, "autocomplete": "off", "spellcheck": "false", "class": "mono"}),
        error_messages={"required": _("Paste the error, or pick a key.")},
    )


class SnoozeForm(DeskForm):
    """Until when something is put off, and why."""

    until = forms.DateField(
        label=_("Until"),
        help_text=_("At most 90 days. It comes back then, if it is still true."),
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    reason = forms.CharField(
        max_length=200,
        label=_("Why?"),
        help_text=_("For whoever looks at it later."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, initial={"until": (timezone.now() + SNOOZED_FOR).date()}, **kwargs)

    def fields_given(self) -> dict[str, Any]:
        """The day's beginning, UTC."""
        day, reason = self.cleaned_data["until"], self.cleaned_data["reason"]
        return {"until": datetime.combine(day, time.min, tzinfo=UTC), "reason": reason}
