"""What soak and torture share: a simulator here, a bot in a process of its own, traffic, and trouble by the dice."""

from __future__ import annotations

import json
import pathlib
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping

import attrs
import trio

from qqops.model import plain
from qqops.runtime.clock import WallClock
from qqops.simulator.ledger import Ledger
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.state import Item

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
    """

    seed: int
    minutes: float
    profile: str
    rate: float = 10.0
    hold: float = 2.0
    rough: bool = True


class Ordeal:
    """One run of soak or torture."""

    def __init__(self, plan: Plan, folder: pathlib.Path) -> None:
        self._plan = plan
        self._folder = folder
        self._rng = random.Random(plan.seed)
        options = ServiceOptions(hold=plan.hold, seed=plan.seed)
        self._service = Service(WallClock(), options=options)
        self._server = Server(self._service)
        self.ledger = Ledger(cap=2.0)
        self._number = 0
        self._listening = 0
        self._traffic = trio.Event()
        self._process: trio.Process | None = None
        self._reports = trio.Event()
        self._ready = trio.Event()
        self._service.state.confirmed = self._confirmed

    async def run(self) -> Ledger:
        """Run to the end; returns what was seen."""
        async with trio.open_nursery() as nursery:
            url = await nursery.start(self._server.run)
            self._listening = int(url.rpartition(":")[2])
            await nursery.start(self._keep_process)
            nursery.start_soon(self._talk)
            nursery.start_soon(self._watch)
            await self._run_parts()
            await self._end_process(signal.SIGTERM)
            nursery.cancel_scope.cancel(reason="the run is over")
        self._collect()
        return self.ledger

    async def _run_parts(self) -> None:
        """Trouble of all kinds, calm, a measurement, gentle trouble, calm, a measurement."""
        seconds = self._plan.minutes * 60
        gentle = min(max(seconds / 4, 10.0), 60.0)
        self._traffic.set()
        if self._plan.rough:
            await self._trouble(max(seconds - gentle, 0.0), [*self._gentle(), *self._rough()])
            await self._calm()
            await self._fresh_process()
        await self._warm_up()
        await self._measure()
        await self._trouble(gentle if self._plan.rough else seconds, self._gentle())
        await self._calm()
        await self._measure()

    async def _warm_up(self) -> None:
        """See to it that what is made once, at the first fault and the first reconnect, is made."""
        self._traffic.set()
        await self._until_online()
        for call in (self._drop, self._expire, self._wire_fault):
            await trio.sleep(self._plan.hold)
            await call()
        await trio.sleep(self._plan.hold * 2)
        await self._calm()

    # -- traffic --------------------------------------------------------------------------------

    async def _talk(self) -> None:
        """Let people talk."""
        while True:
            await self._traffic.wait()
            await trio.sleep(self._rng.expovariate(self._plan.rate))
            self._say()

    def _say(self) -> None:
        self._number += 1
        sender = self._rng.choice(["Ali", "Bo"])
        kind, room = self._rng.choice(
            [("group", "ops"), ("group", "qqops-test"), ("discu", "plan"), ("buddy", None)]
        )
        data = {"kind": kind, "from": sender, "text": f"t{self._number}"}
        if room is not None:
            data["room"] = room
        self.ledger.injected[self._number] = (kind, f"{room}/{sender}")
        self._server.control.call("POST", "inject", data)

    def _confirmed(self, item: Item) -> None:
        text = plain(item.segments)
        if text.startswith("t"):
            self.ledger.confirmed[int(text[1:])] += 1

    # -- the process ----------------------------------------------------------------------------

    async def _keep_process(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the bot, and start it again whenever it has ended."""
        started = False
        while True:
            command = [
                sys.executable, "-m", "qqops.simulator.victim", str(self._folder), self._plan.profile, str(self._listening),
                str(self._plan.hold), str(self._plan.seed),
            ]  # fmt: skip
            self._ready = trio.Event()
            process = await trio.lowlevel.open_process(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            self._process = process
            if not started:
                started = True
                task_status.started()
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read_log, process)
                    await self._read_lines(process)
                    nursery.cancel_scope.cancel()
                code = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
            self.ledger.exits[code] += 1
            if code not in (0, -9):
                self.ledger.problems.append(f"the bot ended with {code}; see {self._folder}/bot.log")

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
            self._ready.set()
        if kind in "RLI":
            self._note(f"  {kind} {data}")
        self.ledger.line(kind, data)
        if kind == "U":
            self._reports.set()

    async def _read_log(self, process: trio.Process) -> None:
        """Keep the end of the bot's log in a file."""
        assert process.stderr is not None
        async with await trio.open_file(self._folder / "bot.log", "ab") as file:
            async for chunk in process.stderr:
                await file.write(chunk)
                await file.flush()

    async def _end_process(self, how: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        if how is signal.SIGKILL:
            # Between an answer and the next poll nobody can know whether it has arrived.
            for session in self._service.state.sessions.values():
                texts = [plain(item.segments) for item in session.unconfirmed]
                self.ledger.ambiguous |= {int(text[1:]) for text in texts if text.startswith("t")}
        process.send_signal(how)
        with trio.move_on_after(20) as scope:
            await process.wait()
        if scope.cancelled_caught:
            self.ledger.problems.append(f"the bot did not end within 20 s of {how.name}")
            process.kill()
            await process.wait()

    async def _until_started(self) -> None:
        before = self._process
        await _until(lambda: self._process is not before and self._process is not None, 0.02)

    async def _until_online(self) -> None:
        with trio.fail_after(CALM):
            live = self._service.state.live
            await _until(lambda: any(s.hold is not None and not s.code for s in live.values()), 0.05)

    async def _fresh_process(self) -> None:
        await self._end_process(signal.SIGTERM)
        await self._until_online()

    # -- watching -------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Count requests that brought nothing, in windows of ten seconds."""
        history: list[int] = []
        while True:
            useful = self._service.state.answered + 3 * len(self._service.state.sent)
            history.append(self._service.requests - useful)
            if len(history) > 10:
                self.ledger.most_requests = max(self.ledger.most_requests, history[-1] - history.pop(0))
            self.ledger.most_live = max(self.ledger.most_live, self._service.state.most_live)
            await trio.sleep(1.0)

    async def _calm(self) -> None:
        """End all trouble and wait until everything said was delivered, handled and answered."""
        self._traffic = trio.Event()
        self._server.control.call("POST", "faults", {"clear": True})
        for name in ("clock", "nodns"):
            (self._folder / name).unlink(missing_ok=True)
        with trio.move_on_after(CALM) as scope:
            await _until(self._settled, 0.1)
        if scope.cancelled_caught:
            waiting = sum(len(queue) for queue in self._service.state.queues.values())
            self.ledger.problems.append(
                f"not calm after {CALM:g} s: {waiting} messages wait, {self._unanswered()}"
            )

    def _settled(self) -> bool:
        state = self._service.state
        waiting = any(state.queues.values()) or any(s.unconfirmed for s in state.sessions.values())
        return not waiting and not self._unanswered()

    def _unanswered(self) -> list[int]:
        """Return what was handled to the end and has no outcome, and what was delivered and not handled."""
        started = {n for n, _, _ in self.ledger.starts}
        ended = self.ledger.ends - self.ledger.interrupted
        silent = [n for n in ended if f"r{n}" not in self.ledger.outcomes and not self._died_with(n)]
        return sorted([*silent, *(n for n in self.ledger.confirmed if n not in started)])[:10]

    def _died_with(self, n: int) -> bool:
        """Whether the answer to *n* went out in a process that was killed before it could say so."""
        return bool(self.ledger.exits[-9]) and any(line.text == f"r{n}" for line in self._service.state.sent)

    async def _measure(self) -> None:
        """Ask the bot what it holds, once spare connections and threads are gone; the least of a few answers counts."""
        await trio.sleep(IDLE)
        answers = []
        process = self._process
        for _ in range(6):
            before = len(self.ledger.usage)
            self._reports = trio.Event()
            assert process is not None
            process.send_signal(signal.SIGUSR1)
            with trio.fail_after(10):
                await self._reports.wait()
            answers += self.ledger.usage[before:]
            del self.ledger.usage[before:]
            await trio.sleep(0.7)
        self.ledger.usage.append({key: min(a[key] for a in answers) for key in answers[0]})

    def _collect(self) -> None:
        for line in self._service.state.sent:
            self.ledger.visible[line.text] += 1

    # -- trouble --------------------------------------------------------------------------------

    async def _trouble(self, seconds: float, kinds: list[Callable[[], Awaitable[None]]]) -> None:
        """Make trouble for so many seconds."""
        self._traffic.set()
        end = trio.current_time() + seconds
        while trio.current_time() < end:
            await trio.sleep(self._rng.uniform(0.2, 2.0))
            action = self._rng.choice(kinds)
            name = action.__name__.lstrip("_")
            self.ledger.actions[name] += 1
            self._note(f"{name} at t{self._number}")
            await action()

    def _note(self, text: str) -> None:
        """Keep a trace of what was done when; it explains what did not hold."""
        with (self._folder / "trouble.log").open("a", encoding="utf-8") as file:
            file.write(f"{trio.current_time():.2f} {text}\n")

    def _gentle(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self._wire_fault, self._wire_fault, self._wire_fault, self._wire_fault, self._message_fault, self._drop,
            self._expire, self._kick, self._renew, self._port, self._no_names,
        ]  # fmt: skip

    def _rough(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self._kill,
            self._kill_early,
            self._stop,
            self._suspend,
            self._move_clock,
            self._full_disk,
            self._lock_file,
        ]

    async def _fault(self, **data: object) -> None:
        await trio.lowlevel.checkpoint()
        self._note(f"  {data}")
        self._server.control.call("POST", "faults", data)

    async def _wire_fault(self) -> None:
        """Break one to three requests."""
        where = self._rng.choice(["poll2", "poll2", "send_", "get_", "login", "check_sig", ""])
        kind = self._rng.choice(["close", "close", "http", "stall", "html"])
        data: dict[str, object] = {"fault": kind, "on": where, "count": self._rng.randint(1, 3)}
        if kind == "close":
            data["after"] = self._rng.random() < 0.5
        if kind == "http":
            data["status"] = self._rng.choice([502, 504, 404, 403, 500])
        if kind == "stall":
            data["seconds"] = self._plan.hold * 3
        await self._fault(**data)

    async def _message_fault(self) -> None:
        """Deliver twice, shuffle, or answer 1202."""
        kind = self._rng.choice(["duplicate", "reorder", "1202"])
        if kind == "reorder" and self._plan.profile == "smartqq":
            kind = "duplicate"  # nothing in its messages tells the order within a second (webqq.md §10.1)
        if kind == "reorder":
            self.ledger.unordered.add("private")
        more: dict[str, object] = {"delivered": self._rng.random() < 0.5} if kind == "1202" else {}
        await self._fault(fault=kind, count=self._rng.randint(1, 4), **more)

    async def _call(self, name: str) -> None:
        await trio.lowlevel.checkpoint()
        state = self._service.state
        if any(not session.code for session in state.live.values()):
            self._server.control.call("POST", name, {})

    async def _drop(self) -> None:
        await self._call("drop")

    async def _expire(self) -> None:
        await self._call("expire")

    async def _kick(self) -> None:
        await self._call("kick")

    async def _renew(self) -> None:
        await self._call("ptwebqq")

    async def _port(self) -> None:
        await self._fault(fault="port", seconds=self._rng.uniform(0.3, 3.0))

    async def _no_names(self) -> None:
        """Let name look-ups fail, and break the connection so that they are needed."""
        flag = self._folder / "nodns"
        flag.touch()
        await self._fault(fault="close", count=2)
        await trio.sleep(self._rng.uniform(0.5, 3.0))
        flag.unlink(missing_ok=True)

    async def _kill(self) -> None:
        await self._end_process(signal.SIGKILL)

    async def _kill_early(self) -> None:
        """Kill it while it starts and logs in."""
        await self._end_process(signal.SIGKILL)
        await self._until_started()
        if self._rng.random() < 0.5:
            (self._folder / "webqq-main.session.json").unlink(missing_ok=True)
        await trio.sleep(self._rng.uniform(0.0, 1.6))
        await self._end_process(signal.SIGKILL)

    async def _stop(self) -> None:
        """SIGTERM, at any time, also while it logs in."""
        if self._rng.random() < 0.5:
            await self._end_process(signal.SIGKILL)
            await self._until_started()
            with trio.move_on_after(3):
                await self._ready.wait()  # before that there is no signal handler, and SIGTERM is a kill
            await trio.sleep(self._rng.uniform(0.0, 0.6))
        elif not self._ready.is_set():
            return
        await self._end_process(signal.SIGTERM)

    async def _suspend(self) -> None:
        """Stop the process for longer than the hold and every deadline."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGSTOP)
        await trio.sleep(self._plan.hold * self._rng.uniform(1.0, 4.0))
        process.send_signal(signal.SIGCONT)

    async def _move_clock(self) -> None:
        """Move the wall clock: a minute, an hour or a day, either way; then back."""
        seconds = self._rng.choice([60, -60, 3600, -3600, 86_400, -86_400])
        (self._folder / "clock").write_text(str(seconds))
        await trio.sleep(self._rng.uniform(1.0, 4.0))
        (self._folder / "clock").unlink(missing_ok=True)

    async def _full_disk(self) -> None:
        """Let every write to a file fail for a while."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        limits = (2048, resource.RLIM_INFINITY)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, limits)
        await trio.sleep(self._rng.uniform(1.0, 3.0))
        if process.returncode is None:
            resource.prlimit(
                process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
        await trio.sleep(1.0)  # what could not be written is tried again with the next write

    async def _lock_file(self) -> None:
        """Make the session file impossible to replace, and let the login be saved meanwhile."""
        file = self._folder / "webqq-main.session.json"
        file.unlink(missing_ok=True)
        file.mkdir(exist_ok=True)
        await self._call("drop")
        await trio.sleep(self._rng.uniform(0.5, 2.0))
        if file.is_dir():
            file.rmdir()


async def _until(condition: Callable[[], bool], every: float) -> None:
    """Wait until *condition* holds; there is no event for what another process does."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(every)
