"""What could be tighter: keys and key roles that have more than they use; looked for daily, answered by people."""

from keys.services.advice.acting import CannotApply, FiguresChanged, NotWaiting, apply, may_answer, snooze, wake
from keys.services.advice.counting import Line, Posture, posture
from keys.services.advice.looking import forget_old, look

__all__ = ["CannotApply", "FiguresChanged", "Line", "NotWaiting", "Posture", "apply", "forget_old", "look",
           "may_answer", "posture", "snooze", "wake"]  # fmt: skip
