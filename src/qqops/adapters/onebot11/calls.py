"""Requests on a WebSocket that wait for their answer: matched by echo, out of order, each with a deadline."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import attrs
import trio

from qqops.adapters.websocket.socket import WebSocket
from qqops.errors import NotSent, TransientError
from qqops.protocol.onebot11.answers import ActionFailed, failure, goes_on
from qqops.protocol.onebot11.flavors import UNKNOWN, Flavor
from qqops.protocol.onebot11.wire import Frame, encode

#: Seconds between two looks for requests whose deadline is over. Each counts down what waits: that costs less than a
#: look at the clock for each request.
SWEEP = 1.0
#: Frames of one answer that comes in parts.
MAX_PARTS = 100_000

#: Gets the answer, or None when none came in time.
Settle = Callable[[Frame | None], None]


@attrs.define
class _Waiting:
    sweeps: int
    settle: Settle
    deadline: float
    part: Callable[[Frame], None] | None = None


class Calls:
    """The requests of one session.

    Attributes:
        flavor: How the other side differs from the others.
        strays: Answers that nobody waited for: late ones, and such without an echo.
    """

    def __init__(self, socket: WebSocket, numbers: itertools.count[int], deadline: float) -> None:
        self.flavor: Flavor = UNKNOWN
        self.strays = 0
        self._socket = socket
        self._numbers = numbers
        self._deadline = deadline
        self._waiting: dict[str, _Waiting] = {}
        self._closed = False

    def post(
        self,
        action: str,
        params: dict[str, Any],
        settle: Settle,
        deadline: float = 0.0,
        part: Callable[[Frame], None] | None = None,
    ) -> int:
        """Put a request on the wire; *settle* is called once. Return its number there.

        Args:
            part: Gets each frame but the last of an answer that comes in parts.

        Raises:
            NotSent: The connection is closing.
        """
        if self._closed:
            raise NotSent("the session is over")
        seconds = deadline or self._deadline
        echo = f"q{next(self._numbers)}"
        number = self._socket.put(encode(action, params, echo))
        self._waiting[echo] = _Waiting(math.ceil(seconds), settle, seconds, part)
        return number

    async def call(self, action: str, params: dict[str, Any] | None = None, deadline: float = 0.0) -> Any:
        """Do *action* and return its ``data``.

        Cancellation: the request may have been done.

        Raises:
            ActionFailed: It was refused; `missing` when the other side does not know it.
            NotSent: The connection is closing.
            TransientError: No answer came in time, or the session ended before it.
        """
        return (await self.ask(action, params or {}, deadline)).get("data")

    async def ask(
        self,
        action: str,
        params: dict[str, Any],
        deadline: float = 0.0,
        part: Callable[[Frame], None] | None = None,
    ) -> Frame:
        """Do *action* and return the whole answer. Arguments as for `post`, errors as of `call`."""
        answered = trio.Event()
        frame: Frame | None = None

        def settle(found: Frame | None) -> None:
            nonlocal frame
            frame = found
            answered.set()

        self.post(action, params, settle, deadline, part)
        await answered.wait()
        if frame is None and self._closed:
            raise TransientError(f"the session ended before the answer to {action}")
        if frame is None:
            raise TransientError(f"no answer to {action} within {deadline or self._deadline:g} s")
        if frame.get("status") not in ("ok", "async"):
            raise failure(action, frame, self.flavor)
        return frame

    def answer(self, frame: Frame) -> None:
        """Take an answer, or a part of one."""
        echo = frame.get("echo")
        waiting = self._waiting.get(echo) if type(echo) is str else None
        if waiting is None:
            self.strays += 1
        elif waiting.part is not None and goes_on(frame):
            waiting.sweeps = math.ceil(waiting.deadline)  # it counts between two parts
            waiting.part(frame)
        else:
            del self._waiting[echo]  # type: ignore[arg-type] # it is what was found
            waiting.settle(frame)

    def close(self) -> None:
        """The session is over: whoever waits is told, and nothing more goes out."""
        self._closed = True
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            one.settle(None)

    async def sweep(self) -> None:
        """Settle requests whose deadline is over, until cancelled."""
        while True:
            await trio.sleep(SWEEP)
            over = []
            for echo, waiting in self._waiting.items():
                waiting.sweeps -= 1
                if waiting.sweeps < 0:  # the first second was not a whole one
                    over.append(echo)
            for echo in over:
                self._waiting.pop(echo).settle(None)


__all__ = ["ActionFailed", "Calls", "Settle"]
