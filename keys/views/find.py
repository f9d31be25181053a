"""The search box of the rail. What is typed is sent by POST: it may be a secret, and no secret stands in an address."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from keys.services import search
from teams.requests import SignedIn


@sensitive_post_parameters("q")
@sensitive_variables("sent", "found")
@login_required
@require_http_methods(["GET", "POST"])
def find(request: SignedIn) -> HttpResponse:
    """POST leads to the key whose secret, hash or id was sent, or to the address of the words; GET shows what has them.

    A secret that opens nothing is answered with that, and is not repeated anywhere.
    """
    sent = (request.POST if request.method == "POST" else request.GET).get("q", "").replace("\0", "").strip()
    if found := search.key_of(sent, request.user):
        return redirect("keys:lease", found.pk)
    if search.is_secret(sent):
        return render(request, "keys/find.html", {"secret": request.method})
    if request.method == "POST":
        return redirect(f"{reverse('keys:find')}?{urlencode({'q': sent[: search.LONGEST]})}")
    return render(request, "keys/find.html", {"words": sent, "found": search.look(sent, request.user)})
