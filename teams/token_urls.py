"""Pages of API tokens, under /tokens/."""

from __future__ import annotations

from django.urls import path

from teams.views import tokens

app_name = "tokens"
urlpatterns = [
    path("", tokens.token_list, name="list"),
    path("new/", tokens.new_token, name="new"),
    path("<uuid:pk>/end/", tokens.end_token, name="end"),
]
