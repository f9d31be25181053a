"""The language of one's own pages and letters."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import translation
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from teams.requests import SignedIn
from teams.services import language


@login_required
@require_POST
def choose(request: SignedIn) -> HttpResponse:
    language.choose(request.POST.get("language", ""), by=request.user)
    with translation.override(request.user.language or translation.get_language_from_request(request)):
        messages.success(request, gettext("Keydesk speaks English now."))
    return redirect("account")
