"""Get a key: the counter with its slip."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from django.contrib.auth.decorators import login_required
from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from keys.forms import NarrowForm
from keys.models import Approval, KeyRequest, KeyRole, Lease
from keys.services import leases, requests
from keys.services.beside import usual_wait
from keys.services.errors import AlreadyIssued, TeamEnded
from keys.services.fitting import fitting
from keys.services.terms import Ask, Terms, ceiling
from keys.services.words import has_secret
from keys.views.once import one_time, sent_before, show_once, uuid_in
from portal.errors import NotAllowed, PortalError
from portal.templatetags.ui import money, words
from portal.ui import render_part, undoable
from teams import access
from teams.access import allowed, require, within
from teams.models import Team, User
from teams.requests import SignedIn
from teams.roles import Can
from teams.views.teams import visible_team

FIT, ASK = "fit", "ask"  # which button of the slip was pressed, when a person would have to decide
ME = "me"  # for oneself; else a service account's id
NOT_IN_ADDRESSES = ("csrfmiddlewaretoken", "once", "look", "then")
NARROWS = ("name", "purpose", "ttl", "ttl_other", "max_budget", "which", "models")


def teams_to_issue_for(user: User) -> QuerySet[Team]:
    """Teams for which the person may get a key; platform admins may for every team."""
    return Team.objects.filter(within(user, Can.ISSUE_KEY, team="pk"), ended_at=None)


def _accounts_to_issue_for(user: User, team: Team | None) -> list[User]:
    """The team's service accounts, for who may act for them."""
    if team is None or not allowed(user, Can.ACT_FOR_SERVICE, team):
        return []
    return list(team.service_accounts.filter(is_active=True).order_by("name"))


def platform_admins() -> list[User]:
    """Who can help somebody that no team admin can: at most three."""
    return list(access.platform_admins()[:3])


class Counter:
    """What lies on the counter: teams, roles, the one that is chosen, and the terms that come of it."""

    def __init__(self, user: User, sent: QueryDict) -> None:
        self.user, self.once = user, uuid4()
        self.teams = list(teams_to_issue_for(user))
        self.team = next((team for team in self.teams if team.slug == sent.get("team")), None) or (
            self.teams[0] if self.teams else None
        )
        self.accounts = _accounts_to_issue_for(user, self.team)
        self.holder = self._holder(sent.get("holder", ""))
        self.roles: list[KeyRole] = list(leases.open_roles(self.team)) if self.team else []
        self.role = self._role(sent.get("role", ""))
        self.shown_for = sent.get("for", "")
        other = self.role is not None and sent.get("role", self.role.name) not in {str(self.role.pk), self.role.name}
        self.moved = other or (bool(self.shown_for) and self.shown_for != self.mark)
        self.moved |= self.holder == user and sent.get("holder", ME) != ME  # of the team that was chosen before
        self.again = self._again(sent.get("again", ""))
        self.form = NarrowForm(self._narrowed(self.role, sent), role=self.role) if self.role else None
        self.terms = self._terms()

    def _holder(self, wanted: str) -> User:
        return next((account for account in self.accounts if str(account.pk) == wanted), self.user)

    def _again(self, wanted: str) -> KeyRequest | None:
        """The request of before, which had no key for its end, when this one asks again."""
        return KeyRequest.objects.visible_to(self.user).filter(pk=uuid_in(wanted)).first() if wanted else None

    def _role(self, wanted: str) -> KeyRole | None:
        if found := next((role for role in self.roles if wanted in {str(role.pk), role.name}), None):
            return found
        at_once = [role for role in self.roles if role.approval == Approval.AUTO]
        return next(iter(at_once or self.roles), None)

    @property
    def form_errors(self) -> bool:
        return bool(self.form and self.form.errors)

    @property
    def mark(self) -> str:
        """What the terms on the page were worked out for. A form that carries another one is answered anew."""
        return f"{self.team.slug}/{self.role.pk}.{self.role.version}" if self.team and self.role else ""

    @property
    def team_moved(self) -> bool:
        return self.moved and self.team is not None and not self.shown_for.startswith(f"{self.team.slug}/")

    def _narrowed(self, role: KeyRole, sent: QueryDict) -> MultiValueDict[str, str]:
        """The role's own terms, and over them what was asked; nothing of what was asked of another role."""
        values = MultiValueDict(NarrowForm.defaults(role))
        keeps = ("name", "purpose") if self.moved else NARROWS
        for name in keeps:
            if name in sent:
                values.setlist(name, sent.getlist(name))
        if self.shown_for and not self.moved and "models" not in sent:
            values.setlist("models", [])  # every box was cleared
        if not self.shown_for and "models" in sent:
            values["which"] = "some"
        return values

    def _terms(self) -> Terms | None:
        if not (self.form and self.team):
            return None
        self.form.is_valid()
        terms = leases.terms(self.form.ask(self.team), holder=self.holder)
        self.form.blame_all(error for error in terms.problems if error.details)
        return terms

    @property
    def fits_rules(self) -> bool:
        return bool(self.form and not self.form.errors and self.terms and not self.terms.problems)

    @property
    def can_issue(self) -> bool:
        return bool(self.fits_rules and self.terms and not self.terms.decider)

    @property
    def asks(self) -> bool:
        """Whether somebody has to decide about it."""
        return bool(self.fits_rules and self.terms and self.terms.decider)

    @cached_property
    def fitting(self) -> Ask | None:
        """The nearest that is issued at once, of a key that is not."""
        return fitting(self.form.ask(self.team), holder=self.holder) if self.asks and self.form and self.team else None

    @property
    def fitting_words(self) -> str:
        """What makes it fit, on its button: `30 days, $50.00, only gpt-4o`."""
        fits, asked = self.fitting, self.terms
        if fits is None or asked is None or self.role is None:
            return ""
        said = []
        if fits.ttl and fits.ttl != asked.ttl:
            said.append(words(fits.ttl))
        if fits.max_budget is not None and fits.max_budget != asked.max_budget:
            said.append(money(fits.max_budget))
        if fits.models is not None and len(fits.models) < len(asked.models):
            said.append(_("%(models)s of the models") % {"models": len(fits.models)})
        return ", ".join(said)

    @cached_property
    def deciders(self) -> list[User]:
        """Who would decide about it."""
        if not (self.asks and self.team and self.role and self.terms):
            return []
        would_be = KeyRequest(team=self.team, role=self.role, holder=self.holder, asked_by=self.user,
                              decider=self.terms.decider)  # fmt: skip
        return list(requests.deciders(would_be))

    @cached_property
    def usual_wait(self) -> timedelta | None:
        return usual_wait(self.team) if self.team else None

    @property
    def blockers(self) -> list[PortalError]:
        """What no other input can cure."""
        return [error for error in self.terms.problems if not error.details] if self.terms else []

    @property
    def left_out(self) -> list[str]:
        """Models of the role that this key would not open."""
        chosen = self.terms.models if self.terms else ()
        return [name for name in self.role.models if name not in chosen] if self.role else []

    @property
    def cards(self) -> list[tuple[KeyRole, Any]]:
        """The roles, each with the most that one key of it can cost."""
        now = timezone.now()
        return [
            (role, ceiling(role.max_budget, role.budget_duration, now, now + role.default_ttl)) for role in self.roles
        ]


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def new_key(request: SignedIn) -> HttpResponse:
    """GET works out the slip for the query; POST issues the key that the slip showed, or asks for it."""
    if request.method == "GET":
        return _counter(request, Counter(request.user, request.GET))
    if again := _issued_before(request):
        return sent_before(request, again, AlreadyIssued(again))
    if "look" in request.POST:
        return HttpResponseRedirect(f"{reverse('keys:issue')}?{query_of(request.POST)}")
    if "team" in request.POST:
        team = visible_team(request, request.POST["team"])
        require(request.user, Can.ISSUE_KEY, team)  # a team that one may see, and get no key for, is a plain no
        if team.ended_at:
            raise TeamEnded(_("%(team)s was ended and gives no keys any more.") % {"team": team})
        if (named := request.POST.get("holder", ME)) != ME:
            near = User.objects.filter(service_team__in=teams_to_issue_for(request.user)).select_related("service_team")
            account = get_object_or_404(near, pk=uuid_in(named))
            require(request.user, Can.ISSUE_KEY, Lease(team=account.service_team or team, holder=account))
    counter = Counter(request.user, request.POST)
    if counter.moved or not counter.fits_rules or not (counter.form and counter.team):
        return _counter(request, counter, status=409 if counter.moved else 422)
    fits = counter.fitting if request.POST.get("then") == FIT else None
    if counter.asks and not fits and request.POST.get("then") != ASK:
        return _counter(request, counter, status=409)
    try:
        ask = fits or counter.form.ask(counter.team)
        if counter.asks and not fits:
            return _asked(request, requests.submit(
                ask, holder=counter.holder, by=request.user, again=counter.again, once=one_time(request)
            ))  # fmt: skip
        issued = leases.issue(ask, holder=counter.holder, by=request.user, once=one_time(request))
    except AlreadyIssued as error:
        return sent_before(request, error.lease, error)
    except NotAllowed:
        raise
    except PortalError as error:
        counter.form.blame(error)
        return _counter(request, counter, status=error.status)
    return show_once(request, issued)


def _counter(request: SignedIn, counter: Counter, status: int = 200) -> HttpResponse:
    unseen = status == HTTPStatus.CONFLICT and counter.asks and not counter.moved and not counter.form_errors
    context = {"counter": counter, "unseen": unseen, "refused": status != 200 and not counter.moved and not unseen}
    if not counter.role:
        context["helpers"] = platform_admins()
    return render_part(request, "keys/issue.html", "keys/_issue_parts.html", context, status=status)


def _asked(request: SignedIn, made: KeyRequest) -> HttpResponse:
    """What was asked, on the page that shows how it goes on."""
    back = reverse("keys:request_cancel", args=[made.pk])
    undoable(request, _("Asked. You are told once somebody has decided."), label=_("Take the request back"), path=back)
    return redirect("keys:request", made.pk)


def _issued_before(request: SignedIn) -> Lease | None:
    mine = Q(holder=request.user) | Q(holder__kind=User.Kind.SERVICE)
    return Lease.objects.visible_to(request.user).filter(mine, once=one_time(request)).first()


def query_of(sent: QueryDict) -> str:
    """What was filled in, as an address that shows it again; no secret that somebody pasted."""
    kept = sent.copy()
    for name in NOT_IN_ADDRESSES:
        kept.pop(name, None)
    for name in [name for name, value in kept.items() if has_secret(str(value))]:
        del kept[name]
    return kept.urlencode()
