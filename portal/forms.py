"""What every form shares: fields for money and lifetimes, and errors that come back from a service."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from http import HTTPStatus
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext, gettext_lazy

from portal.errors import NotAllowed, PortalError, SecondNeeded
from portal.litellm import BudgetWindow, format_duration, parse_duration
from portal.litellm.durations import InvalidDuration
from portal.refusals import in_form

T = TypeVar("T")

WINDOW_WORDS = {
    "": gettext_lazy("in all, never reset"),
    BudgetWindow.MONTH: gettext_lazy("a month"),
    BudgetWindow.THIRTY_DAYS: gettext_lazy("a month (30d)"),
    BudgetWindow.WEEK: gettext_lazy("a week"),
    BudgetWindow.DAY: gettext_lazy("a day"),
    BudgetWindow.HOUR: gettext_lazy("an hour"),
}


class DeskForm(forms.Form):
    """A form that is handed to a service, and whose errors may come from there."""

    status = HTTPStatus.OK  # of the page that shows it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)

    def fields_given(self) -> dict[str, Any]:
        """What a service is told; forms whose fields are not the service's say it in its words."""
        return self.cleaned_data

    def hand_to(self, verb: Callable[..., T], **more: Any) -> T | None:
        """Call `verb` with what was filled in. None: the form or the service said no; it is shown, with `status`.

        Raises NotAllowed and SecondNeeded: no other input would cure that.
        """
        self.status = HTTPStatus.UNPROCESSABLE_ENTITY
        if not self.is_valid():
            return None
        try:
            return verb(**self.fields_given(), **more)
        except (NotAllowed, SecondNeeded):
            raise
        except PortalError as error:
            in_form.set(error)
            self.blame(error)
            self.status = error.status
        return None

    def blame(self, error: PortalError) -> None:
        """Show `error` at the fields that it names; what names none is said above the form."""
        named = {name: words for name, words in error.details.items() if name in self.fields}
        for name, words in named.items():
            self.add_error(name, str(words))
        others = [str(words) for name, words in error.details.items() if name == "__all__"]
        if not named:
            self.add_error(None, " ".join(others) or f"{error.message} {error.action}".strip())

    def blame_all(self, errors: Iterable[PortalError]) -> None:
        for error in errors:
            self.blame(error)


class MoneyField(forms.DecimalField):
    """USD; `$` and thousands commas are taken as typed."""

    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    def to_python(self, value: Any) -> Any:
        if not isinstance(value, str):
            return super().to_python(value)
        plain = re.sub(r"[$\s]", "", value)
        if "," in plain and not re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", plain):
            raise ValidationError(gettext("Write cents after a point, like 1.50."))  # 1,50 must never become 150
        return super().to_python(plain.replace(",", ""))

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, Decimal):
            return f"{value:.2f}" if value == round(value, 2) else f"{value.normalize():f}"
        return value


class LifetimeField(forms.CharField):
    """A lifetime as text, `24h` or `7d`; its value is a timedelta, None when left empty."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}))
        super().__init__(**kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return parse_duration(text)
        except InvalidDuration as error:
            raise ValidationError(f"{error.message} {error.action}") from None

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, timedelta):
            return format_duration(value) if value else ""
        return value


class WindowField(forms.ChoiceField):
    """How often a budget starts anew."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        super().__init__(choices=[(str(key), words) for key, words in WINDOW_WORDS.items()], **kwargs)
