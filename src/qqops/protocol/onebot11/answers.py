"""Answers to requests: what they mean, and how a send went."""

from __future__ import annotations

from qqops.errors import AdapterError
from qqops.model import Delivery, MessageRef, Outcome, RoomRef
from qqops.protocol.onebot11.errors import excerpt
from qqops.protocol.onebot11.flavors import Flavor
from qqops.protocol.onebot11.wire import Frame, number, text

#: Codes that say that an action is not known, over WebSocket and over HTTP.
_NO_SUCH_ACTION = frozenset({404, 1404})
#: Codes that say that the token is wrong.
_AUTH = frozenset({401, 403, 1401, 1403})


class ActionFailed(AdapterError):
    """An implementation refused an action.

    Attributes:
        retcode: Its code; no two implementations agree on them.
        said: Its words.
        unknown: Whether the action may have been done all the same.
        missing: Whether the implementation does not know the action.
    """

    def __init__(
        self, action: str, retcode: int, said: str, *, unknown: bool = False, missing: bool = False
    ) -> None:
        self.action = action
        self.retcode = retcode
        self.said = said
        self.unknown = unknown
        self.missing = missing
        super().__init__(f"{action} failed ({retcode}){': ' + said if said else ''}")


def is_auth_failure(frame: Frame) -> bool:
    """Whether *frame* is what implementations send before they close on a wrong token."""
    return frame.get("status") == "failed" and number(frame.get("retcode")) in _AUTH


def is_missing(frame: Frame) -> bool:
    """Whether *frame* says that the action is not known."""
    return frame.get("status") not in ("ok", "async") and number(frame.get("retcode")) in _NO_SUCH_ACTION


def goes_on(frame: Frame) -> bool:
    """Whether more frames of the same answer follow.

    Source: onebot11.md §5 for ``stream``; that the parts, and not the end, say ``type: "stream"`` is a guess.
    """
    data = frame.get("data")
    return frame.get("stream") == "stream-action" and type(data) is dict and data.get("type") == "stream"


def said(frame: Frame) -> str:
    """Return the words of a failure."""
    words = [text(frame.get(key)) for key in ("message", "wording", "msg")]
    return excerpt(" / ".join(dict.fromkeys(word for word in words if word)))


def failure(action: str, frame: Frame, flavor: Flavor) -> ActionFailed:
    """Return the error that a failed answer is."""
    words, retcode = said(frame), number(frame.get("retcode"))
    missing = retcode in _NO_SUCH_ACTION
    unknown = not missing and flavor.is_unknown(words)
    return ActionFailed(action, retcode, words, unknown=unknown, missing=missing)


def sent(frame: Frame, room: RoomRef, flavor: Flavor) -> Outcome:
    """Return how a send went."""
    status = frame.get("status")
    if status == "ok":
        data = frame.get("data")
        message = data.get("message_id") if type(data) is dict else None
        if message is None:
            return Outcome(delivery=Delivery.DELIVERED)
        name = str(message) if type(message) is int else text(message)
        return Outcome(delivery=Delivery.DELIVERED, refs=(MessageRef(room, name),))
    if status == "async":
        return Outcome(delivery=Delivery.ACCEPTED)
    error = failure("send", frame, flavor)
    if error.unknown:
        return Outcome(delivery=Delivery.UNKNOWN, reason=f"it may have arrived all the same: {error.said}")
    return Outcome(delivery=Delivery.REFUSED, reason=f"{error.retcode} {error.said}".strip())
