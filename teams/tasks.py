"""The sweeps of teams. Safe to run twice, to miss, on ten hosts at once, and to be killed."""

from portal.sweeps import sweep
from teams.services import deliveries


@sweep(alone=True)  # other people's machines are slow: one worker waits for them, and the others end keys
def deliver_webhooks() -> dict[str, int]:
    return {"taken": deliveries.deliver_due()}
