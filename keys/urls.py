"""Pages of virtual keys, key roles and gateways."""

from __future__ import annotations

from django.urls import path

from keys.views import gateways, home, issue, leases, roles, sandbox

app_name = "keys"
urlpatterns = [
    path("", home.my_keys, name="home"),
    path("keys/new/", issue.new_key, name="issue"),
    path("keys/<uuid:pk>/", leases.lease_page, name="lease"),
    path("keys/<uuid:pk>/revoke/", leases.revoke_key, name="revoke"),
    path("roles/", roles.role_list, name="roles"),
    path("roles/new/", roles.new_role, name="role_new"),
    path("roles/<int:pk>/", roles.role_page, name="role"),
    path("roles/<int:pk>/edit/", roles.edit_role, name="role_edit"),
    path("gateways/", gateways.gateway_list, name="gateways"),
    path("gateways/new/", gateways.new_gateway, name="gateway_new"),
    path("gateways/<int:pk>/", gateways.gateway_page, name="gateway"),
    path("gateways/<int:pk>/edit/", gateways.edit_gateway, name="gateway_edit"),
    path("gateways/<int:pk>/check/", gateways.check_gateway, name="gateway_check"),
    path("sandbox/<path:path>", sandbox.sandbox, name="sandbox"),
]
