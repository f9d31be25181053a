"""The verbs of teams: make them, fill them, and give out API tokens."""

from teams.services.members import LastAdmin, OverTeamBudget, leave, put_member, remove_member, set_holder_budget
from teams.services.teams import OverCeiling, SlugTaken, change_team, create_team, end_team
from teams.services.tokens import LONGEST_TOKEN, end_token, make_token

__all__ = ["LONGEST_TOKEN", "LastAdmin", "OverCeiling", "OverTeamBudget", "SlugTaken", "change_team", "create_team",
           "end_team", "end_token", "leave", "make_token", "put_member", "remove_member",
           "set_holder_budget"]  # fmt: skip
