"""What somebody else did to a key, as its holder reads of it: the subject of a letter, and a sentence."""

from __future__ import annotations

from django.utils.translation import gettext_noop

CHANGES = {
    "changed": (
        gettext_noop("Keydesk: your key %(alias)s was changed"),
        gettext_noop("%(actor)s changed your virtual key %(alias)s."),
    ),
    "narrowed": (
        gettext_noop("Keydesk: your key %(alias)s was narrowed"),
        gettext_noop("%(actor)s narrowed your virtual key %(alias)s."),
    ),
    "revoked": (
        gettext_noop("Keydesk: your key %(alias)s was revoked"),
        gettext_noop("%(actor)s revoked your virtual key %(alias)s."),
    ),
    "renewed": (
        gettext_noop("Keydesk: your key %(alias)s was renewed"),
        gettext_noop("%(actor)s renewed your virtual key %(alias)s."),
    ),
    "rotated": (
        gettext_noop("Keydesk: your key %(alias)s was rotated"),
        gettext_noop("%(actor)s rotated your virtual key %(alias)s."),
    ),
    "imported": (
        gettext_noop("Keydesk: your key %(alias)s was imported"),
        gettext_noop("%(actor)s imported your virtual key %(alias)s."),
    ),
    "paused": (
        gettext_noop("Keydesk: your key %(alias)s was paused"),
        gettext_noop("%(actor)s paused your virtual key %(alias)s."),
    ),
    "resumed": (
        gettext_noop("Keydesk: your key %(alias)s was resumed"),
        gettext_noop("%(actor)s resumed your virtual key %(alias)s."),
    ),
}
