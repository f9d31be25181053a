"""How models, what they are good for, and a key's budget and rates look in a bundle. What is not set is null."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from rest_framework import serializers

from keys.api.fields import Usd
from keys.services.bundle import FEATURES, Budget, Offer, Offers, RateLimit
from keys.services.catalog import SUPPORTS, Age, Model

Fields = dict[str, serializers.Field[Any, Any, Any, Any]]


class TokenPrice(serializers.DecimalField):
    """USD a token, all of it and without an exponent: `0.00000015`."""

    def __init__(self) -> None:
        super().__init__(max_digits=None, decimal_places=None, allow_null=True, read_only=True)

    def to_representation(self, value: Decimal) -> str:
        return f"{value.normalize():f}"


class Said(serializers.BooleanField):
    """One of what a model supports; null where nobody says."""

    def get_attribute(self, instance: Any) -> bool | None:
        model: Model = instance
        return model.supports.get(str(self.field_name).removeprefix("supports_"))


class KeyModelOut(serializers.Serializer[Model]):
    """A model by the `id` that a program calls it by; `name` is for people.

    `mode`: `chat`, `embedding`, `image_generation`, … `provider`: as the gateway says, else as its id tells.
    """

    id = serializers.CharField()
    name = serializers.CharField()
    provider = serializers.CharField(allow_null=True)
    mode = serializers.CharField(allow_null=True)
    max_tokens = serializers.IntegerField(allow_null=True)
    max_input_tokens = serializers.IntegerField(allow_null=True)
    max_output_tokens = serializers.IntegerField(allow_null=True)
    input_cost_per_token = TokenPrice()
    output_cost_per_token = TokenPrice()

    def get_fields(self) -> Fields:
        return {**super().get_fields(), **{f"supports_{name}": Said(allow_null=True) for name in SUPPORTS}}


class FeaturesOut(serializers.Serializer[Any]):
    """Whether any of the models can."""

    def get_fields(self) -> Fields:
        return {name: serializers.BooleanField() for name in FEATURES}


class KeyBudgetOut(serializers.Serializer[Budget]):
    """USD in the running window. `duration` and `resets_at` null: it is for the key's whole life."""

    max = Usd()
    spent = Usd()
    remaining = Usd()
    duration = serializers.CharField(allow_null=True)
    resets_at = serializers.DateTimeField(allow_null=True)


class KeyRatesOut(serializers.Serializer[RateLimit]):
    """Tokens and requests a minute, and requests at a time. Null: no such limit."""

    tpm = serializers.IntegerField(allow_null=True)
    rpm = serializers.IntegerField(allow_null=True)
    parallel = serializers.IntegerField(allow_null=True)


class OfferOut(KeyModelOut):
    """A model, and the key roles that give keys for it."""

    gateway = serializers.CharField()
    roles = serializers.ListField(child=serializers.CharField())

    def to_representation(self, instance: Any) -> dict[str, Any]:
        offer: Offer = instance
        return {**KeyModelOut(offer.model).data, "gateway": offer.gateway, "roles": list(offer.roles)}


class OffersOut(serializers.Serializer[Offers]):
    """The models that the caller may have keys for, all on one page. `catalogs`: by gateway, as in a bundle."""

    results = OfferOut(many=True, source="offers")
    next = serializers.SerializerMethodField()
    previous = serializers.SerializerMethodField()
    features = FeaturesOut()
    catalogs = serializers.DictField(child=serializers.ChoiceField(choices=list(Age)), source="ages")

    def get_next(self, _: Offers) -> str | None:
        return None

    def get_previous(self, _: Offers) -> str | None:
        return None
