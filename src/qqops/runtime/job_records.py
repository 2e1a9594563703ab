"""What is kept about jobs, over restarts: where each stands, and what people have made."""

from __future__ import annotations

import datetime
import enum

import attrs
from attrs.validators import and_, ge, instance_of, le, min_len

from qqops.model import Message, RoomRef, Text
from qqops.runtime import agenda
from qqops.runtime.agenda import Schedule

#: What may be kept as a moment, in seconds since the epoch: dates of the years 4 to 9000 can be told in every time zone.
_MOMENT = and_(instance_of((int, float)), ge(-62e9), le(221e9))
_FLAG, _TEXT = instance_of(bool), instance_of(str)


class Skip(enum.Enum):
    """Why a job that was due did not run."""

    RUNNING = "still running"
    MISSED = "missed while the bot could not run"
    PAUSED = "paused"
    UNKNOWN = "there is no such command"
    GONE = "its account is gone"
    INTERRUPTED = "cut off by the end of the bot"
    PASSED = "its moment had passed before it was known"


@attrs.define(on_setattr=attrs.setters.NO_OP)
class State:
    """What is known about a job; survives a restart.

    Attributes:
        first: When it was seen first, in seconds since the epoch; begins the grid of an interval.
        settled: Everything up to this moment has been run or skipped.
        ran: When it was started last, or 0.
        running: Whether that run has no end yet.
        skipped: Why it was skipped last, or "".
        skipped_at: When that was; of a single moment that had passed, that moment.
    """

    first: float = attrs.field(validator=_MOMENT)
    settled: float = attrs.field(validator=_MOMENT)
    ran: float = attrs.field(default=0.0, validator=_MOMENT)
    running: bool = attrs.field(default=False, validator=_FLAG)
    paused: bool = attrs.field(default=False, validator=_FLAG)
    skipped: str = attrs.field(default="", validator=_TEXT)
    skipped_at: float = attrs.field(default=0.0, validator=_MOMENT)


@attrs.frozen(kw_only=True)
class Made:
    """A job that a person has made.

    Attributes:
        message: What they said, as stored: their room and who they are.
        line: The command line that is run as if they said it; or, for a reminder, what they are told.
        cron: When, in five fields; "" for a single moment.
        at: The single moment, in seconds since the epoch.
    """

    message: str = attrs.field(validator=_TEXT)
    creator: str = attrs.field(validator=_TEXT)
    name: str = attrs.field(validator=_TEXT)
    line: str = attrs.field(validator=and_(_TEXT, min_len(1)))
    reminder: bool = attrs.field(default=False, validator=_FLAG)
    cron: str = attrs.field(default="", validator=_TEXT)
    tz: str = attrs.field(default="UTC", validator=_TEXT)
    at: float = attrs.field(default=0.0, validator=_MOMENT)

    def schedule(self) -> Schedule:
        """Return when it is due. Raises `ConfigError`."""
        if self.cron:
            return agenda.cron(self.cron, self.tz)
        return agenda.once(datetime.datetime.fromtimestamp(self.at, datetime.UTC))


def message_of(made: Made, job: str, now: datetime.datetime) -> Message:
    """Return what *made* says: its command line, in the room and with the person that it was made by."""
    from qqops.runtime.storage import codec

    bare = codec.load_message(made.message)
    return attrs.evolve(bare, segments=(Text(made.line),), at=now, job=job)


def room_of(made: Made) -> tuple[RoomRef, str]:
    """Return where *made* speaks, and to whom."""
    from qqops.runtime.storage import codec

    bare = codec.load_message(made.message)
    return bare.room.ref, "" if bare.room.private else bare.sender.name
