"""WebSockets on trio: the sans-IO layer of `websockets`, driven here. The only door to that library.

What arrives in one read is handed over in one list, and what is ready to be sent leaves in one write, so that the
price of a wake-up is paid per read and not per message.
"""

from __future__ import annotations

import logging
import sys

import trio
from websockets.frames import Frame, Opcode, apply_mask  # type: ignore[attr-defined] # made fast by the library
from websockets.protocol import Protocol as WsProtocol
from websockets.protocol import Side, State

from qqops.adapters.websocket.frames import WHOLE, cut
from qqops.errors import NotSent, TransientError, excerpt

#: Bytes that are read at once.
READ = 256 * 1024
#: Bytes that may wait to be written; who puts more is told that the other side does not read.
MAX_WAITING = 16 * 1024 * 1024
#: Seconds for the closing handshake.
GOODBYE = 2.0

_log = logging.getLogger("qqops.ws")
_log.setLevel(logging.WARNING)  # the library tells every opening and end; the supervisor does so already


class Unauthorized(TransientError):
    """The other side wants another token, or none of ours. It is tried again, and no sign of success.

    Attributes:
        status: HTTP status or WebSocket close code.
    """

    def __init__(self, cause: str, *, status: int) -> None:
        self.status = status
        super().__init__(cause)


class WebSocket:
    """One open connection. One task reads, one writes (`write`), anybody puts.

    Attributes:
        heard_at: When the last bytes came, on trio's clock.
    """

    def __init__(self, stream: trio.abc.Stream, protocol: WsProtocol, early: bytes | bytearray) -> None:
        self._stream = stream
        self._protocol = protocol
        self._events: list[Frame] = []
        self._partial = bytearray()
        self._max_size = protocol.max_message_size or sys.maxsize
        self._mask_bit = 0 if protocol.side is Side.CLIENT else 0x80
        self._fragments: list[bytes] = []
        self._put = 0
        self._written = 0
        self._waiting = 0
        self._wake = trio.Event()
        self._writing_since = float("inf")
        self.heard_at = trio.current_time()
        self._early = self._feed(early)

    @property
    def close_code(self) -> int | None:
        """The code with which the other side has closed, if it has."""
        received = self._protocol.close_rcvd
        return None if received is None else int(received.code)

    async def receive(self) -> list[bytes]:
        """Return the messages of one read, text and binary alike; at least one.

        Cancellation: nothing is lost.

        Raises:
            TransientError: The connection is over.
        """
        if self._early:
            early, self._early = self._early, []
            return early
        while True:
            if self._protocol.state is not State.OPEN:
                raise TransientError(self._end())
            try:
                data = await self._stream.receive_some(READ)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
                raise TransientError(f"the connection broke: {said_by(exc)}") from exc
            if not data:
                self._protocol.receive_eof()
                self._flush_later()
                raise TransientError(self._end())
            self.heard_at = trio.current_time()
            messages = self._feed(data)
            self._flush_later()
            if messages:
                return messages

    def _feed(self, data: bytes | bytearray) -> list[bytes]:
        """Take what was read and return the whole messages in it.

        A frame that is a whole message is cut out here, at a fifth of the price; all others go to the library, each as
        a whole: control frames, fragments, and whatever breaks the rules.
        """
        if self._partial:
            self._partial += data
            data = self._partial
        spans, end, broken = cut(data, self._mask_bit, self._max_size)
        messages: list[bytes] = []
        for at, start, stop in spans:
            if data[at] in WHOLE and not self._fragments:
                content = bytes(data[start:stop])
                messages.append(apply_mask(content, data[start - 4 : start]) if self._mask_bit else content)
            else:
                messages += self._pass_on(data[at:stop])
                if self._protocol.state is not State.OPEN:
                    return messages
        if broken:
            messages += self._pass_on(data[end:])  # the library says what is wrong, and that is the end
        elif data is self._partial:
            del self._partial[:end]
        elif end < len(data):
            self._partial += data[end:]
        return messages

    def _pass_on(self, data: bytes | bytearray) -> list[bytes]:
        """Let the library read *data*; return the message that it completes, if any."""
        self._protocol.receive_data(data)
        self._events = self._protocol.events_received()  # type: ignore[assignment] # frames, once it is open
        return self._take()

    def _take(self) -> list[bytes]:
        """Return the whole messages among the frames that the library has read."""
        events, self._events = self._events, []
        messages: list[bytes] = []
        for frame in events:
            opcode = frame.opcode
            if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
                if frame.fin:
                    messages.append(frame.data)  # type: ignore[arg-type] # bytes or bytearray; readers take both
                else:
                    self._fragments = [frame.data]  # type: ignore[list-item]
            elif opcode is Opcode.CONT:
                self._fragments.append(frame.data)  # type: ignore[arg-type]
                if frame.fin:
                    messages.append(b"".join(self._fragments))
                    self._fragments = []
        return messages

    def _end(self) -> str:
        """Return why the connection is over."""
        protocol = self._protocol
        if protocol.close_rcvd is not None:
            reason = excerpt(protocol.close_rcvd.reason)
            return (
                f"closed by the other side: {int(protocol.close_rcvd.code)}{' ' + reason if reason else ''}"
            )
        if protocol.parser_exc is not None and not isinstance(protocol.parser_exc, EOFError):
            return f"the other side broke the rules: {excerpt(str(protocol.parser_exc))}"
        return "the connection was cut"

    # -- sending --------------------------------------------------------------------------------

    def put(self, data: bytes) -> int:
        """Queue a text message and return its number; `has_left` tells later how far it came.

        Raises:
            NotSent: The connection is closing, or the other side has not read for too long.
        """
        if self._protocol.state is not State.OPEN:
            raise NotSent(self._end())
        if self._waiting > MAX_WAITING:
            raise NotSent(f"{self._waiting // 2**20} MiB wait already: the other side does not read")
        self._protocol.send_text(data)
        self._waiting += len(data)
        self._put += 1
        self._wake.set()
        return self._put

    def has_left(self, number: int) -> bool:
        """Whether message *number* was handed to the system; before that nobody can have seen it."""
        return number <= self._written

    def ping(self) -> None:
        """Queue a ping; whoever lives answers it."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"qqops")
            self._wake.set()

    def _flush_later(self) -> None:
        if self._protocol.writes:
            self._wake.set()

    async def write(self) -> None:
        """Write what is put, all that is ready with one send; until cancelled or the connection breaks.

        Raises:
            TransientError: The connection is over.
        """
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await self._write_once()

    async def _write_once(self) -> None:
        parts = self._protocol.data_to_send()
        if not parts:
            return
        self._written, self._waiting = self._put, 0
        data = b"".join(parts)
        self._writing_since = trio.current_time()
        try:
            if data:
                await self._stream.send_all(data)
            if parts[-1] == b"" and isinstance(self._stream, trio.abc.HalfCloseableStream):
                await self._stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise TransientError(f"the connection broke: {said_by(exc)}") from exc
        self._writing_since = float("inf")

    async def keep_alive(self, every: float, patience: float) -> None:
        """Ping when nothing was heard for *every* seconds; end when *patience* more seconds stay silent.

        Raises:
            TransientError: The connection is half-open, or the other side speaks and does not read.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_writing, every + patience)
            await self._watch_reading(every, patience)

    async def _watch_writing(self, patience: float) -> None:
        while True:
            await trio.sleep(patience / 2)
            if trio.current_time() - self._writing_since > patience:
                raise TransientError(f"the other side has read nothing for {patience:g} s")

    async def _watch_reading(self, every: float, patience: float) -> None:
        while True:
            await trio.sleep_until(self.heard_at + every)
            asked = trio.current_time()
            if self.heard_at + every > asked:
                continue
            self.ping()
            await trio.sleep(patience)
            if self.heard_at < asked:
                raise TransientError(f"half-open: no answer to a ping for {patience:g} s")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Queue a good-bye with *code*; the reader hears of the end."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._wake.set()

    async def abort(self) -> None:
        """Close without a word."""
        await trio.aclose_forcefully(self._stream)

    async def aclose(self, code: int = 1000, *, flush: bool = False) -> None:
        """Say good-bye, wait for the answer at most `GOODBYE` seconds, and close. No other task may read or write.

        Args:
            flush: Write what is put before. Else it is thrown away: `has_left` has said that it has not left, and
                whoever put it may send it again elsewhere.
        """
        half_written = self._writing_since < float("inf")
        if not flush and not half_written:
            self._protocol.data_to_send()
            self._put = self._written
        with trio.move_on_after(GOODBYE, shield=True):
            try:
                if self._protocol.state is State.OPEN and not half_written:
                    self._protocol.send_close(code)
                    await self._write_once()
                    while self._protocol.close_rcvd is None:
                        data = await self._stream.receive_some(READ)
                        if not data:
                            break
                        self._protocol.receive_data(data)
                        self._protocol.events_received()
            except (
                trio.BrokenResourceError,
                trio.ClosedResourceError,
                trio.BusyResourceError,
                TransientError,
            ):
                pass
        await trio.aclose_forcefully(self._stream)


def said_by(exc: BaseException) -> str:
    """Return what *exc* says, or what caused it, in words."""
    inner = exc.__cause__ if isinstance(exc, trio.BrokenResourceError) and exc.__cause__ is not None else exc
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror
    return excerpt(str(inner) or type(inner).__name__)


__all__ = ["Unauthorized", "WebSocket"]
