"""WHO: people, service accounts, teams, what identity providers say of them, and API tokens."""

from teams.models.departure import Departure
from teams.models.invitation import Invitation
from teams.models.provider import DirectoryEntry, DirectoryGroup, Grant, GroupMapping, ToldGroups
from teams.models.team import Membership, Team
from teams.models.token import ApiToken
from teams.models.user import User

__all__ = ["ApiToken", "Departure", "DirectoryEntry", "DirectoryGroup", "Grant", "GroupMapping", "Invitation",
           "Membership", "Team", "ToldGroups", "User"]  # fmt: skip
