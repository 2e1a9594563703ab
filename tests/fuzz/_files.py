"""Targets: the file of a saved login, requests to our own small HTTP server, pictures drawn in the terminal."""

from __future__ import annotations

import atexit
import io
import json
import pathlib
import random
import shutil
import tempfile
from collections import deque

import trio
from _checks import attempt, check_request, check_texts, must
from _inputs import MAX_INPUT, Draw, json_text, mutated

from qqops.adapters.http.server import HttpAnswer, HttpRequest, serve_connection
from qqops.adapters.webqq.saved import SavedSession
from qqops.cli.picture import draw_qr
from qqops.model import AccountRef
from qqops.protocol.webqq import lists, poll
from qqops.protocol.webqq.profile import PROFILES

_FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="qqops-fuzz-saved-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_VALUES = {
    "layout": 1, "profile": "smartqq", "number": 100200300, "clientid": "53999199", "psessionid": "8368",
    "vfwebqq": "0a1b", "ptwebqq": "0a1b", "nick": "n", "status": "online", "hash_variant": "P", "next_message": 5,
    "cookies": [["qq.com", "skey", "@abc"], ["qq.com", "supertoken", "1"]],
}  # fmt: skip


def fuzz_saved(draw: Draw) -> None:
    """The file of a saved login: whatever is in it, there is a session that works or none."""
    profile = PROFILES[draw.pick(("smartqq", "webqq2013"))]
    values = _VALUES | {"profile": profile.name, "hash_variant": profile.hashes[0]}
    kind = draw.number(4)
    if kind == 0:
        data = draw.rest()[:MAX_INPUT]
    elif kind == 1:
        data = mutated(draw, json.dumps(values).encode())
    else:
        key = draw.pick(tuple(values))
        rest = {k: v for k, v in values.items() if k != key}
        data = f'{{"{key}":{json_text(draw)},{json.dumps(rest)[1:]}'.encode("utf-8", "replace")
    (_FOLDER / "webqq-fuzz.session.json").write_bytes(data)
    saved = SavedSession(AccountRef("webqq", "fuzz"), _FOLDER)
    session = attempt(
        "SavedSession.load", lambda: saved.load(profile, draw.pick((0, 100200300)), random.Random(1))
    )
    if session is None:
        return
    for host in ("d1.web2.qq.com", "ptlogin2.qq.com"):
        check_request(poll.request(session, 60.0), session.cookies.header(host))
    attempt("friends", lambda: next(lists.friends(session)))
    session.next_message += 1
    text = attempt("json", lambda: json.dumps([session.nick, list(session.cookies.items())]))
    must(text is not None, "a session that cannot be saved again")
    check_texts("session", (session.nick, session.psessionid, session.ptwebqq, session.vfwebqq))


class _Pieces(trio.abc.Stream):
    """A connection that brings what it was given, piece by piece."""

    def __init__(self, data: list[bytes]) -> None:
        self._data = deque(data)
        self.sent = bytearray()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the next piece; b"" at the end."""
        await trio.lowlevel.checkpoint()
        return self._data.popleft() if self._data else b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Keep what is answered."""
        await trio.lowlevel.checkpoint()
        self.sent += data

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close."""
        await trio.lowlevel.checkpoint()


REQUESTS = (
    b"GET /x?a=1 HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", b"GET / HTTP/1.0\r\n\r\n", b"\r\n", b"",
)  # fmt: skip


def fuzz_listen(draw: Draw) -> None:
    """Requests to the small server, cut anywhere: it ends, and answers with HTTP or not at all."""
    whole = b"".join(mutated(draw, draw.pick(REQUESTS)) for _ in range(1 + draw.number(4)))[:MAX_INPUT]
    cuts = sorted(draw.number(len(whole) + 1) for _ in range(draw.number(5)))
    data = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True) if a < b]
    stream = _Pieces(data)

    async def handle(request: HttpRequest) -> HttpAnswer:
        await trio.lowlevel.checkpoint()
        must(
            all(name == name.lower() for name, _ in request.headers),
            "a name of a header is not in lower case",
        )
        check_texts("request", (request.method, request.target, request.headers))
        return HttpAnswer(body=request.body[:10])

    async def main() -> None:
        with trio.fail_after(10):
            await serve_connection(stream, handle)

    attempt("serve_connection", lambda: trio.run(main))
    must(not stream.sent or stream.sent.startswith(b"HTTP/1.1 "), "an answer that is not HTTP")
    must(b" 500 " not in stream.sent.split(b"\r\n", 1)[0], "the handler has failed")


def fuzz_pictures(draw: Draw) -> None:
    """QR pictures as text: whatever the service sent."""
    data = draw.rest()[:MAX_INPUT] if draw.number(4) == 0 else mutated(draw, _png(draw))
    text = attempt("draw_qr", lambda: draw_qr(data))
    must(text is not None and len(text) < 50_000, "a drawing of any size")


def _png(draw: Draw) -> bytes:
    from PIL import Image

    image = Image.new("L", (1 + draw.number(200), 1 + draw.number(200)), 255)
    for _ in range(draw.number(8)):
        x, y = draw.number(200), draw.number(200)
        image.paste(0, (x, y, x + draw.number(100), y + draw.number(100)))
    made = io.BytesIO()
    image.save(made, "PNG")
    return made.getvalue()


__all__ = ["fuzz_listen", "fuzz_pictures", "fuzz_saved"]
