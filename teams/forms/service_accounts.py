"""The form of a service account."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from portal.forms import DeskForm
from teams.models import Team, User
from teams.services.service_accounts import LONGEST_NAME


class ServiceAccountForm(DeskForm):
    """Its name, and who answers for it."""

    name = forms.CharField(
        max_length=LONGEST_NAME,
        label=gettext_lazy("Name"),
        help_text=gettext_lazy("What it does, like nightly-labels."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    responsible = forms.ChoiceField(
        required=False,
        label=gettext_lazy("Who answers for it"),
        help_text=gettext_lazy("Gets the letters about its keys and tokens."),
    )

    def __init__(self, *args: Any, team: Team, account: User | None = None, **kwargs: Any) -> None:
        if account:
            kwargs["initial"] = {"name": account.name, "responsible": str(account.responsible_id or "")}
        super().__init__(*args, **kwargs)
        members = User.objects.filter(memberships__team=team, is_active=True).order_by("name", "email")
        self.people = {str(person.pk): person for person in members}
        choices = [("", gettext("The admins of the team")), *((pk, str(person)) for pk, person in self.people.items())]
        self.fields["responsible"].choices = choices  # type: ignore[attr-defined]

    def fields_given(self) -> dict[str, Any]:
        given = self.cleaned_data
        return {"name": given["name"], "responsible": self.people.get(given["responsible"])}
