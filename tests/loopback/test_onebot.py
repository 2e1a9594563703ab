"""OneBot v11 over real sockets: both directions, HTTP, several accounts on one port, and who knocks without a token."""

import contextlib
import hashlib
import hmac
import json
import socket
import struct

import pytest
import trio

from qqops import Ctx, Message, Plugin, Refuse
from qqops.adapters.onebot11.adapter import OneBot11
from qqops.adapters.onebot11.options import OneBotOptions
from qqops.adapters.websocket.handshake import connect
from qqops.app import App, AppPolicy, End
from qqops.errors import TransientError
from qqops.model import AccountRef, Delivery, Other, Secret, Text
from qqops.plugin.host import Candidate
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.clock import WallClock
from qqops.runtime.observe import LinkState, Phase, Sent
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.onebot.implementation import Implementation
from qqops.simulator.onebot.server import OneBotServer
from qqops.simulator.world import Group, Person, World
from qqops.testing.bots import Nobody


class Rig:
    def __init__(self, grace=2):
        self.clock = WallClock()
        self.release = trio.Event()
        self.sent, self.links, self.handled = [], [], []
        self.app = App(AppPolicy(seed=1, grace_seconds=grace), clock=self.clock, operator=Nobody())
        self.app.host.load(Candidate(name="rig", load=self.plugin))
        self.app.observers.add(self.note)

    def note(self, record):
        if isinstance(record, Sent):
            self.sent.append(record)
        elif isinstance(record, LinkState):
            self.links.append(record)

    def plugin(self):
        plugin = Plugin("rig")

        @plugin.on(Message, regex=r"^m(?P<n>\d+)$")
        async def answer(ctx: Ctx, n: int) -> str:
            self.handled.append((ctx.account.id, n))
            return f"r{n} from {ctx.account.id}"

        @plugin.on(Message, regex=r"^slow$")
        async def slow(ctx: Ctx) -> str:
            self.handled.append("slow")
            await self.release.wait()
            return "done"

        return plugin

    def account(self, name, **options):
        port = None
        if "listen" in options:
            port = self.app.listeners.at(options["listen"])
        account = AccountRef("onebot11", name)
        adapter = OneBot11(account, OneBotOptions(room_gap=0.0, **options), self.clock.now, port)
        policy = LinkPolicy(backoff=BackoffPolicy(first=0.05, cap=0.3))
        return self.app.add_account(adapter, policy, OutboxPolicy()), port

    async def until(self, condition):
        while not condition():
            await trio.sleep(0.01)

    async def online(self, supervisor):
        await self.until(lambda: supervisor.state.phase is Phase.ONLINE)


@contextlib.asynccontextmanager
async def running(rig):
    stop, ends = trio.Event(), []

    async def run():
        ends.append(await rig.app.run(stop))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield nursery
        stop.set()
        await rig.until(lambda: ends)
        nursery.cancel_scope.cancel()
    assert ends == [End.CLEAN]


def inject(server, text, room="ops"):
    place = {"kind": "group", "room": room} if room else {"kind": "buddy"}
    server.control.inject({**place, "from": "Ali", "text": text})


def texts(server):
    return [said.text for said in server.it.sent]


async def test_forward_over_a_socket_through_a_closed_port():
    rig = Rig()
    server = OneBotServer(Implementation(rig.clock), token="t")
    async with trio.open_nursery() as outer:
        url = await outer.start(server.run)
        supervisor, _ = rig.account("main", url=url, token=Secret("t"))
        async with running(rig):
            await rig.online(supervisor)
            inject(server, "m1")
            await rig.until(lambda: texts(server))
            server.control.faults({"fault": "port", "seconds": 0.3})
            await rig.until(lambda: supervisor.state.phase is not Phase.ONLINE)
            await rig.online(supervisor)
            inject(server, "m2", room="")
            await rig.until(lambda: len(texts(server)) == 2)
        assert texts(server) == ["r1 from main", "r2 from main"]
        await rig.until(lambda: not server.peers)
        outer.cancel_scope.cancel()


def two_bots():
    ali = Person(number=20001, nick="Ali")
    one = Person(number=1, nick="one", password="x", friends=[20001])
    two = Person(number=2, nick="two", password="x", friends=[20001])
    people = {p.number: p for p in (ali, one, two)}
    return World(people=people, groups={30002: Group(number=30002, name="ops", members=[20001, 1, 2])})


async def test_several_accounts_on_one_port_and_strangers_are_turned_away():
    rig = Rig()
    async with trio.open_nursery() as outer:
        one, port = rig.account("one", listen="127.0.0.1:0", self_id=1, token=Secret("t"))
        second = OneBot11(
            AccountRef("onebot11", "two"), OneBotOptions(listen="127.0.0.1:0", self_id=2, room_gap=0.0, token=Secret("t")),
            rig.clock.now, port,
        )  # fmt: skip
        two = rig.app.add_account(
            second, LinkPolicy(backoff=BackoffPolicy(first=0.05, cap=0.3)), OutboxPolicy()
        )
        async with running(rig):
            await rig.until(lambda: not port.trouble)
            url = f"ws://127.0.0.1:{port.port}/onebot/v11/ws"
            servers = [
                OneBotServer(Implementation(rig.clock, two_bots(), "llbot", n), token=token, reverse=[where])
                for n, token, where in ((1, "t", url), (2, "t", f"api+event:{url}"), (1, "wrong", url))
            ]
            for server in servers:
                server.it.make = server.it.make.__class__(**{**_fields(server.it.make), "reconnect": 0.1})
                await outer.start(server.run)
            await rig.online(one)
            await rig.online(two)
            inject(servers[0], "m1")
            inject(servers[1], "m2")
            await rig.until(lambda: len(rig.sent) == 2)
            assert sorted(rig.handled) == [("one", 1), ("two", 2)]
            assert (texts(servers[0]), texts(servers[1])) == (["r1 from one"], ["r2 from two"])
            await rig.until(lambda: "403" in servers[2].trouble)
            assert not servers[2].peers
        outer.cancel_scope.cancel()


def _fields(make):
    import attrs

    return attrs.asdict(make, recurse=False)


async def test_wrong_tokens_in_a_flood_disturb_nobody(capsys):
    rig = Rig()
    supervisor, port = rig.account("main", listen="127.0.0.1:0", token=Secret("t"))
    async with running(rig) as nursery:
        await rig.until(lambda: not port.trouble)
        url = f"ws://127.0.0.1:{port.port}/"
        server = OneBotServer(Implementation(rig.clock), token="t", reverse=[url])
        await nursery.start(server.run)
        await rig.online(supervisor)
        refused = 0

        async def knock():
            nonlocal refused
            for _ in range(50):
                stream = await trio.open_tcp_stream("127.0.0.1", port.port)
                async with stream:
                    await stream.send_all(
                        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                        b"Authorization: Bearer guess\r\n\r\n"
                    )
                    answer = await stream.receive_some(100)
                refused += answer.startswith(b"HTTP/1.1 403")

        async with trio.open_nursery() as knocking:
            for _ in range(20):
                knocking.start_soon(knock)
            for n in range(20):
                inject(server, f"m{n}")
                await rig.until(lambda n=n: len(texts(server)) == n + 1)
        assert refused == 1000
        assert len([link for link in rig.links if link.phase is Phase.ONLINE]) == 1
        assert capsys.readouterr().out.count("refused") <= 12


async def test_over_http_with_signed_posts():
    rig = Rig()
    async with trio.open_nursery() as outer:
        number = await _free_port()
        server = OneBotServer(
            Implementation(rig.clock, flavor="gocq"), token="t", post=f"http://127.0.0.1:{number}/onebot"
        )
        url = await outer.start(server.run)
        supervisor, port = rig.account(
            "main", url=url.replace("ws://", "http://"), listen=f"127.0.0.1:{number}", token=Secret("t")
        )
        async with running(rig):
            await rig.online(supervisor)
            for n in range(3):
                inject(server, f"m{n}")
            await rig.until(lambda: len(texts(server)) == 3)
            assert server._poster.statuses == {204: 3}
            body = json.dumps(
                {"post_type": "message", "message": "m9", "user_id": 20001, "message_id": 9}
            ).encode()
            good = "sha1=" + hmac.new(b"t", body, hashlib.sha1).hexdigest()
            for signature, content, status in (
                (good, body, b"204"), ("", body, b"401"), ("sha1=00", body, b"403"), (good, body + b" ", b"403"),
                ("sha1=" + hmac.new(b"t", b"null", hashlib.sha1).hexdigest(), b"null", b"400"),
            ):  # fmt: skip
                assert status in await _post(port.port, signature, content)
            assert await _post(port.port, good, body)  # the same again is a duplicate
            await rig.until(lambda: len(texts(server)) == 4)
            await trio.sleep(0.1)
            assert len(texts(server)) == 4
            poison = (Text("x"), Other("markdown", {"content": object()}))
            outcome = await rig.app.rooms.send(supervisor.adapter.rooms()[0].ref, poison)
            assert outcome.delivery is Delivery.REFUSED, "it cannot be written, so nothing has left"
            assert "error in the adapter" in outcome.reason
        outer.cancel_scope.cancel()


async def _free_port():
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        return listener.socket.getsockname()[1]


async def _post(port, signature, body):
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        head = f"POST /onebot HTTP/1.1\r\nHost: a\r\nX-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        await stream.send_all(head.encode() + body)
        return (await stream.receive_some(1000)).split(b"\r\n")[0]


async def test_a_port_that_is_taken_is_told_and_tried_again(monkeypatch):
    from qqops.runtime import listener as listening

    monkeypatch.setattr(listening, "REOPEN", 0.05)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    number = listener.socket.getsockname()[1]
    rig = Rig()
    supervisor, port = rig.account("main", listen=f"127.0.0.1:{number}")
    async with running(rig) as nursery:
        await rig.until(lambda: supervisor.state.phase is Phase.WAITING)
        assert "cannot listen" in supervisor.state.cause
        await listener.aclose()
        await rig.until(lambda: not port.trouble)
        server = OneBotServer(Implementation(rig.clock), reverse=[f"ws://127.0.0.1:{number}/"])
        await nursery.start(server.run)
        await rig.online(supervisor)


async def test_replies_go_out_over_a_reverse_connection_while_the_bot_stops():
    """It was called in on a port, and outlives the moment from which that port refuses what is new."""
    rig = Rig(grace=60)
    supervisor, port = rig.account("main", listen="127.0.0.1:0", token=Secret("t"))
    statuses = []

    async def call_while_it_stops():
        await rig.until(lambda: rig.app.dispatcher.closed)
        statuses.append(await _post(port.port, "", b"{}"))
        rig.release.set()

    async with trio.open_nursery() as outer:
        outer.start_soon(call_while_it_stops)
        async with running(rig):
            await rig.until(lambda: not port.trouble)
            server = OneBotServer(
                Implementation(rig.clock), token="t", reverse=[f"ws://127.0.0.1:{port.port}/"]
            )
            await outer.start(server.run)
            await rig.online(supervisor)
            statuses.append(await _post(port.port, "", b"{}"))
            inject(server, "slow")
            await rig.until(lambda: rig.handled)
        assert texts(server) == ["done"]
        assert [status.split()[1] for status in statuses] == [b"426", b"503"]
        outer.cancel_scope.cancel()


async def test_a_frame_of_fifty_megabytes_ends_the_connection_and_nothing_else():
    """With the settings as they are; another account does not notice, and memory comes back."""
    rig = Rig()
    server, other = OneBotServer(Implementation(rig.clock)), OneBotServer(Implementation(rig.clock))
    async with trio.open_nursery() as outer:
        supervisor, _ = rig.account("main", url=await outer.start(server.run))
        neighbour, _ = rig.account("other", url=await outer.start(other.run))
        async with running(rig):
            await rig.online(supervisor)
            await rig.online(neighbour)
            huge = [{"type": "text", "data": {"text": "x" * 50 * 2**20}}]
            server.control.inject({"kind": "group", "room": "ops", "from": "Ali", "segments": huge})
            await rig.until(lambda: any("rules" in link.cause for link in rig.links))
            inject(other, "m1")
            await rig.until(lambda: texts(other))
            await rig.online(supervisor)
            inject(server, "m1")
            await rig.until(lambda: texts(server))
            assert {link.account.id for link in rig.links if link.phase is Phase.WAITING} == {"main"}
            live = rig.app.supervisors[0].adapter._live
            assert len(live._api._partial) < 2**20
        outer.cancel_scope.cancel()


async def test_over_http_what_the_other_side_refuses(capsys):
    """Its refusals are told, and so are ours; what is posted while it is away is kept."""
    rig = Rig()
    async with trio.open_nursery() as outer:
        number = await _free_port()
        where = f"http://127.0.0.1:{number}/onebot"
        server = OneBotServer(Implementation(rig.clock, flavor="napcat"), token="t", post=where)
        url = (await outer.start(server.run)).replace("ws://", "http://")
        supervisor, port = rig.account(
            "main", url=url, listen=f"127.0.0.1:{number}", token=Secret("t"), ping_every=0.1
        )
        wrong, _ = rig.account("wrong", url=url, listen=f"127.0.0.1:{number}", path="/x", token=Secret("no"))
        async with running(rig):
            await rig.online(supervisor)
            await rig.until(lambda: "token" in wrong.state.cause and wrong.state.phase is Phase.WAITING)
            native = supervisor.adapter.native
            with pytest.raises(Refuse, match="no_such_action"):
                await native.call("no_such_action")
            server.control.call("POST", "kick", {})
            await rig.until(lambda: "QQ is offline" in supervisor.state.cause)
            server.control.call("POST", "online", {})
            await rig.until(lambda: supervisor.state.cause == "")
            assert b"403" in await _post(port.port, "sha1=00", b"{}")
            server.control.call("POST", "faults", {"fault": "http", "status": 502, "count": 10})
            await rig.until(lambda: supervisor.state.phase is not Phase.ONLINE)
            body = json.dumps(
                {"post_type": "message", "message": "m7", "user_id": 20001, "message_id": 7}
            ).encode()
            good = "sha1=" + hmac.new(b"t", body, hashlib.sha1).hexdigest()
            assert b"204" in await _post(port.port, good, body)
            await rig.until(lambda: texts(server) == ["r7 from main"])
        outer.cancel_scope.cancel()
    assert "is the secret (token) the same on both sides?" in capsys.readouterr().out


async def test_a_connection_that_is_reset_in_the_handshake_is_closed_here_too():
    """An unclosed socket is a warning, and a warning fails the test."""

    async def reset(stream):
        await stream.receive_some(1000)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, reset, listeners)
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(TransientError, match="cannot connect"):
            await connect(f"ws://127.0.0.1:{port}/", [], within=60, max_size=1000)
        nursery.cancel_scope.cancel()
