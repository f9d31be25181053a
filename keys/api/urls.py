from django.urls import path, register_converter
from django.urls.converters import StringConverter

from keys.api.rest import gateways, keys, many, platform, roles, spend, teams


class Name(StringConverter):
    """The name of a key role or a gateway."""

    regex = r"[\w.-]{1,60}"


register_converter(Name, "name")

app_name = "api"
urlpatterns = [
    path("teams/", teams.TeamsView.as_view(), name="teams"),
    path("teams/<slug:slug>/", teams.TeamView.as_view(), name="team"),
    path("teams/<slug:slug>/members/", teams.MembersView.as_view(), name="members"),
    path("teams/<slug:slug>/members/<str:who>/budget/", teams.MemberBudgetView.as_view(), name="member_budget"),
    path("teams/<slug:slug>/spend/", spend.TeamSpendView.as_view(), name="team_spend"),
    path("roles/", roles.RolesView.as_view(), name="roles"),
    path("roles/<name:name>/", roles.RoleView.as_view(), name="role"),
    path("keys/", keys.KeysView.as_view(), name="keys"),
    path("keys/revoke/", many.RevokeManyView.as_view(), name="revoke_many"),
    path("keys/<uuid:pk>/", keys.KeyView.as_view(), name="key"),
    path("keys/<uuid:pk>/renew/", keys.RenewView.as_view(), name="renew"),
    path("keys/<uuid:pk>/rotate/", keys.RotateView.as_view(), name="rotate"),
    path("keys/<uuid:pk>/transfer/", keys.TransferView.as_view(), name="transfer"),
    path("keys/<uuid:pk>/pause/", keys.PauseView.as_view(), name="pause"),
    path("keys/<uuid:pk>/resume/", keys.ResumeView.as_view(), name="resume"),
    path("keys/<uuid:pk>/revoke/", keys.RevokeView.as_view(), name="revoke"),
    path("keys/<uuid:pk>/spend/", spend.KeySpendView.as_view(), name="key_spend"),
    path("gateways/", gateways.GatewaysView.as_view(), name="gateways"),
    path("gateways/<name:name>/", gateways.GatewayView.as_view(), name="gateway"),
    path("gateways/<name:name>/reconcile/", gateways.ReconcileView.as_view(), name="reconcile"),
    path("gateways/<name:name>/release/", gateways.ReleaseView.as_view(), name="release"),
    path("unmanaged-keys/", gateways.UnmanagedKeysView.as_view(), name="unmanaged_keys"),
    path("unmanaged-keys/<int:pk>/adopt/", gateways.AdoptView.as_view(), name="adopt_key"),
    path("intents/", platform.IntentsView.as_view(), name="intents"),
    path("intents/<int:pk>/retry/", platform.RetryView.as_view(), name="intent_retry"),
    path("intents/<int:pk>/force/", platform.ForceView.as_view(), name="intent_force"),
    path("intents/<int:pk>/forget/", platform.ForgetView.as_view(), name="intent_forget"),
    path("sweeps/", platform.SweepsView.as_view(), name="sweeps"),
    path("findings/", platform.FindingsView.as_view(), name="findings"),
    path("findings/<int:pk>/restore/", platform.RestoreView.as_view(), name="finding_restore"),
    path("findings/<int:pk>/adopt/", platform.AdoptFindingView.as_view(), name="finding_adopt"),
    path("findings/<int:pk>/ignore/", platform.IgnoreView.as_view(), name="finding_ignore"),
    path("findings/<int:pk>/revoke/", platform.RevokeUnknownView.as_view(), name="finding_revoke"),
    path("departures/", platform.DeparturesView.as_view(), name="departures"),
    path("departures/<int:pk>/decide/", platform.DecideView.as_view(), name="departure_decide"),
]
