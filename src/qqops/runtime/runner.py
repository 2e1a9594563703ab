"""One handler: filters around it, a deadline over it, and what follows from how it ends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import structlog
import trio

from qqops.errors import Refuse, StoreError
from qqops.model import Message, RoomEvent
from qqops.runtime.border import ANYTHING, holds, sole, split
from qqops.runtime.context import Content, Context, is_answer
from qqops.runtime.declared import OPEN
from qqops.runtime.doors import Entry
from qqops.runtime.gate import Gate
from qqops.runtime.mistakes import hint_for
from qqops.runtime.observe import Result
from qqops.runtime.registry import Around, Filter, Filters, Hit, Line, Mode
from qqops.runtime.seldom import Seldom
from qqops.runtime.threads import InThread, Threads
from qqops.runtime.verdicts import Stage, Verdict
from qqops.texts import Say

log = structlog.get_logger("qqops.run")

#: Seconds above which an inline handler is told off.
HELD_UP = 0.1


class Runner:
    """Runs handlers; the border behind which a plugin's failure stays.

    Args:
        threads: Plain handlers of one plugin that may run at the same time.
        gate: Says who may run what.
    """

    def __init__(self, *, threads: int, in_thread: InThread, gate: Gate) -> None:
        self._gate = gate
        self.threads = Threads(in_thread, threads)
        self._seldom = Seldom(trio.current_time)

    async def run(self, ctx: Context, hit: Hit, around: Around) -> Result:
        """Run *hit* and answer what it returns. Only cancellation comes out of here."""
        onion: _Onion | None = None
        try:
            version = self._gate.version
            refusal = self._gate.admit(ctx, hit)
            if refusal is not None:
                return self._refused(ctx, hit, refusal)
            filters = around.messages if isinstance(ctx.event, Message) else around.others
            if not filters.all:
                return await self._guarded(ctx, hit, version)
            onion = _Onion(self, ctx, hit, filters, version)
            await onion.layer(0)
        except ANYTHING as exc:
            theirs, ours = split(exc)
            if theirs is None:
                raise
            result = self._failed(ctx, hit, theirs, onion.culprit if onion is not None else None)
            if ours is not None:
                raise ours from None
            return result
        if onion.reached < len(filters.all):
            stopped = filters.all[onion.reached]
            why = Say("why.filter", {"name": stopped.key})
            ctx.decided(Verdict(Stage.FILTERS, False, why))
            self._note_job(ctx, hit, why, stopped)
        return onion.result

    @trio.lowlevel.enable_ki_protection
    def run_inline(self, ctx: Context, hit: Hit, began: float) -> Result:
        """Run an inline handler and answer what it returns. Nothing comes out of here."""
        try:
            refusal = self._gate.admit(ctx, hit)
            if refusal is not None:
                return self._refused(ctx, hit, refusal)
            call = self._prepared(ctx, hit)
            if self._gate.checks and (refusal := self._gate.check(ctx, hit, call)) is not None:
                return self._refused(ctx, hit, refusal)
            result = self._answered(ctx, hit, call())
        except ANYTHING as exc:  # the border of a plugin; it is logged
            result = self._failed(ctx, hit, exc)
        if (seconds := trio.current_time() - began) > HELD_UP:
            log.warning("an inline handler held everything up", seconds=seconds, where=hit.handler.where)
        return result

    def too_long(self, ctx: Context, hit: Hit, seconds: float) -> None:
        """Say that *hit* was cut off after *seconds*."""
        log.error("handler took too long and was stopped", seconds=seconds, where=hit.handler.where)
        ctx.failed(TimeoutError(f"it took longer than {seconds:g} s ({hit.handler.where})"))
        self._apologize(
            ctx, hit, Say("error.timeout", {"name": hit.handler.key, "seconds": seconds, "id": ctx.id})
        )

    def unloaded(self, ctx: Context, hit: Hit, *, begun: bool) -> None:
        """Say that *hit* was cut off, or will not begin, because its plugin is unloaded."""
        stage = Stage.CALL if begun else Stage.SWITCH
        ctx.decided(Verdict(stage, False, Say("why.unloaded", {"name": ctx.plugin})))
        self._apologize(ctx, hit, Say("error.unloaded", {"name": hit.handler.key}))

    def _failed(self, ctx: Context, hit: Hit, exc: BaseException, culprit: Filter | None = None) -> Result:
        """Take note of what came out of *hit*, or of the filter *culprit* around it."""
        exc = sole(exc)
        key, where = (
            (culprit.key, culprit.where) if culprit is not None else (hit.handler.key, hit.handler.where)
        )
        stage = Stage.FILTERS if culprit is not None else Stage.CALL
        about: dict[str, object] = {"name": key, "id": ctx.id}
        if isinstance(exc, Refuse):
            if all(one.passed for one in ctx.verdicts):
                ctx.decided(Verdict(stage, False, Say("why.refused", {"name": key})))
            said = exc.say if isinstance(exc.say, Say) else exc.text
            self._note_job(ctx, hit, said or Say("refuse.filtered"), culprit)
            self._say(ctx, said or Say("refuse.filtered"))
            return Result.REFUSED
        if isinstance(exc, StoreError):
            log.error("the handler's data is not available", where=where, reason=str(exc))
            self._apologize(ctx, hit, Say("refuse.store", about))
        else:
            self._log_failure(
                "filter failed" if culprit is not None else "handler failed", ctx, hit, key, where, exc
            )
            self._apologize(ctx, hit, Say("error.filter" if culprit is not None else "error.handler", about))
        ctx.decided(Verdict(stage, False, Say("why.failed", {"name": key, "error": type(exc).__name__})))
        ctx.failed(exc)
        return Result.FAILED

    def _log_failure(
        self, what: str, ctx: Context, hit: Hit, key: str, where: str, exc: BaseException
    ) -> None:
        """Write the failure down: each of a command or a job, those of a listener now and then, as every message may be one."""
        left_out = 0
        if ctx.event is not None and not isinstance(hit.source, Line):
            due = self._seldom.due((what, key))
            if due is None:
                return
            left_out = due
        more: dict[str, object] = {"left_out": left_out} if left_out else {}
        if hint := hint_for(exc):
            more["hint"] = hint
        log.error(what, name=key, where=where, exc_info=exc, **more)

    def _refused(self, ctx: Context, hit: Hit, why: Content) -> Result:
        """Say why not, to who has given a command; listeners are silent."""
        no = next((one.reason for one in ctx.verdicts if not one.passed and one.reason is not None), None)
        self._note_job(ctx, hit, no or why)  # as `/why` tells it: who reads the log may know the rule
        if why and isinstance(hit.source, Line):
            self._say(ctx, why)
        return Result.REFUSED

    def _note_job(self, ctx: Context, hit: Hit, why: Content, culprit: Filter | None = None) -> None:
        """Say in the log why a job has not run: it has no room where it could be said."""
        if ctx.event is None:
            reason = ctx.render(why) if isinstance(why, str | Say) else str(why)
            by = {"by": culprit.key} if culprit is not None else {}
            log.warning(
                "job refused", plugin=ctx.plugin, job=hit.handler.name, where=hit.handler.where, reason=reason,
                **by,
            )  # fmt: skip

    @staticmethod
    def _prepared(ctx: Context, hit: Hit) -> Callable[[], Any]:
        """Return the call of *hit*, its words converted. Raises `Refuse` when they do not fit."""
        try:
            return hit.handler.prepare(ctx, hit.source)
        except Refuse:
            ctx.decided(Verdict(Stage.ARGUMENTS, False, Say("why.arguments", {"name": hit.handler.key})))
            raise

    async def _guarded(self, ctx: Context, hit: Hit, version: int) -> Result:
        """Run *hit* behind what its author has put before it.

        Args:
            version: The gate's, when it was asked before the filters: these may have waited.
        """
        gate = self._gate
        call = self._prepared(ctx, hit)
        if gate.checks or gate.version != version:
            version = gate.version
            refusal = gate.check(ctx, hit, call)
            if refusal is not None:
                return self._refused(ctx, hit, refusal)
        entry = None if hit.handler.guards is OPEN else gate.begin(ctx, hit)
        if entry is None:
            if hit.handler.mode is Mode.ASYNC:  # the usual case, and no deeper than it must be
                return self._answered(ctx, hit, await call())
            return await self._invoke(ctx, hit, call)
        if not isinstance(entry, Entry):
            return self._refused(ctx, hit, entry)
        if entry.doors and (refusal := await gate.enter(entry)) is not None:
            return self._refused(ctx, hit, refusal)
        result = Result.CANCELLED
        try:
            # Whoever was waited for, the world may have changed meanwhile.
            refusal = gate.check(ctx, hit, call) if gate.version != version else None
            if refusal is not None:
                result = self._refused(ctx, hit, refusal)
            elif hit.handler.mode is Mode.ASYNC:
                result = self._answered(ctx, hit, await call())
            else:
                result = await self._invoke(ctx, hit, call)
        except ANYTHING as exc:
            theirs, ours = split(exc)
            if theirs is None:
                raise
            result = self._failed(ctx, hit, theirs)
            if ours is not None:
                raise ours from None
        finally:
            gate.leave(entry, result)
        return result

    async def _invoke(self, ctx: Context, hit: Hit, call: Callable[[], Any]) -> Result:
        """Run what is not async."""
        if hit.handler.mode is Mode.INLINE:
            value = call()
        else:
            value = await self.threads.call(hit.handler, call, ctx.hops)
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

    def _apologize(self, ctx: Context, hit: Hit, say: Say) -> None:
        """Tell who has given a command that it failed; nobody has asked a listener for anything."""
        if isinstance(hit.source, Line):
            self._say(ctx, say)

    def _say(self, ctx: Context, answer: Content) -> None:
        if not isinstance(ctx.event, RoomEvent):
            return
        try:
            ctx.answer(answer)
        except Exception:
            log.exception("the answer could not be queued")


class _Onion:
    """The filters around one run of a handler. No closure refers to itself: cycles are work for the collector.

    Attributes:
        reached: The innermost filter that was begun; one more when all have gone on.
        culprit: Whose code has raised what came out: a filter, or None for the handler.
    """

    __slots__ = ("_raised", "ctx", "culprit", "filters", "hit", "reached", "result", "runner", "version")

    def __init__(self, runner: Runner, ctx: Context, hit: Hit, filters: Filters, version: int) -> None:
        self.runner = runner
        self.ctx = ctx
        self.hit = hit
        self.filters = filters
        self.version = version
        self.reached = -1
        self.result = Result.FILTERED
        self.culprit: Filter | None = None
        self._raised: BaseException | None = None

    async def layer(self, index: int) -> None:
        """Run filter *index*, or what is inside of them all."""
        filters = self.filters.all
        if index <= self.reached:
            raise RuntimeError(f"{filters[index - 1].key} has called call() more than once: it works once")
        self.reached = index
        inside = index == len(filters)
        try:
            if inside:
                self.ctx.decided(self.filters.passed)
                self.result = await self.runner._guarded(self.ctx, self.hit, self.version)
            else:
                await filters[index].call(self.ctx, functools.partial(self.layer, index + 1))
        except BaseException as exc:
            if self._raised is None or not holds(exc, self._raised):
                self._raised, self.culprit = exc, None if inside else filters[index]
            raise
