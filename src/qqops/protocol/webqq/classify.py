"""What a return code means, by (profile, call, code, elapsed time). Source: webqq.md §12.1.

The same number means different things in different places and years; so there is one table, and nobody
else looks at codes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from qqops.errors import TransientError
from qqops.model import Delivery


class SessionGone(TransientError):
    """The service knows our session no more; a re-link would not help."""


class Verdict(enum.Enum):
    """What follows from an answer."""

    OK = "ok"
    #: Nothing new; poll again.
    IDLE = "idle"
    #: Try the same call again soon.
    TRANSIENT = "transient"
    #: login2 again with the same session (§5.6).
    RELINK = "re-link"
    #: The session is gone: log in from the start.
    LOGIN = "new login"
    #: Only a person can go on from here.
    HUMAN = "human needed"
    #: This account cannot go on.
    FATAL = "fatal"
    #: The friends hash is wrong; try the next variant.
    HASH = "next hash"
    #: The call was wrong, the session is fine.
    REFUSED = "refused"


#: By call (see `Request.name`); "" is any other call. Codes that no table knows count as TRANSIENT.
_TABLE: Mapping[str, Mapping[int, Verdict]] = {
    "poll2": {
        0: Verdict.OK,
        100: Verdict.LOGIN, 101: Verdict.LOGIN, 102: Verdict.IDLE, 103: Verdict.RELINK, 106: Verdict.FATAL,
        108: Verdict.LOGIN, 109: Verdict.IDLE, 110: Verdict.IDLE, 111: Verdict.FATAL, 116: Verdict.IDLE,
        120: Verdict.RELINK, 121: Verdict.RELINK, 122: Verdict.LOGIN,
        100000: Verdict.LOGIN, 100001: Verdict.LOGIN, 100002: Verdict.LOGIN, 100003: Verdict.IDLE,
        100006: Verdict.LOGIN, 100012: Verdict.IDLE, 100100: Verdict.IDLE,
    },
    "login2": {
        0: Verdict.OK,
        103: Verdict.LOGIN, 106: Verdict.FATAL, 108: Verdict.LOGIN, 111: Verdict.FATAL,
        100000: Verdict.LOGIN, 100001: Verdict.LOGIN, 100002: Verdict.LOGIN,
    },
    "relink": {
        0: Verdict.OK,
        103: Verdict.LOGIN, 106: Verdict.FATAL, 108: Verdict.LOGIN, 111: Verdict.FATAL,
        112: Verdict.TRANSIENT, 113: Verdict.TRANSIENT, 115: Verdict.TRANSIENT,
        100000: Verdict.LOGIN, 100001: Verdict.LOGIN, 100002: Verdict.LOGIN,
    },
    "send": {
        0: Verdict.OK,
        100: Verdict.LOGIN, 101: Verdict.LOGIN, 103: Verdict.RELINK, 108: Verdict.LOGIN, 120: Verdict.RELINK,
        121: Verdict.RELINK, 100000: Verdict.LOGIN, 100001: Verdict.REFUSED, 100003: Verdict.OK,
        100100: Verdict.OK,
    },
    "list": {
        0: Verdict.OK, 6: Verdict.REFUSED, 50: Verdict.HASH, 60: Verdict.LOGIN, 103: Verdict.LOGIN,
        108: Verdict.LOGIN, 100000: Verdict.LOGIN, 100001: Verdict.REFUSED, 100002: Verdict.LOGIN,
        100100: Verdict.REFUSED, 100101: Verdict.LOGIN,
    },
    "": {0: Verdict.OK, 103: Verdict.LOGIN, 108: Verdict.LOGIN, 100000: Verdict.REFUSED, 100001: Verdict.REFUSED},
}  # fmt: skip


def classify(profile: str, call: str, code: int, *, instant: bool = False) -> Verdict:
    """Return what a return code means.

    Args:
        profile: Name of the generation.
        call: ``poll2``, ``login2``, ``relink``, ``send``, ``list`` or another.
        instant: Whether a poll was answered without having waited for anything.
    """
    # 2016: "login expired", at once. 2018: "nothing new", after the hang. Only the time tells them apart.
    if call == "poll2" and code == 100012 and profile == "smartqq" and instant:
        return Verdict.LOGIN
    # In 2013 a plain 103 meant: log in again. Later a re-link often repairs it (§12.1).
    if call == "poll2" and code == 103 and profile == "webqq2013":
        return Verdict.LOGIN
    table = _TABLE.get(call, _TABLE[""])
    return table.get(code, Verdict.TRANSIENT)


def http_verdict(call: str, status: int) -> Verdict:
    """Return what an HTTP status other than 200 means (§12.2).

    502 and 504 come from the front end, 404 from a login that has not spread yet: all pass. 403 on
    ptqrlogin is a wrong token or a blocked address.
    """
    if status == 403 and call == "ptqrlogin":
        return Verdict.LOGIN
    return Verdict.TRANSIENT


def send_delivery(profile: str, code: int) -> Delivery:
    """Return what is known about a send after its return code (§11).

    1202 is the famous one: often delivered, sometimes blocked, never to be repeated.
    """
    verdict = classify(profile, "send", code)
    if verdict is Verdict.OK:
        return Delivery.ACCEPTED
    if verdict in (Verdict.REFUSED, Verdict.LOGIN, Verdict.RELINK):
        return Delivery.REFUSED
    return Delivery.UNKNOWN
