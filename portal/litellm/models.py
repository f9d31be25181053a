"""Models that the proxy serves, and the deployments behind them. Seen on 1.106.2; pages and blocks on 1.109.1."""

# ruff: noqa: RUF009 - the functions of rows.py make dataclass fields
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from portal.litellm import rows
from portal.litellm.errors import NotFound
from portal.litellm.http import LISTS, Http, segment
from portal.litellm.rows import Page, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Row):
    """A model that a key may call."""

    id: str = rows.word()
    owned_by: str | None = rows.text()
    mode: str | None = rows.text()
    max_input_tokens: int | None = rows.number()
    max_output_tokens: int | None = rows.number()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo(Row):
    """One deployment: the `name` that clients call, its own `id`, and its price in USD a token.

    Several deployments may share a name. `extra` holds the rest of LiteLLM's `model_info`.
    """

    name: str = ""
    params: Mapping[str, Any] = rows.table(hide=True)
    id: str = rows.word()
    mode: str | None = rows.loose(rows.to_text)
    provider: str | None = rows.text("litellm_provider")
    max_tokens: int | None = rows.loose(rows.to_number)
    max_input_tokens: int | None = rows.loose(rows.to_number)
    max_output_tokens: int | None = rows.loose(rows.to_number)
    input_cost_per_token: Decimal | None = rows.loose(rows.to_money)
    output_cost_per_token: Decimal | None = rows.loose(rows.to_money)
    supports_vision: bool | None = rows.maybe()
    supports_function_calling: bool | None = rows.maybe()
    supports_system_messages: bool | None = rows.maybe()
    db_model: bool = rows.flag()
    blocked: bool = rows.flag()

    @classmethod
    def read(cls, data: Any, **known: Any) -> ModelInfo:
        known |= {
            "name": rows.to_text(data["model_name"]),
            "params": rows.to_table(data.get("litellm_params")),
        }
        return super(ModelInfo, cls).read(data.get("model_info") or {}, **known)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow(Row):
    """A deployment just stored; its parameters are encrypted by the proxy and left out of the repr."""

    id: str = rows.word("model_id")
    name: str = rows.word("model_name")
    params: Mapping[str, Any] = rows.table("litellm_params", hide=True)
    info: Mapping[str, Any] = rows.table("model_info")
    blocked: bool = rows.flag()
    created_at: datetime | None = rows.when()
    updated_at: datetime | None = rows.when()


class Models:
    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, **params: Any) -> tuple[Model, ...]:
        """The models that the client's key may call."""
        return self._http.fetch(
            lambda data: tuple(Model.read(row) for row in data["data"]),
            "GET",
            "/v1/models",
            params=params,
            limit=LISTS,
        )

    def info(self, model_id: str | None = None) -> tuple[ModelInfo, ...]:
        """Every deployment that the key may see, or the one with this id. Raises NotFound."""
        return self._http.fetch(
            lambda data: tuple(ModelInfo.read(row) for row in data["data"]),
            "GET",
            "/model/info",
            params={"litellm_model_id": model_id},
            limit=LISTS,
        )

    def info_page(
        self, page: int = 1, page_size: int = 50, *, model_id: str | None = None, name: str | None = None,
        search: str | None = None,
    ) -> Page[ModelInfo]:  # fmt: skip
        """One page of the deployments by name: all, the one of an id, those of a name or with `search` in it."""
        params = {"modelId": model_id, "model": name, "search": search, "page": page, "size": page_size}
        return self._http.fetch(
            lambda data: Page.read((ModelInfo.read(row) for row in data["data"]), data),
            "GET",
            "/v2/model/info",
            params={**params, "sortBy": "model_name", "sortOrder": "asc"},
            limit=LISTS,
        )

    def get(self, *, model_id: str | None = None, name: str | None = None) -> ModelInfo:
        """One deployment by id, or the first of a name. Raises NotFound.

        The whole list is read: the proxy ignores a `model` parameter.
        """
        if (model_id is None) == (name is None):
            raise TypeError("give the id or the name")
        for model in self.info():
            if model.id == model_id if model_id is not None else model.name == name:
                return model
        raise NotFound(f"The proxy has no model {name or model_id}.")

    def new(self, name: str, params: Mapping[str, Any], info: Mapping[str, Any] | None = None) -> ModelRow:
        """Add a deployment: `params` holds at least `model`, and secrets of the provider.

        Needs `store_model_in_db` on the proxy. Raises LicenceNeeded for a team's own model.
        """
        body = {"model_name": name, "litellm_params": params, "model_info": info or {}}
        return self._http.fetch(ModelRow.read, "POST", "/model/new", json=body)

    def update(
        self,
        model_id: str,
        params: Mapping[str, Any] | None = None,
        info: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
    ) -> ModelRow:
        """Change a deployment that is kept in the database. Raises Invalid for one of the config file."""
        body: dict[str, Any] = {"model_info": {**(info or {}), "id": model_id}}  # the proxy looks for the id only there
        if params is not None:
            body["litellm_params"] = params
        if name is not None:
            body["model_name"] = name
        return self._http.fetch(ModelRow.read, "POST", "/model/update", json=body)

    def patch(
        self,
        model_id: str,
        params: Mapping[str, Any] | None = None,
        info: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
    ) -> ModelRow:
        """Change only what is given; a null clears nothing there. Raises NotFound, and Invalid for the config file's.

        The id is sent in `model_info` too: the proxy's answer names another one otherwise.
        """
        body: dict[str, Any] = {"model_info": {**(info or {}), "id": model_id}}
        body |= {"litellm_params": params} if params is not None else {}
        body |= {"model_name": name} if name is not None else {}
        return self._http.fetch(ModelRow.read, "PATCH", f"/model/{segment(model_id)}/update", json=body)

    def block(self, model_id: str) -> ModelRow:
        """Have every call of the deployment refused (403). Raises NotFound, and Invalid for the config file's."""
        return self._http.fetch(ModelRow.read, "POST", "/model/block", json={"model_id": model_id})

    def unblock(self, model_id: str) -> ModelRow:
        """Let it answer again. Raises as `block` does."""
        return self._http.fetch(ModelRow.read, "POST", "/model/unblock", json={"model_id": model_id})

    def delete(self, model_id: str) -> str:
        """Raises NotFound. Answers with the proxy's sentence."""
        return self._http.fetch(lambda data: str(data["message"]), "POST", "/model/delete", json={"id": model_id})
