"""When somebody acts on another's key, the holder is told: by one letter for one act, and by none for their own."""

from __future__ import annotations

import pytest

from keys.models import Lease
from keys.services import leases
from portal.errors import NotAllowed
from portal.models import Letter
from teams.models import Membership
from teams.roles import MemberRole

pytestmark = pytest.mark.django_db(transaction=True)

ACTS = {
    "paused": lambda key, by: leases.pause(key, by=by, reason="a leak"),
    "resumed": lambda key, by: leases.resume(key, by=by),
    "revoked": lambda key, by: leases.revoke(key, by=by, reason="a leak"),
    "revoked with others": lambda key, by: leases.revoke_many([key], by=by, reason="a leak"),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("who", ["bob", "ines", "ruth"])
def test_each_act_of_another_sends_one_letter_however_often_it_is_repeated(request, sandbox, make_key, act, who, alice):
    by, key = request.getfixturevalue(who), make_key().lease
    if act == "resumed":
        leases.pause(key, by=by)
        Letter.objects.all().delete()
    for _ in range(2):
        ACTS[act](Lease.objects.get(pk=key.pk), by)
    [letter] = Letter.objects.all()
    assert letter.to == [alice.email]
    assert str(by) in letter.text
    assert act.split()[0] in f"{letter.subject} {letter.text}"


@pytest.mark.parametrize("act", ACTS)
def test_nobody_is_told_of_what_they_did_themselves(sandbox, make_key, act, alice):
    key = make_key().lease
    if act == "resumed":
        leases.pause(key, by=alice)
    ACTS[act](Lease.objects.get(pk=key.pk), alice)
    assert not Letter.objects.exists()


def test_a_key_that_changes_hands_is_told_to_both_once(sandbox, make_key, person, team, ines, alice):
    carol = person("carol")
    Membership.objects.create(team=team, user=carol, role=MemberRole.MEMBER)
    key = make_key().lease
    leases.transfer(key, to=carol, by=ines)
    assert sorted(letter.to[0] for letter in Letter.objects.all()) == [alice.email, carol.email]


@pytest.mark.parametrize("who", ["bob", "ines", "ruth"])
def test_nobody_rotates_or_renews_for_another(request, sandbox, make_key, who):
    by, key = request.getfixturevalue(who), make_key().lease
    with pytest.raises(NotAllowed):
        leases.rotate(key, by=by)
    with pytest.raises(NotAllowed):
        leases.renew(key, by=by)
    assert not Letter.objects.exists()
