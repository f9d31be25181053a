"""The form of what one wants to hear, and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from portal.forms import DeskForm
from portal.notices import GROUPS, When


class NoticesForm(DeskForm):
    """One choice for each group of letters. `chosen`: how it is now."""

    def __init__(self, *args: Any, chosen: Mapping[str, When], **kwargs: Any) -> None:
        super().__init__(*args, initial=dict(chosen), **kwargs)
        for group in GROUPS:
            self.fields[group.name] = forms.ChoiceField(
                label=group.title,
                help_text=group.says,
                choices=[(way.value, way.label) for way in group.choices],
                widget=forms.RadioSelect,
            )
