"""The sweeps that both apps stand on. Safe to run twice, to miss, on ten hosts at once, and to be killed."""

from portal import digest, mail
from portal.audit import retention, sealing, stream
from portal.sweeps import sweep


@sweep
def send_letters() -> dict[str, int]:
    """Write the daily letters that are due, and send all that wait."""
    return {"daily": digest.write_due(), "sent": mail.send_due()}


@sweep
def seal_audit() -> dict[str, int]:
    """Put the acts that are new into the chain."""
    return {"sealed": sealing.seal()}


@sweep(alone=True)
def stream_audit() -> dict[str, int]:
    """Send sealed acts to where the operator wants them."""
    return {"sent": stream.send()}


@sweep
def cut_audit() -> dict[str, int]:
    """Let go of acts that are older than they are kept."""
    return {"cut": retention.cut()}
