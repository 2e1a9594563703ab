"""A request for approval, and how it is stored."""

from __future__ import annotations

import json

import attrs
import trio

from qqops.errors import StoreError
from qqops.model import AccountRef, Message, PersonRef
from qqops.runtime.alarms import Alarm

#: Under what requests are kept.
KIND = "approval"


@attrs.define(eq=False, kw_only=True)
class Request:
    """Something that other people must approve.

    Attributes:
        line: The command in full, as it is shown.
        digest: Tells this command with these arguments from all others.
        handler: ``plugin:name``.
        message: What asked for it.
        by: Who may approve.
        count: How many must.
        within: Seconds it is open for.
        until: When it expires, in seconds since the epoch.
        approved: Who has, with what they are called.
        asks: Set when it has ended; None for a command that is run afterwards.
        ending: Key of what is said about its end, when that is not an approval.
    """

    id: str
    line: str
    digest: str
    handler: str
    message: Message
    by: str
    count: int
    within: float
    until: float
    approved: list[tuple[PersonRef, str]] = attrs.field(factory=list)
    asks: trio.Event | None = None
    ending: str = ""
    alarm: Alarm | None = None

    @property
    def who(self) -> PersonRef:
        """Who wants it."""
        return self.message.sender.ref

    @property
    def name(self) -> str:
        """What they are called."""
        return self.message.sender.name

    @property
    def plugin(self) -> str:
        """Whose handler it is about."""
        return self.handler.partition(":")[0]

    @property
    def complete(self) -> bool:
        """Whether enough have approved."""
        return len(self.approved) >= self.count


_PLAIN = ("id", "line", "digest", "handler", "by", "count", "within", "until")


def dump(request: Request) -> str:
    """Return *request* as text."""
    from qqops.runtime.storage import codec  # here: the converters are slow to import

    approved = [(p.account.network, p.account.id, p.id, name) for p, name in request.approved]
    fields = {name: getattr(request, name) for name in _PLAIN}
    return json.dumps({**fields, "message": codec.dump(request.message), "approved": approved})


def load(text: str) -> Request:
    """Return the request in *text*. Raises `StoreError` when it cannot be read."""
    from qqops.runtime.storage import codec

    try:
        fields = json.loads(text)
        message = codec.load_message(fields["message"])
        approved = [(PersonRef(AccountRef(net, acc), i), name) for net, acc, i, name in fields["approved"]]
        return Request(message=message, approved=approved, **{name: fields[name] for name in _PLAIN})
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreError(f"a stored request cannot be read: {type(exc).__name__}") from exc
