"""What teams announce, so that others can follow without teams knowing them.

`access_ended(user, team)`: somebody's rights in a team (None: everywhere) ended or shrank.
`access_restored(user, team, by)`: somebody whom a provider had taken out is back.
`team_ended(team, by)`: a team gives no keys any more.
`budget_changed(team, by)`: a budget of a team, or of somebody in it, is another one; inside its transaction.
"""

from django.dispatch import Signal

access_ended = Signal()
access_restored = Signal()
team_ended = Signal()
budget_changed = Signal()
