"""A traceback as its author wants to see it: short, and nothing of the bot's."""

from __future__ import annotations

import pathlib
import sysconfig
import traceback

import outcome
import trio

import qqops

#: Lines of one traceback; those in the middle go first.
MOST = 20
#: Of these, lines at the beginning: the heading, and the frame at which the handler was called.
_HEAD = 4

_THEIRS = (
    *(str(pathlib.Path(module.__file__ or "").parent) for module in (qqops, trio, outcome)),
    "<frozen",
)


def is_authors(file: str) -> bool:
    """Whether *file* is neither of qqops, trio, nor Python itself: the author's code, and what that leans on."""
    if file.startswith(_THEIRS):
        return False
    return "site-packages" in file or not file.startswith(sysconfig.get_path("stdlib"))


def in_words(error: BaseException, most: int = MOST) -> str:
    """Return the traceback of *error* without frames of qqops and trio, in at most *most* lines."""
    shown = traceback.TracebackException.from_exception(error)
    _strip(shown)
    lines = "".join(shown.format()).rstrip("\n").splitlines()
    if len(lines) > most:
        lines[_HEAD : len(lines) - (most - _HEAD - 1)] = ["  …"]
    return "\n".join(lines)


def _strip(shown: traceback.TracebackException) -> None:
    frames = [frame for frame in shown.stack or () if is_authors(frame.filename)]
    shown.stack = traceback.StackSummary.from_list(frames)
    if not frames:
        shown.stack = None  # type: ignore[assignment] # that is how the heading is left out
    for inner in (shown.__cause__, shown.__context__, *(shown.exceptions or ())):
        if inner is not None:
            _strip(inner)
