"""What a handler knows about the moment it runs in, and how it answers."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import attrs

from qqops.errors import Refuse
from qqops.model import (
    AccountRef,
    At,
    Draft,
    Event,
    Face,
    Image,
    Message,
    Other,
    Outcome,
    Room,
    Segment,
    Text,
    User,
)
from qqops.texts import Catalogue, Say

if TYPE_CHECKING:
    from qqops.runtime.outbox import Outbox

_SEGMENTS = (Text, Face, Image, At, Other)

#: What a handler may answer with.
Answer = str | Say | Segment | tuple[Segment, ...]


@attrs.frozen(kw_only=True, eq=False)
class Context:
    """One run of one handler.

    Attributes:
        id: Short id of the run, as in the log.
        event: What set it off; None for a job.
        language: Language of the room.
        now: When the run began.
    """

    id: str
    plugin: str
    event: Event | None
    language: str
    catalogue: Catalogue
    now: datetime.datetime
    _outbox: Outbox | None = None

    @property
    def message(self) -> Message:
        """The message that set it off. Raises `Refuse` when it was something else."""
        if not isinstance(self.event, Message):
            raise Refuse("this needs a message")
        return self.event

    @property
    def room(self) -> Room:
        """The room it happened in. Raises `Refuse` for events without a room."""
        room: Room | None = getattr(self.event, "room", None)
        if room is None:
            raise Refuse("this happens in no room")
        return room

    @property
    def sender(self) -> User:
        """Who did it. Raises `Refuse` for events without a person."""
        sender: User | None = getattr(self.event, "sender", None)
        if sender is None:
            raise Refuse("nobody did this")
        return sender

    @property
    def account(self) -> AccountRef:
        """Our account that saw it. Raises `Refuse` for jobs."""
        if isinstance(self.event, Message):
            return self.event.ref.room.account
        account: AccountRef | None = getattr(self.event, "account", None)
        return account if account is not None else self.room.ref.account

    @property
    def text(self) -> str:
        """Plain text of the message."""
        return self.message.text

    def render(self, say: Say | str) -> str:
        """Return *say* in the language of the room."""
        return self.catalogue.render(say, self.language)

    def draft(self, answer: Answer) -> Draft:
        """Return *answer* as a draft to this room."""
        content = self.render(answer) if isinstance(answer, Say) else answer
        reply_to = self.event.ref if isinstance(self.event, Message) else None
        return Draft.of(self.room.ref, content, reply_to=reply_to)

    async def reply(self, answer: Answer) -> Outcome:
        """Send *answer* to this room and return how it went.

        Use it for more than one answer, or to learn the outcome; a single answer is simply returned.
        """
        if self._outbox is None:
            raise Refuse("there is no room to answer in")
        message = self.event.id if isinstance(self.event, Message) else ""
        return await self._outbox.send(self.draft(answer), plugin=self.plugin, message=message)

    def answer(self, answer: Answer) -> None:
        """Queue *answer* without waiting; its outcome is observed and logged all the same."""
        if self._outbox is None:
            raise Refuse("there is no room to answer in")
        message = self.event.id if isinstance(self.event, Message) else ""
        self._outbox.put(self.draft(answer), plugin=self.plugin, message=message)


def is_answer(value: Any) -> bool:
    """Whether *value*, returned by a handler, can be said."""
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(v, _SEGMENTS) for v in value)
    return isinstance(value, (str, Say, *_SEGMENTS))
