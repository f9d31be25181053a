"""The sweeps that both apps stand on. Safe to run twice, to miss, on ten hosts at once, and to be killed."""

from portal import mail
from portal.sweeps import sweep


@sweep
def send_letters() -> dict[str, int]:
    return {"sent": mail.send_due()}
