"""People at work over HTTP while everything falls, and the ledger of what they were told."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import requests

PATIENCE = 30  # seconds; the portal answers within 10
PAUSE = 0.25  # seconds at most between two acts
MOST = 450  # leases; then nobody issues any more
NEWEST = 4
EXPECTED = {"gateway_away", "not_now", "rotation_in_overlap", "ended_meanwhile"}  # refusals; any other is a surprise
FORBIDDEN = ("not_allowed", "/resume/")  # but this: the holder does not lift what somebody else set


@dataclass(slots=True)
class Held:
    """What was told about one lease."""

    lease: str
    team: str
    holder: str
    secrets: list[str] = field(default_factory=list, repr=False)
    expires_at: datetime | None = None  # the latest that a renewal was told
    ending: bool = False  # somebody was told that it ends
    gone: bool = False  # somebody was told that it has ended
    unsure: bool = False  # the answer of the last rotation was lost: there may be a secret that nobody heard


class Ledger:
    """Who was told what. `tally` counts (act, outcome)."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.tally: Counter[tuple[str, str]] = Counter()
        self.surprises: list[str] = []
        self._lock = threading.Lock()

    def note(self, act: str, outcome: str) -> None:
        with self._lock:
            self.tally[act, outcome] += 1

    def wonder(self, what: str) -> None:
        with self._lock:
            self.surprises.append(what)

    def add(self, held: Held) -> None:
        with self._lock:
            assert held.lease not in self.held, "one lease was issued twice"
            self.held[held.lease] = held

    def pick(self, dice: random.Random, fits: Callable[[Held], bool]) -> Held | None:
        """One of those that fit; every other time one of the NEWEST, so that people meet there."""
        with self._lock:
            found = [held for held in self.held.values() if fits(held)]
        return dice.choice(found[-NEWEST:] if dice.random() < 0.5 else found) if found else None

    def count(self, outcome: str, *acts: str) -> int:
        return sum(n for (act, said), n in self.tally.items() if said == outcome and (not acts or act in acts))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `outcome`: done, unknown (lost, or 5xx), nobody (nothing listened), or the refusal's code."""

    outcome: str
    body: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def done(self) -> bool:
        return self.outcome == "done"


class Client(threading.Thread):
    """One person with an API token. Never repeats an issue whose answer was lost: nobody could know of its key."""

    def __init__(self, url: str, proxy: str, who: dict[str, str], ledger: Ledger, seed: str) -> None:
        super().__init__(name=who["name"], daemon=True)
        self.url, self.proxy, self.who, self.ledger = url, proxy, who, ledger
        self.dice = random.Random(seed)
        self.over_all = who["role"] in {"approver", "admin"}
        self.stopping = threading.Event()
        self.failed: Exception | None = None
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers["Authorization"] = f"Bearer {who['token']}"

    def run(self) -> None:
        names, weights = zip(*((name, weight) for name, weight, _ in ACTS), strict=True)
        acts = {name: act for name, _, act in ACTS}
        try:
            while not self.stopping.is_set():
                name = self.dice.choices(names, weights)[0]
                outcome = acts[name](self)
                self.ledger.note(name, outcome)
                pause = PAUSE if outcome == "nobody" else self.dice.uniform(0, PAUSE)
                self.stopping.wait(pause)
        except Exception as error:  # told by the test, in the main thread
            self.failed = error
        finally:
            self.http.close()

    def call(self, path: str, body: dict[str, Any] | None = None, *, method: str = "POST") -> Answer:
        try:
            answer = self.http.request(method, f"{self.url}/api/v1/{path}", json=body, timeout=PATIENCE)
        except requests.RequestException as error:
            return Answer("nobody" if "Connection refused" in str(error) else "unknown")
        try:
            said = dict(answer.json())
        except ValueError:
            said = {}
        if answer.ok:
            return Answer("done" if said else "unknown", said)
        code = str(said.get("error", {}).get("code"))
        if code not in EXPECTED and (code, path[-8:]) != FORBIDDEN:
            self.ledger.wonder(f"{method} {path} {body}: {answer.status_code} {said or answer.text[:200]}")
        sure = answer.status_code < 500 or code == "gateway_away"
        return Answer(code if sure else "unknown", said)

    # Acts. Each answers the outcome, for the tally.

    def issue(self) -> str:
        if len(self.ledger.held) >= MOST:
            return "enough"
        body: dict[str, Any] = {"team": self.who["team"], "role": "chaos", "purpose": uuid4().hex}
        if self.dice.random() < 0.1:
            body["ttl"] = self.dice.randint(30, 45)  # expires while the chaos lasts
        answer = self.call("keys/", body)
        if answer.done:
            lease = answer.body["lease"]
            self.ledger.add(Held(lease["id"], self.who["team"], self.who["email"], [answer.body["key"]]))
        return answer.outcome

    def revoke(self) -> str:
        return self._act("revoke", self._any_of_mine_or_the_team(), self._ends)

    def renew(self) -> str:
        def renewed(held: Held, body: dict[str, Any]) -> None:
            until = datetime.fromisoformat(body["expires_at"])
            held.expires_at = max(until, held.expires_at or until)

        return self._act("renew", self._mine(), renewed, self.dice.choice([{}, {"ttl": "12h"}]))

    def rotate(self) -> str:
        def rotated(held: Held, body: dict[str, Any]) -> None:
            held.secrets.append(body["key"])
            held.unsure = False

        held = self._mine()
        outcome = self._act("rotate", held, rotated, {"grace": self.dice.choice([0, 0, "30s", "10m", "1h"])})
        if held and outcome == "unknown":
            held.unsure = True
        return outcome

    def pause(self) -> str:
        return self._act("pause", self._any_of_mine_or_the_team())

    def resume(self) -> str:
        return self._act("resume", self._any_of_mine_or_the_team())

    def use(self) -> str:
        """Use a key on the proxy; one whose end was confirmed must not work any more."""
        held = self._any_of_mine_or_the_team()
        if held is None:
            return "nothing"
        gone, secret = held.gone, self.dice.choice(held.secrets)
        status = status_of(self.proxy, secret)
        if gone and status == 200:
            self.ledger.wonder(f"a key of {held.lease} answered 200 after it was told revoked")
        return f"{status or 'nobody'}"

    def tidy(self) -> str:
        """Revoke a key whose secret nobody heard, or replace the secret: the list of one's keys shows it."""
        answer = self.call("keys/?state=active&page_size=200", method="GET")
        if not answer.done:
            return answer.outcome
        mine = [lease["id"] for lease in answer.body["results"] if lease["holder"] == self.who["email"]]
        unheard = [lease for lease in mine if lease not in self.ledger.held]
        if not unheard:
            return "nothing"
        lease = self.dice.choice(unheard)
        if self.dice.random() < 0.5:
            return self.call(f"keys/{lease}/revoke/").outcome
        answer = self.call(f"keys/{lease}/rotate/", {"grace": 0})
        if answer.done:
            self.ledger.add(Held(lease, self.who["team"], self.who["email"], [answer.body["key"]]))
        return answer.outcome

    def _act(
        self,
        verb: str,
        held: Held | None,
        then: Callable[[Held, dict[str, Any]], None] = lambda held, body: None,
        body: dict[str, Any] | None = None,
    ) -> str:
        if held is None:
            return "nothing"
        answer = self.call(f"keys/{held.lease}/{verb}/", body)
        if answer.done:
            then(held, answer.body)
        return answer.outcome

    def _ends(self, held: Held, body: dict[str, Any]) -> None:
        held.ending = True
        held.gone = held.gone or body["state"] in {"revoked", "expired"}

    def _mine(self) -> Held | None:
        return self.ledger.pick(self.dice, lambda held: held.holder == self.who["email"] and self._alive(held))

    def _any_of_mine_or_the_team(self) -> Held | None:
        def reached(held: Held) -> bool:
            within = held.team == self.who["team"] if self.over_all else held.holder == self.who["email"]
            return within and self._alive(held)

        return self.ledger.pick(self.dice, reached)

    def _alive(self, held: Held) -> bool:
        return not held.ending or self.dice.random() < 0.05  # now and then one acts on what has ended


ACTS: list[tuple[str, int, Callable[[Client], str]]] = [
    ("issue", 50, Client.issue),
    ("revoke", 8, Client.revoke),
    ("renew", 10, Client.renew),
    ("rotate", 12, Client.rotate),
    ("pause", 6, Client.pause),
    ("resume", 8, Client.resume),
    ("use", 10, Client.use),
    ("tidy", 4, Client.tidy),
]


def status_of(proxy: str, secret: str) -> int:
    """What the proxy answers a call with this key, 0 when it does not."""
    try:
        headers = {"Authorization": f"Bearer {secret}"}
        return requests.get(f"{proxy}/v1/models", headers=headers, timeout=PATIENCE).status_code
    except requests.RequestException:
        return 0
