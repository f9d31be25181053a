"""What issuing relies on when an answer is lost: the hash tells, and a late request may still land."""

from __future__ import annotations

import pytest

from portal.litellm import (
    BadAnswer,
    ConnectionLost,
    KeyNotFound,
    ServerError,
    TimedOut,
    Unreachable,
    hash_key,
)
from portal.litellm.faults import broken_json, lost, refused, server_error, timed_out


class Killed(BaseException):
    """The process dies here."""


def test_a_refused_connection_has_made_no_key(proxy):
    client, faults = proxy.faulty()
    secret = proxy.secret()
    faults.fail_next("/key/generate", refused(), times=9)
    with pytest.raises(Unreachable) as problem:
        client.keys.generate(key=secret)
    assert problem.value.applied is False
    with pytest.raises(KeyNotFound):
        proxy.client.keys.info(hash_key(secret))


@pytest.mark.parametrize(
    ("what", "raised"),
    [
        (timed_out(), TimedOut),
        (lost(), ConnectionLost),
        (server_error(), ServerError),
        (broken_json(), BadAnswer),
    ],
)
@pytest.mark.parametrize("after_effect", [False, True])
def test_an_unclear_answer_is_settled_by_a_look_at_the_hash(proxy, what, raised, after_effect):
    client, faults = proxy.faulty()
    secret = proxy.secret()
    faults.fail_next("/key/generate", what, after_effect=after_effect)
    with pytest.raises(raised) as problem:
        client.keys.generate(key=secret, alias=proxy.name("unclear"))
    assert problem.value.applied is None
    assert [path for _, path in faults.calls] == ["/key/generate"]  # a write is never repeated by itself
    if after_effect:
        assert client.keys.info(hash_key(secret)).status == "active"
    else:
        with pytest.raises(KeyNotFound):
            client.keys.info(hash_key(secret))


def test_a_process_that_dies_after_the_call_leaves_a_key_that_its_hash_can_end(proxy):
    client, faults = proxy.faulty()
    secret = proxy.secret()
    faults.fail_next("/key/generate", Killed(), after_effect=True)
    with pytest.raises(Killed):
        client.keys.generate(key=secret)
    assert proxy.works(secret)
    proxy.client.keys.delete(hash_key(secret))
    assert not proxy.works(secret)


def test_a_request_that_timed_out_can_land_after_the_delete_that_found_nothing(proxy):
    client, faults = proxy.faulty()
    secret = proxy.secret()
    faults.hold_next("/key/generate")
    with pytest.raises(TimedOut):
        client.keys.generate(key=secret)
    with pytest.raises(KeyNotFound):
        client.keys.delete(hash_key(secret))
    [answer] = faults.release()
    assert answer.status_code == 200
    assert proxy.works(secret)  # alive: so an intent is watched for a while, and deletes again
    client.keys.delete(hash_key(secret))
    assert not proxy.works(secret)


def test_a_successor_lives_beside_the_old_version_and_carries_its_spend(proxy):
    alias = proxy.name("lease")
    old = proxy.key(alias=alias, max_budget=10, spend=2)
    new = proxy.key(alias=f"{alias}.v2", max_budget=10, spend=proxy.client.keys.info(old.token).spend)
    assert proxy.works(old.key)
    assert proxy.works(new.key)
    proxy.client.keys.delete(old.token)
    assert not proxy.works(old.key)
    assert proxy.works(new.key)
    assert proxy.client.keys.info(new.token).spend >= 2


def test_who_acted_can_be_named(proxy):
    asked = proxy.client.changed_by("kd-somebody")
    key = proxy.key()
    assert asked.keys.update(key.token, metadata={"a": 1}).metadata["a"] == 1
