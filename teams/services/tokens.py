"""Give out API tokens, end them, and announce their end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from portal import audit, token_mail
from portal.errors import Conflict, Invalid, NotAllowed
from portal.models import Letter
from teams.access import SYSTEM, Actor, System, allowed, has_scope, require, require_fresh, within
from teams.models import ApiToken, Team, User
from teams.models.team import ONE_LINE
from teams.models.token import Network
from teams.roles import SCOPES, Can, MemberRole, PlatformRole, Reach, Scope, reach
from teams.services.service_accounts import people_of

LONGEST_TOKEN = timedelta(days=365)
EVERY = "all"  # a word for every scope that the owner can have
MOST_NETWORKS = 20
STEPS = (timedelta(days=1), timedelta(days=7))  # before the end, when its owner is told


class AlreadyMade(Conflict):
    """The same form was sent twice."""

    code = "already_made"
    message = gettext_noop("This form has already made its token.")
    action = gettext_noop(
        "Look at the list. A token that was not copied cannot be shown again: end it, and make another."
    )


def make_token(
    owner: User,
    *,
    name: str,
    scopes: Iterable[str],
    by: Actor,
    life: timedelta = ApiToken.DEFAULT_LIFE,
    networks: Iterable[str] = (),
    once: UUID | None = None,
) -> tuple[ApiToken, str]:
    """Make an API token for oneself, or for a service account of a team that one runs.

    The text is answered once and kept as an HMAC. A token that is made with a token has no more scopes, no later
    end, no wider networks, and ends with it. `once`: a form's own token, which becomes the id.
    Raises NotAllowed, SignInAgain, Invalid, AlreadyMade.
    """
    _may_make_for(owner, by)
    require_fresh(by)
    wanted = {str(scope) for scope in scopes}
    if wanted == {EVERY}:
        wanted = {str(scope) for scope in scopes_for(owner) if scope in (_mine(by) or Scope)}
    allowed_from, wrong_networks = _networks(networks)
    wrong = {
        "name": _wrong_name(name.strip()),
        "scopes": _wrong_scopes(wanted, owner, by),
        "days": ""
        if timedelta(0) < life <= LONGEST_TOKEN
        else gettext("Between 1 and %(days)s days.") % {"days": LONGEST_TOKEN.days},
        "networks": wrong_networks,
    }
    if any(wrong.values()):
        raise Invalid(details={field: said for field, said in wrong.items() if said})
    plain, now = ApiToken.choose(), timezone.now()
    token = ApiToken(
        owner=owner, name=name.strip(), scopes=sorted(wanted), digest=ApiToken.digest_of(plain),
        created_at=now, expires_at=now + life, networks=[str(network) for network in allowed_from],
        made_by=by if isinstance(by, User) else None,
    )  # fmt: skip
    if once:
        token.pk = once
    try:
        with transaction.atomic():
            if isinstance(by, User) and by.token:
                _put_under(token, by.token, allowed_from)
            token.save(force_insert=True)
            facts: dict[str, Any] = {"scopes": token.scopes, "expires_at": token.expires_at, "networks": token.networks}
            audit.record("token.made", token, by=by, secret=token.digest, owner=owner.audit_name, **facts)
    except IntegrityError:
        if once and ApiToken.objects.filter(pk=once).exists():
            raise AlreadyMade from None
        raise
    return token, plain


def end_token(token: ApiToken, *, by: Actor) -> int:
    """End a token now, and those that were made with it; answers how many ended. Safe to repeat. Raises NotAllowed."""
    require_end(token, by)
    now, ended, lives = timezone.now(), 0, token.is_living
    with transaction.atomic():
        level = [token.pk]
        while level:  # each level is closed before the next is read: nobody puts a child under an ended token
            rows = ApiToken.objects.filter(pk__in=level, ended_at=None).select_related("owner")
            for each in rows.select_for_update(of=("self",)):
                ApiToken.objects.filter(pk=each.pk).update(ended_at=now)
                told, whole = each.owner.audit_name, each.pk != token.pk
                audit.record("token.ended", each, by=by, secret=each.digest, owner=told, with_parent=whole)
                ended += 1
            level = list(ApiToken.objects.filter(parent__in=level).values_list("pk", flat=True))
        if lives and ended and isinstance(by, User) and by.pk != token.owner_id and token.owner.email:
            token_mail.token_ended(token.owner.email, f"token-ended:{token.pk}", name=token.name, actor=str(by),
                             path=page_of(token.owner))  # fmt: skip
    token.refresh_from_db()
    return ended


def visible_tokens(user: User) -> Q:
    """One's own tokens, and of service accounts those one runs, as a filter; everybody's for who sees the platform.

    A token without the scope `read` sees itself alone.
    """
    if allowed(user, Can.SEE_PLATFORM):
        return Q()
    mine = Q(owner=user) if has_scope(user, Can.SEE_TEAM) else Q(pk=user.token and user.token.pk)
    run = Team.objects.filter(within(user, Can.MANAGE_MEMBERS, team="pk"))
    return mine | Q(owner__kind=User.Kind.SERVICE, owner__service_team__in=run)


def below(token: ApiToken) -> int:
    """How many living tokens were made with this one, or with those."""
    found, level = 0, [token.pk]
    while level:
        children = ApiToken.objects.filter(parent__in=level)
        found += children.living(timezone.now()).count()
        level = list(children.values_list("pk", flat=True))
    return found


def scopes_for(owner: User) -> list[Scope]:
    """The scopes that are of any use to this owner, now or in another member role; in the table's order."""
    return [scope for scope in Scope if _can_have(owner, scope)]


def announce_ends(now: datetime | None = None) -> int:
    """Write the letters that are due 7 days and 1 day before a token expires; answers how many. A sweep.

    Only steps that the token was longer than, once each.
    """
    now = now or timezone.now()
    ending = ApiToken.objects.living(now).filter(expires_at__lte=now + STEPS[-1], owner__is_active=True)
    ending = ending.exclude(kind=ApiToken.Kind.LOGIN)  # used, it lives on; who does not use it does not miss it
    ending = ending.filter(expires_at__gt=F("created_at") + STEPS[0])
    due: dict[str, ApiToken] = {}
    for token in ending.select_related("owner__service_team", "owner__responsible").order_by("expires_at"):
        step = next(step for step in STEPS if token.expires_at - now <= step)
        if token.expires_at - token.created_at > step:
            due[f"token-ends:{token.pk}:{step.days}"] = token
    known = set(Letter.objects.filter(key__in=due).values_list("key", flat=True))
    for key, token in due.items():
        if key not in known:
            whose = str(token.owner) if token.owner.service_team else ""
            token_mail.token_ends_soon(
                people_of(token.owner), key, name=token.name, whose=whose, when=token.expires_at,
                path=page_of(token.owner),
            )  # fmt: skip
    return len(due) - len(known)


def page_of(owner: User, *, by: User | None = None) -> str:
    """The page that lists the tokens of this owner; `by`: for this person."""
    if by and by.pk != owner.pk and owner.service_team is None:
        return reverse("keys:person", args=[owner.pk])
    if owner.service_team is None:
        return reverse("tokens:list")
    return reverse("keys:service_account", args=[owner.service_team.slug, owner.pk])


def refused_from_there(token: ApiToken) -> None:
    """Write down that a token was used from outside its networks."""
    with transaction.atomic():
        owner = token.owner.audit_name
        audit.record("token.refused", token, by=SYSTEM, secret=token.digest, owner=owner, reason="network")


def _may_make_for(owner: User, by: Actor) -> None:
    """Raises NotAllowed, and Conflict for an owner that is not active."""
    if isinstance(by, User) and by.pk != owner.pk:
        if owner.service_team is None:
            raise NotAllowed(
                gettext("A token is made by its owner."),
                right="make_own_token",
                who=[str(owner)],
                action=gettext("They make it on their page API tokens."),
            )
        require(by, Can.MANAGE_MEMBERS, owner.service_team)
    if not owner.is_active:
        raise Conflict(
            gettext("%(owner)s is not active: no token is made for it.") % {"owner": owner},
            action=gettext("Choose another owner."),
        )


def require_end(token: ApiToken, by: Actor) -> None:
    """Refuse unless whoever acts may end this token: its owner, a platform admin, who runs the service account's team.

    A token of the same owner ends itself, what was made with it, and what may do no more than it does: one that was
    found somewhere must not cut off all the others. Raises NotAllowed.
    """
    if isinstance(by, System):
        return
    if token.owner_id == by.pk:
        if by.token and not (by.token.pk in _line_of(token) or {*by.token.scopes}.issuperset(token.scopes)):
            raise NotAllowed(
                gettext("A token does not end one that may do more than it."),
                right="scopes_of_token",
                action=gettext("Use a token with its scopes, or end it on the page API tokens."),
            )
    elif token.owner.service_team is None:
        require(by, Can.END_TOKENS)
    else:
        require(by, Can.MANAGE_MEMBERS, token.owner.service_team)


def _line_of(token: ApiToken) -> set[UUID]:
    """The token, the one it was made with, the one that was made with, and so on."""
    found, parent = {token.pk}, token.parent_id
    while parent and parent not in found:
        found.add(parent)
        parent = ApiToken.objects.values_list("parent", flat=True).get(pk=parent)
    return found


def _mine(by: Actor) -> set[Scope] | None:
    """The scopes of the token in use; None: no token limits whoever acts."""
    return None if isinstance(by, System) or by.scopes is None else {*by.scopes}


def _can_have(owner: User, scope: Scope) -> bool:
    """Whether any right behind `scope` is within reach of the owner: of the platform only by their platform role."""
    rights = [can for can, needs in SCOPES.items() if needs is scope]
    roles: list[MemberRole | PlatformRole] = [MemberRole.MEMBER] if owner.service_team_id else [*MemberRole]
    if owner.platform_role:
        roles.append(PlatformRole(owner.platform_role))
    return any(reach(can, role) is not Reach.NONE for can in rights for role in roles)


def _wrong_name(name: str) -> str:
    if not name:
        return gettext("A token needs a name, to know it again.")
    longest = ApiToken._meta.get_field("name").max_length or 0
    if len(name) > longest:
        return gettext("At most %(most)s characters.") % {"most": longest}
    return "" if ONE_LINE.regex.match(name) else str(ONE_LINE.message)  # type: ignore[union-attr]


def _wrong_scopes(wanted: set[str], owner: User, by: Actor) -> str:
    """What is wrong with these scopes for this owner. Raises NotAllowed for more than the token in use has."""
    if not wanted or wanted - {*Scope}:
        return gettext("Choose of %(choices)s.") % {"choices": ", ".join(Scope)}
    mine = _mine(by)
    if mine is not None and not mine.issuperset(wanted):
        raise NotAllowed(
            gettext("A token never does more than the token it is made with."),
            right="scopes_of_token",
            action=gettext("Ask for fewer scopes."),
        )
    beyond = sorted(wanted - {*scopes_for(owner)})
    if beyond and owner.service_team_id:
        return gettext("A service account acts as a member of its team: %(scopes)s would open nothing.") % {
            "scopes": ", ".join(beyond)
        }
    if beyond:
        return gettext("%(scopes)s would open nothing: %(owner)s has no platform role that goes with it.") % {
            "scopes": ", ".join(beyond),
            "owner": owner,
        }
    return ""


def _networks(texts: Iterable[str]) -> tuple[list[Network], str]:
    """These networks, and what is wrong with them; the first bad one is named."""
    wanted = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    if len(wanted) > MOST_NETWORKS:
        return [], gettext("At most %(most)s networks.") % {"most": MOST_NETWORKS}
    found: list[Network] = []
    for text in wanted:
        try:
            found.append(ip_network(text))
        except ValueError:
            return [], _why_no_network(text)
    return found, ""


def _why_no_network(text: str) -> str:
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        return gettext("%(text)s is no network. Write one like 10.20.0.0/16, or one address.") % {"text": text[:60]}
    return gettext("%(text)s is an address inside a network. Write %(meant)s for all of it, or the address alone.") % {
        "text": text,
        "meant": meant,
    }


def _put_under(token: ApiToken, parent: ApiToken, networks: list[Network]) -> None:
    """Make `parent` the one that `token` ends with, and keep within its end and its networks. Raises Invalid."""
    row = ApiToken.objects.select_for_update().living(timezone.now()).filter(pk=parent.pk).first()
    if row is None:
        raise NotAllowed(
            gettext("The token in use has ended."), right="living_token", action=gettext("Use another one.")
        )
    token.parent = row
    token.expires_at = min(token.expires_at, row.expires_at)
    if not row.networks:
        return
    if not networks:
        token.networks = row.networks
    outside = [each for each in networks if not any(_is_inside(each, ip_network(wide)) for wide in row.networks)]
    if outside:
        said = gettext("%(network)s is outside of the networks of the token in use: %(networks)s.") % {
            "network": outside[0],
            "networks": ", ".join(row.networks),
        }
        raise Invalid(said, details={"networks": said})


def _is_inside(narrow: Network, wide: Network) -> bool:
    if isinstance(narrow, IPv4Network) and isinstance(wide, IPv4Network):
        return narrow.subnet_of(wide)
    return isinstance(narrow, IPv6Network) and isinstance(wide, IPv6Network) and narrow.subnet_of(wide)
