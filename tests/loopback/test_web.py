"""HTTP for plugins: an end for every call, further tries where that is safe, redirects, and nothing left open."""

import contextlib

import pytest
import trio

from qqops import HTTP, Plugin, TransientError
from qqops.errors import ProtocolError


async def server(nursery, answer):
    """Serve what `answer(number, request)` returns, one request per connection; None never answers."""
    requests = []

    async def handle(stream):
        async with stream:
            text = b""
            while b"\r\n\r\n" not in text:
                got = await stream.receive_some(65536)
                if not got:
                    return
                text += got
            requests.append(text.decode())
            found = answer(len(requests), text.decode())
            if found is None:
                await trio.sleep_forever()
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(found)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, handle, listeners)
    return f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", requests


def reply(status, body=b"", *headers):
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


@contextlib.asynccontextmanager
async def against(answer):
    http = HTTP()
    async with trio.open_nursery() as nursery:
        url, requests = await server(nursery, answer)
        yield http, url, requests
        await http.aclose()
        nursery.cancel_scope.cancel()


async def test_json_goes_out_and_comes_in():
    async with against(lambda n, text: reply(200, b'{"a": [1]}', "X-Kind: test")) as (http, url, requests):
        found = await http.post(f"{url}/hook?x=1", json={"text": "中"}, headers={"Authorization": "Bearer t"})
        assert found.ok
        assert (found.json(), found.headers["x-kind"]) == ({"a": [1]}, "test")
        assert requests[0].startswith("POST /hook?x=1 HTTP/1.1")
        assert "content-type: application/json" in requests[0].lower()


@pytest.mark.parametrize(("method", "tries"), [("GET", 3), ("PUT", 3), ("POST", 1)])
async def test_what_may_be_repeated_is_repeated(method, tries):
    async with against(lambda n, text: reply(503) if n < 3 else reply(200, b"up")) as (http, url, requests):
        found = await http.request(method, url)
        assert len(requests) == tries
        assert found.status == (200 if tries == 3 else 503)


async def test_every_call_has_an_end():
    async with against(lambda n, text: None) as (http, url, _):
        with pytest.raises(TransientError):
            await http.get(url, deadline=0.3)
        with pytest.raises(TransientError):
            await http.post(url, deadline=0.3)


async def test_redirects_are_followed_and_do_not_carry_secrets_to_another_host():
    async with trio.open_nursery() as nursery:
        other, there = await server(nursery, lambda n, text: reply(200, b"there"))
        async with against(lambda n, text: reply(302, b"", f"Location: {other}/x")) as (http, url, here):
            found = await http.get(url, headers={"Authorization": "secret", "X-Other": "1"})
            assert found.text == "there"
            assert "secret" in here[0]
            assert "secret" not in there[0]
            assert "x-other" in there[0].lower()
            assert (await http.post(url)).status == 302
        nursery.cancel_scope.cancel()


async def test_a_circle_of_redirects_ends():
    async with against(lambda n, text: reply(302, b"", "Location: /again")) as (http, url, _):
        with pytest.raises(ProtocolError, match="redirects more than"):
            await http.get(url)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "nothing", "http://"])
async def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(ValueError, match="no http or https address"):
        await HTTP().get(url)


async def test_it_is_injected_and_closed_with_the_bot(bots):
    plugin, seen = Plugin("web"), []

    @plugin.command("x", inline=True)
    def x(*, http: HTTP) -> str:
        seen.append(http)
        return "x"

    async with bots.run(plugin) as bot:
        await bot.user("ali").say("/x")
        closed = []

        async def close():
            closed.append(1)

        seen[0].aclose = close
    assert closed == [1]
