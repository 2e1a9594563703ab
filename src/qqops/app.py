"""The bot as a whole: what there is, and who owns which tasks. Read this first.

Nested nurseries; inner ones end first, so the order of the shutdown is the order of nesting::

    store       the file, if there is one           ends after everything that writes to it
    links       one supervisor per account, and     ends last: replies must still go out
                the ports on which we are called
    services    what plugins lean on                each is left after whoever leans on it
    handlers    dispatcher: everything that runs    gets a grace time
    sources     what creates work: jobs and tasks   ends first: no new work
"""

from __future__ import annotations

import contextlib
import functools
import pathlib
import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import structlog
import trio

from qqops import __version__
from qqops.adapters.base import Adapter, Operator
from qqops.model import Clock, User
from qqops.plugin._asking import reader_for
from qqops.plugin.host import Configure, Host, PluginState, defaults
from qqops.plugin.plugins import Plugins
from qqops.runtime.access import Access
from qqops.runtime.accounts import Accounts
from qqops.runtime.alarms import Alarms
from qqops.runtime.aliases import Aliases
from qqops.runtime.app_policy import AppPolicy as AppPolicy
from qqops.runtime.app_policy import End as End
from qqops.runtime.approvals import Approvals
from qqops.runtime.audit import Audit
from qqops.runtime.context import Context
from qqops.runtime.conversations import Conversations, Reader
from qqops.runtime.dispatch import Dispatcher
from qqops.runtime.files import Folders
from qqops.runtime.gate import Gate, Request
from qqops.runtime.hidden import Hidden
from qqops.runtime.info import BotInfo, Commands
from qqops.runtime.jobs import Jobs
from qqops.runtime.links import Links
from qqops.runtime.listener import Listeners
from qqops.runtime.locks import Locks
from qqops.runtime.narrator import Narrator
from qqops.runtime.observe import Observers
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.own_routes import OwnListeners
from qqops.runtime.owners import Owners
from qqops.runtime.questions import Questions
from qqops.runtime.registry import Registry
from qqops.runtime.rooms import Rooms
from qqops.runtime.scheduler import Scheduler
from qqops.runtime.services import Services
from qqops.runtime.shelves import Shelves
from qqops.runtime.storage.blobs import Blobs, waiting_in
from qqops.runtime.storage.directory import NameDirectory
from qqops.runtime.storage.drawers import Drawers, KeptDrawers
from qqops.runtime.storage.journal import Journal
from qqops.runtime.storage.keep import Keep, keep_in
from qqops.runtime.storage.store import Store
from qqops.runtime.supervisor import LinkPolicy, Supervisor
from qqops.runtime.tally import Sends
from qqops.runtime.tasks import Tasks
from qqops.runtime.threads import InThread, in_thread
from qqops.runtime.watchdog import Watchdog
from qqops.runtime.web import HTTP
from qqops.texts import load

if TYPE_CHECKING:
    from qqops.adapters.http.client import Http

log = structlog.get_logger("qqops.app")

#: Seconds the start waits for what is known about access; after that the bot comes online and lets nobody in until then.
ACCESS_PATIENCE = 10.0

#: Seconds in which the audit's last lines must be on the disk when the bot ends.
AUDIT_LAST = 5.0


class App:
    """One bot: plugins, accounts, and the tasks that serve them."""

    def __init__(
        self,
        policy: AppPolicy,
        *,
        clock: Clock,
        operator: Operator | Sequence[Operator],
        threads: InThread = in_thread,
        store: Store | None = None,
        configure: Configure = defaults,
        drawers: Drawers | None = None,
        audit: Audit | None = None,
        watch: bool = False,
        hidden: Hidden | None = None,
        files: pathlib.Path | None = None,
        web: Callable[[], Http] | None = None,
    ) -> None:
        self.policy = policy
        self.clock = clock
        self.observers = Observers()
        self.rng = random.Random(policy.seed)
        self.ended = trio.Event()
        self.listeners = Listeners(self.observers.tell)
        self.store = store
        self.journal = (
            Journal(store, clock, policy.journal) if store is not None and policy.journal.on else None
        )
        self.hidden = hidden or Hidden()
        self._catalogue = catalogue = attrs.evolve(load(), hide=self.hidden.mask)
        self.aliases = Aliases(self.keep("aliases"))
        self.registry = Registry(policy.prefixes, policy.commands, self.aliases)
        self.rooms = Rooms(policy.rooms, catalogue)
        self.accounts = Accounts(self.rooms.send)
        self.directory = NameDirectory(store, clock)
        self.blobs = Blobs(
            store if self.journal is not None else None, policy.blobs, clock, self._content_waiting
        )
        operators = operator if isinstance(operator, Sequence) else (operator,)
        self.questions = Questions(operators, self.rooms, policy.ask_in, self.rng)
        kept_access = self.keep("access")
        self.gate = Gate(policy.access, clock=clock, keep=kept_access)
        self.registry.visible = self.gate.may_run
        self.registry.chain.tell = self.observers.tell
        self.access = Access(self.gate, kept_access, clock, self.registry)
        self.talks = Conversations(Alarms(), self._reader, ask_missing=policy.ask_missing)
        kept = drawers or KeptDrawers(self.keep)
        self.audit = audit or Audit(clock)
        self.locks = Locks(kept, self.audit, clock)
        self.approvals = Approvals(kept, self.audit, clock, self.talks.alarms)
        self.gate.add_doors(self.locks, self.approvals, self.audit)
        self.dispatcher = Dispatcher(
            self.registry,
            clock=clock,
            observers=self.observers,
            catalogue=catalogue,
            rooms=self.rooms.named,
            policy=policy.dispatch,
            threads=threads,
            journal=self.journal,
            gate=self.gate,
            talks=self.talks,
            approvals=self.approvals,
            known=self.rooms,
        )
        self._watchdog = Watchdog(self.registry, self.gate.halted) if watch else None
        self.links = Links(
            self.dispatcher, self.rooms, self.accounts, self.questions, observers=self.observers, clock=clock, rng=self.rng,
            journal=self.journal, blobs=self.blobs, chain=self.registry.chain,
        )  # fmt: skip
        self.jobs = Jobs(clock, self.keep("jobs"), self.keep("made-jobs"), self.rooms.named.zone)
        self.services = Services(self.rng, tell=self.observers.tell)
        self.tasks = Tasks(self.rng, tell=self.observers.tell)
        client = functools.partial(HTTP, policy=policy.http, connect=web, now=clock.now)
        self.shelves = Shelves(store, clock, self.observers.tell, Folders(files, threads), client)
        self.owners = Owners(
            self.dispatcher.handlers, self.jobs, self.tasks, self.services, self.listeners, self.shelves,
            lambda plugin: [one for one in self.registry.jobs if one.handler.plugin == plugin],
        )  # fmt: skip
        self.plugins = Plugins(self.owners, self.links, self.keep("plugins"), self.refresh, self.listeners.of)
        self.host = Host(
            self.registry,
            self._injected(),
            version=__version__,
            own=lambda plugin: {
                **self.shelves.own(plugin),
                Rooms: self.rooms.of_plugin(plugin),
                Listeners: OwnListeners(self.listeners, plugin),
            },
            configure=configure,
            adopt=lambda config: self.rooms.named.here(self.hidden.learned(config)),
            provided=self.services,
            tasks=self.tasks,
            forget=self.shelves.reopen,
        )
        self.plugins.host = self.host

    def _injected(self) -> Mapping[type[Any], object]:
        """Return what handlers may ask for by type."""

        def plugins() -> Sequence[tuple[str, str]]:
            reports = self.host.reports.values()
            return [(r.name, r.version) for r in reports if r.state is PluginState.LOADED]

        info = BotInfo(
            version=__version__,
            started=self.clock.now(),
            plugins=plugins,
            links=self.links.states,
            sends=self.sends,
        )
        return {
            Rooms: self.rooms,
            Access: self.access,
            Accounts: self.accounts,
            Questions: self.questions,
            Commands: Commands(self.registry),
            BotInfo: info,
            Jobs: self.jobs,
            Approvals: self.approvals,
            Locks: self.locks,
            Audit: self.audit,
            Aliases: self.aliases,
            Blobs: self.blobs,
            Listeners: self.listeners,
            Plugins: self.plugins,
            Links: self.links,
        }

    def _reader(self, kind: Any, ctx: Context) -> Reader:
        """Return how an answer of type *kind* is read, with what the plugin that asks can convert to."""
        return reader_for(kind, ctx, self.host.converters_of(ctx.plugin))

    def keep(self, name: str) -> Keep:
        """Return what the core keeps under *name*: in the store, or in memory when there is none."""
        return keep_in(self.store, f"core:{name}")

    def _content_waiting(self) -> set[str]:
        return waiting_in(draft for supervisor in self.supervisors for draft in supervisor.outbox.drafts())

    @property
    def supervisors(self) -> list[Supervisor]:
        """One for each account."""
        return self.links.supervisors

    def sends(self) -> Sequence[Sends]:
        """Return how the sends to each room went."""
        return [sends for supervisor in self.supervisors for sends in supervisor.outbox.tally.rooms()]

    def add_account(
        self,
        adapter: Adapter,
        link: LinkPolicy,
        outbox: OutboxPolicy,
        again: Callable[[], Adapter] | None = None,
    ) -> Supervisor:
        """Add an account; see `Links.add`."""
        return self.links.add(adapter, link, outbox, again)

    def narrate(self) -> None:
        """Tell in the debug log what becomes of every message from now on."""
        self.dispatcher.execution.narrator = Narrator(self._catalogue)

    def forget_names(self) -> None:
        """No account makes use of `directory`: the store need not be opened for it."""
        self.directory = NameDirectory(None, self.clock)
        if self.journal is None and self.store is not None:
            self.store.eager = False

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
            await stores.start(self.audit.run)
            with contextlib.ExitStack() as guards:
                guards.enter_context(self.dispatcher.bounds.installed())
                if self._watchdog is not None:
                    guards.enter_context(self._watchdog.watching())
                end = await self._run(stop, lambda: task_status.started())
            with trio.move_on_after(AUDIT_LAST):
                await self.audit.close()
            stores.cancel_scope.cancel(reason="shutdown: nobody writes any more")
        return end

    async def _resume(self) -> None:
        """Take up what an earlier run has left."""
        assert self.journal is not None
        await self.directory.load()
        left = await self.journal.load()
        if self.dispatcher.closed:
            return  # over before it began: the rows stay for the next start
        for adapter in (supervisor.adapter for supervisor in self.supervisors):
            if (tell := getattr(adapter, "heard_before", None)) is not None:
                tell(
                    [key[2:] for where, key in left.seen if where == adapter.account and key[0] == "Message"]
                )
        self.dispatcher.resume(left)
        boxes = {supervisor.adapter.account: supervisor.outbox for supervisor in self.supervisors}
        for one in left.unsent:
            box = boxes.get(one.draft.room.account)
            if box is not None:
                box.resume(one)
            else:
                log.warning("its account is gone: not sent", room=str(one.draft.room))
                self.journal.sent(one.row)
        self.blobs.resumed.set()

    def refresh(self) -> None:
        """Take over what the plugins declare now."""
        self.dispatcher.refresh()
        identities, vetoes = self.host.callers("qqops_identity"), self.host.callers("qqops_permission")

        def identify(user: User) -> list[str]:
            return [role for _, call in identities for role in call(user=user)]

        self.gate.roles.identify = identify if identities else None
        self.gate.vetoes = tuple((name, _asking(call)) for name, call in vetoes)
        self.gate.refresh()

    async def _watch(self, stop: trio.Event) -> None:
        await self.links.given_up()
        stop.set()

    async def _load_access(self) -> None:
        await self.access.load()
        if self.policy.claim_owner and (code := self.access.offer_ownership()):
            log.warning(
                "this bot has no owner yet: say this to it in a private chat, within 15 minutes",
                command=f"{self.policy.prefixes[0]}owner {code}",
            )

    async def _run(self, stop: trio.Event, started: Callable[[], None]) -> End:
        self.plugins.restore()
        self.refresh()
        self.jobs.load(self.registry.jobs)
        self.aliases.restore()
        scheduler = Scheduler(
            self.jobs, self.dispatcher, self.clock, self.observers, self.rng, self.rooms.say
        )
        unfinished = False
        try:
            with trio.CancelScope() as hard:
                async with trio.open_nursery() as links:
                    links.start_soon(self.blobs.run, name="blobs")
                    with trio.move_on_after(ACCESS_PATIENCE):
                        await self._load_access()
                    if not self.gate.loaded:
                        links.start_soon(self._load_access, name="access")
                    await links.start(self.listeners.run)
                    await links.start(self.questions.run)
                    async with trio.open_nursery() as services:
                        services.start_soon(self.shelves.upgrade, self.host.migrations, name="upgrade")
                        await services.start(self.services.run)
                        async with trio.open_nursery() as handlers:
                            await handlers.start(self.dispatcher.run)
                            if self.journal is not None:
                                links.start_soon(self._resume, name="resume")
                            async with trio.open_nursery() as sources:
                                await links.start(self.links.run)
                                sources.start_soon(scheduler.run, name="scheduler")
                                sources.start_soon(self.tasks.run, name="tasks")
                                sources.start_soon(self._watch, stop, name="watch")
                                await self.locks.load()
                                await self.approvals.load()
                                started()
                                await stop.wait()
                                self.listeners.close()
                                sources.cancel_scope.cancel(reason="shutdown: no new work")
                            log.info(
                                "stopping",
                                grace_seconds=self.policy.grace_seconds,
                                **self.dispatcher.statistics(),
                            )
                            unfinished = not self.idle() or bool(self.dispatcher.statistics()["asking"])
                            self.dispatcher.close()
                            hard.deadline = trio.current_time() + self.policy.grace_seconds
                        await self.services.close()
                        services.cancel_scope.cancel(reason="shutdown: nobody leans on them now")
                    for supervisor in self.supervisors:
                        await supervisor.outbox.drain()
                    links.cancel_scope.cancel(reason="shutdown: everything was sent")
        finally:
            with trio.move_on_after(2, shield=True):
                await self.shelves.close()
            self.shelves.folders.discard()
            self.ended.set()
        for supervisor in self.supervisors:
            supervisor.outbox.close("the bot is stopping", keep=True)
        if (self.supervisors or self.links.ended) and all(s.state.fatal for s in self.supervisors):
            return End.NO_ACCOUNTS
        if hard.cancelled_caught and unfinished:
            log.error(
                "the grace time was over: what still ran was cut", grace_seconds=self.policy.grace_seconds
            )
            return End.CUT
        return End.CLEAN


def _asking(call: Callable[..., Any]) -> Callable[[Request], object]:
    return lambda request: call(request=request)
