"""The directory that a SCIM client keeps: its people, its groups, and what follows from them here.

A person is the account of their address; an account that exists is taken over. Inactive or deleted there means out of
everything here, at once and without a grace, unless too many leave at once. Groups give what their mappings say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from portal import audit, mail
from portal.errors import Conflict, Invalid
from portal.models import Installation
from teams import grants
from teams.access import System
from teams.departures import is_back, is_last_admin, lost_by_provider
from teams.models import DirectoryEntry, DirectoryGroup, User
from teams.models.team import ONE_LINE

SOURCE = "scim"  # of grants and mappings
LONGEST_NAME, LONGEST_ADDRESS, LONGEST_GROUP = 150, 254, 200


class Directory(System):
    """The SCIM client, when it acts: like Keydesk itself, with the same rights."""

    audit_name = "SCIM"
    audit_kind = "directory"
    litellm_id = "keydesk-scim"


DIRECTORY = Directory()


class Taken(Conflict):
    """Another person, or another group, of the directory has this already."""

    code = "uniqueness"
    action = "Change or delete the other one first."


class Protected(Conflict):
    """Somebody who must be able to sign in when nobody else can."""

    code = "protected"
    action = "Make somebody else a platform admin in Keydesk first."


@dataclass(frozen=True, slots=True)
class Person:
    """What a client says of one person."""

    user_name: str
    external_id: str = ""
    given_name: str = ""
    family_name: str = ""
    display_name: str = ""
    emails: tuple[dict[str, Any], ...] = field(default=())
    active: bool = True

    @property
    def address(self) -> str:
        """The user name if it is an address, else the primary e-mail, else the first. Raises Invalid."""
        main = sorted(self.emails, key=lambda each: not each.get("primary"))
        for found in [self.user_name, *(str(each.get("value", "")) for each in main)]:
            if is_address(found):
                return found.strip().lower()
        raise Invalid("Neither userName nor emails holds an e-mail address.")

    @property
    def name(self) -> str:
        """In one line, at most as long as an account's: letters quote it."""
        said = self.display_name or f"{self.given_name} {self.family_name}"
        return " ".join("".join(each if each.isprintable() else " " for each in said).split())[:LONGEST_NAME]


@dataclass(frozen=True, slots=True)
class Named:
    """What a client says of one group. `people`: ids of users."""

    name: str
    external_id: str = ""
    people: tuple[str, ...] = ()


def is_address(text: str) -> bool:
    try:
        validate_email(text.strip())
    except ValidationError:
        return False
    return len(text) <= LONGEST_ADDRESS


def add_person(said: Person) -> DirectoryEntry:
    """Take somebody into the directory: a new account, or the one with that address. Raises Taken, Invalid, Protected.

    Who was deleted before is there again, with the same id.
    """
    with _alone():
        entry = _hidden(said)
        if entry is None:
            entry = DirectoryEntry(user=_account(said), active=True)
        was_active, entry.removed_at = entry.active, None
        _write(entry, said)
        audit.record("directory.person_added", entry.user, by=DIRECTORY, user_name=said.user_name)
        _follow_active(entry, was_active)
        _follow_groups([entry.user])
    return entry


def change_person(entry: DirectoryEntry, said: Callable[[DirectoryEntry], Person]) -> DirectoryEntry:
    """Keep what the client says of somebody now; `said` is asked with the entry as it is under the lock.

    Raises Taken, Invalid, Protected.
    """
    with _alone(entry.user):
        entry = DirectoryEntry.objects.select_related("user").get(pk=entry.pk)
        before, was_active = _facts(entry), entry.active
        _write(entry, said(entry))
        after = _facts(entry)
        if before != after:
            changed = {name: old for name, old in before.items() if after[name] != old}
            audit.record("directory.person_changed", entry.user, by=DIRECTORY, before=changed,
                         after={name: after[name] for name in changed})  # fmt: skip
        _follow_active(entry, was_active)
    return entry


def remove_person(entry: DirectoryEntry) -> None:
    """Hide somebody from the directory, and take them out of everything. Raises Protected."""
    with _alone(entry.user):
        entry = DirectoryEntry.objects.select_related("user").get(pk=entry.pk)
        was_active, entry.active, entry.removed_at = entry.active, False, timezone.now()
        entry.save(update_fields=["active", "removed_at", "changed_at"])
        audit.record("directory.person_removed", entry.user, by=DIRECTORY, user_name=entry.user_name)
        _follow_active(entry, was_active)
        entry.user.directory_groups.clear()
        _follow_groups([entry.user])


def add_group(said: Named) -> DirectoryGroup:
    """Make a group with these people. Raises Taken, Invalid."""
    with _alone():
        return _put_group(DirectoryGroup(), said)


def change_group(group: DirectoryGroup, said: Callable[[DirectoryGroup], Named]) -> DirectoryGroup:
    """Keep what the client says of a group: its name, and exactly these people. Raises Taken, Invalid.

    `said` is asked with the group as it is under the lock.
    """
    with _alone():
        group = DirectoryGroup.objects.get(pk=group.pk)
        return _put_group(group, said(group))


def remove_group(group: DirectoryGroup) -> None:
    """Delete a group: its people lose what it gave them."""
    with _alone():
        people = list(group.people.all())
        audit.record("directory.group_removed", group, by=DIRECTORY, removed=_names(people))
        group.delete()
        _follow_groups(people)


@contextmanager
def _alone(user: User | None = None) -> Iterator[None]:
    """One change of the directory at a time, and counted with the removals. A refusal to end `user` is written down."""
    try:
        with transaction.atomic():
            Installation.objects.select_for_update().get_or_create(pk=1)  # the first lock of every verb
            yield
    except Protected as refused:
        if user:
            with transaction.atomic():
                audit.record("directory.refused", user, by=DIRECTORY, reason=refused.message)
        raise


def _put_group(group: DirectoryGroup, said: Named) -> DirectoryGroup:
    name, new, old_name = said.name.strip(), group._state.adding, group.name
    if not 0 < len(name) <= LONGEST_GROUP or len(said.external_id) > LONGEST_ADDRESS:
        raise Invalid(f"A group needs a displayName of at most {LONGEST_GROUP} characters.")
    try:
        ONE_LINE(name)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages)) from None
    if DirectoryGroup.objects.filter(name=name).exclude(pk=group.pk).exists():
        raise Taken(f"There is a group {name} already.")
    group.name, group.external_id = name, said.external_id
    group.save()
    before, after = set(group.people.all()), set(_people(said.people))
    group.people.add(*(after - before))
    group.people.remove(*(before - after))
    if new or old_name != name or before != after:
        audit.record(
            "directory.group_added" if new else "directory.group_changed", group, by=DIRECTORY,
            renamed_from=old_name if old_name != name else "", added=_names(after - before),
            removed=_names(before - after),
        )  # fmt: skip
    _follow_groups(after | before if old_name != name else after ^ before)
    return group


def _people(ids: Iterable[str]) -> list[User]:
    """The people of the directory with these ids. Raises Invalid, naming one that is not there."""
    wanted = {_uuid(each) for each in ids}
    listed = DirectoryEntry.objects.filter(user__in=wanted, removed_at=None, user__kind=User.Kind.PERSON)
    found = [entry.user for entry in listed.select_related("user")]
    missing = set(wanted) - {user.pk for user in found}
    if missing:
        raise Invalid(f"There is no user {missing.pop()}; groups within groups are not kept.")
    return found


def _hidden(said: Person) -> DirectoryEntry | None:
    """The entry, deleted before, of who comes back. Raises Taken when one that is there has the name or the account."""
    entries = DirectoryEntry.objects.select_related("user")
    named = entries.filter(user_name__iexact=said.user_name).first()
    held = entries.filter(user__email=said.address).first()
    for entry in filter(None, (named, held)):
        if entry.removed_at is None:
            raise Taken(f"The directory has a user {entry.user_name} already.")
    if named and held and named != held:
        raise Taken(f"{said.address} is the account of {held.user_name}, who was deleted.")
    return named or held


def _account(said: Person) -> User:
    user = User.objects.filter(email=said.address).first()
    if user is None:
        user = User.objects.create_user(said.address, name=said.name, is_active=said.active)
        audit.record("person.made", user, by=DIRECTORY)
        if not said.active:
            lost_by_provider(user, None, grace=timedelta(0), by=DIRECTORY)
    return user


def _write(entry: DirectoryEntry, said: Person) -> None:
    """Keep what was said, and let the account follow: its address, its name."""
    too_long = {
        name: most
        for name, most in (("user_name", LONGEST_ADDRESS), ("external_id", LONGEST_ADDRESS), ("given_name", 150),
                           ("family_name", 150), ("display_name", 150))
        if len(getattr(said, name)) > most
    }  # fmt: skip
    if too_long or not said.user_name.strip():
        raise Invalid(", ".join(f"{name} takes {most} characters" for name, most in too_long.items()) or "No userName.")
    others = DirectoryEntry.objects.exclude(pk=entry.pk)
    if others.filter(user_name__iexact=said.user_name).exists():
        raise Taken(f"The directory has a user {said.user_name} already.")
    _readdress(entry.user, said.address)
    if said.name and entry.user.name != said.name:
        entry.user.name = said.name
        entry.user.save(update_fields=["name"])
    for name in ("user_name", "external_id", "given_name", "family_name", "display_name", "active"):
        setattr(entry, name, getattr(said, name))
    entry.emails = list(said.emails)
    entry.save()


def _readdress(user: User, address: str) -> None:
    """The login follows the directory; the address of before lets nobody in any more, and is told.

    Not that of somebody whom a person made more than others: whoever reads the new mailbox could set a password.
    Raises Protected, Taken.
    """
    before = user.email or ""
    if before == address:
        return
    if settings.BREAK_GLASS in {before, address}:
        raise Protected(
            f"{settings.BREAK_GLASS} is the break-glass account: no directory changes whose it is.",
            action="Name another account in KEYDESK_BREAK_GLASS first.",
        )
    if user.given_platform_role:
        raise Protected(
            f"{before} has a platform role given by hand: no directory changes that login.",
            action="Take the platform role in Keydesk first, and give it again afterwards.",
        )
    if User.objects.filter(email=address).exclude(pk=user.pk).exists():
        raise Taken(f"{address} is somebody else's account.")
    apps.get_model("account", "EmailAddress").objects.filter(user_id=user.pk, email__iexact=user.email).delete()
    user.email = address
    user.save(update_fields=["email"])
    mail.address_changed(before, f"address:{user.pk}:{timezone.now():%Y%m%d%H%M%S%f}", now=address)


def _follow_active(entry: DirectoryEntry, was_active: bool) -> None:
    """Only a change is followed: who was made inactive by a person here stays so while the client repeats itself."""
    user = entry.user
    if was_active and not entry.active:
        if settings.BREAK_GLASS and user.email == settings.BREAK_GLASS:
            raise Protected(f"{user.email} is the break-glass account: Keydesk does not let a directory end it.")
        if is_last_admin(user):
            raise Protected("This is the last active platform admin: Keydesk does not let a directory end it.")
        if user.is_active:
            lost_by_provider(user, None, grace=timedelta(0), by=DIRECTORY)
    elif entry.active and not was_active:
        is_back(user, by=DIRECTORY)
        _follow_groups([user])


def _follow_groups(people: Iterable[User]) -> None:
    for user in people:
        names = user.directory_groups.values_list("name", flat=True)
        grants.follow(user, SOURCE, list(names), by=DIRECTORY)


def _names(people: Iterable[User]) -> list[str]:
    return sorted(user.audit_name for user in people)


def _facts(entry: DirectoryEntry) -> dict[str, Any]:
    names = ("user_name", "external_id", "given_name", "family_name", "display_name", "active")
    return {name: getattr(entry, name) for name in names} | {"address": entry.user.email}


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid(f"There is no user {text[:60]}.") from None
