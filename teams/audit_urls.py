"""Pages of the audit trail, under /audit/."""

from __future__ import annotations

from django.urls import path

from teams.views import audit as views

app_name = "audit"
urlpatterns = [
    path("", views.audit_page, name="page"),
    path("secret/", views.find_secret, name="secret"),
    path("export/<slug:kind>/", views.export, name="export"),
]
