"""What a SCIM client reads and writes here: users and groups, with the attributes that Keydesk keeps and no other.

Schemas, validation, filters, patches and serialisation are scim2-models'. Sources: RFC 7643, RFC 7644.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from django.conf import settings
from pydantic import Field, ValidationInfo, model_validator
from scim2_models import (
    URN,
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    Context,
    ETag,
    ExtensibleStringEnum,
    Filter,
    Meta,
    Mutability,
    Pagination,
    Patch,
    PatchOp,
    PatchOperation,
    Reference,
    Required,
    Resource,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)  # fmt: skip

from teams.models import DirectoryEntry, DirectoryGroup
from teams.services.directory import Named, Person, is_address

PAGE, MOST = 100, 200  # resources in one answer, unless asked for more or less; and at most

# Okta and Entra send more attributes than we keep, the value of what to remove beside its path, and patches of an
# e-mail that is not there. Source: learn.microsoft.com/entra/identity/app-provisioning,
# "Develop and plan provisioning for a SCIM endpoint".
POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)


class Name(ComplexAttribute):
    given_name: str | None = None
    """The given name of the user."""

    family_name: str | None = None
    """The family name of the user."""


class Email(ComplexAttribute):
    class Type(ExtensibleStringEnum):
        work = "work"
        home = "home"
        other = "other"

    value: Annotated[str | None, Required.true] = None
    """An e-mail address of the user."""

    type: Type | None = None
    """What the address is for."""

    primary: bool | None = None
    """Whether it is the main one."""


class GroupMembership(ComplexAttribute):
    value: Annotated[str | None, Mutability.read_only] = None
    """The id of the group."""

    ref: Annotated[Reference["Group"] | None, Mutability.read_only] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """The address of the group."""

    display: Annotated[str | None, Mutability.read_only] = None
    """The name of the group."""


class User(Resource[Any]):
    """A person in Keydesk."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[str | None, Uniqueness.server, Required.true] = None
    """The name of the user at the client. If it is an e-mail address, it is the login here."""

    name: Name | None = None
    """The parts of the user's name."""

    display_name: str | None = None
    """The name of the user as pages show it."""

    active: Annotated[bool | None, Required.true] = None
    """False: the user may do nothing in Keydesk, and all virtual keys of theirs are revoked."""

    emails: Annotated[list[Email] | None, Required.true] = None
    """Addresses of the user. The primary one is the login where userName is no address."""

    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None
    """The groups the user is in."""

    @model_validator(mode="before")
    @classmethod
    def _what_goes_without_saying(cls, data: Any, info: ValidationInfo) -> Any:
        """A user name that is an address is an e-mail, too; a new user is active, unless a client says otherwise."""
        if not isinstance(data, dict):
            return data
        said = {str(name).lower(): value for name, value in data.items()}
        name = said.get("username")
        more: dict[str, Any] = {}
        if not said.get("emails") and isinstance(name, str) and is_address(name):
            more["emails"] = [{"value": name, "primary": True}]
        if "active" not in said and (info.context or {}).get("scim") == Context.RESOURCE_CREATION_REQUEST:
            more["active"] = True
        return data | more


class GroupMember(ComplexAttribute):
    value: Annotated[str | None, Mutability.immutable, Required.true, CaseExact.true] = None
    """The id of the user."""

    ref: Annotated[Reference["User"] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    """The address of the user."""

    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])
    """User: groups within groups are not kept."""


class Group(Resource[Any]):
    """A group of the client's, whose name group mappings of the source "scim" know."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    display_name: Annotated[str | None, Required.true] = None
    """The name of the group: what group mappings know it by."""

    members: list[GroupMember] | None = None
    """The users in the group."""


CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
    filter=Filter(supported=True, max_results=MOST),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=False),
    etag=ETag(supported=False),
    pagination=Pagination(
        cursor=False,
        index=True,
        default_pagination_method=Pagination.DefaultPaginationMethod.index,
        default_page_size=PAGE,
        max_page_size=MOST,
    ),
    authentication_schemes=[
        AuthenticationScheme(type=AuthenticationScheme.Type.oauthbearertoken, name="OAuth Bearer Token", primary=True,
                             description="The token that KEYDESK_SCIM_TOKEN holds, as Authorization: Bearer.")
    ],
)  # fmt: skip
PROVIDER = ScimProvider(models=[User, Group], config=CONFIG, policy=POLICY)


def address_of(path: str) -> str:
    """The whole address of something under the door."""
    return f"{settings.URL}/scim/v2{path}"


def described(found: Iterable[Resource[Any]], path: str) -> tuple[Resource[Any], ...]:
    """Schemas, or resource types, with where they are found."""
    for each in found:
        kind = type(each).__name__
        each.meta = Meta(resource_type=kind, location=address_of(f"{path}/{each.id}"))
    return tuple(found)


def user_of(entry: DirectoryEntry) -> User:
    """A person as a client sees them: as it last said, whatever we made of it."""
    where = address_of(f"/Users/{entry.user_id}")
    return User(
        id=str(entry.user_id),
        external_id=entry.external_id or None,
        user_name=entry.user_name,
        name=Name(given_name=entry.given_name or None, family_name=entry.family_name or None)
        if entry.given_name or entry.family_name
        else None,
        display_name=entry.display_name or None,
        active=entry.active,
        emails=[Email(**each) for each in entry.emails],
        groups=[
            GroupMembership(value=str(group.pk), ref=Reference(address_of(f"/Groups/{group.pk}")), display=group.name)
            for group in entry.user.directory_groups.all()
        ],
        meta=Meta(resource_type="User", created=entry.created_at, last_modified=entry.changed_at, location=where),
    )


def group_of(group: DirectoryGroup, *, members: bool = True) -> Group:
    """A group as a client sees it; without its members where a client wants none."""
    where = address_of(f"/Groups/{group.pk}")
    return Group(
        id=str(group.pk),
        external_id=group.external_id or None,
        display_name=group.name,
        members=[
            GroupMember(value=str(user.pk), ref=Reference(address_of(f"/Users/{user.pk}")), type="User")
            for user in group.people.all()
        ]
        if members
        else None,
        meta=Meta(resource_type="Group", created=group.created_at, last_modified=group.changed_at, location=where),
    )


def person_in(user: User) -> Person:
    """What a client said of a person."""
    name = user.name or Name()
    return Person(
        user_name=(user.user_name or "").strip(),
        external_id=user.external_id or "",
        given_name=name.given_name or "",
        family_name=name.family_name or "",
        display_name=user.display_name or "",
        emails=tuple(_plain(user.emails or [])),
        active=bool(user.active),
    )


def group_in(group: Group) -> Named:
    """What a client said of a group."""
    ids = tuple(member.value for member in group.members or [] if member.value)
    return Named(name=group.display_name or "", external_id=group.external_id or "", people=ids)


def forget_empty_references(patch: "PatchOp[Any]") -> None:
    """Entra names members to remove as {"$ref": null, "value": id}: what is null there selects nothing."""
    for operation in patch.operations or []:
        if operation.op == PatchOperation.Op.remove and isinstance(operation.value, list):
            operation.value = [
                {name: value for name, value in each.items() if value is not None} if isinstance(each, dict) else each
                for each in operation.value
            ]


def _plain(emails: Iterable[Email]) -> Iterable[dict[str, Any]]:
    for email in emails:
        found = {"value": email.value, "type": email.type, "primary": email.primary}
        yield {name: value if value is True or value is False else str(value)
               for name, value in found.items() if value is not None}  # fmt: skip
