"""What every adapter must do, as tests to inherit. On virtual time, against whatever stands in for the network.

An adapter's test module subclasses `AdapterContract` and says in `stage` how to build the adapter and the network
around it::

    class TestMyNetwork(AdapterContract):
        def stage(self, nursery):
            return MyStage(nursery)
"""

from __future__ import annotations

import abc
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, Protocol, cast

import attrs
import pytest
import trio
import trio.testing

from qqops.adapters.base import Adapter, Human
from qqops.app import App, AppPolicy, End
from qqops.model import (
    AccountRef,
    Action,
    At,
    Clock,
    Delivery,
    Face,
    Message,
    PersonRef,
    RoomKind,
    Segment,
    Text,
)
from qqops.plugin.host import Candidate
from qqops.plugin.plugin import Plugin
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.context import Context
from qqops.runtime.observe import BadData, LinkState, Phase, Record, Sent
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.virtual import VirtualClock, run_virtual


@attrs.frozen(kw_only=True)
class _Impossible(Action):
    """Something that no network can do."""

    account: AccountRef


class Stage(Protocol):
    """An adapter and the network around it.

    Attributes:
        adapter: What is tested. It belongs to a person called Ali and to two rooms, ``ops`` and ``qqops-test``, in
            which Ali and Bo are members.
        human: Who answers what only a person can do.
        patience: Seconds within which a dead connection must be found out and replaced.
    """

    adapter: Adapter
    human: Human
    patience: float

    def say(self, who: str, room: str, text: str) -> None:
        """Let *who* say *text* in *room*, or to the bot alone when *room* is ""."""

    def said(self) -> list[tuple[str, str]]:
        """Return what people have seen of the bot: (room or person, text)."""

    def connections(self) -> int:
        """Return how many connections the other side holds for good."""

    def drop(self) -> None:
        """Break the connection without a word."""

    def trouble(self, what: str) -> None:
        """Make one of the troubles in `AdapterContract.can`, once."""


class Bench:
    """A bot on a stage, and what was seen of it."""

    def __init__(self, stage: Stage, clock: Clock) -> None:
        self.stage = stage
        self.handled: list[str] = []
        self.records: list[Record] = []
        self.gate = trio.Event()
        self.gate.set()
        self.app = App(AppPolicy(seed=1), clock=clock, human=stage.human)
        self.app.host.load(Candidate(name="contract", load=self._plugin))
        self.app.observers.add(self.records.append)
        link = LinkPolicy(backoff=BackoffPolicy(first=0.5, cap=5.0))
        self.app.add_account(stage.adapter, link, OutboxPolicy(max_age=86400.0))
        self.ends: list[End] = []

    def _plugin(self) -> Plugin:
        plugin = Plugin("contract")

        @plugin.on(Message, regex=r"^(?P<word>\w+ \d+)$")
        async def answer(ctx: Context, word: str) -> str:
            self.handled.append(word)
            await self.gate.wait()
            return f"re {word}"

        @plugin.on(Message, regex="^long$")
        async def long(ctx: Context) -> str:  # noqa: ASYNC124 - as handlers are
            return "".join(f"{n:07d}\n" for n in range(600))

        @plugin.on(Message, regex="^endless$")
        async def endless(ctx: Context) -> str:  # noqa: ASYNC124 - as handlers are
            return "".join(f"{n:07d}\n" for n in range(100_000))

        @plugin.on(Message, regex="^poison$")
        async def poison(ctx: Context) -> tuple[Segment, ...]:  # noqa: ASYNC124 - as handlers are
            return (Text("poison"), Face(cast("int", {1, 2})), At(cast("PersonRef", None)))

        @plugin.on(Message, regex="^blank$")
        async def blank(ctx: Context) -> str:  # noqa: ASYNC124 - as handlers are
            return " \n "

        @plugin.on(Message, regex="^members$")
        async def members(ctx: Context) -> str:
            asked = await self.app.rooms.members(ctx.room.ref)
            known = {person.ref for person in ctx.people()}  # who was asked for is known without asking again
            return ",".join(sorted(user.name for user in asked if user.ref in known))

        return plugin

    @property
    def state(self) -> LinkState:
        """How the account is."""
        return self.app.supervisors[0].state

    def outcomes(self) -> list[tuple[str, Delivery]]:
        """Return what became of each send."""
        return [(r.draft.text, r.outcome.delivery) for r in self.records if isinstance(r, Sent)]

    async def until(self, condition: Callable[[], Any], within: float = 120.0) -> None:
        """Wait until *condition* holds; fails after *within* seconds of virtual time."""
        with trio.move_on_after(within):
            while not condition():  # noqa: ASYNC110 - it looks at a network and a bot at once
                await trio.sleep(0.01)
            return
        raise AssertionError(f"not within {within:g} s; the account is {self.state}")

    async def online(self) -> None:
        """Wait until the bot is connected."""
        await self.until(lambda: self.state.phase is Phase.ONLINE and self.stage.connections())
        await trio.sleep(0.2)

    async def run(self, stop: trio.Event) -> None:
        """Run the bot."""
        self.ends.append(await self.app.run(stop))


class AdapterContract(abc.ABC):
    """Inherit it and give `stage`.

    Attributes:
        can: Which of these the network has: the troubles ``duplicate``, ``garbage``, ``unknown``, ``refuse``, ``stall``
            and ``kick``; ``ids`` when it tells the ids of what was sent, ``keeps`` when it keeps what is said while
            nobody is connected. Tests that need another are skipped.
    """

    can: frozenset[str] = frozenset()

    @abc.abstractmethod
    def stage(self, nursery: trio.Nursery, clock: Clock) -> Stage:
        """Return a fresh adapter and its network. Tasks of the network run in *nursery*."""

    @contextlib.asynccontextmanager
    async def bench(self) -> AsyncGenerator[Bench]:
        """Run a bot until the block ends; then it must leave nothing behind."""
        clock = VirtualClock()
        async with trio.open_nursery() as nursery:
            bench = Bench(self.stage(nursery, clock), clock)
            stop = trio.Event()
            nursery.start_soon(bench.run, stop, name="the bot")  # noqa: ASYNC113 - tests wait for what they need
            yield bench
            stop.set()
            await bench.until(lambda: bench.ends, 30.0)
            assert bench.ends == [End.CLEAN]
            await bench.until(lambda: not bench.stage.connections(), 30.0)
            nursery.cancel_scope.cancel(reason="the test is over")

    @pytest.fixture(autouse=True)
    def _only_what_the_network_can(self, request: pytest.FixtureRequest) -> None:
        for mark in request.node.iter_markers("network_can"):
            if mark.args[0] not in self.can:
                pytest.skip(f"this network has no {mark.args[0]!r}")

    @pytest.mark.trio(run=run_virtual)
    async def test_a_message_is_handled_and_answered_where_it_was_said(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "ping 1")
            bench.stage.say("Bo", "qqops-test", "ping 2")
            bench.stage.say("Ali", "", "ping 3")
            await bench.until(lambda: len(bench.outcomes()) == 3)
            assert sorted(bench.stage.said()) == [
                ("Ali", "re ping 3"), ("ops", "re ping 1"), ("qqops-test", "re ping 2"),
            ]  # fmt: skip
            assert all(r.outcome.ok for r in bench.records if isinstance(r, Sent))
            if "ids" in self.can:
                assert all(r.outcome.refs for r in bench.records if isinstance(r, Sent))

    @pytest.mark.trio(run=run_virtual)
    async def test_one_persons_messages_are_handled_in_order_and_each_once(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            for n in range(30):
                bench.stage.say("Ali", "ops", f"ping {n}")
            await bench.until(lambda: len(bench.outcomes()) == 30, 600)
            assert bench.handled == [f"ping {n}" for n in range(30)]
            assert [text for _, text in bench.stage.said()] == [f"re ping {n}" for n in range(30)]

    @pytest.mark.trio(run=run_virtual)
    async def test_a_dropped_connection_comes_back_again_and_again(self) -> None:
        async with self.bench() as bench:
            for n in range(6):
                await bench.online()
                bench.stage.say("Ali", "ops", f"ping {n}")
                await bench.until(lambda n=n: ("ops", f"re ping {n}") in bench.stage.said())  # type: ignore[misc]
                bench.stage.drop()
                await bench.until(lambda: bench.state.phase is not Phase.ONLINE, bench.stage.patience)
            assert bench.handled == [f"ping {n}" for n in range(6)]
            await bench.online()

    @pytest.mark.trio(run=run_virtual)
    async def test_what_is_answered_while_the_connection_is_down_goes_out_afterwards(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.gate = trio.Event()
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: bench.handled)
            bench.stage.drop()
            await bench.until(lambda: bench.state.phase is not Phase.ONLINE, bench.stage.patience)
            bench.gate.set()
            await bench.until(lambda: bench.outcomes())
            assert bench.outcomes() == [("re ping 1", bench.outcomes()[0][1])]
            assert [text for _, text in bench.stage.said()] == ["re ping 1"]

    @pytest.mark.network_can("keeps")
    @pytest.mark.trio(run=run_virtual)
    async def test_what_is_said_while_nobody_is_connected_is_not_lost_where_it_is_kept(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.drop()
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: bench.handled, bench.stage.patience + 60)
            assert bench.handled == ["ping 1"]

    @pytest.mark.network_can("stall")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_dead_connection_that_looks_open_is_found_out(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("stall")
            began, n = trio.current_time(), 0
            while not bench.handled:
                assert trio.current_time() - began <= bench.stage.patience, "nobody has noticed"
                n += 1
                bench.stage.say("Ali", "ops", f"ping {n}")
                await trio.sleep(5)
            await bench.until(lambda: bench.stage.said())

    @pytest.mark.network_can("kick")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_kicked_session_comes_back(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("kick")
            await bench.until(lambda: bench.state.phase is not Phase.ONLINE, bench.stage.patience)
            await bench.online()

    @pytest.mark.network_can("duplicate")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_duplicate_is_handled_once(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("duplicate")
            bench.stage.say("Ali", "ops", "ping 1")
            bench.stage.say("Ali", "ops", "ping 2")
            await bench.until(lambda: len(bench.outcomes()) >= 2)
            await trio.sleep(5)
            assert bench.handled == ["ping 1", "ping 2"]

    @pytest.mark.network_can("garbage")
    @pytest.mark.trio(run=run_virtual)
    async def test_garbage_is_told_and_ends_nothing(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("garbage")
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: ("ops", "re ping 1") in bench.stage.said())
            assert any(isinstance(r, BadData) for r in bench.records)

    @pytest.mark.network_can("unknown")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_send_of_which_nobody_knows_is_never_repeated(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("unknown")
            bench.stage.say("Ali", "ops", "ping 1")
            bench.stage.say("Ali", "ops", "ping 2")
            await bench.until(lambda: len(bench.outcomes()) == 2, 600)
            await trio.sleep(60)
            assert bench.outcomes()[0][1] is Delivery.UNKNOWN
            assert [text for _, text in bench.stage.said()] == ["re ping 1", "re ping 2"]

    @pytest.mark.network_can("refuse")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_refused_send_says_so_and_holds_nobody_up(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("refuse")
            bench.stage.say("Ali", "ops", "ping 1")
            bench.stage.say("Ali", "ops", "ping 2")
            await bench.until(lambda: len(bench.outcomes()) == 2, 600)
            assert bench.outcomes()[0][1] is Delivery.REFUSED
            assert [text for _, text in bench.stage.said()] == ["re ping 2"]

    @pytest.mark.trio(run=run_virtual)
    async def test_a_long_text_arrives_whole_and_in_order(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "long")
            await bench.until(lambda: bench.outcomes(), 600)
            seen = "\n".join(text for _, text in bench.stage.said())
            assert [int(n) for n in seen.split()] == list(range(600))

    @pytest.mark.trio(run=run_virtual)
    async def test_an_endless_text_is_cut_or_becomes_a_file(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "endless")
            await bench.until(lambda: bench.outcomes(), 600)
            seen = [text for _, text in bench.stage.said()]
            assert 1 <= len(seen) <= bench.stage.adapter.can(RoomKind.GROUP).max_parts
            assert "characters left out]" in seen[-1] or "file" in seen[-1]

    @pytest.mark.trio(run=run_virtual)
    async def test_a_message_that_cannot_be_encoded_costs_that_message(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: len(bench.outcomes()) == 1)
            states = len([r for r in bench.records if isinstance(r, LinkState)])
            for _ in range(3):
                bench.stage.say("Bo", "ops", "poison")
            bench.stage.say("Ali", "ops", "ping 2")
            bench.stage.say("Ali", "qqops-test", "ping 3")
            await bench.until(
                lambda: {"re ping 2", "re ping 3"} <= {text for _, text in bench.stage.said()}, 60
            )
            await trio.sleep(60)
            assert len([r for r in bench.records if isinstance(r, LinkState)]) == states, "no reconnect"

    @pytest.mark.trio(run=run_virtual)
    async def test_an_answer_of_blanks_is_refused_with_a_reason(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "blank")
            await bench.until(lambda: bench.outcomes())
            [sent] = [r for r in bench.records if isinstance(r, Sent)]
            assert sent.outcome.delivery is Delivery.REFUSED
            assert "blanks" in sent.outcome.reason
            assert bench.stage.said() == []

    @pytest.mark.trio(run=run_virtual)
    async def test_what_the_account_cannot_do_is_refused_before_anything_is_asked_for(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            account = bench.stage.adapter.account
            outcome = await bench.app.accounts.act(_Impossible(account=account))
            assert outcome.delivery is Delivery.REFUSED
            assert "_Impossible" in outcome.reason

    @pytest.mark.trio(run=run_virtual)
    async def test_the_adapter_knows_rooms_and_members(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "members")
            await bench.until(lambda: bench.outcomes())
            assert {"Ali", "Bo"} <= set(bench.stage.said()[-1][1].split(","))
            assert {"ops", "qqops-test"} <= {room.name for room in bench.stage.adapter.rooms()}

    @pytest.mark.trio(run=run_virtual)
    async def test_it_can_be_stopped_at_any_moment(self) -> None:
        for moment in range(0, 40, 3):
            clock = VirtualClock()
            async with trio.open_nursery() as nursery:
                bench = Bench(self.stage(nursery, clock), clock)
                stop = trio.Event()
                nursery.start_soon(bench.run, stop, name="the bot")
                for _ in range(moment):
                    await trio.lowlevel.checkpoint()
                stop.set()
                await bench.until(lambda bench=bench: bench.ends, 30.0)  # type: ignore[misc]
                await bench.until(lambda bench=bench: not bench.stage.connections(), 30.0)  # type: ignore[misc]
                nursery.cancel_scope.cancel(reason="the test is over")


__all__ = ["AdapterContract", "Bench", "Stage"]
