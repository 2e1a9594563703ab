"""One handler that shall run for one event, and what log lines say about it."""

from __future__ import annotations

import contextvars

import attrs
import structlog
import trio

from qqops.model import AccountRef, Event, Message
from qqops.runtime.registry import Hit


@attrs.define(eq=False)
class Ticket:
    """One handler that shall run for one event.

    Attributes:
        seconds: How long it may take.
        row: Where the journal keeps it; 0 for nowhere.
    """

    id: str
    hit: Hit
    event: Event | None
    account: AccountRef | None
    arrived: float
    seconds: float
    done: trio.Event | None = None
    row: int = 0

    @property
    def plugin(self) -> str:
        """Whose handler it is."""
        return self.hit.handler.plugin

    @property
    def name(self) -> str:
        """``plugin:name`` of the handler."""
        return self.hit.handler.key


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
