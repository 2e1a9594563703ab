"""The connections of an implementation: it listens, dials an application, or both."""

from __future__ import annotations

import functools
import json
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from qqops.adapters.http.exchange import HttpAnswer, HttpRequest, Takeover, is_upgrade
from qqops.adapters.http.server import serve_connection
from qqops.adapters.websocket.handshake import Dial, accept, connect
from qqops.adapters.websocket.socket import WebSocket
from qqops.errors import AdapterError, ConfigError, ProtocolError, TransientError
from qqops.protocol.onebot11.wire import fields
from qqops.simulator.control import PREFIX
from qqops.simulator.faults import Rule
from qqops.simulator.onebot.control import Control
from qqops.simulator.onebot.faults import KINDS, REPERTOIRE
from qqops.simulator.onebot.implementation import Frame, Implementation
from qqops.simulator.onebot.peer import Exchange, Peer
from qqops.simulator.onebot.poster import Poster


class Accept(Protocol):
    """Makes a WebSocket of a stream on which one was asked for."""

    async def __call__(
        self, stream: trio.abc.Stream, request: HttpRequest, extra: bytes, *, max_size: int
    ) -> WebSocket:
        """See `qqops.adapters.websocket.handshake.accept`."""


class OneBotServer:
    """An implementation on sockets.

    Args:
        token: Access token; also sent in reverse connections.
        reverse: URLs of applications to dial, each as Universal; ``api+event:URL`` for a pair.
        post: URL to which events are posted, signed with the token.
        dial: Opens reverse connections.
        take: Makes WebSockets of connections from applications.

    Attributes:
        exchange: What the connections share.
        peers: The open connections.
        pushed: Told of each event that was put on a connection; nobody can say yet whether it arrives.
        trouble: Why the last reverse connection could not be made, or has ended.
    """

    def __init__(
        self,
        implementation: Implementation,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        token: str = "",
        reverse: Sequence[str] = (),
        post: str = "",
        dial: Dial = connect,
        take: Accept = accept,
    ) -> None:
        self.it = implementation
        self.exchange = Exchange(implementation)
        self.peers = self.exchange.peers
        self.control = Control(self.exchange, self._close_port)
        self.trouble = ""
        self.pushed: Callable[[Peer, Frame], None] = lambda peer, frame: None
        self._host, self._port, self._token, self._reverse = host, port, token, reverse
        self._poster = Poster(post, token, implementation.me.number) if post else None
        self._dial, self._take = dial, take
        self._closing = trio.CancelScope()
        self._closed_for = 0.0
        implementation.push = self.push

    @property
    def url(self) -> str:
        """Where it listens, ``ws://host:port/``."""
        return f"ws://{self._host}:{self._port}/"

    # -- life -----------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; reports its URL once it listens. Raises `ConfigError` when it cannot."""
        started = False
        while True:
            try:
                listeners = await trio.open_tcp_listeners(self._port, host=self._host)
            except (OSError, UnicodeError) as exc:
                said = exc.strerror if isinstance(exc, OSError) else None
                raise ConfigError(f"cannot listen on {self._host}:{self._port}: {said or exc}") from exc
            self._port = listeners[0].socket.getsockname()[1]
            if not started:
                task_status.started(self.url)
                started = True
            self._closing = trio.CancelScope()
            with self._closing:
                async with trio.open_nursery() as nursery:
                    for where in self._reverse:
                        for url, role in _roles(where):
                            nursery.start_soon(self.call_out, url, role)
                    if self._poster is not None:
                        nursery.start_soon(self._poster.run)
                    handler = functools.partial(serve_connection, handler=self.handle)
                    await trio.serve_listeners(handler, listeners)
            for listener in listeners:
                await listener.aclose()
            await trio.sleep(self._closed_for)

    def _close_port(self, rule: Rule) -> None:
        """Close the port and every connection for a while."""
        self._closed_for = rule.seconds
        self._closing.cancel(reason="fault: the port is closed")

    async def call_out(self, url: str, role: int) -> None:
        """Dial an application again and again, as implementations do.

        Args:
            role: 0 for both on one connection, 1 for actions, 2 for events.
        """
        make = self.it.make
        headers = [
            ("X-Self-ID", str(self.it.me.number)),
            ("X-Client-Role", make.roles[role]),
            ("User-Agent", "OneBot/11"),
            ("Authorization", f"{make.scheme} {self._token}"),
        ]
        while True:
            try:
                socket = await self._dial(url, headers, within=5.0, max_size=2**26)
                await self.talk(socket, events=role != 1, actions=role != 2)
            except AdapterError as exc:
                self.trouble = str(exc)
            await trio.sleep(make.reconnect)

    # -- requests -------------------------------------------------------------------------------

    async def handle(self, request: HttpRequest) -> HttpAnswer | Takeover:
        """Answer a request: control call, WebSocket, or action over HTTP."""
        path = request.path
        if path.startswith(PREFIX):
            status, body = self.control.handle(request.method, path[len(PREFIX) :], request.body)
            return HttpAnswer(status=status, body=body, headers=(("Content-Type", "application/json"),))
        await trio.lowlevel.checkpoint()
        fault = self.exchange.faults.find(path, frozenset({"http"}))
        if fault is not None:
            return HttpAnswer(status=fault.status, body=b"bad gateway\n")
        given = _token_of(request)
        wrong = bool(self._token) and given != self._token
        if not is_upgrade(request):
            return self._over_http(request, wrong)
        if wrong and self.it.make.refusal == "http":
            return HttpAnswer(status=403 if given else 401, body=b"unauthorized\n")
        role = path.strip("/").lower()
        if self.it.make.paths == "strict" and role not in ("", "api", "event"):
            return HttpAnswer(status=400, body=b"unknown path\n")

        async def serve(stream: trio.abc.Stream, extra: bytes) -> None:
            try:
                socket = await self._take(stream, request, extra, max_size=2**26)
                if wrong:
                    await self._refuse(socket)
                else:
                    silent = self.it.make.paths == "silent" and role not in ("", "api", "event")
                    await self.talk(socket, events=role != "api" and not silent, actions=not silent)
            except (TransientError, ProtocolError):
                pass

        return Takeover(serve=serve)

    async def _refuse(self, socket: WebSocket) -> None:
        """Tell that the token is wrong, as this implementation does, and close."""
        if self.it.make.refusal == "frame":
            words = {"status": "failed", "retcode": 1403, "data": None, "message": "token验证失败"}
            socket.put(json.dumps(words).encode())
            await socket.aclose(1000, flush=True)
        else:
            await socket.aclose(1008, flush=True)

    def _over_http(self, request: HttpRequest, wrong: bool) -> HttpAnswer:
        path, _, query = request.target.partition("?")
        params: Frame = {key: values[-1] for key, values in urllib.parse.parse_qs(query).items()}
        if wrong:
            return HttpAnswer(status=403 if _token_of(request) else 401, body=b"unauthorized\n")
        try:
            params |= fields(json.loads(request.body)) if request.body.strip() else {}
        except (ValueError, RecursionError):
            return HttpAnswer(status=400, body=b"no JSON\n")
        self.exchange.requests += 1
        answer = self.exchange.actions.do(path.strip("/"), params)
        if answer["retcode"] == 1404:
            return HttpAnswer(status=404, body=b"no such action\n")
        if answer["retcode"] == 1200:
            answer["retcode"] = 200
        headers = (("Content-Type", "application/json"),)
        return HttpAnswer(body=json.dumps(answer).encode(), headers=headers)

    # -- connections ----------------------------------------------------------------------------

    async def talk(self, socket: WebSocket, *, events: bool, actions: bool) -> None:
        """Speak OneBot on an open connection until it is over.

        Raises:
            TransientError: It is over.
        """
        self.exchange.connections += 1
        await Peer(self.exchange, socket, events=events, actions=actions).talk()

    def push(self, frame: Frame) -> None:
        """Send an event to whoever listens."""
        if self._poster is not None:
            self._poster.put(frame)
        for peer in [peer for peer in self.peers if peer.events]:
            for _ in range(peer.push(frame)):
                self.pushed(peer, frame)


def _token_of(request: HttpRequest) -> str:
    query = urllib.parse.parse_qs(request.target.partition("?")[2])
    return next(iter(query.get("access_token", [])), "") or request.header("authorization").rpartition(" ")[2]


def _roles(where: str) -> list[tuple[str, int]]:
    """Return the connections that a reverse URL means: one for both, or a pair (``api+event:URL``)."""
    pair = where.removeprefix("api+event:")
    return [(where, 0)] if pair == where else [(pair, 1), (pair, 2)]


__all__ = ["KINDS", "REPERTOIRE", "Accept", "OneBotServer"]
