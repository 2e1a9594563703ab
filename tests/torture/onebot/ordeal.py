"""One soak of the OneBot adapter: a crowd, trouble by the dice, a side that does not read, and what is held meanwhile."""

from __future__ import annotations

import pathlib
import signal

import trio

from tests.torture.onebot.ledger import Ledger
from tests.torture.onebot.plan import Plan
from tests.torture.onebot.scene import Scene
from tests.torture.onebot.trouble import Trouble

#: The part of a plan that is run before the first measurement, on top: memory that traffic with trouble takes comes in bursts,
#: and the allocator keeps what each larger one has torn open.
WARM = 0.2
#: Seconds in which all must be settled at the end.
CALM = 60.0


class Ordeal:
    """One run."""

    def __init__(self, plan: Plan, folder: pathlib.Path) -> None:
        self.plan = plan
        self.scene = Scene(plan, folder)
        self.ledger = self.scene.ledger
        self._trouble = Trouble(self.scene)

    async def run(self) -> Ledger:
        """Run to the end; returns what was seen."""
        async with trio.open_nursery() as nursery:
            await self.scene.open(nursery)
            try:
                await self._run_parts()
            except trio.TooSlowError:
                self.ledger.problems.append(f"nothing moves: {self.scene.state()}")
            self.ledger.exits.append(await self.scene.child.end(signal.SIGTERM))
            nursery.cancel_scope.cancel(reason="the run is over")
        self.ledger.connections = self.scene.server.exchange.connections
        return self.ledger

    async def _run_parts(self) -> None:
        """Warm up, measure, let people talk with trouble, let the other side not read, measure again."""
        await self.scene.until(self.scene.online)
        await self._warm_up()
        await self._measure()
        began, before = trio.current_time(), sum(self.ledger.said.values())
        await self._stretch(1.0)
        self.ledger.rate = (sum(self.ledger.said.values()) - before) / (trio.current_time() - began)
        await self._calm()
        await self._measure()
        if self.plan.trouble:
            await self._deaf()
            await self._calm()
            await self._measure()

    async def _warm_up(self) -> None:
        """See to it that what is made once is made, and that what fills is full: tables, windows, the allocator."""
        await self.scene.talk(lambda said: said < self.plan.warm_up, rate=0.0)
        if self.plan.trouble:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.scene.talk, lambda said: True, 0.0)
                await self._trouble.once()
                nursery.cancel_scope.cancel(reason="warm enough")
            await self._deaf()
        await self._stretch(WARM)
        if self.plan.trouble and self.plan.big:
            await self._calm()
            await self._deaf()
        await self._calm()

    async def _stretch(self, part: float) -> None:
        """Let people talk for a part of the plan, with trouble."""
        plan = self.plan
        end = trio.current_time() + plan.minutes * 60 * part
        async with trio.open_nursery() as nursery:
            if plan.trouble:
                nursery.start_soon(self._trouble.make)
            await self.scene.talk(
                (lambda said: trio.current_time() < end)
                if plan.minutes
                else (lambda said: said < plan.events * part),
                plan.rate,
            )
            nursery.cancel_scope.cancel(reason="nobody talks any more")

    async def _deaf(self) -> None:
        """Read nothing for a while; people talk on, and some answers are larger than what the system keeps."""
        await self.scene.until(self.scene.has_room)
        self.ledger.deaf = True
        self.ledger.actions["deaf"] += 1
        self.scene.note(f"deaf at {self.scene.crowd.commands}")
        self.scene.wires.deafen()
        big, end = self.plan.big, trio.current_time() + self.plan.deaf
        while trio.current_time() < end:
            if self.scene.online():
                big -= 1
                self.scene.happen(self.scene.crowd.command("big" if big >= 0 else ""))
                self.scene.happen(self.scene.crowd.chatter())
            await trio.sleep(1 / self.plan.deaf_rate)
        self.scene.wires.listen()

    async def _calm(self) -> None:
        """End all trouble and wait until everything that was read has been handled and answered."""
        self.scene.server.control.call("POST", "faults", {"clear": True})
        self.scene.server.control.call("POST", "online", {})
        await self.scene.until(self.scene.online)
        try:
            await self.scene.until(self.scene.is_calm, CALM)
        except trio.TooSlowError:
            self.ledger.problems.append(f"not calm after {CALM:g} s: {self.scene.state()}")
            self.scene.give_up()

    async def _measure(self) -> None:
        """Note what the bot holds."""
        await trio.sleep(self.plan.idle)
        self.scene.note("measure")
        self.ledger.usage.append(await self.scene.child.usage())
