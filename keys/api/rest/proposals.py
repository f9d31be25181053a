"""What one platform admin wants done and another one has to confirm."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from keys.api.rest.common import Listed, Nothing, PlatformDoor, actor, checked, truth
from keys.api.rest.platform import BecauseIn
from keys.models import Proposal
from keys.services import proposals
from teams.models import User


class ProposalOut(serializers.ModelSerializer[Proposal]):
    """A change that waits, or what became of it: `outcome` is empty while it waits. No secret is in it."""

    before = serializers.DictField(child=serializers.CharField(allow_blank=True), read_only=True)
    after = serializers.DictField(child=serializers.CharField(allow_blank=True), read_only=True)
    proposed_by = serializers.CharField(source="proposed_by.audit_name", read_only=True)
    decided_by = serializers.SerializerMethodField()
    ends_at = serializers.DateTimeField(read_only=True)

    class Meta:
        model = Proposal
        fields = [
            "id", "verb", "name", "before", "after", "proposed_by", "at", "ends_at", "outcome", "decided_by",
            "decided_at", "reason",
        ]  # fmt: skip

    def get_decided_by(self, proposal: Proposal) -> str:
        return proposal.decided_by.audit_name if proposal.decided_by else ""


def _proposals() -> QuerySet[Proposal]:
    return Proposal.objects.select_related("proposed_by", "decided_by").defer("payload")


class ProposalsView(PlatformDoor, Listed[Proposal]):
    """Changes that need a second platform admin, decided ones too; `open`: those that nobody has decided."""

    serializer_class = ProposalOut
    filters = {"open": truth("decided_at__isnull")}

    def get_queryset(self) -> QuerySet[Proposal]:
        return _proposals()


class ProposalView(PlatformDoor):
    @extend_schema(responses=ProposalOut)
    def get(self, request: Request, pk: int) -> Response:
        """One proposal."""
        return Response(ProposalOut(get_object_or_404(_proposals(), pk=pk)).data)


class ProposalAct(PlatformDoor):
    """One decision about one proposal; answers it as it is then."""

    shape: type[serializers.Serializer[Any]] = Nothing

    @extend_schema(responses=ProposalOut)
    def post(self, request: Request, pk: int) -> Response:
        proposal = get_object_or_404(Proposal.objects.all(), pk=pk)
        self.act(proposal, actor(request), **checked(self.shape, request))
        return Response(ProposalOut(_proposals().get(pk=pk)).data)

    def act(self, proposal: Proposal, by: User, **fields: Any) -> None:
        raise NotImplementedError


class ConfirmView(ProposalAct):
    """Do what was proposed; never one's own, nor by who became a platform admin lately."""

    troubles = frozenset({503})

    def act(self, proposal: Proposal, by: User, **fields: Any) -> None:
        proposals.confirm(proposal, by=by)


class RejectView(ProposalAct):
    """Turn it down, or take one's own back."""

    shape = BecauseIn

    def act(self, proposal: Proposal, by: User, **fields: Any) -> None:
        proposals.reject(proposal, by=by, **fields)
