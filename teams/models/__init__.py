"""WHO: people, service accounts, teams, what identity providers say of them, and API tokens."""

from teams.models.departure import Departure
from teams.models.device import DeviceLogin, ReplacedSecret
from teams.models.invitation import Invitation
from teams.models.notice import NoticeChoice
from teams.models.provider import DirectoryEntry, DirectoryGroup, Grant, GroupMapping, ToldGroups
from teams.models.team import Membership, Team
from teams.models.token import ApiToken
from teams.models.user import User
from teams.models.webhook import Delivery, Webhook

__all__ = ["ApiToken", "Delivery", "Departure", "DeviceLogin", "DirectoryEntry", "DirectoryGroup", "Grant",
           "GroupMapping", "Invitation", "Membership", "NoticeChoice", "ReplacedSecret", "Team", "ToldGroups", "User",
           "Webhook"]  # fmt: skip
