"""Tells a Ctrl-C from a `KeyboardInterrupt` that a plugin has raised by itself."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def heeding_interrupts() -> Iterator[Callable[[], BaseException | None]]:
    """Yield what returns the exception of a Ctrl-C that has been pressed since, or None.

    What a signal leads to is still decided by the handler that was there before, Python's or trio's: it is called with
    the same arguments, and what it raises is an interrupt. One that raises nothing has other means. In other threads
    than the main one, and where SIGINT is ignored, none can arrive.
    """
    came: BaseException | None = None
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        try:
            before(number, frame)
        except BaseException as exc:
            came = exc
            raise

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: came
    finally:
        if signal.getsignal(signal.SIGINT) is note:  # else the plugin has one of its own, and means it
            signal.signal(signal.SIGINT, before)
