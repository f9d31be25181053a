"""Django's admin, the last resort of platform admins: it mostly reads. Services make and end things."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from portal.models import AuditEvent, Letter, Sweep


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shows rows; neither adds, changes nor deletes them."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "action", "actor", "target_type", "target", "ip")
    list_filter = ("action", "actor_kind")
    search_fields = ("actor", "target", "target_id", "request_id")
    date_hierarchy = "at"


@admin.register(Sweep)
class SweepAdmin(ReadOnlyAdmin):
    list_display = ("name", "started_at", "finished_at", "succeeded_at", "seconds", "counts", "failures", "error")


@admin.register(Letter)
class LetterAdmin(ReadOnlyAdmin):
    """Where a letter that was given up is sent again, or thrown away."""

    list_display = ("created_at", "to", "subject", "due_at", "attempts", "last_error", "sent_at")
    list_filter = (("sent_at", admin.EmptyFieldListFilter), ("due_at", admin.EmptyFieldListFilter))
    search_fields = ("key", "to", "subject")
    actions = ("send_again",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("portal.delete_letter")

    @admin.action(description="Send those that were given up")
    def send_again(self, request: HttpRequest, chosen: QuerySet[Letter]) -> None:
        count = chosen.filter(sent_at=None, due_at=None).update(due_at=timezone.now())
        self.message_user(request, f"{count} to be sent.")


def close_other_rooms() -> None:
    """Take out what other apps have put in: an address or a group changed there would bypass every service."""
    ours = {"portal", "teams", "keys"}
    admin.site.unregister([model for model in list(admin.site._registry) if model._meta.app_label not in ours])


admin.site.site_header = admin.site.site_title = "Keydesk"
admin.site.index_title = "Last resort: rows as they lie"
admin.site.site_url = "/"
