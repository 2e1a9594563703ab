"""One run of soak or torture: traffic, trouble by the dice, calm, and what is held before and after."""

from __future__ import annotations

import pathlib
import signal

import trio

from tests.torture.ledger import Ledger
from tests.torture.plan import Plan
from tests.torture.scene import CALM, Scene, until
from tests.torture.trouble import Trouble


class Ordeal:
    """One run of soak or torture."""

    def __init__(self, plan: Plan, folder: pathlib.Path) -> None:
        self.plan = plan
        self.scene = Scene(plan, folder)
        self.ledger = self.scene.ledger
        self._trouble = Trouble(self.scene)

    async def run(self) -> Ledger:
        """Run to the end; returns what was seen."""
        async with trio.open_nursery() as nursery:
            await self.scene.open(nursery)
            nursery.start_soon(self.scene.talk)
            nursery.start_soon(self._watch)
            await self._run_parts()
            await self.scene.end_process(signal.SIGTERM)
            nursery.cancel_scope.cancel(reason="the run is over")
        self._collect()
        return self.ledger

    async def _run_parts(self) -> None:
        """Trouble of all kinds, calm, a measurement, gentle trouble, calm, a measurement."""
        seconds = self.plan.minutes * 60
        gentle = min(max(seconds / 4, 10.0), 60.0, seconds / 2)
        self.scene.traffic.set()
        if self.plan.rough:
            trouble = self._trouble
            await trouble.make(max(seconds - gentle, 0.0), [*trouble.gentle(), *trouble.rough()])
            await self._calm()
            await self._fresh_process()
        if self.plan.idle:
            await self._warm_up()
            await self._measure()
        await self._trouble.make(gentle if self.plan.rough else seconds, self._trouble.gentle())
        await self._calm()
        if self.plan.idle:
            await self._measure()

    async def _warm_up(self) -> None:
        """See to it that what is made once, at the first fault and the first reconnect, is made."""
        self.scene.traffic.set()
        await self.scene.until_online()
        for call in (self._trouble.drop, self._trouble.expire, self._trouble.wire_fault):
            await trio.sleep(self.plan.hold)
            await call()
        await trio.sleep(self.plan.hold * 2)
        await self._calm()

    async def _fresh_process(self) -> None:
        await self.scene.end_process(signal.SIGTERM)
        await self.scene.until_online()

    # -- watching -------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Count requests that brought nothing, in windows of ten seconds."""
        history: list[int] = []
        while True:
            useful = self.scene.service.state.answered + 3 * len(self.scene.service.state.sent)
            history.append(self.scene.service.requests - useful)
            if len(history) > 10:
                self.ledger.most_requests = max(self.ledger.most_requests, history[-1] - history.pop(0))
            self.ledger.most_live = max(self.ledger.most_live, self.scene.service.state.most_live)
            await trio.sleep(1.0)

    async def _calm(self) -> None:
        """End all trouble and wait until everything said was delivered, handled and answered."""
        self.scene.traffic = trio.Event()
        self.scene.server.control.call("POST", "faults", {"clear": True})
        for name in ("clock", "nodns"):
            (self.scene.folder / name).unlink(missing_ok=True)
        with trio.move_on_after(CALM) as scope:
            await until(self._settled, 0.1)
        if scope.cancelled_caught:
            waiting = sum(len(queue) for queue in self.scene.service.state.queues.values())
            self.ledger.problems.append(
                f"not calm after {CALM:g} s: {waiting} messages wait, {self._unanswered()}"
            )

    def _settled(self) -> bool:
        return not self.scene.service.state.waiting and not self._unanswered()

    def _unanswered(self) -> list[int]:
        """Return what was handled to the end and has no outcome, and what was delivered and not handled."""
        started = {n for n, _, _ in self.ledger.starts} | self.ledger.interrupted | self.ledger.expired
        ended = self.ledger.ends - self.ledger.interrupted
        silent = [n for n in ended if f"r{n}" not in self.ledger.outcomes and not self._died_with(n)]
        return sorted([*silent, *(n for n in self.ledger.confirmed if n not in started)])[:10]

    def _died_with(self, n: int) -> bool:
        """Whether the answer to *n* went out in a process that was killed before it could say so."""
        return bool(self.ledger.exits[-9]) and any(
            line.text == f"r{n}" for line in self.scene.service.state.sent
        )

    async def _measure(self) -> None:
        """Ask the bot what it holds, once spare connections and threads are gone; the least of a few answers counts."""
        await trio.sleep(self.plan.idle)
        answers = []
        process = self.scene.process
        for _ in range(6):
            before = len(self.ledger.usage)
            self.scene.reported = trio.Event()
            assert process is not None
            process.send_signal(signal.SIGUSR1)
            with trio.fail_after(10):
                await self.scene.reported.wait()
            answers += self.ledger.usage[before:]
            del self.ledger.usage[before:]
            await trio.sleep(self.plan.idle / 20)
        self.ledger.usage.append({key: min(a[key] for a in answers) for key in answers[0]})

    def _collect(self) -> None:
        for line in self.scene.service.state.sent:
            self.ledger.visible[line.text] += 1
