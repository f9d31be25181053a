"""What somebody looks for in the audit trail: the form is the query of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext, gettext_lazy

from portal.forms import DeskForm
from teams.acts import GROUPS, PHRASES
from teams.models import Team
from teams.services.trail import Wanted

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


def _day(label: StrOrPromise) -> forms.DateField:
    return forms.DateField(required=False, label=label, widget=forms.DateInput(attrs={"type": "date"}))


def _text(label: StrOrPromise, **more: Any) -> forms.CharField:
    widget = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(required=False, max_length=254, label=label, widget=widget, **more)


def _actions() -> list[tuple[str, Any]]:
    """All acts, by what they are about; "key." is all about keys."""
    found: list[tuple[str, Any]] = [("", gettext("Any"))]
    for group, words in GROUPS.items():
        ours = [action for action in PHRASES if action.startswith(f"{group}.")]
        verbs = [(action, action.partition(".")[2].replace("_", " ")) for action in ours]
        found.append((str(words), [(f"{group}.", gettext("%(group)s: all") % {"group": words}), *verbs]))
    return found


class TrailForm(DeskForm):
    """The filters. `start` and `end` are called from and to in the address."""

    action = forms.CharField(required=False, max_length=60, label=gettext_lazy("What happened"), widget=forms.Select())
    team = forms.ModelChoiceField(
        Team.objects.none(),
        required=False,
        to_field_name="slug",
        label=gettext_lazy("Team"),
        empty_label=gettext_lazy("Any"),
    )
    actor = _text(gettext_lazy("Who"), help_text=gettext_lazy("A name, an address, or a part of it."))
    target = _text(gettext_lazy("To what"), help_text=gettext_lazy("A name, or an id."))
    start = _day(gettext_lazy("From day (UTC)"))
    end = _day(gettext_lazy("To day (UTC)"))
    ip = forms.GenericIPAddressField(required=False, label=gettext_lazy("From address"))
    token = forms.UUIDField(required=False, label=gettext_lazy("API token"), help_text=gettext_lazy("Its id."))
    secret = forms.RegexField(
        r"^[0-9a-f]{64}$", required=False, label=gettext_lazy("Secret"), widget=forms.HiddenInput()
    )

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
        label=gettext_lazy("Secret"),
        help_text=gettext_lazy("Paste a virtual key or an API token. It is hashed at once, and kept nowhere."),
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
