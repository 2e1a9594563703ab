"""The bot as a whole: what there is, and who owns which tasks. Read this first.

Nested nurseries; inner ones end first, so the order of the shutdown is the order of nesting::

    store       the file, if there is one           ends after everything that writes to it
    links       one supervisor per account          ends last: replies must still go out
    handlers    dispatcher: everything that runs    gets a grace time
    sources     what creates work: the scheduler    ends first: no new work
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import structlog
import trio

from qqops import __version__
from qqops.adapters.base import Adapter, Human
from qqops.model import Clock
from qqops.plugin.host import Host, PluginState
from qqops.runtime.accounts import Accounts
from qqops.runtime.dispatch import Dispatcher, DispatchPolicy
from qqops.runtime.identity import Identity
from qqops.runtime.info import BotInfo, Commands
from qqops.runtime.journal import Journal, JournalPolicy
from qqops.runtime.observe import LinkState, Observers
from qqops.runtime.outbox import Outbox, OutboxPolicy
from qqops.runtime.questions import Place, Questions
from qqops.runtime.registry import Registry
from qqops.runtime.rooms import Rooms, RoomSettings
from qqops.runtime.run import InThread, in_thread
from qqops.runtime.scheduler import Scheduler
from qqops.runtime.store import Store
from qqops.runtime.supervisor import LinkPolicy, Reconnect, Supervisor
from qqops.texts import load

log = structlog.get_logger("qqops.app")


class End(enum.Enum):
    """How a run of the bot ended."""

    #: Asked to stop, and everything was finished.
    CLEAN = "clean"
    #: Asked to stop, and the grace time was not enough for what still ran.
    CUT = "cut"
    #: No account can go on.
    NO_ACCOUNTS = "no accounts"


@attrs.frozen(kw_only=True)
class AppPolicy:
    """What holds for the whole bot.

    Attributes:
        grace_seconds: How long a shutdown waits for handlers and replies.
        ask_in: Rooms in which questions to a person are put, besides the terminal.
        seed: Seed of the random generator (jitter), or None for a different one each time.
    """

    prefixes: tuple[str, ...] = ("/", "／")
    rooms: RoomSettings = attrs.field(factory=RoomSettings)
    dispatch: DispatchPolicy = attrs.field(factory=DispatchPolicy)
    journal: JournalPolicy = attrs.field(factory=JournalPolicy)
    grace_seconds: float = 10.0
    ask_in: tuple[Place, ...] = ()
    seed: int | None = None


class App:
    """One bot: plugins, accounts, and the tasks that serve them."""

    def __init__(
        self,
        policy: AppPolicy,
        *,
        clock: Clock,
        human: Human | Sequence[Human],
        threads: InThread = in_thread,
        store: Store | None = None,
    ) -> None:
        self.policy = policy
        self.clock = clock
        self.observers = Observers()
        self.rng = random.Random(policy.seed)
        self.supervisors: list[Supervisor] = []
        self.ended = trio.Event()
        self.store = store
        keep = store is not None and policy.journal.on
        self.journal = Journal(store, clock, policy.journal) if store is not None and keep else None
        catalogue = load()
        self.registry = Registry(policy.prefixes)
        self.rooms = Rooms(policy.rooms, catalogue)
        self.accounts = Accounts()
        self.identity = Identity(store, clock)
        humans = human if isinstance(human, Sequence) else (human,)
        self.questions = Questions(humans, self.rooms, policy.ask_in)
        self.dispatcher = Dispatcher(
            self.registry,
            clock=clock,
            observers=self.observers,
            catalogue=catalogue,
            rooms=policy.rooms,
            policy=policy.dispatch,
            threads=threads,
            journal=self.journal,
        )
        self.host = Host(self.registry, self._services(), version=__version__)

    def _services(self) -> Mapping[type[Any], object]:
        """Return what handlers may ask for by type."""

        def plugins() -> Sequence[tuple[str, str]]:
            reports = self.host.reports.values()
            return [(r.name, r.version) for r in reports if r.state is PluginState.LOADED]

        info = BotInfo(version=__version__, started=self.clock.now(), plugins=plugins, links=self.links)
        return {
            Rooms: self.rooms,
            Accounts: self.accounts,
            Questions: self.questions,
            Commands: Commands(self.registry),
            BotInfo: info,
        }

    def links(self) -> Sequence[LinkState]:
        """Return the state of every connection."""
        return [supervisor.state for supervisor in self.supervisors]

    def add_account(self, adapter: Adapter, link: LinkPolicy, outbox: OutboxPolicy) -> Supervisor:
        """Add an account before the bot runs."""
        box = Outbox(adapter.account, adapter.limits, outbox, self.observers, self.journal)
        supervisor = Supervisor(
            adapter,
            box,
            self.dispatcher,
            human=self.questions,
            observers=self.observers,
            clock=self.clock,
            policy=link,
            rng=self.rng,
        )
        self.rooms.account(adapter, box)
        self.accounts.add(adapter)
        self.dispatcher.account(adapter.account, box, ())
        self.supervisors.append(supervisor)
        return supervisor

    def idle(self) -> bool:
        """Whether no handler runs or waits and nothing is left to send."""
        return not self.dispatcher.busy and not any(len(s.outbox) for s in self.supervisors)

    async def run(
        self, stop: trio.Event, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> End:
        """Run until *stop* is set or no account can go on; `ended` is set when it returns.

        Cancellation: ends at once; sessions still say good-bye, within two seconds.
        """
        async with trio.open_nursery() as stores:
            if self.store is not None:
                await stores.start(self.store.run)
            end = await self._run(stop, lambda: task_status.started())
            stores.cancel_scope.cancel(reason="shutdown: nobody writes any more")
        return end

    async def _resume(self) -> None:
        """Take up what an earlier run has left."""
        assert self.journal is not None
        await self.identity.load()
        left = await self.journal.load()
        if self.dispatcher.closed:
            return  # over before it began: the rows stay for the next start
        self.dispatcher.resume(left)
        boxes = {supervisor.adapter.account: supervisor.outbox for supervisor in self.supervisors}
        for one in left.unsent:
            box = boxes.get(one.draft.room.account)
            if box is not None:
                box.resume(one)
            else:
                log.warning("its account is gone: not sent", room=str(one.draft.room))
                self.journal.sent(one.row)

    async def _run(self, stop: trio.Event, started: Callable[[], None]) -> End:
        self.dispatcher.refresh()
        scheduler = Scheduler(self.dispatcher, self.clock, self.observers)
        unfinished = False
        try:
            with trio.CancelScope() as hard:
                async with trio.open_nursery() as links:
                    async with trio.open_nursery() as handlers:
                        await handlers.start(self.dispatcher.run)
                        if self.journal is not None:
                            links.start_soon(self._resume, name="resume")
                        async with trio.open_nursery() as sources:
                            sources.start_soon(scheduler.run, self.registry.jobs, name="scheduler")
                            for supervisor in self.supervisors:
                                links.start_soon(
                                    self._supervise, supervisor, stop, name=str(supervisor.adapter.account)
                                )
                            started()
                            await stop.wait()
                            sources.cancel_scope.cancel(reason="shutdown: no new work")
                        log.info(
                            "stopping",
                            grace_seconds=self.policy.grace_seconds,
                            **self.dispatcher.statistics(),
                        )
                        unfinished = not self.idle()
                        self.dispatcher.close()
                        hard.deadline = trio.current_time() + self.policy.grace_seconds
                    for supervisor in self.supervisors:
                        await supervisor.outbox.drain()
                    links.cancel_scope.cancel(reason="shutdown: everything was sent")
        finally:
            self.ended.set()
        for supervisor in self.supervisors:
            supervisor.outbox.close("the bot is stopping", keep=True)
        if self.supervisors and all(s.state.fatal for s in self.supervisors):
            return End.NO_ACCOUNTS
        if hard.cancelled_caught and unfinished:
            log.error(
                "the grace time was over: what still ran was cut", grace_seconds=self.policy.grace_seconds
            )
            return End.CUT
        return End.CLEAN

    async def _supervise(self, supervisor: Supervisor, stop: trio.Event) -> None:
        await supervisor.run()
        exits = supervisor.policy.reconnect is Reconnect.EXIT
        if exits or all(s.stopped for s in self.supervisors):
            stop.set()
