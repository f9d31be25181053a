"""Sign a machine's command line in: it asks, a person confirms the code in a browser, it collects. Source: RFC 8628."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from http import HTTPStatus

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from portal import audit, mail
from portal.audit import origin
from portal.counts import counted
from portal.errors import Conflict, Invalid, PortalError, TooMany
from teams.access import require_fresh
from teams.models import ApiToken, Departure, DeviceLogin, User
from teams.roles import Scope
from teams.services.logins import KEPT, LIFE
from teams.services.tokens import make_token, scopes_for

log = structlog.get_logger(__name__)

MINUTE = 60  # seconds
STARTS = 20  # logins that one address may ask for in a minute
TRIES = 10  # codes that one person, or one address, may try in a minute
FORGOTTEN = timedelta(days=1)  # after it is over
NAME = "keydesk on {machine}"


class CodeUnknown(PortalError):
    """What somebody typed is the code of no login that waits."""

    code, status = "device_code_unknown", HTTPStatus.NOT_FOUND
    message = gettext_noop("No login waits with this code.")
    action = gettext_noop("Compare it with your terminal. A code is good for ten minutes, and once.")


class AuthorizationPending(PortalError):
    """Nobody has confirmed the code yet."""

    code, retryable = "authorization_pending", True
    message = gettext_noop("The code waits for you in the browser.")
    action = gettext_noop("Ask again after the interval.")


class SlowDown(PortalError):
    """Asked again before the interval was over."""

    code, retryable = "slow_down", True
    message = gettext_noop("That was asked too soon again.")
    action = gettext_noop("Ask again after the interval.")

    def __init__(self) -> None:
        super().__init__(details={"retry_after": DeviceLogin.INTERVAL})


class ExpiredToken(PortalError):
    """The login was not confirmed in time, was collected before, or never was."""

    code = "expired_token"
    message = gettext_noop("This login is over.")
    action = gettext_noop("Begin another one with `keydesk login`.")


class AccessDenied(PortalError):
    """The person said no, or may not sign in any more."""

    code = "access_denied"
    message = gettext_noop("This login was refused.")
    action = gettext_noop("If that was a mistake, begin another one with `keydesk login`.")


def begin(machine: str) -> tuple[DeviceLogin, str]:
    """Ask for a login; answers it, and what the machine polls with. Raises Invalid, TooMany."""
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in machine).split())
    longest = DeviceLogin._meta.get_field("machine").max_length or 0
    if not 0 < len(name) <= longest:
        raise Invalid(details={"machine": f"Its name, {longest} characters at most."})
    here = origin.get()
    _within(f"device-begun:{here.ip}", STARTS)
    plain, now = secrets.token_urlsafe(32), timezone.now()
    device = DeviceLogin.objects.create(
        digest=DeviceLogin.digest_of(plain), code=_free_code(), machine=name, ip=here.ip,
        created_at=now, expires_at=now + DeviceLogin.LIFE,
    )  # fmt: skip
    return device, plain


def find(text: str, *, by: User) -> DeviceLogin:
    """The login that waits with this code, however it was typed. Raises CodeUnknown, TooMany."""
    _within(f"device-tried:{by.pk}", TRIES)
    _within(f"device-tried:{origin.get().ip}", TRIES)
    code = "".join(letter for letter in text.upper() if letter.isalnum())[: DeviceLogin.LENGTH + 1]
    waiting = DeviceLogin.objects.filter(state=DeviceLogin.State.OPEN, expires_at__gt=timezone.now())
    device = waiting.filter(code=code).first()
    if device is None:
        raise CodeUnknown
    return device


def confirm(device: DeviceLogin, *, by: User, only_read: bool = False) -> None:
    """Let that machine sign in as oneself, with everything that one may, or to read alone.

    It gets its token when it asks the next time. Raises SignInAgain, CodeUnknown when it is over meanwhile.
    """
    require_fresh(by)
    scopes = [Scope.READ.value] if only_read else [scope.value for scope in scopes_for(by)]
    _decide(device, DeviceLogin.State.CONFIRMED, by=by, scopes=scopes)


def refuse(device: DeviceLogin, *, by: User) -> None:
    """Send that machine away. Raises CodeUnknown when it is over meanwhile."""
    _decide(device, DeviceLogin.State.REFUSED, by=by, scopes=[])


def collect(plain: str) -> tuple[ApiToken, str]:
    """The token of a confirmed login, once, and its text.

    Raises AuthorizationPending, SlowDown, ExpiredToken, and AccessDenied: also for somebody who was deactivated since.
    """
    now = timezone.now()
    found = DeviceLogin.objects.filter(digest=DeviceLogin.digest_of(plain)).select_related("person").first()
    if found is None or found.is_over or found.state == DeviceLogin.State.COLLECTED:
        raise ExpiredToken
    if found.state == DeviceLogin.State.REFUSED:
        raise AccessDenied
    if found.state == DeviceLogin.State.OPEN:
        too_soon = found.polled_at and now - found.polled_at < timedelta(seconds=DeviceLogin.INTERVAL - 1)
        DeviceLogin.objects.filter(pk=found.pk).update(polled_at=now)
        raise SlowDown if too_soon else AuthorizationPending
    with transaction.atomic():
        waits = DeviceLogin.objects.filter(pk=found.pk, state=DeviceLogin.State.CONFIRMED)
        if not waits.update(state=DeviceLogin.State.COLLECTED):
            raise ExpiredToken
        person = User.objects.select_for_update(no_key=True).get(device_logins=found)
        scopes = {*found.scopes} & {scope.value for scope in scopes_for(person)}  # as the person's roles are now
        ended = Departure.objects.filter(user=person, outcome=Departure.BY_A_PERSON, at__gte=found.created_at)
        if not person.is_active or not scopes or ended.exists():  # who was let in again confirms again
            raise AccessDenied
        token, text = make_token(person, name=NAME.format(machine=found.machine), scopes=scopes, by=person, life=LIFE)
        token.kind, token.refreshable_until = ApiToken.Kind.LOGIN, now + KEPT
        token.save(update_fields=["kind", "refreshable_until"])
        mail.device_signed_in(
            person.email or "", f"device:{found.pk}", machine=found.machine, ip=found.ip or "", at=now
        )
    return token, text


def forget_old(now: datetime) -> int:
    """Delete what was over a day ago; answers how many. Part of a sweep."""
    return DeviceLogin.objects.filter(expires_at__lt=now - FORGOTTEN).delete()[0]


def _decide(device: DeviceLogin, state: DeviceLogin.State, *, by: User, scopes: list[str]) -> None:
    with transaction.atomic():
        waits = DeviceLogin.objects.filter(pk=device.pk, state=DeviceLogin.State.OPEN, expires_at__gt=timezone.now())
        if not waits.update(state=state, person=by, scopes=scopes):
            raise CodeUnknown
        device.refresh_from_db()
        audit.record(f"device.{state.value}", device, by=by, address=device.ip, scopes=scopes)


def _free_code() -> str:
    """A code that no login has: with five hundred that wait, one in a hundred million is taken."""
    for _ in range(5):
        code = DeviceLogin.choose_code()
        if not DeviceLogin.objects.filter(code=code).exists():
            return code
    raise Conflict


def _within(key: str, most: int) -> None:
    """Count a try, by whom and from where. Raises TooMany. Without a cache nobody counts: the codes are long enough."""
    now = timezone.now().timestamp()
    try:
        number = counted(f"{key}:{int(now // MINUTE)}")
    except Exception:
        log.warning("tries_not_counted", exc_info=True)
        return
    if number > most:
        raise TooMany(retry_after=int(MINUTE - now % MINUTE) + 1)
