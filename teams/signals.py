"""What teams announce, so that others can follow without teams knowing them.

`access_ended(user, team)`: somebody's rights in a team (None: everywhere) ended or shrank.
`budget_changed(team, by)`: a team's budget is another one.
"""

from django.dispatch import Signal

access_ended = Signal()
budget_changed = Signal()
