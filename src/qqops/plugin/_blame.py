"""An exception that came out of a plugin → what to tell its author: the reason, and the line that is theirs."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import re
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import attr
import pluggy

from qqops.errors import ConfigError, PluginError
from qqops.plugin._finding import place_of, unknown_hook
from qqops.plugin._modules import package_of
from qqops.plugin.plugin import Plugin
from qqops.plugin.signature import location

_UNKNOWN_WORD = re.compile(
    r"(?P<of>\w+)\.(?P<name>\w+)\(\) got an unexpected keyword argument '(?P<word>\w+)'"
)
#: Characters of a reason; its exception is there as a whole besides.
MOST = 1000
#: How alike a word must be to be what was meant.
_NEAR = 0.8
_UNKNOWN_HOOK = re.compile(r"unknown hook '(\w+)'")

#: What is never the author's, where nobody knows what is.
_FOREIGN = (
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    importlib.__file__, importlib.metadata.__file__,
    os.path.dirname(pluggy.__file__) + os.sep,
    os.path.dirname(attr.__file__) + os.sep,
    "<",
)  # fmt: skip


def files_of(target: str) -> tuple[str, ...]:
    """Return what belongs to the plugin of an entry point: the folders of its package, or its one file.

    Nothing of it is run. Empty where there is no such package.
    """
    package = package_of(target)
    try:
        spec = importlib.util.find_spec(package) if package else None
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    if spec.submodule_search_locations is not None:
        return tuple(os.path.join(folder, "") for folder in spec.submodule_search_locations)
    return (spec.origin,) if spec.origin else ()


def explain(exc: BaseException, own: Sequence[str] = ()) -> tuple[str, str]:
    """Return the reason and ``file:line`` of a plugin's failure.

    Args:
        own: What belongs to the plugin: files, and folders with a separator at their end. Without any, the innermost
            line that is not ours counts as the plugin's.
    """
    try:
        reason, where = _explain(exc, own)
    except BaseException:  # noqa: BLE001 - an author's own exception, that is broken itself; nothing waits here
        return f"{type(exc).__name__} (it cannot say why)", author_line(exc, own)

    return _line(reason, MOST * len(exc.all) if isinstance(exc, ConfigError) else MOST), where


def _line(text: str, most: int) -> str:
    """Return *text* as one line of *most* characters that every terminal can show."""
    cut = f"{text[: most - 1]}…" if len(text) > most else text
    return "".join(one if one.isprintable() else " " if one.isspace() else ascii(one)[1:-1] for one in cut)


def _explain(exc: BaseException, own: Sequence[str]) -> tuple[str, str]:
    if isinstance(exc, PluginError):
        return exc.reason, exc.where or author_line(exc, own)
    if isinstance(exc, ConfigError):
        first, *more = exc.all
        head = f"{first.message}{f' ({first.hint})' if first.hint else ''}"
        return "; ".join((head, *map(str, more))), first.where or author_line(exc, own)
    if isinstance(exc, SyntaxError) and isinstance(exc.filename, str):
        where, place = f"SyntaxError: {exc.msg}", f"{exc.filename}:{exc.lineno}"
        if not own or exc.filename.startswith(tuple(own)):
            return where, place
        return f"{where} ({place})", author_line(exc, own)
    if isinstance(exc, pluggy.PluginValidationError):
        if wrong := _UNKNOWN_HOOK.match(str(exc)):
            function = getattr(exc.plugin, wrong[1], None)
            return unknown_hook(wrong[1]), location(function) or _place(exc.plugin)
        return str(exc).replace("\n", " "), _place(exc.plugin)
    if isinstance(exc, SystemExit):
        return "it tried to end the program while it was loaded", author_line(exc, own)
    if isinstance(exc, TypeError) and (wrong_word := _unknown_word(str(exc))):
        return wrong_word, author_line(exc, own)
    text = str(exc)
    return f"{type(exc).__name__}{': ' if text else ''}{text}", author_line(exc, own)


def _unknown_word(text: str) -> str:
    """Return what to say of an argument that a decorator does not have; "" when *text* is about something else."""
    match = _UNKNOWN_WORD.match(text)
    if match is None:
        return ""
    decorator: Any = getattr(Plugin, match["name"], None)
    if getattr(decorator, "__qualname__", "") != f"{match['of']}.{match['name']}":
        return ""
    words = [
        one.name for one in inspect.signature(decorator).parameters.values() if one.kind is one.KEYWORD_ONLY
    ]
    near = difflib.get_close_matches(match["word"], words, 1, cutoff=_NEAR)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(words) or 'none'}"
    return f"{match['name']}() has no argument {match['word']!r}; {hint}"


def author_line(exc: BaseException, own: Sequence[str]) -> str:
    """Return the innermost line of the tracebacks of *exc*, and of what it came from, that is the plugin's own."""
    mine, seen = tuple(own), set()
    cause: BaseException | None = exc
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        for file, line in reversed(list(_lines(cause))):
            if file.startswith(mine) if mine else not file.startswith(_FOREIGN):
                return f"{file}:{line}"
        cause = cause.__cause__ or cause.__context__
    return ""


def whole(exc: BaseException) -> str:
    """Return the traceback of *exc* as Python prints it, from where the plugin begins; "" where it never began."""
    tb = exc.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(_FOREIGN):
        tb = tb.tb_next
    if tb is None and exc.__cause__ is None:
        return ""
    try:
        text = "".join(traceback.format_exception(type(exc), exc, tb)).rstrip()
    except BaseException:  # noqa: BLE001 - as above
        text = "".join(traceback.format_tb(tb)).rstrip()
    return text.encode("utf-8", "backslashreplace").decode()


def _lines(exc: BaseException) -> Iterator[tuple[str, int]]:
    for frame, line in traceback.walk_tb(exc.__traceback__):
        yield frame.f_code.co_filename, line


def _place(plugin: object) -> str:
    return place_of(plugin if inspect.ismodule(plugin) else inspect.getmodule(type(plugin)))
