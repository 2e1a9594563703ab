"""Connections that are listened in on: which events has the other side read for certain?

OneBot v11 brings no event twice, so only what was read counts as delivered. After each write that carries events goes a
WebSocket ping with a number. The bot's reader makes the pong when it comes to the ping, and so has read all before it:
these events are proven. What is not proven when a connection ends is in doubt, for good.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Sequence

import trio

from qqops.adapters.http.server import HttpRequest
from qqops.adapters.websocket.frames import cut
from qqops.adapters.websocket.handshake import accept, upgrade
from qqops.adapters.websocket.socket import WebSocket
from qqops.errors import TransientError

#: Opcodes of a ping that is a whole message, and of a pong.
_PING, _PONG = 0x89, 0x8A
#: Frames of a bot that are looked at; larger than any that it sends.
_MOST = 2**30

#: Gets the numbers of events.
Told = Callable[[Sequence[int]], None]


class Tap(trio.abc.HalfCloseableStream):
    """A stream that carries a WebSocket.

    Args:
        dialled: Whether this side has opened the connection: then frames are masked the other way round.
        hearing: Returns the event that is set while this side reads.
        proven: Told of events that were read.
        doubted: Told, at the end, of events that nobody knows about.

    Attributes:
        waiting: How many events are not proven yet.
        closed: Whether the connection is over.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        dialled: bool,
        hearing: Callable[[], trio.Event],
        proven: Told,
        doubted: Told,
    ) -> None:
        self.waiting = 0
        self.closed = False
        self._stream = stream
        self._masked_out = dialled
        self._in_head = dialled
        self._hearing = hearing
        self._proven, self._doubted = proven, doubted
        self._unwritten: list[int] = []
        self._asked: dict[int, list[int]] = {}
        self._pings = 0
        self._rest = bytearray()

    def put(self, number: int) -> None:
        """An event was queued; 0 for one that nobody asks after."""
        self._unwritten.append(number)
        self.waiting += 1

    # -- what goes out --------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send whole frames; what is queued on the WebSocket is in them, so a ping behind them proves it."""
        if self._unwritten:
            self._pings += 1
            self._asked[self._pings], self._unwritten = self._unwritten, []
            data = bytes(data) + self._ping(self._pings)
        await self._stream.send_all(data)

    def _ping(self, number: int) -> bytes:
        content = str(number).encode()
        if self._masked_out:  # with a mask that changes nothing
            return bytes((_PING, 0x80 | len(content), 0, 0, 0, 0)) + content
        return bytes((_PING, len(content))) + content

    async def wait_send_all_might_not_block(self) -> None:
        """See trio."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """See trio."""
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close; what is not proven by now will never be."""
        if not self.closed:
            self.closed = True
            open_ = [number for numbers in self._asked.values() for number in numbers]
            self._doubted([*open_, *self._unwritten])
            self.waiting = 0
        await self._stream.aclose()

    # -- what comes in --------------------------------------------------------------------------

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Read, unless this side is deaf at the moment."""
        await self._hearing().wait()
        data = await self._stream.receive_some(max_bytes)
        self.heard(data)
        return data

    def heard(self, data: bytes | bytearray) -> None:
        """Look for pongs in what was read."""
        self._rest += data
        if self._in_head:
            end = self._rest.find(b"\r\n\r\n")
            if end < 0:
                return
            del self._rest[: end + 4]
            self._in_head = False
        mask_bit = 0 if self._masked_out else 0x80
        spans, end, _ = cut(self._rest, mask_bit, _MOST)
        for at, start, stop in spans:
            if self._rest[at] == _PONG:
                mask = self._rest[start - 4 : start] if mask_bit else bytes(4)
                self._pong(bytes(b ^ mask[i % 4] for i, b in enumerate(self._rest[start:stop])))
        del self._rest[:end]

    def _pong(self, content: bytes) -> None:
        if self.closed or not content.isdigit():
            return
        for ping in [ping for ping in self._asked if ping <= int(content)]:
            numbers = self._asked.pop(ping)
            self.waiting -= len(numbers)
            self._proven(numbers)


class Wires:
    """Makes the connections of a run, each with a tap.

    Args:
        proven: Told of events that were read.
        doubted: Told of events of which nobody knows whether they were.
    """

    def __init__(self, proven: Told, doubted: Told) -> None:
        self._proven, self._doubted = proven, doubted
        self._taps: dict[WebSocket, Tap] = {}
        self._hearing = trio.Event()
        self._hearing.set()

    @property
    def waiting(self) -> int:
        """How many events are on the way and not proven."""
        return sum(tap.waiting for tap in self._taps.values())

    def put(self, socket: WebSocket, number: int) -> None:
        """Note that an event was queued on a connection; 0 for one that nobody asks after."""
        self._taps[socket].put(number)

    def deafen(self) -> None:
        """Read nothing any more, on no connection."""
        self._hearing = trio.Event()

    def listen(self) -> None:
        """Read again."""
        self._hearing.set()

    def _tap(self, stream: trio.abc.Stream, dialled: bool) -> Tap:
        return Tap(
            stream, dialled=dialled, hearing=lambda: self._hearing, proven=self._proven, doubted=self._doubted
        )

    def _add(self, socket: WebSocket, tap: Tap) -> WebSocket:
        self._taps = {s: t for s, t in self._taps.items() if not t.closed}
        self._taps[socket] = tap
        return socket

    async def take(
        self, stream: trio.abc.Stream, request: HttpRequest, extra: bytes, *, max_size: int
    ) -> WebSocket:
        """Make a WebSocket of an accepted stream; see `qqops.simulator.onebot.server.Accept`."""
        tap = self._tap(stream, dialled=False)
        tap.heard(extra)
        return self._add(await accept(tap, request, extra, max_size=max_size), tap)

    async def dial(
        self, url: str, headers: Sequence[tuple[str, str]], *, within: float, max_size: int
    ) -> WebSocket:
        """Open a connection; see `qqops.adapters.websocket.handshake.Dial`."""
        where = urllib.parse.urlsplit(url)
        with trio.move_on_after(within):
            tap: Tap | None = None
            try:
                stream = await trio.open_tcp_stream(where.hostname or "", where.port or 80)
                tap = self._tap(stream, dialled=True)
                return self._add(await upgrade(tap, url, headers, max_size=max_size), tap)
            except (OSError, trio.BrokenResourceError) as exc:
                raise TransientError(f"cannot connect to {url}: {exc}") from exc
            finally:
                if tap is not None and tap not in self._taps.values():
                    await trio.aclose_forcefully(tap)
        raise TransientError(f"no answer from {url} within {within:g} s")
