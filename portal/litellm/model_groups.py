"""What the proxy's models can do and cost, one entry a name however many deployments stand behind it."""

# ruff: noqa: RUF009 - the functions of rows.py make dataclass fields
from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from portal.litellm import rows
from portal.litellm.http import LISTS, Http
from portal.litellm.rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelGroup(Row):
    """Prices are USD a token."""

    name: str = rows.word("model_group")
    providers: tuple[str, ...] = rows.words()
    mode: str | None = rows.text()
    max_input_tokens: int | None = rows.number()
    max_output_tokens: int | None = rows.number()
    input_cost_per_token: Decimal | None = rows.money()
    output_cost_per_token: Decimal | None = rows.money()
    tpm: int | None = rows.number()
    rpm: int | None = rows.number()
    supports_vision: bool = rows.flag()
    supports_function_calling: bool = rows.flag()
    supports_parallel_function_calling: bool = rows.flag()
    supports_web_search: bool = rows.flag()
    supports_reasoning: bool = rows.flag()
    supported_openai_params: tuple[str, ...] = rows.words()


class ModelGroups:
    def __init__(self, http: Http) -> None:
        self._http = http

    def info(self, name: str | None = None) -> tuple[ModelGroup, ...]:
        """Every group that the client's key may call, or the one of this name."""
        return self._http.fetch(
            lambda data: tuple(ModelGroup.read(row) for row in data["data"]),
            "GET",
            "/model_group/info",
            params={"model_group": name},
            limit=LISTS,
        )
