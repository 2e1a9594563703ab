"""One kept-alive HTTP/1.1 connection.

A general pool costs several times the memory and time of a long poll itself (performance). What is left of it here has
the same safety: a deadline over everything, caps on header and body, TLS by the shared context, a look whether an idle
connection was closed meanwhile, and one retry when it turns out to be stale all the same.
"""

from __future__ import annotations

import ssl
import urllib.parse
from collections.abc import Callable

import attrs
import trio

from qqops.adapters.http.response import ResponseReader
from qqops.errors import NotSent, TransientError

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
        admit: Raises for a host and the address that it leads to, where no connection may be held; None to hold any.
    """

    def __init__(
        self,
        tls: Callable[[], ssl.SSLContext],
        max_body: int,
        admit: Callable[[str, str], None] | None = None,
    ) -> None:
        self._tls = tls
        self._admit = admit
        self._max_body = max_body
        self._stream: trio.abc.Stream | None = None
        self._peer = ("", "", 0)
        self._last: (
            tuple[list[tuple[str, str]], bytes, tuple[str, str], tuple[str, str, int], bytes] | None
        ) = None

    async def aclose(self) -> None:
        """Close the connection."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)

    @property
    def open(self) -> bool:
        """Whether there is a connection, as far as this side knows."""
        return self._stream is not None

    async def call(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        deadline: float,
        again: bool,
    ) -> WireReply:
        """Make a request and return the whole answer.

        Args:
            deadline: Moment on trio's clock at which it must be there.
            again: Whether it may go out a second time when the connection was stale.

        Raises:
            NotSent: No connection could be made.
            TransientError: The connection broke or the deadline passed.
            ProtocolError: The answer breaks HTTP or is too large.
        """
        peer, request = self._written(method, url, headers, body)
        try:
            if self._stream is None or self._peer != peer or _heard(self._stream):
                await self.aclose()
                await self._connect(peer, deadline)
            try:
                return await self._exchange(request, deadline)
            except StaleError:
                if not again:
                    raise
            # It was closed at this very moment; once more on a new one.
            await self.aclose()
            await self._connect(peer, deadline)
            return await self._exchange(request, deadline)
        except BaseException:
            with trio.CancelScope(shield=True):  # closing forcefully does not wait
                await self.aclose()
            raise

    def _written(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[tuple[str, str, int], bytes]:
        """Return (peer, request as it goes out); the very same objects as the last time are not written anew."""
        last = self._last
        if last is not None and last[0] is headers and last[1] is body and last[2] == (method, url):
            return last[3], last[4]
        parts = urllib.parse.urlsplit(url)
        peer = (parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = _request(method, target, headers, body)
        self._last = (headers, body, (method, url), peer, request)
        return peer, request

    async def _connect(self, peer: tuple[str, str, int], deadline: float) -> None:
        scheme, host, port = peer
        try:
            with trio.fail_at(deadline):
                bare = await trio.open_tcp_stream(host, port)
                self._stream = bare  # so that whatever is wrong with it, it is closed
                if self._admit is not None:
                    self._admit(host, str(bare.socket.getpeername()[0]))
                stream: trio.abc.Stream = bare
                if scheme == "https":
                    stream = trio.SSLStream(bare, self._tls(), server_hostname=host, https_compatible=True)
                    await stream.do_handshake()
        except (OSError, trio.TooSlowError, trio.BrokenResourceError, ssl.SSLError, UnicodeError) as exc:
            # Includes failed name look-ups: they pass, like everything here.
            raise NotSent(f"cannot connect to {host}: {str(exc) or type(exc).__name__}") from exc
        self._stream, self._peer = stream, peer

    async def _exchange(self, request: bytes, deadline: float) -> WireReply:
        stream = self._stream
        assert stream is not None
        try:
            with trio.fail_at(deadline):
                await stream.send_all(request)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise StaleError("the connection broke while the request was sent") from exc
        except trio.TooSlowError as exc:
            raise TransientError("the request could not be sent in time") from exc
        answer = ResponseReader(self._max_body)
        while not answer.done:
            data = await _receive(stream, deadline, answer)
            if data:
                answer.feed(data)
            elif not answer.end():
                if not answer.begun:
                    raise StaleError("the connection broke: closed before the status line")
                raise TransientError("the connection broke in the middle of the answer")
        if not answer.keep:
            await self.aclose()
        return WireReply(status=answer.status, headers=tuple(answer.headers), body=bytes(answer.body))


def _heard(stream: trio.abc.Stream) -> bool:
    """Whether something has come, unasked, on an idle connection: its end, or what is not to be trusted."""
    bare = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    return isinstance(bare, trio.SocketStream) and bare.socket.is_readable()


async def _receive(stream: trio.abc.Stream, deadline: float, answer: ResponseReader) -> bytes:
    try:
        with trio.move_on_at(deadline):
            return bytes(await stream.receive_some(CHUNK))
        with trio.move_on_after(GRACE):
            return bytes(await stream.receive_some(CHUNK))
    except trio.BrokenResourceError as exc:
        kind = TransientError if answer.begun else StaleError
        raise kind(f"the connection broke: {exc.__cause__ or exc}") from exc
    raise TransientError("no answer in time")


def _request(method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    """Return the request as it goes out.

    Raises:
        TransientError: A header would break out of its line.
    """
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines) or not target.isascii() or " " in target:
        raise TransientError("the call failed: a header or the target is malformed")
    return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + body
