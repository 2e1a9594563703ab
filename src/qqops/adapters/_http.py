"""The only door to httpx.

A thin client for calls to one service on behalf of one account: deadline over the whole call, cap on the
body, foreign exceptions turned into ours, one retry when a kept-alive connection turns out to be dead. It
drives httpx's transport directly: cookies and redirects belong to the protocol cores, and a pool shared by
many accounts that long-poll collapses (one client per account).
"""

from __future__ import annotations

import functools
import ssl
from types import TracebackType
from typing import Protocol, Self

import attrs
import httpx
import trio

from qqops.adapters._wire import Wire
from qqops.errors import NotSent, ProtocolError, TransientError

#: Largest body that is read, in bytes.
MAX_BODY = 16 * 1024 * 1024

#: A send, two look-ups, a refresh, a heartbeat, an upload, and two to spare.
MAX_CONNECTIONS = 8
#: Part of a call's deadline in which the connection must stand.
CONNECT_SHARE = 0.8


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the one TLS context of the process; each costs milliseconds and hundreds of kilobytes."""
    return ssl.create_default_context()


@attrs.frozen(kw_only=True)
class HttpReply:
    """What came back; *elapsed* is in seconds."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    elapsed: float


class Http(Protocol):
    """What makes calls: `HttpClient`, or what a test puts in its place. A context manager."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def call(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        deadline: float,
        idempotent: bool,
        long: bool = False,
    ) -> HttpReply:
        """Make a request; see `HttpClient.call`."""

    async def rest(self) -> None:
        """Close spare connections."""


class HttpClient:
    """The HTTP connections of one account. Use as a context manager."""

    def __init__(self) -> None:
        self._wire = Wire(tls_context, MAX_BODY)
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._busy = 0

    @property
    def _pool(self) -> httpx.AsyncHTTPTransport:
        """The connections for all calls but the poll; made when the first one is."""
        if self._transport is not None:
            return self._transport
        limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
        self._transport = httpx.AsyncHTTPTransport(verify=tls_context(), limits=limits, trust_env=False)
        return self._transport

    async def rest(self) -> None:
        """Close spare connections; the next call makes new ones. The poll's own stays."""
        if not self._busy and self._transport is not None:
            transport, self._transport = self._transport, None
            await transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with trio.move_on_after(2, shield=True):
            await self._wire.aclose()
            if self._transport is not None:
                await self._transport.aclose()

    async def call(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes,
        *,
        deadline: float,
        idempotent: bool,
        long: bool = False,
    ) -> HttpReply:
        """Make a request and return the whole answer.

        Args:
            deadline: Seconds for everything, name look-up to last byte.
            idempotent: Whether it may go out a second time when the connection was stale.
            long: Whether it is the long poll, which has a connection of its own.

        Raises:
            NotSent: No connection could be made; the request has not left.
            TransientError: The connection broke or the deadline passed; the request may have arrived.
            ProtocolError: The answer breaks HTTP or is larger than `MAX_BODY`.
        """
        began = trio.current_time()
        if long:
            reply = await self._wire.call(method, url, headers, body, deadline=began + deadline)
            elapsed = trio.current_time() - began
            return HttpReply(status=reply.status, headers=reply.headers, body=reply.body, elapsed=elapsed)
        self._busy += 1
        try:
            with trio.move_on_after(deadline):
                try:
                    return await self._once(method, url, headers, body, began, deadline)
                except _Stale:
                    if not idempotent:
                        raise
                    return await self._once(method, url, headers, body, began, deadline)
        finally:
            self._busy -= 1
        raise TransientError(f"no answer within {deadline:g} s from {httpx.URL(url).host}")

    async def _once(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes,
        began: float,
        deadline: float,
    ) -> HttpReply:
        try:
            # A connection that is not made in time is told apart from an answer that does not come.
            limits = {"connect": CONNECT_SHARE * deadline, "pool": CONNECT_SHARE * deadline}
            extensions = {"timeout": limits}
            sized = [*headers, ("Content-Length", str(len(body)))] if body or method == "POST" else headers
            request = httpx.Request(method, url, headers=sized, stream=_Body(body), extensions=extensions)
            response = await self._pool.handle_async_request(request)
            try:
                content = await _read(response)
            finally:
                with trio.move_on_after(2, shield=True):
                    await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
            # Includes failed name look-ups: they pass, like everything here.
            raise NotSent(f"cannot connect to {httpx.URL(url).host}: {_reason(exc)}") from exc
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError, httpx.CloseError) as exc:
            raise _Stale(f"the connection broke: {_reason(exc)}") from exc
        except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError, UnicodeError) as exc:
            raise TransientError(f"the call failed: {_reason(exc)}") from exc
        return HttpReply(
            status=response.status_code,
            headers=tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in response.headers.raw),
            body=content,
            elapsed=trio.current_time() - began,
        )


class _Body(httpx.AsyncByteStream):
    """A request's body in one piece.

    httpx's own is an async generator; one that is left half-way by a cancellation is abandoned to the garbage
    collector, and trio complains about that.
    """

    def __init__(self, body: bytes) -> None:
        self._left = [body] if body else []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class _Stale(TransientError):
    """The peer closed the connection instead of answering."""


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    with trio.CancelScope() as scope:
        # httpx reads through nested async generators. Leaving the loop would abandon the inner ones to the
        # garbage collector; cancelling the read unwinds them all.
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                scope.cancel(reason="the answer is too large")
    if len(body) > MAX_BODY:
        raise ProtocolError(f"the answer is larger than {MAX_BODY} bytes", payload=bytes(body[:400]))
    return bytes(body)


def _reason(exc: Exception) -> str:
    return str(exc) or type(exc).__name__
