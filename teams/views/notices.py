"""How one wants to hear of things."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from portal.notices import GROUPS
from portal.ui import sent
from teams.forms.notices import NoticesForm
from teams.requests import SignedIn
from teams.services import notices


@login_required
@require_http_methods(["GET", "POST"])
def choose(request: SignedIn) -> HttpResponse:
    form = NoticesForm(sent(request), chosen=notices.choices_of(request.user))
    saved = form.hand_to(notices.choose, by=request.user) if request.method == "POST" else None
    if saved:
        messages.success(request, gettext("Saved. It holds for every letter from now on."))
        return redirect("notices")
    context = {"form": form, "groups": [(group, form[group.name]) for group in GROUPS], "hour": settings.DIGEST_HOUR}
    return render(request, "account/notices.html", context, status=form.status)
