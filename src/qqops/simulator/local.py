"""The simulator without a socket: a client for adapters that runs on virtual time."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import trio

from qqops.adapters.http.client import HttpReply
from qqops.adapters.http.exchange import HttpRequest
from qqops.errors import NotSent, TransientError
from qqops.simulator.server import Server


class LocalHttp:
    """Takes the place of `qqops.adapters.http.client.HttpClient`.

    Args:
        server: A server that need not run. While its port is closed, nobody can connect.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def rest(self) -> None:
        """There are no connections."""

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
        """Make a request; see `qqops.adapters.http.client.HttpClient.call`."""
        if not self._server.reachable:
            await trio.sleep(0.001)
            raise NotSent("cannot connect: the port is closed")
        began = trio.current_time()
        target = "/" + url.split("/", 3)[3]
        lower = tuple((name.lower(), value) for name, value in headers)
        request = HttpRequest(method=method, target=target, headers=lower, body=body)
        answer = None
        try:
            with trio.move_on_after(deadline):
                await trio.sleep(0.001)  # the way there
                answer = await self._server.handle(request)
                await trio.sleep(0.001)  # the way back
        except BaseException:
            if answer is not None:
                answer.sent(False)
            raise
        if answer is None:
            raise TransientError(f"no answer within {deadline:g} s")
        if answer.close:
            raise TransientError("the connection broke: closed before the status line")
        answer.sent(True)
        return HttpReply(
            status=answer.status,
            headers=answer.headers,
            body=answer.body,
            elapsed=trio.current_time() - began,
        )
