"""Schemathesis over the whole schema, in-process: it asks what no person would think of."""

from __future__ import annotations

import copy
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.run import PhaseName

from keys.api.urls import urlpatterns
from tests.permissions.scene import Scene, nothing_happened
from tests.permissions.table import FILES, Asked, rows_of

Schema = dict[str, Any]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
ALONE = ("examples", "coverage", "fuzzing")  # each request by itself; "stateful" ones build upon each other
# Names of operations that nobody asks: they end the token that asks, write a proxy's own things, call foreign hosts, or
# let one address begin no more logins.
OFF = re.compile(
    r"tokens_(delete|current_\w+)|gateways_(models|model_groups|credentials|users)_(create|change|set|delete)"
    r"|webhooks?_\w*(test|try)\w*|device(_\w+)?"
)
UNLINKED = re.compile(r"tokens_end|people_deactivate")  # what one finds first is oneself
MADE = {"keys_issue": "lease/id", "tokens_create": "token/id", "webhooks_create": "webhook/id"}
ID = {"who": "id", "delivery": "id", "model": "id", "user": "id", "credential": "name"}
SHORT, EACH = 6, 3


@dataclass
class Tally:
    """What was asked and answered: requests by status, person and operation, and each fault with one example."""

    statuses: Counter[int] = field(default_factory=Counter)
    people: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    well: Counter[str] = field(default_factory=Counter)  # of them, those that were answered with success
    chains: Counter[int] = field(default_factory=Counter)  # sequences by how many requests of them followed a link
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        return sum(self.statuses.values())

    def __str__(self) -> str:
        statuses, well = dict(sorted(self.statuses.items())), sum(self.well.values())
        return (
            f"{self.requests} requests {dict(self.people)}, {statuses}, {well} well, {len(self.operations)} calls; "
            f"{sum(self.chains.values())} sequences, by links followed {dict(sorted(self.chains.items()))}"
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.statuses + other.statuses,
            self.people + other.people,
            self.operations + other.operations,
            self.well + other.well,
            self.chains + other.chains,
            self.faults | other.faults,
        )


def strict(schema: Schema) -> Schema:
    """The same schema, with answers that hold nothing that it does not name."""
    found = copy.deepcopy(schema)
    for shape in found["components"]["schemas"].values():
        if shape.get("type") == "object" and shape.get("properties"):
            shape.setdefault("additionalProperties", False)
    return found


def knowing(schema: Schema, scene: Scene) -> Schema:
    """The same schema, whose paths and bodies also have what is there: nobody guesses a UUID.

    What that is, the table of permissions says of each URL.
    """
    found = copy.deepcopy(schema)
    told = [Asked(scene, file) for file in FILES if rows_of(file, "REST")]
    parts = {name: args for asked in told for name, args in asked.arguments.items()}
    bodies = {name: body for asked in told for name, body in asked.bodies.items()}
    for pattern in urlpatterns:
        name, route = f"api:{pattern.name}", str(pattern.pattern)
        path = "/api/v1/" + re.sub(
            r"<(?:\w+:)?(\w+)>", lambda part: f"{{{'id' if part[1] == 'pk' else part[1]}}}", route
        )
        there = dict(zip(re.findall(r"{(\w+)}", path), parts.get(name, ()), strict=False))
        for operation in found["paths"].get(path, {}).values():
            for parameter in operation.get("parameters", ()):
                if parameter.get("in") == "path" and parameter["name"] in there:
                    parameter["schema"] = _also(str(there[parameter["name"]]), parameter["schema"])
            if name in bodies and "requestBody" in operation:
                media = operation["requestBody"]["content"]["application/json"]
                media["schema"] = _also(json.loads(json.dumps(bodies[name], default=str)), media["schema"])
                media.pop("examples", None)
    return found


def _also(value: Any, shape: Schema) -> Schema:
    return {"anyOf": [{"enum": [value]}, shape]}


def linked(schema: Schema) -> Schema:
    """The same schema, with OpenAPI links from what makes and lists things to each of them, and from there to its acts.

    Of those that schemathesis infers instead, none led from a new key to anything. Acts have none, so sequences begin
    with what makes or lists.
    """
    found = copy.deepcopy(schema)
    for path in [each for each in found["paths"] if each.endswith("}/")]:
        above, part = path.rsplit("{", 1)
        part = part.removesuffix("}/")
        it = {name: f"$request.path.{name}" for name in re.findall(r"{(\w+)}", path)}
        one = list(found["paths"][path].values())
        acts = [each for at, of in found["paths"].items() if at != path and at.startswith(path) for each in of.values()]
        for method, operation in found["paths"].get(above, {}).items():
            at = f"results/0/{ID.get(part, part)}" if method == "get" else MADE.get(operation["operationId"], part)
            _link(operation, one + acts, it | {part: f"$response.body#/{at}"})
        _link(found["paths"][path].get("get", {"responses": {}}), one + acts, it)
    return found


def _link(operation: Schema, targets: list[Schema], parameters: dict[str, str]) -> None:
    for status in {"200", "201"} & set(operation["responses"]):
        for name in (each["operationId"] for each in targets if not UNLINKED.fullmatch(each["operationId"])):
            links = operation["responses"][status].setdefault("links", {})
            links[name] = {"operationId": name, "parameters": parameters}


def _as(
    people: dict[str, dict[str, str]], app: Callable[..., Iterable[bytes]], used: set[BaseDatabaseWrapper]
) -> Callable[..., Iterable[bytes]]:
    """The same application, asked by each of the people in turn. Its answers say by whom."""
    turns = cycle(people.items())

    def ask(environ: Any, start: Any) -> Iterable[bytes]:
        used.add(connections[DEFAULT_DB_ALIAS])
        who, headers = next(turns)
        environ |= {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
        return app(environ, lambda status, given, *rest: start(status, [*given, ("Asked-By", who)], *rest))

    return ask


def _undone(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The same application, where nothing that a request does outlives it."""

    def ask(environ: Any, start: Any) -> Iterable[bytes]:
        with nothing_happened():
            return list(app(environ, start))

    return ask


def _thinned() -> Callable[[Any, Any], bool]:
    """Of the thousands of cases of one coverage the first SHORT of each operation, then one in EACH."""
    seen: Counter[str] = Counter()

    def filter_case(context: Any, case: Any) -> bool:
        seen[case.operation.label] += 1
        nth = seen[case.operation.label]
        return nth <= SHORT or nth % EACH == 0

    return filter_case


@contextmanager
def _in_one_process() -> Iterator[set[BaseDatabaseWrapper]]:
    """As Django's own test client: connections stay open between requests. Without a log of thousands of them.

    Yields a set for the connections of schemathesis's threads, which nobody else would close at the end.
    """
    logging.disable(logging.CRITICAL)
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    used: set[BaseDatabaseWrapper] = set()
    try:
        yield used
    finally:
        for each in used:
            each.inc_thread_sharing()
            each.close()
        for signal in signals:
            signal.connect(close_old_connections)
        logging.disable(logging.NOTSET)


def fuzz(
    schema: Schema,
    people: dict[str, dict[str, str]],
    *,
    seed: int,
    examples: int = 1,
    phases: Collection[str] = ALONE,
    thinned: bool = False,
) -> Tally:
    """Ask every operation but OFF, each at least `examples` times in each phase, as the people whose headers these are:
    in turn, which makes sense for one of them, or for the coverage, where no answer changes what is asked next.
    """
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
            "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
            "continue-on-failure": True,
            "phases": {
                **{name: {"enabled": name in phases} for name in ALONE},
                "coverage": {"enabled": "coverage" in phases, "unexpected-methods": []},
                "stateful": {
                    "enabled": "stateful" in phases,
                    "max-steps": 8,
                    "generation": {"mode": "positive", "max-examples": examples},
                    "inference": {"algorithms": []},
                },
            },
        }
    )
    told = schemathesis.openapi.from_dict(linked(schema) if "stateful" in phases else schema, config=config)
    if thinned:
        told.hook("filter_case")(_thinned())
    tally = Tally()
    with _in_one_process() as used:
        app = _as(people, WSGIHandler(), used)
        told.app = app if "stateful" in phases else _undone(app)
        asked = told.exclude(operation_id_regex=f"^({OFF.pattern})$")
        for event in from_schema(asked).execute():
            _count(event, tally)
    return tally


def _count(event: Any, tally: Tally) -> None:
    if isinstance(event, events.NonFatalError):
        tally.faults[f"error: {event.label}"] = str(event.info)[:1500]
    if isinstance(event, events.FatalError):
        raise event.exception
    if not isinstance(event, events.ScenarioFinished):
        return
    for case_id, each in event.recorder.interactions.items():
        if each.response is not None:
            status = each.response.status_code
            operation = event.recorder.cases[case_id].value.operation.label
            tally.statuses[status] += 1
            tally.people[each.response.headers["asked-by"][0]] += 1
            tally.operations[operation] += 1
            tally.well[operation] += status < 300
    if event.phase == PhaseName.STATEFUL_TESTING:
        tally.chains[sum(case.parent_id is not None for case in event.recorder.cases.values())] += 1
    for case_id, checks in event.recorder.checks.items():
        for check in (each for each in checks if each.failure_info is not None):
            case, failure = event.recorder.cases[case_id].value, check.failure_info.failure
            name = f"{check.name} {case.method} {case.operation.path}: {failure.title}"
            who = event.recorder.interactions[case_id].response.headers["asked-by"][0]
            tally.faults.setdefault(
                name, f"as {who}: {failure.message[:1500]}\n{check.failure_info.code_sample[:1500]}"
            )
