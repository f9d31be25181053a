"""`manage.py demo`: a small believable company on the sandbox, made by the services that people use. Safe to repeat."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from keys.models import Gateway, KeyRole, Lease
from keys.models.gateway import SANDBOX_URL
from keys.services import leases, roles
from keys.services.terms import Ask
from portal.errors import PortalError
from portal.management.first_start import choose_password
from teams import services
from teams.access import SYSTEM
from teams.models import Team, User
from teams.roles import MemberRole
from teams.services.invitations import invite
from teams.services.people import make_person

PASSWORD_FILE = "demo-password"  # noqa: S105

TEAMS = {  # slug: name, USD a month
    "search": ("Search Platform", 1500),
    "support": ("Customer Support", 600),
    "data-science": ("Data Science", 4000),
}
PEOPLE = {  # address before the @: name, {team: role}
    "ines": ("Ines Albrecht", {"search": MemberRole.ADMIN}),
    "bob": ("Bob Okafor", {"search": MemberRole.APPROVER, "data-science": MemberRole.MEMBER}),
    "alice": ("Alice Moreau", {"search": MemberRole.MEMBER}),
    "tomas": ("Tomás Rivera", {"support": MemberRole.ADMIN}),
    "yuki": ("Yuki Tanaka", {"support": MemberRole.MEMBER, "search": MemberRole.VIEWER}),
    "noor": ("Noor Haddad", {"data-science": MemberRole.ADMIN}),
    "sam": ("Sam Whitfield", {"data-science": MemberRole.MEMBER}),
}
INVITED = "kim@keydesk.local"
ROLES: list[dict[str, Any]] = [
    {
        "name": "coding",
        "description": "Editors and coding assistants",
        "models": ["gpt-4o", "gpt-4o-mini"],
        "max_budget": Decimal(50),
        "budget_duration": "30d",
        "ttl": timedelta(days=30),
        "max_ttl": timedelta(days=90),
        "teams": ["search", "data-science"],
    },
    {
        "name": "batch",
        "description": "Nightly jobs; many tokens, no hurry",
        "models": ["gpt-4o-mini"],
        "max_budget": Decimal(400),
        "budget_duration": "1mo",
        "tpm_limit": 200_000,
        "ttl": timedelta(days=7),
        "max_ttl": timedelta(days=30),
        "teams": ["data-science"],
    },
    {
        "name": "playground",
        "description": "A day to try things out",
        "models": ["gpt-4o-mini"],
        "max_budget": Decimal(2),
        "budget_duration": "1d",
        "rpm_limit": 30,
        "ttl": timedelta(days=1),
        "max_ttl": timedelta(days=2),
        "max_live_keys": 2,
        "all_teams": True,
    },
]
KEYS = [  # holder, team, role, name, purpose, revoked
    ("alice", "search", "coding", "laptop", "Code completion in my editor", False),
    ("alice", "search", "playground", "prompt tests", "Trying out query rewriting", False),
    ("bob", "search", "coding", "review bot", "Summaries of pull requests", False),
    ("bob", "search", "coding", "old laptop", "Code completion", True),
    ("ines", "search", "playground", "demo day", "Slides for the demo day", True),
    ("tomas", "support", "playground", "reply drafts", "Drafting replies to tickets", False),
    ("yuki", "support", "playground", "translations", "Translating the help pages", False),
    ("noor", "data-science", "batch", "nightly labels", "Labelling last day's sessions", False),
    ("sam", "data-science", "coding", "notebooks", "Assistant in notebooks", False),
    ("bob", "data-science", "batch", "backfill", "One-off: labels for October", False),
]


class Command(BaseCommand):
    help = "Fill the sandbox with teams, people, key roles and keys. For trying things out only."

    def handle(self, *args: Any, **options: Any) -> None:
        gateway = Gateway.objects.filter(base_url=SANDBOX_URL).first()
        if gateway is None:
            raise CommandError("There is no sandbox here: a demo never writes to a real proxy.")
        try:
            teams = {slug: _team(slug, *row) for slug, row in TEAMS.items()}
            newcomers = [person for login, row in PEOPLE.items() if (person := _person(login, *row, teams=teams))]
            _invited(teams["search"])
            for fields in ROLES:
                _role(gateway, dict(fields), teams)
            made = sum(_key(*row, teams=teams) for row in KEYS)
        except PortalError as error:
            raise CommandError(f"{error.message} {error.action}") from None
        self.stdout.write(f"{len(teams)} teams, {len(PEOPLE)} people, {len(ROLES)} key roles, {made} new keys.")
        if newcomers:
            path = _one_password_for(newcomers)
            names = ", ".join(str(person.email) for person in newcomers)
            self.stdout.write(f"Sign in as {names};\nthe password of them all is in {path}")


def _team(slug: str, name: str, budget: int) -> Team:
    found = Team.objects.filter(slug=slug).first()
    return found or services.create_team(name=name, slug=slug, max_budget=Decimal(budget), by=SYSTEM)


def _person(login: str, name: str, places: dict[str, MemberRole], *, teams: dict[str, Team]) -> User | None:
    """The person, if they are new here."""
    email = f"{login}@keydesk.local"
    known = User.objects.filter(email=email).exists()
    person = make_person(email, name=name, by=SYSTEM)
    for slug, role in places.items():
        services.put_member(teams[slug], email=email, role=role, by=SYSTEM)
    return None if known else person


def _invited(team: Team) -> None:
    """Somebody who has not come yet."""
    known = User.objects.filter(email=INVITED).exists() or team.invitations.filter(email=INVITED).exists()
    if not known:
        invite(team, email=INVITED, role=MemberRole.MEMBER, by=User.objects.get(email="ines@keydesk.local"))


def _role(gateway: Gateway, fields: dict[str, Any], teams: dict[str, Team]) -> None:
    if not KeyRole.objects.filter(gateway=gateway, name=fields["name"]).exists():
        opened = [teams[slug] for slug in fields.pop("teams", [])]
        roles.make(by=SYSTEM, gateway=gateway, teams=opened, **fields)


def _key(login: str, slug: str, role: str, name: str, purpose: str, revoked: bool, *, teams: dict[str, Team]) -> bool:
    """Whether the key was made now. Its secret is dropped: nobody asked for it."""
    holder, team = User.objects.get(email=f"{login}@keydesk.local"), teams[slug]
    if Lease.objects.filter(holder=holder, team=team, name=name).exists():
        return False
    ask = Ask(team=team, role=KeyRole.objects.open_to(team).get(name=role), name=name, purpose=purpose)
    issued = leases.issue(ask, holder=holder, by=holder)
    if revoked:
        leases.revoke(issued.lease, by=holder)
    return True


def _one_password_for(people: list[User]) -> str:
    password = choose_password()
    for person in people:
        person.set_password(password)
        person.save(update_fields=["password"])
    path = settings.DATA_DIR / PASSWORD_FILE
    path.touch(mode=0o600)
    path.write_text(f"{password}\n")
    return str(path)
