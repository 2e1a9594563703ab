"""Why something ran or did not: the last decisions of every room, and of every job. Bounded, in memory."""

from __future__ import annotations

import datetime
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator

import attrs

from qqops.model import Message, PersonRef, RoomRef
from qqops.runtime.context import Context
from qqops.runtime.hints import HINT
from qqops.runtime.observe import Result
from qqops.runtime.registry import Handler
from qqops.runtime.verdicts import Verdict, in_full, line
from qqops.texts import Say

#: Decisions that are remembered of each room or job, and rooms and jobs that are.
LAST, MAX_ROOMS = 50, 500
#: Characters of a message that are shown.
SHOWN = 60

_Row = tuple[
    datetime.datetime, str, str, PersonRef | None, str, str, Result | None, Say | None, tuple[Verdict, ...]
]


@attrs.frozen
class Decision:
    """What became of a message or job at one handler.

    Attributes:
        run: Short id of the run, as in the log; "" when nothing ran.
        text: The beginning of the message.
        handler: ``plugin:name``; "" when nothing matched.
        result: How it ended; None when nothing matched.
        reason: What stood in the way; None when nothing did.
        verdicts: What the stages have decided.
    """

    at: datetime.datetime
    run: str
    message: str
    person: PersonRef | None
    text: str
    handler: str
    result: Result | None
    reason: Say | None
    verdicts: tuple[Verdict, ...]

    def stages(self, render: Callable[[Say], str]) -> str:
        """Return what each stage has decided, as one line."""
        return line(self.verdicts, render)


class Why:
    """The last decisions."""

    def __init__(self) -> None:
        self._rows: OrderedDict[Hashable, deque[_Row]] = OrderedDict()

    def note(self, ctx: Context, handler: Handler, result: Result) -> None:
        """A run has ended, or was not let in."""
        if handler.name == HINT:
            return  # nothing has matched, and that is noted
        event = ctx.event
        verdicts, reason = in_full(ctx.verdicts, result is Result.DONE)
        if isinstance(event, Message):
            row: _Row = (
                ctx.now,
                ctx.id,
                event.ref.id,
                event.sender.ref,
                event.text[:SHOWN],
                handler.key,
                result,
                reason,
                verdicts,
            )
            self._shelf(event.room.ref).append(row)
            return
        room = event.room if event is not None else None
        person = event.sender.ref if event is not None and event.sender is not None else None
        text = "" if event is None else type(event).__name__
        row = (ctx.now, ctx.id, "", person, text, handler.key, result, reason, verdicts)
        self._shelf(handler.key if room is None else room.ref).append(row)

    def unmatched(self, message: Message, now: datetime.datetime, reason: Say) -> None:
        """A message that looked like a command has set nothing off."""
        row: _Row = (now, "", message.ref.id, message.sender.ref, message.text[:SHOWN], "", None, reason, ())
        self._shelf(message.room.ref).append(row)

    def of_message(self, room: RoomRef, message: str) -> list[Decision]:
        """Return what was decided about one message, oldest first."""
        return [Decision(*row) for row in self._rows.get(room, ()) if row[2] == message]

    def of_person(self, room: RoomRef, person: PersonRef) -> list[Decision]:
        """Return what was decided about the last remembered message of *person* in *room*."""
        for row in reversed(self._rows.get(room, ())):
            if row[3] == person:
                return self.of_message(room, row[2]) if row[2] else [Decision(*row)]
        return []

    def of_id(self, number: str) -> list[Decision]:
        """Return what was decided about the message, or in the run, that is called *number*."""
        number = number.lstrip("#")
        rows = (row for shelf in self._rows.values() for row in shelf)
        return [Decision(*row) for row in rows if number and number in (row[1], row[2])]

    def of_job(self, name: str) -> list[Decision]:
        """Return the last decision about each job called *name*, with or without ``plugin:``."""
        return list(self._of_jobs(name))

    def _of_jobs(self, name: str) -> Iterator[Decision]:
        for key, rows in self._rows.items():
            if isinstance(key, str) and name in (key, key.partition(":")[2]):
                yield Decision(*rows[-1])

    def _shelf(self, key: Hashable) -> deque[_Row]:
        found = self._rows.get(key)
        if found is None:
            if len(self._rows) >= MAX_ROOMS:
                self._rows.popitem(last=False)
            found = self._rows[key] = deque(maxlen=LAST)
        else:
            self._rows.move_to_end(key)
        return found
