"""The books after the dust: what the database, the proxy and the people say of the same keys.

The portal's side is read, and its clock moved, by `manage.py shell` in the portal's own environment: the same code,
settings and database as the processes that were killed, none of the test's own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from portal.litellm import Client, KeyInfo, hash_key
from tests.chaos.clients import Held, Ledger, status_of
from tests.ground.processes import manage

LIVE = {"active", "paused"}
LAST = {  # states that rest, and what brought a lease there: once
    "active": "key.issued",
    "paused": "key.issued",
    "revoked": "key.revoked",
    "expired": "key.expired",
    "failed": "key.issue_failed",
}
SLACK = timedelta(seconds=30)  # between our expiry of a key and the proxy's

PEOPLE = """
import json
from datetime import timedelta
from keys.services import gateways, roles
from teams.access import SYSTEM
from teams.models import User
from teams.roles import MemberRole, PlatformRole
from teams.services import create_team, make_token, put_member
from teams.services.people import make_person

def token(user):
    return make_token(user, name="chaos", scopes=["all"], by=SYSTEM)[1]

people = []
for slug in ("search", "mobile"):
    team = create_team(name=slug.title(), slug=slug, by=SYSTEM)
    for role in ("member", "member", "approver", "admin"):
        name = f"{role}{len(people)}"
        make_person(f"{name}@example.com", by=SYSTEM)
        membership, _ = put_member(team, email=f"{name}@example.com", role=MemberRole(role), by=SYSTEM)
        people.append({"name": name, "email": membership.user.email, "team": slug, "role": role,
                       "token": token(membership.user)})
roles.make(by=SYSTEM, name="chaos", gateway=gateways.default(), models=["gpt-4o-mini"], all_teams=True,
           ttl=timedelta(hours=24), max_ttl=timedelta(hours=96))
ruth = User.objects.create_user("ruth@example.com", platform_role=PlatformRole.ADMIN)
print(json.dumps({"people": people, "ruth": token(ruth)}))
"""

# What is left for the workers to do in real time: all but the looks after a late request, and secrets in their grace.
# A key is never made to fit on a moved clock: the proxy counts a lifetime from its own.
PENDING = """
import json
from datetime import timedelta
from django.db.models import Q
from django.utils import timezone
from keys.models import Intent, Lease
soon = timezone.now() + timedelta(minutes=2)
between = Lease.objects.filter(state__in=["issuing", "rotating", "revoking"])
waiting = Intent.objects.filter(looks=0).filter(~Q(kind="gone") | Q(due_at__lte=soon))
print(json.dumps({"pending": [f"{each} {each.state}" for each in between] + [
    f"{each} tried {each.attempts} times: {each.last_error}" for each in waiting]}))
"""

# The sweeps that end keys, from promise to promise as long as there are any, at most STEP apart: after an hour without
# one Keydesk would suspect a restored database. Without reconcile, the net under them: promises alone must do.
WALK = """
import json
from datetime import timedelta
import time_machine
from django.db.models import Count
from django.utils import timezone
from keys import tasks
from keys.models import Intent, KeyVersion, Lease
from portal.models import AuditEvent, Installation

STEPS, STEP = 200, timedelta(minutes=10)
begin = now = timezone.now()
waiting = Intent.objects.count()
for _ in range(STEPS):
    promise = Intent.objects.order_by("due_at").first()
    if promise is None:
        break
    now += min(max(promise.due_at - now, timedelta(0)) + timedelta(seconds=10), STEP)
    with time_machine.travel(now, tick=True):
        for sweep in (tasks.settle_intents, tasks.expire_leases, tasks.end_leases):
            sweep()
print(json.dumps({
    "instance": Installation.current(),
    "waiting": waiting,
    "walked": (now - begin).total_seconds(),
    "intents": [f"{each} due {each.due_at} tried {each.attempts} times: {each.last_error}"
                for each in Intent.objects.select_related("version")],
    "leases": {str(each.pk): {"state": each.state, "reason": each.end_reason, "expires_at": str(each.expires_at)}
               for each in Lease.objects.all()},
    "versions": [{"lease": str(each.lease_id), "number": each.number, "hash": each.token_hash, "alias": each.alias,
                  "ended": each.ended_at is not None} for each in KeyVersion.objects.all()],
    "audit": {f"{each['action']} {each['target_id']}": each["count"] for each in
              AuditEvent.objects.order_by().values("action", "target_id").annotate(count=Count("id"))},
}))
"""


def told_by(code: str, env: Mapping[str, str]) -> dict[str, Any]:
    said = manage("shell", "--no-imports", "-c", code, env=env).stdout
    return dict(json.loads(said.strip().splitlines()[-1]))


def differences(books: Mapping[str, Any], ledger: Ledger, client: Client) -> list[str]:
    """Every sentence of the test that is not true, in words; nothing when all are."""
    leases = books["leases"]
    live = [each for each in books["versions"] if leases[each["lease"]]["state"] in LIVE and not each["ended"]]
    current = {each["hash"]: each for each in live}
    ours = [key for key in client.keys.list() if key.metadata.get("keydesk", {}).get("instance") == books["instance"]]
    return [
        *_rows(books),
        *_keys(leases, current, {key.token: key for key in ours}, ledger),
        *_doubles("live versions of the lease", (each["lease"] for each in live)),
        *_doubles("keys on the proxy of the version", (str(key.metadata["keydesk"]) for key in ours)),
        *_doubles("keys on the proxy with the alias", (str(key.alias) for key in ours)),
        *_heard(books, ledger, current),
        *_answers(books, ledger, current, client.base_url),
    ]


def _rows(books: Mapping[str, Any]) -> Iterator[str]:
    """What the database says to itself."""
    leases, audit = books["leases"], books["audit"]
    for each in books["intents"]:
        yield f"an intent was not kept: {each}"
    for pk, row in leases.items():
        event = f"{LAST.get(row['state'])} {pk}"
        if row["state"] not in LAST:
            yield f"no rest: {pk} {row}"
        elif audit.get(event) != 1:
            yield f"{audit.get(event, 0)} times in the audit trail: {event} {row}"
    for each in books["versions"]:
        row = leases[each["lease"]]
        if row["state"] not in LIVE and not each["ended"]:
            yield f"a version without an end: {each} {row}"


def _doubles(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{count} {what} {name}"


def _keys(
    leases: Mapping[str, Any], current: Mapping[str, Any], there: Mapping[str, KeyInfo], ledger: Ledger
) -> Iterator[str]:
    """Whether the keys on the proxy are the live versions, and look like them."""
    for token in there.keys() - current:
        yield f"a key on the proxy without a live version: {there[token].alias}"
    for token in current.keys() - there:
        yield f"a live version without a key: {current[token]}"
    for token in current.keys() & there:
        lease, key = current[token]["lease"], there[token]
        row = leases[lease]
        if key.blocked != (row["state"] == "paused"):
            yield f"{row['state']}, but on the proxy blocked is {key.blocked}: {key.alias}"
        until = datetime.fromisoformat(row["expires_at"])
        if not key.expires or abs(key.expires - until) > SLACK:
            yield f"expires at {until} here, at {key.expires} on the proxy: {key.alias} {ledger.held.get(lease)}"


def _heard(books: Mapping[str, Any], ledger: Ledger, current: Mapping[str, Any]) -> list[str]:
    """Whether all that people were told came true."""
    leases, wrong = books["leases"], []
    known = {each["hash"] for each in books["versions"]}
    for held in ledger.held.values():
        row = leases.get(held.lease)
        if row is None:
            wrong.append(f"issued, but not in the database: {held}")
            continue
        if held.ending and row["state"] not in {"revoked", "expired"}:
            wrong.append(f"told revoked, but {row}: {held}")
        if row["state"] == "failed":
            wrong.append(f"told issued, but {row}: {held}")
        if held.expires_at and row["state"] in LIVE and datetime.fromisoformat(row["expires_at"]) < held.expires_at:
            wrong.append(f"told renewed, but {row}: {held}")
        if any(hash_key(secret) not in known for secret in held.secrets):
            wrong.append(f"a secret that the database does not know: {held}")
        if row["state"] in LIVE and not held.unsure and hash_key(held.secrets[-1]) not in current:
            wrong.append(f"the secret told last is not the live one: {held}")
    unheard = [pk for pk, row in leases.items() if row["state"] in LIVE and pk not in ledger.held]
    lost = ledger.count("unknown", "issue")
    if len(unheard) > lost:
        wrong.append(f"{len(unheard)} live leases that nobody was told of, but only {lost} answers were lost")
    return wrong


def _answers(books: Mapping[str, Any], ledger: Ledger, current: Mapping[str, Any], proxy: str) -> list[str]:
    """Whether the proxy lets in exactly the secrets that should be."""

    def one(pair: tuple[Held, str]) -> str:
        held, secret = pair
        state = books["leases"].get(held.lease, {}).get("state", "unknown")
        expected = 200 if hash_key(secret) in current and state == "active" else 401
        status = status_of(proxy, secret)
        said = f"{status} instead of {expected} for {hash_key(secret)[:12]}: {state} {held}"
        return "" if status == expected else said

    pairs = [(held, secret) for held in ledger.held.values() for secret in held.secrets]
    with ThreadPoolExecutor(8) as pool:
        return [said for said in pool.map(one, pairs) if said]
