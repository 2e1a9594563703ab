"""One handler: filters around it, a deadline over it, and what follows from how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import structlog
import trio

from qqops.errors import Refuse
from qqops.model import IN_ROOM
from qqops.runtime.context import Answer, Context, is_answer
from qqops.runtime.observe import Result
from qqops.runtime.registry import Filter, Handler, Hit, Mode
from qqops.texts import Say

log = structlog.get_logger("qqops.run")


class InThread(Protocol):
    """Runs a blocking call in a thread; `trio.to_thread.run_sync`, or what a test puts in its place."""

    async def __call__(
        self, call: Callable[[], Any], /, *, limiter: trio.CapacityLimiter, abandon_on_cancel: bool
    ) -> Any:
        """Return what *call* returns."""


async def in_thread(
    call: Callable[[], Any], /, *, limiter: trio.CapacityLimiter, abandon_on_cancel: bool
) -> Any:
    """Run *call* in one of trio's worker threads."""
    return await trio.to_thread.run_sync(call, limiter=limiter, abandon_on_cancel=abandon_on_cancel)


class Runner:
    """Runs handlers; the border behind which a plugin's failure stays.

    Args:
        threads: Plain handlers of one plugin that may run at the same time.
        timeout: Seconds for handlers that declare none.
    """

    def __init__(self, *, threads: int, timeout: float, in_thread: InThread) -> None:
        self._run_in_thread = in_thread
        self._threads = threads
        self._timeout = timeout
        self._limiters: dict[str, trio.CapacityLimiter] = {}

    async def run(self, ctx: Context, hit: Hit, filters: tuple[Filter, ...]) -> Result:
        """Run *hit* and answer what it returns. Only cancellation comes out of here."""
        handler = hit.handler
        seconds = handler.timeout if handler.timeout is not None else self._timeout
        name = f"{handler.plugin}:{handler.name}"
        try:
            with trio.move_on_after(seconds):
                return await self._filtered(ctx, hit, filters)
        except Refuse as exc:
            self._say(ctx, exc.text or Say("refuse.filtered"))
            return Result.REFUSED
        except (Exception, SystemExit):
            # Outside the deadline's scope: an error beside its cancellation comes out of it alone.
            log.exception("handler failed", where=handler.where)
            self._say(ctx, Say("error.handler", {"name": name, "id": ctx.id}))
            return Result.FAILED
        log.error("handler took too long and was stopped", seconds=seconds, where=handler.where)
        self._say(ctx, Say("error.timeout", {"name": name, "seconds": seconds, "id": ctx.id}))
        return Result.TIMEOUT

    async def _filtered(self, ctx: Context, hit: Hit, filters: tuple[Filter, ...]) -> Result:
        """Run the onion: each filter wraps the next, the handler is the core."""
        result = Result.FILTERED

        async def layer(index: int) -> None:
            nonlocal result
            if index == len(filters):
                result = await self._invoke(ctx, hit)
                return
            await filters[index].call(ctx, lambda: layer(index + 1))

        await layer(0)
        return result

    async def _invoke(self, ctx: Context, hit: Hit) -> Result:
        handler = hit.handler
        call = handler.prepare(ctx, hit.source)
        if handler.mode is Mode.ASYNC:
            value = await call()
        elif handler.mode is Mode.INLINE:
            value = call()
        else:
            value = await self._in_thread(handler, call)
        if value is None or value == "":
            return Result.DONE
        if not is_answer(value):
            raise TypeError(
                f"{handler.name} returned {type(value).__name__}, which cannot be said; return str or None"
            )
        ctx.answer(value)
        return Result.DONE

    async def _in_thread(self, handler: Handler, call: Callable[[], Any]) -> Any:
        limiter = self._limiters.get(handler.plugin)
        if limiter is None:
            limiter = self._limiters[handler.plugin] = trio.CapacityLimiter(self._threads)
        # A thread cannot be killed. On a deadline or at the end it is left to itself and keeps its place in
        # the limiter, so that a plugin that hangs starves only itself.
        return await self._run_in_thread(call, limiter=limiter, abandon_on_cancel=True)

    def _say(self, ctx: Context, answer: Answer) -> None:
        if not isinstance(ctx.event, IN_ROOM):
            return
        try:
            ctx.answer(answer)
        except Exception:
            log.exception("the answer could not be queued")
