"""The API is as its schema says, whoever asks whatever."""

from __future__ import annotations

import os

import pytest

from portal import reference
from tests.api.fuzzing import ALONE, Tally, fuzz, knowing, strict
from tests.permissions.scene import scene

pytestmark = pytest.mark.django_db(transaction=True)
PEOPLE = ["mallory", "alice", "ruth"]  # outside, a member, a platform admin, who may change most: she comes last
FEW = 2000
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "0"))  # of each person; `make fuzz` asks for 6,700
SEED = int(os.environ.get("FUZZ_SEED", "1"))


@pytest.fixture(scope="module")
def made():
    return reference.made()


@pytest.fixture
def schema(made, scene, settings):
    settings.WRONG_TOKENS = settings.API_PER_MINUTE = 10**9
    return strict(knowing(made, scene))


@pytest.mark.parametrize("people", [[who] for who in PEOPLE] if REQUESTS else [PEOPLE], ids="-".join)
def test_nothing_breaks_and_every_answer_is_as_documented(people, scene, schema, record_property):
    tokens = {who: scene.bearer(scene.people[who]) for who in people}
    tally = at_length(schema, tokens) if REQUESTS else in_short(schema, tokens)
    record_property("fuzz", str(tally))
    assert "\n\n".join(f"{name}\n{said}" for name, said in tally.faults.items()) == ""
    assert tally.requests >= (REQUESTS or FEW)
    assert set(people) == set(tally.people)


def in_short(schema, tokens):
    """Each operation by itself, whoever's turn it is; then sequences of each of them."""
    tally = fuzz(schema, tokens, seed=SEED, phases=["coverage"], thinned=True)
    for who, headers in tokens.items():
        tally += fuzz(schema, {who: headers}, seed=SEED, examples=12, phases=["stateful"])
    return tally


def at_length(schema, tokens):
    tally, seed = Tally(), SEED
    while tally.requests < REQUESTS:
        tally += fuzz(schema, tokens, seed=seed, examples=5, phases=ALONE)
        tally += fuzz(schema, tokens, seed=seed, examples=150, phases=["stateful"])
        seed += 1
    return tally


def test_a_fault_would_be_found(scene, schema):
    answers = schema["paths"]["/api/v1/teams/"]["get"]["responses"]
    only = {**schema, "paths": {"/api/v1/teams/": {"get": {**schema["paths"]["/api/v1/teams/"]["get"]}}}}
    only["paths"]["/api/v1/teams/"]["get"]["responses"] = {"422": answers["422"]}
    found = fuzz(only, {"ruth": scene.bearer(scene.ruth)}, seed=SEED, phases=["fuzzing"])
    assert "status_code_conformance GET /api/v1/teams/: Undocumented status code" in found.faults


__all__ = ["scene"]
