"""Pages of virtual keys, key roles and gateways."""

from __future__ import annotations

from django.urls import path

from keys.views import acts, endings, gateways, home, issue, leases, leaving, many, people, roles, sandbox
from keys.views import service_accounts as machines
from keys.views.operations import departures, findings, overview, proposals, unmanaged
from keys.views.operations import gateway as one_gateway

app_name = "keys"
urlpatterns = [
    path("", home.my_keys, name="home"),
    path("keys/new/", issue.new_key, name="issue"),
    path("keys/revoke/", many.revoke_many, name="revoke_many"),
    path("keys/<uuid:pk>/", leases.lease_page, name="lease"),
    path("keys/<uuid:pk>/renew/", acts.renew_key, name="renew"),
    path("keys/<uuid:pk>/rotate/", acts.rotate_key, name="rotate"),
    path("keys/<uuid:pk>/transfer/", acts.transfer_key, name="transfer"),
    path("keys/<uuid:pk>/pause/", acts.pause_key, name="pause"),
    path("keys/<uuid:pk>/resume/", acts.resume_key, name="resume"),
    path("keys/<uuid:pk>/revoke/", acts.revoke_key, name="revoke"),
    path("roles/", roles.role_list, name="roles"),
    path("roles/new/", roles.new_role, name="role_new"),
    path("roles/<int:pk>/", roles.role_page, name="role"),
    path("roles/<int:pk>/edit/", roles.edit_role, name="role_edit"),
    path("roles/<int:pk>/end/", endings.end_role, name="role_end"),
    path("teams/<slug:slug>/end/", endings.end_team, name="team_end"),
    path("teams/<slug:slug>/members/<uuid:user>/leaving/", leaving.member_leaving, name="member_leaving"),
    path("people/", people.person_list, name="people"),
    path("people/<uuid:pk>/", people.person_page, name="person"),
    path("people/<uuid:pk>/role/", people.platform_role, name="platform_role"),
    path("people/<uuid:pk>/second-factors/", people.reset_factors, name="person_factors"),
    path("people/<uuid:pk>/leaving/", leaving.person_leaving, name="person_leaving"),
    path("teams/<slug:slug>/service-accounts/", machines.service_account_list, name="service_accounts"),
    path(
        "teams/<slug:slug>/service-accounts/<uuid:pk>/",
        machines.service_account_page,
        name="service_account",
    ),
    path(
        "teams/<slug:slug>/service-accounts/<uuid:pk>/edit/",
        machines.edit_service_account,
        name="service_account_edit",
    ),
    path(
        "teams/<slug:slug>/service-accounts/<uuid:pk>/end/",
        machines.end_service_account,
        name="service_account_end",
    ),
    path("gateways/", gateways.gateway_list, name="gateways"),
    path("gateways/new/", gateways.new_gateway, name="gateway_new"),
    path("gateways/<int:pk>/", gateways.gateway_page, name="gateway"),
    path("gateways/<int:pk>/edit/", gateways.edit_gateway, name="gateway_edit"),
    path("gateways/<int:pk>/check/", gateways.check_gateway, name="gateway_check"),
    path("gateways/<int:pk>/compare/", one_gateway.compare, name="gateway_compare"),
    path("gateways/<int:pk>/end/", one_gateway.end_listed, name="gateway_end"),
    path("gateways/<int:pk>/hold/", one_gateway.hold, name="gateway_hold"),
    path("gateways/<int:pk>/measure/", one_gateway.measure, name="gateway_measure"),
    path("operations/", overview.operations, name="operations"),
    path("operations/intents/<int:pk>/retry/", overview.retry, name="intent_retry"),
    path("operations/intents/<int:pk>/force/", overview.force, name="intent_force"),
    path("operations/intents/<int:pk>/forget/", overview.forget, name="intent_forget"),
    path("operations/departures/", departures.departures, name="departures"),
    path("operations/proposals/", proposals.proposals, name="proposals"),
    path("operations/proposals/<int:pk>/", proposals.decide, name="proposal"),
    path("operations/findings/", findings.finding_list, name="findings"),
    path("operations/findings/<int:pk>/", findings.finding, name="finding"),
    path("operations/unmanaged/", unmanaged.key_list, name="unmanaged"),
    path("operations/unmanaged/<int:pk>/import/", unmanaged.import_key, name="unmanaged_import"),
    path("sandbox/<path:path>", sandbox.sandbox, name="sandbox"),
]
