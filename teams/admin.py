"""People in Django's admin. Platform roles are given here; teams and members have pages of their own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from portal import audit
from portal.admin import ReadOnlyAdmin
from teams.departures import came_back
from teams.models import ApiToken, Membership, Team, User
from teams.services.people import set_platform_role
from teams.signals import access_ended


class MembershipRows(admin.TabularInline):  # type: ignore[type-arg]
    model = Membership
    extra = 0
    can_delete = False
    readonly_fields = ("team", "role", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("team", "user")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Name, platform role and whether somebody is active may be changed; that is written down and acts at once."""

    list_display = ("__str__", "email", "kind", "platform_role", "is_active", "created_at")
    list_filter = ("kind", "platform_role", "is_active")
    search_fields = ("name", "email")
    fields = ("name", "email", "kind", "service_team", "platform_role", "is_active", "created_at", "last_login")
    readonly_fields = ("email", "kind", "service_team", "created_at", "last_login")
    inlines = (MembershipRows,)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # people are made by being put into a team

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # history names them; make them inactive

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        wanted = obj.platform_role
        if "platform_role" in form.changed_data:
            obj.platform_role = form.initial["platform_role"]  # the service changes it: a provider may give it too
        super().save_model(request, obj, form, change)
        if obj.platform_role != wanted:
            set_platform_role(obj, wanted, by=request.user)  # type: ignore[arg-type]
        if form.changed_data:
            changed = {name: form.cleaned_data[name] for name in form.changed_data}
            audit.record("person.changed", obj, by=request.user, **changed)  # type: ignore[arg-type]
            # After the commit: ending keys commits by itself before a gateway hears of it.
            transaction.on_commit(lambda: access_ended.send(User, user=obj, team=None))
            if obj.is_active:
                transaction.on_commit(lambda: came_back(obj, None, by=request.user))  # type: ignore[arg-type]


@admin.register(Team)
class TeamAdmin(ReadOnlyAdmin):
    list_display = ("name", "slug", "max_budget", "budget_duration", "created_at")
    search_fields = ("name", "slug")


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    list_display = ("name", "owner", "created_at", "expires_at", "last_used_at")
    search_fields = ("name", "owner__email", "owner__name")
    exclude = ("digest",)
