"""Pages of whoever is invited, under /invitations/."""

from __future__ import annotations

from django.urls import path

from teams.views import invitations as views

app_name = "invitations"
urlpatterns = [
    path("accept/", views.accept, name="accept"),
    path("switch/", views.switch, name="switch"),
    path("<str:secret>/", views.open_link, name="open"),
]
