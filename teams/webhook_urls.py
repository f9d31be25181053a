"""Pages of webhooks, under /webhooks/: the platform's own, and each one with its log."""

from __future__ import annotations

from django.urls import path

from teams.views import webhooks as views

app_name = "webhooks"
urlpatterns = [
    path("", views.of_platform, name="list"),
    path("new/", views.new_of_platform, name="new"),
    path("<uuid:pk>/", views.webhook, name="page"),
    path("<uuid:pk>/edit/", views.edit, name="edit"),
    path("<uuid:pk>/secret/", views.new_secret, name="secret"),
    path("<uuid:pk>/remove/", views.remove, name="remove"),
    path("<uuid:pk>/turn/", views.turn, name="turn"),
    path("<uuid:pk>/test/", views.test, name="test"),
    path("<uuid:pk>/deliveries/<int:delivery>/", views.send_again, name="send_again"),
]
