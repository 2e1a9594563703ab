"""A bot under test: the real dispatcher, outbox, scheduler and supervisor on a network in memory."""

from __future__ import annotations

import contextlib
import difflib
import pathlib
import re
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import Any

import attrs
import trio

from qqops._structure import SettingsFile, is_secret, structure
from qqops.adapters.base import Question
from qqops.adapters.memory import EVERYTHING, MemoryAdapter, MemoryNetwork
from qqops.app import App, AppPolicy
from qqops.errors import NeedsHuman, PluginError
from qqops.model import AccountRef, Capabilities, Clock, Draft, MemberRole, Pace, Room, RoomRef, Secret
from qqops.plugin.host import Candidate, PluginState
from qqops.plugin.plugin import Plugin
from qqops.runtime.audit import Audit
from qqops.runtime.observe import LinkState, Record
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.storage.drawers import Drawers
from qqops.runtime.storage.store import Store
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.virtual import HeldThreads, VirtualClock


class Nobody:
    """A `qqops.adapters.base.Operator` that is never there."""

    async def ask(self, question: Question) -> str:
        """Refuse."""
        raise NeedsHuman(question.text)

    async def show(self, question: Question) -> None:
        """Refuse."""
        raise NeedsHuman(question.text)


def _configured(cls: type[Any], config: Mapping[str, Any], plugin: str) -> Any:
    values = {
        key: Secret(v) if isinstance(v, str) and is_secret(cls, key) else v for key, v in config.items()
    }
    return structure(values, cls, SettingsFile(pathlib.Path("test"), ""), f"plugins.{plugin}")


class Bots:
    """Starts bots. Injected as the fixture ``bots``."""

    def __init__(self) -> None:
        self._run = 0

    @contextlib.asynccontextmanager
    async def run(
        self,
        *plugins: Plugin,
        policy: AppPolicy | None = None,
        pace: Pace | None = None,
        can: Capabilities | None = None,
        config: Mapping[str, Any] | None = None,
        folder: pathlib.Path | None = None,
        clock: VirtualClock | None = None,
        drawers: Drawers | None = None,
        audit: Callable[[Clock], Audit] | None = None,
    ) -> AsyncGenerator[BotUnderTest]:
        """Run a bot with *plugins* until the block ends.

        Args:
            policy: Without a seed it gets one: a test does the same every time.
            pace: How fast the network lets the bot send, to impersonate a platform.
            can: What the network can do, for the same.
            config: What the settings would say in ``[plugins.NAME]``, for every plugin that asks.
            folder: Where the store is kept; without one in memory, and nothing outlives the block.
            drawers: What survives from one run to the next without a folder: locks, requests for approval.
            audit: Makes the audit; None for one in memory.
            clock: The wall clock, to be set forward or back, or to go on after a restart.

        Raises:
            PluginError: A plugin cannot be loaded.
        """
        clock = clock or VirtualClock()
        held = HeldThreads()
        policy = policy or AppPolicy()
        app = App(
            policy if policy.seed is not None else attrs.evolve(policy, seed=1),
            clock=clock,
            operator=Nobody(),
            threads=held,
            store=Store(folder / "qqops.db", threads=held) if folder is not None else None,
            configure=lambda plugin, cls: _configured(cls, config or {}, plugin),
            drawers=drawers,
            audit=audit(clock) if audit is not None else None,
        )
        for plugin in plugins:
            report = app.host.load(Candidate(name=plugin.name, load=lambda p=plugin: p))  # type: ignore[misc]
            if report.state is not PluginState.LOADED:
                raise PluginError(report.reason, plugin=plugin.name, where=report.where)
        # A bot that is started again in the same folder knows the messages of its first life.
        self._run += 1
        first = 1 if folder is None else self._run * 1_000_000
        network = MemoryNetwork(AccountRef("memory", "test"), clock, first=first)
        app.add_account(
            MemoryAdapter(network, pace or Pace(), can or EVERYTHING), LinkPolicy(), OutboxPolicy()
        )
        bot = BotUnderTest(app, network, clock)
        stop = trio.Event()
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            await nursery.start(app.run, stop)
            await trio.testing.wait_all_tasks_blocked()
            try:
                yield bot
            except Exception as exc:  # noqa: BLE001 - raised below, so that the author sees it without a group
                failure = exc
            stop.set()
        if failure is not None:
            raise failure


class BotUnderTest:
    """A running bot, and the people around it."""

    def __init__(self, app: App, network: MemoryNetwork, clock: VirtualClock) -> None:
        self.app = app
        self.network = network
        self.clock = clock
        self.transcript: list[str] = []
        self.records: list[Record] = []
        self._unread: list[Draft] = []
        self._said = trio.Event()
        network.heard = self._hear
        app.observers.add(self.records.append)

    def room(self, name: str) -> RoomUnderTest:
        """Return the group *name*."""
        return RoomUnderTest(self, self.network.group(name))

    def user(
        self, name: str, *, room: RoomUnderTest | None = None, roles: Collection[str] = ()
    ) -> UserUnderTest:
        """Return the person *name*, who speaks in *room*, or with the bot alone when there is none.

        Args:
            roles: What the person has from now on; ``room.admin`` and the like hold in every group.
        """
        for role in roles:
            place, _, kind = role.partition("room.")
            if not place:
                self.network.become(name, MemberRole(kind))
            else:
                self.app.access.give(role, str(self.network.user(name).ref))
        if room is not None:
            self.network.group(room.name, name)
        return UserUnderTest(self, name, room or RoomUnderTest(self, self.network.private(name)))

    async def advance(self, seconds: float) -> None:
        """Let *seconds* of virtual time pass; everything that is due in them happens."""
        self.transcript.append(f"... {seconds:g}s")
        await trio.sleep(seconds)
        await trio.testing.wait_all_tasks_blocked()

    async def settle(self) -> None:
        """Wait until nothing is left to do at this moment."""
        await trio.testing.wait_all_tasks_blocked()

    def drop_connection(self) -> None:
        """Break the connection; the supervisor brings it back after its delay."""
        assert self.network.drop(), "there is no connection to drop"

    @property
    def links(self) -> list[LinkState]:
        """Every state that the connection has had."""
        return [r for r in self.records if isinstance(r, LinkState)]

    def _hear(self, draft: Draft) -> None:
        self._unread.append(draft)
        self.transcript.append(f"bot> {draft.text}")
        self._said.set()

    async def expect(self, pattern: str, room: RoomRef, within: float) -> str:
        """Wait until the bot has said something in *room* that *pattern* is found in; return its text."""
        with trio.move_on_after(within):
            while True:
                for draft in self._unread:
                    if draft.room == room and re.search(pattern, draft.text):
                        self._unread.remove(draft)
                        return draft.text
                self._said = trio.Event()
                await self._said.wait()
        raise AssertionError(self._explain(pattern, room, within))

    def unread(self, room: RoomRef) -> list[str]:
        """Return what the bot has said in *room* and no expectation has taken."""
        return [d.text for d in self._unread if d.room == room]

    def _explain(self, pattern: str, room: RoomRef, within: float) -> str:
        texts = [d.text for d in self._unread if d.room == room]
        nearest = max(texts, key=lambda t: difflib.SequenceMatcher(None, t, pattern).ratio(), default=None)
        shown = "\n  ".join(self.transcript) or "(nothing was said)"
        got = f"nearest answer: {nearest!r}" if nearest is not None else "the bot said nothing more here"
        return f"expected {pattern!r} within {within:g} s\n{got}\ntranscript so far:\n  {shown}"


class RoomUnderTest:
    """A room of the test."""

    def __init__(self, bot: BotUnderTest, room: Room) -> None:
        self._bot = bot
        self.room = room

    @property
    def name(self) -> str:
        """The room's name."""
        return self.room.name

    async def expect(self, pattern: str, *, within: float = 10.0) -> str:
        """Wait until the bot says something here that *pattern* is found in; return its text.

        Args:
            within: Virtual seconds to wait.
        """
        return await self._bot.expect(pattern, self.room.ref, within)

    async def quiet(self, seconds: float = 5.0) -> None:
        """Let *seconds* pass and check that the bot has nothing more to say here."""
        await trio.sleep(seconds)
        texts = self._bot.unread(self.room.ref)
        assert not texts, f"expected silence in {self.name}, but the bot said {texts}"


class UserUnderTest:
    """A person of the test."""

    def __init__(self, bot: BotUnderTest, name: str, room: RoomUnderTest) -> None:
        self._bot = bot
        self.name = name
        self.room = room

    async def say(self, text: str, *, room: RoomUnderTest | None = None) -> None:
        """Say *text* and let the bot react as far as it can without waiting."""
        where = room or self.room
        place = "" if where.room.private else f" in {where.name}"
        self._bot.transcript.append(f"{self.name}{place}> {text}")
        self._bot.network.say(self.name, where.room, text)
        await trio.testing.wait_all_tasks_blocked()

    async def expect(self, pattern: str, *, within: float = 10.0) -> str:
        """Wait for an answer where this person speaks; see `RoomUnderTest.expect`."""
        return await self.room.expect(pattern, within=within)
