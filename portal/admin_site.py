"""Django's admin as a door of Keydesk: who may not enter is refused like everywhere, not sent round in circles."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.utils.translation import gettext

from portal.errors import NotAllowed


class DeskAdmin(AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        """Raises NotAllowed for somebody who is signed in and no platform admin."""
        if super().has_permission(request):
            return True
        if request.user.is_authenticated:
            raise NotAllowed(
                gettext("You may not look at rows as they lie."),
                right="manage_platform",
                action=gettext("A platform admin can."),
            )
        return False
