"""The page where a person lets the command line of a machine sign in."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from portal.audit import origin
from portal.errors import Invalid, PortalError, TooMany
from teams.access import require_fresh
from teams.models import DeviceLogin
from teams.requests import SignedIn
from teams.services import devices

SAID = "said"  # what became of it, in the address of the last page


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def device(request: SignedIn) -> HttpResponse:
    """Ask for the code; with one, show who asks, and let them in or not. POST decides."""
    sent = request.POST if request.method == "POST" else request.GET
    code, act = sent.get("code", ""), request.POST.get("act", "")
    if not code:
        said = sent.get(SAID, "")
        return _page(request, said=said if said in {"confirmed", "refused"} else "")
    require_fresh(request.user)  # before anything is decided
    try:
        found = devices.find(code, by=request.user)
        if act == "confirm":
            devices.confirm(found, by=request.user, only_read=request.POST.get("may") == "read")
            return redirect(f"{reverse('device')}?{SAID}=confirmed")
        if act == "refuse":
            devices.refuse(found, by=request.user)
            return redirect(f"{reverse('device')}?{SAID}=refused")
    except (devices.CodeUnknown, TooMany) as error:
        return _page(request, code=code, trouble=error)
    if act:
        raise Invalid
    return _page(request, found=found)


def _page(
    request: SignedIn,
    *,
    code: str = "",
    found: DeviceLogin | None = None,
    trouble: PortalError | None = None,
    said: str = "",
) -> HttpResponse:
    context = {
        "code": code[:20],
        "device": found,
        "trouble": trouble,
        "said": said,
        "elsewhere": found is not None and found.ip != origin.get().ip,
    }
    return render(request, "teams/device.html", context, status=trouble.status if trouble else 200)
