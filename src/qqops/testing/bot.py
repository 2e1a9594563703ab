"""One bot under test: its life, the world around it, and what it says and does there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar, overload

import attrs
import trio

from qqops.adapters.memory import MemoryNetwork
from qqops.app import App
from qqops.errors import PluginError
from qqops.model import Action, At, Delivery, Draft, Event, MemberRole, MessageRef, Outcome, Segment
from qqops.plugin.host import PluginState
from qqops.plugin.plugin import Plugin
from qqops.plugin.plugins import PluginChange
from qqops.runtime.observe import Broke, Handled, LinkState, Record
from qqops.testing import leaks
from qqops.testing.heard import Heard, Said
from qqops.testing.http import HttpUnderTest
from qqops.testing.people import RoomUnderTest, UserUnderTest
from qqops.testing.virtual import HeldThreads, VirtualClock

T = TypeVar("T", bound="Segment | Action")


class BotUnderTest:
    """A running bot, and the world around it.

    Attributes:
        app: The bot; another one after `restart`.
        networks: The worlds of its accounts, by name.
        heard: What it has said and done.
        http: What answers its calls of the web, and those that it has made.
        records: What its observers were told.
        leaks: What it has left behind when it was stopped.
    """

    def __init__(
        self,
        make: Callable[[], App],
        networks: Mapping[str, MemoryNetwork],
        clock: VirtualClock,
        held: HeldThreads,
        http: HttpUnderTest,
        *,
        lasting: bool,
    ) -> None:
        self.networks = networks
        self.network = next(iter(networks.values()))
        self.clock = clock
        self.http = http
        self.heard = Heard()
        self.records: list[Record] = []
        self.leaks: list[str] = []
        self.app = make()
        self._make = make
        self._held = held
        self._lasting = lasting
        self._news = trio.Event()
        for name, network in networks.items():
            by = "bot" if len(networks) == 1 else f"bot {name}"
            network.heard = functools.partial(self._hear, by=by)
            network.acted = functools.partial(self.heard.note, by=by)

    # -- its life -------------------------------------------------------------------------------

    async def begin(self, nursery: trio.Nursery) -> None:
        """Run `app` in *nursery*, until `stop`; returns when it is online and has nothing to do."""
        self._nursery = nursery
        self._ground = leaks.Ground.now()
        self._stop, self._over = trio.Event(), trio.Event()
        self.app.observers.add(self._note)
        await nursery.start(self._run, name="bot")
        await trio.testing.wait_all_tasks_blocked()

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128 - the app says it
        self._root = trio.lowlevel.current_task()
        try:
            await self.app.run(self._stop, task_status)
        finally:
            self._over.set()

    async def stop(self) -> None:
        """Stop the bot as an administrator does, and return when it has ended."""
        if self._over.is_set():
            return
        self.leaks += leaks.strays(self.app, self._root)
        self._stop.set()
        await self._over.wait()
        self.leaks += await leaks.at_the_end(self.app, self._ground, self._held)

    async def finish(self) -> None:
        """Stop the bot at the end of the test: a question that is still open is one that the test has forgotten."""
        if not self._over.is_set():
            self.leaks += leaks.unanswered(self.app)
        await self.stop()

    async def restart(self) -> None:
        """Stop the bot and start it again in the same world; what it keeps is in the *folder* of `Bots.run`."""
        assert self._lasting, "nothing outlives a bot without a folder: bots.run(plugin, folder=tmp_path)"
        await self.stop()
        self.transcript.append("... restart")
        self.app = self._make()
        await self.begin(self._nursery)

    async def reload(self, plugin: Plugin) -> PluginChange:
        """Put *plugin* in the place of the loaded copy of its name, as ``/plugin reload`` does from files.

        Returns:
            What came of it. What the old copy has left running is a leak as well.

        Raises:
            PluginError: It cannot be loaded; the old copy goes on.
        """
        host = self.app.host
        self._check_loaded(plugin.name)
        before = host.candidates[plugin.name]
        host.candidates[plugin.name] = attrs.evolve(before, load=lambda: plugin)
        self.transcript.append(f"... reload {plugin.name}")
        change = await self.app.plugins.reload(plugin.name)
        if not change.done:
            host.candidates[plugin.name] = before
            raise PluginError(change.reason, plugin=plugin.name)
        self.leaks += [f"{plugin.name}: after a reload, {one}" for one in change.left]
        await trio.testing.wait_all_tasks_blocked()
        return change

    async def unload(self, plugin: str) -> PluginChange:
        """Unload the plugin *plugin*, as ``/plugin off --everywhere`` does. What it has left running is a leak as well."""
        self._check_loaded(plugin)
        self.transcript.append(f"... unload {plugin}")
        change = await self.app.plugins.unload(plugin)
        self.leaks += [f"{plugin}: after it was unloaded, {one}" for one in change.left]
        return change

    def _check_loaded(self, plugin: str) -> None:
        loaded = [one.name for one in self.app.plugins.all() if one.state is PluginState.LOADED]
        assert plugin in loaded, f"there is no plugin {plugin!r}; there are: {', '.join(loaded) or 'none'}"

    async def advance(self, seconds: float) -> None:
        """Let *seconds* of virtual time pass; everything that is due in them happens."""
        self.transcript.append(f"... {seconds:g}s")
        await trio.sleep(seconds)
        await trio.testing.wait_all_tasks_blocked()

    async def settle(self) -> None:
        """Wait until nothing is left to do at this moment."""
        await trio.testing.wait_all_tasks_blocked()

    async def run_job(self, job: str) -> None:
        """Run the job *job* (its name, or ``PLUGIN:NAME``) now, and wait until it has ended."""
        names = [one.id for one in self.app.jobs.list()]
        found = [one for one in names if job in (one, one.partition(":")[2])]
        assert len(found) == 1, f"there is no one job {job!r}; there are: {', '.join(names) or 'none'}"
        self.transcript.append(f"... job {found[0]}")
        self.app.jobs.run(found[0])
        await trio.testing.wait_all_tasks_blocked()
        while any(one.id == found[0] and one.running for one in self.app.jobs.list()):
            self._news = trio.Event()
            await self._news.wait()
            await trio.testing.wait_all_tasks_blocked()

    # -- its world ------------------------------------------------------------------------------

    def room(self, name: str, *, accounts: Collection[str] = ()) -> RoomUnderTest:
        """Return the group *name*, in which these *accounts* are; without any the first one."""
        names = (accounts,) if isinstance(accounts, str) else accounts
        inside = [self._network_of(one) for one in names] or [self.network]
        return RoomUnderTest(self, [(network, network.group(name)) for network in inside])

    def user(
        self,
        name: str,
        *,
        room: RoomUnderTest | None = None,
        roles: str | Collection[str] = (),
        account: str = "",
    ) -> UserUnderTest:
        """Return the person *name*, who speaks in *room*, or with the bot alone when there is none.

        Args:
            roles: What the person has from now on: a role, or several. ``room.admin`` and the like hold in *room*, and
                without one in every group.
            account: Whom they speak with alone, where it is not the first.
        """
        for role in (roles,) if isinstance(roles, str) else roles:
            place, _, kind = role.partition("room.")
            kinds = [one.value for one in MemberRole]
            assert place or kind in kinds, (
                f"there is no role {role!r} in a room; there are: {', '.join(kinds)}"
            )
            for network in self.networks.values():
                if not place:
                    network.become(name, MemberRole(kind), room.name if room is not None else "")
                else:
                    self.app.access.give(role, str(network.user(name).ref))
        if room is None:
            network = self._network_of(account)
            room = RoomUnderTest(self, [(network, network.private(name))])
        elif not room.room.private:
            for network, one in room.rooms:
                network.group(one.name, name)
        return UserUnderTest(self, name, room)

    def at(self, account: str = "") -> At:
        """Return a mention of the bot, as a piece of what people say."""
        return self._network_of(account).at

    async def event(self, event: Event) -> None:
        """Let *event* happen, of whatever class, and let the bot react as far as it can without waiting."""
        self.transcript.append(f"... {type(event).__name__}")
        next(n for n in self.networks.values() if n.account == event.account).happen(event)
        await trio.testing.wait_all_tasks_blocked()

    def drop_connection(self, account: str = "") -> None:
        """Break the connection; the supervisor brings it back after its delay."""
        network = self._network_of(account)
        assert network.drop(), "there is no connection to drop"

    def _network_of(self, account: str) -> MemoryNetwork:
        """Return the world of *account*; "" for the first."""
        known = ", ".join(self.networks)
        assert not account or account in self.networks, f"there is no account {account!r}; there are: {known}"
        return self.networks[account] if account else self.network

    def refuse(self, reason: str, delivery: Delivery = Delivery.REFUSED) -> None:
        """Let nothing that the bot sends or does succeed from now on, for this *reason*; "" ends that."""
        for network in self.networks.values():
            network.refusal = Outcome(delivery=delivery, reason=reason) if reason else None

    # -- what it says and does ------------------------------------------------------------------

    @property
    def transcript(self) -> list[str]:
        """Everything that was said, done and waited for, a line each."""
        return self.heard.transcript

    @property
    def failures(self) -> list[Handled | Broke]:
        """What has failed and nobody has expected to; see `Heard`."""
        return self.heard.failures

    @property
    def actions(self) -> list[Action]:
        """Everything that the bot has done besides sending, in order."""
        return [action for network in self.networks.values() for action in network.done]

    @property
    def links(self) -> list[LinkState]:
        """Every state that the connection has had."""
        return [r for r in self.records if isinstance(r, LinkState)]

    @overload
    async def expect(self, wanted: str, *, within: float = 10.0) -> Said: ...
    @overload
    async def expect(self, wanted: type[T], *, within: float = 10.0) -> T: ...
    async def expect(self, wanted: str | type[Any], *, within: float = 10.0) -> Any:
        """Wait for something in whatever room, or in none; see `RoomUnderTest.expect`."""
        __tracebackhide__ = True
        return await self.heard.expect(wanted, None, within)

    def _hear(self, draft: Draft, ref: MessageRef, by: str) -> None:
        self.heard.note(Said.of(draft, ref), by)

    def _note(self, record: Record) -> None:
        self.records.append(record)
        if isinstance(record, Handled | Broke) and record.error is not None:
            self.heard.failures.append(record)
        self._news.set()
