"""Pages of webhooks: those of a team, those of the platform, and each one with its log."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Max, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal.paging import stretch_of
from portal.ui import sent
from teams.access import require, require_fresh
from teams.forms.webhooks import NewWebhookForm, WebhookForm
from teams.models import Team, Webhook
from teams.requests import SignedIn
from teams.roles import Can
from teams.services import webhooks
from teams.views.teams import visible_team


@login_required
@require_GET
def of_platform(request: SignedIn) -> HttpResponse:
    return _list(request, None)


@login_required
@require_GET
def of_team(request: SignedIn, slug: str) -> HttpResponse:
    return _list(request, visible_team(request, slug))


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def new_of_platform(request: SignedIn) -> HttpResponse:
    return _new(request, None)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def new_of_team(request: SignedIn, slug: str) -> HttpResponse:
    return _new(request, visible_team(request, slug))


@login_required
@require_GET
def webhook(request: SignedIn, pk: UUID) -> HttpResponse:
    hook = _visible(request, pk)
    context = {
        "hook": hook,
        "back": _list_of(hook.team),
        "events": _events_of(hook),
        "left_by": webhooks.left_by(hook),
        "rows": stretch_of(request, hook.deliveries.all(), "-id"),
    }
    return render(request, "teams/webhooks/webhook.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: SignedIn, pk: UUID) -> HttpResponse:
    hook = _visible(request, pk)
    require_fresh(request.user)
    form = WebhookForm(sent(request), team=hook.team, hook=hook)
    if request.method == "POST" and (changed := form.hand_to(partial(webhooks.change, hook), by=request.user)):
        messages.success(request, gettext("%(changed)s is changed.") % {"changed": changed})
        return redirect("webhooks:page", hook.pk)
    context = {"form": form, "hook": hook, "team": hook.team, "back": reverse("webhooks:page", args=[hook.pk])}
    return render(request, "teams/webhooks/form.html", context, status=form.status)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def new_secret(request: SignedIn, pk: UUID) -> HttpResponse:
    """GET asks; POST answers another secret, once."""
    hook = _visible(request, pk)
    require_fresh(request.user)
    if request.method == "POST":
        return _show_once(request, hook, webhooks.give_new_secret(hook, by=request.user))
    return render(request, "teams/webhooks/secret.html", {"hook": hook})


@login_required
@require_http_methods(["GET", "POST"])
def remove(request: SignedIn, pk: UUID) -> HttpResponse:
    """GET asks; POST removes it."""
    hook = _visible(request, pk)
    if request.method == "POST":
        webhooks.remove(hook, by=request.user)
        messages.success(request, gettext("%(hook)s is removed. Nothing is sent there any more.") % {"hook": hook})
        return redirect(_list_of(hook.team))
    waiting = hook.deliveries.waiting().count()
    return render(request, "teams/webhooks/remove.html", {"hook": hook, "waiting": waiting})


@login_required
@require_POST
def turn(request: SignedIn, pk: UUID) -> HttpResponse:
    hook = webhooks.turn(_visible(request, pk), on=request.POST.get("on") == "1", by=request.user)
    on, off = gettext("%(hook)s is turned on."), gettext("%(hook)s is turned off: nothing is sent to it.")
    messages.success(request, (on if hook.is_on else off) % {"hook": hook})
    return redirect("webhooks:page", hook.pk)


@login_required
@require_POST
def test(request: SignedIn, pk: UUID) -> HttpResponse:
    hook = _visible(request, pk)
    webhooks.test(hook, by=request.user)
    messages.success(request, gettext("A test is on its way. Its answer stands below within a minute."))
    return redirect("webhooks:page", hook.pk)


@login_required
@require_POST
def send_again(request: SignedIn, pk: UUID, delivery: int) -> HttpResponse:
    hook = _visible(request, pk)
    webhooks.send_again(
        get_object_or_404(hook.deliveries.select_related("webhook__team"), pk=delivery), by=request.user
    )
    messages.success(request, gettext("It is on its way again, under the same id."))
    return redirect("webhooks:page", hook.pk)


def _visible(request: SignedIn, pk: UUID) -> Webhook:
    return get_object_or_404(webhooks.visible_to(request.user), pk=pk)


def _events_of(hook: Webhook) -> list[str]:
    """What it is told of, in words, in the order of the audit's own list."""
    return [said for name, said in webhooks.families_of(hook.team).items() if name in hook.events]


def _list_of(team: Team | None) -> str:
    return reverse("teams:webhooks", args=[team.slug]) if team else reverse("webhooks:list")


def _list(request: SignedIn, team: Team | None) -> HttpResponse:
    require(request.user, Can.MANAGE_WEBHOOKS, team)
    hooks: QuerySet[Webhook] = Webhook.objects.filter(team=team).select_related("team")
    hooks = hooks.annotate(last=Max("deliveries__sent_at"))
    shown = [(hook, _events_of(hook)) for hook in hooks]
    new = reverse("teams:new_webhook", args=[team.slug]) if team else reverse("webhooks:new")
    return render(request, "teams/webhooks/list.html", {"hooks": shown, "team": team, "new": new})


def _new(request: SignedIn, team: Team | None) -> HttpResponse:
    """The form; POST answers the secret, once. The same form again goes to the list."""
    require(request.user, Can.MANAGE_WEBHOOKS, team)
    require_fresh(request.user)  # before anything is typed
    form, back = NewWebhookForm(sent(request), team=team), _list_of(team)
    if request.method == "POST":
        if form.is_valid() and Webhook.objects.filter(pk=form.cleaned_data["once"]).exists():
            messages.warning(request, f"{webhooks.AlreadyMade.message} {webhooks.AlreadyMade.action}")
            return redirect(back)
        if made := form.hand_to(partial(webhooks.make, team), by=request.user):
            return _show_once(request, *made)
    context = {"form": form, "team": team, "back": back}
    return render(request, "teams/webhooks/form.html", context, status=form.status)


def _show_once(request: SignedIn, hook: Webhook, secret: str) -> HttpResponse:
    """The one page that shows a secret: not kept by browsers, proxies, htmx or sessions."""
    response = render(request, "teams/webhooks/once.html", {"hook": hook, "plain": secret, "now": timezone.now()})
    add_never_cache_headers(response)
    return response
