"""One soak of the OneBot adapter: an implementation here, a bot in a process of its own, a crowd, and trouble by the dice."""

from __future__ import annotations

import pathlib
import random
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import attrs
import trio

from qqops.runtime.clock import WallClock
from qqops.simulator.onebot.child import Child, free_port, write_settings
from qqops.simulator.onebot.crowd import BOT, DUPLICATES, Crowd, Line, make_world
from qqops.simulator.onebot.implementation import Frame, Implementation, Said
from qqops.simulator.onebot.ledger import Ledger
from qqops.simulator.onebot.peer import Peer
from qqops.simulator.onebot.server import OneBotServer
from qqops.simulator.onebot.tap import Wires
from qqops.simulator.onebot.trouble import Trouble

#: Events that may be on the way and not read, and commands without an outcome, before the crowd waits.
ON_THE_WAY, OPEN = 300, 256
#: Events between two moments in which others get their turn.
BREATH = 32
#: Something just said that may come once more: how far back.
LATELY = 20
#: The part of a plan that is run before the first measurement, on top: memory that traffic with trouble takes comes in bursts,
#: and the allocator keeps what each larger one has torn open.
WARM = 0.2
#: Seconds in which something must move, in which all must be settled at the end, and without a word of the bot until then.
PATIENCE, CALM, QUIET = 30.0, 60.0, 0.5
#: Seconds between two tries of a reverse connection: real ones take 3 to 5 (onebot11.md §1), this makes room for more.
RECONNECT = 0.2


@attrs.frozen(kw_only=True)
class Plan:
    """One run.

    Attributes:
        events: How many events; ignored when *minutes* are given.
        minutes: How long; 0 for as long as *events* take.
        rate: Events per second; 0 for as fast as the bot takes them.
        trouble: Whether there is any.
        deaf: Seconds for which the implementation reads nothing, once.
        deaf_rate: Commands per second in that time.
        big: How many answers of more than a MB there are in that time.
        warm_up: Events before any trouble.
        idle: Seconds without traffic before what is held is measured: after ten, spare threads are gone.
    """

    seed: int = 1
    events: int = 100_000
    minutes: float = 0.0
    rate: float = 0.0
    trouble: bool = True
    flavor: str = "napcat"
    reverse: bool = True
    journal: bool = False
    deaf: float = 8.0
    deaf_rate: float = 250.0
    big: int = 80
    warm_up: int = 5000
    idle: float = 12.0


class Ordeal:
    """One run.

    Attributes:
        busy: Set while people talk.
    """

    def __init__(self, plan: Plan, folder: pathlib.Path) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.ledger = Ledger()
        self.busy = trio.Event()
        self.it = Implementation(WallClock(), make_world(), plan.flavor, BOT, plan.seed)
        self.it.make = attrs.evolve(self.it.make, reconnect=RECONNECT)
        self.it.heard = self._shown
        port = free_port() if plan.reverse else 0
        self.wires = Wires(self._proven, self._doubted)
        self.server = OneBotServer(
            self.it, reverse=[f"ws://127.0.0.1:{port}/"] if port else [], dial=self.wires.dial, take=self.wires.take
        )  # fmt: skip
        self.server.pushed = self._pushed
        self.child = Child(folder, plan.seed, self._line)
        self._folder = folder
        self._port = port
        self._crowd = Crowd(self.rng)
        self._number = 0
        self._lately: deque[tuple[int, Frame, Peer]] = deque(maxlen=LATELY)
        self._open: set[int] = set()
        self._answering: set[int] = set()
        self._told_at = float("-inf")
        self._moved = trio.Event()

    async def run(self) -> Ledger:
        """Run to the end; returns what was seen."""
        trouble = Trouble(self)
        async with trio.open_nursery() as nursery:
            url = await nursery.start(self.server.run)
            where = {"listen": f"127.0.0.1:{self._port}"} if self._port else {"url": url}
            write_settings(self.child.folder, where, journal=self.plan.journal)
            nursery.start_soon(self.child.run)
            try:
                await self._run_parts(trouble)
            except trio.TooSlowError:
                self.ledger.problems.append(f"nothing moves: {self._state()}")
            self.ledger.exits.append(await self.child.end(signal.SIGTERM))
            nursery.cancel_scope.cancel(reason="the run is over")
        self.ledger.connections = self.server.connections
        return self.ledger

    async def _run_parts(self, trouble: Trouble) -> None:
        """Warm up, measure, let people talk with trouble, let the other side not read, measure again."""
        await self.until(self._online)
        await self._warm_up(trouble)
        await self._measure()
        began, before = trio.current_time(), sum(self.ledger.said.values())
        await self._stretch(trouble, 1.0)
        self.ledger.rate = (sum(self.ledger.said.values()) - before) / (trio.current_time() - began)
        await self._calm()
        await self._measure()
        if self.plan.trouble:
            await self._deaf()
            await self._calm()
            await self._measure()

    async def _warm_up(self, trouble: Trouble) -> None:
        """See to it that what is made once is made, and that what fills is full: tables, windows, the allocator."""
        await self._talk(lambda said: said < self.plan.warm_up, rate=0.0)
        if self.plan.trouble:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._talk, lambda said: True, 0.0)
                await trouble.once()
                nursery.cancel_scope.cancel(reason="warm enough")
            await self._deaf()
        await self._stretch(trouble, WARM)
        if self.plan.trouble and self.plan.big:
            await self._calm()
            await self._deaf()
        await self._calm()

    async def _stretch(self, trouble: Trouble, part: float) -> None:
        """Let people talk for a part of the plan, with trouble."""
        plan = self.plan
        end = trio.current_time() + plan.minutes * 60 * part
        async with trio.open_nursery() as nursery:
            if plan.trouble:
                nursery.start_soon(trouble.make)
            await self._talk(
                (lambda said: trio.current_time() < end)
                if plan.minutes
                else (lambda said: said < plan.events * part),
                plan.rate,
            )
            nursery.cancel_scope.cancel(reason="nobody talks any more")

    # -- traffic --------------------------------------------------------------------------------

    async def _talk(self, goes_on: Callable[[int], bool], rate: float) -> None:
        """Let people talk."""
        said, due = 0, trio.current_time()
        while goes_on(said):
            await self.until(self._has_room)
            self._happen(self._crowd.next())
            said += 1
            if rate:
                # What was missed for more than a second is not made up for.
                due = max(due + 1 / rate, trio.current_time() - 1.0)
                await trio.sleep_until(due)
            elif said % BREATH == 0:
                await trio.lowlevel.checkpoint()

    def _has_room(self) -> bool:
        return self._online() and len(self._open) < OPEN and self.wires.waiting < ON_THE_WAY

    def _online(self) -> bool:
        return any(peer.events and not peer.stalled for peer in self.server.peers)

    def _happen(self, what: Line | Frame) -> None:
        if not isinstance(what, Line):
            self.ledger.said[str(what["post_type"])] += 1
            self._number = 0
            self.it.push({"time": int(self.it.now()), "self_id": BOT, **what})
            return
        self.ledger.said["command" if what.number else "chatter"] += 1
        self._number = what.number
        if what.number:
            self.ledger.asked[what.number] = what.place
        self.it.choose(message_format="string" if what.strings else "usual")
        group = self.it.world.groups[what.group] if what.group else None
        self.it.say(self.it.world.people[what.person], group, what.segments)
        if self._lately and self.rng.random() < DUPLICATES:
            self._repeat()

    def _repeat(self) -> None:
        """Push something that was said just now once more."""
        self.ledger.said["again"] += 1
        self._number, frame, peer = self.rng.choice(self._lately)
        if peer not in self.server.peers or peer.stalled:
            self.ledger.repeated.add(self._number)
        self.it.push(frame)

    def _pushed(self, peer: Peer, frame: Frame) -> None:
        """An event was put on a connection."""
        number = self._number
        self.wires.put(peer.socket, number)
        if not number:
            return
        if number not in self.ledger.written:
            self._lately.append((number, frame, peer))
            self.ledger.written.add(number)
            self._open.add(number)

    # -- what comes of it -----------------------------------------------------------------------

    def _proven(self, numbers: Sequence[int]) -> None:
        self.ledger.certain.update(n for n in numbers if n)
        self._move()

    def _doubted(self, numbers: Sequence[int]) -> None:
        self._open.difference_update(n for n in numbers if n not in self.ledger.certain)
        self._move()

    def _shown(self, said: Said) -> None:
        self.ledger.shown(f"{'g' if said.kind == 'group' else 'p'}{said.room}", said.text)

    def _line(self, kind: str, data: Mapping[str, object]) -> None:
        if kind in "LRD":
            self.note(f"  {kind} {data}")
        self._told_at = trio.current_time()
        settled = self.ledger.line(kind, data)
        self._open.discard(settled)
        self._answering.discard(settled)
        if kind == "S":
            self._answering.add(self.ledger.starts[-1][0])
        self._move()

    def _move(self) -> None:
        self._moved.set()

    def note(self, text: str) -> None:
        """Keep a trace of what was done when; it explains what did not hold."""
        with (self._folder / "trouble.log").open("a", encoding="utf-8") as file:
            file.write(f"{trio.current_time():.2f} {text}\n")

    async def until(self, condition: Callable[[], bool], within: float = PATIENCE) -> None:
        """Wait until *condition* holds. Raises `trio.TooSlowError`."""
        if condition():
            return
        with trio.fail_after(within):
            while not condition():
                self._moved = trio.Event()
                with trio.move_on_after(0.1):  # a new connection wakes nobody here
                    await self._moved.wait()

    def _state(self) -> str:
        peers = [f"{'stalled' if peer.stalled else 'open'}" for peer in self.server.peers]
        return f"{len(self._open | self._answering)} commands open, {self.wires.waiting} events on the way, connections {peers}"

    # -- phases ---------------------------------------------------------------------------------

    async def _deaf(self) -> None:
        """Read nothing for a while; people talk on, and some answers are larger than what the system keeps."""
        await self.until(self._has_room)
        self.ledger.deaf = True
        self.ledger.actions["deaf"] += 1
        self.note(f"deaf at {self._crowd.commands}")
        self.wires.deafen()
        big, end = self.plan.big, trio.current_time() + self.plan.deaf
        while trio.current_time() < end:
            if self._online():
                big -= 1
                self._happen(self._crowd.command("big" if big >= 0 else ""))
                self._happen(self._crowd.chatter())
            await trio.sleep(1 / self.plan.deaf_rate)
        self.wires.listen()

    async def _calm(self) -> None:
        """End all trouble and wait until everything that was read has been handled and answered."""
        self.server.control.call("POST", "faults", {"clear": True})
        self.server.control.call("POST", "online", {})
        await self.until(self._online)
        try:
            await self.until(self._is_calm, CALM)
        except trio.TooSlowError:
            self.ledger.problems.append(f"not calm after {CALM:g} s: {self._state()}")
            self._open.clear()

    def _is_calm(self) -> bool:
        """Whether nothing is open; what is in doubt may wait in the bot all the same, so it must be silent, too."""
        quiet = trio.current_time() - self._told_at > QUIET
        return quiet and not self._open and not self._answering and not self.wires.waiting

    async def _measure(self) -> None:
        """Note what the bot holds."""
        await trio.sleep(self.plan.idle)
        self.note("measure")
        self.ledger.usage.append(await self.child.usage())
