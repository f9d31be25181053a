"""Pages of group mappings, under /mappings/."""

from __future__ import annotations

from django.urls import path

from teams.views import mappings as views

app_name = "mappings"
urlpatterns = [
    path("", views.mapping_list, name="list"),
    path("new/", views.new_mapping, name="new"),
    path("try/", views.try_claims, name="try"),
    path("apply/", views.apply_mappings, name="apply"),
    path("<int:pk>/remove/", views.remove_mapping, name="remove"),
]
