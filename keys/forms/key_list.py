"""What somebody looks for among the keys they may see: the form is the query of the page."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from keys.models import KeyRole, State
from keys.models.lease import ENDED, LeaseQuerySet
from portal.forms import DeskForm
from teams.models import Team

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

LIVE, OVER = "live", "ended"
STATES = [("", _("Live")), (OVER, _("Ended")), (_("Just one state"), [(state.value, state.label) for state in State])]
FIND = ("name", "alias", "purpose", "role__name", "holder__name", "holder__email")


def matching(words: str, *columns: str) -> Q:
    """Rows in which one of the columns holds the words."""
    found = Q(pk__in=[])
    for column in columns:
        found |= Q(**{f"{column}__icontains": words})
    return found


def _text(label: StrOrPromise) -> forms.CharField:
    widget = forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(required=False, max_length=100, label=label, widget=widget)


class KeyListForm(DeskForm):
    """The filters; a value that cannot be used is left out, and says so."""

    q = _text(_("Name, purpose or role"))
    team = forms.ModelChoiceField(
        Team.objects.none(), required=False, to_field_name="slug", label=_("Team"), empty_label=_("Any")
    )
    role = forms.ModelChoiceField(KeyRole.objects.none(), required=False, label=_("Key role"), empty_label=_("Any"))
    state = forms.ChoiceField(required=False, choices=STATES, label=_("State"))
    holder = _text(_("Holder"))
    ends = forms.DateField(required=False, label=_("Ends before (UTC)"), widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: Any, teams: QuerySet[Team], roles: QuerySet[KeyRole], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer("team", teams.order_by("name", "slug"))
        self._offer("role", roles.order_by("name", "gateway__name"))
        self.full_clean()

    def _offer(self, name: str, rows: QuerySet[Any]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101
        field.queryset = rows

    @property
    def wanted(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if value}

    @property
    def is_over(self) -> bool:
        """Whether keys are asked for that have ended."""
        state = self.cleaned_data.get("state", "")
        return state == OVER or state in ENDED

    def of(self, leases: LeaseQuerySet) -> LeaseQuerySet:
        """Those of the leases that are looked for."""
        wanted = self.wanted
        state = wanted.get("state", "")
        if state in State.values:
            found = leases.filter(state=state)
        elif state == OVER:
            found = leases.exclude(ended_at=None)  # by its index: there are more of them every day
        else:
            found = leases.exclude(state__in=ENDED)
        if words := wanted.get("q"):
            found = found.filter(matching(words, *FIND))
        if team := wanted.get("team"):
            found = found.filter(team=team)
        if role := wanted.get("role"):
            found = found.filter(role=role)
        if holder := wanted.get("holder"):
            found = found.filter(matching(holder, "holder__name", "holder__email"))
        if day := wanted.get("ends"):
            found = found.filter(expires_at__lt=datetime.combine(day, time.min, UTC))
        return found
