"""What pages count: `count` (portal/templatetags/ui.py) finds the words here, so that each language has its own plurals.

A noun that is used and is not here fails a test (tests/ground/test_translation.py).
"""

# ruff: noqa: E501  (a line each, whatever its length)

from __future__ import annotations

from django.utils.translation import ngettext_lazy

NOUNS = {  # as templates name it: one, many; `words` is the number as it is said
    "act": ngettext_lazy("%(words)s act", "%(words)s acts", "number"),
    "act waits,acts wait": ngettext_lazy("%(words)s act waits", "%(words)s acts wait", "number"),
    "API token": ngettext_lazy("%(words)s API token", "%(words)s API tokens", "number"),
    "approval waits,approvals wait": ngettext_lazy("%(words)s approval waits", "%(words)s approvals wait", "number"),
    "because its ground is gone,because their ground is gone": ngettext_lazy(
        "%(words)s because its ground is gone", "%(words)s because their ground is gone", "number"
    ),
    "by its time,by their time": ngettext_lazy("%(words)s by its time", "%(words)s by their time", "number"),
    "change waits,changes wait": ngettext_lazy("%(words)s change waits", "%(words)s changes wait", "number"),
    "closed statement": ngettext_lazy("%(words)s closed statement", "%(words)s closed statements", "number"),
    "code": ngettext_lazy("%(words)s code", "%(words)s codes", "number"),
    "day": ngettext_lazy("%(words)s day", "%(words)s days", "number"),
    "ends,end": ngettext_lazy("%(words)s ends", "%(words)s end", "number"),
    "event": ngettext_lazy("%(words)s event", "%(words)s events", "number"),
    "failure": ngettext_lazy("%(words)s failure", "%(words)s failures", "number"),
    "feature": ngettext_lazy("%(words)s feature", "%(words)s features", "number"),
    "finding": ngettext_lazy("%(words)s finding", "%(words)s findings", "number"),
    "finding is open,findings are open": ngettext_lazy(
        "%(words)s finding is open", "%(words)s findings are open", "number"
    ),
    "finding is,findings are": ngettext_lazy("%(words)s finding is", "%(words)s findings are", "number"),
    "gateway is held,gateways are held": ngettext_lazy(
        "%(words)s gateway is held", "%(words)s gateways are held", "number"
    ),
    "group": ngettext_lazy("%(words)s group", "%(words)s groups", "number"),
    "is left,are left": ngettext_lazy("%(words)s is left", "%(words)s are left", "number"),
    "is,are": ngettext_lazy("%(words)s is", "%(words)s are", "number"),
    "key": ngettext_lazy("%(words)s key", "%(words)s keys", "number"),
    "key ended,keys ended": ngettext_lazy("%(words)s key ended", "%(words)s keys ended", "number"),
    "key ends,keys end": ngettext_lazy("%(words)s key ends", "%(words)s keys end", "number"),
    "key is gone,keys are gone": ngettext_lazy("%(words)s key is gone", "%(words)s keys are gone", "number"),
    "key is,keys are": ngettext_lazy("%(words)s key is", "%(words)s keys are", "number"),
    "key or team,keys and teams": ngettext_lazy("%(words)s key or team", "%(words)s keys and teams", "number"),
    "key role": ngettext_lazy("%(words)s key role", "%(words)s key roles", "number"),
    "key role is,key roles are": ngettext_lazy("%(words)s key role is", "%(words)s key roles are", "number"),
    "key should end,keys should end": ngettext_lazy("%(words)s key should end", "%(words)s keys should end", "number"),
    "key,of the keys": ngettext_lazy("%(words)s key", "%(words)s of the keys", "number"),
    "kind": ngettext_lazy("%(words)s kind", "%(words)s kinds", "number"),
    "lease": ngettext_lazy("%(words)s lease", "%(words)s leases", "number"),
    "line": ngettext_lazy("%(words)s line", "%(words)s lines", "number"),
    "live key": ngettext_lazy("%(words)s live key", "%(words)s live keys", "number"),
    "live key has,live keys have": ngettext_lazy("%(words)s live key has", "%(words)s live keys have", "number"),
    "live key of yours,live keys of yours": ngettext_lazy(
        "%(words)s live key of yours", "%(words)s live keys of yours", "number"
    ),
    "machine": ngettext_lazy("%(words)s machine", "%(words)s machines", "number"),
    "mapping": ngettext_lazy("%(words)s mapping", "%(words)s mappings", "number"),
    "member": ngettext_lazy("%(words)s member", "%(words)s members", "number"),
    "model": ngettext_lazy("%(words)s model", "%(words)s models", "number"),
    "more model": ngettext_lazy("%(words)s more model", "%(words)s more models", "number"),
    "more team": ngettext_lazy("%(words)s more team", "%(words)s more teams", "number"),
    "more,more": ngettext_lazy("%(words)s more", "%(words)s more", "number"),
    "other": ngettext_lazy("%(words)s other", "%(words)s others", "number"),
    "other session": ngettext_lazy("%(words)s other session", "%(words)s other sessions", "number"),
    "passkey": ngettext_lazy("%(words)s passkey", "%(words)s passkeys", "number"),
    "person has,people have": ngettext_lazy("%(words)s person has", "%(words)s people have", "number"),
    "person loses access now,people lose access now": ngettext_lazy(
        "%(words)s person loses access now", "%(words)s people lose access now", "number"
    ),
    "person loses,people lose": ngettext_lazy("%(words)s person loses", "%(words)s people lose", "number"),
    "person waits for a decision,people wait for a decision": ngettext_lazy(
        "%(words)s person waits for a decision", "%(words)s people wait for a decision", "number"
    ),
    "person was,people were": ngettext_lazy("%(words)s person was", "%(words)s people were", "number"),
    "person,people": ngettext_lazy("%(words)s person", "%(words)s people", "number"),
    "piece of news,pieces of news": ngettext_lazy("%(words)s piece of news", "%(words)s pieces of news", "number"),
    "promise": ngettext_lazy("%(words)s promise", "%(words)s promises", "number"),
    "promise is stuck,promises are stuck": ngettext_lazy(
        "%(words)s promise is stuck", "%(words)s promises are stuck", "number"
    ),
    "promise is,promises are": ngettext_lazy("%(words)s promise is", "%(words)s promises are", "number"),
    "promise waits for its gateway,promises wait for their gateways": ngettext_lazy(
        "%(words)s promise waits for its gateway", "%(words)s promises wait for their gateways", "number"
    ),
    "proposal": ngettext_lazy("%(words)s proposal", "%(words)s proposals", "number"),
    "proposal waits,proposals wait": ngettext_lazy("%(words)s proposal waits", "%(words)s proposals wait", "number"),
    "removal": ngettext_lazy("%(words)s removal", "%(words)s removals", "number"),
    "removal is dismissed,removals are dismissed": ngettext_lazy(
        "%(words)s removal is dismissed", "%(words)s removals are dismissed", "number"
    ),
    "removal waits,removals wait": ngettext_lazy("%(words)s removal waits", "%(words)s removals wait", "number"),
    "request waits,requests wait": ngettext_lazy("%(words)s request waits", "%(words)s requests wait", "number"),
    "role": ngettext_lazy("%(words)s role", "%(words)s roles", "number"),
    "session": ngettext_lazy("%(words)s session", "%(words)s sessions", "number"),
    "session is,sessions are": ngettext_lazy("%(words)s session is", "%(words)s sessions are", "number"),
    "step is,steps are": ngettext_lazy("%(words)s step is", "%(words)s steps are", "number"),
    "sweep fails,sweeps fail": ngettext_lazy("%(words)s sweep fails", "%(words)s sweeps fail", "number"),
    "sweep is late,sweeps are late": ngettext_lazy("%(words)s sweep is late", "%(words)s sweeps are late", "number"),
    "team": ngettext_lazy("%(words)s team", "%(words)s teams", "number"),
    "time": ngettext_lazy("%(words)s time", "%(words)s times", "number"),
    "token": ngettext_lazy("%(words)s token", "%(words)s tokens", "number"),
    "token was,tokens were": ngettext_lazy("%(words)s token was", "%(words)s tokens were", "number"),
    "try,tries": ngettext_lazy("%(words)s try", "%(words)s tries", "number"),
    "waits,wait": ngettext_lazy("%(words)s waits", "%(words)s wait", "number"),
    "was,were": ngettext_lazy("%(words)s was", "%(words)s were", "number"),
    "webhook": ngettext_lazy("%(words)s webhook", "%(words)s webhooks", "number"),
}
