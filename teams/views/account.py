"""One's own account: what one signs in with, and where one is signed in."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias

from allauth.account.adapter import get_adapter
from allauth.account.views import ReauthenticateView, password_set
from allauth.mfa.base.views import AuthenticateView
from allauth.mfa.base.views import ReauthenticateView as CodeAgainView
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn.views import (
    AddWebAuthnView,
    EditWebAuthnView,
    LoginWebAuthnView,
    ReauthenticateWebAuthnView,
    RemoveWebAuthnView,
)
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal.errors import Invalid
from portal.languages import LANGUAGES
from portal.templatetags.ui import count
from teams import mfa, sessions
from teams.access import require_fresh
from teams.models import User
from teams.requests import SignedIn
from teams.sso import passwords

View: TypeAlias = Callable[..., HttpResponse]
only_pages = require_http_methods(["GET", "POST"])


@login_required
@require_GET
def account(request: SignedIn) -> HttpResponse:
    user = request.user
    here = request.session.session_key
    context = {
        "factors": mfa.factors_of(user),
        "required": mfa.is_required_of(user),
        "sessions": [
            (each, sessions.browser_of(each), each.session_key == here) for each in sessions.sessions_of(user)
        ],
        "known_at": _providers_of(user),
        "may_use_password": passwords.may_use(user),
        "languages": LANGUAGES.items(),
    }
    return render(request, "account/account.html", context)


def _providers_of(user: User) -> set[str]:
    """The ids of those that know this person."""
    return set(SocialAccount.objects.filter(user=user).values_list("provider", flat=True))


@login_required
@require_POST
def end_session(request: SignedIn, pk: int) -> HttpResponse:
    session = get_object_or_404(UserSession, pk=pk, user=request.user)
    if session.session_key == request.session.session_key:
        return redirect("account_logout")
    sessions.end(session, by=request.user)
    messages.success(request, gettext("%(browser)s is signed out.") % {"browser": sessions.browser_of(session)})
    return redirect("account")


@login_required
@require_POST
def end_other_sessions(request: SignedIn) -> HttpResponse:
    ended = sessions.end_others(request.user, but=request.session.session_key)
    messages.success(
        request, gettext("%(sessions)s signed out.") % {"sessions": capfirst(count(ended, "other session"))}
    )
    return redirect("account")


class Asks:
    """What every page that asks again shows: the ways that this person has, their providers among them."""

    request: SignedIn

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        told: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc]
        ways = get_adapter().get_reauthentication_methods(self.request.user)
        return {
            **told,
            "known_at": _providers_of(self.request.user),
            "by_password": any(way["id"] == "reauthenticate" for way in ways),
        }


class Again(Asks, ReauthenticateView):  # type: ignore[misc]
    """Show again who you are: by password, or by the first of the other ways that the person has."""

    def _check_reauthentication_method_available(self, request: HttpRequest) -> HttpResponse | None:
        ways = get_adapter().get_reauthentication_methods(request.user)
        if ways and ways[0]["id"] != "reauthenticate":
            return redirect(self.passthrough_next_url(ways[0]["url"]))
        return None  # without any of them, a provider brought them in, and does so again


class AgainByCode(Asks, CodeAgainView):  # type: ignore[misc]
    pass


class AgainByPasskey(Asks, ReauthenticateWebAuthnView):  # type: ignore[misc]
    """One that is refused leads back to itself, where the message is."""

    def form_invalid(self, form: Any) -> HttpResponse:
        super().form_invalid(form)
        return redirect(self.passthrough_next_url(self.request.path))


class RemovePasskey(RemoveWebAuthnView):  # type: ignore[misc]
    success_url = reverse_lazy("account")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        kept = not mfa.is_removable(self.get_object())
        return {**super().get_context_data(**kwargs), "kept": kept}


class RenamePasskey(EditWebAuthnView):  # type: ignore[misc]
    success_url = reverse_lazy("account")


class AddPasskey(AddWebAuthnView):  # type: ignore[misc]
    """A first factor comes with recovery codes, which are shown next."""

    def get_success_url(self) -> str:
        return reverse("mfa_view_recovery_codes" if self.did_generate_recovery_codes else "account")


class ActivateApp(ActivateTOTPView):  # type: ignore[misc]
    def get_success_url(self) -> str:
        return reverse("mfa_view_recovery_codes" if self.did_generate_recovery_codes else "account")


class DeactivateApp(DeactivateTOTPView):  # type: ignore[misc]
    success_url = reverse_lazy("account")


@login_required
@only_pages
def set_password(request: SignedIn) -> HttpResponse:
    """For who has none yet: no old one is asked for, so it wants a fresh sign-in."""
    require_fresh(request.user)
    answer: HttpResponse = password_set(request)
    return answer


def _readable(request: HttpRequest) -> None:
    """Refuse what Python itself cannot read of a passkey; the forms take care of the rest. Raises Invalid."""
    try:
        json.loads(request.POST.get("credential", ""))
    except json.JSONDecodeError:
        pass
    except (ValueError, RecursionError):  # a number of thousands of digits; nested beyond all measure
        raise Invalid(details={"credential": gettext("This is no answer of a passkey.")}) from None


def written(view: View) -> View:
    """What is sent is done in one transaction with its audit event; looking takes no lock."""
    in_one = transaction.atomic(view)

    @only_pages
    @wraps(view)
    def door(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "POST":
            return view(request, *args, **kwargs)
        _readable(request)
        return in_one(request, *args, **kwargs)

    return door


again = never_cache(only_pages(Again.as_view()))
again_by_code = never_cache(written(AgainByCode.as_view()))
again_by_passkey = never_cache(written(AgainByPasskey.as_view()))
second_step = written(AuthenticateView.as_view())
sign_in_by_passkey = never_cache(written(LoginWebAuthnView.as_view()))
activate_app = never_cache(written(ActivateApp.as_view()))  # shows a secret, as do new recovery codes
deactivate_app = written(DeactivateApp.as_view())
add_passkey = never_cache(written(AddPasskey.as_view()))
rename_passkey = written(RenamePasskey.as_view())
remove_passkey = written(RemovePasskey.as_view())
recovery_codes = never_cache(require_GET(ViewRecoveryCodesView.as_view()))
make_recovery_codes = written(GenerateRecoveryCodesView.as_view())
