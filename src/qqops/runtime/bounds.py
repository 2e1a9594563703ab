"""Regular expressions of plugins, searched within a bound of time.

Python's engine holds the interpreter while it searches: no thread, no task and no deadline gets in. It does look for
signals, though, and ends with what their handler raises. So a timer that counts the process's own computing time rings
through it. `regex`, which has time limits, means something else by ``\\w`` and ``\\b`` in 30,000 characters, emoji among them.
"""

from __future__ import annotations

import contextlib
import re
import signal
import threading
from collections.abc import Generator
from types import FrameType
from typing import Any

import structlog

from qqops.runtime.halted import Halted
from qqops.runtime.registry import Listener
from qqops.texts import Say

log = structlog.get_logger("qqops.bounds")

#: Seconds of computing that the timer is set to. One search may take that long, and takes at most twice that.
SECONDS = 0.05


class _Rung(Exception):
    """The timer has rung."""


class Bounds:
    """Searches what may explode under a timer, and has the listener switched off whose pattern does.

    Without `installed`, or where there is no such timer (Windows, a loop outside the main thread), nothing is bounded.
    """

    def __init__(self, halted: Halted, seconds: float = SECONDS) -> None:
        self.halted = halted
        self._seconds = seconds
        self._on = False
        self._set = False
        self._searching = False
        self._rung = False
        self._before: Any = None

    @contextlib.contextmanager
    def installed(self) -> Generator[None]:
        """Have the timer while the block runs."""
        if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
            log.info("no timer here: patterns of plugins are searched without a bound of time")
            yield
            return
        before = signal.signal(signal.SIGVTALRM, self._ring)
        self._before = before if callable(before) else None
        self._on = True
        try:
            yield
        finally:
            self._on = False
            # Else another bot of this process has it now, and gives it back to us.
            if signal.getsignal(signal.SIGVTALRM) == self._ring:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                self._set = False
                signal.signal(signal.SIGVTALRM, before)
                self._hand_on(signal.SIGVTALRM, None)

    def search(self, listener: Listener, text: str) -> re.Match[str] | None:
        """Return where *text* sets *listener* off; None, too, when that took too long and it is switched off now."""
        pattern = listener.pattern
        if pattern is None or listener.handler.key in self.halted:
            return None
        if not self._on:
            return pattern.search(text)
        try:
            try:
                self._rung = False
                self._searching = True
                if (
                    not self._set
                ):  # it runs on from one search to the next: to set it costs more than many a search
                    self._start()
                return pattern.search(text)
            finally:
                self._searching = False
        except _Rung:
            self._too_long(listener, text)
            return None

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        self._set = False
        self._hand_on(signum, frame)
        if not self._searching:
            return
        if not self._rung:  # it may have been set long before this search: that has its time from now on
            self._rung = True
            self._start()
        else:
            self._searching = False
            raise _Rung

    def _hand_on(self, signum: int, frame: FrameType | None) -> None:
        """Tell who had the timer before that it does not run any more."""
        if self._before is not None:
            self._before(signum, frame)

    def _start(self) -> None:
        self._set = True
        signal.setitimer(signal.ITIMER_VIRTUAL, self._seconds)

    def _too_long(self, listener: Listener, text: str) -> None:
        handler = listener.handler
        log.error(
            "the search for a pattern was stopped: it tries too many ways",
            plugin=handler.plugin, handler=handler.name, where=handler.where, pattern=listener.pattern and listener.pattern.pattern,
            characters=len(text),
            hint="no repetition within a repetition, (a+)+; nothing is tried twice in a*+ or (?>...)",
        )  # fmt: skip
        self.halted.halt(handler, Say("why.halted_pattern", {"name": handler.name, "characters": len(text)}))
