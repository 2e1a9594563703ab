"""What a prepared call is about to be called with: values by name, and how rules, approvals and audit write them."""

from __future__ import annotations

import datetime
import enum
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any


def arguments_of(call: Callable[[], Any]) -> Mapping[str, Any]:
    """Return the arguments of a prepared *call* by the names of its parameters.

    Injected values are among them; whoever shows arguments to people leaves these out.

    Raises:
        TypeError: *call* is no `functools.partial` of a function, so that nobody can tell.
    """
    if not isinstance(call, functools.partial):
        raise TypeError(f"the arguments of {call!r} are not known")
    function, args = inspect.unwrap(call.func), call.args
    if not isinstance(function, FunctionType):
        return inspect.signature(function).bind(*args, **call.keywords).arguments
    code = function.__code__  # what `inspect.signature` makes of it costs twenty times as much
    named = dict(zip(code.co_varnames[: code.co_argcount], args, strict=False))
    if rest := args[code.co_argcount :]:
        if not code.co_flags & inspect.CO_VARARGS:
            raise TypeError(f"{function.__name__} takes {code.co_argcount} arguments, not {len(args)}")
        named[code.co_varnames[code.co_argcount + code.co_kwonlyargcount]] = rest
    return named | call.keywords


def canonical(value: object) -> str:
    """Return *value* as rules and approvals write it: enums by value, ``true`` and ``false``, all else by `str`."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return str(value)


def texts_of(value: object) -> Iterator[str]:
    """Return *value* in canonical form: each member of several words on its own."""
    if isinstance(value, tuple | list | set | frozenset):
        return (canonical(one) for one in value)
    return iter((canonical(value),))
