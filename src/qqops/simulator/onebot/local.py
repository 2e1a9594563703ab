"""Connections without a socket, for adapters and implementations that run on virtual time."""

from __future__ import annotations

from collections.abc import Sequence

import trio
import trio.testing

from qqops.adapters.http.server import HttpHandler, serve_connection
from qqops.adapters.websocket.handshake import upgrade
from qqops.adapters.websocket.socket import WebSocket
from qqops.errors import TransientError


class LocalDial:
    """Takes the place of `qqops.adapters.websocket.socket.connect`.

    Attributes:
        reachable: Whether anybody is there.
    """

    def __init__(self, handler: HttpHandler, nursery: trio.Nursery) -> None:
        self.reachable = True
        self._handler = handler
        self._nursery = nursery

    async def __call__(
        self, url: str, headers: Sequence[tuple[str, str]], *, within: float, max_size: int
    ) -> WebSocket:
        """Open a connection; see `qqops.adapters.websocket.socket.connect`."""
        await trio.lowlevel.checkpoint()
        if not self.reachable:
            raise TransientError("cannot connect: nobody is there")
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(serve_connection, theirs, self._handler, name="the other side")
        socket: WebSocket | None = None
        try:
            with trio.move_on_after(within):
                socket = await upgrade(ours, url, headers, max_size=max_size)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise TransientError("the connection broke") from exc
        finally:
            if socket is None:
                await trio.aclose_forcefully(ours)
        if socket is None:
            raise TransientError(f"no answer within {within:g} s")
        return socket
