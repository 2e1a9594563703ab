"""What happened, as frozen records to whoever listens: logs, audit, metrics, the demo's prompt.

The core counts nothing and exports nothing; an observer does.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from typing import TypeAlias

import attrs
import structlog

from qqops.model import AccountRef, Draft, Event, Outcome
from qqops.runtime.border import ANYTHING

log = structlog.get_logger("qqops.observe")


class Phase(enum.Enum):
    """Where a connection stands."""

    CONNECTING = "connecting"
    NEEDS_HUMAN = "needs human"
    ONLINE = "online"
    WAITING = "waiting"
    STOPPED = "stopped"


@attrs.frozen(kw_only=True)
class LinkState:
    """The state of one account's connection, replaced as a whole at every change.

    Attributes:
        since: When this state began.
        cause: Why, in words; "" when there is nothing to explain.
        attempt: Failed attempts since the last stable session.
        retry_in: Seconds from *since* to the next try; only while `Phase.WAITING`.
        fatal: Whether the account stopped because it cannot go on.
    """

    account: AccountRef
    phase: Phase
    since: datetime.datetime
    cause: str = ""
    attempt: int = 0
    retry_in: float | None = None
    fatal: bool = False

    def __str__(self) -> str:
        more = [self.cause] if self.cause else []
        if self.retry_in is not None:
            more.append(f"retry in {self.retry_in:.1f} s")
        if self.attempt and self.phase is not Phase.ONLINE:
            more.append(f"attempt {self.attempt}")
        return self.phase.value + (f" ({', '.join(more)})" if more else "")


class Result(enum.Enum):
    """How a handler ended."""

    DONE = "done"
    REFUSED = "refused"
    FILTERED = "filtered"
    FAILED = "failed"
    TIMEOUT = "timeout"
    #: Cut off by the end of the bot.
    CANCELLED = "cancelled"
    #: Cut off because its plugin was unloaded.
    UNLOADED = "unloaded"


@attrs.frozen(kw_only=True)
class Handled:
    """One run of a handler.

    Attributes:
        id: Short id of the run; it stands in the log and in the error line in the chat.
        message: Id of the message, or "" when something else set it off.
        wait: Seconds between arrival and start.
        run: Seconds it took.
        error: What came out of it, or of a filter around it, when it has failed.
    """

    id: str
    plugin: str
    handler: str
    account: str
    room: str
    message: str
    result: Result
    wait: float
    run: float
    error: BaseException | None = None


@attrs.frozen(kw_only=True)
class Broke:
    """Something of a plugin that is no run of a handler has failed.

    Attributes:
        plugin: Whose it is; for a route whatever its owner was called.
        what: ``task``, ``service``, ``route``, ``migration``, ``outgoing function``.
        name: What it is called: by its function, or a path.
        where: ``file:line`` of the function; "" for a route.
        error: What has come out of it.
    """

    plugin: str
    what: str
    name: str
    error: BaseException
    where: str = ""


@attrs.frozen(kw_only=True)
class Sent:
    """One message that left the outbox, or did not."""

    draft: Draft
    outcome: Outcome
    plugin: str
    message: str


@attrs.frozen(kw_only=True)
class Skipped:
    """A job that was due and not run, and why."""

    plugin: str
    job: str
    reason: str


@attrs.frozen(kw_only=True)
class BadData:
    """The wire brought something malformed; it was skipped and counted.

    Attributes:
        count: How many of these the session has seen, this one included.
    """

    account: AccountRef
    error: str
    count: int


@attrs.frozen(kw_only=True)
class Overflow:
    """An event was dropped, because more came in than the bot can hold.

    Attributes:
        dropped: How many events of the account were dropped since the start, this one included.
    """

    account: AccountRef
    dropped: int


@attrs.frozen(kw_only=True)
class Interrupted:
    """A handler had started when an earlier run of the bot was killed, and nobody knows how far it came.

    Attributes:
        handler: ``plugin:name``.
        again: Whether it is started again, because it is declared `at_least_once`.
        given_up: Why it is not, although it is declared so: too old, or started often enough; else "".
    """

    event: Event
    handler: str
    again: bool
    given_up: str = ""


@attrs.frozen(kw_only=True)
class Expired:
    """An event that an earlier run had accepted and not begun is too old to be handled now.

    Attributes:
        handler: ``plugin:name``.
        age: Seconds since it was accepted, by the wall clock.
    """

    event: Event
    handler: str
    age: float


Record: TypeAlias = LinkState | Handled | Broke | Sent | Skipped | BadData | Overflow | Interrupted | Expired
Observer: TypeAlias = Callable[[Record], None]


def nobody(record: Record) -> None:
    """Stands for an observer where there is none."""


class Observers:
    """Tells every observer; one that fails is logged and does not disturb the others."""

    def __init__(self) -> None:
        self._observers: tuple[Observer, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: Observer) -> None:
        """Let *observer* see every record from now on."""
        self._observers = (*self._observers, observer)

    def tell(self, record: Record) -> None:
        """Pass *record* to everybody."""
        for observer in self._observers:
            try:
                observer(record)
            except ANYTHING:
                log.exception("observer failed", observer=repr(observer), record=type(record).__name__)
