"""Fetching what messages point at, over real sockets."""

import contextlib
import functools

import pytest
import trio

from qqops import Refuse
from qqops.adapters.http import download as _download
from qqops.adapters.http.download import download
from qqops.adapters.http.server import HttpAnswer, serve_connection


@contextlib.asynccontextmanager
async def serving():
    asked = []

    async def answer(request):
        await trio.lowlevel.checkpoint()
        asked.append(request.target)
        path = request.target.partition("?")[0]
        match path:
            case "/large":
                return HttpAnswer(body=b"x" * 200_000)
            case "/again":
                return HttpAnswer(status=302, headers=(("Location", "/small"),))
            case "/away":
                where = "http://localhost:" + request.header("host").rpartition(":")[2] + "/small"
                return HttpAnswer(status=302, headers=(("Location", where),))
            case "/loop":
                return HttpAnswer(status=302, headers=(("Location", "/loop"),))
            case "/gone":
                return HttpAnswer(status=404)
        return HttpAnswer(body=b"content")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            functools.partial(
                trio.serve_tcp, functools.partial(serve_connection, handler=answer), 0, host="127.0.0.1"
            )
        )
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", asked
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("/small", b"content"), ("/again", b"content"), ("/图片 1.png?名=1", b"content"),
     ("/large", "too large"), ("/loop", "too many redirects"), ("/gone", "HTTP 404")],
)  # fmt: skip
async def test_what_may_be_fetched(path, wanted):
    async with serving() as (url, _):
        if isinstance(wanted, bytes):
            assert await download(url + path, most=1000, private=True) == wanted
        else:
            with pytest.raises(Refuse, match=wanted):
                await download(url + path, most=1000, private=True)


async def test_private_addresses_are_not_fetched_whatever_their_name():
    async with serving() as (url, asked):
        for name in ("127.0.0.1", "localhost", "127.1"):
            with pytest.raises(Refuse, match=r"private network|cannot be fetched"):
                await download(url.replace("127.0.0.1", name) + "/small")
        assert not asked


async def test_a_redirect_into_a_private_network_is_not_followed(monkeypatch):
    """The first address passes; the one where it leads to is looked at again."""
    seen = []

    def admit(host, address):
        seen.append(address)
        if len(seen) > 1:
            raise _download.PrivateAddress(address)

    monkeypatch.setattr(_download, "_admit", admit)
    async with serving() as (url, asked):
        with pytest.raises(Refuse, match="private network"):
            await download(url + "/away")
        assert asked == ["/away"]
        assert len(seen) == 2


@pytest.mark.parametrize(
    "url",
    ["ftp://x/y", "file:///etc/passwd", "http://", "http://a@127.0.0.1/", "http://[::1/", "javascript:1", ""],
)
async def test_what_is_no_address(url):
    with pytest.raises(Refuse, match="address"):
        await download(url, private=True)
