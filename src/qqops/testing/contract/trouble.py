"""What goes out, or does not, when something is wrong: each trouble costs what it must and nothing more."""

from __future__ import annotations

import attrs
import pytest
import trio

from qqops.model import Delivery
from qqops.runtime.observe import Phase
from qqops.testing.contract.ground import Ground
from qqops.testing.virtual import run_virtual


class Trouble(Ground):
    """Tests of sends that go wrong."""

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
            assert [text for text, _ in bench.outcomes()] == ["re ping 1"]
            assert [text for _, text in bench.stage.said()] == ["re ping 1"]

    @pytest.mark.network_can("stall")
    @pytest.mark.trio(run=run_virtual)
    async def test_what_went_into_a_dead_connection_is_never_seen_twice(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            room = (await bench.hear("Ali", "ops", "ping 1")).room.ref
            await bench.until(lambda: bench.outcomes())
            bench.stage.trouble("stall")
            entry = bench.put(room, "into the dark")
            await bench.until(lambda: entry.outcome is not None, bench.stage.patience + 60)
            await trio.sleep(60)
            assert entry.outcome is not None
            seen = [text for _, text in bench.stage.said()].count("into the dark")
            assert seen == 1 if entry.outcome.ok else seen <= 1

    @pytest.mark.network_can("unknown")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_send_of_which_nobody_knows_is_reported_so(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("unknown")
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: bench.outcomes(), 600)
            assert bench.outcomes() == [("re ping 1", Delivery.UNKNOWN)]

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
            assert [text for _, text in bench.stage.said()] == ["re ping 1", "re ping 2"]

    @pytest.mark.network_can("refuse")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_refused_send_says_so_and_why(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("refuse")
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: bench.outcomes(), 600)
            assert bench.outcomes() == [("re ping 1", Delivery.REFUSED)]
            assert bench.sent()[0].outcome.reason

    @pytest.mark.network_can("refuse")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_refused_send_costs_nothing_else(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            states = bench.states()
            bench.stage.trouble("refuse")
            bench.stage.say("Ali", "ops", "ping 1")
            bench.stage.say("Ali", "ops", "ping 2")
            await bench.until(lambda: len(bench.outcomes()) == 2, 600)
            assert [text for _, text in bench.stage.said()] == ["re ping 2"]
            assert bench.states() == states, "it cost the session"

    @pytest.mark.network_can("limit")
    @pytest.mark.trio(run=run_virtual)
    async def test_what_comes_too_soon_for_the_service_goes_later(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            states = bench.states()
            bench.stage.trouble("limit")
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: bench.outcomes())
            assert bench.sent()[0].outcome.ok, bench.sent()[0].outcome.reason
            assert bench.stage.said() == [("ops", "re ping 1")]
            assert bench.states() == states

    @pytest.mark.network_can("reorder")
    @pytest.mark.network_can("refuse")
    @pytest.mark.trio(run=run_virtual)
    async def test_answers_in_another_order_reach_the_right_message(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("reorder")
            bench.stage.trouble("refuse")
            bench.stage.say("Ali", "ops", "ping 1")
            bench.stage.say("Bo", "qqops-test", "ping 2")
            await bench.until(lambda: len(bench.outcomes()) == 2)
            went = [sent.draft.text for sent in bench.sent() if sent.outcome.ok]
            assert went == [text for _, text in bench.stage.said()]

    @pytest.mark.trio(run=run_virtual)
    async def test_a_room_that_nobody_knows_is_refused(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            room = (await bench.hear("Ali", "ops", "ping 1")).room.ref
            entry = bench.put(attrs.evolve(room, id="20260105"), "is anybody here?")
            await bench.until(lambda: entry.outcome is not None)
            assert entry.outcome is not None
            assert entry.outcome.delivery is Delivery.REFUSED

    @pytest.mark.trio(run=run_virtual)
    async def test_a_room_that_nobody_knows_costs_nothing_else(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            room = (await bench.hear("Ali", "ops", "ping 1")).room.ref
            states = bench.states()
            bench.put(attrs.evolve(room, id="20260105"), "is anybody here?")
            bench.stage.say("Ali", "ops", "ping 2")
            await bench.until(lambda: ("ops", "re ping 2") in bench.stage.said())
            await trio.sleep(60)
            assert bench.states() == states, "it cost the session"

    @pytest.mark.trio(run=run_virtual)
    async def test_a_message_that_cannot_be_encoded_costs_that_message(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: len(bench.outcomes()) == 1)
            states = bench.states()
            for what in ("face", "other", "face"):
                bench.stage.say("Bo", "ops", f"poison {what}")
            bench.stage.say("Ali", "ops", "ping 2")
            bench.stage.say("Ali", "qqops-test", "ping 3")
            await bench.until(
                lambda: {"re ping 2", "re ping 3"} <= {text for _, text in bench.stage.said()}, 60
            )
            await trio.sleep(60)
            assert bench.states() == states, "no reconnect"
            failed = [sent.outcome for sent in bench.sent() if not sent.outcome.ok]
            assert bool(failed) == ("encodes" in self.can)
            assert all("error in the adapter" in outcome.reason for outcome in failed)
            assert all(outcome.delivery is Delivery.REFUSED for outcome in failed), "nothing has left"
