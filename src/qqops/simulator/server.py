"""The simulator on a socket."""

from __future__ import annotations

import functools

import trio

from qqops.adapters.http.server import HttpAnswer, HttpRequest, serve_connection
from qqops.errors import ConfigError
from qqops.simulator.control import PREFIX, Control
from qqops.simulator.faults import CODED, INSIDE, KINDS, Rule
from qqops.simulator.service import Service
from qqops.simulator.state import Hold
from qqops.simulator.wire import Asked, Reply, json_reply, page, parse

_ON_PAGES = frozenset(KINDS) - INSIDE - CODED - {"port"}
_ON_CALLS = _ON_PAGES | CODED


class Server:
    """Serves one `Service` on a port of one address."""

    def __init__(self, service: Service, host: str = "127.0.0.1", port: int = 0) -> None:
        self.service = service
        self.control = Control(service, self._close_port)
        self._host = host
        self._port = port
        self._closing = trio.CancelScope()
        self._closed_for = 0.0
        self._closed_until = 0.0

    @property
    def url(self) -> str:
        """Where it listens, ``http://host:port``."""
        return f"http://{self._host}:{self._port}"

    @property
    def reachable(self) -> bool:
        """Whether the port is open, as far as faults go."""
        return self.service.now() >= self._closed_until

    async def run(self, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; reports its URL once it listens.

        Raises:
            ConfigError: The address cannot be listened on.
        """
        started = False
        while True:
            listeners = await self._open()
            if not started:
                task_status.started(self.url)
                started = True
            self._closing = trio.CancelScope()
            with self._closing:
                await trio.serve_listeners(
                    functools.partial(serve_connection, handler=self.handle), listeners
                )
            # An answer that was chosen when the port closed was never begun to be written.
            self.service.channel.cut_off()
            for listener in listeners:
                await listener.aclose()
            await trio.sleep(self._closed_for)

    async def _open(self) -> list[trio.SocketListener]:
        try:
            listeners = await trio.open_tcp_listeners(self._port, host=self._host)
        except (OSError, UnicodeError) as exc:
            said = exc.strerror if isinstance(exc, OSError) else None
            reason = f"cannot listen on {self._host}:{self._port}: {said or exc}"
            raise ConfigError(reason, hint="choose another port, or 0 for a free one") from exc
        self._port = listeners[0].socket.getsockname()[1]
        return listeners

    def _close_port(self, rule: Rule) -> None:
        self._closed_for = rule.seconds
        self._closed_until = self.service.now() + rule.seconds
        self._closing.cancel(reason="fault: the port is closed")

    async def handle(self, request: HttpRequest) -> HttpAnswer:
        """Answer one request."""
        headers = dict(request.headers)
        path = request.path
        if path.startswith(PREFIX):
            status, body = self.control.handle(request.method, path[len(PREFIX) :], request.body)
            return HttpAnswer(status=status, body=body, headers=(("Content-Type", "application/json"),))
        asked = parse(request.method, request.target, headers, request.body)
        kinds = _ON_CALLS if asked.path.startswith(("/api/", "/channel/")) else _ON_PAGES
        fault = self.service.faults.find(asked.path, kinds)
        if fault is not None:
            return await self._go_wrong(fault, asked)
        outcome = self.service.handle(asked)
        if isinstance(outcome, Hold):
            return await self._wait(outcome)
        return _answer(outcome)

    async def _go_wrong(self, fault: Rule, asked: Asked) -> HttpAnswer:
        if fault.fault == "http":
            return _answer(page(f"{fault.status} error", fault.status))
        if fault.fault == "html":
            return _answer(page("系统繁忙"))
        if fault.fault == "stall":
            await trio.sleep(fault.seconds)
            return HttpAnswer(close=True)
        if fault.after:
            self.service.obey(asked)
        if fault.fault in CODED:
            await trio.sleep(fault.seconds)
            # The value of a 116 counts from the moment its answer was written (§12.1).
            return _answer(
                json_reply(fault.answer),
                lambda ok: self.service.renew(asked, fault.p if ok and fault.code == 116 else ""),
            )
        return HttpAnswer(close=True)

    async def _wait(self, hold: Hold) -> HttpAnswer:
        """Hold a poll until there is something to say, or until its client is gone."""
        woken = trio.Event()

        def wake() -> None:
            woken.set()

        hold.wake = wake
        answered = False
        try:
            while True:
                reply = self.service.collect(hold)
                if reply is not None:
                    answered = True
                    return _answer(reply, lambda ok: self.service.channel.written(hold, ok))
                left = hold.began + self.service.options.hold - self.service.now()
                with trio.move_on_after(max(left, 0.001)):
                    await woken.wait()
                woken = trio.Event()
        finally:
            if not answered:
                self.service.channel.written(hold, False)


def _answer(reply: Reply, sent: object = None) -> HttpAnswer:
    headers = [("Content-Type", reply.content_type), ("Server", "QZHTTP-2.37.1")]
    headers += [("Set-Cookie", line) for line in reply.cookies]
    if reply.location:
        headers.append(("Location", reply.location))
    report = sent if callable(sent) else lambda ok: None
    return HttpAnswer(status=reply.status, headers=tuple(headers), body=reply.body, sent=report)
