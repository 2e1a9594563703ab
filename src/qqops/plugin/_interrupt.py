"""Tells a Ctrl-C from a `KeyboardInterrupt` that a plugin has raised by itself."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def heeding_interrupts() -> Iterator[Callable[[], bool]]:
    """Yield what says whether somebody has pressed Ctrl-C since.

    What a signal leads to is still decided by the handler that was there before (Python's, or trio's): it is called
    with the same arguments. In other threads than the main one, and where SIGINT is ignored, none can arrive.
    """
    came = False
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: came
    finally:
        if signal.getsignal(signal.SIGINT) is note:  # else the plugin has one of its own, and means it
            signal.signal(signal.SIGINT, before)
