"""One kept-alive HTTP/1.1 connection, for the one hot call of an account: its long poll.

A client with a pool costs several times the memory and time of the poll itself (performance). What is left of it here
has the same safety: a deadline over everything, caps on header and body, TLS by the shared context, and one retry when
a connection turns out to be stale.
"""

from __future__ import annotations

import ssl
import urllib.parse
from collections.abc import Callable

import attrs
import h11
import trio

from qqops.errors import NotSent, ProtocolError, TransientError

#: Bytes that are read at once.
CHUNK = 64 * 1024
#: Seconds in which an answer that is here already is still read after its deadline: a process that was suspended
#: finds both at the same moment, and must not throw away what the service takes for delivered.
GRACE = 0.05


class StaleError(TransientError):
    """The peer closed the connection instead of answering."""


@attrs.frozen(kw_only=True)
class WireReply:
    """What came back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Wire:
    """A connection that is made when it is needed and kept as long as it lasts.

    Args:
        tls: Gives the shared TLS context; only called for https.
        max_body: Largest body that is read, in bytes.
    """

    def __init__(self, tls: Callable[[], ssl.SSLContext], max_body: int) -> None:
        self._tls = tls
        self._max_body = max_body
        self._stream: trio.abc.Stream | None = None
        self._state: h11.Connection | None = None
        self._peer = ("", "", 0)

    async def aclose(self) -> None:
        """Close the connection."""
        stream, self._stream, self._state = self._stream, None, None
        if stream is not None:
            await trio.aclose_forcefully(stream)

    async def call(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, *, deadline: float
    ) -> WireReply:
        """Make a request and return the whole answer.

        Args:
            deadline: Moment on trio's clock at which it must be there.

        Raises:
            NotSent: No connection could be made.
            TransientError: The connection broke or the deadline passed.
            ProtocolError: The answer breaks HTTP or is too large.
        """
        parts = urllib.parse.urlsplit(url)
        secure = parts.scheme == "https"
        peer = (parts.scheme, parts.hostname or "", parts.port or (443 if secure else 80))
        fresh = self._stream is None or self._peer != peer
        try:
            if fresh:
                await self.aclose()
                await self._connect(peer, deadline)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            try:
                return await self._exchange(method, target, headers, body, deadline)
            except StaleError:
                if fresh:
                    raise
            # It was closed while nobody looked; once more on a new one.
            await self.aclose()
            await self._connect(peer, deadline)
            return await self._exchange(method, target, headers, body, deadline)
        except BaseException:
            with trio.CancelScope(shield=True):  # closing forcefully does not wait
                await self.aclose()
            raise

    async def _connect(self, peer: tuple[str, str, int], deadline: float) -> None:
        scheme, host, port = peer
        try:
            with trio.fail_at(deadline):
                stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
                if scheme == "https":
                    stream = trio.SSLStream(stream, self._tls(), server_hostname=host, https_compatible=True)
                    await stream.do_handshake()
        except (OSError, trio.TooSlowError, trio.BrokenResourceError, ssl.SSLError, UnicodeError) as exc:
            # Includes failed name look-ups: they pass, like everything here.
            raise NotSent(f"cannot connect to {host}: {str(exc) or type(exc).__name__}") from exc
        self._stream, self._peer = stream, peer
        self._state = h11.Connection(h11.CLIENT)

    async def _exchange(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes, deadline: float
    ) -> WireReply:
        stream, state = self._stream, self._state
        assert stream is not None
        assert state is not None
        sized = [*headers, ("Content-Length", str(len(body)))] if body or method == "POST" else headers
        try:
            data = state.send(h11.Request(method=method, target=target, headers=sized)) or b""
            data += (state.send(h11.Data(data=body)) if body else b"") or b""
            data += state.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError as exc:
            raise TransientError(f"the call failed: {exc}") from exc
        try:
            with trio.fail_at(deadline):
                await stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise StaleError("the connection broke while the request was sent") from exc
        except trio.TooSlowError as exc:
            raise TransientError("the request could not be sent in time") from exc
        reply = await self._read(stream, state, deadline)
        if state.our_state is h11.DONE and state.their_state is h11.DONE:
            state.start_next_cycle()
        else:
            await self.aclose()
        return reply

    async def _read(self, stream: trio.abc.Stream, state: h11.Connection, deadline: float) -> WireReply:
        response: h11.Response | None = None
        body = bytearray()
        heard = False
        while True:
            try:
                event = state.next_event()
            except h11.RemoteProtocolError as exc:
                if not heard:
                    raise StaleError("the connection broke: closed before the status line") from exc
                raise TransientError(f"the connection broke: {exc}") from exc
            if event is h11.NEED_DATA:
                data = await _receive(stream, deadline)
                heard = heard or bool(data)
                state.receive_data(data)
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._max_body:
                    raise ProtocolError(
                        f"the answer is larger than {self._max_body} bytes", payload=bytes(body[:400])
                    )
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                break
        if response is None:
            raise StaleError("the connection broke: closed before the status line")
        return WireReply(
            status=response.status_code,
            headers=tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers
            ),
            body=bytes(body),
        )


async def _receive(stream: trio.abc.Stream, deadline: float) -> bytes:
    try:
        with trio.move_on_at(deadline):
            return bytes(await stream.receive_some(CHUNK))
        with trio.move_on_after(GRACE):
            return bytes(await stream.receive_some(CHUNK))
    except trio.BrokenResourceError as exc:
        raise StaleError(f"the connection broke: {exc.__cause__ or exc}") from exc
    raise TransientError("no answer in time")
