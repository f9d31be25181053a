"""Which rows a filter can find, so that one person is not searched for among all. scim2-models decides in the end."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.db.models import Q
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator

PEOPLE = {
    "id": "user_id",
    "username": "user_name__iexact",
    "externalid": "external_id",
    "displayname": "display_name__iexact",
    "emails": "emails_text__icontains",
    "emails.value": "emails_text__icontains",
}
GROUPS = {"id": "pk", "displayname": "name__iexact", "externalid": "external_id"}


def rows_for(node: FilterNode, columns: Mapping[str, str]) -> Q:
    """At least the rows that match: exactly these for a comparison by `eq`, and all where nothing better is known."""
    if isinstance(node, LogicalExpr):
        parts = [rows_for(term, columns) for term in node.terms]
        if node.op == LogicalOperator.and_:
            return Q(*parts)
        return Q() if not all(parts) else Q(*parts, _connector=Q.OR)
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return Q()
    path, value = node.attr_path, node.value
    column = columns.get(".".join(filter(None, (path.attr, path.sub_attr))).lower())
    # SQLite folds the case of ASCII only, and JSON text writes quotes and other letters in its own way.
    if not column or not value.isascii() or not value.isprintable() or '"' in value or "\\" in value:
        return Q()
    if column in {"pk", "user_id"}:
        try:
            UUID(value)
        except ValueError:
            return Q(pk__in=[])
    return Q(**{column: value})
