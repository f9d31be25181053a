"""How people want to hear of things: at once, once a day, not at all."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Lower
from django.utils.translation import gettext

from portal import audit
from portal.errors import Invalid
from portal.notices import GROUPS, NAMED, Group, When
from teams.models import NoticeChoice, User


def choices_of(user: User) -> dict[str, When]:
    """How somebody hears of each group, by its name."""
    made = dict(NoticeChoice.objects.filter(user=user).values_list("group", "wanted"))
    return {group.name: _wanted(group, made.get(group.name)) for group in GROUPS}


def choose(*, by: User, **wanted: str) -> dict[str, When]:
    """Say how oneself wants to hear of groups, each by its name; answers how it is now. Raises Invalid."""
    offered = {name: NAMED[name].choices if name in NAMED else () for name in wanted}
    if wrong := {
        name: gettext("This cannot be chosen here.") for name, way in wanted.items() if way not in offered[name]
    }:
        raise Invalid(details=wrong)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=by.pk)  # two forms at once: one after the other
        before = choices_of(by)
        after = {name: When(way) for name, way in wanted.items() if before[name] != way}
        for name, way in after.items():
            NoticeChoice.objects.update_or_create(user=by, group=name, defaults={"wanted": way})
        if after:
            audit.record("person.notices_chosen", by, by=by, before={n: before[n] for n in after}, after=after)
    return before | after


def chosen_by(sender: Any = None, *, addresses: list[str], group: Group, **_: Any) -> dict[str, When]:
    """How the people behind these addresses hear of a group; an address without an account is not in it.

    Answers `portal.notices.asked`.
    """
    low = {address.lower(): address for address in addresses}
    made = NoticeChoice.objects.filter(user=OuterRef("pk"), group=group.name).values("wanted")[:1]
    people = User.objects.annotate(low=Lower("email"), wanted=Subquery(made)).filter(low__in=low)
    return {low[found]: _wanted(group, wanted) for found, wanted in people.values_list("low", "wanted")}


def _wanted(group: Group, way: str | None) -> When:
    """What counts: a way that is not offered any more does not."""
    return When(way) if way in group.choices else group.usual
