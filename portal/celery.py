"""The Celery application. Every task is a sweep: no arguments, safe to run twice or to miss."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("keydesk")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
