"""Where log lines go: readable in a terminal, or JSON lines. Those of the standard library's `logging` go there as well.

No line shows local variables, in which passwords lie about; a secret of the settings that stands in the text of an error is
masked.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO

import structlog

if TYPE_CHECKING:
    from qqops.runtime.hidden import Hidden

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

#: What every record of `logging` has; anything else was given to it as ``extra``.
_OF_A_RECORD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
#: Words of a line that are its own.
_TAKEN = frozenset({"event", "level", "timestamp", "logger", "exc_info", "exception", "stack"})


def configure(
    log_format: LogFormat, level: LogLevel, hidden: Hidden | None = None, *, file: TextIO | None = None
) -> Hidden:
    """Send log lines of *level* and above, and Python's warnings, to standard error; return what is masked in them.

    Args:
        hidden: The secrets that are masked, if there are any yet.
        file: Where they go instead.
    """
    from qqops.runtime.hidden import Hidden  # here: who only wants --help does not need the runtime
    from qqops.runtime.ticket import add_run

    hidden = hidden or Hidden()

    out = file or sys.stderr
    chain: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_run,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=log_format == "json"),
    ]
    last: structlog.typing.Processor
    if log_format == "json":
        without_locals = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        chain.append(structlog.processors.ExceptionRenderer(without_locals))
        last = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        chain.append(structlog.processors.format_exc_info)
        last = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    chain.append(hidden.mask_line)
    lowest = getattr(logging, level.upper())
    structlog.configure(
        processors=[*chain, last],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, Standard)]:
        root.removeHandler(handler)
    root.addHandler(Standard(lowest))
    root.setLevel(lowest)
    logging.captureWarnings(True)
    return hidden


class Standard(logging.Handler):
    """Makes a line of ours of each record of the standard library's `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record*; one that cannot be written is named, and harms nobody."""
        try:
            text, values = record.getMessage().rstrip(), _values(record)
        except Exception as exc:  # noqa: BLE001 - somebody's arguments do not fit their text
            text, values = "a log line cannot be made", {"logger": record.name, "reason": type(exc).__name__}
            values["where"] = f"{record.pathname}:{record.lineno}"
        # What `logging` does then is to print the arguments; and who logs must not fail because of it.
        with contextlib.suppress(Exception):
            structlog.get_logger().log(_level(record.levelno), text, **values)


def _values(record: logging.LogRecord) -> dict[str, Any]:
    """Return what *record* says besides its text."""
    more = {name: value for name, value in vars(record).items() if name not in _OF_A_RECORD}
    values = {f"extra_{name}" if name in _TAKEN else name: value for name, value in more.items()}
    values["logger"] = record.name
    if record.exc_info and record.exc_info[1] is not None:
        values["exc_info"] = record.exc_info
    if record.stack_info:
        values["stack"] = record.stack_info
    return values


def _level(number: int) -> int:
    """Return the level that we have a name for: *number*, or the next one below."""
    return max(10, min(number // 10 * 10, logging.CRITICAL))
