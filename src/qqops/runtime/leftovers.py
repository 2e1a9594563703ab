"""Runs that the last end of the bot has cut off: what is said about them, and how they go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import structlog

from qqops.model import Event, Message
from qqops.runtime.observe import Expired, Interrupted, Observers
from qqops.runtime.registry import Hit, Line, Registry
from qqops.runtime.routes import Routes, pieces_of
from qqops.runtime.storage.journal import Recovered, RowState, Unfinished

log = structlog.get_logger("qqops.dispatch")


def to_run(
    left: Recovered,
    hit_of: Callable[[Unfinished], Hit | None],
    observers: Observers,
    settle: Callable[[int, RowState], object] | None,
) -> Iterator[tuple[Unfinished, Hit]]:
    """Yield what is to be run, and tell of all else.

    Args:
        hit_of: Finds the handler; None when it or the account is gone.
        settle: Notes in the journal how a row has ended.
    """
    for one in left.expired:
        _tell_expired(observers, one)
    for one in left.unfinished:
        hit = hit_of(one)
        wanted = hit is not None and (not one.started or hit.handler.at_least_once)
        again = wanted and not one.given_up
        if one.started:
            _tell_interrupted(observers, one, again, one.given_up if wanted else "")
        if again and hit is not None:
            yield one, hit
            continue
        if not one.started:
            log.warning("its handler is gone", id=one.event.id, handler=one.handler)
        if settle is not None:
            settle(one.row, RowState.INTERRUPTED if one.started else RowState.DROPPED)


def _tell_expired(observers: Observers, one: Unfinished) -> None:
    """Tell that *one* is too old to be begun."""
    log.warning(
        "too old to be handled after the restart",
        kind=type(one.event).__name__,
        id=one.event.id,
        age=one.age,
    )
    observers.tell(Expired(event=one.event, handler=one.handler, age=one.age))


def _tell_interrupted(observers: Observers, one: Unfinished, again: bool, given_up: str) -> None:
    """Tell that *one* had begun.

    Args:
        again: Whether it is begun again.
        given_up: Why not, where it should be.
    """
    log.warning(
        "started before the last end of the bot, and not known to have ended",
        kind=type(one.event).__name__, id=one.event.id, handler=one.handler, again=again, **({"given_up": given_up} if given_up else {}),
    )  # fmt: skip
    observers.tell(Interrupted(event=one.event, handler=one.handler, again=again, given_up=given_up))


def start_of(event: Event, hit: Hit) -> int:
    """Return where the arguments of the command begin in the text of *event*; -1 for another text, or no command."""
    line = hit.source
    return (
        line.start
        if isinstance(event, Message) and isinstance(line, Line) and line.text == event.text
        else -1
    )


def hit_of(one: Unfinished, routes: Routes, registry: Registry, names: tuple[str, ...]) -> Hit | None:
    """Return how the event of *one* has set its handler off; None when that handler is gone.

    A command is not looked for again: what people call the bot is known only when its account is online.
    """
    event = one.event
    if not isinstance(event, Message):
        return next((hit for hit in routes.listening(type(event)) if hit.handler.key == one.handler), None)
    if one.start >= 0:
        found = next((c.handler for c in registry.commands if c.handler.key == one.handler), None)
        line = Line(event.text, one.start, pieces_of(event.segments, one.start))
        return Hit(found, line) if found is not None else None
    return next((hit for hit in routes.match(event, names) if hit.handler.key == one.handler), None)
