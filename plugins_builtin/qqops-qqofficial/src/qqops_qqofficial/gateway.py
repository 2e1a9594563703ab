"""One connection to the gateway, and what must outlive it. Source: qq-official.md §2."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import structlog
import trio

from qqops import FatalError, ProtocolError, TransientError
from qqops.adapter import Link, WebSocket
from qqops_qqofficial.options import NEEDED, Options, bits
from qqops_qqofficial.wire import (
    ACK,
    DISPATCH,
    HEARTBEAT,
    HELLO,
    IDENTIFY,
    INVALID,
    RECONNECT,
    RESUME,
    Then,
    after_close,
    decode,
    fields,
    text,
    whole,
)

log = structlog.get_logger("qqops.qqofficial")

#: Seconds for hello, and for READY or RESUMED.
PATIENCE = 15.0
#: Resumes in a row without success, and disconnects of one session within `MANY_WITHIN` seconds, before a new one.
MAX_RESUMES, MANY, MANY_WITHIN = 3, 5, 300.0


@attrs.define
class Memory:
    """What outlives a connection.

    Attributes:
        session: Id of the session; "" for none that can be resumed.
        seq: Number of the last event that was taken.
        resumes: Tries to resume without success.
        ends: When the session was disconnected lately.
        dropped: Intents that the platform does not permit.
        url: The gateway; asking for it too often locks the bot out.
    """

    session: str = ""
    seq: int = 0
    resumes: int = 0
    ends: list[float] = attrs.field(factory=list)
    dropped: frozenset[str] = frozenset()
    url: str = ""

    def forget(self) -> None:
        """Begin a new session next time."""
        self.session, self.seq, self.resumes, self.ends = "", 0, 0, []

    def resumable(self, now: float) -> bool:
        """Whether to resume. A session that will not hold is given up, so that resuming is never a loop."""
        self.ends = [at for at in self.ends if now - at < MANY_WITHIN]
        if self.session and (self.resumes >= MAX_RESUMES or len(self.ends) >= MANY):
            log.warning("the session does not hold: a new one", resumes=self.resumes, ends=len(self.ends))
            self.forget()
        return bool(self.session)


class Gateway:
    """One connection."""

    def __init__(
        self,
        socket: WebSocket,
        link: Link,
        options: Options,
        memory: Memory,
        token: Callable[..., Awaitable[str]],
        take: Callable[[str, str, dict[str, Any]], None],
        ready: Callable[[dict[str, Any]], list[str]],
        rng: random.Random,
    ) -> None:
        self._socket = socket
        self._link = link
        self._options = options
        self._memory = memory
        self._token = token
        self._take = take
        self._ready = ready
        self._rng = rng
        self._acked = self._reading = True
        self._names: list[str] = []
        self.online = trio.Event()

    async def run(self) -> None:
        """Hold the connection until it is over.

        Raises:
            FatalError: The platform wants something else of the settings.
            TransientError: It is over.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._socket.write, name="write")
                frames = await self._first()
                hello = fields(frames[0].get("d"))
                every = max(whole(hello.get("heartbeat_interval")), 1000) / 1000
                await self._introduce()
                nursery.start_soon(self._beat, every, name="heartbeat")
                for frame in frames[1:]:
                    self._frame(frame)
                while True:
                    self._read(await self._socket.receive())
                    await self._roomy()
        except* TransientError as group:
            error = group.exceptions[0]
            self._after(error if isinstance(error, TransientError) else TransientError(str(error)))

    async def _first(self) -> list[dict[str, Any]]:
        """Wait for hello; return it and what came with it."""
        with trio.move_on_after(PATIENCE):
            frames = [decode(data) for data in await self._socket.receive()]
            if whole(frames[0].get("op")) != HELLO:
                raise TransientError("the gateway does not say hello")
            return frames
        raise TransientError(f"no hello within {PATIENCE:g} s")

    async def _roomy(self) -> None:
        """Wait while the bot has more work than it may hold; acknowledgements lie unread meanwhile."""
        began, self._reading = trio.current_time(), False
        await self._link.ready()
        self._reading = True
        self._acked = self._acked or trio.current_time() > began

    async def _introduce(self) -> None:
        token = f"QQBot {await self._token()}"
        memory, options = self._memory, self._options
        self._link.alive(PATIENCE)
        if memory.resumable(trio.current_time()):
            memory.resumes += 1
            self._put(RESUME, {"token": token, "session_id": memory.session, "seq": memory.seq})
            return
        intents = tuple(one for one in options.intents if one not in memory.dropped)
        said = {"token": token, "intents": bits(intents), "shard": list(options.shard), "properties": {}}
        self._put(IDENTIFY, said)

    def _put(self, op: int, data: object) -> None:
        self._socket.put(json.dumps({"op": op, "d": data}).encode())

    async def _beat(self, every: float) -> None:
        """Beat; a beat that nobody acknowledges ends the connection."""
        await trio.sleep(every * self._rng.random())
        while True:
            if not self._acked and self._reading:
                raise TransientError("half-open: a heartbeat was not acknowledged")
            self._acked = False
            self._put(HEARTBEAT, self._memory.seq or None)
            await trio.sleep(every)

    def _read(self, messages: list[bytes]) -> None:
        for data in messages:
            try:
                frame = decode(data)
            except ProtocolError as exc:
                self._link.malformed(exc)
            else:
                self._frame(frame)

    def _frame(self, frame: dict[str, Any]) -> None:
        op = whole(frame.get("op"))
        if op == DISPATCH:
            self._dispatch(frame)
        elif op == ACK:
            self._acked = True
        elif op == HEARTBEAT:
            self._put(HEARTBEAT, self._memory.seq or None)
        elif op == RECONNECT:
            raise TransientError("the platform asks to reconnect")
        elif op == INVALID:
            if frame.get("d") is not True:
                self._memory.forget()
            raise TransientError("the session is not valid", retry_after=1 + 4 * self._rng.random())

    def _dispatch(self, frame: dict[str, Any]) -> None:
        kind, data = text(frame.get("t")), fields(frame.get("d"))
        if kind in ("READY", "RESUMED"):
            self._memory.resumes = 0
            if kind == "READY":
                self._memory.session = text(data.get("session_id"))
                self._names = self._ready(data)
            self._seen(frame)
            self._link.online(self._names or self._ready({}))
            self._link.alive(math.inf)  # the heartbeat watches from here on
            self.online.set()
            return
        self._take(kind, text(frame.get("id")), data)
        self._seen(frame)  # after it was taken: a resume brings what was not

    def _seen(self, frame: dict[str, Any]) -> None:
        number = frame.get("s")
        if isinstance(number, int) and number > self._memory.seq:
            self._memory.seq = number

    def _after(self, error: TransientError) -> None:
        """Decide what follows the end of the connection.

        Raises:
            FatalError: Nothing but a change of the settings helps.
            TransientError: The next try.
        """
        memory, code = self._memory, self._socket.close_code
        if memory.session:
            memory.ends.append(trio.current_time())
        then, reason = after_close(code)
        cause = f"{error}" if then is Then.RESUME else f"{reason} ({code})"
        match then:
            case Then.STOP:
                raise FatalError(cause)
            case Then.FEWER_INTENTS:
                spare = [i for i in self._options.intents if i not in NEEDED and i not in memory.dropped]
                memory.forget()
                if not spare:
                    raise FatalError(f"{cause}: the bot may not have {', '.join(self._options.intents)}")
                log.warning("not permitted; tried without", intents=spare)
                memory.dropped |= frozenset(spare)
                raise TransientError(cause)
            case Then.IDENTIFY:
                memory.forget()
            case Then.TOKEN:
                memory.forget()
                raise NeedsToken(cause)
            case Then.SLOWER:
                raise TransientError(cause, retry_after=60.0)
        raise TransientError(cause, retry_after=error.retry_after)


class NeedsToken(TransientError):
    """The next try needs a new token."""
