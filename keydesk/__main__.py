"""Where `keydesk` and `python -m keydesk` begin. What must be quick is asked before anything heavy is imported."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line, and leave with its exit code."""
    if "token" in sys.argv[1:4]:
        from keydesk.quick import cached

        if key := cached(sys.argv[1:]):
            print(key)  # noqa: T201
            return
    from keydesk.app import run

    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError as error:  # a full disk; or whoever read has gone
        if not code:
            sys.stderr.write(f"keydesk: What was asked for could not be written: {error.strerror}.\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = code or 1
    sys.exit(code)


if __name__ == "__main__":
    main()
