"""The HTTP client and the small listener against peers that misbehave."""

import contextlib
import functools
import re

import pytest
import trio

from qqops.adapters.http import client as _http
from qqops.adapters.http import server as _listen
from qqops.adapters.http.client import HttpClient
from qqops.adapters.http.server import HttpAnswer, serve_connection
from qqops.errors import NotSent, ProtocolError, TransientError


async def raw_server(nursery, *answers):
    """Serve one list of byte strings per connection; an answer of None closes the connection at once."""
    connections = []

    async def handle(stream):
        connections.append(stream)
        with contextlib.suppress(trio.BrokenResourceError):
            await answer_all(stream)

    async def answer_all(stream):
        async with stream:
            for answer in answers[min(len(connections), len(answers)) - 1]:
                if not await stream.receive_some(65536) or answer is None:
                    return
                await stream.send_all(answer)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, handle, listeners)
    return f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", connections


def ok(body=b"fine"):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def fetch(client, url, *, deadline=120, idempotent=True):
    return await client.call(
        "GET", url, [("Host", "d.web2.qq.com")], b"", deadline=deadline, idempotent=idempotent
    )


@pytest.mark.parametrize(("idempotent", "answered"), [(True, True), (False, False)])
async def test_a_stale_connection_is_retried_once_where_that_is_safe(idempotent, answered):
    async with trio.open_nursery() as nursery, HttpClient() as client:
        url, connections = await raw_server(nursery, [ok(), None], [ok()])
        await fetch(client, url)
        if answered:
            assert (await fetch(client, url, idempotent=idempotent)).body == b"fine"
            assert len(connections) == 2
        else:
            with pytest.raises(TransientError, match="broke"):
                await fetch(client, url, idempotent=idempotent)
            assert len(connections) == 1
        nursery.cancel_scope.cancel()


async def test_a_peer_that_always_closes_is_tried_twice_and_no_more():
    async with trio.open_nursery() as nursery, HttpClient() as client:
        url, connections = await raw_server(nursery, [None])
        with pytest.raises(TransientError, match="broke"):
            await fetch(client, url)
        assert len(connections) == 2
        nursery.cancel_scope.cancel()


async def test_the_deadline_covers_the_whole_call():
    async with trio.open_nursery() as nursery, HttpClient() as client:
        url, _ = await raw_server(nursery, [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b""])
        with pytest.raises(TransientError, match="no answer in time"):
            await fetch(client, url, deadline=0.2)
        nursery.cancel_scope.cancel()


async def test_a_huge_body_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(_http, "MAX_BODY", 1000)
    async with trio.open_nursery() as nursery, HttpClient() as client:
        url, _ = await raw_server(nursery, [ok(b"x" * 100_000)])
        with pytest.raises(ProtocolError, match="larger than 1000 bytes") as caught:
            await fetch(client, url)
        assert len(str(caught.value)) < 300
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("answer", [b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nBroken header\r\n\r\n"])
async def test_what_is_no_http_is_an_error_of_ours(answer):
    async with trio.open_nursery() as nursery, HttpClient() as client:
        url, _ = await raw_server(nursery, [answer])
        with pytest.raises(TransientError):
            await fetch(client, url)
        nursery.cancel_scope.cancel()


async def test_no_listener_and_no_such_name_mean_not_sent():
    async with HttpClient() as client:
        with pytest.raises(NotSent, match="cannot connect"):
            await fetch(client, "http://127.0.0.1:9")
        with pytest.raises(NotSent, match=r"cannot connect to nowhere\.invalid"):
            await fetch(client, "http://nowhere.invalid/")


async def test_cancelling_a_call_leaves_the_client_usable():
    async with trio.open_nursery() as nursery, HttpClient() as client:
        url, connections = await raw_server(nursery, [b"", ok()], [ok()])
        async with trio.open_nursery() as calls:
            calls.start_soon(fetch, client, url)
            while not connections:
                await trio.sleep(0.01)
            calls.cancel_scope.cancel()
        assert (await fetch(client, url)).body == b"fine"
        nursery.cancel_scope.cancel()


# -- the listener ------------------------------------------------------------------------------------


class Listener:
    def __init__(self, handler):
        self.handler = handler

    async def __aenter__(self):
        self._manager = trio.open_nursery()
        nursery = await self._manager.__aenter__()
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(
            trio.serve_listeners, functools.partial(serve_connection, handler=self.handler), listeners
        )
        self._nursery = nursery
        return self

    async def __aexit__(self, *exc):
        self._nursery.cancel_scope.cancel()
        return await self._manager.__aexit__(*exc)

    async def talk(self, *pieces, answers=1):
        """Return what comes until so many answers are whole, or until the server closes the connection."""
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            answer = b""
            for piece in pieces:
                with contextlib.suppress(trio.BrokenResourceError):
                    await stream.send_all(piece)
            # A server that closes while we still write resets the connection.
            with contextlib.suppress(trio.BrokenResourceError):
                while whole(answer) < answers and (data := await stream.receive_some()):
                    answer += data
            return answer


def whole(data):
    """Return how many answers *data* begins with."""
    found, size = 0, 0
    while size <= len(data):
        data = data[size:]
        head, end, _ = data.partition(b"\r\n\r\n")
        if not end:
            return found
        size = len(head + end) + int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        found += size <= len(data)
    return found


async def echo(request):
    return HttpAnswer(body=request.target.encode() + request.body)


async def test_requests_may_come_in_pieces_or_all_at_once():
    async with Listener(echo) as server:
        one = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
        assert (await server.talk(*[one[i : i + 1] for i in range(len(one))])).endswith(b"/ahi")
        both = await server.talk(one + b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n", answers=2)
        assert both.count(b"200 OK") == 2
        assert both.endswith(b"/b")


@pytest.mark.parametrize("bad", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
async def test_bad_requests_get_a_400_and_the_listener_lives(bad):
    async with Listener(echo) as server:
        assert b"400" in await server.talk(bad)
        assert b"200 OK" in await server.talk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_a_request_without_end_is_cut_off():
    async with Listener(echo) as server:
        assert b"200 OK" not in await server.talk(b"x" * 1_000_000)
        assert b"200 OK" in await server.talk(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_a_body_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(_listen, "MAX_BODY", 1000)
    async with Listener(echo) as server:
        answer = await server.talk(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000
        )
        assert b"413" in answer


async def test_a_client_that_goes_away_ends_the_handler():
    began, ended = trio.Event(), trio.Event()

    async def wait(request):
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with Listener(wait) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await began.wait()
        await stream.aclose()
        await ended.wait()


async def test_resting_closes_every_spare_connection_also_when_it_is_cancelled():
    """An account that ends while it rests leaves no socket behind."""
    async with trio.open_nursery() as nursery, HttpClient() as client:
        url, connections = await raw_server(nursery, [ok(), ok()])
        async with trio.open_nursery() as calls:
            for _ in range(3):
                calls.start_soon(functools.partial(fetch, client, url))
        with trio.CancelScope() as ending:
            ending.cancel()
            await client.rest()
        while any(stream.socket.fileno() != -1 for stream in connections):  # the server closes when we have
            await trio.sleep(0.01)
        assert len(connections) == 3
        nursery.cancel_scope.cancel()
