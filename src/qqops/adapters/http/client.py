"""The only door to httpx.

A thin client for calls to one service on behalf of one account: deadline over the whole call, cap on the body, errors
of ours, one retry when a kept-alive connection turns out to be dead. Requests and answers are httpx's; they travel over
`connection`, because a pool costs more than all the rest of an account, and one that many accounts share collapses when they
long-poll. Cookies and redirects belong to the protocol cores.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import attrs
import trio

from qqops._light import without
from qqops.adapters.http.connection import Wire
from qqops.adapters.http.response import TooLarge
from qqops.adapters.http.tls import tls_context
from qqops.errors import NotSent, ProtocolError, TransientError

with without("httpx._main"):  # its command line: click, rich and pygments, 6 MB
    import httpx

#: Largest body that is read, in bytes.
MAX_BODY = 16 * 1024 * 1024

#: A send, two look-ups, a refresh, a heartbeat, an upload, and two to spare.
MAX_CONNECTIONS = 8


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


class Connections(httpx.AsyncBaseTransport):
    """What carries httpx's requests: a few kept-alive connections.

    A request's extensions are ``deadline``, a moment on trio's clock, and ``idempotent``. The errors are those of
    `HttpClient.call`, not httpx's.
    """

    def __init__(self, max_body: int | None = None, admit: Callable[[str, str], None] | None = None) -> None:
        self._max_body = MAX_BODY if max_body is None else max_body
        self._admit = admit
        self._idle: list[Wire] = []
        self._closed = False
        self._free = trio.CapacityLimiter(MAX_CONNECTIONS)

    @property
    def busy(self) -> bool:
        """Whether a call is being made."""
        return self._free.borrowed_tokens > 0

    @property
    def held(self) -> int:
        """How many connections there are."""
        return len(self._idle) + self._free.borrowed_tokens

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make one request and return the whole answer."""
        deadline: float = request.extensions["deadline"]
        with trio.move_on_at(deadline) as waiting:
            await self._free.acquire_on_behalf_of(request)
        if waiting.cancelled_caught:
            raise NotSent(f"no connection to {request.url.host} was free in time")
        try:
            wire = self._idle.pop() if self._idle else Wire(tls_context, self._max_body, self._admit)
            reply = await wire.call(
                request.method,
                str(request.url),
                [
                    (name.decode("latin-1"), value.decode("latin-1"))
                    for name, value in request.headers.raw
                    if name != b"Content-Length"  # the wire counts for itself
                ],
                request.content,
                deadline=deadline,
                again=request.extensions["idempotent"],
            )
            if self._closed:
                await wire.aclose()
            elif wire.open:
                self._idle.append(wire)
        finally:
            self._free.release_on_behalf_of(request)
        return httpx.Response(reply.status, headers=reply.headers, content=reply.body, request=request)

    async def aclose(self) -> None:
        """Close what is idle, all of it, also when cancelled meanwhile; what is in use is closed by who uses it."""
        self._closed = True
        with trio.move_on_after(2, shield=True):  # closing forcefully hardly waits
            while self._idle:
                await self._idle.pop().aclose()


class HttpClient:
    """The HTTP connections of one account. Use as a context manager.

    Args:
        max_body: Bytes of an answer that are read; `MAX_BODY` if None.
        admit: Raises for a host and the address that it leads to, where no connection may be held; None to hold any.
    """

    def __init__(self, max_body: int | None = None, admit: Callable[[str, str], None] | None = None) -> None:
        self._max_body = MAX_BODY if max_body is None else max_body
        self._admit = admit
        self._poll = Wire(tls_context, self._max_body, admit)
        self._calls: Connections | None = None

    async def rest(self) -> None:
        """Close spare connections; the next call makes new ones. The poll's own stays."""
        if self._calls is not None and not self._calls.busy:
            calls, self._calls = self._calls, None
            await calls.aclose()

    @property
    def held(self) -> int:
        """How many connections there are, the poll's own aside."""
        return self._calls.held if self._calls is not None else 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        with trio.move_on_after(2, shield=True):
            await self._poll.aclose()
            if self._calls is not None:
                await self._calls.aclose()

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
            ProtocolError: The answer is larger than *max_body*, or, for the poll, no HTTP.
        """
        began = trio.current_time()
        if long:
            # The one hot call is spared what the others can afford.
            reply = await self._poll.call(
                method, url, headers, body, deadline=began + deadline, again=idempotent
            )
            status, got, content = reply.status, reply.headers, reply.body
        else:
            response = await self._call(method, url, headers, body, began + deadline, idempotent)
            status, content = response.status_code, response.content
            got = tuple((k.decode("latin-1"), v.decode("latin-1")) for k, v in response.headers.raw)
        return HttpReply(status=status, headers=got, body=content, elapsed=trio.current_time() - began)

    async def _call(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes,
        deadline: float,
        idempotent: bool,
    ) -> httpx.Response:
        extensions = {"deadline": deadline, "idempotent": idempotent}
        try:
            request = httpx.Request(method, url, headers=headers, content=body, extensions=extensions)
        except (httpx.InvalidURL, UnicodeError) as exc:
            raise TransientError(f"the call failed: {exc}") from exc
        if self._calls is None:
            self._calls = Connections(self._max_body, self._admit)
        try:
            return await self._calls.handle_async_request(request)
        except TooLarge:
            raise
        except ProtocolError as exc:
            # No answer of the service's: something between us and it has broken the connection.
            raise TransientError(f"the call failed: {exc}") from exc
