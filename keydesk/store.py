"""Logins, each bound to one server: the secret in the system's keychain, else in a file with mode 600.

`KEYDESK_NO_KEYRING=1` keeps it out of the keychain.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from keydesk import places, settings
from keydesk.errors import CliError

SERVICE = "keydesk"  # in the keychain; the account is the server
KEYCHAIN, FILE = "keychain", "file"


@dataclass(frozen=True)
class Login:
    """A login at one server. Times are RFC 3339, UTC; `refresh_at`: when its secret should be replaced."""

    server: str
    token: str = field(repr=False)
    kind: str = "login"  # or "token": made elsewhere, and never replaced
    email: str = ""
    user_id: str = ""
    name: str = ""
    made_at: str = ""
    expires_at: str = ""
    refresh_at: str = ""
    kept_in: str = FILE

    @property
    def whose(self) -> str:
        """Whose it is, in words that its next secret keeps."""
        return self.user_id or self.email or self.made_at

    def is_due(self) -> bool:
        """Whether its secret should be replaced now."""
        return bool(self.refresh_at) and moment(self.refresh_at) <= datetime.now(UTC)


def moment(text: str) -> datetime:
    """A time of the API. What cannot be read is the far future: the server decides."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC) - timedelta(days=1)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def file() -> Path:
    return places.folder() / "logins.json"


def servers() -> list[str]:
    """The servers with a login."""
    return sorted(_read())


def find(server: str) -> Login | None:
    """The login at this very server."""
    row = _read().get(server)
    if row is None:
        return None
    known = {name: value for name, value in row.items() if name in Login.__dataclass_fields__}
    if row.get("kept_in") == KEYCHAIN:
        secret = _from_keychain(server)
        if not secret:
            raise CliError(f"The keychain does not give the login of {server}.", "Unlock it, or run `keydesk login`.")
        known["token"] = secret
    return Login(**{**known, "server": server}) if known.get("token") else None


def whose(server: str, token: str = "") -> str:
    """Who asks there: by token, environment or file, without opening the keychain; "" for nobody."""
    if token := token or settings.token():
        return f"token {hashlib.sha256(token.encode()).hexdigest()[:32]}"
    row = _read().get(server)
    known = {name: str((row or {}).get(name) or "") for name in ("user_id", "email", "made_at")}
    return Login(server, "", **known).whose


def keep(login: Login) -> Login:
    """Keep a login in place of the one at its server; answers where it is now."""
    kept = replace(login, kept_in=KEYCHAIN if _into_keychain(login) else FILE)
    with places.locked("store"):
        rows = _read()
        row = asdict(kept)
        del row["server"]
        if kept.kept_in == KEYCHAIN:
            del row["token"]
        rows[login.server] = row
        _write(rows)
    return kept


def forget(server: str) -> None:
    """Forget the login at a server. Safe to repeat."""
    with places.locked("store"):
        rows = _read()
        row = rows.pop(server, None)
        if row is not None:
            _write(rows)
    if row and row.get("kept_in") == KEYCHAIN:
        _out_of_keychain(server)


@contextmanager
def replacing(server: str) -> Iterator[Login | None]:
    """The login while only this process may replace its secret: another one may just have done so."""
    with places.locked("refresh"):
        yield find(server)


def _read() -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(file().read_text(encoding="utf-8"))["logins"]
        return {server: row for server, row in found.items() if isinstance(row, dict)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CliError(f"{file()} cannot be read.", "Delete it, and run `keydesk login`.") from None


def _write(rows: dict[str, dict[str, Any]]) -> None:
    places.write(file(), json.dumps({"logins": rows}, indent=2) + "\n")


def _keychain() -> Any:
    """The system's keychain; None where there is none, or none is wanted."""
    if os.environ.get("KEYDESK_NO_KEYRING"):
        return None
    try:
        import keyring

        found = keyring.get_keyring()
        return found if found.priority > 0 else None
    except Exception:  # backends raise what they like
        return None


def _into_keychain(login: Login) -> bool:
    chain = _keychain()
    if chain is None:
        return False
    try:
        chain.set_password(SERVICE, login.server, login.token)
        return bool(chain.get_password(SERVICE, login.server) == login.token)
    except Exception:
        return False


def _from_keychain(server: str) -> str:
    chain = _keychain()
    if chain is None:
        return ""
    try:
        return chain.get_password(SERVICE, server) or ""
    except Exception:
        return ""


def _out_of_keychain(server: str) -> None:
    chain = _keychain()
    if chain is not None:
        with suppress(Exception):
            chain.delete_password(SERVICE, server)
