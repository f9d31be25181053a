"""Forms of group mappings."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from portal.forms import DeskForm
from teams.claims import LONGEST
from teams.forms.teams import ROLE_WORDS
from teams.models import Team
from teams.roles import PlatformRole
from teams.services.mappings import sources

PLATFORM = "platform:"  # before a platform role: a team's "admin" and the platform's are equal as text
PLATFORM_WORDS = {
    PlatformRole.AUDITOR: gettext_lazy("Auditor: sees everything, changes nothing"),
    PlatformRole.ADMIN: gettext_lazy("Platform admin: everything"),
}
MOST_PASTED = 100_000  # characters


class MappingForm(DeskForm):
    """A group, and what it gives."""

    source = forms.ChoiceField(label=gettext_lazy("Provider"), required=False)
    value = forms.CharField(
        max_length=LONGEST,
        label=gettext_lazy("Group"),
        help_text=gettext_lazy("As the provider writes it, capitals and all. Entra sends object ids instead of names."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    gives = forms.ChoiceField(
        label=gettext_lazy("Gives"),
        choices=[
            (gettext_lazy("In a team"), [(role.value, said) for role, said in ROLE_WORDS.items()]),
            (
                gettext_lazy("On the platform"),
                [(f"{PLATFORM}{role.value}", said) for role, said in PLATFORM_WORDS.items()],
            ),
        ],
        initial="member",
    )
    team = forms.ModelChoiceField(
        Team.objects.none(), required=False, label=gettext_lazy("Team"),
        empty_label=gettext_lazy("None: a role on the platform"),
        help_text=gettext_lazy("For the roles in a team."),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].choices = list(sources().items())  # type: ignore[attr-defined]
        self.fields["team"].queryset = Team.objects.filter(ended_at=None)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any] | None:
        gives, team = self.cleaned_data.get("gives", ""), self.cleaned_data.get("team")
        if gives and gives.startswith(PLATFORM) and team:
            self.add_error("team", gettext("A role on the platform is for no single team."))
        if gives and not gives.startswith(PLATFORM) and not team and "team" not in self.errors:
            self.add_error("team", gettext("Choose the team."))
        return None

    def fields_given(self) -> dict[str, Any]:
        gives = self.cleaned_data["gives"]
        on_platform = gives.startswith(PLATFORM)
        return {
            "source": self.cleaned_data["source"],
            "value": self.cleaned_data["value"],
            "team": self.cleaned_data["team"],
            "role": "" if on_platform else gives,
            "platform_role": gives.removeprefix(PLATFORM) if on_platform else "",
        }


class ClaimsForm(DeskForm):
    """Claims of somebody, to see what they would give. Nothing of it is kept."""

    source = forms.ChoiceField(label=gettext_lazy("Provider"), required=False)
    claim = forms.CharField(
        required=False,
        max_length=200,
        label=gettext_lazy("Group claim"),
        help_text=gettext_lazy(
            "Its name; dots lead inwards, like realm_access.roles. Empty: the one this provider is set to."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    claims = forms.CharField(
        max_length=MOST_PASTED,
        label=gettext_lazy("Claims"),
        help_text=gettext_lazy(
            "A decoded ID token as JSON, a JSON list of groups, or one group a line. Nothing of it is stored."
        ),
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "autocomplete": "off"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["source"].choices = list(sources().items())  # type: ignore[attr-defined]
