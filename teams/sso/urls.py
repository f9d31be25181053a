"""Ways in by identity providers. Names are those that allauth looks up; so are the addresses, which others document."""

from __future__ import annotations

from django.urls import path

from teams.sso import views

urlpatterns = [
    path("3rdparty/", views.connections, name="socialaccount_connections"),
    path("oidc/<slug:provider_id>/login/", views.begin, name="openid_connect_login"),
    path("oidc/<slug:provider_id>/login/callback/", views.back, name="openid_connect_callback"),
    path("github/login/", views.begin, {"provider_id": "github"}, name="github_login"),
    path("github/login/callback/", views.back, {"provider_id": "github"}, name="github_callback"),
]
