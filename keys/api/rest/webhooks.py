"""Webhooks: where events of a team, or of the platform, are sent; for who runs them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.rest.common import Door, Listed, Nothing, actor, checked, exact, named_team
from keys.api.rest.once import SecretGoneOut, once
from portal.schema import either
from teams.models import Delivery, Team, Webhook
from teams.services import webhooks


class WebhookOut(serializers.ModelSerializer[Webhook]):
    """An address that is told of events. `team` null: of the whole platform. Its secret never comes out again."""

    team = serializers.SlugRelatedField[Team](slug_field="slug", read_only=True)
    events = serializers.ListField(child=serializers.CharField(), read_only=True)
    on = serializers.BooleanField(source="is_on", read_only=True)

    class Meta:
        model = Webhook
        fields = ["id", "team", "name", "url", "events", "on", "failing_since", "next_try_at", "trouble", "created_at"]


class WebhookChange(serializers.Serializer[Any]):
    """What is left out stays. `events`: families, the first word of an act of the audit."""

    name = serializers.CharField(max_length=80, required=False)
    url = serializers.CharField(max_length=500, required=False)
    events = serializers.ListField(child=serializers.CharField(max_length=40), required=False, max_length=60)


class WebhookIn(serializers.Serializer[Any]):
    """Without `team`: of the whole platform."""

    team = serializers.CharField(max_length=60, required=False, allow_null=True)
    name = serializers.CharField(max_length=80)
    url = serializers.CharField(max_length=500)
    events = serializers.ListField(child=serializers.CharField(max_length=40), max_length=60)


class NewWebhookOut(serializers.Serializer[Any]):
    """A webhook with the secret that signs what is sent, shown in this answer and never again."""

    secret = serializers.CharField()
    webhook = WebhookOut()


class WebhookSecretOut(serializers.Serializer[Any]):
    secret = serializers.CharField(help_text="Shown in this answer and never again.")


class TurnIn(serializers.Serializer[Any]):
    on = serializers.BooleanField()


class DeliveryOut(serializers.ModelSerializer[Delivery]):
    """One event on its way. `state`: `taken`, `given_up`, `waiting`, or `failing`: tried, and to be tried again."""

    state = serializers.ChoiceField(choices=["taken", "given_up", "waiting", "failing"], read_only=True)
    trouble = serializers.CharField(read_only=True)

    class Meta:
        model = Delivery
        fields = [
            "id", "event", "event_id", "state", "attempts", "status", "answer", "trouble", "created_at", "tried_at",
            "due_at", "sent_at",
        ]  # fmt: skip


def _visible(request: Request, pk: UUID) -> Webhook:
    return get_object_or_404(webhooks.visible_to(actor(request)), pk=pk)


class WebhooksView(Listed[Webhook]):
    """The webhooks that you run."""

    serializer_class = WebhookOut
    filters = {"team": exact("team__slug")}

    def get_queryset(self) -> QuerySet[Webhook]:
        return webhooks.visible_to(actor(self.request))

    @extend_schema(request=WebhookIn, responses={200: NewWebhookOut, 201: NewWebhookOut})
    def post(self, request: Request) -> Response:
        """Send events of a team, or of the platform, to an address; its secret is shown once."""
        fields, by = checked(WebhookIn, request), actor(request)
        slug = fields.pop("team", None)
        team = None if slug is None else named_team(by, slug)
        hook, secret = webhooks.make(team, **fields, by=by, once=once(request))
        answer = {"secret": secret, "webhook": WebhookOut(hook).data}
        return Response(answer, status=status.HTTP_201_CREATED, headers={"Cache-Control": "no-store"})


class WebhookView(Door):
    @extend_schema(responses=WebhookOut)
    def get(self, request: Request, pk: UUID) -> Response:
        """One webhook."""
        return Response(WebhookOut(_visible(request, pk)).data)

    @extend_schema(request=WebhookChange, responses=WebhookOut)
    def patch(self, request: Request, pk: UUID) -> Response:
        """Change it; what waits goes to the new address."""
        hook = _visible(request, pk)
        fields = {"name": hook.name, "url": hook.url, "events": hook.events, **checked(WebhookChange, request)}
        return Response(WebhookOut(webhooks.change(hook, **fields, by=actor(request))).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: UUID) -> Response:
        """Remove it, with its log."""
        hook = _visible(request, pk)
        checked(Nothing, request)
        webhooks.remove(hook, by=actor(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class WebhookSecretView(Door):
    @extend_schema(request=Nothing, responses={200: either(WebhookSecretOut, SecretGoneOut)})
    def post(self, request: Request, pk: UUID) -> Response:
        """Another secret, from the next sending on; shown once."""
        hook = _visible(request, pk)
        checked(Nothing, request)
        answer = {"secret": webhooks.give_new_secret(hook, by=actor(request))}
        return Response(answer, headers={"Cache-Control": "no-store"})


class WebhookTurnView(Door):
    @extend_schema(request=TurnIn, responses=WebhookOut)
    def post(self, request: Request, pk: UUID) -> Response:
        """Turn it on or off; off, what waits is given up."""
        hook = webhooks.turn(_visible(request, pk), **checked(TurnIn, request), by=actor(request))
        return Response(WebhookOut(hook).data)


class WebhookTestView(Door):
    @extend_schema(request=Nothing, responses={202: DeliveryOut})
    def post(self, request: Request, pk: UUID) -> Response:
        """Send it an event that says who asked for it; `deliveries/` tells what was answered."""
        hook = _visible(request, pk)
        checked(Nothing, request)
        sent = webhooks.test(hook, by=actor(request))
        return Response(DeliveryOut(sent).data, status=status.HTTP_202_ACCEPTED)


class DeliveriesView(Listed[Delivery]):
    """What was sent to it and what waits, the newest first."""

    serializer_class = DeliveryOut
    filters = {"event": exact("event")}

    def get_queryset(self) -> QuerySet[Delivery]:
        if getattr(self, "swagger_fake_view", False):
            return Delivery.objects.none()
        return _visible(self.request, self.kwargs["pk"]).deliveries.all()


class DeliverAgainView(Door):
    @extend_schema(request=Nothing, responses={202: DeliveryOut})
    def post(self, request: Request, pk: UUID, delivery: int) -> Response:
        """Send what was taken or given up once more, under its own id."""
        rows = _visible(request, pk).deliveries.select_related("webhook__team")
        found = get_object_or_404(rows, pk=delivery)
        checked(Nothing, request)
        webhooks.send_again(found, by=actor(request))
        return Response(DeliveryOut(rows.get(pk=delivery)).data, status=status.HTTP_202_ACCEPTED)
