"""Four eyes: a command that others must approve waits as a request, and runs once they have.

The request holds the message, not a waiting handler, so it survives a restart. When the last approval has come, the
message is matched again and goes through the same gate again, as its sender; the approval counts only if the command
is the same to the last argument. Nobody approves for themselves, and an error anywhere means no.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import attrs
import structlog
import trio

from qqops.errors import AnswerCancelled, AnswerExpired, Refuse, StoreError
from qqops.model import AccountRef, Clock, Message, PersonRef, Secret, User
from qqops.runtime._request import KIND, Request, dump, load
from qqops.runtime.alarms import Alarms
from qqops.runtime.audit import Audit, is_dry, spelled, told
from qqops.runtime.border import ANYTHING
from qqops.runtime.context import Content, Context
from qqops.runtime.declared import Approval
from qqops.runtime.observe import Result
from qqops.runtime.registry import Handler, Hit
from qqops.runtime.storage.drawers import Drawers
from qqops.runtime.verdicts import Stage, Verdict
from qqops.texts import Say

log = structlog.get_logger("qqops.approvals")

#: Requests of one person that may wait at the same time; nobody reads more.
MAX_OPEN = 10

#: Whether two addresses belong to one person.
SamePerson: TypeAlias = Callable[[PersonRef, PersonRef], bool]
#: The roles of who has set a run off.
RolesOf: TypeAlias = Callable[[Context], frozenset[str]]


@attrs.frozen(kw_only=True)
class Judges:
    """Who is who; an error in any of them means no.

    Attributes:
        same_person: Whether two addresses belong to one person.
        roles_of: The roles of a person.
    """

    same_person: SamePerson = lambda a, b: a == b
    roles_of: RolesOf = lambda ctx: frozenset(getattr(ctx, "roles", ()))


class Approvals:
    """All requests of a bot; a door of the gate. Injected into handlers that ask for it.

    Attributes:
        rerun: Runs a command again; the dispatcher's.
        tell: Says something in the room of a request.
        there: Whether there is an account.
    """

    stage = Stage.APPROVAL

    def __init__(
        self, keep: Drawers, audit: Audit, clock: Clock, alarms: Alarms, judges: Judges | None = None
    ) -> None:
        self._keep = keep
        self._audit = audit
        self._clock = clock
        self._alarms = alarms
        self.judges = judges or Judges()
        self._requests: dict[str, Request] = {}
        self._number = 0
        self._closed = False
        self.rerun: Callable[[Message, str], bool] = lambda message, handler: False
        self.tell: Callable[[Request, Say], None] = lambda request, say: None
        self.there: Callable[[AccountRef], bool] = lambda account: True

    async def load(self) -> None:
        """Take up what an earlier run has left; what was fully approved and had not begun runs now."""
        try:
            kept = await self._keep.all(KIND)
        except StoreError as exc:
            log.error("requests for approval cannot be read", reason=str(exc))  # noqa: TRY400
            return
        for key, text in kept.items():
            self._number = max(self._number, int(key) if key.isdecimal() else 0)
            try:
                request = load(text)
            except StoreError as exc:
                log.warning("a request for approval is skipped", id=key, reason=str(exc))
                continue
            self._requests[request.id] = request
            self._watch(request)
            if request.complete:
                self._run(request)

    def open(self) -> Sequence[Request]:
        """Return the requests that wait, the oldest first."""
        return [r for r in self._requests.values() if not r.complete]

    # -- asking for it --------------------------------------------------------------------------

    def concerns(self, handler: Handler) -> bool:
        """Whether somebody must agree to *handler*."""
        return handler.guards.approval is not None

    async def before(self, ctx: Context, hit: Hit) -> Content | None:
        """Let *hit* pass when it needs no approval or has got it; else open a request."""
        need = hit.handler.guards.approval
        if need is None:
            return None
        if is_dry(ctx, hit.handler) or (need.when is not None and not need.when(ctx.arguments or {})):
            ctx.decided(Verdict(self.stage, True, Say("why.no_approval")))
            return None
        message, digest = ctx.message, _digest(ctx, hit.handler)
        for request in list(self._requests.values()):
            if request.asks is not None or request.digest != digest or request.who != ctx.sender.ref:
                continue
            if request.complete and request.message.ref == message.ref:
                return await self._use(ctx, request)
            if not request.complete and request.message.room.ref == message.room.ref:
                return self._says("approval.waiting", request)
        if sum(one.who == ctx.sender.ref for one in self.open()) >= MAX_OPEN:
            return Say("approval.too_many", {"count": MAX_OPEN})
        request = self._request(ctx, hit.handler, need, digest)
        self._requests[request.id] = request  # before anything is awaited: the number is taken
        try:
            await self._keep.put(KIND, request.id, dump(request))
        except StoreError as exc:
            self._take_back(request)
            return Say("audit.broken", {"reason": str(exc)})
        except BaseException:  # a run that is cut off: nobody has been told of the request
            self._take_back(request)
            raise
        self._watch(request)
        self._audit.note("request", id=request.id, by=need.by, **told(ctx, hit))
        return self._says("approval.needed", request)

    def after(self, ctx: Context, hit: Hit, result: Result) -> None:
        """Nothing is left to do."""

    async def _use(self, ctx: Context, request: Request) -> Content | None:
        """Let an approved run pass, once."""
        if self._requests.pop(request.id, None) is None:
            return self._says("approval.gone", request)
        self._off(request)
        try:
            await self._keep.drop(KIND, request.id)
        except StoreError as exc:
            return Say("audit.broken", {"reason": str(exc)})
        ctx.approved(tuple(name for _, name in request.approved))
        ctx.decided(Verdict(self.stage, True, Say("why.approved", {"names": ", ".join(ctx.approvals)})))
        return None

    async def wait(
        self,
        ctx: Context,
        handler: Handler,
        text: str | Say,
        need: Approval,
        aside: AbstractAsyncContextManager[None],
    ) -> tuple[str, ...]:
        """Wait for the approval of *text* in the middle of a run; see `Context.approve`."""
        if self._closed or not self.there(ctx.room.ref.account):
            await trio.lowlevel.checkpoint()
            raise AnswerCancelled(
                ctx.render(Say("converse.stopping" if self._closed else "converse.removed"))
            )
        request = self._request(ctx, handler, need, "")
        request.asks = trio.Event()
        request.line = f"{ctx.render(text)} ({request.line})"
        self._requests[request.id] = request
        self._watch(request)
        try:
            self._audit.note("request", id=request.id, by=need.by, **self._where(request))
            ctx.answer(self._says("approval.needed", request))
            async with aside:
                await request.asks.wait()
        finally:
            self._requests.pop(request.id, None)
            self._off(request)
        if request.complete:
            return tuple(name for _, name in request.approved)
        kind = AnswerExpired if request.ending == "approval.expired" else AnswerCancelled
        raise kind(ctx.render(self._says(request.ending, request)))

    def _take_back(self, request: Request) -> None:
        """Forget a request that could not be stored, and may be later still."""
        self._requests.pop(request.id, None)
        self._keep.forget(KIND, request.id)

    def _request(self, ctx: Context, handler: Handler, need: Approval, digest: str) -> Request:
        self._number += 1
        return Request(
            id=str(self._number), line=spelled(ctx, handler, ctx.arguments), digest=digest, handler=handler.key,
            message=ctx.message, by=need.by, count=need.count, within=need.within,
            until=self._clock.now().timestamp() + need.within,
        )  # fmt: skip

    # -- giving it ------------------------------------------------------------------------------

    async def approve(self, ctx: Context, number: str = "") -> Say:
        """Approve a request as the sender of *ctx*; return what to say. Raises `Refuse` when that is not allowed."""
        request = self._find(ctx, number)
        self._check(ctx, request)
        approved = [*request.approved, (ctx.sender.person, ctx.sender.name)]
        if request.asks is None:
            try:
                await self._keep.put(KIND, request.id, dump(attrs.evolve(request, approved=approved)))
            except StoreError as exc:
                raise Refuse(ctx.render(Say("audit.broken", {"reason": str(exc)}))) from exc
        if self._requests.get(request.id) is not request or len(request.approved) != len(approved) - 1:
            raise Refuse(ctx.render(self._says("approval.gone", request)))  # something else came first
        request.approved = approved
        self._audit.note("approve", id=request.id, by_whom=_person(ctx.sender), **self._where(request))
        if not request.complete:
            return self._says("approval.more", request)
        if request.asks is not None:
            request.asks.set()
        else:
            self._run(request)
        return self._says("approval.given", request)

    def reject(self, ctx: Context, number: str = "") -> Say:
        """Reject a request, or take back one's own; return what to say. Raises `Refuse` when that is not allowed."""
        request = self._find(ctx, number)
        if request.message.sender.proven != ctx.sender.proven:
            self._check(ctx, request)
        del self._requests[request.id]
        self._off(request)
        self._audit.note("reject", id=request.id, by_whom=_person(ctx.sender), **self._where(request))
        if request.asks is not None:
            request.ending = "approval.rejected"
            request.asks.set()
        else:
            self._keep.forget(KIND, request.id)
        if request.message.room.ref != ctx.room.ref:
            self.tell(request, self._says("approval.rejected", request))
        return self._says("approval.rejected", request)

    def _find(self, ctx: Context, number: str) -> Request:
        """Return the request of that number, or the only one of the room."""
        waiting = self.open()
        if number:
            found = [r for r in waiting if r.id == number.lstrip("#")]
        else:
            found = [r for r in waiting if r.message.room.ref == ctx.room.ref]
        if len(found) != 1:
            key = "approval.which" if found else "approval.none"
            raise Refuse(ctx.render(Say(key, {"ids": ", ".join(r.id for r in found)})))
        return found[0]

    def _check(self, ctx: Context, request: Request) -> None:
        """Raises `Refuse` unless the sender of *ctx* may approve *request*."""
        sender = ctx.sender
        if not sender.verified:
            raise Refuse(ctx.render(Say("approval.unverified")))
        if self._wanted_by(request, sender):
            raise Refuse(ctx.render(self._says("approval.own", request)))
        if any(self._same(person, sender.person) for person, _ in request.approved):
            raise Refuse(ctx.render(self._says("approval.twice", request)))
        if not self._may(ctx, request.by):
            raise Refuse(ctx.render(self._says("approval.not_you", request)))

    def _may(self, ctx: Context, by: str) -> bool:
        kind, _, who = by.partition(":")
        try:
            return who in self.judges.roles_of(ctx) if kind == "role" else who == str(ctx.sender.person)
        except ANYTHING:
            log.exception("roles could not be found out; that means no")
            return False

    def _wanted_by(self, request: Request, user: User) -> bool:
        """Whether *user* has asked for it, under whichever address: who was a name then may have a number now."""
        asked = request.message.sender
        return any(self._same(a, b) for a in {asked.ref, asked.person} for b in {user.ref, user.person})

    def _same(self, a: PersonRef, b: PersonRef) -> bool:
        try:
            return self.judges.same_person(a, b)
        except ANYTHING:
            log.exception("identities could not be compared; that means no")
            return True  # who may be the same person must not approve

    # -- ends -----------------------------------------------------------------------------------

    def _run(self, request: Request) -> None:
        """Run what was approved; it ends as a request once it begins."""
        if not self.rerun(request.message, request.handler):
            log.warning("it was approved, and cannot be run now", id=request.id, command=request.line)

    def _watch(self, request: Request) -> None:
        left = request.until - self._clock.now().timestamp()
        request.alarm = self._alarms.after(max(left, 0.0), lambda: self._expire(request))

    def _expire(self, request: Request) -> None:
        if self._requests.pop(request.id, None) is None:
            return
        self._audit.note("expire", id=request.id, **self._where(request))
        if request.asks is not None:
            request.ending = "approval.expired"
            request.asks.set()
            return
        self._keep.forget(KIND, request.id)
        self.tell(request, self._says("approval.expired", request))

    def close(self) -> None:
        """The bot is stopping: who waits within a run waits no longer; stored requests stay."""
        self._closed = True
        self._end_waits(lambda request: True, "converse.stopping")

    def end_plugin(self, plugin: str) -> None:
        """End what runs of a plugin wait for that is being unloaded or reloaded; its stored requests stay."""
        self._end_waits(lambda request: request.plugin == plugin, "converse.unloaded")

    def end_account(self, account: AccountRef) -> None:
        """End what runs of *account* wait for, which is removed; its stored requests stay."""
        self._end_waits(lambda request: request.message.room.ref.account == account, "converse.removed")

    def keep_only(self, plugin: str, handlers: Collection[str]) -> None:
        """Forget the stored requests of *plugin* for what is not among its *handlers* any more, and say so."""
        for request in [r for r in self._requests.values() if r.plugin == plugin and r.asks is None]:
            if request.handler not in handlers:
                del self._requests[request.id]
                self._off(request)
                self._keep.forget(KIND, request.id)
                self._audit.note("unload", id=request.id, **self._where(request))
                self.tell(request, self._says("approval.unloaded", request))

    def _end_waits(self, wanted: Callable[[Request], bool], ending: str) -> None:
        for request in list(self._requests.values()):
            if request.asks is not None and wanted(request):
                request.ending = ending
                request.asks.set()

    @staticmethod
    def _off(request: Request) -> None:
        if request.alarm is not None:
            request.alarm.off()

    # -- words ----------------------------------------------------------------------------------

    def _says(self, key: str, request: Request) -> Say:
        return Say(
            key,
            {
                "id": request.id, "line": request.line, "by": request.by.partition(":")[2], "count": request.count,
                "have": len(request.approved), "minutes": f"{request.within / 60:g}", "name": request.name,
            },
        )  # fmt: skip

    @staticmethod
    def _where(request: Request) -> dict[str, object]:
        room = str(request.message.room.ref)
        return {"who": str(request.who), "name": request.name, "room": room, "command": request.line}


def _person(user: User) -> str:
    return f"{user.name} ({user.person})"


def _digest(ctx: Context, handler: Handler) -> str:
    """Return what two runs share only if they are the same command with the same arguments."""
    line = handler.spell(ctx.arguments or {}, ()) if handler.spell is not None else handler.name
    secrets = [v.reveal() for v in (ctx.arguments or {}).values() if isinstance(v, Secret)]
    return hashlib.sha256("\0".join([handler.key, line, *secrets]).encode()).hexdigest()
