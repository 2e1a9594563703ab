"""Stands between a bot and an adapter, and remembers what passes. For the contract of adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import attrs
import trio

from qqops.adapters.base import Adapter, Link, Outgoing
from qqops.errors import TransientError
from qqops.model import AccountRef, Event, Message

E = TypeVar("E", bound=Event)


@attrs.define(eq=False)
class Seen:
    """What was seen of one session. Moments are on trio's clock.

    Attributes:
        events: What was handed over, in order.
        online: When the session said that it is online, each time.
        names: What people call the bot, as it said then.
        began, cut, ended: When `serve` was called, when it was cancelled by the test, and when it was over; None for what
            has not happened.
    """

    began: float
    events: list[Event] = attrs.field(factory=list)
    online: list[float] = attrs.field(factory=list)
    names: list[str] = attrs.field(factory=list)
    cut: float | None = None
    ended: float | None = None


class Witness:
    """Takes the place of an adapter at its supervisor.

    Attributes:
        sessions: What was seen of each session, in order.
        door: While it is not set, no session begins.
        at_online: Called when a session says that it is online, at that moment.
        cut_after: How many steps of its tasks a session is given before it is cancelled; None for any number.
    """

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._scope: trio.CancelScope | None = None
        self.sessions: list[Seen] = []
        self.door = trio.Event()
        self.door.set()
        self.at_online: Callable[[], object] = lambda: None
        self.cut_after: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    @property
    def account(self) -> AccountRef:
        """Whose connection this is."""
        return self._adapter.account

    async def serve(self, link: Link, outbox: Outgoing) -> None:
        """Let the adapter hold a session; one that is cut here ends as one that broke."""
        await self.door.wait()
        seen = Seen(trio.current_time())
        self.sessions.append(seen)
        cutter = None if self.cut_after is None else _Cutter(self.cut_after, seen)
        with trio.CancelScope() if cutter is None else cutter.scope as self._scope:
            if cutter is not None:
                trio.lowlevel.add_instrument(cutter)
            try:
                await self._adapter.serve(cast("Link", _SeenLink(link, seen, self)), outbox)
            finally:
                if cutter is not None:
                    trio.lowlevel.remove_instrument(cutter)
                seen.ended = trio.current_time()
        if self._scope.cancelled_caught:
            raise TransientError("cancelled by the test")

    def cut(self) -> float:
        """Cancel the session; return the moment."""
        assert self._scope is not None
        self.sessions[-1].cut = trio.current_time()
        self._scope.cancel(reason="the test wants it so")
        return trio.current_time()

    def messages(self, text: str) -> list[Message]:
        """Return the messages of all sessions that say *text*."""
        events = [event for seen in self.sessions for event in seen.events]
        return [event for event in events if isinstance(event, Message) and event.text.strip() == text]


class _SeenLink:
    """The `Link` of a session, under eyes."""

    def __init__(self, link: Link, seen: Seen, witness: Witness) -> None:
        self._link = link
        self._seen = seen
        self._witness = witness

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    def event(self, event: Event) -> None:
        self._seen.events.append(event)
        self._link.event(event)

    def online(self, *args: Any, **more: Any) -> None:
        self._seen.online.append(trio.current_time())
        self._seen.names = list(args[0] if args else more["names"])
        self._link.online(*args, **more)
        self._witness.at_online()


class _Cutter(trio.abc.Instrument):
    """Cancels the task it was made in, and those below it, after so many steps of them."""

    def __init__(self, steps: int, seen: Seen) -> None:
        self.scope = trio.CancelScope()
        self._seen = seen
        self._left = steps
        self._root = trio.lowlevel.current_task()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._left and self._is_below(task):
            self._left -= 1
            if not self._left:
                self._seen.cut = trio.current_time()
                self.scope.cancel(reason="the test wants it so, just here")

    def _is_below(self, task: trio.lowlevel.Task | None) -> bool:
        while task is not None and task is not self._root:
            task = task.parent_nursery.parent_task if task.parent_nursery is not None else None
        return task is not None


def system_tasks() -> set[trio.lowlevel.Task]:
    """Return the tasks that belong to nobody: a session must not leave one."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return {task for nursery in root.child_nurseries for task in nursery.child_tasks}
