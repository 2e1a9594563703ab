"""Who gets which request, what a closed route leaves behind, and what strangers cannot use up."""

import functools

import pytest
import structlog.testing
import trio
import trio.testing

from qqops.adapters.http.server import MAX_BODY, HttpAnswer, HttpRequest, Takeover
from qqops.errors import ConfigError
from qqops.runtime.listener import MAX_CONNECTIONS, MAX_LARGE_BODIES, Listener, Listeners

UPGRADE = (("upgrade", "websocket"), ("connection", "Upgrade"))


def says(word):
    async def handler(request):
        await trio.lowlevel.checkpoint()
        return HttpAnswer(body=word.encode())

    return handler


def listener(**paths):
    """Return a listener on which each of *paths* (by owner) answers with the name of its owner."""
    made = Listener("127.0.0.1", 8080)
    for owner, path in paths.items():
        made.route(path, says(owner), owner=owner)
    return made


async def ask(where, path, *headers, method="GET"):
    return await where.handle(HttpRequest(method=method, target=path, headers=headers, body=b""))


async def body(where, path, *headers):
    answer = await ask(where, path, *headers)
    return answer.body.decode() if answer.status == 200 else answer.status


# -- who gets what ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/", "all"),
        ("/hooks", "exact"),
        ("/hooks/", "exact"),
        ("/hooks?a=/b", "exact"),
        ("/hooks/any", "hooks"),
        ("/hooks/git/", "git"),
        ("/hooks/git/push/1", "git"),
        ("/hooksgit", "all"),
        ("/Hooks", "all"),
        ("/hooks%2fgit", "all"),
        ("*", "all"),
    ],
)
async def test_an_exact_path_goes_before_what_is_beneath_and_a_longer_one_before_a_shorter(path, owner):
    where = listener(all="/*", hooks="/hooks/*", git="/hooks/git/*", exact="/hooks")
    assert await body(where, path) == owner


async def test_what_is_beneath_a_path_includes_the_path_itself():
    where = listener(hooks="/hooks/*")
    assert [await body(where, path) for path in ("/hooks", "/hooks/", "/hooks/a", "/hook", "/")] == [
        "hooks", "hooks", "hooks", 404, 404,
    ]  # fmt: skip


async def test_routes_that_choose_share_a_path_and_go_before_the_one_that_does_not():
    where = listener(any="/ws")

    def number(wanted, request):
        return request.header("x-self-id") == wanted

    for owner, wanted in (("one", "1"), ("two", "2"), ("late", "2")):
        where.route("/ws", says(owner), owner=owner, accepts=functools.partial(number, wanted))
    said = [await body(where, "/ws", ("x-self-id", one)) for one in ("1", "2", "3")]
    assert said == ["one", "two", "any"]


async def test_a_request_that_nobody_chooses_goes_on_to_shorter_paths():
    where = listener(all="/*")
    where.route("/ws", says("choosy"), owner="choosy", accepts=lambda request: False)
    assert await body(where, "/ws") == "all"


@pytest.mark.parametrize(
    ("first", "then"), [("/ws", "/ws"), ("/ws", "/ws/"), ("/hooks/*", "/hooks/*"), ("/*", "/*")]
)
def test_two_owners_of_a_path_are_named_with_the_address(first, then):
    where = listener(deploy=first)
    with pytest.raises(ConfigError) as told:
        where.route(then, says("b"), owner="onebot11:main", websocket=True)
    for word in ("deploy", "onebot11:main", "127.0.0.1:8080", then):
        assert word in str(told.value)


@pytest.mark.parametrize("path", ["", "hooks", "*", "/a*", "/a/*/b", "/*/*"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ConfigError, match="path must"):
        listener(one=path)


async def test_strangers_are_told_and_logged_now_and_then():
    where = listener(one="/one")
    with structlog.testing.capture_logs() as lines:
        for _ in range(100):
            assert (await ask(where, "/" + "x" * 10_000)).status == 404
    assert [line["times"] for line in lines] == [1, 2, 4, 8, 16, 32, 64]
    assert max(len(line["path"]) for line in lines) < 1000


async def test_whoever_comes_for_the_other_kind_is_told():
    where = listener(page="/page")
    where.route("/ws", says("ws"), owner="ws", websocket=True)
    assert (await ask(where, "/page", *UPGRADE)).status == 400
    wanted = await ask(where, "/ws")
    assert (wanted.status, dict(wanted.headers)["Upgrade"]) == (426, "websocket")
    assert [await body(where, "/page"), await body(where, "/ws", *UPGRADE)] == ["page", "ws"]


# -- mistakes of one owner --------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [ValueError("oops"), SystemExit(1), KeyboardInterrupt()])
async def test_a_handler_that_fails_costs_that_request_alone(wrong):
    where = listener(good="/good")

    async def bad(request):
        await trio.lowlevel.checkpoint()
        raise wrong

    where.route("/bad", bad, owner="bad one")
    with structlog.testing.capture_logs() as lines:
        assert (await ask(where, "/bad")).status == 500
    assert [line["owner"] for line in lines] == ["bad one"]
    assert await body(where, "/good") == "good"


async def test_a_route_that_cannot_tell_what_it_accepts_is_passed_over():
    where = listener(good="/x")

    def oops(request):
        raise KeyError("x")

    where.route("/x", says("bad"), owner="bad one", accepts=oops)
    with structlog.testing.capture_logs() as lines:
        assert await body(where, "/x") == "good"
    assert [line["owner"] for line in lines] == ["bad one"]


@pytest.mark.parametrize(
    ("wrong", "logged"),
    [(ValueError("oops"), 1), (SystemExit(1), 1), (KeyboardInterrupt(), 1), (trio.BrokenResourceError(), 0)],
)
async def test_a_websocket_that_fails_costs_that_connection_alone(wrong, logged):
    where = listener(good="/good")

    async def serve(stream, extra):
        await trio.lowlevel.checkpoint()
        raise wrong

    async def take(request):
        await trio.lowlevel.checkpoint()
        return Takeover(serve=serve)

    where.route("/ws", take, owner="bad one", websocket=True)
    async with trio.open_nursery() as nursery:
        with structlog.testing.capture_logs() as lines:
            client = await connect(nursery, where)
            await client.send_all(request_of("/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\n"))
            assert await client.receive_some() == b""
        assert len(lines) == logged
        client = await connect(nursery, where)
        assert b"good" in await talk(client, request_of("/good"))
        await client.aclose()


# -- what is taken away -----------------------------------------------------------------------------


async def test_a_closed_route_is_gone_and_somebody_else_may_have_the_path():
    where = Listener("127.0.0.1", 8080)
    with where.route("/hook", says("one"), owner="one") as route:
        assert await body(where, "/hook") == "one"
    assert await body(where, "/hook") == 404
    where.route("/hook", says("two"), owner="two")
    route.close()
    assert await body(where, "/hook") == "two"


async def test_a_closed_route_ends_what_it_serves_and_nothing_else():
    where = Listener("127.0.0.1", 8080)
    ended = []

    async def slow(request):
        try:
            await trio.sleep_forever()
        finally:
            ended.append(request.path)

    async def take(request):
        await trio.lowlevel.checkpoint()

        async def serve(stream, extra):
            await slow(request)

        return Takeover(serve=serve)

    gone = [where.route("/slow", slow, owner="one"), where.route("/ws", take, owner="one", websocket=True)]
    where.route("/stays", slow, owner="two")
    async with trio.open_nursery() as nursery:
        requests = [
            request_of("/slow"),
            request_of("/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\n"),
            request_of("/stays"),
        ]
        clients = [await connect(nursery, where) for _ in requests]
        for client, request in zip(clients, requests, strict=True):
            await client.send_all(request)
        await trio.testing.wait_all_tasks_blocked()
        for route in gone:
            route.close()
        with trio.fail_after(1):
            assert b" 503 " in await clients[0].receive_some()
            assert await clients[1].receive_some() == b""
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(ended) == ["/slow", "/ws"]
        nursery.cancel_scope.cancel()


async def test_a_websocket_that_was_granted_while_its_route_was_closed_never_begins():
    where = Listener("127.0.0.1", 8080)
    began = []

    async def serve(stream, extra):
        await trio.lowlevel.checkpoint()
        began.append(stream)

    async def take(request):
        await trio.lowlevel.checkpoint()
        return Takeover(serve=serve)

    route = where.route("/ws", take, owner="one", websocket=True)
    granted = await ask(where, "/ws", *UPGRADE)
    route.close()
    await granted.serve(None, b"")
    assert began == []


async def test_while_the_bot_stops_new_requests_are_refused_and_what_is_open_goes_on():
    where = listener(page="/page")
    release = trio.Event()

    async def take(request):
        await trio.lowlevel.checkpoint()

        async def serve(stream, extra):
            await release.wait()
            await stream.send_all(b"the reply")

        return Takeover(serve=serve)

    where.route("/ws", take, owner="ws", websocket=True)
    async with trio.open_nursery() as nursery:
        upgrade = request_of("/ws", "Upgrade: websocket\r\nConnection: Upgrade\r\n")
        established, kept = await connect(nursery, where), await connect(nursery, where)
        await established.send_all(upgrade)
        assert b"page" in await talk(kept, request_of("/page"))
        await trio.testing.wait_all_tasks_blocked()
        where.close()
        now = trio.current_time()
        assert b" 503 " in await talk(kept, request_of("/page"))
        assert await kept.receive_some() == b""
        assert trio.current_time() == now, "it was closed at once"
        assert b" 503 " in await talk(await connect(nursery, where), upgrade)
        release.set()
        assert await established.receive_some() == b"the reply"


# -- limits -----------------------------------------------------------------------------------------


def request_of(path, headers="", content=b"", length=None):
    length = len(content) if length is None else length
    more = f"Content-Length: {length}\r\n" if length else ""
    return f"POST {path} HTTP/1.1\r\nHost: a\r\n{headers}{more}\r\n".encode() + content


async def connect(nursery, where):
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(where.serve, theirs)
    return ours


async def talk(client, request):
    await client.send_all(request)
    return bytes(await client.receive_some())


async def test_one_connection_too_many_is_closed_and_room_is_found_again():
    where = listener(page="/page")
    async with trio.open_nursery() as nursery:
        clients = [await connect(nursery, where) for _ in range(MAX_CONNECTIONS)]
        await trio.testing.wait_all_tasks_blocked()
        with structlog.testing.capture_logs() as lines:
            for _ in range(10):
                assert await (await connect(nursery, where)).receive_some() == b""
        assert [line["times"] for line in lines] == [1, 2, 4, 8]
        assert b" 200 " in await talk(clients[0], request_of("/page"))
        await clients[1].aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert b" 200 " in await talk(await connect(nursery, where), request_of("/page"))
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("before", [b"", request_of("/page")], ids=["fresh", "kept alive"])
@pytest.mark.parametrize("trickle", [b"", b"x"], ids=["idle", "trickle"])
async def test_the_head_of_a_request_must_be_whole_within_thirty_seconds(before, trickle):
    """But between two requests a connection may rest for five minutes."""
    where = listener(page="/page")
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, where)
        if before:
            assert b" 200 " in await talk(client, before)
            await trio.sleep(100)
        began = trio.current_time()

        async def write():
            await client.send_all(b"GET /")
            while True:
                await trio.sleep(1)
                await client.send_all(trickle)

        if trickle:
            nursery.start_soon(write)
        assert await client.receive_some() == b""
        assert trio.current_time() - began == (200 if before and not trickle else 30)
        nursery.cancel_scope.cancel()


async def test_the_body_of_a_request_must_be_whole_within_thirty_seconds():
    where = listener(page="/page")
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, where)
        began = trio.current_time()
        assert await talk(client, request_of("/page", length=10)) == b""
        assert trio.current_time() - began == 30


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY, b" 200 "), (MAX_BODY + 1, b" 413 ")])
async def test_a_body_of_sixteen_mebibytes_is_the_largest(size, status):
    assert MAX_BODY == 16 * 2**20
    where = listener(page="/page")
    async with trio.open_nursery() as nursery:
        client = await connect(nursery, where)
        assert status in await talk(client, request_of("/page", content=b"x" * size))
        await client.aclose()


async def test_large_bodies_are_read_a_few_at_a_time():
    assert MAX_LARGE_BODIES == 8
    where = Listener("127.0.0.1", 8080)
    whole = []

    async def note(request):
        await trio.lowlevel.checkpoint()
        whole.append(request.path)
        return HttpAnswer()

    where.route("/*", note, owner="one")
    async with trio.open_nursery() as nursery:
        clients = [await connect(nursery, where) for _ in range(MAX_LARGE_BODIES)]
        for n, client in enumerate(clients):
            await client.send_all(request_of(f"/{n}", content=b"x" * 70_000, length=100_000))
        await trio.testing.wait_all_tasks_blocked()
        next_one, small = await connect(nursery, where), await connect(nursery, where)
        await next_one.send_all(request_of("/next", content=b"x" * 100_000))
        await small.send_all(request_of("/small", content=b"x" * 1000))
        await trio.testing.wait_all_tasks_blocked()
        assert whole == ["/small"]
        await clients[0].send_all(b"x" * 30_000)
        await trio.testing.wait_all_tasks_blocked()
        assert whole == ["/small", "/0", "/next"]
        nursery.cancel_scope.cancel()


# -- ports ------------------------------------------------------------------------------------------


class Taken:
    """Takes the place of the system's ports: all are taken."""

    def __init__(self, monkeypatch):
        self.tries = []
        self.reason = "Address already in use"
        monkeypatch.setattr(trio, "open_tcp_listeners", self.open)

    async def open(self, port, *, host):
        await trio.lowlevel.checkpoint()
        self.tries.append(trio.current_time())
        raise OSError(98, self.reason)


async def test_a_port_that_is_taken_is_told_once_and_tried_every_five_seconds(monkeypatch):
    taken = Taken(monkeypatch)
    where = listener(deploy="/hook")
    where.route("/ws", says("a"), owner="onebot11:main", websocket=True)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        with structlog.testing.capture_logs() as lines:
            await nursery.start(where.run)
            assert where.trouble == "cannot listen on 127.0.0.1:8080: Address already in use"
            await trio.sleep(22)
            assert [at - began for at in taken.tries] == [0, 5, 10, 15, 20]
            (line,) = lines
            assert (line["log_level"], line["event"]) == ("error", where.trouble)
            assert line["needed_by"] == ["deploy", "onebot11:main"]
            assert "another program" in line["hint"]
            taken.reason = "Permission denied"
            await trio.sleep(10)
            assert [line["event"] for line in lines][1:] == [where.trouble]
        nursery.cancel_scope.cancel()


async def test_a_port_that_nobody_wants_is_left_alone(monkeypatch):
    taken = Taken(monkeypatch)
    listeners = Listeners()
    async with trio.open_nursery() as nursery:
        idle = listeners.at("127.0.0.1:8080")
        await nursery.start(listeners.run)
        await trio.sleep(60)
        assert taken.tries == []
        with idle.route("/hook", says("a"), owner="a"):
            await trio.testing.wait_all_tasks_blocked()
            assert len(taken.tries) == 1
        await trio.sleep(60)
        assert len(taken.tries) == 1
        assert idle.trouble
        nursery.cancel_scope.cancel()


async def test_an_address_that_is_asked_for_later_is_opened_too(monkeypatch):
    taken = Taken(monkeypatch)
    listeners = Listeners()
    async with trio.open_nursery() as nursery:
        await nursery.start(listeners.run)
        await trio.testing.wait_all_tasks_blocked()
        listeners.at("127.0.0.1:8080").route("/", says("a"), owner="a")
        await trio.testing.wait_all_tasks_blocked()
        assert len(taken.tries) == 1
        nursery.cancel_scope.cancel()


def test_an_address_has_one_listener():
    listeners = Listeners()
    one = listeners.at("LocalHost:8080")
    assert listeners.at("localhost:8080") is one
    assert listeners.at("localhost:8081") is not one
    assert listeners.at("127.0.0.1:0") is not listeners.at("127.0.0.1:0")
    assert listeners.at("[::1]:8080").address == "[::1]:8080"
    with pytest.raises(ConfigError, match="HOST:PORT"):
        listeners.at("8080")


async def test_an_address_that_is_asked_for_while_the_bot_stops_is_closed_at_once():
    listeners = Listeners()
    early = listeners.at("127.0.0.1:8080")
    listeners.close()
    late = listeners.at("127.0.0.1:8081")
    assert [(await ask(one, "/")).status for one in (early, late)] == [503, 503]
