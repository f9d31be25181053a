"""Users and groups at SCIM's door. A view reads what was said, calls one service, and shows the row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse
from scim2_models import (
    Context,
    ForbiddenException,
    InvalidSyntaxException,
    ListResponse,
    PatchOp,
    Resource,
    ResponseParameters,
    SearchRequest,
)

from teams.models import DirectoryEntry, DirectoryGroup
from teams.scim import resources
from teams.scim.door import JSON, Door, NoSuch
from teams.scim.filters import GROUPS, PEOPLE, rows_for
from teams.scim.resources import MOST, PAGE, Group, User
from teams.services import directory

ASKED = {"filter", "startIndex", "count", "attributes", "excludedAttributes"}
FAR = 1_000_000_000  # rows into a list: further than any database has to count
RowT = TypeVar("RowT", DirectoryEntry, DirectoryGroup)


class Rows(Door, Generic[RowT]):
    """What people and groups have in common."""

    model: type[Resource[Any]]
    columns: Mapping[str, str]

    def rows(self, request: HttpRequest) -> QuerySet[RowT]:
        raise NotImplementedError

    def shown(self, request: HttpRequest, row: RowT) -> Resource[Any]:
        raise NotImplementedError

    def find(self, request: HttpRequest, pk: UUID) -> RowT:
        found = self.rows(request).filter(**{self.columns["id"]: pk}).first()
        if found is None:
            raise NoSuch
        return found

    def told(self, request: HttpRequest, row: RowT, context: Context, status: int = HTTPStatus.OK) -> HttpResponse:
        """The row as it is now, with the attributes that were asked for."""
        row = self.rows(request).get(pk=row.pk)
        shown = self.shown(request, row)
        said = shown.model_dump_json(scim_ctx=context, response_parameters=_parameters(request, self.model))
        headers = {"Location": str(shown.meta.location)} if shown.meta else {}
        return HttpResponse(said, status=status, content_type=JSON, headers=headers)


class ListView(Rows[RowT]):
    make: Callable[[Any], RowT]

    def get(self, request: HttpRequest) -> HttpResponse:
        asked = {name: value for name, value in request.GET.items() if name in ASKED}
        return self.listed(request, SearchRequest[self.model].model_validate(asked))  # type: ignore[name-defined]

    def post(self, request: HttpRequest) -> HttpResponse:
        said = self.model.model_validate_json(_body(request), scim_ctx=Context.RESOURCE_CREATION_REQUEST)
        row = type(self).make(said)
        return self.told(request, row, Context.RESOURCE_CREATION_RESPONSE, HTTPStatus.CREATED)

    def listed(self, request: HttpRequest, search: SearchRequest[Any]) -> HttpResponse:
        """The page that was asked for, of the rows that match."""
        first, most = _page(search)
        rows = self.rows(request)
        if search.filter is None:
            total, page = rows.count(), [self.shown(request, row) for row in rows[first : first + most]]
        else:
            near = rows.filter(rows_for(search.filter.ast, self.columns))
            found = [each for each in (self.shown(request, row) for row in near) if search.filter.match(each)]
            total, page = len(found), found[first : first + most]
        listed = ListResponse[self.model](  # type: ignore[name-defined]
            total_results=total, start_index=first + 1, items_per_page=len(page), resources=page
        )
        return _plain(listed, search)


class SearchView(ListView[RowT]):
    """The same list, asked for by POST: addresses end up in logs, bodies do not. Source: RFC 7644, 3.4.3."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        kind = SearchRequest[self.model]  # type: ignore[name-defined]
        return self.listed(request, kind.model_validate_json(_body(request), scim_ctx=Context.SEARCH_REQUEST))


class OneView(Rows[RowT]):
    change: Callable[..., RowT]
    remove: Callable[[RowT], None]

    def get(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        return self.told(request, self.find(request, pk), Context.RESOURCE_QUERY_RESPONSE)

    def put(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        there = self.find(request, pk)
        said = self.model.model_validate_json(_body(request), scim_ctx=Context.RESOURCE_REPLACEMENT_REQUEST)

        def replaced(now: Resource[Any]) -> Resource[Any]:
            said.replace(now)
            return said

        row = type(self).change(there, replaced)
        return self.told(request, row, Context.RESOURCE_REPLACEMENT_RESPONSE)

    def patch(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        there = self.find(request, pk)
        said = PatchOp[self.model].model_validate_json(  # type: ignore[name-defined]
            _body(request), scim_ctx=Context.RESOURCE_PATCH_REQUEST
        )
        resources.forget_empty_references(said)

        def patched(now: Resource[Any]) -> Resource[Any]:
            said.patch(now)
            return now

        row = type(self).change(there, patched)
        return self.told(request, row, Context.RESOURCE_PATCH_RESPONSE)

    def delete(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        type(self).remove(self.find(request, pk))
        return HttpResponse(status=HTTPStatus.NO_CONTENT)


class People(Rows[DirectoryEntry]):
    model, columns = User, PEOPLE

    def rows(self, request: HttpRequest) -> QuerySet[DirectoryEntry]:
        # As text: what a lookup into JSON means is another thing on each database.
        there = DirectoryEntry.objects.filter(removed_at=None).annotate(emails_text=Cast("emails", TextField()))
        return there.select_related("user").prefetch_related("user__directory_groups")

    def shown(self, request: HttpRequest, row: DirectoryEntry) -> User:
        return resources.user_of(row)


class Groups(Rows[DirectoryGroup]):
    model, columns = Group, GROUPS

    def rows(self, request: HttpRequest) -> QuerySet[DirectoryGroup]:
        there = DirectoryGroup.objects.all()
        return there.prefetch_related("people") if _with_members(request) else there

    def shown(self, request: HttpRequest, row: DirectoryGroup) -> Group:
        return resources.group_of(row, members=_with_members(request))


def _change_person(entry: DirectoryEntry, change: Callable[[User], User]) -> DirectoryEntry:
    return directory.change_person(entry, lambda now: resources.person_in(change(resources.user_of(now))))


def _change_group(group: DirectoryGroup, change: Callable[[Group], Group]) -> DirectoryGroup:
    return directory.change_group(group, lambda now: resources.group_in(change(resources.group_of(now))))


class PersonList(People, ListView[DirectoryEntry]):
    make = staticmethod(lambda said: directory.add_person(resources.person_in(said)))


class PersonSearch(People, SearchView[DirectoryEntry]):
    pass


class OnePerson(People, OneView[DirectoryEntry]):
    change, remove = staticmethod(_change_person), staticmethod(directory.remove_person)


class GroupList(Groups, ListView[DirectoryGroup]):
    make = staticmethod(lambda said: directory.add_group(resources.group_in(said)))


class GroupSearch(Groups, SearchView[DirectoryGroup]):
    pass


class OneGroup(Groups, OneView[DirectoryGroup]):
    change, remove = staticmethod(_change_group), staticmethod(directory.remove_group)


class Search(Door):
    """Users and groups in one list."""

    def post(self, request: HttpRequest) -> HttpResponse:
        search = SearchRequest[User | Group].model_validate_json(_body(request), scim_ctx=Context.SEARCH_REQUEST)
        found: list[User | Group] = []
        for view in (PersonList(), GroupList()):
            near = view.rows(request)
            if search.filter is not None:
                near = near.filter(rows_for(search.filter.ast, view.columns))
            found += [view.shown(request, row) for row in near]  # type: ignore[arg-type]
        if search.filter is not None:
            found = [each for each in found if search.filter.match(each)]
        first, most = _page(search)
        listed = ListResponse[User | Group](
            total_results=len(found), start_index=first + 1, resources=found[first : first + most],
            items_per_page=len(found[first : first + most]),
        )  # fmt: skip
        return _plain(listed, search)


class Config(Door):
    def get(self, request: HttpRequest) -> HttpResponse:
        return _plain(resources.CONFIG)


class Discovery(Door):
    """Schemas, or resource types: all of them, or the one of that id."""

    found: tuple[Any, ...] = ()

    def get(self, request: HttpRequest, pk: str = "") -> HttpResponse:
        if request.GET.get("filter"):  # RFC 7644, 4: refused, as these lists are never filtered
            raise ForbiddenException(detail="These lists take no filter.")
        if not pk:
            kind = type(self.found[0])
            listed = ListResponse[kind](  # type: ignore[valid-type]
                total_results=len(self.found), start_index=1, items_per_page=len(self.found), resources=self.found
            )
            return _plain(listed)
        for each in self.found:
            if each.id == pk:
                return _plain(each)
        raise NoSuch


def _body(request: HttpRequest) -> bytes:
    """What was sent. No database keeps a NUL, so no name may hold one. Raises RequestDataTooBig, InvalidSyntax."""
    if b"\\u0000" in request.body:
        raise InvalidSyntaxException(detail="NUL characters cannot be kept.")
    return request.body


def _parameters(request: HttpRequest, model: type[Resource[Any]]) -> ResponseParameters[Any]:
    asked = {name: value for name, value in request.GET.items() if name in {"attributes", "excludedAttributes"}}
    return ResponseParameters[model].model_validate(asked)  # type: ignore[valid-type]


def _with_members(request: HttpRequest) -> bool:
    """Whether members are to be shown: Entra asks without, as there may be thousands."""
    without = request.GET.get("excludedAttributes", "").lower().replace(" ", "").split(",")
    return "members" not in without


def _page(search: SearchRequest[Any]) -> tuple[int, int]:
    """Where the page that was asked for begins, from 0, and how many rows it has at most."""
    return min(search.start_index_0 or 0, FAR), min(PAGE if search.count is None else search.count, MOST)


def _plain(said: Any, asked: ResponseParameters[Any] | None = None) -> HttpResponse:
    body = said.model_dump_json(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=asked)
    return HttpResponse(body, content_type=JSON)
