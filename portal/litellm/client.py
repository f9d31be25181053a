"""The client: one object with a part for each resource of the proxy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, Self

from requests.adapters import BaseAdapter

from portal.litellm.chat import Chat
from portal.litellm.credentials import Credentials
from portal.litellm.health import Health
from portal.litellm.http import Call, Http, PreparedCall
from portal.litellm.keys import Keys
from portal.litellm.model_groups import ModelGroups
from portal.litellm.models import Models
from portal.litellm.spend import Spend
from portal.litellm.teams import Teams
from portal.litellm.transport import checked_base_url, checked_header, open_session, verification
from portal.litellm.users import Users

TIMEOUT_SECONDS = 30.0
CHAT_TIMEOUT_SECONDS = 600.0


class Client:
    """A LiteLLM proxy, seen with one key. Threads may share it.

    `base_url` falls back to LITELLM_BASE_URL or LITELLM_PROXY_URL, `api_key` to LITELLM_API_KEY or
    LITELLM_PROXY_API_KEY. `timeout` (seconds) is the most that a whole call may take, `chat_timeout` the same
    for chat; a connection gets 3 s of it for each address of the host. `ca_bundle` is a PEM file. `adapters`
    are mounted by prefix, as `{"http+sandbox://": adapter}`. Raises ConfigurationError.
    """

    http: Http

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        ca_bundle: str | os.PathLike[str] | None = None,
        *,
        chat_timeout: float = CHAT_TIMEOUT_SECONDS,
        adapters: Mapping[str, BaseAdapter] | None = None,
        pool_size: int = 10,
    ) -> None:
        environ = os.environ
        base_url = base_url or environ.get("LITELLM_BASE_URL") or environ.get("LITELLM_PROXY_URL")
        if api_key is None:
            api_key = environ.get("LITELLM_API_KEY") or environ.get("LITELLM_PROXY_API_KEY") or None
        base = checked_base_url(base_url, adapters or {})
        key = checked_header(api_key, "API key")
        verify = verification(ca_bundle)
        http = Http(open_session(pool_size, adapters or {}), base, key, timeout=timeout, verify=verify)
        self._build(http, http.but(timeout=chat_timeout))

    def _build(self, http: Http, chat: Http) -> None:
        self.http, self._chat_http = http, chat
        self.keys = Keys(http)
        self.models = Models(http)
        self.model_groups = ModelGroups(http)
        self.credentials = Credentials(http)
        self.users = Users(http)
        self.teams = Teams(http)
        self.spend = Spend(http)
        self.chat = Chat(chat)
        self.health = Health(http)

    def _copy(self, **changes: Any) -> Self:
        other = object.__new__(type(self))
        other._build(self.http.but(**changes), self._chat_http.but(**changes))
        return other

    @property
    def base_url(self) -> str:
        return self.http.base_url

    @property
    def prepare(self) -> Prepare:
        """The same methods, sending nothing: `client.prepare.keys.generate(...)` is a PreparedCall.

        A method that sends several requests shows the first.
        """
        return Prepare(self)

    def changed_by(self, user_id: str) -> Self:
        """A copy that names the acting person in `LiteLLM-Changed-By`; it shares the connections."""
        return self._copy(changed_by=checked_header(user_id, "acting person's id"))

    def with_key(self, api_key: str | None) -> Self:
        """A copy for another key, or for none; it shares the connections."""
        return self._copy(api_key=checked_header(api_key, "API key"))

    def with_timeout(self, seconds: float) -> Self:
        """A copy with another time-out for everything, chat too; it shares the connections."""
        return self._copy(timeout=seconds)

    def close(self) -> None:
        """Close the idle connections, those of the copies too."""
        self.http.session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {self.base_url}>"


class Prepare:
    def __init__(self, client: Client) -> None:
        self._client = client._copy()
        self._client._build(_DryHttp.of(client.http), _DryHttp.of(client._chat_http))

    def __getattr__(self, resource: str) -> _Recorder:
        return _Recorder(getattr(self._client, resource))


class _Recorder:
    def __init__(self, resource: object) -> None:
        self._resource = resource

    def __getattr__(self, method: str) -> Callable[..., PreparedCall]:
        act = getattr(self._resource, method)

        def record(*args: Any, **named: Any) -> PreparedCall:
            try:
                answer = act(*args, **named)
                if isinstance(answer, Iterator):
                    next(answer)
            except _Caught as caught:
                prepared = caught.prepared
            else:
                raise TypeError(f"{method} sends nothing")
            return prepared

        return record


class _Caught(BaseException):
    """Carries a request out of a method before it is sent; no `except Exception` on the way may take it."""

    def __init__(self, prepared: PreparedCall) -> None:
        super().__init__()
        self.prepared = prepared


class _DryHttp(Http):
    @classmethod
    def of(cls, http: Http) -> Self:
        dry = object.__new__(cls)
        dry.__dict__.update(http.__dict__)
        return dry

    def _open(self, call: Call) -> NoReturn:
        raise _Caught(call.what)
