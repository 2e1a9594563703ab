"""The small HTTP server, where a socket would not show it."""

import trio
import trio.testing

from qqops.adapters.http.server import HttpAnswer, serve_connection


async def test_an_answer_that_is_cut_off_before_it_is_written_is_reported():
    """The handler has chosen its answer when everything is cancelled: whoever counts on it must hear of that."""
    ours, theirs = trio.testing.memory_stream_pair()
    sent = []
    with trio.CancelScope() as outer:

        async def handler(request):
            await trio.lowlevel.checkpoint()
            outer.cancel()
            return HttpAnswer(sent=sent.append)

        await ours.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await serve_connection(theirs, handler)
    assert sent == [False]
