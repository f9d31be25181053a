# ruff: noqa: RUF001  people's names are as they write them
"""Who works at the company, and what keys they can have. Money is USD."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from keys.models import Approval, Decider
from teams.roles import MemberRole, Scope

DOMAIN = "keydesk.local"  # .local is nobody's domain, so no letter of a demo reaches a stranger
DAY = timedelta(days=1)
VIEWER, MEMBER, APPROVER, ADMIN = MemberRole


@dataclass(frozen=True, slots=True)
class TeamOf:
    """A team. `month`: USD; `share`: how many of the keys are its; `nearly_spent`: whether its month is."""

    slug: str
    name: str
    month: int
    cost_centre: str
    share: int
    nearly_spent: bool = False


TEAMS = (
    TeamOf("search", "Search Platform", 3000, "4100-SEARCH", 30),
    TeamOf("data-science", "Data Science", 4000, "4200-DATA", 26),
    TeamOf("support", "Customer Support", 1800, "5100-CARE", 18, nearly_spent=True),
    TeamOf("mobile", "Mobile Apps", 1800, "4300-MOBILE", 17),
    TeamOf("finance", "Finance Operations and Regulatory Reporting", 700, "6100-FIN", 9),
)

# login, name, where and as what; the first team of each is the one that most of their keys are of.
PEOPLE: tuple[tuple[str, str, dict[str, MemberRole]], ...] = (
    ("ines", "Ines Albrecht", {"search": ADMIN}),
    ("bob", "Bob Okafor", {"search": APPROVER, "data-science": MEMBER}),
    ("alice", "Alice Moreau", {"search": MEMBER}),
    ("tomas", "Tomás Rivera", {"support": ADMIN}),
    ("yuki", "Yuki Tanaka", {"support": MEMBER, "search": VIEWER}),
    ("noor", "Noor Haddad", {"data-science": ADMIN}),
    ("sam", "Sam Whitfield", {"data-science": MEMBER}),
    ("linnea", "Linnea Sjöström", {"search": APPROVER}),
    ("kwame", "Kwame Mensah-Bonsu", {"search": APPROVER}),
    ("priya", "Priya Raghunathan", {"search": MEMBER, "mobile": MEMBER}),
    ("jan-willem", "Jan-Willem van der Heijden", {"search": MEMBER}),
    ("mateusz", "Mateusz Wójcik", {"search": MEMBER}),
    ("aigerim", "Aigerim Nurlanova", {"search": MEMBER}),
    ("declan", "Declan O’Sullivan", {"search": MEMBER}),
    ("hyejin", "Kim Hye-jin", {"search": MEMBER}),
    ("zeynep", "Zeynep Yıldırım", {"search": MEMBER}),
    ("rafael", "Rafael Nascimento", {"search": MEMBER}),
    ("ngozi", "Ngozi Eze", {"search": MEMBER}),
    ("bjorn", "Bjørn Halvorsen", {"search": MEMBER}),
    ("ximena", "Ximena Quispe Huamán", {"search": MEMBER}),
    ("petr", "Petr Dvořák", {"search": VIEWER}),
    ("farid", "Farid Azimov", {"data-science": APPROVER}),
    ("chiara", "Chiara Bellini", {"data-science": APPROVER, "search": MEMBER}),
    ("thuy", "Nguyễn Thị Thúy", {"data-science": APPROVER}),
    ("wei", "Wei Zhang", {"data-science": MEMBER}),
    ("olumide", "Olumide Adeyemi", {"data-science": MEMBER}),
    ("freya", "Freya Lindqvist", {"data-science": MEMBER}),
    ("dmitri", "Dmitri Sokolov", {"data-science": MEMBER}),
    ("anaya", "Anaya Krishnamurthy-Venkataraman", {"data-science": MEMBER}),
    ("lucas", "Lucas Ferreira", {"data-science": MEMBER}),
    ("hana", "Hana Nováková", {"data-science": MEMBER}),
    ("moses", "Moses Kiprotich", {"data-science": MEMBER}),
    ("elif", "Elif Demir", {"data-science": MEMBER}),
    ("jonas", "Jonas Petrauskas", {"data-science": MEMBER}),
    ("sofia", "Sofía Aguirre", {"data-science": VIEWER}),
    ("marguerite", "Marguerite Lefebvre-Dubois", {"support": APPROVER}),
    ("tendai", "Tendai Chikwanda", {"support": APPROVER}),
    ("akira", "Akira Watanabe", {"support": MEMBER}),
    ("isla", "Isla MacDonald", {"support": MEMBER}),
    ("pavlos", "Pavlos Georgiou", {"support": MEMBER}),
    ("leila", "Leila Benali", {"support": MEMBER}),
    ("gabor", "Gábor Szabó", {"support": MEMBER}),
    ("mei", "Tan Mei Ling", {"support": MEMBER}),
    ("andreea", "Andreea Popescu", {"support": MEMBER}),
    ("kofi", "Kofi Asante", {"support": VIEWER}),
    ("siobhan", "Siobhán Ní Bhriain", {"mobile": ADMIN}),
    ("arjun", "Arjun Mehta", {"mobile": APPROVER}),
    ("camila", "Camila Rojas", {"mobile": APPROVER}),
    ("emil", "Emil Rasmussen", {"mobile": MEMBER}),
    ("fatou", "Fatou Diallo", {"mobile": MEMBER}),
    ("stefan", "Stefan Gruber", {"mobile": MEMBER}),
    ("nino", "Nino Beridze", {"mobile": MEMBER}),
    ("tariq", "Tariq Mahmood", {"mobile": MEMBER}),
    ("saara", "Saara Virtanen", {"mobile": MEMBER}),
    ("diego", "Diego Castañeda", {"mobile": VIEWER}),
    ("helena", "Helena Vasconcelos", {"finance": ADMIN}),
    ("oskar", "Oskar Kowalczyk", {"finance": APPROVER}),
    ("amara", "Amara Nwosu", {"finance": APPROVER, "support": VIEWER}),
    ("hugo", "Hugo Maes", {"finance": MEMBER}),
    ("ravi", "Ravi Jayawardena", {"finance": MEMBER}),
)
AUDITOR = "petr"
HEAVY = ("wei", "priya", "freya", "emil")  # their keys spend some four times as much as others'
HOLDER_BUDGETS = (("data-science", "wei", 900), ("search", "priya", 500))  # USD a month for all of their keys
INVITED = ("kim", "search", "ines")  # who has not come yet, where, by whom


@dataclass(frozen=True, slots=True)
class Account:
    """A service account, who answers for it, and its token. `days`: until the token ends."""

    name: str
    team: str
    responsible: str
    days: int = 90
    scopes: tuple[Scope, ...] = (Scope.READ, Scope.KEYS_ISSUE, Scope.KEYS_MANAGE)


ACCOUNTS = (
    Account("query-rewriter", "search", "bob"),
    Account("index-builder", "search", "linnea", 5),
    Account("nightly-labels", "data-science", "noor"),
    Account("feature-store-embeddings", "data-science", "farid", 200),
    Account("help-centre-bot", "support", "tomas"),
    Account("ticket-triage", "support", "marguerite", 21),
    Account("release-notes", "mobile", "arjun"),
    Account("crash-report-summaries", "mobile", "siobhan", 60),
    Account("month-end-reconciliation-assistant", "finance", "helena"),
)

MINI, BIG, CLAUDE, EMBEDDING = "gpt-4o-mini", "gpt-4o", "claude-sonnet", "text-embedding-3-small"


@dataclass(frozen=True, slots=True)
class RoleOf:
    """A key role, and what its keys look like: `share` of all keys, USD a weekday, what they are called and for."""

    fields: dict[str, Any]
    share: int
    a_day: tuple[float, float]
    use: tuple[tuple[str, float], ...]  # models and their parts
    keys: tuple[tuple[str, str], ...]  # name, purpose
    machines: float = 0.0  # how many of its keys are of service accounts
    weekends: float = 0.15  # of what is spent on a weekday
    teams: tuple[str, ...] = field(default=())  # nobody named: all

    @property
    def name(self) -> str:
        return str(self.fields["name"])


def _role(name: str, description: str, models: list[str], budget: str, window: str, days: tuple[int, int],
          **more: Any) -> dict[str, Any]:  # fmt: skip
    return {
        "name": name, "description": description, "models": models, "max_budget": Decimal(budget),
        "budget_duration": window, "ttl": DAY * days[0], "max_ttl": DAY * days[1], **more,
    }  # fmt: skip


TEAM, TWO, PLATFORM = Approval.TEAM, Approval.TWO, Approval.PLATFORM
ROLES = (
    RoleOf(
        _role("coding", "Editors and coding assistants", [BIG, MINI], "50", "30d", (30, 90), excess=Decider.TEAM),
        34, (0.3, 1.9), ((BIG, 0.7), (MINI, 0.3)),
        (
            ("laptop", "Code completion in my editor"), ("old laptop", "Code completion"),
            ("review bot", "Summaries of pull requests"), ("notebooks", "Assistant in notebooks"),
            ("VS Code at home", "Code completion on the days I work from home"), ("terminal", "Assistant in my shell"),
            ("dev container", "Code completion inside the team's dev container"),
            ("refactoring of the ranking service", "Moving the ranking service off the old feature flags, with help"),
            ("JetBrains", "Code completion in my editor"), ("commit messages", "Drafts of commit messages"),
        ),
    ),
    RoleOf(
        _role("coding-claude", "Claude for larger changes; a week at $20 needs nobody", [CLAUDE, MINI], "120", "1mo",
              (30, 90), approval=TEAM, auto_ttl=7 * DAY, auto_budget=Decimal(20), excess=Decider.TWO),
        9, (1.0, 4.0), ((CLAUDE, 0.95), (MINI, 0.05)),
        (
            ("Claude Code", "Larger changes across several repositories"),
            ("migration assistant", "Rewriting the old batch jobs, file by file"),
            ("agent on the build box", "Mends flaky tests overnight; opens pull requests, merges nothing"),
        ),
        teams=("search", "data-science", "mobile"),
    ),
    RoleOf(
        _role("batch", "Nightly jobs; many tokens, no hurry", [MINI], "400", "1mo", (7, 30), tpm_limit=200_000),
        7, (2.5, 9.0), ((MINI, 1.0),),
        (
            ("nightly labels", "Labelling last day's sessions"), ("backfill", "One-off: labels for the last quarter"),
            ("relabelling of every session since spring with the new taxonomy, second attempt",
             "The new taxonomy has 214 classes instead of 40, so that everything is labelled once more"),
            ("deduplication", "Which products are the same product"),
        ),
        machines=0.5, weekends=0.9, teams=("data-science",),
    ),
    RoleOf(
        _role("playground", "A day to try things out", [MINI], "2", "1d", (1, 2), rpm_limit=30, max_live_keys=8),
        17, (0.1, 1.4), ((MINI, 1.0),),
        (
            ("prompt tests", "Trying out query rewriting"), ("demo day", "Slides for the demo day"),
            ("reply drafts", "Drafting replies to tickets"), ("hackathon", "A bot for the lunch menu"),
            ("what is this", "Finding out whether it helps with spreadsheets"),
        ),
    ),
    RoleOf(
        _role("embeddings", "Vectors for search and clustering", [EMBEDDING], "25", "1mo", (60, 180)),
        6, (0.1, 0.6), ((EMBEDDING, 1.0),),
        (
            ("product vectors", "Vectors of the product catalogue, refreshed nightly"),
            ("query vectors", "Vectors of what people search for"), ("clustering", "Groups of similar sessions"),
        ),
        machines=0.7, weekends=0.85, teams=("search", "data-science"),
    ),
    RoleOf(
        _role("production", "Behind a product that customers use", [BIG, MINI, CLAUDE, EMBEDDING], "900", "1mo",
              (90, 365), approval=TWO),
        6, (3.0, 12.0), ((BIG, 0.55), (MINI, 0.25), (CLAUDE, 0.2)),
        (
            ("live", "Calls of the running service"), ("canary", "The same, for one request in a hundred"),
            ("evaluation", "Nightly comparison of the live prompts with the next ones"),
        ),
        machines=1.0, weekends=0.7, teams=("search", "data-science", "support", "mobile"),
    ),
    RoleOf(
        _role("customer-chat", "Answers that customers read", [BIG, MINI], "300", "1mo", (30, 180), approval=TEAM),
        5, (1.5, 6.0), ((BIG, 0.8), (MINI, 0.2)),
        (
            ("help centre", "Answers from the help pages, with a link to each"),
            ("translations", "Help pages in eleven languages"), ("tone", "Friendlier drafts of difficult answers"),
        ),
        machines=0.6, weekends=0.8, teams=("support",),
    ),
    RoleOf(
        _role("ci", "Pipelines; small and often", [MINI], "40", "7d", (30, 180), max_parallel_requests=4),
        9, (0.3, 2.2), ((MINI, 1.0),),
        (
            ("pull request checks", "Labels and summaries of pull requests"), ("changelog", "Drafts of release notes"),
            ("nightly tests", "Explains why a test failed"), ("translations check", "Finds strings nobody translated"),
        ),
        machines=0.75, weekends=0.1,
    ),
    RoleOf(
        _role("workshop", "A week for a course or a workshop", [MINI], "5", "7d", (7, 7)),
        5, (0.05, 0.5), ((MINI, 1.0),),
        (
            ("prompting course", "Exercises of the course"), ("onboarding", "First week"),
            ("offsite in Porto", "The workshop of Thursday and Friday"),
        ),
    ),
    RoleOf(
        {**_role("research", "Any model, for a while, by arrangement", [], "300", "1mo", (30, 60), approval=PLATFORM),
         "all_models": True},
        2, (2.0, 8.0), ((CLAUDE, 0.6), (BIG, 0.4)),
        (
            ("comparison of models", "Which model reads invoices best"),
            ("long documents", "Whether 200 pages fit into one question"),
        ),
        teams=("data-science", "finance"),
    ),
)  # fmt: skip

# Keys that are there whatever the size: holder, team, role, name, purpose, what became of it.
FIRST_KEYS = (
    ("alice", "search", "coding", "laptop", "Code completion in my editor", "nearly spent"),
    ("alice", "search", "playground", "prompt tests", "Trying out query rewriting", "soon"),
    ("bob", "search", "coding", "review bot", "Summaries of pull requests", "rotated"),
    ("bob", "search", "coding", "old laptop", "Code completion", "revoked"),
    ("ines", "search", "playground", "demo day", "Slides for the demo day", "expired"),
    ("tomas", "support", "playground", "reply drafts", "Drafting replies to tickets", "live"),
    ("yuki", "support", "ci", "translations check", "Finds strings nobody translated", "paused"),
    ("noor", "data-science", "batch", "nightly labels", "Labelling last day's sessions", "live"),
    ("sam", "data-science", "coding", "notebooks", "Assistant in notebooks", "live"),
    ("bob", "data-science", "batch", "backfill", "One-off: labels for the last quarter", "soon"),
    ("wei", "data-science", "coding", "notebooks", "Assistant in notebooks", "live"),
    ("alice", "search", "ci", "pull request checks", "Labels and summaries of pull requests", "unused"),
)

# What became of the other keys, and of how many in a hundred.
FATES = (("live", 55), ("soon", 5), ("unused", 8), ("paused", 3), ("rotated", 2), ("expired", 14), ("revoked", 13))
REASONS = (  # why keys were revoked
    "not needed any more", "the laptop was replaced", "the trial is over", "pasted into a chat by mistake",
    "the project ended", "moved to a key of the service account",
)  # fmt: skip
PAUSES = ("on leave until the 5th", "who made these calls on Sunday?", "waiting for the new prompts")
# Keys that somebody made on the proxy itself: alias, models, budget in USD, what it spent.
FOREIGN: tuple[tuple[str, list[str], float | None, float], ...] = (
    ("legacy-ci-do-not-delete", [], None, 214.4), ("intern-summer-project", [BIG], 100.0, 61.25),
    ("test", [MINI], None, 0.0), ("grafana-plugin", [MINI], 20.0, 3.1),
    ("old-search-prod (replaced by Keydesk, see the wiki)", [BIG, MINI], 1000.0, 488.9),
)  # fmt: skip
