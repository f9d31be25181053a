"""The form of a key role."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms

from keys.forms.choices import ALL, SOME
from keys.models import Gateway, KeyRole
from keys.services.terms import worst_ceiling
from portal.forms import DeskForm, LifetimeField, MoneyField, WindowField
from portal.litellm import format_duration
from teams.models import Team


def _listed(text: str) -> list[str]:
    return [name for name in re.split(r"[\s,]+", text) if name]


class RoleForm(DeskForm):
    """A key role. Models are ticked from what the gateway lists, or written; all models is a choice of its own."""

    name = forms.CharField(
        max_length=60,
        label="Name",
        help_text="Lower case, like coding or nightly-batch. People choose by it.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
    )
    description = forms.CharField(
        max_length=200, required=False, label="What is it for?", help_text="One sentence for whoever chooses."
    )
    gateway = forms.ModelChoiceField(Gateway.objects.none(), label="Gateway", empty_label=None)
    which = forms.ChoiceField(
        choices=[(SOME, "Only the models named here"), (ALL, "All models of the gateway, also those added later")],
        label="Which models?",
        widget=forms.RadioSelect,
        initial=SOME,
    )
    models = forms.MultipleChoiceField(required=False, label="Models", widget=forms.CheckboxSelectMultiple)
    more_models = forms.CharField(
        required=False,
        label="More models",
        help_text="Names or patterns that the gateway does not list, like openai/*. Parted by spaces.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    max_budget = MoneyField(
        required=False,
        min_value=0,
        max_digits=12,
        decimal_places=4,
        initial=Decimal(20),
        label="Budget of each key",
        help_text="Empty: no limit of its own; then only the budget of the team stops it.",
    )
    budget_duration = WindowField(initial="1mo", label="The budget is for", help_text="Windows start at 00:00 UTC.")
    ttl = LifetimeField(required=False, label="TTL", help_text="How long a key lives, like 24h or 30d.")
    max_ttl = LifetimeField(
        required=False, label="Max TTL", help_text="No key lives longer than this, counted from its issue."
    )
    rpm_limit = forms.IntegerField(required=False, min_value=1, label="Requests a minute")
    tpm_limit = forms.IntegerField(required=False, min_value=1, label="Tokens a minute")
    max_parallel_requests = forms.IntegerField(required=False, min_value=1, label="Requests at the same time")
    max_live_keys = forms.IntegerField(
        required=False, min_value=1, label="Live keys for each person", help_text="Empty: as many as they like."
    )
    who = forms.ChoiceField(
        choices=[(ALL, "All teams"), (SOME, "Only these")],
        label="Who may use it?",
        widget=forms.RadioSelect,
        initial=SOME,
    )
    teams = forms.ModelMultipleChoiceField(
        Team.objects.all(), required=False, label="Teams", widget=forms.CheckboxSelectMultiple
    )
    alias_prefix = forms.CharField(
        max_length=30,
        required=False,
        label="Alias prefix",
        help_text="Their names on the gateway begin with it. Empty: the name of the role.",
    )
    metadata = forms.CharField(
        required=False,
        label="Metadata",
        help_text="Put on each key on the gateway; one name=value a line.",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )

    def __init__(self, data: Any = None, *, role: KeyRole | None = None) -> None:
        super().__init__(data, initial=self._initial(role) if role else None)
        self.role = role
        gateways: Any = self.fields["gateway"]
        gateways.queryset = Gateway.objects.all()
        if role:
            del self.fields["gateway"]  # keys live where they were made
        else:
            gateways.initial = Gateway.objects.first()
        seen = list(self.chosen_gateway.models_seen) if self.chosen_gateway else []
        self.fields["models"].choices = [(name, name) for name in seen]  # type: ignore[attr-defined]
        self.fields["ttl"].help_text += self._else("ttl")
        self.fields["max_ttl"].help_text += self._else("max_ttl")

    @staticmethod
    def _initial(role: KeyRole) -> dict[str, Any]:
        plain = (
            "name",
            "description",
            "max_budget",
            "budget_duration",
            "ttl",
            "max_ttl",
            "rpm_limit",
            "tpm_limit",
            "max_parallel_requests",
            "max_live_keys",
            "alias_prefix",
        )
        seen = set(role.gateway.models_seen)
        return {name: getattr(role, name) for name in plain} | {
            "which": ALL if role.all_models else SOME,
            "models": [name for name in role.models if name in seen],
            "more_models": " ".join(name for name in role.models if name not in seen),
            "who": ALL if role.all_teams else SOME,
            "teams": [team.pk for team in role.teams.all()],
            "metadata": "\n".join(f"{name}={value}" for name, value in role.metadata.items()),
        }

    @property
    def chosen_gateway(self) -> Gateway | None:
        """The gateway that is chosen so far."""
        if self.role:
            return self.role.gateway
        chosen = str(self.data.get("gateway", "")) if self.is_bound else ""
        found = Gateway.objects.filter(pk=chosen).first() if chosen.isdigit() else None
        return found or Gateway.objects.first()

    def _else(self, name: str) -> str:
        return (
            f" Empty: as the gateway has it, {format_duration(getattr(self.chosen_gateway, name))}."
            if self.chosen_gateway
            else ""
        )

    def clean_metadata(self) -> dict[str, str]:
        lines = [line for line in self.cleaned_data["metadata"].splitlines() if line.strip()]
        pairs = [line.partition("=") for line in lines]
        if any(not name.strip() or not sign for name, sign, _ in pairs):
            raise forms.ValidationError("Write one name=value a line.")
        return {name.strip(): value.strip() for name, _, value in pairs}

    def fields_given(self) -> dict[str, Any]:
        """The cleaned input as the service takes it."""
        given = dict(self.cleaned_data)
        every, more = given.pop("which") == ALL, given.pop("more_models")
        named = [*given["models"], *_listed(more)]
        given |= {"all_models": every, "models": [] if every else named}
        given |= {"all_teams": given.pop("who") == ALL, "teams": list(given["teams"])}
        given["ttl"] = given["ttl"] or timedelta(0)
        given["max_ttl"] = given["max_ttl"] or timedelta(0)
        if given["max_budget"] is None:
            given["budget_duration"] = ""
        return given

    def draft(self) -> dict[str, Any]:
        """What a key of these terms could cost, from whatever can be read so far."""
        if self.is_bound:
            self.is_valid()
            read = getattr(self, "cleaned_data", {})
        else:
            read = {name: self.get_initial_for_field(field, name) for name, field in self.fields.items()}
        gateway = self.chosen_gateway
        longest = read.get("max_ttl") or (gateway.max_ttl if gateway else timedelta(0))
        life = min(read.get("ttl") or (gateway.ttl if gateway else timedelta(0)), longest)
        amount, window = read.get("max_budget"), read.get("budget_duration") or ""
        return {
            "life": life,
            "max_budget": amount,
            "budget_duration": window,
            "most": worst_ceiling(amount, window, life) if isinstance(amount, Decimal) else None,
            "all_models": read.get("which") == ALL,
            "models": len({*(read.get("models") or []), *_listed(read.get("more_models") or "")}),
            "all_teams": read.get("who") == ALL,
            "teams": len(list(_iterable(read.get("teams")))),
        }


def _iterable(value: Any) -> Iterable[Any]:
    return value or ()
