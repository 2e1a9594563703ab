"""One ticket: its context, its run, and what is told of its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from qqops.model import AccountRef, Clock
from qqops.runtime.context import Context, Known
from qqops.runtime.gate import Gate
from qqops.runtime.named_rooms import NamedRooms
from qqops.runtime.narrator import Narrator
from qqops.runtime.nowhere import nowhere
from qqops.runtime.observe import Handled, Observers, Result
from qqops.runtime.outbox import Outbox
from qqops.runtime.registry import Around, Registry
from qqops.runtime.runner import Runner
from qqops.runtime.storage.journal import Journal
from qqops.runtime.ticket import Ticket, names, running
from qqops.texts import Catalogue

if TYPE_CHECKING:
    from qqops.runtime.desk import Desk


class Execution:
    """Runs tickets.

    Attributes:
        outboxes: Where the answers of each account go.
        desk: Where a run turns to when it needs a person.
        overdue: Whether a run is being cut off because it took too long.
        told_to_end: Whether a run is being cut off because its plugin is unloaded.
        narrator: Who tells of every message, when somebody wants to read that.
    """

    desk: Desk
    overdue: Callable[[Ticket], bool]
    told_to_end: Callable[[Ticket], bool]

    def __init__(
        self,
        registry: Registry,
        runner: Runner,
        *,
        clock: Clock,
        observers: Observers,
        catalogue: Catalogue,
        rooms: NamedRooms,
        gate: Gate,
        journal: Journal | None,
        known: Known | None,
    ) -> None:
        self._registry = registry
        self._runner = runner
        self._clock = clock
        self._observers = observers
        self._catalogue = catalogue
        self._rooms = rooms
        self._gate = gate
        self._journal = journal
        self._known = known
        self.outboxes: dict[AccountRef, Outbox] = {}
        self.narrator: Narrator | None = None

    def context(self, ticket: Ticket) -> Context:
        """Return what the handler of *ticket* may know."""
        event = ticket.event
        room = event.room if event is not None else None
        outbox = self.outboxes.get(ticket.account, nowhere) if ticket.account is not None else None
        zone = ticket.hit.handler.zone or self._rooms.zone(room)
        return Context(
            id=ticket.id,
            plugin=ticket.hit.handler.plugin,
            event=event,
            language=self._rooms.language(room),
            catalogue=self._catalogue,
            now=self._clock.now().astimezone(zone),
            zone=zone,
            prefix=(self._rooms.prefix(room) or self._registry.prefixes)[0],
            outbox=outbox if room is not None else None,
            known=self._known,
            desk=self.desk,
            run=ticket,
            gate=self._gate,
            handler=ticket.hit.handler,
        )

    def run_inline(self, ticket: Ticket) -> None:
        """Run an inline handler on the spot."""
        token = running.set(ticket)
        ctx = self.context(ticket)
        try:
            result = self._runner.run_inline(ctx, ticket.hit, ticket.arrived)
        finally:
            running.reset(token)
        self._tell(ctx, ticket, result, ticket.arrived)

    def threads_of(self, plugin: str) -> list[str]:
        """Return the threads of *plugin* that have not ended, for people."""
        return self._runner.threads.of(plugin)

    async def threads_gone(self, plugin: str) -> None:
        """Wait until the threads of *plugin* whose runs are over have ended."""
        await self._runner.threads.gone(plugin)

    def forget_threads(self, plugin: str) -> None:
        """Let threads of *plugin* that have not ended take no more places from its next copy."""
        self._runner.threads.begin_anew(plugin)

    def refuse(self, ticket: Ticket) -> None:
        """End *ticket*, which has not begun and will not: its plugin is unloaded."""
        ctx = self.context(ticket)
        self._runner.unloaded(ctx, ticket.hit, begun=False)
        self._end(ctx, ticket, Result.REFUSED, trio.current_time())

    async def run(self, ticket: Ticket, around: Around) -> None:
        """Run *ticket* in a task of its own."""
        ctx = self.context(ticket)
        ticket.around = around
        result = Result.CANCELLED
        began = trio.current_time()
        running.set(ticket)
        try:
            if ticket.row and self._journal is not None:
                await self._journal.starting(ticket.row)
                began = trio.current_time()
            result = await self._runner.run(ctx, ticket.hit, around)
        finally:
            if result is Result.CANCELLED and self.overdue(ticket):
                result = Result.TIMEOUT
                self._runner.too_long(ctx, ticket.hit, ticket.seconds)
            if result is Result.CANCELLED and self.told_to_end(ticket):
                result = Result.UNLOADED
                self._runner.unloaded(ctx, ticket.hit, begun=True)
            self._end(ctx, ticket, result, began)

    def _end(self, ctx: Context, ticket: Ticket, result: Result, began: float) -> None:
        self._tell(ctx, ticket, result, began)
        if ticket.done is not None:
            ticket.done.set()
        if ticket.row and self._journal is not None and result is not Result.CANCELLED:
            # What was cut off by a shutdown has no end: the next start says so.
            self._journal.ended(ticket.row)

    def _tell(self, ctx: Context, ticket: Ticket, result: Result, began: float) -> None:
        handler = ticket.hit.handler
        self._gate.why.note(ctx, handler, result)
        if not self._observers and self.narrator is None:
            return
        wait, run = began - ticket.arrived, trio.current_time() - began
        if self.narrator is not None:
            self.narrator.ran(ctx, handler, result, wait, run)
        self._observers.tell(
            Handled(
                id=ticket.id, handler=handler.name, result=result, wait=wait, run=run, error=ctx.error, **names(ticket),
            )
        )  # fmt: skip
