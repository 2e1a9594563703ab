"""Where other programs call the bot: one `Listener` for each address, shared by accounts and plugins.

An owner asks for a path by `Listener.route` and gives it back by `Route.close`. The port is open while anybody has a route
there.

Listeners run in the nursery of the links, although they are sources: what a reverse WebSocket has been called in on
carries the replies while the bot drains, and would end with the sources. New requests are refused by `Listeners.close`
instead.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import attrs
import structlog
import trio

from qqops.adapters.http.exchange import (
    HttpAnswer,
    HttpHandler,
    HttpRequest,
    Takeover,
    address,
    is_upgrade,
)
from qqops.errors import ConfigError, excerpt
from qqops.runtime.border import ANYTHING, theirs
from qqops.runtime.observe import Broke, Observer, nobody

log = structlog.get_logger("qqops.listener")

#: Seconds between two tries to open a port that is taken.
REOPEN = 5.0
#: Connections to one address at a time: a quarter of the file descriptors that a service usually has.
MAX_CONNECTIONS = 4096
#: Large bodies that are read at a time at one address, so that strangers fill 128 MiB at most.
MAX_LARGE_BODIES = 8

_NOT_OPEN = "not open yet"
_STOPPING = HttpAnswer(status=503, headers=(("Connection", "close"),), body=b"the bot is stopping\n")
_GONE = HttpAnswer(status=503, body=b"this was taken away\n")
_FAILED = HttpAnswer(status=500, body=b"internal error\n")
_NOBODY = HttpAnswer(status=404, body=b"nobody is here for this\n")
_WEBSOCKET_WANTED = HttpAnswer(
    status=426,
    headers=(("Upgrade", "websocket"), ("Connection", "Upgrade")),
    body=b"a WebSocket is wanted here\n",
)
_NO_WEBSOCKET = HttpAnswer(status=400, body=b"there is no WebSocket here\n")


@attrs.define(eq=False)
class Route:
    """A path that belongs to somebody. Close it, or use it as a context manager.

    Attributes:
        owner: Whom it belongs to: an account, a plugin.
        plugin: Which plugin has asked for it, whatever it calls the owner; "" for an account.
        path: Exact path, or with ``/*`` at its end that path and everything beneath.
    """

    owner: str
    path: str
    websocket: bool
    _handler: HttpHandler
    _accepts: Callable[[HttpRequest], bool] | None
    _forget: Callable[[Route], None]
    _tell: Observer
    plugin: str = ""
    _open: bool = attrs.field(default=True, init=False)
    _scopes: set[trio.CancelScope] = attrs.field(factory=set, init=False)

    @property
    def order(self) -> tuple[bool, int, bool]:
        """What it is sorted by: exact paths first, longer ones before shorter, choosy routes before the others."""
        return self._beneath, -len(self._base), self._accepts is None

    @property
    def _beneath(self) -> bool:
        return self.path.endswith("/*")

    @property
    def _base(self) -> str:
        return self.path.removesuffix("*").rstrip("/")

    def takes(self, request: HttpRequest) -> bool:
        """Whether *request* is for it. A slash at the end of a path makes no difference."""
        path, base = request.path.rstrip("/"), self._base
        below = self._beneath and (not base or path.startswith(f"{base}/"))
        if path != base and not below:
            return False
        try:
            return self._accepts is None or self._accepts(request)
        except ANYTHING as exc:
            self._failed("a route cannot tell what it accepts", exc)
            return False

    async def answer(self, request: HttpRequest) -> HttpAnswer | Takeover:
        """Let the handler answer; what it does ends when the route is closed."""
        if is_upgrade(request) != self.websocket:
            await trio.lowlevel.checkpoint()
            return _WEBSOCKET_WANTED if self.websocket else _NO_WEBSOCKET
        answer: HttpAnswer | Takeover = _GONE
        with self._until_closed():
            try:
                answer = await self._handler(request)
            except ANYTHING as exc:
                self._failed("a request failed", theirs(exc))
                return _FAILED
        if isinstance(answer, Takeover):
            return Takeover(serve=functools.partial(self._serve, answer.serve))
        return answer

    async def _serve(
        self,
        serve: Callable[[trio.abc.Stream, bytes], Awaitable[None]],
        stream: trio.abc.Stream,
        extra: bytes,
    ) -> None:
        with self._until_closed():
            try:
                await serve(stream, extra)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # the other side went away
            except ANYTHING as exc:
                self._failed("a connection failed", theirs(exc))

    def _failed(self, what: str, exc: BaseException) -> None:
        log.error(what, owner=self.owner, path=self.path, exc_info=exc)
        self._tell(Broke(plugin=self.plugin or self.owner, what="route", name=self.path, error=exc))

    @contextlib.contextmanager
    def _until_closed(self) -> Iterator[None]:
        with trio.CancelScope() as scope:
            if not self._open:
                scope.cancel(reason="the route was closed")
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)

    def close(self) -> None:
        """Give the path back. What it serves at this moment is cancelled. Harmless when it is closed already."""
        if self._open:
            self._open = False
            self._forget(self)
            for scope in self._scopes:
                scope.cancel(reason="the route was closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Listener:
    """One address that is listened on.

    Attributes:
        port: TCP port; for 0 the free one that was found, once it is open.
        trouble: Why it is not open, or "".
    """

    def __init__(self, host: str, port: int, tell: Observer = nobody) -> None:
        self._tell = tell
        self.host = host
        self.port = port
        self.trouble = _NOT_OPEN
        self._routes: list[Route] = []
        self._asked = trio.Event()
        self._wanted = trio.CancelScope()
        self._closed = False
        self._connections = self._refused = self._strangers = 0
        self._large = trio.CapacityLimiter(MAX_LARGE_BODIES)

    @property
    def routes(self) -> Sequence[Route]:
        """Who has a path here."""
        return self._routes

    @property
    def address(self) -> str:
        """Host and port, as in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def route(
        self,
        path: str,
        handler: HttpHandler,
        *,
        owner: str,
        websocket: bool = False,
        accepts: Callable[[HttpRequest], bool] | None = None,
        plugin: str = "",
    ) -> Route:
        """Let *handler* answer what comes for *path*, until the route is closed.

        Of several routes that fit, an exact path goes before one with everything beneath, a longer path before a shorter
        one, a route with *accepts* before one without, and what was asked for first before what came later.

        Args:
            path: ``/hooks/build``; ``/hooks/*`` for ``/hooks`` and everything beneath, ``/*`` for whatever comes. Compared
                with what stands in the request, which is not decoded.
            owner: Whom it belongs to, for the log and for errors.
            websocket: It is for WebSockets, and the handler answers with a `Takeover` or a refusal. Else it is for all
                other requests. Whoever comes for the other kind is told so.
            accepts: Chooses among the requests to *path*, so that several may share it; quick, and does not wait.
            plugin: Whose it is besides; what a plugin is given fills it in.

        Raises:
            ConfigError: *path* is none, or somebody has it already.
        """
        if not path.startswith("/") or "*" in path.removesuffix("/*"):
            raise ConfigError(
                f"path must begin with /, got {path!r}", hint="/hooks/build, or /hooks/* for all beneath it"
            )
        route = Route(owner, path, websocket, handler, accepts, self._drop, self._tell, plugin)
        if accepts is None:
            self._check(route)
        self._routes = sorted([*self._routes, route], key=lambda one: one.order)
        self._asked.set()
        return route

    def _check(self, route: Route) -> None:
        """Raise `ConfigError` when somebody else takes all that *route* would take."""
        for other in self._routes:
            if other.order == route.order and other._base == route._base:
                raise ConfigError(
                    f"{other.owner} and {route.owner} both want {route.path} on {self.address}",
                    hint="give one of them another path or port; accounts can share a path when each says its number",
                )

    def _drop(self, route: Route) -> None:
        self._routes.remove(route)
        if not self._routes:
            self.trouble = _NOT_OPEN
            self._wanted.cancel(reason="nobody wants this port any more")

    def close(self) -> None:
        """Answer new requests with 503 from now on. What is open goes on."""
        self._closed = True

    async def handle(self, request: HttpRequest) -> HttpAnswer | Takeover:
        """Answer one request."""
        if self._closed:
            await trio.lowlevel.checkpoint()
            return _STOPPING
        for route in self._routes:
            if route.takes(request):
                return await route.answer(request)
        self._strangers += 1
        if _is_told(self._strangers):
            path = excerpt(request.path)
            log.warning("nobody is here for this", address=self.address, path=path, times=self._strangers)
        return _NOBODY

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled, while there is a route; a port that is taken is tried again. Started after one try."""
        started = False
        while True:
            sockets = await self._open() if self._routes else []
            if not started:
                started = True
                task_status.started()
            if sockets:
                await self._accept(sockets)
            elif self._routes:
                await trio.sleep(REOPEN)
            else:
                self._asked = trio.Event()
                await self._asked.wait()

    async def _open(self) -> list[trio.SocketListener]:
        """Return what accepts connections: nothing when the port is taken, which is logged when it is news."""
        try:
            return await trio.open_tcp_listeners(self.port, host=self.host)
        except (OSError, UnicodeError) as exc:
            said = exc.strerror if isinstance(exc, OSError) else None
            trouble = f"cannot listen on {self.address}: {said or exc}"
            if trouble != self.trouble:
                self.trouble = trouble
                log.error(  # noqa: TRY400 - a traceback of ours helps nobody
                    trouble,
                    needed_by=self._owners(),
                    hint="another program has it, or this bot under another name of the host; or the address is not of "
                    "this machine",
                )
            return []

    def _owners(self) -> list[str]:
        return sorted({route.owner for route in self._routes})

    async def _accept(self, sockets: list[trio.SocketListener]) -> None:
        """Serve connections until nobody has a route any more."""
        try:
            with trio.CancelScope() as self._wanted:
                if self._routes:
                    self.port = sockets[0].socket.getsockname()[1]
                    self.trouble = ""
                    log.info("listening", address=self.address, needed_by=self._owners())
                    await trio.serve_listeners(self.serve, sockets)
        finally:
            self.trouble = _NOT_OPEN
            for one in sockets:
                one.socket.close()

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection; closes *stream*."""
        if self._connections >= MAX_CONNECTIONS:
            self._refused += 1
            if _is_told(self._refused):
                log.error("too many connections: one is closed", address=self.address, times=self._refused)
            await trio.aclose_forcefully(stream)
            return
        from qqops.adapters.http.server import serve_connection  # here: a bot that nobody calls needs no h11

        self._connections += 1
        try:
            await serve_connection(stream, self.handle, self._large)
        finally:
            self._connections -= 1


class Listeners:
    """All listeners of one bot. The app runs them around the accounts; injected into plugins by type."""

    def __init__(self, tell: Observer = nobody) -> None:
        self._tell = tell
        self._listeners: dict[tuple[str, int], Listener] = {}
        self._news = trio.Event()
        self._closed = False

    def at(self, listen: str) -> Listener:
        """Return the listener at ``HOST:PORT``, always the same. Port 0 is a free one, never shared.

        Raises:
            ConfigError: *listen* is not an address.
        """
        host, port = address(listen)
        key = (host.lower(), port or -len(self._listeners) - 1)
        if key not in self._listeners:
            listener = self._listeners[key] = Listener(host, port, self._tell)
            if self._closed:
                listener.close()
            self._news.set()
        return self._listeners[key]

    def routes(self) -> Sequence[tuple[str, Route]]:
        """Return every path that somebody has, with the address it is at."""
        return [(one.address, route) for one in self._listeners.values() for route in one.routes]

    def of(self, owner: str) -> list[Route]:
        """Return what the plugin *owner* has asked for, whatever it calls itself there; for an account what is called so."""
        return [route for _, route in self.routes() if owner == (route.plugin or route.owner)]

    def close(self) -> None:
        """Answer new requests with 503 from now on. Connections that were handed over, as WebSockets are, go on."""
        self._closed = True
        for listener in self._listeners.values():
            listener.close()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; started when each address that is wanted has been tried once."""
        async with trio.open_nursery() as nursery:
            running = await self._start(nursery, 0)
            task_status.started()
            while True:
                await self._news.wait()
                running = await self._start(nursery, running)

    async def _start(self, nursery: trio.Nursery, running: int) -> int:
        """Start all listeners but the first *running* in *nursery*; return how many there are now."""
        self._news = trio.Event()
        listeners = list(self._listeners.values())
        for listener in listeners[running:]:
            await nursery.start(listener.run, name=f"listen on {listener.address}")
        return len(listeners)


def _is_told(times: int) -> bool:
    """Whether to log what has happened *times* times: the 1st, 2nd, 4th, 8th … time."""
    return times & (times - 1) == 0


__all__ = ["MAX_CONNECTIONS", "MAX_LARGE_BODIES", "REOPEN", "Listener", "Listeners", "Route"]
