"""Mistakes of authors that can be told by the error they end in, and what to do about them."""

from __future__ import annotations

from types import TracebackType

from qqops.runtime.border import leaves

#: What is said where something of asyncio was awaited.
ASYNCIO = (
    "that is asyncio's, and the bot runs on trio: use trio.sleep, trio.open_nursery, trio.Lock, httpx; a library that"
    " needs asyncio goes into a plain `def` handler, which may call asyncio.run (reference/plugin-api, Plain functions)"
)

#: What asyncio, or a library that is made for it, says without a loop of its own; and what trio says to its futures.
_SAID = (
    "no running event loop",
    "There is no current event loop",
    "trio.run received unrecognized yield message",
)


def hint_for(exc: BaseException) -> str:
    """Return what the author of a handler that ended in *exc* can do about it, for the log; "" when nothing is known."""
    return next((ASYNCIO for one in leaves(exc) if _is_asyncio(one)), "")


def _is_asyncio(exc: BaseException) -> bool:
    if isinstance(exc, RuntimeError | TypeError) and str(exc).startswith(_SAID):
        return True
    # Its locks and queues stumble over the loop that is not there only when they have to wait.
    return isinstance(exc, AttributeError) and exc.obj is None and _raised_in(exc.__traceback__, "asyncio")


def _raised_in(traceback: TracebackType | None, package: str) -> bool:
    """Whether the innermost frame of *traceback* belongs to *package*."""
    module = ""
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next
    return module == package or module.startswith(f"{package}.")
