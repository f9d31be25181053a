"""Pages of one's own account, under /accounts/. Names without a namespace are allauth's: it asks for them."""

from __future__ import annotations

from django.urls import path
from django.views.decorators.http import require_GET
from django.views.generic import RedirectView

from teams.views import account as views
from teams.views import language, notices

to_account = require_GET(RedirectView.as_view(pattern_name="account"))
urlpatterns = [
    path("", views.account, name="account"),
    path("notices/", notices.choose, name="notices"),
    path("language/", language.choose, name="language"),
    path("reauthenticate/", views.again, name="account_reauthenticate"),
    path("reauthenticate/code/", views.again_by_code, name="mfa_reauthenticate"),
    path("reauthenticate/passkey/", views.again_by_passkey, name="mfa_reauthenticate_webauthn"),
    path("password/set/", views.set_password, name="account_set_password"),
    path("login/second-factor/", views.second_step, name="mfa_authenticate"),
    path("login/passkey/", views.sign_in_by_passkey, name="mfa_login_webauthn"),
    path("second-factors/", to_account, name="mfa_index"),
    path("second-factors/app/", views.activate_app, name="mfa_activate_totp"),
    path("second-factors/app/remove/", views.deactivate_app, name="mfa_deactivate_totp"),
    path("second-factors/codes/", views.recovery_codes, name="mfa_view_recovery_codes"),
    path("second-factors/codes/new/", views.make_recovery_codes, name="mfa_generate_recovery_codes"),
    path("passkeys/", to_account, name="mfa_list_webauthn"),
    path("passkeys/add/", views.add_passkey, name="mfa_add_webauthn"),
    path("passkeys/<int:pk>/", views.rename_passkey, name="mfa_edit_webauthn"),
    path("passkeys/<int:pk>/remove/", views.remove_passkey, name="mfa_remove_webauthn"),
    path("sessions/", to_account, name="usersessions_list"),
    path("sessions/end/", views.end_other_sessions, name="account_end_other_sessions"),
    path("sessions/<int:pk>/end/", views.end_session, name="account_end_session"),
]
