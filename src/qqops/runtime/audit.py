"""Who has done what: an append-only record of every command with effects, and of all that decides about them.

A command with effects is recorded before it runs and after it has ended. When the record cannot be written, such
commands refuse with the reason, and everything else goes on.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import structlog
import trio

from qqops.errors import StoreError
from qqops.model import Clock
from qqops.runtime._audit_file import AuditFile
from qqops.runtime.context import Content, Context
from qqops.runtime.observe import Result
from qqops.runtime.registry import Handler, Hit
from qqops.runtime.threads import InThread, in_thread
from qqops.runtime.verdicts import Stage
from qqops.texts import Say

log = structlog.get_logger("qqops.audit")

#: Entries that are kept in memory, for ``/audit``.
REMEMBERED = 200
#: Entries that wait to be written at most while the disk does not take them; beyond that the oldest are given up.
MAX_WAITING = 10_000
#: Seconds a command waits for its entry, and seconds between two tries to write.
PATIENCE, RETRY = 10.0, 5.0


@attrs.define(eq=False)
class _Waiting:
    """An entry that shall be written.

    Attributes:
        urgent: Whether something waits for it, and must not happen without it.
        vain: Whether that does not happen after all: it was cut off, or has waited for too long.
    """

    entry: Mapping[str, Any]
    urgent: bool
    vain: bool = False
    done: trio.Event = attrs.field(factory=trio.Event)
    reason: str = ""


class Audit:
    """The audit of one bot; the last of the gate's doors.

    Args:
        file: Where it is kept; None for in memory only.

    Attributes:
        problem: Why it cannot be written at this moment, or "".
    """

    stage = Stage.AUDIT

    def __init__(self, clock: Clock, file: AuditFile | None = None, threads: InThread = in_thread) -> None:
        self._limiter = trio.CapacityLimiter(1)
        self._threads = threads
        self._clock = clock
        self._file = file
        self._last: deque[Mapping[str, Any]] = deque(maxlen=REMEMBERED)
        self._waiting: deque[_Waiting] = deque()
        self._work = trio.Event()
        self._drained = trio.Event()
        self._closed = False
        self._running: dict[str, float] = {}
        self._count = 0
        self.problem = ""

    def last(self, count: int) -> Sequence[Mapping[str, Any]]:
        """Return the last *count* entries, the newest last."""
        return list(self._last)[-count:] if count > 0 else []

    # -- writing --------------------------------------------------------------------------------

    def note(self, what: str, **more: object) -> None:
        """Record something that has happened, without waiting for the disk."""
        self._put(self._entry(what, more), urgent=False)

    async def record(self, what: str, **more: object) -> None:
        """Record something that is about to happen; returns when it is on the disk.

        Raises:
            StoreError: It cannot be written.

        Cancellation: does not stand there, or with its end.
        """
        waiting = self._put(self._entry(what, more), urgent=True)
        if waiting is None:
            return
        in_time = False
        try:
            with trio.move_on_after(PATIENCE):
                await waiting.done.wait()
                in_time = True
        finally:
            if not in_time:
                self._withdraw(waiting)
        if not in_time:
            raise StoreError("the audit is too slow")
        if waiting.reason:
            raise StoreError(waiting.reason)

    def _withdraw(self, waiting: _Waiting) -> None:
        """What *waiting* announces does not happen: it is not written, or has its end at once."""
        waiting.vain = True
        if waiting in self._waiting:
            self._waiting.remove(waiting)
        elif waiting.done.is_set() and not waiting.reason:
            self._undo(waiting)

    def _undo(self, written: _Waiting) -> None:
        same = {key: value for key, value in written.entry.items() if key not in ("at", "what", "approvals")}
        self.note("end", result=Result.CANCELLED.value, **same)

    def _entry(self, what: str, more: Mapping[str, object]) -> dict[str, Any]:
        kept = {key: value for key, value in more.items() if value not in (None, "", (), [], False)}
        return {
            "at": self._clock.now().astimezone(datetime.UTC).isoformat(timespec="milliseconds"),
            "what": what,
            **kept,
        }

    def _put(self, entry: dict[str, Any], *, urgent: bool) -> _Waiting | None:
        if self._file is None:
            self._count += 1
            self._last.append({"n": self._count, **entry})
            return None
        waiting = _Waiting(entry, urgent)
        self._waiting.append(waiting)
        if len(self._waiting) > MAX_WAITING:
            given_up = self._waiting.popleft()
            given_up.reason = "too much is waiting to be written"
            given_up.done.set()
        self._work.set()
        return waiting

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write what is noted, all that waits at once; returns after `close`."""
        if self._file is not None:
            await self._open(self._file)
        task_status.started()
        try:
            while self._file is not None:
                if not self._waiting:
                    if self._closed:
                        break
                    self._work = trio.Event()
                    await self._work.wait()
                    continue
                await self._write_all(self._file)
                if self.problem:
                    if self._closed:
                        break
                    self._work = trio.Event()
                    with trio.move_on_after(RETRY):
                        await self._work.wait()
        finally:
            self._drained.set()
            if self._file is not None:
                self._file.close()

    async def _open(self, file: AuditFile) -> None:
        try:
            self._last.extend(await self._in_thread(file.open))
        except StoreError as exc:
            self._failed(str(exc))

    async def _write_all(self, file: AuditFile) -> None:
        batch = list(self._waiting)
        self._waiting.clear()
        try:
            written = await self._in_thread(lambda: file.append([one.entry for one in batch]))
        except StoreError as exc:
            self._failed(str(exc))
            # What has happened is written later; what was about to happen does not happen.
            self._waiting.extendleft(one for one in reversed(batch) if not one.urgent)
            for one in batch:
                if one.urgent:
                    one.reason = str(exc)
                    one.done.set()
            return
        if self.problem:
            log.info("the audit can be written again")
            self.problem = ""
        self._last.extend(written)
        for one in batch:
            one.done.set()
            if one.vain:
                self._undo(one)

    async def _in_thread(self, call: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        done: list[dict[str, Any]] = await self._threads(call, limiter=self._limiter, abandon_on_cancel=False)
        return done

    def _failed(self, reason: str) -> None:
        if reason != self.problem:
            log.error("the audit cannot be written; commands with effects are refused", reason=reason)
        self.problem = reason

    async def close(self) -> None:
        """Write what is left and stop; nothing must be noted afterwards."""
        self._closed = True
        self._work.set()
        if self._file is not None:
            await self._drained.wait()

    # -- as a stage of the gate -----------------------------------------------------------------

    def concerns(self, handler: Handler) -> bool:
        """Whether runs of *handler* are recorded."""
        return handler.guards.effects

    async def before(self, ctx: Context, hit: Hit) -> Content | None:
        """Record that a command with effects begins; no record, no run."""
        if not hit.handler.guards.effects:
            return None
        try:
            await self.record("start", approvals=ctx.approvals, **told(ctx, hit))
        except StoreError as exc:
            return Say("audit.broken", {"reason": str(exc)})
        self._running[ctx.id] = trio.current_time()
        return None

    def after(self, ctx: Context, hit: Hit, result: Result) -> None:
        """Record how it ended."""
        began = self._running.pop(ctx.id, None)
        if began is not None:
            seconds = round(trio.current_time() - began, 3)
            self.note("end", result=result.value, seconds=seconds, **told(ctx, hit))


def told(ctx: Context, hit: Hit) -> dict[str, object]:
    """Return who, where and what of a run, for an entry."""
    room, sender = getattr(ctx.event, "room", None), getattr(ctx.event, "sender", None)
    return {
        "run": ctx.id,
        "who": str(sender.ref) if sender is not None else "",
        "name": sender.name if sender is not None else "",
        "room": str(room.ref) if room is not None else "",
        "plugin": hit.handler.plugin,
        "command": spelled(ctx, hit.handler, ctx.arguments),
        "dry": is_dry(ctx, hit.handler),
    }


def spelled(ctx: Context, handler: Handler, arguments: Mapping[str, Any] | None) -> str:
    """Return the command with all its arguments as it may be shown."""
    if handler.spell is None or arguments is None:
        return handler.name
    return handler.spell(arguments, handler.guards.redact)


def is_dry(ctx: Context, handler: Handler) -> bool:
    """Whether a run is a trial that changes nothing."""
    return handler.guards.dry and ctx.arguments is not None and ctx.arguments.get("dry") is True
