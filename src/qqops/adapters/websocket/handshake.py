"""How WebSockets come to be: dialled, or accepted on a port of ours. With `socket`, the only door to `websockets`."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from typing import Protocol

import trio
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import WebSocketURI, parse_uri

from qqops.adapters.http.exchange import HttpRequest
from qqops.adapters.http.tls import tls_context
from qqops.adapters.websocket.socket import READ, Unauthorized, WebSocket, said_by
from qqops.errors import FatalError, ProtocolError, TransientError, excerpt

#: Longest head of an answer to a handshake, in bytes.
MAX_HEAD = 64 * 1024

_log = logging.getLogger("qqops.ws")
_log.setLevel(logging.WARNING)  # the library tells every opening and end; the supervisor does so already


class Dial(Protocol):
    """Opens connections: `connect`, or what a test puts in its place."""

    async def __call__(
        self, url: str, headers: Sequence[tuple[str, str]], *, within: float, max_size: int
    ) -> WebSocket:
        """See `connect`."""


async def connect(
    url: str,
    headers: Sequence[tuple[str, str]],
    *,
    within: float,
    max_size: int,
    tls: ssl.SSLContext | None = None,
) -> WebSocket:
    """Open a connection to *url* (``ws://`` or ``wss://``).

    Args:
        within: Seconds for name look-up, connection, TLS and handshake together.
        max_size: Largest message that is received, in bytes.

    Raises:
        Unauthorized: The other side answers 401 or 403.
        TransientError: It cannot be reached, or answers with something else.
        FatalError: *url* is none.
    """
    uri = _parse(url)
    with trio.move_on_after(within):
        try:
            stream = await _open(uri.host, uri.port, (tls or tls_context()) if uri.secure else None)
            try:
                return await upgrade(stream, url, headers, max_size=max_size)
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
        except (OSError, ssl.SSLError, trio.BrokenResourceError) as exc:
            raise TransientError(f"cannot connect to {uri.host}:{uri.port}: {said_by(exc)}") from exc
    raise TransientError(f"no answer from {uri.host}:{uri.port} within {within:g} s")


def _parse(url: str) -> WebSocketURI:
    try:
        return parse_uri(url)
    except InvalidURI as exc:
        raise FatalError(f"no WebSocket URL: {excerpt(url)}") from exc


async def _open(host: str, port: int, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    stream = await trio.open_tcp_stream(host, port)
    if tls is None:
        return stream
    secure = trio.SSLStream(stream, tls, server_hostname=host, https_compatible=True)
    try:
        await secure.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure


async def upgrade(
    stream: trio.abc.Stream, url: str, headers: Sequence[tuple[str, str]], *, max_size: int
) -> WebSocket:
    """Make a WebSocket of an open *stream* to *url*.

    Raises:
        Unauthorized: The other side answers 401 or 403.
        TransientError: It answers with something else.
    """
    protocol = ClientProtocol(_parse(url), max_size=max_size, logger=_log)
    request = protocol.connect()
    for name, value in headers:
        request.headers[name] = value
    protocol.send_request(request)
    await stream.send_all(b"".join(protocol.data_to_send()))
    answer = await _read_head(stream)
    end = answer.find(b"\r\n\r\n") + 4
    protocol.receive_data(answer[:end] if end > 3 else answer)
    if protocol.state is State.OPEN:
        protocol.events_received()  # the answer itself
        return WebSocket(stream, protocol, answer[end:])  # what follows are frames already
    protocol.receive_data(answer[end:] if end > 3 else b"")
    while protocol.handshake_exc is None:
        if data := await stream.receive_some(READ):
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
            break
    wrong = protocol.handshake_exc
    if isinstance(wrong, InvalidStatus):
        status = wrong.response.status_code
        body = excerpt(wrong.response.body or b"")
        cause = f"refused with HTTP {status}{': ' + body if body else ''}"
        raise Unauthorized(cause, status=status) if status in (401, 403) else TransientError(cause)
    raise TransientError(f"no WebSocket there: {excerpt(str(wrong or 'the connection was cut'))}")


async def _read_head(stream: trio.abc.Stream) -> bytes:
    """Return what *stream* brings up to the blank line after a head, and what came along with it."""
    answer = bytearray()
    while b"\r\n\r\n" not in answer and len(answer) < MAX_HEAD:
        data = await stream.receive_some(READ)
        if not data:
            break
        answer += data
    return bytes(answer)


async def accept(stream: trio.abc.Stream, request: HttpRequest, extra: bytes, *, max_size: int) -> WebSocket:
    """Answer the upgrade *request* that came on *stream*; *extra* are the bytes that followed it.

    Raises:
        ProtocolError: It is not a proper upgrade; the other side was told so.
    """
    protocol = ServerProtocol(max_size=max_size, logger=_log)
    head = f"{request.method} {request.target} HTTP/1.1\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in request.headers) + "\r\n"
    protocol.receive_data(head.encode("latin-1"))
    events = protocol.events_received()
    if not events or not isinstance(events[0], Request):
        raise ProtocolError("no WebSocket request", payload=head)
    protocol.send_response(protocol.accept(events[0]))
    await stream.send_all(b"".join(protocol.data_to_send()))
    if protocol.state is not State.OPEN:
        raise ProtocolError("no WebSocket request", payload=str(protocol.handshake_exc))
    return WebSocket(stream, protocol, extra)


__all__ = ["Dial", "accept", "connect", "upgrade"]
