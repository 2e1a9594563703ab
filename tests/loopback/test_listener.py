"""Listeners on real sockets: when a port is open, who has it, and what a plugin makes of it."""

import contextlib

import structlog.testing
import trio

from qqops import HttpAnswer, HttpRequest, Listeners, Plugin
from qqops.app import App, AppPolicy, End
from qqops.plugin.host import Candidate
from qqops.runtime import listener as listening
from qqops.runtime.clock import WallClock
from qqops.runtime.listener import Listener
from qqops.testing.bots import Nobody


async def until(condition):
    while not condition():
        await trio.sleep(0.01)


async def page(request):
    await trio.lowlevel.checkpoint()
    return HttpAnswer(body=request.path.encode())


async def get(port, path):
    """Return what is answered to a request, or b"" when nobody listens."""
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return b""
    async with stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        return b"".join([data async for data in stream])


@contextlib.asynccontextmanager
async def running(*listeners):
    async with trio.open_nursery() as nursery:
        for one in listeners:
            await nursery.start(one.run)
        yield nursery
        nursery.cancel_scope.cancel()


async def test_a_port_is_open_while_somebody_has_a_route_there():
    where = Listener("127.0.0.1", 0)
    first, second = (where.route(path, page, owner="one") for path in ("/a", "/b"))
    async with running(where):
        port = where.port
        first.close()
        assert b"404" in await get(port, "/a")
        assert b"200" in await get(port, "/b")
        second.close()
        await until(lambda: where.trouble)
        assert await get(port, "/b") == b""
        for _ in range(3):
            with where.route("/c", page, owner="two"):
                await until(lambda: not where.trouble)
                assert b"200" in await get(port, "/c")
        # One that is closed and another that is opened at once.
        where.route("/d", page, owner="three").close()
        where.route("/e", page, owner="three")
        await until(lambda: not where.trouble)
        assert b"200" in await get(port, "/e")
    assert await get(port, "/e") == b""


async def test_a_route_that_is_closed_while_its_port_is_being_opened(monkeypatch):
    where = Listener("127.0.0.1", 0)
    route = where.route("/a", page, owner="one")
    opened = []
    really = trio.open_tcp_listeners

    async def slow(port, *, host):
        opened.extend(await really(port, host=host))
        route.close()
        return opened

    monkeypatch.setattr(trio, "open_tcp_listeners", slow)
    async with running(where):
        await until(lambda: opened[0].socket.fileno() == -1)
        assert where.trouble


async def test_a_port_that_is_freed_is_opened_and_both_are_told_once(monkeypatch):
    monkeypatch.setattr(listening, "REOPEN", 0.01)
    (other,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    taken = Listener("127.0.0.1", other.socket.getsockname()[1])
    free = Listener("127.0.0.1", 0)
    for one in (taken, free):
        one.route("/a", page, owner="onebot11:main")
    tries = 0
    really = trio.open_tcp_listeners

    async def counted(port, *, host):
        nonlocal tries
        tries += 1
        return await really(port, host=host)

    monkeypatch.setattr(trio, "open_tcp_listeners", counted)
    with structlog.testing.capture_logs() as lines:
        async with running(taken, free):
            assert "cannot listen" in taken.trouble
            assert b"200" in await get(free.port, "/a")
            await until(lambda: tries > 10)
            await other.aclose()
            await until(lambda: not taken.trouble)
            assert b"200" in await get(taken.port, "/a")
    told = [(line["log_level"], line["needed_by"]) for line in lines if taken.address in str(line)]
    assert told == [("error", ["onebot11:main"]), ("info", ["onebot11:main"])]


async def test_a_plugin_is_called_and_leaves_nothing_behind():
    plugin = Plugin("hooks")
    found = []

    @plugin.task()
    async def hooks(*, listeners: Listeners) -> None:
        where = listeners.at("127.0.0.1:0")

        async def build(request: HttpRequest) -> HttpAnswer:
            await trio.lowlevel.checkpoint()
            return HttpAnswer(body=b"built " + request.path.encode())

        with where.route("/hooks/*", build, owner="hooks"):
            found.append(where)
            await trio.sleep_forever()

    app = App(AppPolicy(seed=1), clock=WallClock(), operator=Nobody())
    app.host.load(Candidate(name="hooks", load=lambda: plugin))
    stop = trio.Event()
    ends = []

    async def run():
        ends.append(await app.run(stop))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await until(lambda: found and not found[0].trouble)
        assert (await get(found[0].port, "/hooks/x")).endswith(b"built /hooks/x")
        stop.set()
    assert ends == [End.CLEAN]
    assert found[0]._routes == []
    assert await get(found[0].port, "/hooks/x") == b""
