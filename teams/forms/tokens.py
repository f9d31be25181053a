"""The form of an API token."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy

from portal.forms import DeskForm
from teams.models import ApiToken, User
from teams.roles import Scope
from teams.services.tokens import LONGEST_TOKEN, scopes_for

SCOPE_WORDS = {
    Scope.READ: gettext_lazy("See teams, key roles, keys and spend. The next three need it, to find what they act on."),
    Scope.KEYS_ISSUE: gettext_lazy("Issue keys, ask for what somebody must decide, and claim it."),
    Scope.KEYS_MANAGE: gettext_lazy("Renew, rotate, pause, revoke and hand over keys, and ask for more on them."),
    Scope.TEAM_MANAGE: gettext_lazy("Decide requests; change members, service accounts, tokens and budgets of teams."),
    Scope.AUDIT_READ: gettext_lazy("Read the audit trail and the statements of teams, and export them."),
    Scope.PLATFORM_READ: gettext_lazy("See gateways, promises, findings, and what every team has."),
    Scope.PLATFORM_MANAGE: gettext_lazy("Change teams, key roles and gateways, and settle findings."),
}


class TokenForm(DeskForm):
    """What a token is for, what it may do, how long, and from where. `once`: sent twice, it makes one token."""

    name = forms.CharField(
        max_length=80,
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("What uses it, to know it again."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("What may it do?"),
        help_text=gettext_lazy("Never more than its owner may at that moment."),
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.READ],
    )
    days = forms.IntegerField(
        label=gettext_lazy("Expires in"),
        min_value=1,
        max_value=LONGEST_TOKEN.days,
        initial=ApiToken.DEFAULT_LIFE.days,
        help_text=format_lazy(
            gettext_lazy("At most {days} days. Its owner gets a letter 7 days and 1 day before."),
            days=LONGEST_TOKEN.days,
        ),
        widget=forms.NumberInput(attrs={"autocomplete": "off"}),
    )
    networks = forms.CharField(
        required=False,
        label=gettext_lazy("Only from these networks"),
        help_text=gettext_lazy("One a line, like 10.20.0.0/16 or 192.0.2.7. Empty: from anywhere."),
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
    )
    once = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, owner: User, **kwargs: Any) -> None:
        super().__init__(*args, initial={"once": uuid4()}, **kwargs)
        choices = [(scope.value, SCOPE_WORDS[scope]) for scope in scopes_for(owner)]
        self.fields["scopes"].choices = choices  # type: ignore[attr-defined]

    def fields_given(self) -> dict[str, Any]:
        given = self.cleaned_data
        return {
            "name": given["name"],
            "scopes": given["scopes"],
            "life": timedelta(days=given["days"]),
            "networks": given["networks"].replace(",", "\n").splitlines(),
            "once": given["once"],
        }
