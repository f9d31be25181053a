"""Where allauth asks us."""

from __future__ import annotations

from typing import Any, Never

import structlog
from allauth.account.internal.flows.login import AUTHENTICATION_METHODS_SESSION_KEY, get_authentication_records
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext

from portal.providers import Provider
from teams import claims, grants
from teams.models import User
from teams.services import invitations
from teams.signing_in import SigningIn
from teams.sso import calls, identities, passwords, sign_out
from teams.sso.troubles import ProviderAway, SignInRefused, SignInStopped, WayLost

log = structlog.get_logger(__name__)


def came_by(request: HttpRequest, user: Any) -> dict[str, Any] | None:
    """allauth's note of how a provider brought this session in; None: no provider did."""
    notes = get_authentication_records(request, user)
    return next((note for note in reversed(notes) if note.get("method") == "socialaccount"), None)


class AccountAdapter(SigningIn):
    """Accounts are made by administrators and providers, never by who knocks."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_login(self, request: HttpRequest, user: User, **hooks: Any) -> HttpResponse | None:
        if not came_by(request, user) and not passwords.may_use(user):  # the net under PasswordBackend
            raise SignInRefused(
                "sso_only", gettext("Only single sign-on opens this desk."), action=gettext("Sign in at your provider.")
            )
        # While a second factor is asked for, allauth would keep it in the session, the person's password hash with it.
        if login := (hooks.get("signal_kwargs") or {}).pop("sociallogin", None):
            _date_back(request, getattr(login, "claims", {}).get("auth_time"))
        answer: HttpResponse | None = super().pre_login(request, user, **hooks)
        return answer

    def post_login(self, request: HttpRequest, user: User, **hooks: Any) -> HttpResponse:
        if settings.SSO_ONLY and not came_by(request, user):
            passwords.glass_broken(user)
        answer: HttpResponse = super().post_login(request, user, **hooks)
        return answer

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """The ways in which this person can show again who they are; providers aside."""
        found: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        return [way for way in found if way["id"] != "reauthenticate" or passwords.may_use(user)]

    def get_logout_redirect_url(self, request: HttpRequest) -> str:
        """To the provider that brought the person in, so that the next click there does not sign them in again."""
        note = came_by(request, request.user)
        if note and request.method == "POST" and "here_only" not in request.POST:
            try:
                if there := sign_out.address(note):
                    return there
            except ProviderAway as away:
                messages.warning(
                    request,
                    gettext("%(message)s You are signed out here; there you may still be signed in.")
                    % {"message": away.message},
                )
        home: str = super().get_logout_redirect_url(request)
        return home


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Providers come from the environment alone, and `identities` says who may come in."""

    def list_apps(self, request: HttpRequest, provider: str | None = None, client_id: str | None = None) -> list[Any]:
        found = [_app(each) for each in settings.SSO_PROVIDERS.values()]
        if provider:
            found = [app for app in found if provider in (app.provider_id, app.provider)]
        return [app for app in found if client_id in (None, app.client_id)]

    def get_app(self, request: HttpRequest, provider: str, client_id: str | None = None) -> Any:
        configured = settings.SSO_PROVIDERS.get(provider)
        if configured is None:
            raise Http404
        return _app(configured)

    def get_requests_session(self) -> calls.Session:
        return calls.Session()

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        """A name and an address to show; only `identities` makes accounts."""
        user: User = sociallogin.user
        names = (data.get("first_name"), data.get("last_name"))
        whole = data.get("name") or " ".join(part for part in names if isinstance(part, str))
        user.name = _one_line(str(whole))
        user.email = str(data.get("email") or "")
        return user

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Say who this is, link or make their account, and follow the groups; or refuse."""
        provider = settings.SSO_PROVIDERS[sociallogin.account.provider]
        invited = _invited(request)
        claimed = _claimed(provider, sociallogin, invited)
        sociallogin.token = None  # tokens of the provider are used while the person waits, and kept nowhere
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            raise ImmediateHttpResponse(_connected(request, claimed))
        sociallogin.state["process"] = AuthProcess.LOGIN
        sociallogin.account = identities.let_in(claimed, invited=invited)
        sociallogin.user = sociallogin.account.user
        if provider.groups_claim:
            values, trouble = claims.groups_in(getattr(sociallogin, "claims", {}), provider.groups_claim)
            grants.follow(sociallogin.user, provider.id, values, trouble=trouble)

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> Never:
        """Say what went wrong in our words. The exception's own may hold an answer of the provider: a secret."""
        configured: Provider = settings.SSO_PROVIDERS[provider.sub_id]
        if exception is not None:
            log.warning("sign_in_failed", provider=configured.id, trouble=type(exception).__name__)
            raise calls.away(configured) from None  # its words may hold the answer, and that a token
        if "error" in request.GET:  # with or without a state that we know: nothing is done either way
            raise SignInStopped(
                gettext("%(name)s did not sign you in: you, or a rule there, said no.") % {"name": configured.name}
            )
        raise WayLost


def _app(provider: Provider) -> SocialApp:
    """The provider as allauth knows one; no row of any table."""
    own_id = provider.id if provider.protocol == "openid_connect" else ""
    return SocialApp(
        provider=provider.protocol,
        provider_id=own_id,
        name=provider.name,
        client_id=provider.client_id,
        secret=provider.client_secret,
        settings={"server_url": provider.issuer, "oauth_pkce_enabled": True},
    )


def _claimed(provider: Provider, login: SocialLogin, invited: str) -> identities.Claimed:
    """GitHub knows several addresses of a person: a proven one that counts goes first, then the primary one.

    They are ASCII by now (provider.py), so that lower case makes nobody else's of them.
    """
    told = {each.email.lower(): bool(each.verified) for each in login.email_addresses if each.email}
    proven = [address for address, verified in told.items() if verified]
    best = [address for address in proven if provider.speaks_for(address) or address == invited]
    address = next(iter([*best, *proven, *told]), "")
    return identities.Claimed(
        provider=provider,
        subject=login.account.uid,
        address=address,
        verified=told.get(address, False),
        name=login.user.name,
        shown=str(login.account.extra_data.get("shown", "")),
    )


def _date_back(request: HttpRequest, shown_at: Any) -> None:
    """Count the sign-in from when the person showed the provider who they are, where it says when that was.

    Else a browser that is signed in there would make every act look fresh. Source: OpenID Connect Core 1.0, section 2.
    """
    notes = request.session.get(AUTHENTICATION_METHODS_SESSION_KEY)
    if notes and isinstance(shown_at, int | float):
        notes[-1]["at"] = float(max(0, min(notes[-1]["at"], shown_at)))  # compared first: some fit into no float
        request.session.modified = True


def _invited(request: HttpRequest) -> str:
    """The address of the invitation that was opened in this session; blank: of none that still counts."""
    ticket = request.session.get("invitation")
    if not isinstance(ticket, str):
        return ""
    try:
        return invitations.look(ticket).email
    except invitations.InvitationOver:
        return ""


def _connected(request: HttpRequest, claimed: identities.Claimed) -> HttpResponse:
    if not isinstance(request.user, User):
        raise WayLost
    identities.connect(claimed, by=request.user)
    messages.success(request, gettext("%(name)s is connected.") % {"name": claimed.provider.name})
    return redirect("socialaccount_connections")


def _one_line(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:150]
