"""The form of the counter: what somebody asks of a key role."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone

from keys.forms.choices import ALL, OTHER, SOME
from keys.models import KeyRole
from keys.services.terms import Ask
from portal.forms import DeskForm, MoneyField
from portal.litellm import format_duration, parse_duration
from portal.litellm.durations import InvalidDuration
from teams.models import Team

USUAL_TTLS = tuple(
    timedelta(hours=hours) for hours in (1, 8, 24, 7 * 24, 14 * 24, 30 * 24, 90 * 24)
)  # what people ask for


class NarrowForm(DeskForm):
    """What somebody asks of one key role: everything the role gives, or less."""

    name = forms.CharField(
        required=False,
        max_length=80,
        label="Name",
        help_text="You see it in lists. It need not be unique.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    purpose = forms.CharField(
        required=False,
        max_length=300,
        label="What for?",
        help_text="For you, and for whoever looks after the keys of the team.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    ttl = forms.CharField(label="How long?")
    ttl_other = forms.CharField(required=False, label="Another time")
    max_budget = MoneyField(required=False, min_value=0, max_digits=12, decimal_places=4, label="Budget")
    which = forms.CharField(required=False)
    models = forms.MultipleChoiceField(required=False, label="Models", widget=forms.CheckboxSelectMultiple)

    def __init__(self, data: Any, *, role: KeyRole) -> None:
        super().__init__(data)
        self.role = role
        self.names = list(role.gateway.models_seen) if role.all_models else list(role.models)
        chosen = data.getlist("models")
        unknown = [name for name in chosen if name not in self.names]  # refused by the service, with its reason
        self.fields["models"].choices = [(name, name) for name in self.names + unknown]  # type: ignore[attr-defined]

    @staticmethod
    def defaults(role: KeyRole) -> dict[str, list[str]]:
        """What the role gives, as the form would send it."""
        budget = "" if role.max_budget is None else str(MoneyField().prepare_value(role.max_budget))
        return {
            "ttl": [format_duration(role.default_ttl)],
            "max_budget": [budget],
            "which": [ALL if role.all_models else SOME],
            "models": [] if role.all_models else list(role.models),
        }

    @property
    def ttls(self) -> list[tuple[str, timedelta, Any]]:
        """Lifetimes to choose from, with when each would end; the role's own is the last."""
        longest, now = self.role.default_ttl, timezone.now()
        shorter = [ttl for ttl in USUAL_TTLS if ttl < longest]
        return [(format_duration(ttl), ttl, now + ttl) for ttl in [*shorter[-5:], longest]]

    @property
    def picked_other(self) -> bool:
        return self["ttl"].value() not in {value for value, _, _ in self.ttls}

    @property
    def other_value(self) -> str:
        picked = str(self["ttl"].value() or "")
        return str(self["ttl_other"].value() or "") or (picked if self.picked_other and picked != OTHER else "")

    def clean_ttl(self) -> timedelta | None:
        picked = self.cleaned_data["ttl"]
        try:
            return parse_duration(self.data.get("ttl_other", "") if picked == OTHER else picked)
        except InvalidDuration as error:
            raise forms.ValidationError(f"{error.message} {error.action}") from None

    def ask(self, team: Team) -> Ask:
        """What is asked; a field that cannot be read counts as left alone."""
        given = getattr(self, "cleaned_data", {})
        wants_all = self.role.all_models and given.get("which") != SOME
        models = None if wants_all else tuple(given.get("models", ()))
        same = not wants_all and not self.role.all_models and set(models or ()) == set(self.role.models)
        return Ask(
            team=team,
            role=self.role,
            ttl=given.get("ttl"),
            models=None if same else models,
            max_budget=given.get("max_budget"),
            name=given.get("name", ""),
            purpose=given.get("purpose", ""),
        )
