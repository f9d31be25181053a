"""Pages of teams, under /teams/."""

from __future__ import annotations

from django.urls import path

from teams.views import invitations, tokens, webhooks
from teams.views import teams as views

app_name = "teams"
urlpatterns = [
    path("", views.team_list, name="list"),
    path("new/", views.new_team, name="new"),
    path("<slug:slug>/", views.team_page, name="team"),
    path("<slug:slug>/edit/", views.edit_team, name="edit"),
    path("<slug:slug>/keys/", views.team_keys, name="keys"),
    path("<slug:slug>/members/", views.team_members, name="members"),
    path("<slug:slug>/members/<uuid:user>/", views.change_member, name="member"),
    path("<slug:slug>/invitations/<uuid:pk>/", invitations.change, name="invitation"),
    path("<slug:slug>/service-accounts/<uuid:account>/tokens/new/", tokens.new_service_token, name="service_token"),
    path("<slug:slug>/webhooks/", webhooks.of_team, name="webhooks"),
    path("<slug:slug>/webhooks/new/", webhooks.new_of_team, name="new_webhook"),
    path("<slug:slug>/members/<uuid:user>/budget/", views.holder_budget, name="holder_budget"),
]
