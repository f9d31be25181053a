"""The way to a provider and back, and what is connected to one's own account."""

from __future__ import annotations

from typing import Any

from allauth.account.utils import get_next_redirect_url
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal.errors import Invalid
from teams.access import require_fresh
from teams.requests import SignedIn
from teams.sso import identities

# How a provider is told to ask who this is; what most take (OpenID Connect Core 1.0, 3.1.2.1), and who takes another.
ASK_AGAIN = {"google": "select_account", "github": "select_account"}


@never_cache
@require_POST
def begin(request: HttpRequest, provider_id: str) -> HttpResponse:
    """To the provider, to sign in there. `again`: it should ask, though it knows the browser."""
    return _go(request, provider_id, AuthProcess.LOGIN, next_url=get_next_redirect_url(request))


@never_cache
@require_GET
def back(request: HttpRequest, provider_id: str) -> HttpResponse:
    """From the provider, with a code that is exchanged for who this is. Raises SignInRefused and other troubles."""
    provider = get_adapter(request).get_provider(request, provider_id)
    answer: HttpResponse = OAuth2CallbackView.adapter_view(provider.get_oauth2_adapter(request))(request)
    return answer


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def connections(request: SignedIn) -> HttpResponse:
    """The providers one's own account is connected with. POST: connect another one, or disconnect one."""
    if request.method == "POST":
        require_fresh(request.user)
        if provider_id := request.POST.get("connect"):
            return _go(request, provider_id, AuthProcess.CONNECT)
        return _disconnect(request, request.POST.get("disconnect", ""))
    mine = list(SocialAccount.objects.filter(user=request.user).order_by("date_joined"))
    taken = {identity.provider for identity in mine}
    context: dict[str, Any] = {
        "identities": [(identity, settings.SSO_PROVIDERS.get(identity.provider)) for identity in mine],
        "others": [each for each in settings.SSO_PROVIDERS.values() if each.id not in taken],
    }
    return render(request, "socialaccount/connections.html", context)


def _go(request: HttpRequest, provider_id: str, process: str, next_url: str | None = None) -> HttpResponse:
    provider = get_adapter(request).get_provider(request, provider_id)
    asked = {"prompt": ASK_AGAIN.get(provider_id, "login")} if "again" in request.POST else {}
    answer: HttpResponse = provider.redirect(request, process, next_url=next_url, auth_params=asked)
    return answer


def _disconnect(request: SignedIn, pk: str) -> HttpResponse:
    if not (pk.isdecimal() and len(pk) < 20):
        raise Invalid(gettext("There is no such act."))
    identity = get_object_or_404(SocialAccount, pk=int(pk), user=request.user)
    provider = settings.SSO_PROVIDERS.get(identity.provider)
    identities.disconnect(identity, by=request.user)
    messages.success(
        request,
        gettext("%(provider)s is disconnected.") % {"provider": provider.name if provider else identity.provider},
    )
    return redirect("socialaccount_connections")
