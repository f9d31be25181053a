"""Where this person's files are, and how they are written: whole, and for nobody else to read. Imports little."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

OURS = 0o700
MINE = 0o600


def folder() -> Path:
    """The folder of settings and logins, made for its owner alone. KEYDESK_CONFIG_DIR puts it elsewhere."""
    if said := os.environ.get("KEYDESK_CONFIG_DIR"):
        found = Path(said).expanduser()
    else:
        from platformdirs import user_config_path

        found = user_config_path("keydesk", appauthor=False)
    found.mkdir(mode=OURS, parents=True, exist_ok=True)
    if os.name == "posix" and found.stat().st_mode & 0o077:
        found.chmod(OURS)
    return found


def write(path: Path, text: str) -> None:
    """Replace a file as a whole, mode 600: whoever reads meanwhile sees the old one or the new one."""
    import tempfile

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp's files are 600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Only one process of this person at a time between the lines."""
    handle = os.open(folder() / f"{name}.lock", os.O_RDWR | os.O_CREAT, MINE)
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # which also lets go
