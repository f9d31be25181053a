"""How the platform stands: what is open, counted, and said in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext

from keys.models import Finding, Gateway, Intent, Proposal
from keys.models.intent import STUCK, IntentQuerySet
from portal import sweeps
from portal.sweeps import SweepStatus
from portal.templatetags.ui import count
from teams.models import Departure


def listed(path: str = "") -> Q:
    """Findings of keys that a comparison would end or close, were they not so many: as `operations.is_listed`."""
    ended_here = Q(**{f"{path}kind": Finding.Kind.ORPHAN, f"{path}version__isnull": False})
    return ended_here | Q(**{f"{path}kind": Finding.Kind.MISSING})


def open_intents(now: datetime | None = None) -> IntentQuerySet:
    """Promises that should be kept by now, the stuck ones first, with what a row shows."""
    found = Intent.objects.open(now or timezone.now())
    found = found.select_related("gateway", "team", "version__lease__team", "version__lease__holder")
    return found.defer("gateway__master_key").order_by("-attempts", "created_at", "pk")


def held_departures() -> QuerySet[Departure]:
    """Access that a provider took away from too many at once: nothing has happened yet."""
    return Departure.objects.filter(held=True, closed_at=None).select_related("user", "team").order_by("at", "pk")


def open_findings() -> QuerySet[Finding]:
    """Findings that wait for an answer of their own; keys that are `listed` are answered together."""
    return Finding.objects.filter(state=Finding.State.OPEN).exclude(listed())


def gateways_with_listed() -> list[Gateway]:
    """Gateways with keys that a comparison left for a person to see; `keys`: how many."""
    left = Q(findings__state=Finding.State.OPEN) & listed("findings__")
    counted = Gateway.objects.defer("master_key").annotate(keys=Count("findings", filter=left))
    return list(counted.filter(keys__gt=0))


def not_ours() -> int:
    """Keys on all gateways that are not ours, as last counted."""
    return Gateway.objects.aggregate(sum=Sum("foreign_keys"))["sum"] or 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is open. `departures` are people; `listed`: gateways with keys that a comparison would not end by itself."""

    sweeps: list[SweepStatus]
    waiting: int  # open intents
    stuck: int
    held: list[Gateway]
    listed: list[Gateway]  # with `keys`, how many
    departures: int
    proposals: int
    findings: int
    not_ours: int

    @property
    def late(self) -> list[SweepStatus]:
        return [sweep for sweep in self.sweeps if sweep.late]

    @property
    def failing(self) -> list[SweepStatus]:
        return [sweep for sweep in self.sweeps if sweep.failures and not sweep.late]

    @property
    def to_end(self) -> int:
        return sum(gateway.keys for gateway in self.listed)  # type: ignore[attr-defined]

    @property
    def is_open(self) -> bool:
        """Whether something waits for a person."""
        return bool(self._clauses())

    @property
    def sentence(self) -> str:
        if self.is_open:
            return f"{capfirst(', '.join(self._clauses()))}."
        if self.waiting:
            said = count(self.waiting, "promise waits for its gateway,promises wait for their gateways")
            return gettext("%(ran)s. %(waiting)s, none is stuck.") % {"ran": self._ran, "waiting": capfirst(said)}
        return gettext("%(ran)s, nothing is open.") % {"ran": self._ran}

    @property
    def _ran(self) -> str:
        all_ran = all(sweep.succeeded_at for sweep in self.sweeps)
        return gettext("All sweeps ran") if all_ran else gettext("No sweep is late")

    def _clauses(self) -> list[str]:
        named = count(self.held, "gateway is held,gateways are held")
        if len(self.held) == 1:
            named = gettext("gateway %(gateway)s is held") % {"gateway": self.held[0]}
        counted = {
            count(self.stuck, "promise is stuck,promises are stuck"): self.stuck,
            count(self.late, "sweep is late,sweeps are late"): self.late,
            count(self.failing, "sweep fails,sweeps fail"): self.failing,
            named: self.held,
            count(self.departures, "person waits for a decision,people wait for a decision"): self.departures,
            count(self.proposals, "proposal waits,proposals wait"): self.proposals,
            count(self.to_end, "key should end,keys should end"): self.to_end,
            count(self.findings, "finding is open,findings are open"): self.findings,
        }
        return [words for words, number in counted.items() if number]


def standing() -> Standing:
    """How the platform stands now."""
    intents = Intent.objects.open(timezone.now())
    gateways = Gateway.objects.defer("master_key")
    return Standing(
        sweeps=sweeps.status(),
        waiting=intents.count(),
        stuck=intents.filter(attempts__gte=STUCK).count(),
        held=list(gateways.filter(held_since__isnull=False)),
        listed=gateways_with_listed(),
        departures=held_departures().order_by().values("user").distinct().count(),
        proposals=Proposal.objects.open().count(),
        findings=open_findings().count(),
        not_ours=not_ours(),
    )
