"""One handler: filters around it, a deadline over it, and what follows from how it ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import structlog
import trio

from qqops.errors import Refuse, StoreError
from qqops.model import RoomEvent
from qqops.runtime.context import Content, Context, is_answer
from qqops.runtime.declared import OPEN
from qqops.runtime.gate import Gate
from qqops.runtime.observe import Result
from qqops.runtime.registry import Filter, Handler, Hit, Line, Mode
from qqops.texts import Say

log = structlog.get_logger("qqops.run")

#: Seconds above which an inline handler is told off.
HELD_UP = 0.1


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
        gate: Says who may run what.
    """

    def __init__(self, *, threads: int, in_thread: InThread, gate: Gate) -> None:
        self._gate = gate
        self._run_in_thread = in_thread
        self._threads = threads
        self._limiters: dict[str, trio.CapacityLimiter] = {}

    async def run(self, ctx: Context, hit: Hit, filters: tuple[Filter, ...]) -> Result:
        """Run *hit* and answer what it returns. Only cancellation comes out of here."""
        onion: _Onion | None = None
        try:
            version = self._gate.version
            refusal = self._gate.admit(ctx, hit)
            if refusal is not None:
                return self._refused(ctx, hit, refusal)
            if not filters:
                return await self._guarded(ctx, hit, version)
            onion = _Onion(self, ctx, hit, filters, version)
            await onion.layer(0)
            result = onion.result
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - the border of a plugin; it is logged
            result = self._failed(ctx, hit, exc)
        if onion is not None:
            self._note_filter(ctx, onion)
        return result

    def run_inline(self, ctx: Context, hit: Hit, began: float) -> Result:
        """Run an inline handler and answer what it returns. Nothing comes out of here."""
        try:
            refusal = self._gate.admit(ctx, hit)
            if refusal is not None:
                return self._refused(ctx, hit, refusal)
            call = hit.handler.prepare(ctx, hit.source)
            if self._gate.checks and (refusal := self._gate.check(ctx, hit, call)) is not None:
                return self._refused(ctx, hit, refusal)
            result = self._answered(ctx, hit, call())
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - the border of a plugin; it is logged
            result = self._failed(ctx, hit, exc)
        if (seconds := trio.current_time() - began) > HELD_UP:
            log.warning("an inline handler held everything up", seconds=seconds, where=hit.handler.where)
        return result

    def too_long(self, ctx: Context, hit: Hit, seconds: float) -> None:
        """Say that *hit* was cut off after *seconds*."""
        log.error("handler took too long and was stopped", seconds=seconds, where=hit.handler.where)
        self._say(ctx, Say("error.timeout", {"name": hit.handler.key, "seconds": seconds, "id": ctx.id}))

    def _failed(self, ctx: Context, hit: Hit, exc: BaseException) -> Result:
        if isinstance(exc, Refuse):
            self._gate.why.because(ctx.id, Say("why.refused", {"name": hit.handler.key}))
            said = exc.say if isinstance(exc.say, Say) else exc.text
            self._say(ctx, said or Say("refuse.filtered"))
            return Result.REFUSED
        if isinstance(exc, StoreError):
            log.error("the handler's data is not available", where=hit.handler.where, reason=str(exc))
            self._say(ctx, Say("refuse.store", {"name": hit.handler.key, "id": ctx.id}))
            return Result.FAILED
        log.error("handler failed", where=hit.handler.where, exc_info=exc)
        self._say(ctx, Say("error.handler", {"name": hit.handler.key, "id": ctx.id}))
        return Result.FAILED

    def _refused(self, ctx: Context, hit: Hit, why: Content) -> Result:
        """Say why not, to who has given a command; listeners are silent."""
        if why and isinstance(hit.source, Line):
            self._say(ctx, why)
        return Result.REFUSED

    def _note_filter(self, ctx: Context, onion: _Onion) -> None:
        """Remember for `/why` which filter did not go on, if one did not."""
        if onion.reached < len(onion.filters):
            stopped = onion.filters[onion.reached]
            name = {"name": f"{stopped.plugin}:{stopped.name}"}
            self._gate.why.because(ctx.id, Say("why.filter", name))

    async def _guarded(self, ctx: Context, hit: Hit, version: int) -> Result:
        """Run *hit* behind what its author has put before it.

        Args:
            version: The gate's, when it was asked before the filters: these may have waited.
        """
        gate = self._gate
        call = hit.handler.prepare(ctx, hit.source)
        if gate.checks or gate.version != version:
            version = gate.version
            refusal = gate.check(ctx, hit, call)
            if refusal is not None:
                return self._refused(ctx, hit, refusal)
        if hit.handler.guards is OPEN:
            if hit.handler.mode is Mode.ASYNC:  # the usual case, and no deeper than it must be
                return self._answered(ctx, hit, await call())
            return await self._invoke(ctx, hit, call)
        refusal = await gate.enter(ctx, hit)
        if refusal is not None:
            return self._refused(ctx, hit, refusal)
        result = Result.CANCELLED
        try:
            # Whoever was waited for, the world may have changed meanwhile.
            refusal = gate.check(ctx, hit, call) if gate.version != version else None
            if refusal is not None:
                result = self._refused(ctx, hit, refusal)
            else:
                result = await self._invoke(ctx, hit, call)
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - the border of a plugin; it is logged
            result = self._failed(ctx, hit, exc)
        finally:
            self._gate.leave(ctx, hit, result)
        return result

    async def _invoke(self, ctx: Context, hit: Hit, call: Callable[[], Any]) -> Result:
        handler = hit.handler
        if handler.mode is Mode.ASYNC:
            value = await call()
        elif handler.mode is Mode.INLINE:
            value = call()
        else:
            value = await self._in_thread(handler, call)
        return self._answered(ctx, hit, value)

    def _answered(self, ctx: Context, hit: Hit, value: object) -> Result:
        """Say what a handler has returned."""
        if value is None or value == "":
            return Result.DONE
        if not is_answer(value):
            raise TypeError(
                f"{hit.handler.name} returned {type(value).__name__}, which cannot be said; return str or None"
            )
        ctx.answer(value)  # type: ignore[arg-type] # it was looked at
        return Result.DONE

    async def _in_thread(self, handler: Handler, call: Callable[[], Any]) -> Any:
        limiter = self._limiters.get(handler.plugin)
        if limiter is None:
            limiter = self._limiters[handler.plugin] = trio.CapacityLimiter(self._threads)
        # A thread cannot be killed. On a deadline or at the end it is left to itself and keeps its place in
        # the limiter, so that a plugin that hangs starves only itself.
        return await self._run_in_thread(call, limiter=limiter, abandon_on_cancel=True)

    def _say(self, ctx: Context, answer: Content) -> None:
        if not isinstance(ctx.event, RoomEvent):
            return
        try:
            ctx.answer(answer)
        except Exception:
            log.exception("the answer could not be queued")


class _Onion:
    """The filters around one run of a handler. No closure refers to itself: cycles are work for the collector."""

    __slots__ = ("ctx", "filters", "hit", "reached", "result", "runner", "version")

    def __init__(
        self, runner: Runner, ctx: Context, hit: Hit, filters: tuple[Filter, ...], version: int
    ) -> None:
        self.runner = runner
        self.ctx = ctx
        self.hit = hit
        self.filters = filters
        self.version = version
        self.reached = 0
        self.result = Result.FILTERED

    async def layer(self, index: int) -> None:
        """Run filter *index*, or what is inside of them all."""
        if index > self.reached:
            self.reached = index
        if index == len(self.filters):
            self.result = await self.runner._guarded(self.ctx, self.hit, self.version)
        else:
            await self.filters[index].call(self.ctx, functools.partial(self.layer, index + 1))
