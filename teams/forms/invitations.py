"""What an invited person fills in."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy

from portal.forms import DeskForm


class NewAccountForm(DeskForm):
    """The account that an invitation makes; its address is the invited one."""

    name = forms.CharField(
        max_length=150, label=gettext_lazy("Your name"), widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    password = forms.CharField(
        strip=False,
        max_length=1000,
        help_text=gettext_lazy("At least 12 characters. A few unrelated words are easy to keep."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
