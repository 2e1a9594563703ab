"""Everything that is logged, as text."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, MutableMapping
from typing import Any

import structlog
from structlog.processors import format_exc_info


def without_locals() -> None:
    """Let a test that fails show no local variables of handlers in what it has logged: where rich is loaded, it would."""
    with contextlib.suppress(structlog.exceptions.NoConsoleRendererConfiguredError):
        structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback


class _Handler(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


@contextlib.contextmanager
def everything_logged() -> Iterator[list[str]]:
    """Collect what is logged in the block, at every level and with tracebacks, by structlog and by logging."""
    lines: list[str] = []

    def note(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        lines.append(repr(event))
        return event

    root, handler = logging.getLogger(), _Handler(lines)
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with structlog.testing.capture_logs([format_exc_info, note]):
            yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
