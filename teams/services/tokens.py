"""Give out API tokens."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from portal import audit
from portal.errors import Invalid, NotAllowed
from teams.access import Actor, System
from teams.models import ApiToken, User
from teams.roles import Scope

LONGEST_TOKEN = timedelta(days=365)


def make_token(
    owner: User, *, name: str, scopes: Iterable[str], by: Actor, life: timedelta = ApiToken.DEFAULT_LIFE
) -> tuple[ApiToken, str]:
    """Make an API token for oneself; the text is answered once and kept as an HMAC. Raises NotAllowed, Invalid."""
    wanted = sorted(set(scopes))
    mine = set(Scope) if isinstance(by, System) or by.scopes is None else by.scopes
    if isinstance(by, User) and (by.pk != owner.pk or not mine.issuperset(wanted)):
        raise NotAllowed("A token is made by its owner, and never does more than the token in use.")
    unknown = [scope for scope in wanted if scope not in set(Scope)]
    wrong = {}
    if unknown or not wanted:
        wrong["scopes"] = f"Choose of {', '.join(Scope)}."
    if not name.strip():
        wrong["name"] = "A token needs a name, to know it again."
    if not timedelta(0) < life <= LONGEST_TOKEN:
        wrong["days"] = "Between 1 and 365 days."
    if wrong:
        raise Invalid(details=wrong)
    plain = ApiToken.choose()
    with transaction.atomic():
        token = ApiToken.objects.create(
            owner=owner, name=name.strip(), scopes=wanted, digest=ApiToken.digest_of(plain),
            expires_at=timezone.now() + life,
        )  # fmt: skip
        audit.record("token.made", token, by=by, owner=owner.audit_name, scopes=wanted)
    return token, plain
