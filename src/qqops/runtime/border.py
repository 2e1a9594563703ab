"""The border of plugins: what comes out of their code ends what they were doing, and nothing else.

Any exception may come out of it, not only an `Exception`: asyncio's cancellation out of ``asyncio.run``, `SystemExit`,
a `KeyboardInterrupt` that nobody has typed. The cancellation of our own scopes is the only thing that goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import trio

from qqops.errors import Refuse

#: For the ``except`` of a border, where even what is no `Exception` is somebody's failure. Where anything waits, what must go
#: on is sorted out by `theirs` or `split`.
ANYTHING = BaseException


def split(exc: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Return what of *exc* is the failure of who raised it, and what must go on: the cancellation of a scope around us.

    A `trio.Cancelled` that no scope has asked for, kept and raised once more, is a failure as well.
    """
    if isinstance(exc, Exception) or trio.current_effective_deadline() != -math.inf:
        return exc, None
    if isinstance(exc, trio.Cancelled):
        return None, exc
    if isinstance(exc, BaseExceptionGroup):
        ours, theirs = exc.split(trio.Cancelled)
        return theirs, ours
    return exc, None


def sole(exc: BaseException) -> BaseException:
    """Return what *exc* comes down to: nurseries wrap what is raised in them. A group of refusals is the first of them."""
    while isinstance(exc, BaseExceptionGroup):
        refusals, others = exc.split(Refuse)
        if len(exc.exceptions) > 1 and not (refusals is not None and others is None):
            return exc
        exc = exc.exceptions[0]
    return exc


def described(exc: BaseException) -> str:
    """Return the class of *exc* and what it says, if it can say it: that is code of who raised it as well."""
    try:
        return f"{type(exc).__name__}: {exc}"
    except Exception:  # noqa: BLE001 - the border itself
        return f"{type(exc).__name__}, which cannot be printed"


def leaves(exc: BaseException) -> Iterator[BaseException]:
    """Yield what *exc* is, or what is in it, however deep."""
    if isinstance(exc, BaseExceptionGroup):
        for one in exc.exceptions:
            yield from leaves(one)
    else:
        yield exc


def holds(exc: BaseException, one: BaseException | None) -> bool:
    """Whether *exc* is *one*, or a group with all of it inside."""
    if one is None or exc is one:
        return exc is one
    inside = {id(leaf) for leaf in leaves(exc)}
    return all(id(leaf) in inside for leaf in leaves(one))


def theirs(exc: BaseException) -> BaseException:
    """Return the failure that *exc* is, for an ``except BaseException``; raises what must go on instead."""
    failure, ours = split(exc)
    if failure is None:
        raise exc
    if ours is not None:
        raise ours from None
    return failure
