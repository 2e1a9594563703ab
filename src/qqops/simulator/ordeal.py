"""What soak and torture share: a simulator here, a bot in a process of its own, traffic, and trouble by the dice."""

from __future__ import annotations

import json
import pathlib
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping

import attrs
import trio

from qqops.model import plain
from qqops.runtime.clock import WallClock
from qqops.simulator.ledger import Ledger
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.state import Item
from qqops.simulator.trouble import Trouble

#: Seconds that everything may take to calm down once the trouble is over.
CALM = 60.0
#: Seconds without traffic after which spare connections and threads are gone.
IDLE = 14.0


@attrs.frozen(kw_only=True)
class Plan:
    """One run.

    Attributes:
        minutes: How long there is trouble.
        rate: Messages per second.
        hold: Seconds the simulator holds a poll; all deadlines follow from it.
        rough: Whether the process itself is killed, stopped and suspended.
        idle: Seconds without traffic before each measurement; 0 for a run that is too short to be measured at its start
            and end. Each process is measured by itself all the same.
    """

    seed: int
    minutes: float
    profile: str
    rate: float = 10.0
    hold: float = 2.0
    rough: bool = True
    idle: float = IDLE


class Ordeal:
    """One run of soak or torture.

    Attributes:
        said: Number of the message that was said last.
        traffic: Set while people talk.
        process: The bot.
        ready: Set once it takes signals.
    """

    def __init__(self, plan: Plan, folder: pathlib.Path) -> None:
        self.plan = plan
        self.folder = folder
        self.rng = random.Random(plan.seed)
        options = ServiceOptions(hold=plan.hold, seed=plan.seed)
        self.service = Service(WallClock(), options=options)
        self.server = Server(self.service)
        self.ledger = Ledger(measured=plan.idle > 0)
        self._trouble = Trouble(self)
        self.said = 0
        self._listening = 0
        self.traffic = trio.Event()
        self.process: trio.Process | None = None
        self._reports = trio.Event()
        self.ready = trio.Event()
        state = self.service.state
        state.confirmed, state.dropped, state.shuffled = self._confirmed, self._dropped, self._shuffled

    async def run(self) -> Ledger:
        """Run to the end; returns what was seen."""
        async with trio.open_nursery() as nursery:
            url = await nursery.start(self.server.run)
            self._listening = int(url.rpartition(":")[2])
            nursery.start_soon(self._keep_process)
            await _until(lambda: self.process is not None, 0.02)
            nursery.start_soon(self._talk)
            nursery.start_soon(self._watch)
            await self._run_parts()
            await self.end_process(signal.SIGTERM)
            nursery.cancel_scope.cancel(reason="the run is over")
        self._collect()
        return self.ledger

    async def _run_parts(self) -> None:
        """Trouble of all kinds, calm, a measurement, gentle trouble, calm, a measurement."""
        seconds = self.plan.minutes * 60
        gentle = min(max(seconds / 4, 10.0), 60.0, seconds / 2)
        self.traffic.set()
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
        self.traffic.set()
        await self._until_online()
        for call in (self._trouble.drop, self._trouble.expire, self._trouble.wire_fault):
            await trio.sleep(self.plan.hold)
            await call()
        await trio.sleep(self.plan.hold * 2)
        await self._calm()

    # -- traffic --------------------------------------------------------------------------------

    async def _talk(self) -> None:
        """Let people talk."""
        while True:
            await self.traffic.wait()
            await trio.sleep(self.rng.expovariate(self.plan.rate))
            if self.traffic.is_set():  # the calm may have begun meanwhile
                self._say()

    def _say(self) -> None:
        self.said += 1
        sender = self.rng.choice(["Ali", "Bo"])
        kind, room = self.rng.choice(
            [("group", "ops"), ("group", "qqops-test"), ("discu", "plan"), ("buddy", None)]
        )
        data = {"kind": kind, "from": sender, "text": f"t{self.said}"}
        if room is not None:
            data["room"] = room
        self.ledger.injected[self.said] = (kind, f"{room}/{sender}")
        self.server.control.call("POST", "inject", data)

    def _confirmed(self, item: Item) -> None:
        self.ledger.confirmed.update(_numbers([item]))

    def _dropped(self, item: Item) -> None:
        self.ledger.lost.update(_numbers([item]))

    def _shuffled(self, items: list[Item]) -> None:
        """Note what the bot cannot put in order: of the same second, and not counted by the service (webqq.md §10.1)."""
        counts = self.plan.profile == "webqq2013"
        blind = [item for item in items if not (counts and item.seq)]
        self.ledger.shuffled.append({n: item.time for item in blind for n in _numbers([item])})

    # -- the process ----------------------------------------------------------------------------

    async def _keep_process(self) -> None:
        """Start the bot, and start it again whenever it has ended."""
        while True:
            command = [
                sys.executable, "-m", "qqops.simulator.victim", str(self.folder), self.plan.profile, str(self._listening),
                str(self.plan.hold), str(self.plan.seed),
            ]  # fmt: skip
            self.ready = trio.Event()
            process = await trio.lowlevel.open_process(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            self.process = process
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read_log, process)
                    await self._read_lines(process)
                    nursery.cancel_scope.cancel()
                code = await process.wait()
            finally:
                with trio.move_on_after(5, shield=True):
                    await _bury(process)
            self.ledger.exits[code] += 1
            if code not in (0, -9, -15):  # -15: SIGTERM before Python could take it
                self.ledger.problems.append(f"the bot ended with {code}; see {self.folder}/bot.log")

    async def _read_lines(self, process: trio.Process) -> None:
        assert process.stdout is not None
        rest = b""
        async for chunk in process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                kind, _, data = line.partition(b" ")
                self._line(kind.decode(), json.loads(data))

    def _line(self, kind: str, data: Mapping[str, object]) -> None:
        if kind == "R":
            self.ready.set()
        if kind in "RLIBD" or data.get("outcome") == "refused":
            self.note(f"  {kind} {data}")
        self.ledger.line(kind, data)
        if kind == "U":
            self._reports.set()

    async def _read_log(self, process: trio.Process) -> None:
        """Keep the end of the bot's log in a file."""
        assert process.stderr is not None
        async with await trio.open_file(self.folder / "bot.log", "ab") as file:
            async for chunk in process.stderr:
                await file.write(chunk)
                await file.flush()

    async def end_process(self, how: signal.Signals) -> None:
        """Send *how* to the bot and wait for its end."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        if how is signal.SIGKILL:
            # Between an answer and the next poll nobody can know whether it has arrived.
            for session in self.service.state.sessions.values():
                self.ledger.ambiguous.update(_numbers(session.unconfirmed))
        process.send_signal(how)
        with trio.move_on_after(20) as scope:
            await process.wait()
        if scope.cancelled_caught:
            self.ledger.problems.append(f"the bot did not end within 20 s of {how.name}")
            process.kill()
            await process.wait()

    async def until_started(self) -> None:
        """Wait until there is another process."""
        before = self.process
        await _until(lambda: self.process is not before and self.process is not None, 0.02)

    async def _until_online(self) -> None:
        with trio.fail_after(CALM):
            live = self.service.state.live
            await _until(lambda: any(s.hold is not None and not s.code for s in live.values()), 0.05)

    async def _fresh_process(self) -> None:
        await self.end_process(signal.SIGTERM)
        await self._until_online()

    # -- watching -------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Count requests that brought nothing, in windows of ten seconds."""
        history: list[int] = []
        while True:
            useful = self.service.state.answered + 3 * len(self.service.state.sent)
            history.append(self.service.requests - useful)
            if len(history) > 10:
                self.ledger.most_requests = max(self.ledger.most_requests, history[-1] - history.pop(0))
            self.ledger.most_live = max(self.ledger.most_live, self.service.state.most_live)
            await trio.sleep(1.0)

    async def _calm(self) -> None:
        """End all trouble and wait until everything said was delivered, handled and answered."""
        self.traffic = trio.Event()
        self.server.control.call("POST", "faults", {"clear": True})
        for name in ("clock", "nodns"):
            (self.folder / name).unlink(missing_ok=True)
        with trio.move_on_after(CALM) as scope:
            await _until(self._settled, 0.1)
        if scope.cancelled_caught:
            waiting = sum(len(queue) for queue in self.service.state.queues.values())
            self.ledger.problems.append(
                f"not calm after {CALM:g} s: {waiting} messages wait, {self._unanswered()}"
            )

    def _settled(self) -> bool:
        return not self.service.state.waiting and not self._unanswered()

    def _unanswered(self) -> list[int]:
        """Return what was handled to the end and has no outcome, and what was delivered and not handled."""
        started = {n for n, _, _ in self.ledger.starts} | self.ledger.interrupted | self.ledger.expired
        ended = self.ledger.ends - self.ledger.interrupted
        silent = [n for n in ended if f"r{n}" not in self.ledger.outcomes and not self._died_with(n)]
        return sorted([*silent, *(n for n in self.ledger.confirmed if n not in started)])[:10]

    def _died_with(self, n: int) -> bool:
        """Whether the answer to *n* went out in a process that was killed before it could say so."""
        return bool(self.ledger.exits[-9]) and any(line.text == f"r{n}" for line in self.service.state.sent)

    async def _measure(self) -> None:
        """Ask the bot what it holds, once spare connections and threads are gone; the least of a few answers counts."""
        await trio.sleep(self.plan.idle)
        answers = []
        process = self.process
        for _ in range(6):
            before = len(self.ledger.usage)
            self._reports = trio.Event()
            assert process is not None
            process.send_signal(signal.SIGUSR1)
            with trio.fail_after(10):
                await self._reports.wait()
            answers += self.ledger.usage[before:]
            del self.ledger.usage[before:]
            await trio.sleep(self.plan.idle / 20)
        self.ledger.usage.append({key: min(a[key] for a in answers) for key in answers[0]})

    def note(self, text: str) -> None:
        """Keep a trace of what was done when; it explains what did not hold."""
        with (self.folder / "trouble.log").open("a", encoding="utf-8") as file:
            file.write(f"{trio.current_time():.2f} {text}\n")

    def _collect(self) -> None:
        for line in self.service.state.sent:
            self.ledger.visible[line.text] += 1


async def _bury(process: trio.Process) -> None:
    """See to it that *process* has ended and that nothing of it is left here."""
    if process.returncode is None:
        process.kill()
    await process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            await trio.aclose_forcefully(stream)


def _numbers(items: list[Item]) -> list[int]:
    """Return the numbers of those messages that were said by `Ordeal`."""
    texts = [plain(item.segments) for item in items]
    return [int(text[1:]) for text in texts if text.startswith("t")]


async def _until(condition: Callable[[], bool], every: float) -> None:
    """Wait until *condition* holds; there is no event for what another process does."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(every)
