"""Forms of teams."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext, gettext_lazy

from portal.forms import DeskForm, MoneyField, WindowField
from portal.templatetags.ui import money
from teams.models import Membership, Team
from teams.roles import MemberRole

ROLE_WORDS = {
    MemberRole.VIEWER: gettext_lazy("Viewer: sees the team, holds no keys"),
    MemberRole.MEMBER: gettext_lazy("Member: gets keys, sees their own"),
    MemberRole.APPROVER: gettext_lazy("Approver: also sees and revokes all keys"),
    MemberRole.ADMIN: gettext_lazy("Team admin: also members and budget"),
}
ROLE_MEANS = {
    MemberRole.VIEWER: gettext_lazy("You see the team and what it spends, and hold no keys."),
    MemberRole.MEMBER: gettext_lazy("You get keys within what the team allows; you see, renew and revoke your own."),
    MemberRole.APPROVER: gettext_lazy("You get keys, and you see, pause and revoke everybody's in the team."),
    MemberRole.ADMIN: gettext_lazy(
        "You get keys, see and revoke everybody's, and decide who is in the team and what it may spend."
    ),
}


class TeamForm(DeskForm):
    """Name and budget of a team. The slug is chosen once, as it is in addresses."""

    name = forms.CharField(
        max_length=120, label=gettext_lazy("Name"), help_text=gettext_lazy("As people say it, like Search Platform.")
    )
    slug = forms.SlugField(
        max_length=60,
        required=False,
        label=gettext_lazy("Short name"),
        help_text=gettext_lazy("In addresses and in the API. Left empty it is made from the name."),
    )
    max_budget = MoneyField(
        required=False,
        min_value=0,
        max_digits=12,
        decimal_places=2,
        label=gettext_lazy("Budget"),
        help_text=gettext_lazy(
            "For all keys of the team together. When it is spent they stop. Empty: no budget of its own."
        ),
    )
    budget_duration = WindowField(
        initial="1mo", label=gettext_lazy("The budget is for"), help_text=gettext_lazy("Windows start at 00:00 UTC.")
    )
    cost_centre = forms.CharField(
        max_length=64,
        required=False,
        label=gettext_lazy("Cost centre"),
        help_text=gettext_lazy("Who pays, as the books say it. It stands on statements that are closed from now on."),
    )

    def __init__(self, *args: Any, team: Team | None = None, renames: bool = True, **kwargs: Any) -> None:
        if team:
            kwargs["initial"] = {
                "name": team.name,
                "max_budget": team.max_budget,
                "budget_duration": team.budget_duration,
                "cost_centre": team.cost_centre,
            }
        super().__init__(*args, **kwargs)
        if team:
            del self.fields["slug"]
        if not renames:
            del self.fields["name"], self.fields["cost_centre"]


class HolderBudgetForm(DeskForm):
    """What the keys of one person may spend in a team."""

    max_budget = MoneyField(required=False, min_value=0, max_digits=12, decimal_places=2, label=gettext_lazy("Budget"))

    def __init__(self, *args: Any, membership: Membership, **kwargs: Any) -> None:
        super().__init__(*args, initial={"max_budget": membership.max_budget}, **kwargs)
        team = membership.team
        said = gettext("For all their keys of %(team)s. Empty: no limit of their own.") % {"team": team}
        if team.max_budget is not None:
            said += " " + gettext("The team itself has %(money)s.") % {"money": money(team.max_budget)}
        self.fields["max_budget"].help_text = said


class MemberForm(DeskForm):
    """Who is put into a team, as what."""

    email = forms.EmailField(label="E-mail", widget=forms.EmailInput(attrs={"autocomplete": "off"}))
    role = forms.ChoiceField(
        label=gettext_lazy("Member role"),
        choices=[(role.value, said) for role, said in ROLE_WORDS.items()],
        initial=MemberRole.MEMBER,
    )
