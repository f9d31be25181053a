"""What limits a key: the chain of its budgets, what is left of each, and who is told when one is nearly spent."""

from keys.services.budgets.announcing import announce
from keys.services.budgets.carrying import carry
from keys.services.budgets.chaining import Chain, Link, chain, chains
from keys.services.budgets.windows import counted, forecast, window_of

__all__ = ["Chain", "Link", "announce", "carry", "chain", "chains", "counted", "forecast", "window_of"]
