"""WebSockets over streams in memory, against the library's own parser."""

import itertools

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from qqops.adapters.websocket.handshake import upgrade
from qqops.adapters.websocket.socket import WebSocket
from qqops.errors import NotSent, TransientError
from qqops.testing.virtual import run_virtual

URI = parse_uri("ws://a/")
FRAMES = st.lists(
    st.one_of(
        st.builds(lambda n, t: [Frame(t, b"x" * n)], st.sampled_from([0, 1, 125, 126, 300, 65535, 65536]),
                  st.sampled_from([Opcode.TEXT, Opcode.BINARY])),
        st.builds(lambda data: [Frame(Opcode.PING, data)], st.binary(max_size=20)),
        st.builds(lambda a, b: [Frame(Opcode.TEXT, a, fin=False), Frame(Opcode.PING, b""), Frame(Opcode.CONT, b)],
                  st.just(b"ab"), st.just(b"cd")),
    ), max_size=6,
)  # fmt: skip


def wire(groups, masked):
    return b"".join(frame.serialize(mask=masked) for group in groups for frame in group)


def messages(groups):
    return [
        b"".join(bytes(f.data) for f in group if f.opcode is not Opcode.PING)
        for group in groups
        if group[0].opcode is not Opcode.PING
    ]


def socket(stream, *, server):
    """Return a WebSocket after its handshake."""
    client, host = ClientProtocol(URI, max_size=100_000), ServerProtocol(max_size=100_000)
    client.send_request(client.connect())
    host.receive_data(b"".join(client.data_to_send()))
    host.send_response(host.accept(host.events_received()[0]))
    client.receive_data(b"".join(host.data_to_send()))
    client.events_received()
    return WebSocket(stream, host if server else client, b"")


async def receive_all(found):
    got, error = [], None
    try:
        while True:
            got += [bytes(one) for one in await found.receive()]
    except TransientError as exc:
        error = str(exc)
    return got, error


@settings(max_examples=settings.default.max_examples * 3 // 2)
@given(FRAMES, st.booleans(), st.lists(st.integers(0, 400), max_size=6))
def test_frames_in_any_pieces_are_the_messages_that_were_sent(groups, server, cuts):
    async def main():
        ours, theirs = trio.testing.memory_stream_pair()
        data = wire(groups, server)
        edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
        found = socket(ours, server=server)
        got = []

        async def read():
            got.extend((await receive_all(found))[0])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for a, b in itertools.pairwise(edges):
                await theirs.send_all(data[a:b])
                await trio.testing.wait_all_tasks_blocked()
            await theirs.send_eof()
        assert got == messages(groups)
        pongs = b"".join(found._protocol.data_to_send())
        pings = [f for group in groups for f in group if f.opcode is Opcode.PING]
        assert len(pongs) >= sum(len(f.data) + (2 if server else 6) for f in pings)

    run_virtual(main)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\x81\x85abcdhello", "broke the rules"),  # masked by a server
        (b"\xc1\x02hi", "broke the rules"),
        (b"\x83\x02hi", "broke the rules"),
        (b"\x80\x02hi", "broke the rules"),
        (b"\x81\x7f\x00\x00\x00\x00\x10\x00\x00\x00", "broke the rules"),  # 256 MB
        (b"\x01\x01a\x81\x01b", "broke the rules"),  # a message within a message
        (b"\x88\x02\x03\xe8", "closed by the other side: 1000"),
        (b"\x81\x05hel", "cut"),
        (b"", "cut"),
    ],
)
async def test_what_breaks_the_rules_ends_the_connection(data, word):
    ours, theirs = trio.testing.memory_stream_pair()
    found = socket(ours, server=False)
    await theirs.send_all(b"\x81\x02ok" + data)
    await theirs.send_eof()
    got, error = await receive_all(found)
    assert got == [b"ok"]
    assert word in error
    with pytest.raises(NotSent):
        found.put(b"x")


async def test_frames_that_come_with_the_handshake_are_not_lost():
    ours, theirs = trio.testing.memory_stream_pair()

    async def serve():
        server = ServerProtocol()
        server.receive_data(await theirs.receive_some())
        (request,) = server.events_received()
        server.send_response(server.accept(request))
        head = b"".join(server.data_to_send())
        await theirs.send_all(head[:-2])
        await theirs.send_all(head[-2:] + b"\x81\x02hi\x81\x05he")
        await theirs.send_all(b"llo")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        found = await upgrade(ours, "ws://a/", [], max_size=1000)
        got = await found.receive()
        while len(got) < 2:
            got += await found.receive()
        assert [bytes(one) for one in got] == [b"hi", b"hello"]


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad", b"garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\n\r\n",
     b"x" * 100_000, b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n"],
)  # fmt: skip
async def test_what_is_no_websocket_is_told(answer):
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(answer)
    await theirs.send_eof()
    with pytest.raises(TransientError):
        await upgrade(ours, "ws://a/", [], max_size=1000)


async def test_a_peer_that_does_not_read_is_told_and_bounded():
    ours, _ = trio.testing.memory_stream_pair()
    found = socket(ours, server=True)
    for _ in range(17):
        found.put(b"x" * 2**20)
    with pytest.raises(NotSent, match="does not read"):
        found.put(b"x")


async def test_what_has_not_left_is_not_sent_by_the_good_bye():
    """Whoever put it was told that it has not left, and sends it again on the next connection."""
    ours, theirs = trio.testing.memory_stream_pair()
    found = socket(ours, server=True)
    number = found.put(b"twice?")
    assert not found.has_left(number)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.aclose)
        data = await theirs.receive_some(1000)
        assert b"twice?" not in data
        await theirs.aclose()
    assert not found.has_left(number)


async def test_a_good_bye_does_not_stand_in_the_middle_of_a_frame():
    ours, theirs = trio.testing.memory_stream_pair()
    found = socket(ours, server=True)
    found.put(b"one")
    send, started = ours.send_all, trio.Event()

    async def half(data):
        await send(data[:3])
        started.set()
        await trio.sleep_forever()

    ours.send_all = half
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.write)
        await started.wait()
        nursery.cancel_scope.cancel()
    await found.aclose()
    assert len(await theirs.receive_some(1000)) == 3
    assert await theirs.receive_some(1000) == b""
