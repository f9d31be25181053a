"""Sign the command line in, and what it does with its own token. Source: RFC 8628, in our words and errors."""

from __future__ import annotations

from typing import Any, cast

from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.rest.common import Door, Nothing, actor, checked
from keys.api.rest.once import SecretGoneOut
from portal.schema import either
from teams.models import ApiToken, DeviceLogin
from teams.services import devices, logins, tokens


class DeviceIn(serializers.Serializer[Any]):
    machine = serializers.CharField(max_length=60, help_text="What the person sees: the name of the machine.")


class DeviceOut(serializers.Serializer[Any]):
    """A login that waits. `interval` and `expires_in` are seconds."""

    device_code = serializers.CharField(help_text="What the machine polls with: a secret.")
    user_code = serializers.CharField(help_text="What the person compares, like `CDFG-3467`.")
    verify_url = serializers.URLField(help_text="Where the person types the code.")
    verify_url_complete = serializers.URLField(help_text="The same page, with the code filled in.")
    interval = serializers.IntegerField()
    expires_in = serializers.IntegerField()


class DeviceTokenIn(serializers.Serializer[Any]):
    device_code = serializers.CharField(max_length=100)


class LoginOut(serializers.Serializer[Any]):
    """A login's token, shown once. After `refresh_at` its secret should be replaced."""

    token = serializers.CharField()
    id = serializers.UUIDField()
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    expires_at = serializers.DateTimeField(help_text="Unless it is refreshed before.")
    refresh_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(help_text="However often it is refreshed.")


class OpenDoor(Door):
    """For who has no token yet."""

    authentication_classes = []
    permission_classes = [AllowAny]


class DeviceView(OpenDoor):
    @extend_schema(request=DeviceIn, responses={201: DeviceOut})
    def post(self, request: Request) -> Response:
        """Ask for a login that a person confirms in a browser."""
        device, plain = devices.begin(checked(DeviceIn, request)["machine"])
        page = f"{settings.URL}{reverse('device')}"
        answer = {
            "device_code": plain,
            "user_code": device.shown_code,
            "verify_url": page,
            "verify_url_complete": f"{page}?code={device.shown_code}",
            "interval": DeviceLogin.INTERVAL,
            "expires_in": int(DeviceLogin.LIFE.total_seconds()),
        }
        return Response(answer, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class DeviceTokenView(OpenDoor):
    @extend_schema(request=DeviceTokenIn, responses={200: LoginOut})
    def post(self, request: Request) -> Response:
        """Collect the token of a confirmed login, once.

        Until then 400 with `authorization_pending`; `slow_down`, `expired_token` and `access_denied` as in RFC 8628.
        """
        return _login(*devices.collect(checked(DeviceTokenIn, request)["device_code"]))


class RefreshView(Door):
    of_token = True

    @extend_schema(request=Nothing, responses={200: either(LoginOut, SecretGoneOut)})
    def post(self, request: Request) -> Response:
        """Replace the secret of the login in use. The old one is good for another minute."""
        checked(Nothing, request)
        return _login(*logins.refresh(_token(request), by=actor(request)))


class EndView(Door):
    of_token = True

    @extend_schema(request=Nothing, responses={204: None})
    def post(self, request: Request) -> Response:
        """End the token in use, and those that were made with it."""
        checked(Nothing, request)
        tokens.end_token(_token(request), by=actor(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _token(request: Request) -> ApiToken:
    """The token in use. Raises NoLogin for a browser's session."""
    if request.auth is None:
        raise logins.NoLogin
    return cast(ApiToken, request.auth)


def _login(token: ApiToken, plain: str) -> Response:
    answer = {
        "token": plain,
        "id": token.pk,
        "name": token.name,
        "scopes": token.scopes,
        "expires_at": token.expires_at,
        "refresh_at": min(timezone.now() + logins.FRESH, token.expires_at),
        "ends_at": token.refreshable_until,
    }
    return Response(LoginOut(answer).data, headers={"Cache-Control": "no-store"})
