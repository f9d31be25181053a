"""Chat completions, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portal.litellm.errors import StreamError, redact, said
from portal.litellm.http import Http, Options

PATH = "/v1/chat/completions"
_END = "[DONE]"


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer of a model, or one chunk of it; `completion["choices"]` reads what LiteLLM sent."""

    data: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Any) -> Completion:
        if not isinstance(data, Mapping):
            raise TypeError("an object was expected")
        return cls(data)

    def __getitem__(self, name: str) -> Any:
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return name in self.data

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def get(self, name: str, default: Any = None) -> Any:
        return self.data.get(name, default)

    def _first(self) -> Mapping[str, Any]:
        choices = self.data.get("choices") or [{}]
        return choices[0] if isinstance(choices[0], Mapping) else {}

    @property
    def text(self) -> str:
        """The text of the first choice: all of it, or what this chunk adds."""
        said_so_far = self._first().get("message") or self._first().get("delta") or {}
        return said_so_far.get("content") or ""

    @property
    def finish_reason(self) -> str | None:
        return self._first().get("finish_reason")

    @property
    def usage(self) -> Mapping[str, Any]:
        return self.data.get("usage") or {}


class Chat:
    """Calls get `chat_timeout` of the client, 600 s unless it says otherwise, and answers of any size."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def completions(self, model: str, messages: Sequence[Mapping[str, Any]], **more: Any) -> Completion:
        """Ask a model; `more` is sent as it is. Raises BudgetExceeded, RateLimited, Forbidden (model),
        Invalid.
        """
        body = {"model": model, "messages": messages, **more}
        return self._http.fetch(Completion.read, "POST", PATH, json=body, limit=None, floats=float)

    def stream(
        self, model: str, messages: Sequence[Mapping[str, Any]], **more: Any
    ) -> Generator[Completion, None, None]:
        """The chunks of an answer as they come; the request is sent when the first is asked for.

        Close the iterator to stop early. Raises as `completions`, and StreamError for an error on the way or
        a missing end.
        """
        body = {"model": model, "messages": messages, **more, "stream": True}
        options: Options = {
            "json": body,
            "headers": {"Accept": "text/event-stream", "Accept-Encoding": "identity"},
        }
        lines = self._http.lines("POST", PATH, **options)
        try:
            for line in lines:
                if not line.startswith("data:"):
                    continue  # a blank line ends an event; a colon first is a comment
                data = line[5:].strip()
                if data == _END:
                    return
                yield _chunk(data)
        finally:
            lines.close()
        raise StreamError("The stream ended before its end mark.")


def _chunk(data: str) -> Completion:
    try:
        frame = json.loads(data)
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, Mapping):
        raise StreamError("A chunk of the stream is not a JSON object.")
    if frame.get("error"):
        message, kind = said(frame)
        error = frame["error"]
        code = str(error.get("code") or "") if isinstance(error, Mapping) else ""
        status = int(code) if code.isdigit() else None
        raise StreamError(
            message or "The stream broke off with an error.", status=status, kind=redact(kind or "") or None
        )
    return Completion(frame)
