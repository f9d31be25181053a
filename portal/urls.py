"""Every door. Apps are named as strings: the portal imports none of them."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path
from django.views.generic import RedirectView

from portal import health
from portal.admin import close_other_rooms

handler400 = "portal.views.bad_request"
handler403 = "portal.views.forbidden"
handler404 = "portal.views.not_found"
handler429 = "portal.views.too_many"  # asked for by allauth
handler500 = "portal.views.server_error"


def no_such_page(request: HttpRequest, **_: object) -> HttpResponse:
    """Stands before pages of allauth that are not part of Keydesk: an address is what an admin entered."""
    raise Http404


close_other_rooms()  # here, once every app has registered its own
urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("api/v1/", include("portal.reference_urls")),
    path("api/v1/", include("keys.api.urls")),
    path("accounts/email/", no_such_page),
    path("accounts/confirm-email/", no_such_page),
    path("accounts/confirm-email/<path:key>/", no_such_page),
    path("accounts/login/code/confirm/", no_such_page),
    path("accounts/", include("teams.account_urls")),
    path("accounts/", include("teams.sso.urls")),
    path("accounts/", include("allauth.account.urls")),
    # One way to sign in: the admin's own form knows nothing of rate limits.
    path("admin/login/", RedirectView.as_view(pattern_name="account_login", query_string=True)),
    path("admin/logout/", RedirectView.as_view(pattern_name="account_logout")),
    path("admin/password_change/", RedirectView.as_view(pattern_name="account_change_password")),
    path("admin/", admin.site.urls),
    path("teams/", include("teams.urls")),
    path("tokens/", include("teams.token_urls")),
    path("device/", include("teams.device_urls")),
    path("audit/", include("teams.audit_urls")),
    path("invitations/", include("teams.invited_urls")),
    path("mappings/", include("teams.mapping_urls")),
    path("webhooks/", include("teams.webhook_urls")),
    path("", include("keys.urls")),
]
if settings.SCIM_TOKEN or settings.TESTING:  # its schemas take 0.8 s of every start, so only where somebody asks for it
    urlpatterns += [path("scim/v2/", include("teams.scim.urls"))]
