"""Virtual keys in Django's admin: to look at. The master key and the hashes of keys are not shown."""

from __future__ import annotations

from django.contrib import admin

from keys.models import Counter, Finding, Gateway, Intent, KeyRole, KeyVersion, Lease, SpendDay, UnmanagedKey
from portal.admin import ReadOnlyAdmin


@admin.register(Gateway)
class GatewayAdmin(ReadOnlyAdmin):
    list_display = ("name", "base_url", "is_default", "litellm_version", "checked_at", "away_since")
    exclude = ("master_key",)


@admin.register(KeyRole)
class KeyRoleAdmin(ReadOnlyAdmin):
    list_display = ("name", "gateway", "max_budget", "budget_duration", "ttl", "all_models", "all_teams", "version")
    list_filter = ("gateway",)
    search_fields = ("name",)


class VersionRows(admin.TabularInline):  # type: ignore[type-arg]
    model = KeyVersion
    extra = 0
    fields = readonly_fields = ("number", "key_name", "alias", "created_at", "dies_at", "ended_at")
    can_delete = False


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    list_display = ("alias", "name", "holder", "team", "role", "state", "issued_at", "expires_at")
    list_filter = ("state", "gateway", "team")
    search_fields = ("alias", "name", "holder__email")
    exclude = ("once",)
    inlines = (VersionRows,)


@admin.register(Intent)
class IntentAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "gateway", "due_at", "attempts", "last_error", "issuing")
    list_filter = ("gateway", "kind")
    list_select_related = ("gateway", "version", "team")


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    list_display = ("message", "gateway", "kind", "state", "first_seen_at", "seen_at", "closed_by")
    list_filter = ("state", "kind", "gateway")
    search_fields = ("message",)
    exclude = ("subject",)  # often a hash


@admin.register(UnmanagedKey)
class UnmanagedKeyAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "gateway", "team", "holder", "spend", "expires_at", "last_used_at", "seen_at")
    list_filter = ("gateway",)
    search_fields = ("alias", "key_name", "team", "holder")
    exclude = ("token_hash",)


@admin.register(SpendDay)
class SpendDayAdmin(ReadOnlyAdmin):
    list_display = (
        "day",
        "key_alias",
        "model",
        "spend",
        "requests",
        "failed",
        "team_name",
        "holder_name",
        "written_at",
    )
    list_filter = ("gateway", "team")
    search_fields = ("key_alias", "model", "holder_name")
    date_hierarchy = "day"


@admin.register(Counter)
class CounterAdmin(ReadOnlyAdmin):
    list_display = ("team", "holder", "gateway", "spend", "resets_at", "read_at")
    list_filter = ("gateway",)
