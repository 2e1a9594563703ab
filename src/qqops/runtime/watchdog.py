"""Names who holds up the event loop, while they do.

The loop notes when each step of a task begins, and when it waits for the world; a thread looks at that 20 times a second, and
sleeps while the loop does. Who holds everything up for `TOO_LONG` is named in the log with the line they stand at. A handler
that does so for the third time is switched off. Under a debugger nobody is.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Generator
from types import FrameType
from typing import Any

import attrs
import structlog
import trio

from qqops.runtime.blame import Culprit, culprit, places_of
from qqops.runtime.halted import STRIKES, Halted
from qqops.runtime.registry import Registry
from qqops.runtime.ticket import Ticket, names, running
from qqops.texts import Say

log = structlog.get_logger("qqops.watchdog")

#: Seconds that a step may take, and seconds between two looks.
TOO_LONG, PERIOD = 0.2, 0.05
#: What an author can do about it.
HINT = "await trio's functions; put what blocks into a plain `def` handler, or trio.to_thread.run_sync"


@attrs.frozen
class Held:
    """A step that takes too long, or has: *seconds* so far, or in all when it is *over*."""

    task: Any
    seconds: float
    over: bool = False


class Watch(trio.abc.Instrument):
    """What the loop notes, and what follows from it. The loop's thread calls the first two, another one the rest.

    Args:
        now: Seconds of a clock that never goes back.
        wake: Called by the loop when a step begins while nobody looks.

    Attributes:
        asleep: Whether nobody looks.
    """

    def __init__(self, now: Callable[[], float], wake: Callable[[], object]) -> None:
        self._now = now
        self._wake = wake
        self._step: tuple[Any, float] | None = None
        self._seen: tuple[Any, float] | None = None
        self._told: Held | None = None
        self._stood_still = 0.0
        self._looked = self._computed = 0.0
        self.asleep = False

    # -- the loop ---------------------------------------------------------------------------------

    def before_task_step(self, task: Any) -> None:
        """A step of *task* begins; that of another one is over."""
        self._step = task, self._now()  # one value, so that the other thread sees all of it or nothing
        if self.asleep:
            self.asleep = False
            self._wake()

    def before_io_wait(self, timeout: float) -> None:
        """The loop waits for the world: no step is under way."""
        self._step = None

    # -- who looks --------------------------------------------------------------------------------

    def rest(self) -> bool:
        """Return whether there is nothing to look at; from then on the loop wakes us up."""
        if self._busy() or self._told is not None:
            return False
        self.asleep = True
        self.asleep = not self._busy()  # a step may have begun in between without having seen it
        return self.asleep

    def _busy(self) -> bool:
        return self._step is not None

    def awake(self, now: float, computed: float) -> None:
        """Note that looking begins."""
        self._looked, self._computed = now, computed

    def look(self, now: float, computed: float) -> Held | None:
        """Return the step that takes too long, once, and once more when it is over.

        Args:
            now: Seconds, as in the notes.
            computed: Seconds of computing that the process has done. Time in which it stood still, stopped or on a
                machine that slept, is nobody's fault.
        """
        step, gap, busy = self._step, now - self._looked, computed - self._computed
        self.awake(now, computed)
        told, self._told = self._told, None
        if told is not None and step is not self._seen:
            return attrs.evolve(told, over=True)
        if step is None:
            return None
        if step is not self._seen:
            self._seen, self._stood_still = step, 0.0
            gap = min(gap, now - step[1])
        if gap > 2 * PERIOD:  # who looks could not: either somebody held the interpreter, or nobody had it
            self._stood_still += max(0.0, gap - PERIOD - busy)
        seconds = now - step[1] - self._stood_still
        if seconds < TOO_LONG:
            return None
        self._told = Held(step[0], seconds)
        return self._told if told is None else None


class Watchdog:
    """The thread that looks, and what it says.

    Args:
        registry: What is declared where.
        halted: Who is switched off, and counts.
    """

    def __init__(self, registry: Registry, halted: Halted) -> None:
        self._registry = registry
        self._halted = halted
        self._bell = threading.Event()
        self._ended = False
        self._run_told: dict[str, object] = {}
        self._watch = Watch(time.monotonic, self._bell.set)

    @contextlib.contextmanager
    def watching(self) -> Generator[None]:
        """Watch the loop that this is called in while the block runs."""
        frames = getattr(sys, "_current_frames", None)
        if frames is None or debugged(None):
            yield
            return
        thread = threading.Thread(
            target=self._run,
            args=(threading.get_ident(), frames, trio.lowlevel.current_trio_token()),
            name="watchdog",
            daemon=True,
        )
        trio.lowlevel.add_instrument(self._watch)
        thread.start()
        try:
            yield
        finally:
            self._ended = True
            self._bell.set()
            with contextlib.suppress(KeyError):  # trio has thrown it out
                trio.lowlevel.remove_instrument(self._watch)

    def _run(
        self, loop: int, frames: Callable[[], dict[int, FrameType]], token: trio.lowlevel.TrioToken
    ) -> None:
        watch, bell = self._watch, self._bell
        watch.awake(time.monotonic(), time.process_time())
        while not self._ended:
            if watch.rest():
                bell.wait()
                watch.awake(time.monotonic(), time.process_time())
            bell.clear()
            if not self._ended:
                bell.wait(PERIOD)
            held = watch.look(time.monotonic(), time.process_time())
            if held is not None and not self._ended:
                frame = frames().get(loop)
                if held.over or not debugged(frame):
                    self._tell(held, frame, token)

    def _tell(self, held: Held, frame: FrameType | None, token: trio.lowlevel.TrioToken) -> None:
        seconds = round(held.seconds, 2)
        if held.over:
            log.info("it goes on", seconds=seconds, **self._run_told)
            return
        ticket: Ticket | None = held.task.context.get(running)
        run: dict[str, object] = (
            {**names(ticket), "run": ticket.id} if ticket is not None else {"task": held.task.name}
        )
        self._run_told = run
        found = culprit(places_of(frame), ticket.hit.handler if ticket is not None else None, self._registry)
        if not found.plugin:
            log.info("the bot's own code holds everything up", at=found.at, seconds=seconds, **run)
            return
        run |= {"plugin": found.plugin, "handler": found.name}
        if found.handler is None:
            log.warning("a plugin holds everything up", at=found.at, seconds=seconds, hint=HINT, **run)
            return
        times = self._halted.strikes(found.handler.key) + 1
        log.warning(
            "a handler holds everything up",
            at=found.at, seconds=seconds, time=f"{times} of {STRIKES}", hint=HINT, **run,
        )  # fmt: skip
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(self._strike, found, times, seconds)

    def _strike(self, found: Culprit, times: int, seconds: float) -> None:
        """Count it; in the loop, which owns who is switched off."""
        assert found.handler is not None
        said = {"name": found.handler.name, "times": times, "seconds": seconds, "at": found.at}
        self._halted.strike(found.handler, Say("why.halted_blocking", said))


def debugged(frame: FrameType | None) -> bool:
    """Whether somebody steps through the program: then time says nothing."""
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID):
        return True
    while frame is not None:
        if frame.f_trace is not None or frame.f_globals.get("__name__") in ("pdb", "bdb"):
            return True
        frame = frame.f_back
    return False
