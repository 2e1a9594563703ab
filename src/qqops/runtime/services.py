"""What plugins lean on: services, entered before whoever needs them and left after.

Each service has one task that holds its context manager open. A service that fails is entered again after a pause;
until then whoever needs it is refused with a reason. One that ends takes those that lean on it along first.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import structlog
import trio

from qqops.errors import PluginError, Refuse
from qqops.runtime.backoff import Backoff, BackoffPolicy
from qqops.runtime.border import ANYTHING, described, theirs
from qqops.runtime.context import Context
from qqops.runtime.observe import Broke, Observer, nobody
from qqops.runtime.spawning import Spawn, spawning
from qqops.texts import Say

log = structlog.get_logger("qqops.services")

#: Seconds in which a service must be up; and for which the start of the bot waits for all of them.
START_WITHIN, PATIENCE = 60.0, 10.0
#: Seconds that those who lean on a failed service have to leave it.
LEAVE_WITHIN = 5.0


@attrs.define(eq=False)
class Provided:
    """The place of a service's value: empty while it is not up. Whoever provides its class next finds it where it was.

    Attributes:
        plugin, name, where: Of the service that stands or stood here; ``file:line``.
        what: Name of the class that its value is of; the class itself is another one after each reload.
        reason: Why it is not up.
        up: Set while it is.
    """

    plugin: str
    name: str
    what: str = ""
    where: str = ""
    reason: str = "it has not started yet"
    up: trio.Event = attrs.field(factory=trio.Event)
    _value: Any = None

    def value(self, ctx: Context | None) -> Any:
        """Return the value. Raises `Refuse` while there is none."""
        if not self.up.is_set():
            name = f"{self.plugin}:{self.name}"
            say = Say("refuse.service", {"name": name, "reason": self.reason})
            raise Refuse(ctx.render(say) if ctx is not None else f"{name}: {self.reason}")
        return self._value

    def fill(self, value: Any) -> None:
        """Take over the value of a service that is up."""
        self._value = value
        self.up.set()

    def clear(self, reason: str) -> None:
        """Forget the value."""
        self._value = None
        self.reason = reason
        if self.up.is_set():
            self.up = trio.Event()


@attrs.frozen(kw_only=True, eq=False)
class Service:
    """A service of a plugin.

    Attributes:
        plugin, name, where: Whose it is, what its function is called, and ``file:line`` of that.
        kind: Type by which it is injected.
        needs: Services that it leans on itself.
        open: Returns its context manager; they are up then.
    """

    plugin: str
    name: str
    where: str
    kind: type[Any]
    provided: Provided
    needs: tuple[Provided, ...]
    open: Callable[[], AbstractAsyncContextManager[Any]]

    def __str__(self) -> str:
        return f"{self.plugin}:{self.name} ({self.where})"


@attrs.define(eq=False)
class _Slot:
    """A service, and where it stands.

    Attributes:
        waiting: Around what it waits for while it is not up; cancelled by `stop`.
        dropped: Whether it was forgotten, though it may still be leaving: its place is that of a newer copy now.
    """

    service: Service
    begun: bool = False
    stopping: bool = False
    dropped: bool = False
    tried: trio.Event = attrs.field(factory=trio.Event)
    waiting: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    leave: trio.Event = attrs.field(factory=trio.Event)
    left: trio.Event = attrs.field(factory=trio.Event)
    closed: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.left.set()  # nobody is inside yet

    def stopped(self) -> bool:
        return self.stopping

    def clear(self, reason: str) -> None:
        if not self.dropped:
            self.service.provided.clear(reason)

    def stop(self) -> None:
        self.stopping = True
        self.waiting.cancel(reason="the service is closed")
        self.leave.set()


class Services:
    """Owner of the services of all plugins."""

    def __init__(
        self, rng: random.Random, policy: BackoffPolicy | None = None, tell: Observer = nobody
    ) -> None:
        self._rng = rng
        self._tell = tell
        self._policy = policy or BackoffPolicy()
        self._slots: dict[type[Any], _Slot] = {}
        self._places: list[Provided] = []
        self._spawn: Spawn | None = None
        self._closed = trio.Event()

    def add(self, services: Sequence[Service]) -> None:
        """Add the services of one plugin: all of them, or none. While the bot runs, `start` starts them.

        Raises:
            PluginError: A type is provided twice, or services lean on each other in a circle.
        """
        kinds = {kind: slot.service for kind, slot in self._slots.items()}
        for one in services:
            other = kinds.setdefault(one.kind, one)
            if other is not one:
                raise PluginError(f"{one.kind.__name__} is provided by {other} already", where=one.where)
        in_order(kinds.values())
        for one in services:
            place = one.provided
            place.plugin, place.name, place.where = one.plugin, one.name, one.where
            if place not in self._places:
                self._places.append(place)
        self._slots.update({one.kind: _Slot(one) for one in services})

    def drop(self, plugin: str) -> None:
        """Forget the services of *plugin*, which do not run, or run no more."""
        for kind, slot in list(self._slots.items()):
            if slot.service.plugin == plugin:
                slot.clear("it is unloaded")
                slot.dropped = True
                del self._slots[kind]

    def besides(self, plugin: str) -> dict[type[Any], Provided]:
        """Return the place of every service's value but those of *plugin*, by type."""
        slots = [slot for slot in self._slots.values() if slot.service.plugin != plugin]
        return {slot.service.kind: slot.service.provided for slot in slots}

    def places(self, plugin: str) -> dict[str, Provided]:
        """Return the places that *plugin* may take, by the name of the class: those of its own, then those left by others.

        A class that is made in a function is no other plugin's, whatever it is called.
        """
        taken = set(self.besides(plugin).values())
        free = [place for place in self._places if place not in taken and "<locals>" not in place.what]
        own = [place for place in self._places if place not in taken and place.plugin == plugin]
        return {place.what: place for place in (*free, *own)}

    def of(self, plugin: str) -> list[str]:
        """Return the names of the services of *plugin* that run."""
        slots = [slot for slot in self._slots.values() if slot.service.plugin == plugin]
        return [slot.service.name for slot in slots if slot.begun and not slot.closed.is_set()]

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold all services until `close`; ready when each is up or has failed, or after `PATIENCE` seconds."""
        async with trio.open_nursery() as nursery:
            self._spawn = spawning(nursery)
            await self._start(list(self._slots.values()))
            task_status.started()
            try:
                await self._closed.wait()
            finally:
                self._spawn = None  # a plugin that is being reloaded at the end starts nothing

    async def start(self, plugin: str) -> None:
        """Start the services of *plugin* while the bot runs; returns as `run` says when it is ready."""
        await self._start([s for s in self._slots.values() if s.service.plugin == plugin])

    async def _start(self, slots: Sequence[_Slot]) -> None:
        if self._spawn is None or self._closed.is_set():
            return
        for slot in slots:
            slot.begun = True
            self._spawn(self._keep, slot, name=f"service {slot.service.name}")
        with trio.move_on_after(PATIENCE):
            for slot in slots:
                await slot.tried.wait()

    async def end(self, plugin: str) -> None:
        """Leave the services of *plugin*, each after those that lean on it."""
        await self._end(slot for slot in self._slots.values() if slot.service.plugin == plugin)

    async def close(self) -> None:
        """Leave all services, each after those that lean on it."""
        await self._end(self._slots.values())
        self._closed.set()

    async def _end(self, slots: Iterable[_Slot]) -> None:
        mine = {slot.service.kind: slot for slot in slots if slot.begun}
        for service in reversed(in_order(slot.service for slot in mine.values())):
            mine[service.kind].stop()
            await mine[service.kind].closed.wait()

    @trio.lowlevel.enable_ki_protection
    async def _keep(self, slot: _Slot) -> None:
        service = slot.service
        backoff = Backoff(self._policy, self._rng)
        try:
            while not slot.stopped():
                slot.waiting = trio.CancelScope()
                with slot.waiting:
                    for need in service.needs:
                        await need.up.wait()
                if slot.stopped():
                    return
                began = trio.current_time()
                try:
                    await self._hold(slot)
                except ANYTHING as exc:
                    error = theirs(exc)
                    slot.clear(described(exc))
                    backoff.ended(trio.current_time() - began)
                    pause = backoff.next_delay()
                    log.exception(
                        "service failed", plugin=service.plugin, service=service.name, where=service.where,
                        again_in=round(pause, 1),
                    )  # fmt: skip
                    self._tell(
                        Broke(
                            plugin=service.plugin, what="service", name=service.name, where=service.where, error=error,
                        )
                    )  # fmt: skip
                    slot.tried.set()
                    if slot.stopped():
                        return
                    slot.waiting = trio.CancelScope()
                    with slot.waiting:
                        await trio.sleep(pause)
        finally:
            slot.clear("it is closed")
            slot.tried.set()
            slot.closed.set()

    async def _hold(self, slot: _Slot) -> None:
        """Enter the service, and leave it when it is told to; raises what it raises."""
        provided = slot.service.provided
        slot.leave, slot.left = trio.Event(), trio.Event()
        entered = False
        try:
            with trio.CancelScope(deadline=trio.current_time() + START_WITHIN) as scope:
                slot.waiting = scope
                async with slot.service.open() as value:
                    entered = True
                    scope.deadline, slot.waiting = math.inf, trio.CancelScope()
                    if slot.stopped():  # it did not listen; its place may be that of a newer copy
                        return
                    provided.fill(value)
                    slot.tried.set()
                    try:
                        await slot.leave.wait()
                    finally:
                        slot.clear("it is closing")
                        # A service that failed is cancelled already, and others still hold what it gave them.
                        with trio.move_on_after(LEAVE_WITHIN, shield=True):
                            await self._send_away(slot)
        finally:
            slot.left.set()
        if not entered and not slot.stopped():
            raise TimeoutError(f"it did not start within {START_WITHIN:g} s")

    async def _send_away(self, slot: _Slot) -> None:
        """Let those that lean on *slot* leave before it does."""
        place = slot.service.provided
        leaning = [other for other in self._slots.values() if place in other.service.needs]
        for other in leaning:
            other.leave.set()
        for other in leaning:
            await other.left.wait()


def in_order(services: Iterable[Service]) -> list[Service]:
    """Return *services*, each after those that it leans on. Raises `PluginError` for a circle, and names it."""
    by_place = {one.provided: one for one in services}
    done: list[Service] = []
    path: list[Service] = []

    def visit(one: Service) -> None:
        if one in done:
            return
        if one in path:
            circle = [*path[path.index(one) :], one]
            raise PluginError(
                f"services lean on each other in a circle: {' → '.join(map(str, circle))}",
                where=one.where,
            )
        path.append(one)
        for need in one.needs:
            if need in by_place:
                visit(by_place[need])
        path.pop()
        done.append(one)

    for one in by_place.values():
        visit(one)
    return done
