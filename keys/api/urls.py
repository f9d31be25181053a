from django.urls import path

from keys.api import rest

app_name = "api"
urlpatterns = [
    path("teams/", rest.TeamsView.as_view(), name="teams"),
    path("teams/<slug:slug>/", rest.TeamView.as_view(), name="team"),
    path("teams/<slug:slug>/members/", rest.MembersView.as_view(), name="members"),
    path("roles/", rest.RolesView.as_view(), name="roles"),
    path("keys/", rest.KeysView.as_view(), name="keys"),
    path("keys/<uuid:pk>/", rest.KeyView.as_view(), name="key"),
    path("keys/<uuid:pk>/renew/", rest.RenewView.as_view(), name="renew"),
    path("keys/<uuid:pk>/rotate/", rest.RotateView.as_view(), name="rotate"),
    path("keys/<uuid:pk>/pause/", rest.PauseView.as_view(), name="pause"),
    path("keys/<uuid:pk>/resume/", rest.ResumeView.as_view(), name="resume"),
    path("keys/<uuid:pk>/revoke/", rest.RevokeView.as_view(), name="revoke"),
]
