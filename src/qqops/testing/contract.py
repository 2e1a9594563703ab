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
from collections.abc import AsyncGenerator

import attrs
import pytest
import trio
import trio.testing

from qqops.app import End
from qqops.model import (
    AccountRef,
    Action,
    Clock,
    Delivery,
    RoomKind,
)
from qqops.runtime.observe import BadData, LinkState, Phase, Sent
from qqops.testing.bench import Bench, Stage
from qqops.testing.virtual import VirtualClock, run_virtual


@attrs.frozen(kw_only=True)
class _Impossible(Action):
    """Something that no network can do."""

    account: AccountRef


class AdapterContract(abc.ABC):
    """Inherit it and give `stage`.

    Attributes:
        can: Which of these the network has: the troubles ``duplicate``, ``garbage``, ``unknown``, ``refuse``, ``stall``
            and ``kick``; ``ids`` when it tells the ids of what was sent, ``encodes`` when it writes what is sent into bytes, ``keeps`` when it keeps what is said while
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
            for what in ("face", "other", "face"):
                bench.stage.say("Bo", "ops", f"poison {what}")
            bench.stage.say("Ali", "ops", "ping 2")
            bench.stage.say("Ali", "qqops-test", "ping 3")
            await bench.until(
                lambda: {"re ping 2", "re ping 3"} <= {text for _, text in bench.stage.said()}, 60
            )
            await trio.sleep(60)
            assert len([r for r in bench.records if isinstance(r, LinkState)]) == states, "no reconnect"
            failed = [r.outcome.reason for r in bench.records if isinstance(r, Sent) and not r.outcome.ok]
            assert bool(failed) == ("encodes" in self.can)
            assert all("error in the adapter" in reason for reason in failed)

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
