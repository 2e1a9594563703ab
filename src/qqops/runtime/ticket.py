"""One handler that shall run for one event, and what log lines say about it."""

from __future__ import annotations

import contextvars

import attrs
import structlog
import trio

from qqops.model import AccountRef, Event, Message
from qqops.runtime.registry import Around, Hit


@attrs.define(eq=False)
class Ticket:
    """One handler that shall run for one event.

    Attributes:
        seconds: How long it may take.
        row: Where the journal keeps it; 0 for nowhere.
        around: The filters that were there when it began.
    """

    id: str
    hit: Hit
    event: Event | None
    account: AccountRef | None
    arrived: float
    seconds: float
    done: trio.Event | None = None
    row: int = 0
    around: Around | None = None

    @property
    def plugin(self) -> str:
        """Whose handler it is."""
        return self.hit.handler.plugin

    @property
    def name(self) -> str:
        """``plugin:name`` of the handler."""
        return self.hit.handler.key

    def inside(self, plugin: str) -> bool:
        """Whether it has begun inside a filter of *plugin*, whose code it comes back to."""
        if self.around is None:
            return False
        filters = self.around.messages if isinstance(self.event, Message) else self.around.others
        return any(one.plugin == plugin for one in filters.all)


#: What the current task runs, for log lines.
running: contextvars.ContextVar[Ticket | None] = contextvars.ContextVar("qqops_run", default=None)


def add_run(logger: object, method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Add to a log line which run it comes from: a processor for structlog."""
    ticket = running.get()
    if ticket is not None:
        for key, value in names(ticket).items():
            line.setdefault(key, value)
        line.setdefault("handler", ticket.hit.handler.name)
        line.setdefault("run", ticket.id)
    return line


def names(ticket: Ticket) -> dict[str, str]:
    """Return where *ticket* comes from, for log lines and records."""
    event = ticket.event
    room = event.room if event is not None else None
    return {
        "account": str(ticket.account or ""),
        "room": room.ref.id if room is not None else "",
        "message": event.id if isinstance(event, Message) else "",
        "plugin": ticket.plugin,
    }
