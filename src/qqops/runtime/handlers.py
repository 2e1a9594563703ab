"""The handlers of one plugin as a whole: held, ended, handed over to its next copy."""

from __future__ import annotations

import attrs

from qqops.runtime.approvals import Approvals
from qqops.runtime.conversations import Conversations
from qqops.runtime.execution import Execution
from qqops.runtime.halted import Halted
from qqops.runtime.registry import Registry
from qqops.runtime.runs import Runs
from qqops.runtime.ticket import Ticket, running

#: Runs of other plugins that are named one by one.
NAMED = 5


class Handlers:
    """What runs, waits and talks on behalf of plugins."""

    def __init__(
        self,
        registry: Registry,
        runs: Runs[Ticket],
        execution: Execution,
        talks: Conversations,
        approvals: Approvals,
        halted: Halted,
    ) -> None:
        self._registry = registry
        self._runs = runs
        self._execution = execution
        self._talks = talks
        self._approvals = approvals
        self._halted = halted

    def hold(self, plugin: str) -> None:
        """Let nothing of *plugin* begin until `hand_over`."""
        self._runs.hold(plugin)

    def hand_over(self, plugin: str) -> None:
        """Let what has waited since `hold` be run by the handlers that *plugin* has now; what has none is refused."""
        handlers = {one.key: one for one in self._registry.handlers(plugin)}
        queued = self._runs.queued(plugin)
        homeless = [ticket for ticket in queued if ticket.name not in handlers]
        for ticket in queued:
            if ticket.name in handlers:
                ticket.hit = attrs.evolve(ticket.hit, handler=handlers[ticket.name])
        self._runs.take_out(homeless)
        for ticket in homeless:
            self._execution.refuse(ticket)
        self._approvals.keep_only(plugin, handlers)
        self._halted.lift(plugin)  # what the old copy has held up while it ended is not the new one's
        self._execution.forget_threads(plugin)
        self._runs.go_on(plugin)

    async def end(self, plugin: str) -> None:
        """End what runs and talks on behalf of *plugin*, which is held; returns when its last run and thread have ended.

        A run that has asked for this itself goes on, and so do those of others that are inside its filters: these are waited
        for as well, unless they wait for a person.
        """
        self._halted.lift(plugin)
        self._talks.end_plugin(plugin)
        self._approvals.end_plugin(plugin)
        await self._runs.end(plugin, spare=running.get())
        self._talks.end_plugin(plugin)  # one that has just begun may have asked as its last act
        await self._execution.threads_gone(plugin)
        await self._runs.over(self._inside(plugin))

    def _inside(self, plugin: str) -> list[Ticket]:
        asker = running.get()
        return self._runs.those(lambda one: one is not asker and one.plugin != plugin and one.inside(plugin))

    def of(self, plugin: str) -> list[str]:
        """Return what runs and talks on behalf of *plugin*, and was not told to go on, for people."""
        asker = running.get()
        runs = [
            f"run #{one.id} of {one.name} ({one.hit.handler.where})"
            for one in self._runs.of(plugin)
            if one is not asker
        ]
        talks = [
            f"a question in {room}" for (room, _), one in self._talks.open.items() if one.plugin == plugin
        ]
        return [*runs, *talks, *self._execution.threads_of(plugin), *self._guests(plugin)]

    def _guests(self, plugin: str) -> list[str]:
        """Return the runs of others that are inside filters of *plugin*: in one line, as they may be many."""
        guests = self._inside(plugin)
        if not guests:
            return []
        named = [f"#{one.id} of {one.name}" for one in guests[:NAMED]]
        more = [f"{len(guests) - NAMED} more"] if len(guests) > NAMED else []
        return [f"inside its filters: {', '.join([*named, *more])}"]
