"""REST of requests, spend, statements and the audit: one request of alice's waits, one of carol's is hers to claim."""

from __future__ import annotations

from typing import Any

from keys.models import Statement
from portal.models import AuditEvent
from tests.permissions import rows_advice, rows_dashboards, rows_requests
from tests.permissions.scene import Scene

# nobody olga mallory vic alice carol bob ines audra ruth robot reader
REST = {
    ("get", "api:requests"): "401 200 200 200 200 200 200 200 200 200 200 200",
    ("post", "api:requests"): "401 404 404 404 201 404 403 403 403 403 404 403",
    ("get", "api:request"): "401 404 404 404 200 404 200 200 200 200 404 200",
    ("post", "api:request_approve"): "401 404 404 404 403 404 200 200 403 200 404 403",
    ("post", "api:request_deny"): "401 404 404 404 403 404 200 200 403 200 404 403",
    ("post", "api:request_cancel"): "401 404 404 404 200 404 403 403 403 403 404 403",
    ("post", "api:request_say"): "401 404 404 404 200 404 200 200 403 200 404 403",
    ("post", "api:request_claim"): "401 404 404 404 404 201 403 403 403 403 404 404",
    ("get", "api:spend"): "401 200 200 200 200 200 200 200 200 200 200 200",
    ("get", "api:spend_csv"): "401 200 200 200 200 200 200 200 200 200 200 200",
    ("get", "api:statements"): "401 403 200 403 403 403 403 200 200 200 403 403",
    ("post", "api:statements_export"): "401 403 403 403 403 403 403 200 200 200 403 403",
    ("get", "api:statement"): "401 403 404 403 403 403 403 200 200 200 403 403",
    ("get", "api:statement_lines"): "401 403 404 403 403 403 403 200 200 200 403 403",
    ("post", "api:statement_export"): "401 403 404 403 403 403 403 200 200 200 403 403",
    ("get", "api:advice"): "401 200 200 200 200 200 200 200 200 200 200 200",
    ("get", "api:advice_one"): "401 404 404 404 200 404 200 200 200 200 404 200",
    ("post", "api:advice_apply"): "401 404 404 404 409 404 409 409 403 409 404 403",
    ("post", "api:advice_snooze"): "401 404 404 404 200 404 200 200 403 200 404 403",
    ("post", "api:advice_wake"): "401 404 404 404 200 404 200 200 403 200 404 403",
    ("get", "api:audit"): "401 403 200 403 403 403 403 200 200 200 403 403",
    ("get", "api:audit_act"): "401 403 404 403 403 403 403 200 200 200 403 403",
    ("get", "api:audit_chain"): "401 403 200 403 403 403 403 200 200 200 403 403",
    ("post", "api:audit_export"): "401 403 200 403 403 403 403 200 200 200 403 403",
    ("post", "api:audit_find"): "401 403 200 403 403 403 403 200 200 200 403 403",
}


def arguments(scene: Scene) -> dict[str, list[Any]]:
    pages = rows_requests.arguments(scene)
    rows_dashboards.arguments(scene)
    statement = Statement.objects.get(team=scene.team, month=rows_dashboards.MONTH)
    advice = rows_advice.arguments(scene)["keys:advice_one"]
    acts = ("request", "request_approve", "request_deny", "request_cancel", "request_say", "request_claim")
    act = AuditEvent.objects.filter(team_id=str(scene.team.pk)).latest("pk")
    return {
        **{f"api:{name}": pages[f"keys:{name}"] for name in acts},
        **{f"api:{name}": [statement.pk] for name in ("statement", "statement_lines", "statement_export")},
        **{f"api:{name}": advice for name in ("advice_one", "advice_apply", "advice_snooze", "advice_wake")},
        "api:audit_act": [act.pk],
    }


def bodies(scene: Scene) -> dict[str, dict[str, Any]]:
    snooze = rows_advice.bodies(scene)["keys:advice_one"]
    return {
        "api:requests": {"lease": str(scene.lease.pk), "lasts": "7d", "max_budget": "80", "purpose": "A test."},
        "api:request_approve": {"ttl": "30d"},
        "api:request_deny": {"reason": "A test."},
        "api:request_say": {"text": "A word."},
        "api:statements_export": {"month": f"{rows_dashboards.MONTH:%Y-%m}", "kind": "focus"},
        "api:advice_snooze": {name: each for name, each in snooze.items() if name != "act"},
        "api:audit_find": {"secret": "kd_nothing"},
    }
