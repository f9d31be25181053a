"""The table behind Django's database cache."""

from __future__ import annotations

from django.db import models


class CacheRow(models.Model):
    """One entry of it. It counts tries where several web processes share no Redis; settings.CACHES names the table."""

    cache_key = models.CharField(max_length=255, primary_key=True)
    value = models.TextField()
    expires = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "portal_cache"

    def __str__(self) -> str:
        return self.cache_key
