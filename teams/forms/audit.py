"""What somebody looks for in the audit trail: the form is the query of the page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from portal.forms import DeskForm
from teams.acts import GROUPS, PHRASES
from teams.models import Team
from teams.services.trail import Wanted


def _day(label: str) -> forms.DateField:
    return forms.DateField(required=False, label=label, widget=forms.DateInput(attrs={"type": "date"}))


def _text(label: str, **more: Any) -> forms.CharField:
    widget = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(required=False, max_length=254, label=label, widget=widget, **more)


def _actions() -> list[tuple[str, Any]]:
    """All acts, by what they are about; "key." is all about keys."""
    found: list[tuple[str, Any]] = [("", "Any")]
    for group, words in GROUPS.items():
        ours = [action for action in PHRASES if action.startswith(f"{group}.")]
        verbs = [(action, action.partition(".")[2].replace("_", " ")) for action in ours]
        found.append((words, [(f"{group}.", f"{words}: all"), *verbs]))
    return found


class TrailForm(DeskForm):
    """The filters. `start` and `end` are called from and to in the address."""

    action = forms.CharField(required=False, max_length=60, label="What happened", widget=forms.Select())
    team = forms.ModelChoiceField(
        Team.objects.none(), required=False, to_field_name="slug", label="Team", empty_label="Any"
    )
    actor = _text("Who", help_text="A name, an address, or a part of it.")
    target = _text("To what", help_text="A name, or an id.")
    start = _day("From day (UTC)")
    end = _day("To day (UTC)")
    ip = forms.GenericIPAddressField(required=False, label="From address")
    token = forms.UUIDField(required=False, label="API token", help_text="Its id.")
    secret = forms.RegexField(r"^[0-9a-f]{64}$", required=False, label="Secret", widget=forms.HiddenInput())

    def __init__(self, *args: Any, teams: QuerySet[Team], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = self.fields["team"]
        assert isinstance(chosen, forms.ModelChoiceField)  # noqa: S101
        chosen.queryset = teams.order_by("name", "slug")
        self.fields["action"].widget.choices = _actions()

    def add_prefix(self, field_name: str) -> str:
        return {"start": "from", "end": "to"}.get(field_name, field_name)

    def wanted(self) -> Wanted:
        """What was filled in; a field that cannot be used is left out, and says so."""
        self.full_clean()
        found = {name: value for name, value in self.cleaned_data.items() if value}
        if "token" in found:
            found["token"] = str(found["token"])
        return Wanted(**found)


class SecretForm(DeskForm):
    """A secret that somebody found, to see what was done with it."""

    secret = forms.CharField(
        max_length=200,
        label="Secret",
        help_text="Paste a virtual key or an API token. It is hashed at once, and kept nowhere.",
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
