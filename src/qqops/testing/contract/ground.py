"""What the tests of the contract stand on: a bot with the adapter, and which tests a network can show."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import AsyncGenerator

import pytest
import trio

from qqops.app import End
from qqops.model import Clock
from qqops.runtime.dispatch_policy import DispatchPolicy
from qqops.testing.bench import Bench, Stage
from qqops.testing.virtual import VirtualClock

#: What a network may have, by name. Those of the first part are properties, the others are what `Stage.trouble` makes.
CAN = {
    "ids": "it tells the ids of what was sent",
    "lists": "it tells which rooms there are, and who is in them",
    "encodes": "what is sent is written into bytes, so that something can be impossible to write",
    "keeps": "what is said while nobody is connected comes afterwards",
    "secrets": "it is entered with a secret; the stage has `secrets`",
    "echoes": "it tells us of what our own account says; the stage can `say` so",
    "duplicate": "the next message is delivered twice",
    "garbage": "something unreadable comes before the next message",
    "unknown": "the next send arrives, and nobody says so",
    "refuse": "the next send is refused",
    "limit": "the next send comes too soon for the service, which wants it some seconds later",
    "slow": "the next send arrives, and is answered eight seconds later",
    "reorder": "the next send is answered after the one behind it",
    "stall": "the connection stays open, and nothing moves on it any more",
    "kick": "the service ends the session",
}


class Ground(abc.ABC):
    """Gives the tests their bot.

    Attributes:
        can: Which of `CAN` the network has; tests that need another are skipped, and say so.
    """

    can: frozenset[str] = frozenset()

    @abc.abstractmethod
    def stage(self, nursery: trio.Nursery, clock: Clock) -> Stage:
        """Return a fresh adapter and its network. Tasks of the network run in *nursery*."""

    @contextlib.asynccontextmanager
    async def bench(self, dispatch: DispatchPolicy | None = None) -> AsyncGenerator[Bench]:
        """Run a bot until the block ends; then it must leave nothing behind."""
        clock = VirtualClock()
        async with trio.open_nursery() as nursery:
            bench = Bench(self.stage(nursery, clock), clock, dispatch)
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
        if unheard_of := self.can - CAN.keys():
            raise AssertionError(f"`can` holds {sorted(unheard_of)}; known are {sorted(CAN)}")
        for mark in request.node.iter_markers("network_can"):
            if mark.args[0] not in self.can:
                pytest.skip(f"this network has no {mark.args[0]!r}")
