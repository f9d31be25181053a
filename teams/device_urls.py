"""The page where a person lets a command line sign in."""

from __future__ import annotations

from django.urls import path

from teams.views import devices

urlpatterns = [path("", devices.device, name="device")]
