"""The context of a plain `def` handler: all that `Context` offers, called without ``await``."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeAlias, TypeVar, overload

from qqops.model import AccountRef, Event, Message, Outcome, Room, User
from qqops.runtime.context import WITHIN, Content, Context
from qqops.runtime.hops import Hops
from qqops.texts import Say

T = TypeVar("T")
P = ParamSpec("P")


class SyncContext:
    """One run of a plain `def` handler, in its thread; attributes and methods as those of `Context`.

    Each method returns when it is done: `ask` when there is an answer. When the run ends before, because it took too
    long or the bot stops, it raises `RunEnded`.
    """

    def __init__(self, ctx: Context, hops: Hops) -> None:
        self._ctx = ctx
        self._hops = hops

    @property
    def id(self) -> str:
        """Short id of the run."""
        return self._ctx.id

    @property
    def plugin(self) -> str:
        """Name of the plugin."""
        return self._ctx.plugin

    @property
    def event(self) -> Event | None:
        """What set it off; None for a job."""
        return self._ctx.event

    @property
    def language(self) -> str:
        """Language of the room."""
        return self._ctx.language

    @property
    def now(self) -> datetime.datetime:
        """When the run began, in *zone*."""
        return self._ctx.now

    @property
    def today(self) -> datetime.date:
        """The day on which the run began, in *zone*."""
        return self._ctx.today

    @property
    def zone(self) -> datetime.tzinfo:
        """Time zone of the job or the room."""
        return self._ctx.zone

    @property
    def prefix(self) -> str:
        """What a command begins with in the room."""
        return self._ctx.prefix

    @property
    def arguments(self) -> Mapping[str, Any] | None:
        """Values of the command's parameters by name."""
        return self._ctx.arguments

    @property
    def approvals(self) -> tuple[str, ...]:
        """Who has approved this run."""
        return self._ctx.approvals

    @property
    def message(self) -> Message:
        """The message that set it off. Raises `Refuse` when it was something else."""
        return self._ctx.message

    @property
    def room(self) -> Room:
        """The room it happened in. Raises `Refuse` for events without a room."""
        return self._ctx.room

    @property
    def sender(self) -> User:
        """Who did it. Raises `Refuse` for events without a person."""
        return self._ctx.sender

    @property
    def account(self) -> AccountRef:
        """Our account that saw it. Raises `Refuse` for jobs."""
        return self._ctx.account

    @property
    def text(self) -> str:
        """Plain text of the message."""
        return self._ctx.text

    @property
    def roles(self) -> frozenset[str]:
        """The roles of who set this off, as far as they are proven."""
        found: frozenset[str] = self._hops.call(lambda: self._ctx.roles)
        return found

    def wait(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what ``await function(…)`` gives where the bot runs, for what is injected: ``ctx.wait(rooms.send, …)``."""
        value: T = self._hops.call(function, *args, **kwargs)
        return value

    def may(self, permission: str) -> bool:
        """See `Context.may`."""
        return bool(self._hops.call(self._ctx.may, permission))

    def rooms(self) -> Sequence[Room]:
        """See `Context.rooms`."""
        found: Sequence[Room] = self._hops.call(self._ctx.rooms)
        return found

    def people(self) -> Sequence[User]:
        """See `Context.people`."""
        found: Sequence[User] = self._hops.call(self._ctx.people)
        return found

    def render(self, say: Say | str) -> str:
        """See `Context.render`."""
        return self._ctx.render(say)

    def reply(self, answer: Content) -> Outcome:
        """See `Context.reply`."""
        return self.wait(self._ctx.reply, answer)

    def answer(self, answer: Content) -> None:
        """See `Context.answer`."""
        self._hops.call(self._ctx.answer, answer)

    @overload
    def ask(self, text: Content, *, within: float = WITHIN, retries: int = 1) -> str: ...
    @overload
    def ask(self, text: Content, kind: type[T], *, within: float = WITHIN, retries: int = 1) -> T: ...
    @overload
    def ask(self, text: Content, kind: Any, *, within: float = WITHIN, retries: int = 1) -> Any: ...
    def ask(self, text: Content, kind: Any = str, *, within: float = WITHIN, retries: int = 1) -> Any:
        """See `Context.ask`. The thread is held meanwhile, and counts among those of the plugin."""
        return self.wait(self._ctx.ask, text, kind, within=within, retries=retries)

    def choose(self, text: str | Say, items: Sequence[T], *, within: float = WITHIN, retries: int = 1) -> T:
        """See `Context.choose`."""
        chosen: T = self._hops.call(self._ctx.choose, text, items, within=within, retries=retries)
        return chosen

    def confirm(self, text: str | Say, *, within: float = WITHIN, retries: int = 1) -> bool:
        """See `Context.confirm`."""
        return self.wait(self._ctx.confirm, text, within=within, retries=retries)

    def approve(self, text: str | Say, *, by: str, count: int = 1, within: float = 600.0) -> tuple[str, ...]:
        """See `Context.approve`."""
        return self.wait(self._ctx.approve, text, by=by, count=count, within=within)


#: Short name of `SyncContext` for signatures of plain `def` handlers.
SyncCtx: TypeAlias = SyncContext
