"""Connections of an implementation to applications: events out, actions in, and what goes wrong on them."""

from __future__ import annotations

import json
from typing import Any

import attrs
import trio

from qqops.adapters.websocket.socket import GOODBYE, WebSocket
from qqops.errors import ProtocolError, TransientError
from qqops.protocol.onebot11.wire import decode, fields
from qqops.simulator.faults import Faults, Rule
from qqops.simulator.onebot.actions import Actions
from qqops.simulator.onebot.faults import ANSWERED, GARBAGE, ON_ACTION, ON_EVENT, REPERTOIRE, UNANSWERED
from qqops.simulator.onebot.implementation import Frame, Implementation


@attrs.define(eq=False)
class Exchange:
    """What all connections of one implementation share.

    Attributes:
        peers: The open ones.
        connections: How many there were.
        requests: How many actions were asked for, over HTTP, too.
    """

    it: Implementation
    faults: Faults = attrs.field(init=False, factory=lambda: Faults(REPERTOIRE))
    actions: Actions = attrs.field(init=False)
    peers: set[Peer] = attrs.field(init=False, factory=set)
    connections: int = attrs.field(init=False, default=0)
    requests: int = attrs.field(init=False, default=0)

    @actions.default
    def _actions(self) -> Actions:
        return Actions(self.it)

    def summary(self) -> dict[str, Any]:
        """Return what is going on, for ``GET state``."""
        it = self.it
        return {
            "flavor": it.make.app_name, "account": it.me.number, "online": it.online,
            "people": [{"number": p.number, "nick": p.nick, "bot": p.is_bot} for p in it.world.people.values()],
            "rooms": [{"kind": "group", "number": g.number, "name": g.name} for g in it.world.groups.values()],
            "peers": [{"events": p.events, "actions": p.actions, "stalled": bool(p.stalled)} for p in self.peers],
            "connections": self.connections, "requests": self.requests, "injected": it.injected,
            "sent": len(it.sent), "swallowed": len(it.swallowed), "done": it.done[-100:],
            "faults": [{k: v for k, v in attrs.asdict(r).items() if v not in ("", None)} for r in self.faults.rules],
            "fault_counts": self.faults.counts,
        }  # fmt: skip


class Peer:
    """One connection to an application.

    Attributes:
        events: Whether events go out on it.
        actions: Whether actions are done.
        stalled: Seconds for which nothing moves on it any more; 0 while all is well.
    """

    def __init__(self, at: Exchange, socket: WebSocket, *, events: bool, actions: bool) -> None:
        self.socket = socket
        self.events = events
        self.actions = actions
        self.stalled = 0.0
        self._at = at
        self._it = at.it
        self._faults = at.faults
        self._held: list[Frame] = []
        self._cut = False
        self._writing = trio.CancelScope()
        self._nursery: trio.Nursery | None = None

    async def talk(self) -> None:
        """Speak OneBot until the connection is over.

        Raises:
            TransientError: It is over.
        """
        make = self._it.make
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._at.peers.add(self)
                nursery.start_soon(self._write)
                if self.events and make.lifecycle:
                    self.put(self._it.lifecycle())
                if self.events and make.heartbeat:
                    nursery.start_soon(self._beat)
                await self._read()
        except* TransientError as group:
            raise TransientError(str(group.exceptions[0])) from None
        finally:
            self._at.peers.discard(self)
            if not self._cut:
                self._announce_end()
            with trio.move_on_after(GOODBYE + 1, shield=True):
                if self._cut:
                    await self.socket.abort()
                else:
                    await self.socket.aclose(flush=True)

    def _announce_end(self) -> None:
        if self.events and self._it.make.farewell:
            self.put(self._it.lifecycle("disable"))

    def drop(self, *, stall: float = 0.0, polite: bool = False) -> None:
        """Close the connection without a word, say good-bye before, or let nothing move on it any more."""
        if stall:
            self.stalled = stall
            self._writing.cancel(reason="fault: stalled")
        elif polite and self._nursery is not None:
            self._announce_end()
            self.socket.close()  # the reader hears of the answer
            self._at.peers.discard(self)
            self._nursery.start_soon(self._cut_later)
        elif self._nursery is not None:
            self._cut = True
            self._nursery.cancel_scope.cancel(reason="fault: closed")

    async def _cut_later(self) -> None:
        await trio.sleep(GOODBYE)
        self.drop()

    # -- the wire -------------------------------------------------------------------------------

    async def _write(self) -> None:
        with self._writing:
            await self.socket.write()

    async def _beat(self) -> None:
        while True:
            if self._faults.find("heartbeat", frozenset({"nobeat"})) is None:
                self.put(self._it.heartbeat())
            await trio.sleep(self._it.make.heartbeat)

    async def _read(self) -> None:
        try:
            while True:
                for data in await self.socket.receive():
                    if self.actions:
                        self._request(data)
                if self.stalled:
                    await trio.sleep(self.stalled)
                    raise TransientError("stalled for long enough")
        except TransientError as exc:
            end = exc
        if self.socket.close_code is not None:
            await self._hang()
        raise end

    async def _hang(self) -> None:
        """The application has said good-bye: leave it without an answer where that is the fault of the moment."""
        fault = self._faults.find("goodbye", frozenset({"hang"}))
        if fault is not None:
            self._cut = True
            self.drop(stall=fault.seconds)
            await trio.sleep(fault.seconds)

    def put(self, frame: Frame) -> bool:
        """Queue a frame; return whether the connection still takes one."""
        return self._put(json.dumps(frame, ensure_ascii=False).encode("utf-8", "replace"))

    def _put(self, data: bytes) -> bool:
        if self.stalled:
            return False
        try:
            self.socket.put(data)
        except TransientError:
            return False  # it is closing
        return True

    # -- events out -----------------------------------------------------------------------------

    def push(self, frame: Frame) -> int:
        """Queue an event, or do to it what the faults say; return how many times it was queued."""
        faults = self._faults
        fault = faults.find(str(frame.get("post_type")), ON_EVENT) if faults.rules else None
        what = fault.fault if fault is not None else ""
        if what == "lose":
            return 0
        if what == "garbage":
            for garbage in GARBAGE:
                self._put(garbage)
        queued = sum(self.put(frame) for _ in range(2 if what == "duplicate" else 1))
        if fault is not None and what in ("stall", "close"):
            self.drop(stall=fault.seconds if what == "stall" else 0.0)
        return queued

    # -- actions in -----------------------------------------------------------------------------

    def _request(self, data: bytes) -> None:
        self._at.requests += 1
        try:
            frame = decode(data)
        except ProtocolError:
            self.put({"status": "failed", "retcode": 1400, "data": None, "echo": None})
            return
        if self.stalled or (self._it.make.string_echo and not isinstance(frame.get("echo"), str)):
            return
        action = str(frame.get("action"))
        fault = self._faults.find(action, ON_ACTION) if self._faults.rules else None
        if fault is not None and fault.fault in UNANSWERED and not fault.after:
            self._leave_unanswered(fault)
            return
        answer = self._answer(action, fields(frame.get("params")), fault)
        if "echo" in frame and (fault is None or fault.fault != "noecho"):
            answer["echo"] = frame["echo"]
        if fault is None or fault.fault in ANSWERED:
            self._reply(answer)
        elif fault.fault == "reorder":
            self._held.append(answer)
        elif fault.fault == "late" and self._nursery is not None:
            self._nursery.start_soon(self._reply_later, answer, fault.seconds)
        else:
            self._leave_unanswered(fault)

    def _leave_unanswered(self, fault: Rule) -> None:
        if fault.fault != "silent":
            self.drop(stall=fault.seconds if fault.fault == "stall" else 0.0)

    def _reply(self, answer: Frame) -> None:
        """Answer, and let go the answers that were to come after this one."""
        self.put(answer)
        for held in self._held:
            self.put(held)
        self._held.clear()

    async def _reply_later(self, answer: Frame, seconds: float) -> None:
        await trio.sleep(seconds)
        self._reply(answer)

    def _answer(self, action: str, params: Frame, fault: Rule | None) -> Frame:
        """Do an action, or not, and return what is said about it."""
        what = fault.fault if fault is not None else ""
        failed: Frame = {"status": "failed", "retcode": self._it.make.failed, "data": None}
        if what == "mute":
            words = 'EventChecker Failed: NTEvent ... EventRet: {"result": 120, "errMsg": ""}'
            return failed | {"message": words, "wording": words}
        self._it.swallowing = what == "swallow"
        answer = self._at.actions.do(action, params)
        self._it.swallowing = False
        if what == "timeout":
            words = "Timeout: NTEvent serviceAndMethod:NodeIKernelMsgService/sendMsg"
            if self._it.make.app_name == "go-cqhttp":
                words = "SEND_MSG_API_ERROR: 请参考 go-cqhttp 端输出 (账号可能被风控)"
            return failed | {"message": words, "wording": words}
        if what == "async":
            return {"status": "async", "retcode": 1, "data": None}
        return answer | {"data": None} if what == "null" else answer
