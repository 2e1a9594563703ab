"""What a handler knows about the moment it runs in, and how it answers."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, overload

import attrs
import structlog

from qqops.errors import Refuse
from qqops.model import (
    AccountRef,
    Delivery,
    Draft,
    Event,
    Message,
    Outcome,
    Room,
    RoomRef,
    Segment,
    Text,
    User,
)
from qqops.runtime.declared import Approval
from qqops.runtime.hops import Hops
from qqops.runtime.verdicts import Verdict
from qqops.texts import Catalogue, Say

if TYPE_CHECKING:
    from qqops.runtime.conversations import Reader
    from qqops.runtime.desk import Desk
    from qqops.runtime.gate import Gate
    from qqops.runtime.registry import Handler

log = structlog.get_logger("qqops.run")

T = TypeVar("T")

#: Seconds that a person has to answer, unless the author says otherwise.
WITHIN = 60.0

#: What a handler may answer with.
Content = str | Say | Segment | tuple[str | Segment, ...]


class Known(Protocol):
    """Who and what is known at this moment, without asking a network."""

    def known(self) -> Sequence[Room]:
        """Return every room that any account knows."""

    def people(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*, as far as it is known."""


class Outgoing(Protocol):
    """Where answers go."""

    def put(self, draft: Draft, *, plugin: str = "", message: str = "") -> object:
        """Queue *draft* without waiting; *message* is the id of what it answers."""

    async def send(self, draft: Draft, *, plugin: str = "", message: str = "") -> Outcome:
        """Queue *draft* and return how it went."""


@attrs.define(kw_only=True, eq=False, on_setattr=attrs.setters.frozen)  # frozen, and made in half the time
class Context:
    """One run of one handler.

    Attributes:
        id: Short id of the run, as in the log.
        event: What set it off; None for a job.
        language: Language of the room.
        now: When the run began, as a person's clock shows it: aware, in *zone*. Python adds and compares moments of one
            zone by what its clock shows; for spans of time use ``now.astimezone(UTC)``.
        zone: Time zone of the job, or of the room; else the bot's.
        prefix: What a command begins with in the room.
        arguments: Values of the command's parameters by name, once they have been converted; what is injected is not
            among them.
        approvals: Who has approved this run.
        hops: How the thread of a plain `def` handler gets back here; None while there is none.
        verdicts: What the stages before the handler have decided so far, as far as they had anything to decide.
        error: What the run has failed with.
    """

    id: str
    plugin: str
    event: Event | None
    language: str
    catalogue: Catalogue
    now: datetime.datetime
    zone: datetime.tzinfo = datetime.UTC
    prefix: str = "/"
    _outbox: Outgoing | None = None
    _known: Known | None = None
    _desk: Desk | None = None
    _run: Any = None
    _gate: Gate | None = None
    _handler: Handler | None = None
    arguments: Mapping[str, Any] | None = attrs.field(default=None, init=False)
    approvals: tuple[str, ...] = attrs.field(default=(), init=False)
    verdicts: tuple[Verdict, ...] = attrs.field(default=(), init=False)
    hops: Hops | None = attrs.field(default=None, init=False)
    error: BaseException | None = attrs.field(default=None, init=False)

    def fill(self, values: Mapping[str, Any]) -> None:
        """Note the converted values of the parameters; for who prepares the call."""
        object.__setattr__(self, "arguments", values)

    def approved(self, by: tuple[str, ...]) -> None:
        """Note who has approved this run; for who has checked it."""
        object.__setattr__(self, "approvals", by)

    def in_thread(self) -> Hops:
        """Return how the thread of this run gets back here; for who prepares the call."""
        if self.hops is None:
            object.__setattr__(self, "hops", Hops())
        assert self.hops is not None
        return self.hops

    def decided(self, verdict: Verdict) -> None:
        """Note what a stage has decided; for who has decided it."""
        object.__setattr__(self, "verdicts", (*self.verdicts, verdict))

    def failed(self, error: BaseException) -> None:
        """Note what the run has failed with; for who tells of its end."""
        object.__setattr__(self, "error", error)

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

    @property
    def roles(self) -> frozenset[str]:
        """The roles of who set this off, as far as they are proven."""
        return self._gate.roles_of(self) if self._gate is not None else frozenset()

    def may(self, permission: str) -> bool:
        """Whether who set this off has *permission* here; what nobody was granted, nobody has."""
        name = self._handler.name if self._handler is not None else ""
        return self._gate is not None and self._gate.may(self, permission, name)

    @property
    def today(self) -> datetime.date:
        """The day on which the run began, in *zone*."""
        return self.now.date()

    def rooms(self) -> Sequence[Room]:
        """Return the rooms that are known at this moment."""
        return self._known.known() if self._known is not None else ()

    def people(self) -> Sequence[User]:
        """Return who is in this room, as far as it is known at this moment; the sender at least."""
        sender: User | None = getattr(self.event, "sender", None)
        room: Room | None = getattr(self.event, "room", None)
        known = self._known.people(room.ref) if self._known is not None and room is not None else ()
        return known if sender is None or any(p.ref == sender.ref for p in known) else (*known, sender)

    def render(self, say: Say | str) -> str:
        """Return *say* in the language of the room."""
        return self.catalogue.render(say, self.language)

    def draft(self, answer: Content) -> Draft:
        """Return *answer* as a draft to this room."""
        content = self.render(answer) if isinstance(answer, Say) else answer
        event = self.event
        if type(content) is str and isinstance(event, Message):  # by far the most frequent
            return Draft(room=event.room.ref, segments=(Text(content),), reply_to=event.ref)
        return Draft.of(self.room.ref, content, reply_to=event.ref if isinstance(event, Message) else None)

    async def reply(self, answer: Content) -> Outcome:
        """Send *answer* to this room and return how it went.

        Use it for more than one answer, or to learn the outcome; a single answer is simply returned. A job has no room:
        its answer is refused, and an error in the log.
        """
        if self.event is None:
            return self._unheard()
        if self._outbox is None:
            raise Refuse("there is no room to answer in")
        message = self.event.id if isinstance(self.event, Message) else ""
        return await self._outbox.send(self.draft(answer), plugin=self.plugin, message=message)

    def answer(self, answer: Content) -> None:
        """Queue *answer* without waiting; its outcome is observed and logged all the same."""
        if self.event is None:
            self._unheard()
            return
        if self._outbox is None:
            raise Refuse("there is no room to answer in")
        message = self.event.id if isinstance(self.event, Message) else ""
        self._outbox.put(self.draft(answer), plugin=self.plugin, message=message)

    def _unheard(self) -> Outcome:
        """Report an answer of a job, which has no room that it could go to."""
        handler = self._handler
        log.error(
            "the answer of a job goes nowhere: a job has no room; say it with rooms.send(room, …)",
            plugin=self.plugin,
            job=handler.name if handler is not None else "",
            where=handler.where if handler is not None else "",
        )
        return Outcome(delivery=Delivery.REFUSED, reason="a job has no room")

    # -- talking with a person ------------------------------------------------------------------

    @overload
    async def ask(self, text: Content, *, within: float = WITHIN, retries: int = 1) -> str: ...
    @overload
    async def ask(self, text: Content, kind: type[T], *, within: float = WITHIN, retries: int = 1) -> T: ...
    @overload
    async def ask(self, text: Content, kind: Any, *, within: float = WITHIN, retries: int = 1) -> Any: ...
    async def ask(self, text: Content, kind: Any = str, *, within: float = WITHIN, retries: int = 1) -> Any:
        """Ask the person *text* and return what they say next in this room, as a *kind*.

        The run holds no slot meanwhile, and its own deadline stands still.

        Args:
            kind: A type that a parameter of a command may have, or `Message` for the message as it is.
            within: Seconds for all tries.
            retries: Answers that do not fit and are forgiven; the person is told what was wrong.

        Raises:
            NoAnswer: It ended without one (`AnswerExpired`, `AnswerCancelled`). Not caught, the handler ends as
                refused and the person is told.
        """
        desk = self._at_desk()
        return await desk.ask(self, self._run, text, desk.talks.reader(kind, self), within, retries)

    async def choose(
        self, text: str | Say, items: Sequence[T], *, within: float = WITHIN, retries: int = 1
    ) -> T:
        """Let the person choose one of *items*, by its number or its name. Raises as `ask`."""
        return await self._at_desk().choose(self, self._run, text, items, within, retries)

    async def confirm(self, text: str | Say, *, within: float = WITHIN, retries: int = 1) -> bool:
        """Ask for yes or no. Raises as `ask`."""
        return await self.ask(self._at_desk().yes_or_no(self, text), bool, within=within, retries=retries)

    def complete(self, text: str, read: Reader, full: Callable[[Message], Message]) -> str:
        """Ask for what a command line lacks, where that may be asked; for who reads the line.

        This run ends all the same. The answer completes the line, and the command then runs as if it had been typed
        so, by its own way through the gate.

        Args:
            text: What is wrong with the line.
            full: The answer → a message with the whole line.

        Returns:
            What to say: *text*, and more when an answer is waited for.
        """
        return text if self._desk is None else self._desk.complete(self, self._run, text, read, full)

    async def approve(
        self, text: str | Say, *, by: str, count: int = 1, within: float = 600.0
    ) -> tuple[str, ...]:
        """Wait until *count* other people have approved *text*; return their names.

        The run holds no slot meanwhile, and its own deadline stands still. A restart ends it; an `Approval` on the
        command survives one.

        Args:
            by: Who may: ``role:NAME`` or ``user:NETWORK:ACCOUNT/ID``.

        Raises:
            NoAnswer: Nobody did in time (`AnswerExpired`), or somebody rejected it (`AnswerCancelled`).
        """
        desk = self._at_desk()
        need = Approval(by=by, count=count, within=within)
        return await desk.approvals.wait(self, self._run.hit.handler, text, need, desk.aside(self._run))

    def _at_desk(self) -> Desk:
        if self._desk is None:
            raise Refuse("nobody can be asked here")
        return self._desk


def is_answer(value: Any) -> bool:
    """Whether *value*, returned by a handler, can be said."""
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(v, str | Segment) for v in value)
    return isinstance(value, str | Say | Segment)


#: Short name of `Context` for signatures.
Ctx: TypeAlias = Context
