"""OneBot v11 sessions from their first connection to their end: roles, numbers, what is under way, what is kept."""

import contextlib
import json

import pytest
import trio
import trio.testing

from qqops import Ctx, Message, Plugin, Refuse
from qqops.adapters.http.server import HttpRequest
from qqops.adapters.onebot11.adapter import OneBot11
from qqops.adapters.onebot11.intake import MAX_HELD, Intake
from qqops.adapters.onebot11.options import OneBotOptions
from qqops.app import App, AppPolicy
from qqops.errors import ConfigError, ProtocolError, TransientError
from qqops.model import AccountRef, Delivery, File, Forward, Image, Node, RoomKind, RoomRef, Secret, Text
from qqops.plugin.host import Candidate
from qqops.protocol.onebot11.answers import failure
from qqops.protocol.onebot11.events import Reader
from qqops.protocol.onebot11.flavors import FLAVORS
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.listener import Listener
from qqops.runtime.observe import LinkState, Overflow, Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.onebot.implementation import Implementation
from qqops.simulator.onebot.local import LocalDial
from qqops.simulator.onebot.server import OneBotServer
from qqops.testing.bots import Nobody
from qqops.testing.virtual import VirtualClock

OPS = RoomRef(AccountRef("onebot11", "a"), RoomKind.GROUP, "30002")


class House:
    """One port, some accounts behind it, and implementations that call."""

    def __init__(self, nursery, accounts):
        self.nursery = nursery
        self.clock = VirtualClock()
        self.listener = Listener("127.0.0.1", 8080)
        self.listener.trouble = ""
        self.app = App(AppPolicy(seed=1), clock=self.clock, operator=Nobody())
        self.said, self.links, self.overflows = [], [], []
        self.gate = trio.Event()
        self.app.host.load(Candidate(name="rig", load=self.plugin))
        self.app.observers.add(self.note)
        self.adapters = {}
        for name, options in accounts.items():
            adapter = OneBot11(
                AccountRef("onebot11", name), OneBotOptions(listen="127.0.0.1:8080", room_gap=0, **options),
                self.clock.now, self.listener,
            )  # fmt: skip
            self.adapters[name] = adapter
            self.app.add_account(
                adapter, LinkPolicy(backoff=BackoffPolicy(first=1, cap=60)), OutboxPolicy(max_age=86400)
            )
        self.dial = LocalDial(self.listener.handle, nursery)

    def note(self, record):
        for kind, into in ((LinkState, self.links), (Overflow, self.overflows)):
            if type(record) is kind:
                into.append(record)

    def plugin(self):
        plugin = Plugin("rig")

        @plugin.on(Message, regex=r"^m(?P<n>\d+)$")
        async def answer(ctx: Ctx, n: int) -> str:
            await self.gate.wait()
            self.said.append((ctx.account.id, n))
            return f"r{n}"

        return plugin

    def state(self, name="a"):
        return next(s.state for s in self.app.supervisors if s.adapter.account.id == name)

    def implementation(self, number=0):
        world_server = OneBotServer(Implementation(self.clock, flavor="napcat", seed=1))
        if number:
            me, world = world_server.it.me, world_server.it.world
            world.people[number] = world.people.pop(me.number)
            for group in world.groups.values():
                group.members[:] = [number if one == me.number else one for one in group.members]
            me.number = number
        world_server._dial = self.dial
        return world_server

    async def until(self, what, within=60):
        with trio.fail_after(within):
            while not what():
                await trio.sleep(0.01)
        await trio.testing.wait_all_tasks_blocked()


async def house(nursery, **accounts):
    made = House(nursery, accounts)
    made.gate.set()
    await nursery.start(made.app.run, trio.Event())
    return made


def say(server, text, who="Ali", room="ops"):
    server.control.call("POST", "inject", {"kind": "group", "room": room, "from": who, "text": text})


async def test_roles_of_two_accounts_are_never_paired():
    """An Event connection of one number and an API connection of another are not a pair."""
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={}, b={"self_id": 10002})
        one, two = rig.implementation(10001), rig.implementation(10002)
        nursery.start_soon(one.call_out, "ws://app/", 2)
        await trio.sleep(1)
        nursery.start_soon(two.call_out, "ws://app/", 1)
        await trio.sleep(30)
        assert rig.state("a").phase is not Phase.ONLINE
        assert rig.state("b").phase is not Phase.ONLINE
        assert "API" in rig.state("a").cause
        assert "Event" in rig.state("b").cause
        nursery.start_soon(one.call_out, "ws://app/", 1)
        nursery.start_soon(two.call_out, "ws://app/", 2)
        await rig.until(lambda: rig.state("a").phase is rig.state("b").phase is Phase.ONLINE)
        say(one, "m1")
        say(two, "m2")
        await rig.until(lambda: one.it.sent and two.it.sent)
        assert sorted(rig.said) == [("a", 1), ("b", 2)]
        assert ([s.text for s in one.it.sent], [s.text for s in two.it.sent]) == (["r1"], ["r2"])
        nursery.cancel_scope.cancel()


async def test_an_account_with_a_number_goes_before_one_that_takes_any():
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, any={}, b={"self_id": 10002})
        two = rig.implementation(10002)
        nursery.start_soon(two.call_out, "ws://app/", 0)
        await rig.until(lambda: rig.state("b").phase is Phase.ONLINE)
        assert rig.state("any").phase is not Phase.ONLINE
        nursery.cancel_scope.cancel()


async def test_roles_of_two_numbers_are_no_pair_for_an_account_without_a_number():
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={})
        one, two = rig.implementation(10001), rig.implementation(10002)
        nursery.start_soon(one.call_out, "ws://app/", 2)
        await trio.sleep(1)
        nursery.start_soon(two.call_out, "ws://app/", 1)
        await trio.sleep(20)
        assert "404" in two.trouble
        assert "API" in rig.state().cause
        nursery.cancel_scope.cancel()


async def test_two_accounts_without_a_number_on_one_path_are_refused():
    """Which of them got which number would be a matter of who calls first."""
    listener = Listener("127.0.0.1", 8080)
    options = OneBotOptions(listen="127.0.0.1:8080")
    OneBot11(AccountRef("onebot11", "a"), options, VirtualClock().now, listener)
    with pytest.raises(ConfigError, match="onebot11:a and onebot11:b both want /"):
        OneBot11(AccountRef("onebot11", "b"), options, VirtualClock().now, listener)


async def test_a_stranger_cannot_take_over():
    """Once the number is known, a connection of another number is nobody's."""
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={})
        one, two = rig.implementation(10001), rig.implementation(10002)
        nursery.start_soon(one.call_out, "ws://app/", 0)
        await rig.until(lambda: rig.state().phase is Phase.ONLINE)
        nursery.start_soon(two.call_out, "ws://app/", 0)
        await trio.sleep(20)
        assert "404" in two.trouble
        say(one, "m1")
        await rig.until(lambda: rig.said)
        assert rig.adapters["a"]._reader.self_id == "10001"
        nursery.cancel_scope.cancel()


async def test_the_number_of_the_settings_is_held_against_the_login():
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={"self_id": 10001})
        one = rig.implementation(10001)
        one.it.me.number = 10009
        one._poster = None
        headers = [("X-Self-ID", "10001"), ("X-Client-Role", "Universal")]
        socket = await rig.dial("ws://app/", headers, within=5, max_size=2**20)
        nursery.start_soon(swallow, one.talk, socket)
        await rig.until(lambda: "10009" in rig.state().cause)
        assert "self_id = 10001" in rig.state().cause
        nursery.cancel_scope.cancel()


async def swallow(talk, socket):
    try:
        await talk(socket, events=True, actions=True)
    except TransientError:
        return


@pytest.mark.parametrize(("first", "then"), [((0,), (1, 2)), ((1, 2), (0,))])
async def test_a_pair_takes_over_from_a_universal_and_back(first, then):
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={"ping_every": 1e6})
        one = rig.implementation()
        for role in first:
            nursery.start_soon(one.call_out, "ws://app/", role)
        await rig.until(lambda: rig.state().phase is Phase.ONLINE)
        one.control.call("POST", "drop", {"stall": 9e5})
        for role in then:
            nursery.start_soon(one.call_out, "ws://app/", role)
        await rig.until(lambda: any(not p.stalled for p in one.peers), within=10)
        await trio.sleep(0.5)
        say(one, "m1")
        await rig.until(lambda: rig.said, within=10)
        nursery.cancel_scope.cancel()


async def test_a_connection_that_ends_while_it_waits_is_forgotten():
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={})
        headers = [("X-Self-ID", "10001"), ("X-Client-Role", "Event")]
        socket = await rig.dial("ws://app/", headers, within=5, max_size=2**20)
        await rig.until(lambda: "API" in rig.state().cause)
        await socket.aclose()
        await rig.until(lambda: "waiting for a connection" in rig.state().cause)
        nursery.cancel_scope.cancel()


async def test_what_came_on_a_connection_that_was_never_used_is_handled():
    """An Event connection waits for its API in vain and goes; what it has brought is kept for the next pair."""
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={})
        headers = [("X-Self-ID", "10001"), ("X-Client-Role", "Event")]
        for n in (1, 2):
            socket = await rig.dial("ws://app/", headers, within=5, max_size=2**20)
            nursery.start_soon(quietly, socket.write)
            for data in (json.dumps(message(n)).encode(), b"not json", b'{"echo": "q1", "status": "ok"}'):
                socket.put(data)
            socket.ping()
            await trio.sleep(1)
            if n == 2:
                await socket.abort()
        one = rig.implementation(10001)
        for role in (1, 2):
            nursery.start_soon(one.call_out, "ws://app/", role)
        await rig.until(lambda: len(rig.said) == 2)
        assert [n for _, n in rig.said] == [1, 2]
        nursery.cancel_scope.cancel()


async def quietly(run):
    with contextlib.suppress(TransientError):
        await run()


async def test_a_call_that_waits_hears_of_the_end_of_its_session():
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={})
        one = rig.implementation()
        nursery.start_soon(one.call_out, "ws://app/", 0)
        await rig.until(lambda: rig.state().phase is Phase.ONLINE)
        one.control.call("POST", "faults", {"fault": "silent", "on": "get_status"})
        refused = []

        async def ask():
            with pytest.raises(Refuse) as info:
                await rig.adapters["a"].native.call("get_status")
            refused.append((str(info.value), trio.current_time()))

        nursery.start_soon(ask)
        await trio.sleep(1)
        began = trio.current_time()
        one.control.call("POST", "drop", {})
        await rig.until(lambda: refused)
        assert "session ended" in refused[0][0]
        assert refused[0][1] - began < 1
        nursery.cancel_scope.cancel()


async def test_what_waits_for_the_bot_outlives_the_session():
    """Five messages are accepted and not begun when the connection breaks: the next session hands them over."""
    async with trio.open_nursery() as nursery:
        rig = House(nursery, {"a": {}})
        await nursery.start(rig.app.run, trio.Event())
        one = rig.implementation()
        nursery.start_soon(one.call_out, "ws://app/", 0)
        await rig.until(lambda: rig.state().phase is Phase.ONLINE)
        rig.adapters["a"]._intake._held.extend([])
        rig.app.dispatcher._policy = type(rig.app.dispatcher._policy)(backlog=1)
        for n in range(6):
            say(one, f"m{n}")
        await trio.sleep(1)
        assert len(rig.adapters["a"]._intake._held) >= 4
        one.control.call("POST", "drop", {})
        await trio.sleep(0.5)
        rig.gate.set()
        await rig.until(lambda: len(rig.said) == 6)
        assert [n for _, n in rig.said] == list(range(6))
        nursery.cancel_scope.cancel()


class Spy:
    """A link that is full."""

    full = True

    def __init__(self):
        self.events, self.overflows, self.notes = [], [], []

    def event(self, event):
        self.events.append(event)

    def chatter(self, text):
        return False

    def overflow(self, dropped):
        self.overflows.append(dropped)

    def note(self, cause):
        self.notes.append(cause)

    async def ready(self):
        await trio.lowlevel.checkpoint()


def message(n, **more):
    return {"post_type": "message", "message_type": "group", "group_id": 1, "user_id": 2, "message_id": n,
            "message": [{"type": "text", "data": {"text": f"m{n}"}}], "time": 1764000000, **more}  # fmt: skip


async def test_twenty_thousand_are_kept_and_the_rest_is_counted():
    intake, link = Intake(Reader(OPS.account, VirtualClock().now)), Spy()
    intake.begin(link)
    taken = [intake.take(message(n)) for n in range(MAX_HELD + 3)]
    assert taken[:MAX_HELD] == [True] * MAX_HELD
    assert taken[MAX_HELD:] == [False] * 3
    assert link.overflows == [1, 2, 3]
    link.full = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(intake.deliver, link)
        await intake.roomy()
        nursery.cancel_scope.cancel()
    assert [int(event.text[1:]) for event in link.events] == list(range(MAX_HELD))


@pytest.mark.parametrize("interval", [0, None, "", "x", -5, 10**400, 1e308, float("nan"), [], 5000])
async def test_heartbeats_with_any_interval(interval):
    intake, link = Intake(Reader(OPS.account, VirtualClock().now)), Spy()
    intake.begin(link)
    beat = {"post_type": "meta_event", "meta_event_type": "heartbeat", "status": {"online": False}}
    assert intake.take(beat if interval is None else {**beat, "interval": interval})
    assert intake.take(message(1))
    assert link.notes
    with trio.move_on_after(3600) as scope:
        if interval == 5000:
            with pytest.raises(TransientError, match="heartbeats are missing"):
                await intake.watch_heartbeat()
        else:
            await intake.watch_heartbeat()
    assert scope.cancelled_caught == (interval != 5000)


async def test_messages_without_an_id_are_no_duplicates_of_each_other():
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={})
        one = rig.implementation()
        nursery.start_soon(one.call_out, "ws://app/", 0)
        await rig.until(lambda: rig.state().phase is Phase.ONLINE)
        for n in range(3):
            frame = message(n)
            del frame["message_id"]
            one.control.call("POST", "inject", {"kind": "raw", "frame": frame})
        await rig.until(lambda: len(rig.said) == 3)
        nursery.cancel_scope.cancel()


async def test_a_field_that_the_reader_does_not_expect_costs_one_event():
    intake, link = Intake(Reader(OPS.account, VirtualClock().now)), Spy()
    link.full = False
    intake.begin(link)
    intake._reader.read = lambda frame: 1 // 0
    with pytest.raises(ProtocolError, match="ZeroDivisionError"):
        intake.take(message(1))


async def test_notices_are_told_once():
    reader = Reader(OPS.account, VirtualClock().now)
    base = {"post_type": "notice", "self_id": 1, "time": 1764000000}
    friend = {**base, "notice_type": "friend_add", "user_id": 7}
    assert reader.read(friend) is not None
    assert reader.read({**friend, "time": 1764000001}) is None  # some tell it several times
    poke = {**base, "notice_type": "notify", "sub_type": "poke", "user_id": 7, "target_id": 1, "group_id": 5}
    assert reader.read(poke) is not None
    assert reader.read(dict(reversed(poke.items()))) is None
    assert reader.read({**poke, "time": 1764000002}) is not None


async def test_groups_come_and_go():
    adapter = OneBot11(OPS.account, OneBotOptions(url="ws://x/"), VirtualClock().now, None)
    reader = adapter._reader
    reader.self_id = "1"
    base = {"post_type": "notice", "self_id": 1, "time": 1764000000, "group_id": 55, "user_id": 1}
    reader.read({**base, "notice_type": "group_increase", "group_name": "New"})
    assert [room.name for room in adapter.rooms()] == ["New"]
    reader.read({**base, "notice_type": "group_decrease", "sub_type": "kick_me"})
    assert adapter.rooms() == []
    reader.read(message(1, group_id=56, group_name="Heard of"))
    assert [room.name for room in adapter.rooms()] == ["Heard of"]


@pytest.mark.parametrize(
    ("words", "unknown"),
    [
        ("Timeout: NTEvent serviceAndMethod:NodeIKernelMsgService/sendMsg", True),
        ('Timeout: NTEvent … EventRet: {"result": 0}', True),
        ("EventChecker Failed: NTEvent EventRet: {result: {}}", True),
        ('Timeout: NTEvent … EventRet: {"result": 120, "errMsg": ""}', False),
        ('EventRet: {"result": -1}', False),
        ("retcode 1200", False),
    ],
)
def test_what_leaves_open_whether_it_was_delivered(words, unknown):
    frame = {"status": "failed", "retcode": 1200, "message": words}
    for flavor in ("napcat", "llbot", "snowluma"):
        assert failure("send", frame, FLAVORS[flavor]).unknown is unknown


# -- contents -----------------------------------------------------------------------------------


async def post(rig, name, content):
    return await rig.app.rooms.send(RoomRef(AccountRef("onebot11", name), RoomKind.GROUP, "30002"), content)


async def test_text_beside_a_forward_and_who_does_not_know_forwards():
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={})
        one = rig.implementation()
        nursery.start_soon(one.call_out, "ws://app/", 0)
        await rig.until(lambda: rig.state().phase is Phase.ONLINE)
        talk = (
            Text("look:"),
            Forward(nodes=(Node("7", "Ali", (Text("one"),)), Node("8", "Bo", (Text("two"),)))),
        )
        assert (await post(rig, "a", talk)).delivery is Delivery.DELIVERED
        (nodes,) = one.it.nodes.values()
        assert [node["data"]["content"][0]["data"]["text"] for node in nodes] == ["look:", "one", "two"]
        del one.exchange.actions._table["send_group_forward_msg"]
        assert (await post(rig, "a", talk)).delivery is Delivery.DELIVERED
        assert one.it.sent[-1].text == f"{one.it.me.number}: look:\nAli: one\nBo: two"
        nursery.cancel_scope.cancel()


async def test_contents_go_into_frames_or_a_folder_and_have_a_limit(tmp_path):
    source = tmp_path / "a.png"
    source.write_bytes(b"file")
    shared = tmp_path / "shared"
    async with trio.open_nursery() as nursery:
        rig = await house(
            nursery, a={"self_id": 10001, "max_media": 0.001},
            b={"self_id": 10002, "media_folder": str(shared), "media_seen_as": "/app/media"},
        )  # fmt: skip
        one, two = rig.implementation(10001), rig.implementation(10002)
        for server in (one, two):
            nursery.start_soon(server.call_out, "ws://app/", 0)
        await rig.until(lambda: rig.state("a").phase is rig.state("b").phase is Phase.ONLINE)

        async def image(name, server, picture):
            outcome = await post(rig, name, (Text("see"), picture))
            if not outcome.ok:
                return outcome.reason
            return server.it.messages[int(outcome.refs[0].id)].segments[1]["data"]["file"]

        assert await image("a", one, Image("a.png", content=b"abc")) == "base64://YWJj"
        assert await image("a", one, Image("a.png", url=source.as_uri())) == "base64://ZmlsZQ=="
        assert await image("a", one, Image("a.png", url="https://x/y.png")) == "https://x/y.png"
        assert "max_media" in await image("a", one, Image("a.png", content=b"x" * 2000))
        assert "cannot be read" in await image("a", one, Image("a.png", url="file:///nowhere/at/all"))
        placed = await image("b", two, Image("a.png", content=b"abc"))
        assert placed.startswith("file:///app/media/")
        assert (shared / placed.rpartition("/")[2]).read_bytes() == b"abc"
        room = RoomRef(AccountRef("onebot11", "b"), RoomKind.GROUP, "30002")
        await rig.adapters["b"].native.files.upload(room, File(name="x.txt", content=b"abc"))
        assert two.it.done[-1]["file"] == placed
        shared.chmod(0o500)
        nursery.cancel_scope.cancel()


async def test_an_answer_in_parts_is_taken_whole():
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={})
        one = rig.implementation()
        nursery.start_soon(one.call_out, "ws://app/", 0)
        await rig.until(lambda: rig.state().phase is Phase.ONLINE)
        calls, parts, frames = rig.adapters["a"]._live.calls, [], []

        async def ask():
            frames.append(await calls.ask("download_file_stream", {}, 5, parts.append))

        one.control.call("POST", "faults", {"fault": "silent", "on": "download_file_stream"})
        nursery.start_soon(ask)
        await trio.sleep(0.1)
        echo = next(iter(calls._waiting))
        (peer,) = one.peers
        for n in range(4):  # longer than the deadline in all, and never silent for so long
            await trio.sleep(4)
            peer.put({"status": "ok", "retcode": 0, "echo": echo, "stream": "stream-action",
                            "data": {"type": "stream" if n < 3 else "response", "n": n}})  # fmt: skip
        await rig.until(lambda: frames)
        assert [part["data"]["n"] for part in parts] == [0, 1, 2]
        assert frames[0]["data"]["n"] == 3
        nursery.cancel_scope.cancel()


async def test_who_does_not_read_is_given_up():
    """It speaks all the time, so no ping would ever find it dead; nothing of ours gets through."""
    async with trio.open_nursery() as nursery:
        rig = await house(nursery, a={"ping_every": 5, "ping_patience": 5})
        one = rig.implementation()
        nursery.start_soon(one.call_out, "ws://app/", 0)
        await rig.until(lambda: rig.state().phase is Phase.ONLINE)

        async def blocked(data):
            await trio.sleep_forever()

        async def chat():
            while True:
                one.control.call("POST", "inject", {"kind": "raw", "frame": {"post_type": "meta_event"}})
                await trio.sleep(1)

        rig.adapters["a"]._live._api._stream.send_all = blocked
        nursery.start_soon(chat)
        say(one, "m1")
        await rig.until(lambda: "read nothing" in rig.links[-1].cause, within=30)
        nursery.cancel_scope.cancel()


async def test_a_post_for_nobody():
    """Events that are posted while no session is open are kept; a wrong signature is refused and told."""
    listener = Listener("127.0.0.1", 1)
    adapter = OneBot11(
        OPS.account,
        OneBotOptions(url="http://x/", listen="127.0.0.1:1", token=Secret("s")),
        VirtualClock().now,
        listener,
    )
    answer = adapter._take_post(HttpRequest(method="POST", target="/", headers=(), body=b"{}"))
    assert answer.status == 401
