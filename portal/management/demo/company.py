"""Teams, people, key roles and keys, made by the services that people use. Safe to repeat: what is there stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db.models import F

from keys.models import Gateway, KeyRequest, KeyRole, KeyVersion, Lease, State, UnmanagedKey
from keys.services import leases, requests, roles
from keys.services.terms import Ask, terms
from portal.management.demo import cast
from portal.management.demo.plan import Planned
from teams import services
from teams.access import SYSTEM, Actor, admins_of
from teams.models import ApiToken, Membership, Team, User
from teams.roles import MemberRole, PlatformRole
from teams.services import service_accounts
from teams.services.invitations import invite
from teams.services.members import set_holder_budget
from teams.services.people import make_person, set_platform_role
from teams.services.tokens import make_token

Say = Callable[[str], None]
EVERY = 50  # keys between two lines of progress
LAST = [alias for alias, *_ in cast.FOREIGN]  # what a run that came to its end has made


@dataclass(slots=True)
class Company:
    """What there is, and what of it is new. `made`: the new keys, with the request that one was claimed from; `left`:
    keys that have their past already, of a run that was stopped before its end.
    """

    gateway: Gateway
    teams: dict[str, Team]
    newcomers: list[User] = field(default_factory=list)
    new_roles: list[KeyRole] = field(default_factory=list)
    made: list[tuple[Planned, Lease, KeyRequest | None]] = field(default_factory=list)
    left: list[tuple[Planned, Lease, None]] = field(default_factory=list)

    def leases(self, *fates: str) -> list[Lease]:
        """The new keys of such fates, as they are now, and those that were left; all: of any."""
        pks = [lease.pk for key, lease, _ in (*self.made, *self.left) if not fates or key.fate in fates]
        found = Lease.objects.rows().in_bulk(pks)
        return [found[pk] for pk in pks]


def person(login: str) -> User:
    return User.objects.get(email=f"{login}@{cast.DOMAIN}")


def admin_of(team: Team) -> User:
    return admins_of(team).select_related("user").order_by("created_at", "pk")[0].user


def actor(lease: Lease) -> User:
    """Who would act on it: its holder, or for a machine who runs its team."""
    return lease.holder if lease.holder.kind == User.Kind.PERSON else admin_of(lease.team)


def found(gateway: Gateway, password: str, say: Say) -> Company:
    """The company without its keys; who is new can sign in with `password`."""
    company = Company(gateway, {each.slug: _team(each) for each in cast.TEAMS})
    stored = make_password(password)  # one for all: to hash it takes longer than everything else about a person
    for login, name, places in cast.PEOPLE:
        _person(company, login, name, places, stored)
    auditor = person(cast.AUDITOR)
    if auditor in company.newcomers:
        set_platform_role(auditor, PlatformRole.AUDITOR, by=SYSTEM)
    for slug, login, budget in cast.HOLDER_BUDGETS:
        if person(login) in company.newcomers:
            membership = Membership.objects.get(team=company.teams[slug], user__email=f"{login}@{cast.DOMAIN}")
            set_holder_budget(membership, max_budget=Decimal(budget), by=SYSTEM)
    _invited(company)
    for each in cast.ROLES:
        _role(company, each)
    for account in cast.ACCOUNTS:
        _account(company, account)
    say(f"{len(cast.TEAMS)} teams, {len(cast.PEOPLE)} people, {len(cast.ACCOUNTS)} service accounts, "
        f"{len(cast.ROLES)} key roles")  # fmt: skip
    return company


def fill(company: Company, planned: Iterable[Planned], say: Say) -> None:
    """Issue the keys that are not there. Their secrets are dropped: nobody asked for them.

    A run that was interrupted is taken up: keys that it issued and gave no past are new as well.
    """
    there = {(each.team_id, each.holder_id, each.name): each for each in Lease.objects.rows()}
    unfinished = {(each.team_id, each.holder_id, each.name): each for each in without_past()}
    stopped = bool(there) and not UnmanagedKey.objects.filter(gateway=company.gateway, alias__in=LAST).exists()
    people = {
        str(each.email).partition("@")[0]: each for each in User.objects.filter(email__endswith=f"@{cast.DOMAIN}")
    }
    machines = {(each.service_team_id, each.name): each for each in User.objects.filter(kind=User.Kind.SERVICE)}
    roles_here = {role.name: role for role in KeyRole.objects.filter(gateway=company.gateway).with_gateway()}
    for key in planned:
        team = company.teams[key.team]
        holder = machines[team.pk, key.login] if key.machine else people[key.login]
        if (lease := unfinished.get((team.pk, holder.pk, key.name))) is not None:
            company.made.append((key, lease, KeyRequest.objects.filter(lease=lease).first()))
            continue
        if lease := there.get((team.pk, holder.pk, key.name)):
            if stopped:
                company.left.append((key, lease, None))
            continue
        by = admin_of(team) if key.machine else holder
        ask = Ask(team, roles_here[key.role.name], name=key.name, purpose=key.purpose)
        company.made.append((key, *_issue(ask, holder, by)))
        if len(company.made) % EVERY == 0:
            say(f"{len(company.made)} keys issued")


def without_past() -> Iterable[Lease]:
    """Live keys of the cast whose rows still say when they were written; see past.py, which makes both times one."""
    first = KeyVersion.objects.filter(number=1, ended_at=None).exclude(created_at=F("issued_at"))
    ours = Lease.objects.filter(
        state=State.ACTIVE, versions__in=first, team__slug__in=[each.slug for each in cast.TEAMS]
    )
    return ours.rows()


def _issue(ask: Ask, holder: User, by: User) -> tuple[Lease, KeyRequest | None]:
    """Issue it, by a request where the role asks for one."""
    if not terms(ask, holder=holder).decider:
        return leases.issue(ask, holder=holder, by=by).lease, None
    request = requests.submit(ask, holder=holder, by=by)
    approve(request)
    return requests.claim(request, by=by).lease, request


def approve(request: KeyRequest, text: str = "", **narrower: Any) -> KeyRequest:
    """By as many people as it takes; where nobody may decide it, by Keydesk."""
    for _ in range(request.approvals_needed):
        request = requests.approve(request, by=decider_of(request), text=text, **narrower)
    return request


def decider_of(request: KeyRequest) -> Actor:
    return requests.deciders(request).first() or SYSTEM


def _team(told: cast.TeamOf) -> Team:
    known = Team.objects.filter(slug=told.slug).first()
    return known or services.create_team(
        name=told.name, slug=told.slug, max_budget=Decimal(told.month), cost_centre=told.cost_centre, by=SYSTEM
    )


def _person(company: Company, login: str, name: str, places: dict[str, MemberRole], stored: str) -> None:
    email = f"{login}@{cast.DOMAIN}"
    if User.objects.filter(email=email).exists():
        return  # where they are and as what may have been changed since
    newcomer = make_person(email, name=name, by=SYSTEM)
    for slug, role in places.items():
        services.put_member(company.teams[slug], email=email, role=role, by=SYSTEM)
    User.objects.filter(pk=newcomer.pk).update(password=stored)
    company.newcomers.append(newcomer)


def _invited(company: Company) -> None:
    """Somebody who has not come yet."""
    login, slug, host = cast.INVITED
    email, team = f"{login}@{cast.DOMAIN}", company.teams[slug]
    if not (User.objects.filter(email=email).exists() or team.invitations.filter(email=email).exists()):
        invite(team, email=email, role=MemberRole.MEMBER, by=person(host))


def _role(company: Company, told: cast.RoleOf) -> None:
    if not KeyRole.objects.filter(gateway=company.gateway, name=told.name).exists():
        opened = [company.teams[slug] for slug in told.teams]
        made = roles.make(by=SYSTEM, gateway=company.gateway, teams=opened, all_teams=not opened, **told.fields)
        company.new_roles.append(made)


def _account(company: Company, told: cast.Account) -> None:
    team = company.teams[told.team]
    account = User.objects.filter(service_team=team, name=told.name).first()
    if account is None:
        by = admin_of(team)
        account = service_accounts.make(team, name=told.name, by=by, responsible=person(told.responsible))
    if not ApiToken.objects.filter(owner=account).exists():
        scopes = [str(scope) for scope in told.scopes]
        make_token(account, name="pipeline", scopes=scopes, life=cast.DAY * told.days, by=admin_of(team))
