"""What a OneBot v11 account can do besides sending, against simulated implementations."""

import datetime

import pytest
import trio

from qqops import (
    Announce,
    Answer,
    Highlight,
    Kick,
    LeaveRoom,
    Mute,
    Poke,
    React,
    Recall,
    Refuse,
    RemoveFriend,
    RequestRef,
    SetAdmin,
    SetCard,
    SetMemberCard,
    SetRoomName,
    SetStatus,
    SetTitle,
    Upload,
)
from qqops.adapters.onebot11.actions import GroupFile, OneBot
from qqops.adapters.onebot11.calls import ActionFailed
from qqops.adapters.onebot11.media import Media
from qqops.adapters.onebot11.options import OneBotOptions
from qqops.errors import TransientError
from qqops.model import (
    AccountRef,
    Delivery,
    File,
    FileOffered,
    Forward,
    Image,
    MessageRef,
    Node,
    PersonRef,
    Room,
    RoomKind,
    RoomRef,
    Text,
    User,
)
from qqops.protocol.onebot11.events import Reader
from qqops.protocol.onebot11.flavors import UNKNOWN
from qqops.simulator.onebot.actions import Actions
from qqops.simulator.onebot.implementation import Implementation
from qqops.testing.virtual import VirtualClock

ME = AccountRef("onebot11", "main")
OPS, ALI = RoomRef(ME, RoomKind.GROUP, "30002"), PersonRef(ME, "20001")
CHAT = RoomRef(ME, RoomKind.PRIVATE, "20001")


class Wire:
    """Takes the place of the connection: asks the implementation at once."""

    flavor = UNKNOWN

    def __init__(self, flavor):
        self.it = Implementation(VirtualClock(), flavor=flavor)
        self.it.push = self.note
        self.actions, self.asked, self.answers, self.events = Actions(self.it), [], {}, []

    def note(self, frame):
        self.events.append(frame)

    async def call(self, action, params=None, deadline=0.0):
        await trio.lowlevel.checkpoint()
        self.asked.append((action, params or {}))
        if action in self.answers:
            found = self.answers[action]
            if isinstance(found, Exception):
                raise found
            return found
        frame = self.actions.do(action, params or {})
        if frame["status"] != "ok":
            missing = frame["retcode"] in (404, 1404)
            raise ActionFailed(action, frame["retcode"], frame["message"], missing=missing)
        return frame["data"]


class Rig:
    def __init__(self, flavor="napcat"):
        self.wire = Wire(flavor)
        clock = VirtualClock()
        self.reader = Reader(ME, clock.now)
        self.reader.self_id = "100200300"
        self.fetched = []
        media = Media(OneBotOptions())
        media.fetch = self.download
        self.bot = OneBot(self.reader, self.wire, media, 600)

    async def download(self, url):
        self.fetched.append(url)
        if "expired" in url:
            raise Refuse("403")
        return b"content"

    @property
    def last(self):
        return self.wire.asked[-1]


MESSAGE = MessageRef(OPS, "-77")
ACTIONS = [
    (Recall(message=MESSAGE), "delete_msg", {"message_id": -77}),
    (Mute(room=OPS, person=ALI, seconds=60), "set_group_ban", {"duration": 60, "user_id": 20001}),
    (Mute(room=OPS, person=ALI, seconds=10**9), "set_group_ban", {"duration": 30 * 86400 - 1}),
    (Mute(room=OPS), "set_group_whole_ban", {"enable": True}),
    (Mute(room=OPS, seconds=0), "set_group_whole_ban", {"enable": False}),
    (Kick(room=OPS, person=ALI, ban=True), "set_group_kick", {"reject_add_request": True}),
    (SetAdmin(room=OPS, person=ALI, on=False), "set_group_admin", {"enable": False}),
    (SetMemberCard(room=OPS, person=ALI, text="A"), "set_group_card", {"card": "A", "user_id": 20001}),
    (SetCard(room=OPS, text="B"), "set_group_card", {"card": "B", "user_id": 100200300}),
    (SetTitle(room=OPS, person=ALI, text="T"), "set_group_special_title", {"special_title": "T"}),
    (SetRoomName(room=OPS, text="N"), "set_group_name", {"group_name": "N"}),
    (LeaveRoom(room=OPS), "set_group_leave", {"group_id": 30002}),
    (Highlight(message=MESSAGE), "set_essence_msg", {"message_id": -77}),
    (Highlight(message=MESSAGE, on=False), "delete_essence_msg", {"message_id": -77}),
    (Announce(room=OPS, text="x"), "_send_group_notice", {"content": "x"}),
    (Poke(room=OPS, person=ALI), "group_poke", {"user_id": 20001}),
    (Poke(room=CHAT), "friend_poke", {"user_id": 20001}),
    (RemoveFriend(person=ALI), "delete_friend", {"user_id": 20001}),
    (React(message=MESSAGE, code="66"), "set_msg_emoji_like", {"emoji_id": "66"}),
]  # fmt: skip


@pytest.mark.parametrize(("action", "name", "params"), ACTIONS)
async def test_actions_as_requests(action, name, params):
    rig = Rig()
    rig.wire.answers = dict.fromkeys(["delete_msg"])
    outcome = await rig.bot.act(action)
    assert outcome.ok, outcome.reason
    assert rig.last[0] == name
    assert params.items() <= rig.last[1].items()


@pytest.mark.parametrize(
    ("flavor", "name"), [("napcat", "set_msg_emoji_like"), ("lagrange", "set_group_reaction"), ("gocq", "")]
)
async def test_reactions_fall_back_and_what_is_missing_is_asked_once(flavor, name):
    rig = Rig(flavor)
    first = await rig.bot.act(React(message=MESSAGE, code="66"))
    asked = len(rig.wire.asked)
    second = await rig.bot.act(React(message=MESSAGE, code="66"))
    if name:
        assert first.ok
        assert rig.last[0] == name
        assert len(rig.wire.asked) == asked + 1
    else:
        assert second.delivery is Delivery.REFUSED
        assert "does not know" in second.reason
        assert len(rig.wire.asked) == asked


async def test_a_poke_without_its_action_is_a_segment():
    rig = Rig("gocq")
    assert (await rig.bot.act(Poke(room=OPS, person=ALI))).ok
    assert rig.last == (
        "send_group_msg",
        {"group_id": 30002, "message": [{"type": "poke", "data": {"qq": "20001"}}]},
    )


async def test_requests_are_answered_with_their_flag_after_a_while_and_once():
    rig = Rig()
    frame = {"post_type": "request", "user_id": 20001, "comment": "hi"}
    friend, join = (
        rig.reader.read(
            {**frame, "request_type": kind, "flag": flag, "sub_type": "add", "group_id": 30002}
        ).request
        for kind, flag in (("friend", "f:1"), ("group", "f-2"))
    )
    invite = rig.reader.read(
        {**frame, "request_type": "group", "flag": "f-3", "sub_type": "invite", "group_id": 9}
    ).request
    began = trio.current_time()
    assert (await rig.bot.act(Answer(request=friend, accept=True, remark="A"))).ok
    assert 1 <= trio.current_time() - began <= 2
    assert rig.last == ("set_friend_add_request", {"flag": "f:1", "approve": True, "remark": "A"})
    assert (await rig.bot.act(Answer(request=join, accept=False, text="no"))).ok
    assert rig.last[1]["flag"] == "f-2"
    assert (await rig.bot.act(Answer(request=invite, accept=True))).ok
    assert rig.last[1]["sub_type"] == "invite"
    again = await rig.bot.act(Answer(request=friend, accept=True))
    assert "answered" in again.reason
    unknown = await rig.bot.act(Answer(request=RequestRef(ME, "what is this"), accept=True))
    assert "none of OneBot's" in unknown.reason
    friend = {"request_type": "friend", "flag": "f:1", "sub_type": "add", "group_id": 30002}
    assert rig.reader.read({**frame, **friend}) is None


@pytest.mark.parametrize(
    "action",
    [
        SetStatus(account=ME, status="away"),
        Kick(room=CHAT, person=ALI),
        Poke(room=OPS),
        Mute(room=CHAT, person=ALI),
    ],
)
async def test_what_cannot_be_asked_for_says_so(action):
    rig = Rig()
    outcome = await rig.bot.act(action)
    assert outcome.delivery is Delivery.REFUSED
    assert outcome.reason
    assert rig.wire.asked == []


async def test_refused_and_unknown_outcomes():
    rig = Rig()
    owner = PersonRef(ME, "20002")
    refused = await rig.bot.act(Kick(room=OPS, person=owner))
    assert (refused.delivery, "权限" in refused.reason) == (Delivery.REFUSED, True)
    rig.wire.answers["set_group_ban"] = TransientError("no answer")
    assert (await rig.bot.act(Mute(room=OPS, person=ALI))).delivery is Delivery.UNKNOWN


@pytest.mark.parametrize("flavor", ["napcat", "gocq"])
async def test_messages_and_history(flavor):
    rig = Rig(flavor)
    it = rig.wire.it
    ali, ops = it.world.person("Ali"), it.world.room("ops")
    said = it.say(ali, ops, [{"type": "text", "data": {"text": "hello [x]"}}])
    it.speak("group", 30002, [{"type": "text", "data": {"text": "mine"}}])
    message = await rig.bot.message(MessageRef(OPS, str(said.id)))
    assert (message.text, message.sender.name, message.room.id) == ("hello [x]", "Ali", "30002")
    assert [m.text for m in await rig.bot.history(OPS)] == ["hello [x]", "mine"]
    with pytest.raises(Refuse):
        await rig.bot.message(MessageRef(OPS, "5"))


async def test_people():
    rig = Rig()
    assert [u.name for u in await rig.bot.friends()] == ["Ali", "Bo"]
    assert sorted(u.name for u in await rig.bot.members(OPS)) == ["Ali", "Bo", "qqops-bot"]
    assert (await rig.bot.profile(ALI)).nick == "Ali"
    assert await rig.bot.role(OPS, PersonRef(ME, "20002")) == "owner"
    with pytest.raises(Refuse):
        await rig.bot.profile(PersonRef(ME, "1"))
    await rig.bot.like(ALI)
    assert rig.last[0] == "send_like"


async def test_forwards():
    rig = Rig()
    rig.wire.it.nodes["res-1"] = [{"type": "node", "data": {"user_id": 1, "nickname": "N", "content": "hi"}}]
    assert await rig.bot.forward("res-1") == (Node("1", "N", (Text("hi"),)),)
    assert Forward("res-1").id


async def test_files():
    rig = Rig()
    rig.wire.answers["get_group_root_files"] = {
        "files": [{"file_id": "/a", "file_name": "a.txt", "busid": 102, "file_size": "5"}, None],
        "folders": [{"folder_id": "/f", "folder_name": "docs"}],
    }
    folder, file = await rig.bot.files.list(OPS)
    assert (folder.name, folder.folder, file.size) == ("docs", True, 5)
    assert (await rig.bot.files.url(OPS, file)).endswith("/a")
    assert rig.last[1]["busid"] == 102
    await rig.bot.files.url(OPS, GroupFile(id="/b", name="b", folder=False))
    assert "busid" not in rig.last[1]
    assert await rig.bot.files.upload(OPS, File(name="x.txt", content=b"abc")) == "/f-1"
    assert rig.last[1]["file"] == "base64://YWJj"
    offered = FileOffered(
        room=Room(ref=OPS, name="ops"),
        sender=User(ref=ALI, name="Ali"),
        at=datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC),
        name="a",
        data={"id": "/a", "busid": 1},
    )
    assert await rig.bot.fetch(offered, OPS) == b"content"


async def test_pictures_whose_url_has_expired_are_asked_for_again():
    rig = Rig()
    assert await rig.bot.fetch(Image("a.png", url="https://x/expired"), OPS) == b"content"
    assert rig.fetched == ["https://x/expired", "https://example.invalid/a.png"]
    rig.wire.answers["get_image"] = {"base64": "YWJj"}
    assert await rig.bot.fetch(Image("a.png"), OPS) == b"abc"
    for odd in ({"file": "/elsewhere/a.png"}, {"base64": "%%"}, None):
        rig.wire.answers["get_image"] = odd
        with pytest.raises(Refuse):
            await rig.bot.fetch(Image("a.png"), OPS)


async def test_anything_else_by_its_name():
    rig = Rig()
    assert (await rig.bot.call("get_status"))["online"] is True
    with pytest.raises(Refuse, match="1404"):
        await rig.bot.call("of_tomorrow", x=1)


async def test_a_file_is_put_where_a_room_finds_it():
    rig = Rig()
    done = await rig.bot.act(Upload(room=OPS, file=File(name="a.txt", content=b"hello")))
    assert done.ok
    assert (rig.last[0], rig.last[1]["name"], rig.last[1]["group_id"]) == (
        "upload_group_file",
        "a.txt",
        30002,
    )
    none = await rig.bot.act(Upload(room=OPS, file=File(name="a.txt", url="file:///nowhere/at/all")))
    assert none.delivery is Delivery.REFUSED
