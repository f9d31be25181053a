"""What the REST API says about itself, under /api/v1/."""

from __future__ import annotations

from django.urls import path

from portal import reference

app_name = "reference"
urlpatterns = [
    path("schema/", reference.schema, name="schema"),
    path("docs/", reference.docs, name="docs"),
    path("errors/", reference.errors, name="errors"),
    path("errors/<slug:code>/", reference.error, name="error"),
]
