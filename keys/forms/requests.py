"""Forms of requests: ask for a rise, narrow and decide, deny, say something."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.forms.choices import OTHER
from keys.forms.issuing import USUAL_TTLS
from keys.models import KeyRequest, Lease
from portal.forms import DeskForm, LifetimeField, MoneyField
from portal.litellm import format_duration

RISES = tuple(timedelta(days=days) for days in (1, 3, 7, 14, 30))
SHORT = timedelta(hours=1), timedelta(hours=8)  # of a key that has less than a day
USUAL = format_duration(RISES[2])
SHORTER = 3  # times below the one that was asked
WORDS = {"autocomplete": "off"}


class DecideForm(DeskForm):
    """What of a request is approved: all of it, or less. What is left as it was asked is given as None."""

    ttl = LifetimeField(required=False, label=_("How long?"))
    max_budget = MoneyField(required=False, min_value=0, max_digits=12, decimal_places=4, label=_("Budget"))
    models = forms.MultipleChoiceField(required=False, label=_("Models"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, data: Any = None, *, request: KeyRequest, **kwargs: Any) -> None:
        self.request, self.asked = request, request.wanted
        initial = {"ttl": self.asked.ttl, "max_budget": self.asked.max_budget, "models": list(self.asked.models or ())}
        super().__init__(data, initial=initial, auto_id=f"{request.pk}_%s", **kwargs)
        names = [(name, name) for name in self.asked.models or ()]
        self.fields["models"].choices = names  # type: ignore[attr-defined]

    @property
    def ttls(self) -> list[tuple[str, timedelta]]:
        """Times to choose from; the one that was asked is the last."""
        asked = self.asked.ttl
        usual = RISES if self.request.is_rise else USUAL_TTLS
        shorter = [ttl for ttl in usual if ttl < asked]
        return [(format_duration(ttl), ttl) for ttl in [*shorter[-SHORTER:], asked]]

    @property
    def picked(self) -> str:
        """The time that is chosen."""
        value = self["ttl"].value()
        return format_duration(value) if isinstance(value, timedelta) else str(value or "")

    def fields_given(self) -> dict[str, Any]:
        """Only what differs: a service takes None as "as it was asked"."""
        given, asked = self.cleaned_data, self.asked
        models = tuple(given["models"]) if asked.models is not None else None
        return {
            "ttl": given["ttl"] if given["ttl"] != asked.ttl else None,
            "models": models if models is None or set(models) != set(asked.models or ()) else None,
            "max_budget": given["max_budget"] if given["max_budget"] != asked.max_budget else None,
        }


class DenyForm(DeskForm):
    """Why not."""

    reason = forms.CharField(max_length=500, label=_("Why not?"), widget=forms.Textarea(attrs={"rows": 3}))


class SayForm(DeskForm):
    """A word in the thread."""

    text = forms.CharField(
        max_length=1000,
        label=_("A question, or an answer"),
        help_text=_("It stays with the request: whoever sees it reads this, and the others are told by mail."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class RiseForm(DeskForm):
    """More for a live key, for a while: a bigger budget, other models, or both."""

    max_budget = MoneyField(required=False, min_value=0, max_digits=12, decimal_places=4, label=_("Budget"))
    models = forms.MultipleChoiceField(required=False, label=_("Other models"), widget=forms.CheckboxSelectMultiple)
    lasts = forms.CharField(label=_("For how long?"))
    lasts_other = LifetimeField(required=False, label=_("Another time"))
    purpose = forms.CharField(
        max_length=300,
        label=_("What for?"),
        help_text=_("Whoever decides reads it."),
        widget=forms.TextInput(attrs=WORDS),
    )

    def __init__(self, data: Any = None, *, lease: Lease, **kwargs: Any) -> None:
        self.lease = lease
        fit = [value for value, *_ in self.spans]
        super().__init__(data, initial={"lasts": USUAL if USUAL in fit else (fit or [USUAL])[-1]}, **kwargs)
        role, has = lease.role, set(lease.limits.get("models") or ())
        listed = lease.gateway.models_seen if role.excess or role.all_models else role.models
        others = [] if lease.limits.get("all_models") else listed
        names = [(name, name) for name in others if name not in has and "*" not in name]  # it may list patterns
        self.fields["models"].choices = names  # type: ignore[attr-defined]

    @property
    def spans(self) -> list[tuple[str, timedelta, datetime]]:
        """How long it may last, with when the key would be as before; no longer than the key lives."""
        now = timezone.now()
        fit = [span for span in RISES if now + span < self.lease.expires_at]
        fit = fit or [span for span in SHORT if now + span < self.lease.expires_at]
        return [(format_duration(span), span, now + span) for span in fit]

    @property
    def picked_other(self) -> bool:
        return self["lasts"].value() not in {value for value, *_ in self.spans}

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        if found.get("lasts") == OTHER:
            if not found.get("lasts_other") and "lasts_other" not in self.errors:
                self.add_error("lasts_other", gettext("Write how long, like 36h or 10d."))
            found["lasts"] = found.get("lasts_other")
        elif "lasts" in found:
            try:
                found["lasts"] = LifetimeField().clean(found["lasts"])
            except forms.ValidationError as error:
                self.add_error("lasts", error)
        return found

    def fields_given(self) -> dict[str, Any]:
        given = self.cleaned_data
        return {
            "models": tuple(given["models"]),
            "max_budget": given["max_budget"],
            "lasts": given["lasts"],
            "purpose": given.get("purpose", ""),
        }
