"""The official platform, simulated, on virtual time."""

import contextlib
import json
import random

import pytest
import trio

from qqops import (
    AccountRef,
    At,
    Ctx,
    FriendAdded,
    Image,
    Kick,
    Message,
    MessageRef,
    Other,
    PersonRef,
    Plugin,
    Recall,
    RoomKind,
    RoomRef,
    Rooms,
    Text,
)
from qqops.adapter import HttpRequest, Secret
from qqops.app import App, AppPolicy
from qqops.model import Delivery
from qqops.plugin.host import Candidate
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.listener import Listener
from qqops.runtime.observe import LinkState, Phase, Sent
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.local import LocalHttp
from qqops.simulator.onebot.local import LocalDial
from qqops.testing.bots import Nobody
from qqops.testing.contract import AdapterContract
from qqops.testing.virtual import VirtualClock, run_virtual
from qqops_qqofficial import wire
from qqops_qqofficial.adapter import QQOfficial
from qqops_qqofficial.options import Options, bits
from qqops_qqofficial.passive import MAX_REPLIES
from qqops_qqofficial.simulator import Platform

virtual = pytest.mark.trio(run=run_virtual)
ME = AccountRef("qqofficial", "main")
GOOD = {"app_id": "102000001", "secret": Secret("DG5g3B4j9X2KOErG"), "api": "http://sim", "room_gap": 0.0,
        "token_url": "http://sim/app/getAppAccessToken"}  # fmt: skip


class Rig:
    def __init__(self, nursery, listener=None, **options):
        self.clock = VirtualClock()
        self.platform = Platform(lambda: self.clock.now().timestamp())
        self.adapter = QQOfficial(
            ME, Options(**{**GOOD, **options}), self.clock.now, random.Random(1), listener,
            http=lambda: LocalHttp(self.platform), dial=LocalDial(self.platform.handle, nursery),
        )  # fmt: skip
        self.handled, self.sent, self.links = [], [], []
        self.app = App(AppPolicy(seed=1), clock=self.clock, operator=Nobody())
        self.app.host.load(Candidate(name="rig", load=self.plugin))
        self.app.observers.add(self.note)
        self.app.add_account(
            self.adapter, LinkPolicy(backoff=BackoffPolicy(first=1, cap=60)), OutboxPolicy(max_age=86400)
        )

    def note(self, record):
        if isinstance(record, Sent):
            self.sent.append(record)
        elif isinstance(record, LinkState):
            self.links.append(record)

    def plugin(self):
        plugin = Plugin("rig")

        @plugin.on(Message, regex=r"^m(?P<n>\d+)$")
        async def answer(ctx: Ctx, n: int) -> str:
            self.handled.append(n)
            return f"r{n}"

        @plugin.on(FriendAdded)
        async def welcome(ctx: Ctx, event: FriendAdded, *, rooms: Rooms) -> None:
            await rooms.send(RoomRef(ME, RoomKind.PRIVATE, event.sender.id), "welcome")

        @plugin.command("many")
        async def many(ctx: Ctx, n: int) -> None:
            for i in range(n):
                await ctx.reply(f"part {i}")

        @plugin.command("slow", timeout=1000)
        async def slow(ctx: Ctx, n: int) -> str:
            await trio.sleep(n)
            return "done"

        @plugin.command("show")
        async def show(what: str) -> object:
            return {
                "picture": Image("a.png", content=b"png"),
                "markdown": (Text("plain"), Other("markdown", {"content": "# rich"})),
                "link": "see http://x.example",
                "album": (
                    Text("two:"),
                    Image("a.png", content=b"1"),
                    Image("b.png", url="https://x/b.png"),
                    Text("done"),
                ),
                "mention": (At(PersonRef(ME, "U2")), Text(" hello <b>")),
            }[what]

        return plugin

    @property
    def state(self):
        return self.app.supervisors[0].state

    def texts(self):
        return [text for _, text, _ in self.platform.sent]

    async def until(self, condition, within=3600):
        step = 0.01
        with trio.fail_after(within):
            while not condition():
                await trio.sleep(step)
                step = min(step * 1.1, 0.5)  # the longer it takes, the less a moment matters

    async def online(self, within=3600):
        await self.until(lambda: self.state.phase is Phase.ONLINE and self.platform.peers, within)

    async def offline(self, within=3600):
        await self.until(lambda: self.state.phase is not Phase.ONLINE, within)


@contextlib.asynccontextmanager
async def running(**options):
    async with trio.open_nursery() as nursery:
        rig = Rig(nursery, **options)
        await nursery.start(rig.app.run, trio.Event())
        yield rig
        nursery.cancel_scope.cancel()


# -- gateway ------------------------------------------------------------------------------------


@virtual
async def test_groups_private_chats_and_channels():
    async with running() as rig:
        await rig.online()
        for n, chat in enumerate(["G1", "", "C1"]):
            rig.platform.say("U1", chat, f"m{n}")
        await rig.until(lambda: len(rig.sent) == 3)
        assert sorted((chat, text) for chat, text, _ in rig.platform.sent) == [
            ("C1", "r2"),
            ("G1", "r0"),
            ("U1", "r1"),
        ]
        assert {r.outcome.delivery for r in rig.sent} == {Delivery.DELIVERED}
        assert all(r.outcome.refs for r in rig.sent)
        assert {room.id for room in rig.adapter.rooms()} == {"G1", "U1", "channel/C1"}


@virtual
async def test_a_session_is_resumed_and_what_was_missed_comes():
    async with running() as rig:
        await rig.online()
        for n in range(4):
            rig.platform.trouble("close", code=4009)
            await rig.offline()
            rig.platform.say("U1", "G1", f"m{n}")
            await rig.online()
            await rig.until(lambda n=n: rig.handled == list(range(n + 1)))
            await trio.sleep(400)
        assert (rig.platform.identifies, rig.platform.resumes) == (1, 4)


@virtual
async def test_resuming_is_never_a_loop():
    async with running() as rig:
        await rig.online()
        rig.platform.deaf = True
        rig.platform.trouble("close", code=4009)
        await rig.offline()
        await rig.online(within=600)
        assert (rig.platform.identifies, rig.platform.resumes) == (2, 3)


@virtual
async def test_a_session_that_will_not_hold_is_given_up():
    async with running() as rig:
        for _ in range(6):
            await rig.online()
            rig.platform.trouble("close", code=4009)
            await rig.offline()
        await rig.online()
        assert rig.platform.identifies == 2


@pytest.mark.parametrize(
    ("fault", "identifies"),
    [({"fault": "reconnect"}, 1), ({"fault": "invalid", "resumable": True}, 1), ({"fault": "invalid"}, 2),
     ({"fault": "close", "code": 4006}, 2), ({"fault": "close", "code": 4902}, 2), ({"fault": "close", "code": 1006}, 1)],
)  # fmt: skip
@virtual
async def test_what_follows_an_end(fault, identifies):
    async with running() as rig:
        await rig.online()
        if fault.get("code") == 1006:
            rig.platform.trouble("close", code=1000)
        else:
            rig.platform.trouble(**fault)
        await rig.offline()
        await rig.online(within=120)
        assert rig.platform.identifies == identifies
        rig.platform.say("U1", "G1", "m1")
        await rig.until(lambda: rig.texts() == ["r1"])


@virtual
async def test_too_fast_means_a_minute():
    async with running() as rig:
        await rig.online()
        rig.platform.trouble("close", code=4008)
        await rig.offline()
        began = trio.current_time()
        await rig.online()
        assert trio.current_time() - began >= 59.9


@pytest.mark.parametrize("code", [4001, 4013, 4914, 4915])
@virtual
async def test_what_only_settings_can_change_stops_the_account(code):
    async with running() as rig:
        await rig.online()
        rig.platform.trouble("close", code=code)
        await rig.until(lambda: rig.state.phase is Phase.STOPPED)
        assert str(code) in rig.state.cause


@virtual
async def test_intents_that_are_not_permitted_are_spared_once():
    async with running() as rig:
        rig.platform.permitted = bits(("groups_and_c2c", "public_guild_messages", "direct_messages"))
        await rig.online()
        assert rig.platform.identifies == 2
    async with running() as rig:
        rig.platform.permitted = 0
        await rig.until(lambda: rig.state.phase is Phase.STOPPED)
        assert "groups_and_c2c" in rig.state.cause


@virtual
async def test_a_dead_connection_is_found_out_by_its_heartbeat():
    async with running() as rig:
        await rig.online()
        rig.platform.trouble("stall")
        began = trio.current_time()
        await rig.offline()
        assert "half-open" in rig.state.cause
        assert trio.current_time() - began < 100
        await rig.until(lambda: any(not p.stalled for p in rig.platform.peers))


@virtual
async def test_a_used_up_budget_waits_for_its_reset():
    async with running() as rig:
        rig.platform.remaining = 0
        await rig.until(lambda: "budget" in rig.state.cause)
        calls = rig.platform.calls
        await trio.sleep(50)
        assert rig.platform.calls == calls
        rig.platform.remaining = 10
        await rig.online()


# -- tokens -------------------------------------------------------------------------------------


@virtual
async def test_one_token_for_all_and_a_new_one_in_time():
    async with running() as rig:
        await rig.online()
        for n in range(5):
            rig.platform.say("U1", f"G{n}", f"m{n}")
        await rig.until(lambda: len(rig.sent) == 5)
        assert rig.platform.tokens == 1
        await trio.sleep(7200)
        rig.platform.say("U1", "G1", "m9")
        await rig.until(lambda: "r9" in rig.texts())
        assert rig.platform.tokens == 2


@virtual
async def test_a_token_that_is_not_valid_any_more_is_replaced_once():
    async with running() as rig:
        await rig.online()
        rig.platform.trouble("token")
        rig.platform.say("U1", "G1", "m1")
        await rig.until(lambda: rig.texts() == ["r1"])
        assert rig.platform.tokens == 2
        rig.platform.trouble("token")
        rig.platform.trouble("close", code=4009)
        await rig.offline()
        await rig.online(within=300)


@pytest.mark.parametrize("wrong", [{"app_id": "1"}, {"secret": Secret("x")}])
@virtual
async def test_a_wrong_id_or_secret_stops_the_account(wrong):
    async with running(**wrong) as rig:
        await rig.until(lambda: rig.state.phase is Phase.STOPPED)
        assert "AppID" in rig.state.cause


@virtual
async def test_a_platform_that_is_away_is_tried_again():
    async with running() as rig:
        rig.platform.reachable = False
        await trio.sleep(300)
        assert rig.state.phase is not Phase.STOPPED
        rig.platform.reachable = True
        await rig.online()


# -- sends --------------------------------------------------------------------------------------


@virtual
async def test_a_send_that_nobody_answered_is_safe_to_repeat():
    async with running() as rig:
        await rig.online()
        rig.platform.trouble("lost")
        rig.platform.say("U1", "G1", "m1")
        await rig.until(lambda: rig.sent)
        assert rig.texts() == ["r1"]
        assert rig.sent[0].outcome.delivery is Delivery.DELIVERED


@virtual
async def test_five_replies_and_not_one_more():
    async with running() as rig:
        await rig.online()
        rig.platform.say("U1", "G1", "/many 7")
        await rig.until(lambda: len(rig.sent) == 7)
        assert rig.texts() == [f"part {i}" for i in range(MAX_REPLIES)]
        assert [body["msg_seq"] for _, _, body in rig.platform.sent] == [1, 2, 3, 4, 5]
        refused = [r.outcome for r in rig.sent if not r.outcome.ok]
        assert len(refused) == 2
        assert "no message" in refused[0].reason


@virtual
async def test_a_late_answer_takes_the_newest_message_that_still_counts():
    async with running() as rig:
        await rig.online()
        rig.platform.say("U1", "G1", "/slow 400")
        await trio.sleep(200)
        newest = rig.platform.say("U2", "G1", "hello")
        await rig.until(lambda: rig.sent)
        assert rig.platform.sent[0][2]["msg_id"] == newest
        rig.platform.say("U1", "G1", "/slow 500")
        await rig.until(lambda: len(rig.sent) == 2)
        assert rig.sent[1].outcome.delivery is Delivery.REFUSED


@virtual
async def test_too_many_messages_wait_and_a_gateway_page_is_no_end():
    async with running() as rig:
        await rig.online()
        rig.platform.trouble("busy")
        rig.platform.trouble("http", status=502)
        rig.platform.say("U1", "G1", "m1")
        await rig.until(lambda: rig.sent)
        assert (rig.texts(), rig.sent[0].outcome.delivery) == (["r1"], Delivery.DELIVERED)


@virtual
async def test_pictures_markdown_links_and_mentions():
    async with running() as rig:
        await rig.online()
        for what in ("picture", "markdown", "link", "mention"):
            rig.platform.say("U1", "G1", f"/show {what}")
        rig.platform.say("U1", "C1", "/show mention")
        await rig.until(lambda: len(rig.sent) == 5)
        bodies = [body for _, _, body in rig.platform.sent]
        picture = next(body for body in bodies if "media" in body)
        assert picture["msg_type"] == 7
        assert picture["media"]["file_info"].startswith("info-")
        texts = rig.texts()
        assert "plain" in texts  # without the permission for markdown
        assert "<@U2> hello <b>" in texts
        assert "<@!U2> hello &lt;b&gt;" in texts
        assert "allow-list" in next(r.outcome.reason for r in rig.sent if not r.outcome.ok)


@virtual
async def test_two_pictures_are_two_messages_in_order():
    async with running() as rig:
        await rig.online()
        rig.platform.say("U1", "G1", "/show album")
        await rig.until(lambda: rig.sent)
        bodies = [body for _, _, body in rig.platform.sent]
        assert [(body["content"], body["msg_type"]) for body in bodies] == [("two:", 7), ("done", 7)]
        assert [body["msg_seq"] for body in bodies] == [1, 2]
        assert rig.sent[0].outcome.delivery is Delivery.DELIVERED
        assert len(rig.sent[0].outcome.refs) == 2


@virtual
async def test_a_new_friend_is_answered_by_the_id_of_the_event():
    async with running() as rig:
        await rig.online()
        rig.platform.push("FRIEND_ADD", {"openid": "U9", "timestamp": 1})
        await rig.until(lambda: rig.sent)
        ((chat, said, body),) = rig.platform.sent
        assert (chat, said) == ("U9", "welcome")
        assert body["event_id"].startswith("FRIEND_ADD:")
        assert "msg_id" not in body


@virtual
async def test_recall_and_what_the_platform_does_not_know():
    async with running() as rig:
        await rig.online()
        room = RoomRef(ME, RoomKind.GROUP, "G1")
        assert (await rig.adapter.act(Recall(message=MessageRef(room, "b1")))).ok
        assert not (await rig.adapter.act(Kick(room=room, person=PersonRef(ME, "U1")))).ok


@virtual
async def test_buttons_are_acknowledged_and_duplicates_dropped():
    async with running() as rig:
        await rig.online()
        rig.platform.push("INTERACTION_CREATE", {"id": "i1"})
        rig.platform.trouble("duplicate")
        rig.platform.say("U1", "G1", "m1")
        await rig.until(lambda: rig.sent)
        await trio.sleep(5)
        assert rig.platform.acknowledged == ["i1"]
        assert rig.handled == [1]


# -- webhook ------------------------------------------------------------------------------------


def test_the_signature_of_the_documentation():
    key = wire.signing_key("DG5g3B4j9X2KOErG")
    assert wire.validation(key, "Arq0D5A61EgUu4OxUvOp", "1725442341")["signature"] == (
        "87befc99c42c651b3aac0278e71ada338433ae26fcb24307bdc5ad38c1adc2d01bcfcadc0842edac85e85205028a1132"
        "afe09280305f13aa6909ffc2d652c706"
    )


@virtual
async def test_webhook():
    listener = Listener("127.0.0.1", 8080)
    listener.trouble = ""
    async with running(listener=listener, listen="127.0.0.1:8080") as rig:
        await rig.until(lambda: rig.state.phase is Phase.ONLINE)
        key = wire.signing_key("DG5g3B4j9X2KOErG")

        async def post(frame, *, late=0.0, body=None, sign=True):
            body = json.dumps(frame).encode() if body is None else body
            at = str(int(rig.clock.now().timestamp() - late))
            signature = key.sign(at.encode() + body).hex() if sign else "00" * 64
            headers = (
                ("x-signature-ed25519", signature),
                ("x-signature-timestamp", at),
                ("x-bot-appid", "102000001"),
            )
            return await listener.handle(HttpRequest(method="POST", target="/", headers=headers, body=body))

        challenge = await post({"op": 13, "d": {"plain_token": "a", "event_ts": "1"}})
        assert json.loads(challenge.body) == wire.validation(key, "a", "1")
        data = {"id": "m1", "content": " m1", "group_openid": "G1", "author": {"member_openid": "U1"}}
        rig.platform._messages["m1"] = rig.clock.now().timestamp()
        event = {"op": 0, "t": "GROUP_AT_MESSAGE_CREATE", "id": "e1", "d": data}
        assert json.loads((await post(event)).body) == {"op": 12}
        assert (await post(event)).status == 200
        await rig.until(lambda: rig.sent)
        await trio.sleep(5)
        assert rig.texts() == ["r1"]
        assert (await post(event, sign=False)).status == 401
        assert (await post(event, late=400)).status == 401
        assert (await post(None, body=b"%REDACTED")).status == 400


# -- the contract of adapters -------------------------------------------------------------------


class SlowHttp(LocalHttp):
    """Answers the next so many sends of a stage eight seconds late."""

    def __init__(self, stage):
        super().__init__(stage.platform)
        self.stage = stage

    async def call(self, method, url, *more, **named):
        late = self.stage.slow and url.endswith("/messages")
        self.stage.slow -= bool(late)
        reply = await super().call(method, url, *more, **named)
        await trio.sleep(8.0 if late else 0.0)
        return reply


class Stage:
    operator = Nobody()
    patience = 200.0
    secrets = (GOOD["secret"].reveal(),)

    def __init__(self, nursery, clock):
        self.slow = 0
        self.platform = Platform(lambda: clock.now().timestamp())
        self.adapter = QQOfficial(
            ME, Options(**GOOD), clock.now, random.Random(1),
            http=lambda: SlowHttp(self), dial=LocalDial(self.platform.handle, nursery),
        )  # fmt: skip
        self.rooms = {"ops": "G1", "qqops-test": "G2", "": ""}

    def say(self, who, room, text):
        self.platform.say(who, self.rooms[room], text)

    def said(self):
        names = {"G1": "ops", "G2": "qqops-test"}
        return [
            (names.get(chat, chat), f"{text}[file]" if "media" in body else text)
            for chat, text, body in self.platform.sent
        ]

    def connections(self):
        return len([p for p in self.platform.peers if not p.stalled])

    def drop(self):
        self.platform.trouble("close", code=4009)

    def trouble(self, what):
        match what:
            case "stall":
                self.platform.trouble("stall")
            case "duplicate":
                self.platform.trouble("duplicate")
            case "kick":
                self.platform.trouble("invalid")
            case "limit":
                self.platform.trouble("busy")
            case "slow":
                self.slow += 1


class TestContract(AdapterContract):
    can = frozenset({"ids", "encodes", "keeps", "secrets", "duplicate", "limit", "slow", "stall", "kick"})

    def stage(self, nursery, clock):
        return Stage(nursery, clock)

    test_a_long_text_arrives_whole_and_in_order = None  # five replies are not enough for it
