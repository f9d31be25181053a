"""The request of somebody who is signed in, for the types of views behind `login_required`."""

from __future__ import annotations

from django.http import HttpRequest

from teams.models import User


class SignedIn(HttpRequest):
    user: User
