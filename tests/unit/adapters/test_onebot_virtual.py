"""The OneBot v11 adapter against a simulated implementation without sockets: every pathology, on virtual time."""

import contextlib

import pytest
import trio

from qqops import Ctx, Message, Plugin
from qqops.adapters.http.server import HttpRequest
from qqops.adapters.onebot11.adapter import OneBot11, check
from qqops.adapters.onebot11.arrivals import authorize
from qqops.adapters.onebot11.options import OneBotOptions
from qqops.app import App, AppPolicy
from qqops.errors import ConfigError
from qqops.model import AccountRef, Secret
from qqops.plugin.host import Candidate
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.listener import Listener
from qqops.runtime.observe import BadData, LinkState, Phase, Sent
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.onebot.implementation import Implementation
from qqops.simulator.onebot.local import LocalDial
from qqops.simulator.onebot.makes import MAKES
from qqops.simulator.onebot.server import OneBotServer
from qqops.testing.bots import Nobody
from qqops.testing.virtual import VirtualClock


class Rig:
    """A bot and an implementation in one process."""

    def __init__(
        self, flavor, nursery, *, reverse="", token="", url="ws://qq/", server_token=None, **options
    ):
        self.clock = VirtualClock()
        self.nursery = nursery
        self.server = OneBotServer(
            Implementation(self.clock, flavor=flavor, seed=1), token=token if server_token is None else server_token
        )  # fmt: skip
        self.dial = LocalDial(self.server.handle, nursery)
        self.listener = Listener("127.0.0.1", 8080) if reverse else None
        options = {"room_gap": 0.0, **options}
        options |= {"listen": "127.0.0.1:8080"} if reverse else {"url": url}
        self.adapter = OneBot11(
            AccountRef("onebot11", "main"), OneBotOptions(token=Secret(token), **options), self.clock.now, self.listener, self.dial
        )  # fmt: skip
        if self.listener is not None:
            self.listener.trouble = ""
            self.server._dial = LocalDial(self.listener.handle, nursery)
        self.reverse = reverse
        self.links, self.sent, self.bad, self.handled = [], [], [], []
        self.app = App(AppPolicy(seed=1), clock=self.clock, operator=Nobody())
        self.app.host.load(Candidate(name="rig", load=self.plugin))
        self.app.observers.add(self.note)
        self.app.add_account(
            self.adapter, LinkPolicy(backoff=BackoffPolicy(first=1, cap=60)), OutboxPolicy(max_age=86400)
        )  # fmt: skip

    def note(self, record):
        kinds = {LinkState: self.links, Sent: self.sent, BadData: self.bad}
        if type(record) in kinds:
            kinds[type(record)].append(record)

    def plugin(self):
        plugin = Plugin("rig")

        @plugin.on(Message, regex=r"^m(?P<n>\d+)$")
        async def answer(ctx: Ctx, n: int) -> str:
            self.handled.append(n)
            return f"r{n}"

        @plugin.on(Message, regex="^who$")
        async def who(ctx: Ctx) -> str:
            return ",".join(sorted(user.name for user in await self.adapter.members(ctx.room.ref)))

        return plugin

    def say(self, text, room="ops", who="Ali"):
        place = {"kind": "group", "room": room} if room else {"kind": "buddy"}
        self.call("inject", **place, **{"from": who, "text": text})

    def call(self, name, **data):
        return self.server.control.call("POST", name, data)

    @property
    def state(self):
        return self.app.supervisors[0].state

    def texts(self):
        return [said.text for said in self.server.it.sent]

    async def online(self, within=60):
        with trio.fail_after(within):
            while self.state.phase is not Phase.ONLINE or not self.server.peers:
                await trio.sleep(0.01)
            await trio.sleep(0.01)

    async def offline(self, within=3600):
        with trio.fail_after(within):
            while self.state.phase is Phase.ONLINE:
                await trio.sleep(0.01)

    async def settle(self, seconds=0.5):
        await trio.sleep(seconds)
        await trio.testing.wait_all_tasks_blocked()


@contextlib.asynccontextmanager
async def running(flavor="napcat", **options):
    async with trio.open_nursery() as nursery:
        rig = Rig(flavor, nursery, **options)
        await nursery.start(rig.app.run, trio.Event())
        for role in {"": (), "universal": (0,), "pair": (1, 2)}[rig.reverse]:
            nursery.start_soon(rig.server.call_out, "ws://app/onebot/v11/ws", role)
        yield rig
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("flavor", MAKES)
@pytest.mark.parametrize("reverse", ["", "universal", "pair"])
async def test_every_make_and_both_directions(flavor, reverse):
    async with running(flavor, reverse=reverse, token="t-1") as rig:
        await rig.online()
        rig.say("m1")
        rig.say("m2", room="", who="Bo")
        await rig.settle()
        assert sorted(rig.texts()) == ["r1", "r2"]
        assert {s.outcome.delivery.value for s in rig.sent} == {"delivered"}
        assert all(ref.id == str(said.id) for s, said in zip(rig.sent, rig.server.it.sent, strict=True)
                   for ref in s.outcome.refs)  # fmt: skip
        rig.say("who")
        await rig.settle()
        assert rig.texts()[-1] == "Ali,Bo,qqops-bot"
        assert [room.name for room in rig.adapter.rooms()] == ["qqops-test", "ops"]


async def test_split_connections():
    async with running("llbot", url="ws://qq/event", api_url="ws://qq/api") as rig:
        await rig.online()
        rig.say("m1")
        await rig.settle()
        assert rig.texts() == ["r1"]
        assert sorted((p.events, p.actions) for p in rig.server.peers) == [(False, True), (True, True)]


async def test_a_dropped_connection_comes_back_and_nothing_is_left():
    async with running() as rig:
        for n in range(5):
            await rig.online()
            rig.say(f"m{n}")
            await rig.settle()
            rig.call("drop")
            await rig.offline()
        assert rig.texts() == [f"r{n}" for n in range(5)]
        await rig.online()
        assert len(rig.server.peers) == 1


@pytest.mark.parametrize("reverse", ["", "universal"])
async def test_half_open_with_heartbeats_is_found_out_by_their_absence(reverse):
    async with running(reverse=reverse, ping_every=1e6) as rig:
        await rig.online()
        before = trio.current_time()
        rig.call("drop", stall=1e5)
        await rig.offline()
        assert "heartbeats are missing" in rig.state.cause
        assert trio.current_time() - before <= 91
        await rig.online()


async def test_half_open_without_heartbeats_is_found_out_by_a_ping():
    async with running("euler") as rig:
        await rig.online()
        await trio.sleep(3600)
        assert len(rig.links) == len([s for s in rig.links if s.phase is not Phase.WAITING])
        before = trio.current_time()
        rig.call("drop", stall=1e5)
        await rig.offline()
        assert "half-open" in rig.state.cause
        assert trio.current_time() - before <= 30.1
        await rig.online()


async def test_heartbeats_that_stop_end_the_session_though_pings_are_answered():
    async with running("gocq") as rig:
        await rig.online()
        rig.call("faults", fault="nobeat")
        await rig.offline()
        assert "heartbeats are missing" in rig.state.cause


@pytest.mark.parametrize("flavor", ["napcat", "gocq"])
async def test_failed_but_delivered_is_unknown_and_never_sent_again(flavor):
    async with running(flavor) as rig:
        await rig.online()
        rig.call("faults", fault="timeout")
        rig.say("m1")
        rig.say("m2")
        await rig.settle(60)
        assert rig.texts() == ["r1", "r2"]
        assert [s.outcome.delivery.value for s in rig.sent] == ["unknown", "delivered"]


async def test_a_refusal_says_why():
    async with running() as rig:
        await rig.online()
        rig.call("faults", fault="mute")
        rig.say("m1")
        await rig.settle()
        assert [s.outcome.delivery.value for s in rig.sent] == ["refused"]
        assert "120" in rig.sent[0].outcome.reason


async def test_no_answer_is_unknown_after_the_deadline():
    async with running(call_deadline=30) as rig:
        await rig.online()
        rig.call("faults", fault="silent", on="send_", after=True)
        rig.say("m1")
        rig.say("m2")
        await rig.settle(40)
        assert rig.texts() == ["r1", "r2"]
        assert [s.outcome.delivery.value for s in rig.sent] == ["unknown", "delivered"]


async def test_answers_out_of_order_and_late_find_their_requests():
    async with running() as rig:
        await rig.online()
        rig.call("faults", fault="reorder", on="send_", count=2)
        rig.call("faults", fault="late", on="send_", count=1, seconds=5)
        for n, room in enumerate(["ops", "qqops-test", ""]):
            rig.say(f"m{n}", room=room)
        await rig.settle(10)
        rig.say("m9")
        await rig.settle(10)
        assert sorted(rig.texts()) == ["r0", "r1", "r2", "r9"]
        for record in rig.sent:
            ids = {str(said.id): said.text for said in rig.server.it.sent}
            assert ids[record.outcome.refs[0].id] == record.draft.text


async def test_a_break_while_sending_is_unknown_when_it_was_on_the_wire():
    async with running() as rig:
        await rig.online()
        rig.call("faults", fault="close", on="send_", after=True)
        rig.say("m1")
        await rig.settle()
        await rig.online()
        rig.say("m2")
        await rig.settle()
        assert rig.texts() == ["r1", "r2"]
        assert [s.outcome.delivery.value for s in rig.sent] == ["unknown", "delivered"]


async def test_what_is_answered_while_offline_is_sent_afterwards_once():
    async with running() as rig:
        await rig.online()
        rig.dial.reachable = False
        rig.say("m1")
        rig.call("drop")
        await rig.offline()
        await trio.sleep(100)
        rig.dial.reachable = True
        await rig.online(within=200)
        rig.say("m2")
        await rig.settle()
        assert rig.texts() == ["r1", "r2"] or rig.texts() == ["r2"]


async def test_duplicates_are_handled_once_and_garbage_ends_nothing():
    async with running() as rig:
        await rig.online()
        rig.call("faults", fault="duplicate", on="message", count=3)
        for n in range(3):
            rig.say(f"m{n}")
        rig.call("faults", fault="garbage", on="message", count=2)
        rig.say("m7")
        rig.say("m8")
        await rig.settle()
        assert rig.texts() == ["r0", "r1", "r2", "r7", "r8"]
        assert len(rig.server.peers) == 1
        assert rig.bad
        assert len([s for s in rig.links if s.phase is Phase.ONLINE]) == 1


async def test_the_account_is_offline_while_the_socket_lives():
    async with running() as rig:
        await rig.online()
        rig.call("kick")
        await rig.settle()
        assert rig.state.phase is Phase.ONLINE
        assert "offline" in rig.state.cause
        rig.say("m1")
        await rig.settle()
        assert [s.outcome.delivery.value for s in rig.sent] == ["refused"]
        rig.call("online")
        await rig.settle()
        assert rig.state.cause == ""
        assert len(rig.server.peers) == 1


@pytest.mark.parametrize("flavor", MAKES)
async def test_a_wrong_token_is_told_and_backs_off(flavor):
    async with running(flavor, token="wrong", server_token="right") as rig:
        await trio.sleep(600)
        waits = [s for s in rig.links if s.phase is Phase.WAITING]
        assert 5 <= len(waits) <= 40
        assert Phase.ONLINE not in [s.phase for s in rig.links]
        assert any(word in waits[-1].cause for word in ("token", "401", "403"))


async def test_a_path_that_opens_and_stays_silent_is_told():
    async with running("llbot", url="ws://qq/onebot") as rig:
        await trio.sleep(30)
        assert Phase.ONLINE not in [s.phase for s in rig.links]
        assert "silent" in next(s.cause for s in rig.links if s.phase is Phase.WAITING)


async def test_a_newer_connection_takes_over_from_a_dead_one():
    async with running("euler", reverse="universal", ping_every=1e6) as rig:
        await rig.online()
        rig.call("drop", stall=9e5)  # no close is seen, no ping is sent
        rig.nursery.start_soon(rig.server.call_out, "ws://app/", 0)
        with trio.fail_after(10):  # long before anything could notice that the old one is dead
            while all(peer.stalled for peer in rig.server.peers):
                await trio.sleep(0.01)
        await rig.settle()
        rig.say("m1")
        await rig.settle()
        assert rig.texts() == ["r1"]
        assert [s.phase for s in rig.links].count(Phase.WAITING) == 0


async def test_events_before_the_introduction_is_over_are_kept():
    async with running() as rig:
        rig.call("faults", fault="late", on="get_group_list", seconds=3)
        while not rig.server.peers:
            await trio.sleep(0.01)
        rig.say("m1")
        await rig.online()
        await rig.settle()
        assert rig.texts() == ["r1"]


async def test_a_null_answer_of_every_action_is_no_end():
    async with running() as rig:
        rig.call("faults", fault="null", count=1000)
        await rig.online()
        rig.say("m1")
        rig.say("who")
        await rig.settle()
        assert rig.texts()[0] == "r1"
        assert len(rig.texts()) == 1


def test_settings_that_cannot_work_are_refused():
    for options in (
        OneBotOptions(),
        OneBotOptions(url="ws://a/", listen="127.0.0.1:1"),
        OneBotOptions(url="ftp://a/"),
        OneBotOptions(listen="nowhere"),
        OneBotOptions(listen="127.0.0.1:99999"),
    ):
        with pytest.raises(ConfigError):
            check(options)


@pytest.mark.parametrize(
    ("headers", "target", "status"),
    [
        ((("authorization", "Bearer s"),), "/", 0),
        ((("authorization", "bearer  s"),), "/", 0),
        ((("authorization", "Token s"),), "/", 0),
        ((("authorization", "s"),), "/", 0),
        ((), "/?access_token=s", 0),
        ((), "/", 401),
        ((("authorization", "Bearer "),), "/", 401),
        ((("authorization", "Bearer x"),), "/", 403),
        ((("authorization", "Bearer \xe4\udce4"),), "/", 403),
        ((), "/?access_token=%ff", 403),
        ((), "/?access_token=x", 403),
    ],
)
def test_tokens_in_every_form(headers, target, status):
    request = HttpRequest(method="GET", target=target, headers=headers, body=b"")
    assert authorize(request, "s") == status
    assert authorize(request, "") == 0
