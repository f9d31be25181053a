"""How people want to hear of things."""

from __future__ import annotations

from django.db import models

from portal.notices import When
from teams.models.user import User


class NoticeChoice(models.Model):
    """How somebody wants to hear of one group of letters. Where there is none, the group's usual way holds."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notice_choices")
    group = models.CharField(max_length=20)  # a name of portal/notices.py
    wanted = models.CharField(max_length=10, choices=When)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "group"], name="one_choice_a_group")]

    def __str__(self) -> str:
        return f"{self.user}, {self.group}: {self.wanted}"
