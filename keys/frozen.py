"""What the database itself keeps as it is: a statement, and its lines, once it is closed."""

from __future__ import annotations

from portal.append_only import NEVER, Kept

STATEMENT, LINE = "keys_statement", "keys_statementline"
STATEMENTS = Kept(
    "a closed statement never changes",
    {STATEMENT: NEVER, LINE: NEVER},
    {LINE: f"EXISTS (SELECT 1 FROM {STATEMENT} s WHERE s.id = NEW.statement_id)"},  # noqa: S608
)
