"""What a person or a program reads: tables or the API's JSON on stdout, everything else on stderr.

No colour when piped or with NO_COLOR. Nothing that came from elsewhere moves the cursor.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from keydesk.settings import said, wants_json

WIDE = 10_000  # columns of a table that goes into a pipe: nothing is cut there
# Control characters, and those that turn the direction of writing.
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
FOLDED = 11  # columns that a cell needs at least, before rows are shown one field below the other
Column = tuple[str, str | Callable[[Any], Any]]


def plain(value: Any) -> str:
    """A value in one piece of text that a terminal shows as it is."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(plain(each) for each in value) or "-"
    if isinstance(value, Mapping):
        return plain(json.dumps(value, ensure_ascii=False))
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", str(value))


def note(text: str) -> None:
    """A line for the person, on stderr: never in the way of what a program reads."""
    print(plain(text) if "\n" not in text else "\n".join(plain(line) for line in text.split("\n")), file=sys.stderr)  # noqa: T201


def data(value: Any) -> None:
    """The API's answer on stdout."""
    said.answered = True
    print(json.dumps(value, indent=2, ensure_ascii=not _utf8()))  # noqa: T201


def line(text: str) -> None:
    """A line of the answer itself, on stdout."""
    print(plain(text))  # noqa: T201


def show(answer: Any, columns: Sequence[Column], *, empty: str = "Nothing there.") -> None:
    """A list (the API's `{results, …}`, or the rows) as a table; with --json as it came.

    A column is its heading and a path like `lease.team`, or a function of the row.
    """
    if wants_json():
        data(answer)
        return
    rows = answer["results"] if isinstance(answer, Mapping) else list(answer)
    if not rows:
        note(empty)
        return
    cells = [[heading, *(plain(value_of(row, path)) for row in rows)] for heading, path in columns]
    if sys.stdout.isatty() and not (cells := _fitting(cells, console().width)):
        for row in rows:
            show_one(row, columns)
            print()  # noqa: T201
    else:
        _table(cells)
    if isinstance(answer, Mapping) and answer.get("next"):
        note("There are more: --limit 0 shows all of them.")


def _fitting(cells: list[list[str]], room: int) -> list[list[str]]:
    """The columns that a terminal has room for: without the ids, if something else names the row; none if too many."""
    if _wide(cells) > room:
        cells = [cells[0], *(column for column in cells[1:] if column[0].upper() != "ID")]
    return cells if _wide(cells, FOLDED) <= room else []


def _wide(cells: list[list[str]], folded: int = WIDE) -> int:
    """How wide a table is, when its columns but for ids are folded to this."""
    widths = (max(map(len, column)) for column in cells)
    return sum(
        wide if column[0].upper() == "ID" else min(wide, folded) for wide, column in zip(widths, cells, strict=True)
    ) + 3 * len(cells)


def _table(cells: list[list[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    seen = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD if seen else None, pad_edge=False, header_style="bold")
    for heading, *_ in cells:
        table.add_column(heading, overflow="fold" if seen else "ignore", no_wrap=not seen or heading.upper() == "ID")
    for row in list(zip(*cells, strict=True))[1:]:
        table.add_row(*map(Text, row))
    console().print(table)


def show_one(answer: Any, fields: Sequence[Column]) -> None:
    """One thing, a line for each field that has a value; with --json as it came."""
    if wants_json():
        data(answer)
        return
    wide = max(len(heading) for heading, _ in fields)
    for heading, path in fields:
        value = value_of(answer, path)
        if value not in (None, "", [], {}):
            line(f"{heading:<{wide}}  {plain(value)}")


def show_secret(answer: Mapping[str, Any], secret: str, about: Sequence[Column], *, warning: str) -> None:
    """A secret alone on stdout, so that `> file` holds nothing else; what it is, on stderr. --json: all on stdout."""
    if wants_json():
        data(answer)
        return
    for heading, path in about:
        value = value_of(answer, path)
        if value not in (None, "", [], {}):
            note(f"{heading}: {plain(value)}")
    note(warning)
    line(secret)


def value_of(row: Any, path: str | Callable[[Any], Any]) -> Any:
    """What a column shows of a row; None where it has no such thing: an older server may not know it."""
    if callable(path):
        return path(row)
    for name in path.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return row


def console(*, stderr: bool = False) -> Any:
    """rich's console: as wide as the terminal, or wide enough for everything in a pipe."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() else WIDE
    return Console(stderr=stderr, width=wide, highlight=False, markup=False, emoji=False)


def progress(items: Sequence[Any] | Iterable[Any], doing: str, total: int | None = None) -> Iterator[Any]:
    """The items, with a bar on stderr while somebody looks at it."""
    if said.json or not sys.stderr.isatty():
        yield from items
        return
    from rich.progress import track

    yield from track(items, description=doing, total=total, console=console(stderr=True), transient=True)


def confirm(question: str, *, yes: bool = False) -> None:
    """Ask before something that cannot be undone. Raises Usage where nobody can be asked, Declined for a no."""
    from keydesk.errors import CliError, Usage

    if yes:
        return
    if not sys.stdin.isatty():
        raise Usage("This asks before it acts, and nobody is here to answer.", "Say --yes, if it is meant.")
    sys.stderr.write(f"{plain(question)} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CliError("Nothing was done.", "")


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
