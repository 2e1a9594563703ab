"""What the decorators are given: taken as it is meant where that is beyond doubt, else refused.

Each check raises `PluginError` with the line of the author that called the decorator.
"""

from __future__ import annotations

import datetime
import os
import re
import sys
import typing
from collections.abc import Callable, Collection, Iterable
from types import FrameType
from typing import Any

from qqops.errors import PluginError
from qqops.runtime.declared import Approval, Converse, Guards, Limit, guards_of

#: Where no line is the author's.
_OURS = os.path.dirname(__file__) + os.sep

#: A permission, as rules and roles name it.
_PERMISSION = re.compile(r"[\w-]+(\.[\w-]+)*")

#: What the settings make prefixes of, unless they say something else.
_PREFIXES = ("/", "／")


def author() -> FrameType:
    """Return the frame that has called a decorator: the innermost one outside of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
    return frame


def wrong(reason: str) -> PluginError:
    """Return the error of who has called a decorator, with file and line."""
    frame = author()
    return PluginError(reason, where=f"{frame.f_code.co_filename}:{frame.f_lineno}")


def function(value: object, decorator: str) -> Any:
    """Return *value* if it is a function that can be decorated."""
    if isinstance(value, type) or not callable(value) or not hasattr(value, "__name__"):
        what = f"the class {value.__name__}" if isinstance(value, type) else shown(value)
        raise wrong(f"@plugin.{decorator} belongs above a function, not {what}")
    return value


def seconds(name: str, value: Any) -> float | None:
    """Return *value* if it is None or a number of seconds above 0; without end is fine."""
    if value is None:
        return None
    if not _is_number(value) or not value > 0:
        raise wrong(f"{name} is a number of seconds > 0, as {name}=3.0; got {shown(value)}")
    return value  # type: ignore[no-any-return] # it was looked at


def flag(name: str, value: object) -> bool:
    """Return *value* if it is a bool."""
    if not isinstance(value, bool):
        raise wrong(f"{name} is True or False, got {shown(value)}")
    return value


def whole(name: str, value: object) -> int:
    """Return *value* if it is a whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(f"{name} is a whole number, got {shown(value)}")
    return value


def one_of(name: str, value: object, known: Collection[str]) -> Any:
    """Return *value* if it is one of the words that are *known*."""
    if value not in known:
        raise wrong(f"{name} is one of {', '.join(map(repr, known))}, got {shown(value)}")
    return value


def texts(name: str, value: object, *, each: str) -> tuple[str, ...]:
    """Return *value*, a string or several of them, as a tuple.

    Args:
        each: What one of them is, for the message.
    """
    several = (value,) if isinstance(value, str) else value
    if not isinstance(several, Iterable) or isinstance(several, bytes):
        raise wrong(f'{name} is {each} or a tuple of them, as {name}=("x",); got {shown(value)}')
    found = []
    for one in several:
        if not isinstance(one, str):
            raise wrong(f"{name}: {shown(one)} is not {each}; write it in quotes")
        if not one.strip():
            raise wrong(f"{name}: there is nothing in {one!r}")
        found.append(one)
    return tuple(found)


def words(name: str, value: object, *, of: str = "a command") -> tuple[str, ...]:
    """Return the words of a command's name, without blanks around them."""
    if not isinstance(value, str):
        raise wrong(f"the name of {of} is a string, got {shown(value)}")
    found = tuple(value.split())
    if not found:
        raise wrong(f"{of} needs a name, got {value!r}")
    no_prefix(name, found[0])
    return found


def no_prefix(name: str, word: str) -> str:
    """Return *word*, which must not begin with a prefix: that is the owner's to choose."""
    if word.startswith(_PREFIXES):
        bare = word.lstrip("".join(_PREFIXES))
        raise wrong(f"{name}: {word!r} begins with a prefix, which the settings choose; write {bare!r}")
    return word


def event(kind: object) -> None:
    """Refuse the function that stands where the class of an event belongs: the parentheses are missing."""
    if callable(kind) and not isinstance(kind, type):
        raise wrong("@plugin.on needs the class of an event: write @plugin.on(Message)")


def pattern(value: object) -> str | re.Pattern[str] | None:
    """Return *value* if it is a regular expression or None; an empty one would be found in every message."""
    compiled = isinstance(value, re.Pattern) and isinstance(value.pattern, str)
    if value is None or compiled or (isinstance(value, str) and value):
        return value  # type: ignore[return-value] # it was looked at
    raise wrong(f"regex is a pattern that is not empty, got {shown(value)}; leave it out for every message")


def keywords(value: object) -> tuple[str, ...]:
    """Return *value*, one keyword or several, as a tuple."""
    found = () if value is None else texts("keyword", value, each="a string")
    if value is not None and not found:
        raise wrong(f"keyword: there is none in {value!r}; leave it out for every message")
    return found


def guards(
    permission: object,
    limit: object,
    approval: object = None,
    lock: object = "",
    effects: object = False,
    dry: object = False,
    redact: object = (),
) -> Guards:
    """Return what stands before a handler."""
    if not isinstance(permission, str) or (
        permission.strip() and not _PERMISSION.fullmatch(permission.strip())
    ):
        raise wrong(f"permission is a name as 'deploy.run', got {shown(permission)}")
    limits = (limit,) if isinstance(limit, Limit) else limit
    if not isinstance(limits, tuple | list) or not all(isinstance(one, Limit) for one in limits):
        raise wrong(f"limit is a Limit or a tuple of them, as limit=Limit(3, per=60); got {shown(limit)}")
    if approval is not None and not isinstance(approval, Approval):
        raise wrong(f'approval is an Approval, as approval=Approval(by="role:sre"); got {shown(approval)}')
    if not isinstance(lock, str):
        raise wrong(f"lock is the name of a lock, got {shown(lock)}")
    return guards_of(
        permission.strip(),
        tuple(limits),
        approval,
        lock.strip(),
        flag("effects", effects),
        flag("dry", dry),
        tuple(one.strip() for one in texts("redact", redact, each="the name of a parameter")),
    )


def aliases(value: object) -> tuple[str, ...]:
    """Return the aliases of a command: single words, without blanks around them."""
    found = tuple(one.strip() for one in texts("aliases", value, each="a word"))
    for one in found:
        no_prefix("aliases", one)
        if len(one.split()) != 1:
            raise wrong(f"an alias must be one word, got {one!r}")
    return found


def converse(value: object) -> Converse:
    """Return *value* if it says what becomes of an open question."""
    found: Converse = one_of("converse", value, typing.get_args(Converse))
    return found


def name_of(declared: Callable[..., Any]) -> str:
    """Return the name of a command that has none but its function's: ``deploy_all`` is ``deploy-all``, ``list_`` is ``list``."""
    return str(declared.__name__).strip("_").replace("_", "-")


def shown(value: object) -> str:
    """Return *value* for an error: short, and a function by its name."""
    if isinstance(value, datetime.timedelta):
        return f"a timedelta (its seconds are {value.total_seconds():g})"
    name = getattr(value, "__name__", None)
    if callable(value) and isinstance(name, str):
        return f"{name}()" if not isinstance(value, type) else f"the class {name}"
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
