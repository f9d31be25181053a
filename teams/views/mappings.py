"""Pages of group mappings: what groups of identity providers give here."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal.paging import Stretch, stretch_of
from portal.templatetags.ui import count
from portal.ui import sent
from teams.access import require, require_fresh
from teams.forms.mappings import ClaimsForm, MappingForm
from teams.gifts import Gift, of_gone_providers
from teams.models import GroupMapping, ToldGroups
from teams.requests import SignedIn
from teams.roles import Can
from teams.services import mappings

TROUBLED = 50  # people in the list of unreadable claims, the latest; and of what is left behind


@login_required
@require_GET
def mapping_list(request: SignedIn) -> HttpResponse:
    require(request.user, Can.SEE_PLATFORM)
    rows = GroupMapping.objects.select_related("team")
    page: Stretch[Any] = stretch_of(request, rows, "value", "source", "pk", counted=True)
    names, people = mappings.sources(), mappings.people_by_mapping(page)
    for mapping in page:
        mapping.people = people[mapping.pk]
        mapping.source_name = names.get(mapping.source, mapping.source)
    troubled = ToldGroups.objects.exclude(trouble="").select_related("user").order_by("-troubled_at")
    left = of_gone_providers().select_related("user", "team").order_by("source", "user__email", "pk")
    context = {
        "page": page,
        "troubled": [(each, names.get(each.source, each.source)) for each in troubled[:TROUBLED]],
        "troubled_in_all": troubled.count(),
        "providers": [each.name for each in settings.SSO_PROVIDERS.values() if each.groups_claim],
        "gone": [(each, Gift(each.team, each.role)) for each in left[:TROUBLED]],
        "gone_in_all": left.count(),
        "scim": bool(settings.SCIM_TOKEN),
        "scim_url": f"{settings.URL}/scim/v2",
    }
    return render(request, "teams/mappings/list.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def new_mapping(request: SignedIn) -> HttpResponse:
    require(request.user, Can.MANAGE_PLATFORM)
    require_fresh(request.user)  # before anything is typed: one to a platform role wants it
    form = MappingForm(sent(request), initial={"value": request.GET.get("group", "")})
    if request.method == "POST" and (made := form.hand_to(mappings.add_mapping, by=request.user)):
        mapping, applied = made
        messages.success(request, gettext("%(group)s is mapped.") % {"group": mapping.value})
        _tell(request, applied)
        return redirect("mappings:list")
    return render(request, "teams/mappings/form.html", {"form": form}, status=form.status)


@login_required
@require_http_methods(["GET", "POST"])
def remove_mapping(request: SignedIn, pk: int) -> HttpResponse:
    """What removing it would take from whom; on POST remove it."""
    require(request.user, Can.MANAGE_PLATFORM)
    mapping = get_object_or_404(GroupMapping.objects.select_related("team"), pk=pk)
    if request.method == "POST":
        applied = mappings.remove_mapping(mapping, by=request.user)
        messages.success(request, gettext("%(group)s gives this no more.") % {"group": mapping.value})
        _tell(request, applied)
        return redirect("mappings:list")
    context = {"mapping": mapping, "reach": mappings.reach(mapping)}
    return render(request, "teams/mappings/remove.html", context)


@login_required
@require_POST
def apply_mappings(request: SignedIn) -> HttpResponse:
    """Bring everybody to what the mappings say now."""
    applied = mappings.apply_all(by=request.user)
    if not (applied.people or applied.held or applied.left):
        messages.info(request, gettext("Everybody has what the mappings give."))
    _tell(request, applied)
    return redirect("mappings:list")


@login_required
@sensitive_post_parameters("claims")
@require_http_methods(["GET", "POST"])
def try_claims(request: SignedIn) -> HttpResponse:
    """What pasted claims would give. They may hold personal data: nothing of them is stored."""
    require(request.user, Can.SEE_PLATFORM)
    form = ClaimsForm(sent(request))
    context: dict[str, Any] = {"form": form, "found": None}
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        found, claim = mappings.preview_of_claims(said["claims"], source=said["source"], claim=said["claim"])
        trouble = ToldGroups.Trouble(found.trouble).label if found.trouble else ""
        context |= {"found": found, "claim": claim, "trouble": trouble}
    response = render(request, "teams/mappings/try.html", context, status=422 if form.errors else 200)
    response["Cache-Control"] = "no-store"
    return response


def _tell(request: SignedIn, applied: mappings.Applied) -> None:
    if applied.people:
        said = count(applied.people, "person has,people have")
        messages.success(request, gettext("%(people)s other roles now.") % {"people": capfirst(said)})
    if applied.held:
        said = count(applied.held, "removal waits,removals wait")
        messages.warning(
            request,
            gettext("%(removals)s for a decision under Operations: that were too many at once.")
            % {"removals": capfirst(said)},
        )
    if applied.left:
        said = count(applied.left, "person was,people were")
        messages.warning(
            request,
            gettext("The time was over before %(people)s reached. Apply the mappings again for the rest.")
            % {"people": said},
        )
