"""The requests: some wait, some are decided, one can be claimed, a rise runs. Asked and decided by the real verbs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from keys.models import KeyRequest, KeyRole, Lease
from keys.services import requests
from keys.services.terms import Ask
from portal.management.demo.company import Company, approve, decider_of, person
from portal.management.demo.past import move
from teams.models import User

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
CLAUDE = "claude-sonnet"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for a key. `hours`: how long ago; `then`: what became of it; `said`: by whom else, and what."""

    login: str
    team: str
    role: str
    name: str
    purpose: str
    hours: float
    then: str = "waits"
    ttl: timedelta | None = None
    models: tuple[str, ...] | None = None
    budget: int | None = None
    text: str = ""
    said: tuple[str, str] | None = None
    narrower: tuple[int, int] | None = None  # days and USD, as approved


ASKED = (
    Asked("alice", "search", "coding-claude", "agent for the index rewrite", "The index rewrite touches 140 files in "
          "six repositories. I would let an agent prepare the boring half of it.", 3, ttl=30 * DAY, budget=120),
    Asked("mateusz", "search", "coding", "laptop, larger budget", "Pairing on the ranking service all of November; "
          "$50 was gone by the 12th last month.", 9, budget=150, ttl=30 * DAY,
          said=("linnea", "How much of it was gpt-4o? The mini model does most of this as well.")),
    Asked("aigerim", "search", "coding", "query grammar", "The grammar needs Claude: the others lose the brackets.", 20,
          models=("gpt-4o", CLAUDE), ttl=14 * DAY),
    Asked("tomas", "support", "customer-chat", "chat widget, second language", "The widget answers in Portuguese from "
          "December on; this is the key of the test page.", 5),
    Asked("wei", "data-science", "research", "judge of the labels", "A second model marks what the first one labelled, "
          "for the paper. Two weeks, then it is over.", 7, ttl=14 * DAY, budget=200),
    Asked("hugo", "finance", "research", "invoice reader", "Comparing three models on 400 scanned invoices of last "
          "year, before we buy anything.", 2, ttl=10 * DAY),
    Asked("emil", "mobile", "coding-claude", "SwiftUI migration", "Moving 60 screens to SwiftUI until the end of "
          "January.", 26, budget=240, ttl=30 * DAY),
    Asked("freya", "data-science", "coding-claude", "paper code", "Tidying the code of the paper for its release.", 30,
          "approved", ttl=30 * DAY, text="Fine for a month; ask again if the release slips.", narrower=(21, 90)),
    Asked("ngozi", "search", "coding", "onboarding", "Learning the code base with an assistant at my side.", 11,
          "approved", budget=80, text="Welcome."),
    Asked("declan", "search", "coding", "side project", "A game for the summer party.", 300, "denied", budget=400,
          text="Try coding first: it gives $50 at once. Come back with what it cost."),
    Asked("leila", "support", "customer-chat", "own assistant", "An assistant of my own for difficult answers.", 200,
          "denied", text="The help centre key does this already; ask help-centre-bot's people for access."),
    Asked("dmitri", "data-science", "coding-claude", "weekend experiments", "Trying agents at the weekend.", 520,
          "denied", budget=500, text="$500 for weekends is a lot. $50 would need nobody."),
    Asked("zeynep", "search", "coding-claude", "documentation", "Docs of the public API.", 410, "cancelled"),
)  # fmt: skip


def ask(company: Company, now: datetime) -> int:
    """What is not asked yet is; answers how many."""
    count = 0
    for each in ASKED:
        holder, team = person(each.login), company.teams[each.team]
        if KeyRequest.objects.filter(holder=holder, team=team, name=each.name).exists():
            continue
        role = KeyRole.objects.with_gateway().get(gateway=company.gateway, name=each.role)
        budget = None if each.budget is None else Decimal(each.budget)
        wanted = Ask(team, role, each.ttl, each.models, budget, name=each.name, purpose=each.purpose)
        request = requests.submit(wanted, holder=holder, by=holder)
        if each.said:
            requests.say(request, by=person(each.said[0]), text=each.said[1])
        _decide(each, request)
        submitted = now - HOUR * each.hours
        move(request, submitted, submitted + (now - submitted) * 0.6)
        count += 1
    return count + _rises(company, now)


def _decide(each: Asked, request: KeyRequest) -> None:
    if each.then == "approved":
        days, dollars = each.narrower or (None, None)
        narrower: dict[str, Any] = {} if days is None else {"ttl": DAY * days, "max_budget": Decimal(dollars or 0)}
        approve(request, each.text, **narrower)
    elif each.then == "denied":
        requests.deny(request, by=decider_of(request), reason=each.text)
    elif each.then == "cancelled":
        requests.cancel(request, by=request.asked_by)


def _rises(company: Company, now: datetime) -> int:
    """Alice's key is nearly spent, and she asks for more; Wei's may call Claude for a while."""
    made = {(key.login, key.role.name, key.fate): lease for key, lease, _ in (*company.made, *company.left)}
    asked = set(KeyRequest.objects.filter(kind=KeyRequest.Kind.RISE).values_list("lease", flat=True))
    made = {fate: lease for fate, lease in made.items() if lease.pk not in asked}
    count = 0
    if lease := made.get(("alice", "coding", "nearly spent")):
        said = "The budget ends before the month does, and the release is on Friday."
        _rise(lease, person("alice"), said, max_budget=Decimal(80), lasts=10 * DAY)
        count += 1
    if lease := made.get(("wei", "coding", "live")):
        said = "Claude reads the long notebooks better; for the two weeks of the evaluation."
        request = _rise(lease, person("wei"), said, models=(CLAUDE,), lasts=14 * DAY)
        approve(request, "For the evaluation.")
        move(request, now - 50 * HOUR, now - 44 * HOUR)
        count += 1
    return count


def _rise(lease: Lease, by: User, purpose: str, **more: Any) -> KeyRequest:
    lease = Lease.objects.rows().get(pk=lease.pk)
    return requests.submit_rise(lease, purpose=purpose, by=by, **more)
