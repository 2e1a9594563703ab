"""The TCP ports on which other programs call the bot. Accounts and plugins that name the same address share one."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from qqops.adapters._listen import HttpAnswer, HttpHandler, HttpRequest, Takeover, serve_connection
from qqops.errors import ConfigError

log = structlog.get_logger("qqops.ports")

#: Seconds between two tries to open a port that is taken.
REOPEN = 5.0
#: Connections to one port at a time, and large bodies that are read at the same time.
MOST_OPEN, MOST_LARGE = 4096, 8


class Port:
    """One address that is listened on.

    Attributes:
        trouble: Why it is not open, or "".
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.trouble = "not open yet"
        self._routes: list[tuple[Callable[[HttpRequest], bool], HttpHandler]] = []
        self._open = 0
        self._large = trio.CapacityLimiter(MOST_LARGE)

    def mount(
        self, wants: Callable[[HttpRequest], bool], handler: HttpHandler, *, first: bool = False
    ) -> None:
        """Let *handler* answer the requests that it *wants*; the first that wants one gets it.

        Args:
            first: It knows exactly what it wants, and goes before those that take whatever comes.
        """
        self._routes.insert(0 if first else len(self._routes), (wants, handler))

    async def handle(self, request: HttpRequest) -> HttpAnswer | Takeover:
        """Answer one request."""
        for wants, handler in self._routes:
            if wants(request):
                return await handler(request)
        target = request.target.partition("?")[0]
        log.warning(
            "nobody is here for this", port=self.port, path=target, number=request.header("x-self-id")
        )
        return HttpAnswer(status=404, body=b"nobody is here for this\n")

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; a port that is taken is tried again."""
        started = False
        while True:
            try:
                listeners = await trio.open_tcp_listeners(self.port, host=self.host)
            except (OSError, UnicodeError) as exc:
                said = exc.strerror if isinstance(exc, OSError) else None
                self.trouble = f"cannot listen on {self.host}:{self.port}: {said or exc}"
                log.error(self.trouble, hint="another program has it, or the address is not of this machine")  # noqa: TRY400
                listeners = []
            if listeners:
                self.port = listeners[0].socket.getsockname()[1]
                self.trouble = ""
            if not started:
                started = True
                task_status.started()
            if listeners:
                await trio.serve_listeners(self._serve, listeners)
            await trio.sleep(REOPEN)

    async def _serve(self, stream: trio.SocketStream) -> None:
        if self._open >= MOST_OPEN:
            log.error("too many connections: one is closed", port=self.port, open=self._open)
            await trio.aclose_forcefully(stream)
            return
        self._open += 1
        try:
            await serve_connection(stream, self.handle, self._large)
        finally:
            self._open -= 1


class Ports:
    """All ports of one bot. The app runs them around the accounts."""

    def __init__(self) -> None:
        self._ports: dict[tuple[str, int], Port] = {}

    def at(self, host: str, port: int) -> Port:
        """Return the port at this address; it opens when the bot runs. Port 0 is a free one, never shared."""
        if port == 0:
            found = self._ports[host, -len(self._ports) - 1] = Port(host, 0)
            return found
        return self._ports.setdefault((host, port), Port(host, port))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen on all of them until cancelled; started when each has been tried once."""
        async with trio.open_nursery() as nursery:
            for port in self._ports.values():
                await nursery.start(port.run)
            task_status.started()
            await trio.sleep_forever()


def address(listen: str) -> tuple[str, int]:
    """Return host and port of ``host:port``. Raises `ConfigError`."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or not int(port) < 65536:
        raise ConfigError(
            f"listen must be HOST:PORT, got {listen!r}", hint="127.0.0.1:8080; 0.0.0.0:8080 for all"
        )
    return host.strip("[]"), int(port)


__all__ = ["Port", "Ports", "address"]
