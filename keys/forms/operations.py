"""Forms of the platform's operations: reasons, and the import of a key that is not ours."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.models import KeyRole, UnmanagedKey
from keys.services.errors import HolderLeft, RoleEnded
from portal.errors import PortalError
from portal.forms import DeskForm, LifetimeField
from teams.models import Team, User

WHERE: dict[type[PortalError], str] = {
    RoleEnded: "role",
    HolderLeft: "holder",
}  # troubles that name no field, and the field they are about


class WhyForm(DeskForm):
    """A reason that must be given."""

    reason = forms.CharField(
        max_length=200,
        label=_("Why?"),
        help_text=_("Stays in the history."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class RoleChoice(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Key roles, each with the teams it is open to."""

    def label_from_instance(self, obj: Any) -> str:
        teams = ", ".join(team.name for team in obj.teams.all()) or gettext("no team")
        return gettext("%(role)s (open to %(teams)s)") % {
            "role": obj,
            "teams": gettext("all teams") if obj.all_teams else teams,
        }


class ImportForm(DeskForm):
    """Whose lease a key of the gateway becomes."""

    team = forms.ModelChoiceField(Team.objects.none(), label=_("Team"), empty_label=_("Choose a team"))
    holder = forms.CharField(
        max_length=254,
        label=_("Holder"),
        help_text=_("The e-mail address of a member, or the name of a service account of the team."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}),
    )
    role = RoleChoice(KeyRole.objects.none(), label=_("Key role"), empty_label=_("Choose a key role"))
    name = forms.CharField(
        max_length=80,
        required=False,
        label=_("Name"),
        help_text=_("As it is shown here. Empty: its alias."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    ttl = LifetimeField(required=False, label=_("TTL"), help_text=_("How long it lives from now, like 24h or 30d."))
    take_over = forms.BooleanField(
        required=False,
        label=_("Take it over from the other Keydesk"),
        help_text=_("Both will act on it: what one ends, pauses or changes, the other finds changed."),
    )

    def __init__(self, data: Any = None, *, key: UnmanagedKey) -> None:
        super().__init__(data, initial={"name": key.alias[:80]})
        teams: Any = self.fields["team"]
        roles: Any = self.fields["role"]
        teams.queryset = Team.objects.filter(ended_at=None)
        roles.queryset = KeyRole.objects.filter(gateway=key.gateway_id, ended_at=None).prefetch_related("teams")
        own = gettext("its own end there stays") if key.expires_at else gettext("the TTL of the key role")
        self.fields["ttl"].help_text += " " + gettext("Empty: %(own)s.") % {"own": own}
        if not key.instance:
            del self.fields["take_over"]

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        team, named = found.get("team"), found.get("holder", "").strip()
        if team and named:
            found["holder"] = _holder(team, named)
            if found["holder"] is None:
                self.add_error(
                    "holder",
                    gettext("Nobody here has this address, and %(team)s has no such service account.") % {"team": team},
                )
        return found

    def blame(self, error: PortalError) -> None:
        field = WHERE.get(type(error))
        if field and not error.details:
            self.add_error(field, f"{error.message} {error.action}")
        else:
            super().blame(error)


def _holder(team: Team, named: str) -> User | None:
    person = User.objects.filter(email__iexact=named).first()
    machines = list(User.objects.filter(service_team=team, name__iexact=named)[:2])
    return person or (machines[0] if len(machines) == 1 else None)
