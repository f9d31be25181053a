"""The form of the counter: what somebody asks of a key role."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.forms.choices import ALL, OTHER, SOME
from keys.models import Approval, KeyRole
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
        label=_("Name"),
        help_text=_("You see it in lists. It need not be unique."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    purpose = forms.CharField(
        required=False,
        max_length=300,
        label=_("What for?"),
        help_text=_("For you, and for whoever looks after the keys of the team."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    ttl = forms.CharField(label=_("How long?"))
    ttl_other = forms.CharField(required=False, label=_("Another time"))
    max_budget = MoneyField(required=False, min_value=0, max_digits=12, decimal_places=4, label=_("Budget"))
    which = forms.CharField(required=False)
    models = forms.MultipleChoiceField(required=False, label=_("Models"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, data: Any, *, role: KeyRole) -> None:
        super().__init__(data)
        self.role = role
        if role.excess or role.approval != Approval.AUTO:
            self.fields["purpose"].help_text = gettext("Needed where somebody has to decide: they read it.")
        seen = [name for name in role.gateway.models_seen if "*" not in name]  # it may list patterns, like openai/*
        self.names = list(role.gateway.models_seen) if role.all_models else list(role.models)
        self.others = [name for name in seen if name not in self.names] if role.excess else []
        known = self.names + self.others
        chosen = data.getlist("models")
        unknown = [name for name in chosen if name not in known]  # refused by the service, with its reason
        self.fields["models"].choices = [(name, name) for name in known + unknown]  # type: ignore[attr-defined]

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
    def ttls(self) -> list[tuple[str, timedelta, datetime, bool]]:
        """Lifetimes to choose from, with when each would end, and whether it is more than the role gives."""
        longest, now = self.role.default_ttl, timezone.now()
        shorter = [ttl for ttl in USUAL_TTLS if ttl < longest]
        most = self.role.gateway.max_ttl if self.role.excess else longest
        longer = [ttl for ttl in USUAL_TTLS if longest < ttl <= most]
        offered = [*shorter[-5:], longest, *longer[:2]]
        return [(format_duration(ttl), ttl, now + ttl, ttl > longest) for ttl in offered]

    @property
    def picked_other(self) -> bool:
        return self["ttl"].value() not in {value for value, *_ in self.ttls}

    @property
    def inside(self) -> Iterator[Any]:
        """The boxes of the models that the role gives, and of what was sent beside any list."""
        return (box for box in self["models"] if box.data["value"] not in self.others)

    @property
    def outside(self) -> list[Any]:
        """The boxes of the other models that the gateway lists, which somebody has to decide about."""
        return [box for box in self["models"] if box.data["value"] in self.others]

    @property
    def asks_outside(self) -> bool:
        return any(box.data["selected"] for box in self.outside)

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
