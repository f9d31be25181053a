"""Statements as FOCUS 1.2 rows, for a company's cost tools. Source: focus.finops.org, version 1.2."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from keys.models import StatementLine
from keys.services.statements import month_after
from portal.models import Installation
from portal.sheets import plain

# The 21 columns that FOCUS 1.2 makes mandatory ...
MANDATORY = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity",
    "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory", "ServiceName",
)  # fmt: skip
# ... those it has for what we know, and ours, which begin with x_.
COLUMNS = (
    *MANDATORY, "ChargeFrequency", "ConsumedQuantity", "ConsumedUnit", "InvoiceId", "ResourceId", "ResourceName",
    "ResourceType", "ServiceSubcategory", "SkuId", "SubAccountId", "SubAccountName", "SubAccountType", "Tags",
    "x_CompletionTokens", "x_Gateway", "x_Holder", "x_Model", "x_PromptTokens", "x_Requests",
)  # fmt: skip


def rows(lines: Iterable[StatementLine]) -> Iterator[list[Any]]:
    """One row for each line, in the order of COLUMNS.

    A key is its lease, so a rotation splits no row. We know one cost, what the proxy counted, so all four are equal.
    """
    account = Installation.current()
    for line in lines:
        told = _row(line, account)
        yield [told[name] for name in COLUMNS]


def _row(line: StatementLine, account: str) -> dict[str, Any]:
    statement = line.statement
    charge = f"Calls of {line.key_alias} with {line.model} in {line.of_month:%B %Y}"
    # Text, not a figure: a cell that begins with { is no formula, and a cost tool reads it as JSON.
    tags = {"cost_centre": statement.cost_centre, "key_role": line.role_name, "holder": line.holder_name}
    return {
        **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), line.spend),
        "BillingAccountId": account,
        "BillingAccountName": f"Keydesk {account}",
        "BillingCurrency": "USD",
        "BillingPeriodStart": _midnight(statement.month),
        "BillingPeriodEnd": _midnight(month_after(statement.month)),
        "ChargeCategory": "Usage",
        "ChargeClass": "Correction" if line.is_correction else None,
        "ChargeDescription": f"{charge}, corrected by {plain(line.spend)} USD" if line.is_correction else charge,
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _midnight(line.of_month),
        "ChargePeriodEnd": _midnight(month_after(line.of_month)),
        **dict.fromkeys(("ConsumedQuantity", "PricingQuantity"), line.tokens),
        **dict.fromkeys(("ConsumedUnit", "PricingUnit"), "Tokens"),
        "InvoiceId": f"{statement.team.slug}-{statement.number}",
        "InvoiceIssuerName": "Keydesk",
        "ProviderName": "LiteLLM",
        "PublisherName": "LiteLLM",
        "ResourceId": line.lease_id,
        "ResourceName": line.key_alias,
        "ResourceType": "Virtual key",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": f"LiteLLM on {line.gateway.name}",
        "ServiceSubcategory": "Generative AI",
        "SkuId": line.model,
        "SubAccountId": statement.team_id,
        "SubAccountName": statement.team_name,
        "SubAccountType": "Team",
        "Tags": json.dumps({name: value for name, value in tags.items() if value}, ensure_ascii=False),
        "x_CompletionTokens": line.completion_tokens,
        "x_Gateway": line.gateway.name,
        "x_Holder": line.holder_name,
        "x_Model": line.model,
        "x_PromptTokens": line.prompt_tokens,
        "x_Requests": line.requests,
    }


def _midnight(day: date) -> str:
    return f"{day:%Y-%m-%d}T00:00:00Z"
