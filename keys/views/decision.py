"""What the pages of one request show, each part worked out when it is shown."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import QueryDict
from django.utils import timezone

from keys.forms.requests import DecideForm, DenyForm
from keys.models import Bounds, KeyRequest, RequestEntry
from keys.services import beside, requests
from keys.services.requests.deciding import narrowed
from portal.drawing import share
from portal.errors import PortalError
from portal.templatetags.ui import money, words
from teams.models import Membership, User

State = KeyRequest.State
NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The two parts of the bar: what is spent, and what the request adds. In percent."""

    used: str
    adds: str


@dataclass(frozen=True, slots=True)
class Others:
    """What similar requests got, where they agree and it is less than this one asks."""

    bounds: Bounds
    words: str
    total: Decimal | None

    @property
    def mark(self) -> str:
        """What the button was drawn for: it gives that, or nothing."""
        return f"{self.bounds.ttl.total_seconds():.0f}/{self.bounds.max_budget}"

    @property
    def given(self) -> dict[str, Any]:
        return {"ttl": self.bounds.ttl, "max_budget": self.bounds.max_budget}


class Decision:
    """One request for whoever looks. `form`: how it is narrowed now."""

    def __init__(
        self, request: KeyRequest, user: User, sent: QueryDict | None = None, *, form: DecideForm | None = None,
        deny: DenyForm | None = None,
    ) -> None:  # fmt: skip
        self.request, self.user = request, user
        self.form = form or DecideForm(sent, request=request)
        self.deny = deny or DenyForm(auto_id=f"{request.pk}_%s")
        self.asked = request.wanted
        self.again = request.again
        self.may_decide = requests.may_decide(request, user)
        self.is_mine = user.pk in {request.holder_id, request.asked_by_id}

    @cached_property
    def _narrowed(self) -> tuple[Bounds, PortalError | None]:
        if not self.form.is_bound:
            return self.request.bounds, None
        if not self.form.is_valid():
            return self.asked, None
        try:
            return narrowed(self.request, **self.form.fields_given()), None
        except PortalError as error:
            return self.asked, error

    @property
    def narrowed(self) -> Bounds:
        return self._narrowed[0]

    @property
    def narrowed_error(self) -> str:
        """Why it cannot be given like that."""
        if error := self._narrowed[1]:
            return " ".join(str(words) for words in error.details.values()) or error.message
        return " ".join(str(words) for errors in self.form.errors.values() for words in errors)

    @cached_property
    def stake(self) -> requests.Stake:
        return requests.stake(_with(self.request, self.narrowed))

    @cached_property
    def renewed(self) -> requests.Stake | None:
        """What becomes of the money if the key is renewed as far as it goes. None: it is not."""
        return requests.if_renewed(_with(self.request, self.narrowed))

    @property
    def window(self) -> str:
        return self.asked.budget_duration or self.request.role.budget_duration

    @property
    def claim_within(self) -> timedelta:
        """How long its holder has to issue the key, once it is approved."""
        return settings.CLAIM_WITHIN

    @cached_property
    def may_say(self) -> bool:
        return requests.may_say(self.request, self.user)

    @property
    def may_cancel(self) -> bool:
        return requests.may_cancel(self.request, self.user)

    @property
    def may_claim(self) -> bool:
        return requests.may_claim(self.request, self.user)

    @property
    def may_ask_again(self) -> bool:
        return self.request.state in {State.DENIED, State.LAPSED} and self.is_mine

    @cached_property
    def deciders(self) -> list[User]:
        return list(requests.deciders(self.request))

    @cached_property
    def approved_once(self) -> bool:
        """One of two has approved it, and still may."""
        return bool(requests.standing_approvals(self.request))

    @cached_property
    def usual_wait(self) -> timedelta | None:
        return beside.usual_wait(self.request.team)

    @cached_property
    def thread(self) -> list[RequestEntry]:
        return list(requests.thread(self.request))

    @cached_property
    def weight(self) -> beside.Weight | None:
        request, now = self.request, timezone.now()
        return beside.weigh(request.team, request.role.gateway, self.adds, now + self.narrowed.ttl, now)

    @property
    def adds(self) -> Decimal | None:
        """What it can add in one window of its own; of a rise what is more than before."""
        wants = self.narrowed.max_budget
        if not self.request.is_rise:
            return wants
        has = self.request.lease.max_budget if self.request.lease else None
        return NOTHING if wants is None or has is None else wants - has

    @property
    def drawn(self) -> Drawn | None:
        weight = self.weight
        used = share(weight.spent, weight.limit) if weight else None
        if weight is None or used is None:
            return None
        free = max(NOTHING, weight.limit - weight.spent)
        adds = share(free if weight.adds is None else min(weight.adds, free), weight.limit)
        return Drawn(used.used, adds.used if adds else "0%")

    @cached_property
    def since(self) -> datetime | None:
        """When the holder came into the team; None: not by membership, as a service account."""
        there = Membership.objects.filter(user=self.request.holder, team=self.request.team)
        return there.values_list("created_at", flat=True).first()

    @cached_property
    def history(self) -> requests.History:
        return requests.history_of(self.request.holder, self.request.team)

    @cached_property
    def similar(self) -> list[requests.Similar]:
        return list(requests.similar(self.request))

    @cached_property
    def others(self) -> Others | None:
        """What most of the similar ones got, if it is narrower than this one."""
        if self.request.is_rise:
            return None
        bounds = beside.as_others(self.request, [each.request for each in self.similar])
        if bounds is None:
            return None
        said = f"{words(bounds.ttl)}, {money(bounds.max_budget)}"
        return Others(bounds, said, requests.stake(_with(self.request, bounds)).total)


def decision(request: KeyRequest, user: User, sent: QueryDict | None = None, **forms: Any) -> Decision:
    return Decision(request, user, sent, **forms)


def _with(request: KeyRequest, bounds: Bounds) -> KeyRequest:
    """The request as it would be with these terms; never saved."""
    as_if = copy(request)
    as_if.granted = bounds.stored()
    return as_if
