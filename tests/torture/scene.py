"""What a run works on: a simulator here, people who talk, a bot in a process of its own, and the dice."""

from __future__ import annotations

import json
import pathlib
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping

import trio

from qqops.model import plain
from qqops.runtime.clock import WallClock
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.state import Item
from tests.torture import ROOT
from tests.torture.ledger import Ledger
from tests.torture.plan import Plan

#: Seconds that everything may take to calm down once the trouble is over.
CALM = 60.0


class Scene:
    """All that one run works on.

    Attributes:
        said: Number of the message that was said last.
        traffic: Set while people talk.
        process: The bot.
        ready: Set once it takes signals.
        reported: Set by it when it has said what it holds.
    """

    def __init__(self, plan: Plan, folder: pathlib.Path) -> None:
        self.plan = plan
        self.folder = folder.resolve()  # the bot runs in another one
        self.rng = random.Random(plan.seed)
        options = ServiceOptions(hold=plan.hold, seed=plan.seed)
        self.service = Service(WallClock(), options=options)
        self.server = Server(self.service)
        self.ledger = Ledger(measured=plan.idle > 0)
        self.said = 0
        self._listening = 0
        self.traffic = trio.Event()
        self.process: trio.Process | None = None
        self.reported = trio.Event()
        self.ready = trio.Event()
        state = self.service.state
        state.confirmed, state.dropped, state.shuffled = self._confirmed, self._dropped, self._shuffled

    async def open(self, nursery: trio.Nursery) -> None:
        """Open the port and start the bot, in *nursery*; returns once there is a process."""
        url = await nursery.start(self.server.run)
        self._listening = int(url.rpartition(":")[2])
        nursery.start_soon(self._keep_process)
        await until(lambda: self.process is not None, 0.02)

    # -- traffic --------------------------------------------------------------------------------

    async def talk(self) -> None:
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
                sys.executable, "-m", "tests.torture.victim", str(self.folder), self.plan.profile, str(self._listening),
                str(self.plan.hold), str(self.plan.seed),
            ]  # fmt: skip
            self.ready = trio.Event()
            process = await trio.lowlevel.open_process(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
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
            self.reported.set()

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
        await until(lambda: self.process is not before and self.process is not None, 0.02)

    async def until_online(self) -> None:
        """Wait until the bot polls."""
        with trio.fail_after(CALM):
            live = self.service.state.live
            await until(lambda: any(s.hold is not None and not s.code for s in live.values()), 0.05)

    def note(self, text: str) -> None:
        """Keep a trace of what was done when; it explains what did not hold."""
        with (self.folder / "trouble.log").open("a", encoding="utf-8") as file:
            file.write(f"{trio.current_time():.2f} {text}\n")


async def _bury(process: trio.Process) -> None:
    """See to it that *process* has ended and that nothing of it is left here."""
    if process.returncode is None:
        process.kill()
    await process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            await trio.aclose_forcefully(stream)


def _numbers(items: list[Item]) -> list[int]:
    """Return the numbers of those messages that were said by `Scene`."""
    texts = [plain(item.segments) for item in items]
    return [int(text[1:]) for text in texts if text.startswith("t")]


async def until(condition: Callable[[], bool], every: float) -> None:
    """Wait until *condition* holds; there is no event for what another process does."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(every)
