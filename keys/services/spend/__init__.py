"""What was spent: the proxies' ledger copied, their counters read, both laid side by side. USD, UTC days and times."""

from keys.services.spend.check import compare
from keys.services.spend.counters import read_counters
from keys.services.spend.ledger import history
from keys.services.spend.rounds import sync
from keys.services.spend.side_by_side import Figure, Figures, figures, team_figures
from keys.services.spend.totals import Total, by_day, by_member, by_model, of_holder

__all__ = ["Figure", "Figures", "Total", "by_day", "by_member", "by_model", "compare", "figures", "history",
           "of_holder", "read_counters", "sync", "team_figures"]  # fmt: skip
