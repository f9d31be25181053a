"""Django's admin: for platform admins, and then mostly to read. A model that is registered has its rows by that."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.utils import timezone

from keys.models import Counter, SpendDay
from portal.models import Letter, Sweep
from teams.models import ApiToken
from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth
STAFF = "302 403 403 403 403 403 403 403 403 {}"
MODELS = [model._meta for model in admin.site._registry if model._meta.app_label in {"portal", "teams", "keys"}]
CHANGED = {"teams_user"}
DELETED = {"portal_letter"}
PAGES = {
    ("get", "admin:index"): STAFF.format(200),
    ("get", "admin:app_list"): STAFF.format(200),
    ("get", "/admin/login/"): "302 302 302 302 302 302 302 302 302 302",
    ("get", "/admin/logout/"): "302 302 302 302 302 302 302 302 302 302",
    ("get", "/admin/password_change/"): "302 302 302 302 302 302 302 302 302 302",
    ("get", "admin:password_change_done"): STAFF.format(200),
    ("get", "admin:autocomplete"): STAFF.format(403),
    ("get", "admin:jsi18n"): STAFF.format(200),
    ("get", "admin:view_on_site"): STAFF.format(404),
    ("get", "admin:login"): "302 302 302 302 302 302 302 302 302 302",
    ("get", "admin:logout"): "302 302 302 302 302 302 302 302 302 302",
    ("get", "admin:password_change"): "302 302 302 302 302 302 302 302 302 302",
    ("get", "/admin/(?P<url>.*)$"): STAFF.format(404),
}
for _meta in MODELS:
    name = f"{_meta.app_label}_{_meta.model_name}"
    writes = 200 if name in CHANGED else 403
    PAGES |= {
        ("get", f"admin:{name}_changelist"): STAFF.format(200),
        ("get", f"admin:{name}_add"): STAFF.format(403),
        ("post", f"admin:{name}_add"): STAFF.format(403),
        ("get", f"/admin/{_meta.app_label}/{_meta.model_name}/<path:object_id>/"): STAFF.format(302),
        ("get", f"admin:{name}_history"): STAFF.format(200),
        ("get", f"admin:{name}_change"): STAFF.format(200),
        ("post", f"admin:{name}_change"): STAFF.format(writes),
        ("get", f"admin:{name}_delete"): STAFF.format(200 if name in DELETED else 403),
        ("post", f"admin:{name}_delete"): STAFF.format(302 if name in DELETED else 403),
    }


def arguments(scene: Scene) -> dict[str, list[Any]]:
    """One row of each model; what does not lie in the scene anyway is made here."""
    now, version = timezone.now(), scene.lease.versions.get()
    Sweep.objects.get_or_create(name="settle_intents")
    Letter.objects.get_or_create(key="one", to=["alice@example.com"], subject="One", text="One.")
    Counter.objects.get_or_create(gateway=scene.gateway, team=scene.team, defaults={"read_at": now})
    day = {"gateway": scene.gateway, "version": version, "day": now.date(), "model": "gpt-4o"}
    SpendDay.objects.get_or_create(
        **day, defaults={"spend": 1, "team": scene.team, "holder": scene.alice, "written_at": now}
    )
    ApiToken.objects.get_or_create(owner=scene.alice, name="admin", defaults={"digest": "a", "expires_at": now})
    parts: dict[str, list[Any]] = {
        "admin:app_list": ["keys"],
        "admin:view_on_site": [1, 1],
        "/admin/(?P<url>.*)$": ["/admin/nothing/"],
    }
    for model in MODELS:
        name, path = f"{model.app_label}_{model.model_name}", f"/admin/{model.app_label}/{model.model_name}/"
        row = apps.get_model(model.label)._default_manager.order_by("pk").first()
        assert row, f"make one {model.label} here"
        parts |= {f"admin:{name}_{act}": [row.pk] for act in ("history", "change", "delete")}
        parts[f"{path}<path:object_id>/"] = [f"{path}{row.pk}/"]
    return parts
