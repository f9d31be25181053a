"""SCIM's door, under /scim/v2/. Clients write addresses without a slash at the end."""

from __future__ import annotations

from django.urls import path

from teams.scim import views
from teams.scim.door import Nothing
from teams.scim.resources import PROVIDER, described

app_name = "scim"
types = views.Discovery.as_view(found=described(PROVIDER.resource_types, "/ResourceTypes"))
schemas = views.Discovery.as_view(found=described(PROVIDER.schemas, "/Schemas"))
urlpatterns = [
    path("ServiceProviderConfig", views.Config.as_view(), name="config"),
    path("ResourceTypes", types, name="types"),
    path("ResourceTypes/<str:pk>", types, name="type"),
    path("Schemas", schemas, name="schemas"),
    path("Schemas/<str:pk>", schemas, name="schema"),
    path(".search", views.Search.as_view(), name="search"),
    path("Users", views.PersonList.as_view(), name="users"),
    path("Users/.search", views.PersonSearch.as_view(), name="user_search"),
    path("Users/<uuid:pk>", views.OnePerson.as_view(), name="user"),
    path("Groups", views.GroupList.as_view(), name="groups"),
    path("Groups/.search", views.GroupSearch.as_view(), name="group_search"),
    path("Groups/<uuid:pk>", views.OneGroup.as_view(), name="group"),
    path("<path:rest>", Nothing.as_view(), name="nothing"),
    path("", Nothing.as_view(), name="root"),
]
