"""Forms of what is done with a key that lives."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from keys.models import Lease
from keys.services.leases import REPLACE, heirs
from portal.forms import DeskForm, LifetimeField
from teams.models import User

ON_A_DAY = "day"
GRACES = {"24h": timedelta(hours=24), "1h": timedelta(hours=1), "now": REPLACE}


class ReasonForm(DeskForm):
    """Why somebody ends or stops a key."""

    reason = forms.CharField(
        required=False,
        max_length=200,
        label=_("Why?"),
        help_text=_("Stays in the history."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def fields_given(self) -> dict[str, Any]:
        return {"reason": self.cleaned_data["reason"] or "asked"}


class RenewForm(DeskForm):
    """How long a key shall live from now."""

    ttl = LifetimeField(label=_("TTL"))

    def __init__(self, *args: Any, lease: Lease, **kwargs: Any) -> None:
        longest = lease.role.default_ttl
        super().__init__(*args, initial={"ttl": longest}, **kwargs)
        field = self.fields["ttl"]
        field.help_text = gettext("From now, like 36h or 10d. %(role)s gives %(longest)s at a time.") % {
            "role": lease.role,
            "longest": field.prepare_value(longest),
        }


class TransferForm(DeskForm):
    """Whom the key is handed over to."""

    to = forms.ChoiceField(label=_("To whom?"), help_text=_("Of this team, and may hold keys there."))

    def __init__(self, *args: Any, lease: Lease, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lease = lease
        self.fields["to"].choices = self._choices  # type: ignore[attr-defined]  # read only where it is shown

    def _choices(self) -> list[tuple[str, str]]:
        return [("", gettext("Choose")), *((str(user.pk), _called(user)) for user in heirs(self.lease))]

    def fields_given(self) -> dict[str, Any]:
        wanted = self.cleaned_data["to"]
        return {"to": next(user for user in heirs(self.lease) if str(user.pk) == wanted)}


def _called(user: User) -> str:
    return gettext("%(user)s, service account") % {"user": user} if user.kind == User.Kind.SERVICE else str(user)


class RotateForm(DeskForm):
    """When the old secret ends. `replaces`: the version that the form was drawn for, so that it rotates only once."""

    grace = forms.ChoiceField(
        label=_("The old secret ends"),
        choices=[("24h", _("in 24 hours")), ("1h", _("in 1 hour")), ("now", _("now")), (ON_A_DAY, _("on a date"))],
        widget=forms.RadioSelect,
        initial="24h",
    )
    day = forms.DateField(
        required=False,
        label=_("Its last day"),
        help_text=_("It ends at 24:00 UTC, and never later than the key itself."),
        widget=forms.DateInput(attrs={"type": "date", "autocomplete": "off"}, format="%Y-%m-%d"),
    )
    replaces = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, lease: Lease, **kwargs: Any) -> None:
        super().__init__(*args, initial={"replaces": lease.current.number}, **kwargs)
        today = timezone.now().date()
        last = max(today, lease.expires_at.date())
        self.fields["day"].widget.attrs |= {"min": today.isoformat(), "max": last.isoformat()}

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        if found.get("grace") == ON_A_DAY and "day" not in self.errors:
            day = found.get("day")
            if day is None:
                self.add_error("day", gettext("Choose the day."))
            elif self._end_of(day) <= timezone.now():
                self.add_error("day", gettext("This day is over. To end the old secret now, choose that."))
        return found

    def fields_given(self) -> dict[str, Any]:
        grace = self.cleaned_data["grace"]
        rest = self._end_of(self.cleaned_data["day"]) - timezone.now() if grace == ON_A_DAY else GRACES[grace]
        return {"grace": rest, "replaces": self.cleaned_data["replaces"]}

    @staticmethod
    def _end_of(day: Any) -> datetime:
        return datetime.combine(day, time.min, UTC) + timedelta(days=1)
