"""The sweeps. Each is safe to run twice, to miss, to run on ten hosts at once, and to be killed in the middle."""

from celery import shared_task

from keys.services import intents, leases


@shared_task
def settle_intents() -> int:
    return intents.settle_due()


@shared_task
def expire_leases() -> int:
    return leases.expire_overdue()
