"""The networks of the core keep the contract of adapters."""

import random

import attrs

from qqops.adapters.memory import EVERYTHING, MemoryAdapter, MemoryNetwork
from qqops.adapters.onebot11.adapter import OneBot11
from qqops.adapters.onebot11.options import OneBotOptions
from qqops.adapters.webqq.adapter import WebQQ, WebQQOptions
from qqops.model import AccountRef, Secret, Text
from qqops.runtime.listener import Listener
from qqops.simulator.local import LocalHttp
from qqops.simulator.onebot.implementation import Implementation
from qqops.simulator.onebot.local import LocalDial
from qqops.simulator.onebot.server import OneBotServer
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.state import Item
from qqops.testing.bots import Nobody
from qqops.testing.contract import AdapterContract

WEBQQ = frozenset(
    {
        "lists",
        "encodes",
        "keeps",
        "secrets",
        "echoes",
        "duplicate",
        "unknown",
        "refuse",
        "garbage",
        "stall",
        "kick",
    }
)
ONEBOT = frozenset(
    {
        "ids",
        "lists",
        "encodes",
        "secrets",
        "echoes",
        "duplicate",
        "garbage",
        "unknown",
        "refuse",
        "slow",
        "reorder",
        "stall",
    }
)


class MemoryStage:
    operator = Nobody()
    patience = 10.0

    def __init__(self, clock):
        self.network = MemoryNetwork(AccountRef("memory", "main"), clock)
        self.adapter = MemoryAdapter(self.network, can=attrs.evolve(EVERYTHING, max_bytes=1000))
        for name in ("ops", "qqops-test"):
            self.network.group(name, "Ali", "Bo")

    def say(self, who, room, text):
        self.network.say(who, self.network.rooms[room] if room else self.network.private(who), text)

    def said(self):
        names = {r.ref: r.name for r in self.network.rooms.values()}
        people = {u.id: u.name for u in self.network.users.values()}
        return [(names.get(d.room) or people[d.room.id], d.text) for d in self.network.sent]

    def connections(self):
        return int(self.network._break is not None)

    def drop(self):
        self.network.drop()

    def trouble(self, what):
        self.network.drop()


class Looks(Nobody):
    """Sees the picture; the simulator scans it by itself."""

    async def show(self, question):
        pass


class WebStage:
    operator = Looks()
    patience = 200.0  # the poll that is held, and twice as long for the one that nobody answers

    def __init__(self, profile, clock):
        self.server = Server(Service(clock, options=ServiceOptions(hold=60.0, seed=1)))
        more = {"number": 100200300, "password": Secret("sim-pass-1")} if profile == "webqq2013" else {}
        self.adapter = WebQQ(
            AccountRef("webqq", "main"), WebQQOptions(profile=profile, send_gap=0.0, kick_pause=5.0, **more), clock=clock,
            rng=random.Random(1), http=lambda: LocalHttp(self.server),
        )  # fmt: skip

    def call(self, name, **data):
        self.server.control.call("POST", name, data)

    @property
    def secrets(self):
        live = self.server.service.state.sessions.values()
        cookies = [one for s in live for one in (s.skey, s.ptwebqq, s.vfwebqq, s.psessionid, s.p_skey)]
        return [one for one in ("sim-pass-1", *cookies) if one]

    def say(self, who, room, text):
        if not who:
            return self.say_from_the_phone(room, text)
        place = {"kind": "group", "room": room} if room else {"kind": "buddy"}
        return self.call("inject", **place, **{"from": who, "text": text})

    def say_from_the_phone(self, room, text):
        state, me = self.server.service.state, self.server.service.world.bots[0].number
        number = self.server.service.world.room(room).number
        item = Item(
            kind="group", sender=me, room=number, segments=(Text(text),), msg_id=state.next_message(), seq=1
        )
        state.put(me, item)

    def said(self):
        return [(line.name, line.text) for line in self.server.service.state.sent]

    def connections(self):
        return sum(s.hold is not None and not s.code for s in self.server.service.state.live.values())

    def drop(self):
        self.call("drop")

    def trouble(self, what):
        match what:
            case "stall":
                self.call("faults", fault="stall", on="poll2", count=3)
            case "kick":
                self.call("kick")
            case "duplicate":
                self.call("faults", fault="duplicate", count=2)
            case "unknown":
                self.call("faults", fault="close", on="send_", after=True)
            case "refuse":
                self.call("faults", fault="retcode", on="send_", code=100001)
            case "garbage":
                self.call("inject", kind="raw", item={"poll_type": "group_message", "value": 7})


class OneBotStage:
    operator = Nobody()
    patience = 100.0
    secrets = ("sim-token-1",)

    def __init__(self, nursery, clock, flavor, reverse):
        self.server = OneBotServer(Implementation(clock, flavor=flavor, seed=1), token="sim-token-1")
        dial = LocalDial(self.server.handle, nursery)
        listener = Listener("127.0.0.1", 8080) if reverse else None
        where = {"listen": "127.0.0.1:8080"} if reverse else {"url": "ws://qq/"}
        options = OneBotOptions(token=Secret("sim-token-1"), room_gap=0.0, **where)
        self.adapter = OneBot11(AccountRef("onebot11", "main"), options, clock.now, listener, dial)
        if listener is not None:
            listener.trouble = ""
            self.server._dial = LocalDial(listener.handle, nursery)
            nursery.start_soon(self.server.call_out, "ws://app/", 0)
        self.reverse = reverse

    def call(self, name, **data):
        self.server.control.call("POST", name, data)

    def say(self, who, room, text):
        if not who:  # on the phone
            world = self.server.it.world
            self.server.it.say(
                self.server.it.me, world.room(room), [{"type": "text", "data": {"text": text}}]
            )
            return
        place = {"kind": "group", "room": room} if room else {"kind": "buddy"}
        self.call("inject", **place, **{"from": who, "text": text})

    def said(self):
        it = self.server.it
        return [(it.name_of(s.kind, s.room), s.text) for s in it.sent]

    def connections(self):
        return len([p for p in self.server.peers if not p.stalled])

    def drop(self):
        self.call("drop")

    def trouble(self, what):
        match what:
            case "stall":
                self.call("drop", stall=1000.0)
            case "duplicate":
                self.call("faults", fault="duplicate", on="message", count=2)
            case "garbage":
                self.call("faults", fault="garbage", on="message")
            case "unknown":
                self.call("faults", fault="timeout")
            case "refuse":
                self.call("faults", fault="mute")
            case "slow":
                self.call("faults", fault="late", on="send_", seconds=8.0)
            case "reorder":
                self.call("faults", fault="reorder", on="send_")


class TestMemory(AdapterContract):
    can = frozenset({"ids", "lists", "keeps", "kick"})

    def stage(self, nursery, clock):
        return MemoryStage(clock)


class TestWebQQ2013(AdapterContract):
    can = WEBQQ

    def stage(self, nursery, clock):
        return WebStage("webqq2013", clock)


class TestSmartQQ(AdapterContract):
    can = WEBQQ

    def stage(self, nursery, clock):
        return WebStage("smartqq", clock)


class TestNapCat(AdapterContract):
    can = ONEBOT

    def stage(self, nursery, clock):
        return OneBotStage(nursery, clock, "napcat", reverse=False)


class TestSnowLumaReverse(AdapterContract):
    can = ONEBOT

    def stage(self, nursery, clock):
        return OneBotStage(nursery, clock, "snowluma", reverse=True)


class TestGoCqhttp(AdapterContract):
    can = ONEBOT

    def stage(self, nursery, clock):
        return OneBotStage(nursery, clock, "gocq", reverse=True)
