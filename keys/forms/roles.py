"""The form of a key role."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.forms.choices import ALL, SOME
from keys.models import Approval, Decider, Gateway, KeyRole
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
        label=_("Name"),
        help_text=_("Lower case, like coding or nightly-batch. People choose by it."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
    )
    description = forms.CharField(
        max_length=200,
        required=False,
        label=_("What is it for?"),
        help_text=_("One sentence for whoever chooses."),
    )
    gateway = forms.ModelChoiceField(Gateway.objects.none(), label=_("Gateway"), empty_label=None)
    which = forms.ChoiceField(
        choices=[
            (SOME, _("Only the models named here")),
            (ALL, _("All models of the gateway, also those added later")),
        ],
        label=_("Which models?"),
        widget=forms.RadioSelect,
        initial=SOME,
    )
    models = forms.MultipleChoiceField(required=False, label=_("Models"), widget=forms.CheckboxSelectMultiple)
    more_models = forms.CharField(
        required=False,
        label=_("More models"),
        help_text=_("Names or patterns that the gateway does not list, like openai/*. Parted by spaces."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    max_budget = MoneyField(
        required=False,
        min_value=0,
        max_digits=12,
        decimal_places=4,
        initial=Decimal(20),
        label=_("Budget of each key"),
        help_text=_("Empty: no limit of its own; then only the budget of the team stops it."),
    )
    budget_duration = WindowField(
        initial="1mo", label=_("The budget is for"), help_text=_("Windows start at 00:00 UTC.")
    )
    ttl = LifetimeField(required=False, label=_("TTL"), help_text=_("How long a key lives, like 24h or 30d."))
    max_ttl = LifetimeField(
        required=False,
        label=_("Max TTL"),
        help_text=_("No key lives longer than this, counted from its issue."),
    )
    rpm_limit = forms.IntegerField(required=False, min_value=1, label=_("Requests a minute"))
    tpm_limit = forms.IntegerField(required=False, min_value=1, label=_("Tokens a minute"))
    max_parallel_requests = forms.IntegerField(required=False, min_value=1, label=_("Requests at the same time"))
    max_live_keys = forms.IntegerField(
        required=False,
        min_value=1,
        label=_("Live keys for each person"),
        help_text=_("Empty: as many as they like."),
    )
    who = forms.ChoiceField(
        choices=[(ALL, _("All teams")), (SOME, _("Only these"))],
        label=_("Who may use it?"),
        widget=forms.RadioSelect,
        initial=SOME,
    )
    teams = forms.ModelMultipleChoiceField(
        Team.objects.all(), required=False, label=_("Teams"), widget=forms.CheckboxSelectMultiple
    )
    approval = forms.ChoiceField(
        choices=Approval.choices,
        label=_("Who decides about a key?"),
        help_text=_("Nobody ever decides about their own."),
        widget=forms.RadioSelect,
        initial=Approval.AUTO,
    )
    auto_ttl = LifetimeField(
        required=False,
        label=_("At once up to this TTL"),
        help_text=_("Like 24h. Both are filled in, or neither."),
    )
    auto_budget = MoneyField(
        required=False,
        min_value=0,
        max_digits=12,
        decimal_places=4,
        label=_("and this budget"),
        help_text=_("A key at or below both needs no decision."),
    )
    excess = forms.ChoiceField(
        choices=[("", _("Nobody: it is refused")), *Decider.choices],
        required=False,
        label=_("Who decides about more than the role gives?"),
        help_text=_("Other models that the gateway lists, a longer TTL, a bigger budget; rises of a live key, too."),
        widget=forms.RadioSelect,
    )
    alias_prefix = forms.CharField(
        max_length=30,
        required=False,
        label=_("Alias prefix"),
        help_text=_("Their names on the gateway begin with it. Empty: the name of the role."),
    )
    metadata = forms.CharField(
        required=False,
        label=_("Metadata"),
        help_text=_("Put on each key on the gateway; one name=value a line."),
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
            "approval",
            "auto_ttl",
            "auto_budget",
            "excess",
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
            " "
            + gettext("Empty: as the gateway has it, %(chosen_gateway)s.")
            % {"chosen_gateway": format_duration(getattr(self.chosen_gateway, name))}
            if self.chosen_gateway
            else ""
        )

    def clean_metadata(self) -> dict[str, str]:
        lines = [line for line in self.cleaned_data["metadata"].splitlines() if line.strip()]
        pairs = [line.partition("=") for line in lines]
        if any(not name.strip() or not sign for name, sign, _ in pairs):
            raise forms.ValidationError(gettext("Write one name=value a line."))
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
        if given["approval"] == Approval.AUTO:
            given |= {"auto_ttl": None, "auto_budget": None}  # everything is at once
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
