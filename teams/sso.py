"""How people come in: allauth's adapter with our rules."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts are made by administrators, never by who knocks."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
