"""Sessions: they begin, end, come back, and leave nothing behind."""

from __future__ import annotations

import itertools
from typing import cast

import pytest
import trio

from qqops.model import Pace
from qqops.runtime.observe import Phase
from qqops.testing.bench import Bench, HasSecrets
from qqops.testing.contract.ground import Ground
from qqops.testing.logs import everything_logged
from qqops.testing.virtual import VirtualClock, run_virtual
from qqops.testing.witness import Seen, system_tasks

#: Seconds that a session has for its good-bye, and how much more the way there may take.
GOODBYE, WAY = 2.0, 0.1


class Life(Ground):
    """Tests of sessions."""

    @pytest.mark.trio(run=run_virtual)
    async def test_it_comes_online_and_tells_what_the_bot_is_called(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            assert any(bench.witness.sessions[0].names)

    @pytest.mark.trio(run=run_virtual)
    async def test_online_is_told_once_in_each_session(self) -> None:
        async with self.bench() as bench:
            for _ in range(3):
                await bench.online()
                await trio.sleep(30)
                await self._drop(bench)
            await bench.online()
            assert [len(seen.online) for seen in bench.witness.sessions if seen.online] == [1] * 4

    @pytest.mark.trio(run=run_virtual)
    async def test_online_is_told_when_sends_work_and_not_before(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            room = (await bench.hear("Ali", "ops", "ping 1")).room.ref
            await bench.until(lambda: bench.outcomes())
            early = []
            bench.witness.at_online = lambda: early.append(bench.put(room, "said at once"))
            bench.witness.cut()
            await bench.until(lambda: early)
            await bench.until(lambda: early[0].outcome is not None, 5.0)
            assert early[0].outcome is not None
            assert early[0].outcome.ok, early[0].outcome.reason
            assert [len(seen.online) for seen in bench.witness.sessions] == [1, 1], "it took another session"

    @pytest.mark.trio(run=run_virtual)
    async def test_a_dropped_connection_comes_back_again_and_again(self) -> None:
        async with self.bench() as bench:
            for n in range(6):
                await bench.online()
                bench.stage.say("Ali", "ops", f"ping {n}")
                await bench.until(lambda n=n: ("ops", f"re ping {n}") in bench.stage.said())  # type: ignore[misc]
                await self._drop(bench)
            assert bench.handled == [f"ping {n}" for n in range(6)]
            await bench.online()

    @pytest.mark.network_can("kick")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_kicked_session_comes_back(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("kick")
            await bench.until(lambda: bench.state.phase is not Phase.ONLINE, bench.stage.patience)
            await bench.online()

    @pytest.mark.network_can("stall")
    @pytest.mark.trio(run=run_virtual)
    async def test_a_dead_connection_that_looks_open_is_found_out_in_time(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("stall")
            await bench.until(lambda: bench.witness.sessions[0].ended is not None, bench.stage.patience)

    @pytest.mark.network_can("stall")
    @pytest.mark.trio(run=run_virtual)
    async def test_after_a_dead_connection_it_hears_and_speaks_again(self) -> None:
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

    @pytest.mark.trio(run=run_virtual)
    async def test_it_says_good_bye_within_two_seconds(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            assert await self._cut(bench) <= GOODBYE + WAY

    @pytest.mark.network_can("stall")
    @pytest.mark.trio(run=run_virtual)
    async def test_it_says_good_bye_within_two_seconds_when_nobody_answers(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.stage.trouble("stall")
            assert await self._cut(bench) <= GOODBYE + WAY

    @pytest.mark.trio(run=run_virtual)
    async def test_no_connection_is_left_when_a_session_was_cancelled(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.witness.door = trio.Event()
            await self._cut(bench)
            await trio.sleep(WAY)
            assert bench.stage.connections() == 0
            bench.witness.door.set()

    @pytest.mark.trio(run=run_virtual)
    async def test_no_task_is_left_when_a_session_was_cancelled(self) -> None:
        async with self.bench() as bench:
            before = system_tasks()
            await bench.online()
            bench.stage.say("Ali", "ops", "ping 1")
            await bench.until(lambda: bench.outcomes())
            bench.witness.door = trio.Event()
            await self._cut(bench)
            assert {task.name for task in system_tasks() - before} == set()
            bench.witness.door.set()

    @pytest.mark.trio(run=run_virtual)
    async def test_nothing_goes_on_the_wire_after_a_session_was_cancelled(self) -> None:
        async with self.bench() as bench:
            await bench.online()
            bench.gate = trio.Event()
            for n in range(8):
                bench.stage.say("Ali", "ops", f"ping {n}")
                bench.stage.say("Bo", "qqops-test", f"pong {n}")
            await bench.until(lambda: bench.handled)
            bench.outbox.queue.pace = Pace(gap=1.0)
            bench.gate.set()
            await bench.until(lambda: bench.stage.said())
            bench.witness.door = trio.Event()
            await self._cut(bench)
            await trio.sleep(WAY)
            went = len(bench.stage.said())
            await trio.sleep(60)
            assert len(bench.stage.said()) == went
            bench.witness.door.set()
            await bench.until(lambda: len(bench.outcomes()) == 16)

    @pytest.mark.trio(run=run_virtual)
    async def test_a_session_after_a_cancelled_one_works_like_the_first(self) -> None:
        async with self.bench() as bench:
            for n in range(3):
                await bench.online()
                bench.stage.say("Ali", "ops", f"ping {n}")
                await bench.until(lambda n=n: ("ops", f"re ping {n}") in bench.stage.said())  # type: ignore[misc]
                await self._cut(bench)
            assert bench.handled == [f"ping {n}" for n in range(3)]

    @pytest.mark.trio(run=run_virtual)
    async def test_it_can_be_cancelled_at_every_await(self) -> None:
        async with self.bench() as bench:
            witness = bench.witness
            witness.at_online = lambda: bench.stage.say("Ali", "ops", f"ping {len(witness.sessions)}")
            for n, steps in enumerate(itertools.count(1)):
                witness.cut_after = steps
                witness.door.set()
                await bench.until(lambda n=n: len(witness.sessions) > n)  # type: ignore[misc]
                witness.door = trio.Event()
                seen = witness.sessions[n]
                await bench.until(lambda seen=seen: seen.ended is not None or _settled(seen))  # type: ignore[misc]
                if seen.ended is None:
                    break  # it takes no more steps than that until it is at rest
                assert seen.cut is None or seen.ended - seen.cut <= GOODBYE + WAY, f"after {steps} steps"
                await trio.sleep(WAY)
                assert bench.stage.connections() == 0, f"after {steps} steps"
            witness.door.set()

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

    @pytest.mark.network_can("secrets")
    @pytest.mark.trio(run=run_virtual)
    async def test_no_secret_is_in_a_log_or_a_record(self) -> None:
        with everything_logged() as logged:
            async with self.bench() as bench:
                await bench.online()
                bench.stage.say("Ali", "ops", "ping 1")
                await bench.until(lambda: bench.outcomes())
                secrets = set(cast("HasSecrets", bench.stage).secrets)
                for what in sorted(self.can & {"garbage", "refuse", "unknown"}):
                    bench.stage.trouble(what)
                    bench.stage.say("Ali", "ops", f"ping {len(bench.handled) + 1}")
                    await trio.sleep(60)
                await self._drop(bench)
                await bench.online()
                secrets |= set(cast("HasSecrets", bench.stage).secrets)
        told = "\n".join([*logged, *map(repr, bench.records)])
        assert secrets
        assert [secret for secret in secrets if secret in told] == []

    async def _drop(self, bench: Bench) -> None:
        bench.stage.drop()
        await bench.until(lambda: bench.state.phase is not Phase.ONLINE, bench.stage.patience)

    async def _cut(self, bench: Bench) -> float:
        """Cancel the session; return how many seconds it took for its good-bye."""
        seen, began = bench.witness.sessions[-1], bench.witness.cut()
        await bench.until(lambda: seen.ended is not None, 60.0)
        assert seen.ended is not None
        return seen.ended - began


def _settled(seen: Seen) -> bool:
    return bool(seen.online) and trio.current_time() - seen.online[0] > 5.0
