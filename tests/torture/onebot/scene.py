"""What a soak works on: an implementation here, people who talk, a bot in a process of its own, and the dice."""

from __future__ import annotations

import pathlib
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import attrs
import trio

from qqops.runtime.clock import WallClock
from qqops.simulator.onebot.implementation import Frame, Implementation, Said
from qqops.simulator.onebot.peer import Peer
from qqops.simulator.onebot.server import OneBotServer
from tests.torture.onebot.child import Child, free_port, write_settings
from tests.torture.onebot.crowd import BOT, DUPLICATES, Crowd, Line, make_world
from tests.torture.onebot.ledger import Ledger
from tests.torture.onebot.plan import Plan
from tests.torture.onebot.tap import Wires

#: Events that may be on the way and not read, and commands without an outcome, before the crowd waits.
ON_THE_WAY, OPEN = 300, 256
#: Events between two moments in which others get their turn.
BREATH = 32
#: Something just said that may come once more: how far back.
LATELY = 20
#: Seconds in which something must move, and without a word of the bot until it is calm.
PATIENCE, QUIET = 30.0, 0.5
#: Seconds between two tries of a reverse connection: real ones take 3 to 5 (onebot11.md §1), this makes room for more.
RECONNECT = 0.2


class Scene:
    """All that one soak works on."""

    def __init__(self, plan: Plan, folder: pathlib.Path) -> None:
        self.plan = plan
        self.rng = random.Random(plan.seed)
        self.ledger = Ledger()
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
        self._port = port
        self.crowd = Crowd(self.rng)
        self._number = 0
        self._lately: deque[tuple[int, Frame, Peer]] = deque(maxlen=LATELY)
        self._open: set[int] = set()
        self._answering: set[int] = set()
        self._told_at = float("-inf")
        self._moved = trio.Event()

    async def open(self, nursery: trio.Nursery) -> None:
        """Open the port and start the bot, in *nursery*."""
        url = await nursery.start(self.server.run)
        where = {"listen": f"127.0.0.1:{self._port}"} if self._port else {"url": url}
        write_settings(self.child.folder, where, journal=self.plan.journal)
        nursery.start_soon(self.child.run)

    # -- traffic --------------------------------------------------------------------------------

    async def talk(self, goes_on: Callable[[int], bool], rate: float) -> None:
        """Let people talk."""
        said, due = 0, trio.current_time()
        while goes_on(said):
            await self.until(self.has_room)
            self.happen(self.crowd.next())
            said += 1
            if rate:
                # What was missed for more than a second is not made up for.
                due = max(due + 1 / rate, trio.current_time() - 1.0)
                await trio.sleep_until(due)
            elif said % BREATH == 0:
                await trio.lowlevel.checkpoint()

    def has_room(self) -> bool:
        """Whether more may be said: neither too much is on the way nor too much open."""
        return self.online() and len(self._open) < OPEN and self.wires.waiting < ON_THE_WAY

    def online(self) -> bool:
        """Whether what is said comes to a connection that lives."""
        return any(peer.events and not peer.stalled for peer in self.server.peers)

    def happen(self, what: Line | Frame) -> None:
        """Say something, or let another event happen."""
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
        with (self.child.folder / "trouble.log").open("a", encoding="utf-8") as file:
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

    def is_calm(self) -> bool:
        """Whether nothing is open; what is in doubt may wait in the bot all the same, so it must be silent, too."""
        quiet = trio.current_time() - self._told_at > QUIET
        return quiet and not self._open and not self._answering and not self.wires.waiting

    def give_up(self) -> None:
        """Wait no longer for what was said and has no outcome."""
        self._open.clear()

    def state(self) -> str:
        """Return what is under way, for the case that it does not move."""
        peers = [f"{'stalled' if peer.stalled else 'open'}" for peer in self.server.peers]
        return f"{len(self._open | self._answering)} commands open, {self.wires.waiting} events on the way, connections {peers}"
