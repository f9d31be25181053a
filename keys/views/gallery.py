"""The gallery: the key roles that somebody may see, as products."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from keys.models import KeyRole
from keys.services.gallery import products
from portal.paging import stretch_of
from teams.requests import SignedIn


@login_required
@require_GET
def gallery(request: SignedIn) -> HttpResponse:
    roles = KeyRole.objects.visible_to(request.user).filter(ended_at=None).with_gateway()
    page = stretch_of(request, roles, "name", "pk", counted=True)
    pks = [role.pk for role in page.object_list]
    shown = products(request.user, roles.filter(pk__in=pks).order_by("name", "pk"))
    return render(request, "keys/gallery.html", {"page": page, "products": shown})
