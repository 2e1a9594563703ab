"""Strangers, pictures, files, friends, groups, profiles, and what the service swallows, over real sockets."""

import json

import attrs
import pytest

from qqops import Plugin
from qqops.errors import Refuse
from qqops.model import (
    AddFriend,
    Answer,
    Delivery,
    FileOffered,
    FriendAdded,
    FriendRemoved,
    FriendRequest,
    Image,
    JoinRequest,
    JoinRoom,
    LeaveRoom,
    Mute,
    PersonRef,
    Poke,
    Poked,
    Presence,
    RefuseFile,
    RemoveFriend,
    RequestRef,
    RoomKind,
    RoomRef,
    SetCard,
    SetRemark,
    SetRoomName,
    SetRoomRemark,
    SetSignature,
    ShowTyping,
    Text,
    Typing,
)
from qqops.plugin.host import Candidate
from qqops.runtime.observe import Phase
from qqops.simulator import pictures
from qqops.simulator.service import ServiceOptions
from qqops.simulator.world import Person
from qqops.webqq import WebAccount

PNG = pictures.qr("hello")
BOT = 100200300


def listen(bot, *kinds):
    """Return a list that fills with the events of *kinds*."""
    seen = []
    plugin = Plugin("listener")
    for kind in kinds:

        @plugin.on(kind)
        async def note(event: kind) -> None:
            seen.append(event)

    bot.app.host.load(Candidate(name="listener", load=lambda: plugin))
    bot.app.dispatcher.refresh()
    return seen


def raw(bot, kind, **value):
    session = bot.state.live[BOT]
    uin = session.aliases.uin(20001)
    header = {"msg_id": 5, "from_uin": uin, "to_uin": BOT, "msg_id2": 6, "msg_type": 9, "reply_ip": 1}
    item = {"poll_type": kind, "value": {**header, **value}}
    bot.server.control.inject({"kind": "raw", "item": item})
    return session


def person(bot, number):
    return PersonRef(bot.supervisor.adapter.account, str(number))


def group(bot, number):
    return RoomRef(bot.supervisor.adapter.account, RoomKind.GROUP, str(number))


def private(bot, number):
    return RoomRef(bot.supervisor.adapter.account, RoomKind.PRIVATE, str(number))


async def test_a_stranger_is_answered_through_the_common_group(rig, profile):
    async with rig(profile) as bot:
        bot.service.world.people[20009] = Person(number=20009, nick="Zoe")
        bot.service.world.groups[30001].members.append(20009)
        await bot.until_online()
        bot.inject("Zoe", "/say hello", kind="buddy")
        bot.inject("Zoe", "/say again", kind="buddy")
        await bot.until(lambda: len(bot.texts()) == 2)
        assert [(line.kind, line.name, line.text) for line in bot.state.sent] == [
            ("sess", "Zoe", "hello"), ("sess", "Zoe", "again"),
        ]  # fmt: skip
        assert {m.sender.id for m in bot.handled} == {"20009"}


@pytest.mark.parametrize(("kind", "where"), [("group", 30002), ("private", 20001)])
async def test_a_picture_is_sent(rig, kind, where):
    async with rig("webqq2013", picture_wait=0.01) as bot:
        await bot.until_online()
        room = group(bot, where) if kind == "group" else private(bot, where)
        outcome = await bot.app.rooms.send(room, (Text("look "), Image("x.png", content=PNG)))
        assert outcome.delivery is Delivery.ACCEPTED
        shown = [s for s in bot.state.sent[0].segments if isinstance(s, Image)]
        assert [image.content for image in shown] == [PNG]


@pytest.mark.parametrize(
    ("profile_", "content", "reason"),
    [
        ("webqq2013", b"MZ this is a program", "not a picture"),
        ("webqq2013", b"\x89PNG\r\n" + bytes(5 * 1024 * 1024), "at most"),
    ],
)
async def test_a_picture_that_cannot_be_sent_is_refused_with_the_reason(rig, profile_, content, reason):
    async with rig(profile_, picture_wait=0.01) as bot:
        await bot.until_online()
        outcome = await bot.app.rooms.send(group(bot, 30002), (Image("x", content=content),))
        assert outcome.delivery is Delivery.REFUSED
        assert reason in outcome.reason


async def test_where_there_are_no_pictures_they_are_said_in_words(rig):
    async with rig("smartqq") as bot:
        await bot.until_online()
        link = Image("x", url="https://example.org/x.png")
        outcome = await bot.app.rooms.send(group(bot, 30002), (Text("look: "), Image("y", content=PNG), link))
        assert outcome.ok
        assert bot.state.sent[0].text == "look: [image] https://example.org/x.png"


async def test_received_pictures_are_fetched(rig):
    async with rig("webqq2013") as bot:
        await bot.until_online()
        bot.state.pictures_held["{A}.jpg"] = PNG
        bot.state.pictures_held["/guid"] = PNG
        cface = ["cface", {"name": "{A}.jpg", "file_id": 22, "key": "k", "server": "124.115.1.1:8000"}]
        bot.server.control.inject({"kind": "group", "from": "Ali", "room": "ops", "segments": ["a", cface]})
        offpic = ["offpic", {"success": 1, "file_path": "/guid"}]
        bot.server.control.inject({"kind": "buddy", "from": "Ali", "segments": ["b", offpic]})
        await bot.until(lambda: len(bot.handled) == 2)
        for message in bot.handled:
            image = next(s for s in message.segments if isinstance(s, Image))
            assert await bot.app.accounts.fetch(image, message.room.ref) == PNG


async def test_what_is_no_picture_or_lies_elsewhere_is_not_fetched(rig):
    async with rig("webqq2013") as bot:
        await bot.until_online()
        bot.state.pictures_held["/guid"] = b"<html>not found</html>"
        room = private(bot, 20001)
        with pytest.raises(Refuse, match="not a picture"):
            await bot.app.accounts.fetch(Image("/guid", {"kind": "offpic", "sender": 1}), room)
        with pytest.raises(Refuse, match="does not say"):
            await bot.app.accounts.fetch(Image("x"), room)
        user = bot.app.accounts
        offer = FileOffered(
            at=bot.app.clock.now(), room=(await _room(bot, room)), sender=(await _user(bot, room)), name="x", data={"uin": 1, "session": "", "url": "http://10.1.2.3/x"}
        )  # fmt: skip
        with pytest.raises(Refuse, match="not a host of the service"):
            await user.fetch(offer, room)


async def _user(bot, room):
    return (await bot.app.rooms.members(room))[0]


async def _room(bot, ref):
    from qqops.model import Room

    return Room(ref=ref, name="Ali")


async def test_system_messages_become_events(rig, profile):
    async with rig(profile) as bot:
        seen = listen(
            bot, FriendRequest, FriendAdded, FriendRemoved, JoinRequest, Presence, Typing, Poked, FileOffered
        )
        await bot.until_online()
        bot.inject("Ali", "hello", kind="buddy")
        await bot.until_handled("hello")
        session = raw(bot, "input_notify", msg_type=121)
        uin = session.aliases.uin(20001)
        raw(bot, "shake_message")
        raw(bot, "buddies_status_change", uin=uin, status="away", client_type=1)
        raw(bot, "system_message", type="verify_required", account=20009, msg="let me in")
        raw(bot, "system_message", type="verify_pass_add", account=20009, msg="")
        raw(bot, "file_message", mode="recv", name="a.txt", session_id=77)
        raw(bot, "buddylist_change", added_friends=[], removed_friends=[{"uin": uin}])
        asker = session.aliases.uin(20009)
        raw(
            bot,
            "sys_g_msg",
            type="group_request_join",
            gcode=1,
            t_gcode=30001,
            request_uin=asker,
            t_request_uin=20009,
            msg="hi",
        )
        await bot.until(lambda: len(seen) == 8)
        found = {type(event): event for event in seen}
        assert found[Typing].sender.id == found[Poked].sender.id == found[FileOffered].sender.id == "20001"
        assert (found[Presence].sender.id, found[Presence].status) == ("20001", "away")
        assert (found[FriendRequest].sender.id, found[FriendRequest].text) == ("20009", "let me in")
        assert (found[FriendAdded].sender.id, found[FriendRemoved].sender.id) == ("20009", "20001")
        assert (found[JoinRequest].room.id, found[JoinRequest].sender.id) == ("30001", "20009")
        assert found[FileOffered].name == "a.txt"


async def test_actions_change_what_they_say(rig):
    async with rig("webqq2013") as bot:
        world = bot.service.world
        world.people[20009] = Person(number=20009, nick="Zoe")
        seen = listen(bot, JoinRequest, FileOffered)
        await bot.until_online()
        session = bot.state.live[BOT]
        asker = session.aliases.uin(20009)
        raw(
            bot,
            "sys_g_msg",
            type="group_request_join",
            gcode=1,
            t_gcode=30001,
            request_uin=asker,
            t_request_uin=20009,
            msg="hi",
        )
        raw(bot, "file_message", mode="recv", name="a.txt", session_id=77)
        await bot.until(lambda: len(seen) == 2)
        offer = next(event for event in seen if isinstance(event, FileOffered))
        account = bot.supervisor.adapter.account
        asked = next(event for event in seen if isinstance(event, JoinRequest))
        actions = [
            Answer(request=RequestRef(account, "friend:20009"), accept=True, remark="zz"),
            Answer(request=RequestRef(account, "friend:20010"), accept=False, text="no"),
            Answer(request=asked.request, accept=True),
            RefuseFile(offer=offer),
            AddFriend(person=person(bot, 20009), text="hi"),
            SetRemark(person=person(bot, 20002), text="bobby"),
            SetRoomRemark(room=group(bot, 30001), text="work"),
            SetCard(room=group(bot, 30001), text="the bot"),
            SetRoomName(room=RoomRef(account, RoomKind.GROUP, "discussion:40001"), text="plan B"),
            SetSignature(account=account, text="at work"),
            ShowTyping(room=private(bot, 20001)),
            Poke(room=private(bot, 20001)),
            JoinRoom(room=group(bot, 30009), text="please"),
            LeaveRoom(room=group(bot, 30002)),
            LeaveRoom(room=RoomRef(account, RoomKind.GROUP, "discussion:40001")),
            RemoveFriend(person=person(bot, 20001), both=True),
        ]
        outcomes = [await bot.app.accounts.act(action) for action in actions]
        assert [o.reason for o in outcomes if o.delivery is not Delivery.ACCEPTED] == []
        me = world.people[BOT]
        assert (me.friends, me.marks, me.signature) == (
            [20002, 20009],
            {20009: "zz", 20002: "bobby"},
            "at work",
        )
        assert 20009 in world.groups[30001].members
        assert world.groups[30001].cards[BOT] == "the bot"
        assert BOT not in world.groups[30002].members
        assert BOT not in world.discussions[40001].members
        assert world.discussions[40001].name == "plan B"
        done = {str(one["call"]): one for one in bot.state.done}
        assert len(str(done["add_need_verify2"]["token"])) == 48, "the search has given it"
        card = done["update_group_business_card2"]
        assert [card[key] for key in ("phone", "email", "remark", "gender")] == [
            "10086",
            "a@b",
            "r",
            "male",
        ], "kept"
        calls = [str(done["call"]) for done in bot.state.done]
        assert calls[:4] == ["allow_and_add2", "deny_added_request2", "op_group_join_req", "refuse_file2"]


async def test_an_action_that_cannot_be_done_is_refused(rig, profile):
    async with rig(profile) as bot:
        await bot.until_online()
        account = bot.supervisor.adapter.account
        for action in [
            SetRemark(person=person(bot, 29999), text="x"),
            LeaveRoom(room=group(bot, 39999)),
            Answer(request=RequestRef(account, "friend:name:Zoe"), accept=True),
            Answer(request=RequestRef(account, "join:30001:29999"), accept=True),
            Answer(request=RequestRef(account, "what is this"), accept=True),
            Poke(room=group(bot, 30001)),  # the service shakes windows of friends only
            Mute(room=group(bot, 30001), person=person(bot, 20001)),
        ]:
            outcome = await bot.app.accounts.act(action)
            assert outcome.delivery is Delivery.REFUSED, action
            assert outcome.reason


async def test_profiles_and_avatars(rig, profile):
    async with rig(profile) as bot:
        bot.service.world.people[20001].signature = "hi there"
        await bot.until_online()
        found = await bot.app.accounts.profile(person(bot, 20001))
        assert (found.nick, found.signature, found.status, found.birthday) == (
            "Ali",
            "hi there",
            "online",
            "1990-1-2",
        )
        assert (await bot.app.accounts.avatar(person(bot, 20001))).startswith(b"\x89PNG")
        assert (await bot.app.accounts.avatar(group(bot, 30001))).startswith(b"\x89PNG")
        with pytest.raises(Refuse):
            await bot.app.accounts.profile(person(bot, 29999))


async def test_equal_messages_in_a_row_are_all_seen(rig, profile):
    async with rig(profile) as bot:
        await bot.until_online()
        bot.server.control.faults({"fault": "equal"})
        for n in range(4):
            bot.inject("Ali", "/ping", "ops")
            await bot.until(lambda n=n: len(bot.texts()) == n + 1)
        assert [text.rstrip("\u200b") for text in bot.texts()] == ["pong"] * 4
        assert bot.state.swallowed == 0


async def test_the_service_swallows_what_it_is_told_to(rig):
    async with rig("webqq2013", vary_equal=False, max_bytes=0) as bot:
        await bot.until_online()
        bot.server.control.faults({"fault": "equal", "count": 2})
        bot.server.control.faults({"fault": "cut"})
        await bot.app.rooms.send(group(bot, 30002), "x" * 800)
        await bot.app.rooms.send(group(bot, 30002), "x" * 800)
        assert [len(text) for text in bot.texts()] == [720]
        bot.server.control.faults({"clear": True})
        bot.server.control.faults({"fault": "spam", "most": 3, "seconds": 100})
        for n in range(6):
            assert (await bot.app.rooms.send(group(bot, 30002), f"s{n}")).ok
        assert bot.texts()[1:] == ["s0", "s1", "s2"]
        bot.server.control.faults({"clear": True})
        bot.server.control.faults({"fault": "new-ip", "seconds": 100})
        assert (await bot.app.rooms.send(group(bot, 30001), "unseen")).ok
        assert "unseen" not in bot.texts()


@pytest.mark.parametrize(
    ("profile_", "date"),
    [
        ("webqq2013", "2013-03"), ("webqq2013", "2013-07"), ("webqq2013", "2014-05"), ("webqq2013", "2014-06-20"),
        ("webqq2013", "2015-04"), ("smartqq", "2015-06"), ("smartqq", "2016-02"), ("smartqq", "2017-03"),
        ("smartqq", "2017-06"), ("smartqq", "2018-01"), ("smartqq", "2018-12-20"),
    ],
)  # fmt: skip
async def test_every_year_is_spoken(rig, profile_, date):
    options = ServiceOptions(hold=5, seed=1, profile=f"{profile_}@{date}")
    async with rig(profile_, service_options=options) as bot:
        await bot.until_online()
        bot.inject("Ali", "/ping", "ops")
        bot.inject("Bo", "/say hello", kind="buddy")
        await bot.until(lambda: len(bot.texts()) == 2)
        numbers = {m.sender.verified for m in bot.handled}
        assert numbers == {date < "2017-04-17" or profile_ == "webqq2013"}


async def test_a_password_is_no_way_in_after_september_2015(rig):
    options = ServiceOptions(hold=5, seed=1, profile="webqq2013@2015-10")
    async with rig("webqq2013", service_options=options) as bot:
        await bot.until(lambda: bot.supervisor.stopped)
        assert "QR code" in bot.supervisor.state.cause


async def test_four_days_in_may_2017_do_not_confuse_the_bot(rig):
    options = ServiceOptions(hold=5, seed=1, profile="smartqq@2017-05-12")
    async with rig("smartqq", service_options=options) as bot:
        await bot.until_online()
        bot.inject("Ali", "/ping", "ops")
        await bot.until_sent("pong")
        assert [m.sender.verified for m in bot.handled] == [False]


async def test_a_scenario_happens(rig, tmp_path):
    from qqops.simulator.scenario import load_scenario

    (tmp_path / "s.toml").write_text(
        "seed = 7\n[[step]]\nat = 0.05\nevery = 0.05\ntimes = 3\ncall = 'inject'\nkind = 'group'\nfrom = 'Ali'\n"
        "room = 'ops'\ntext = '/ping'\n[[step]]\nat = 0.1\nfault = 'close'\non = 'poll2'\n[[step]]\nat = 0\ncall = 'kick'\naccount = 20001\n"
    )
    scenario = load_scenario(tmp_path / "s.toml")
    async with rig("webqq2013") as bot:
        await bot.until_online()
        await scenario.run(bot.server.control)
        await bot.until(lambda: len(bot.texts()) == 3)
        assert bot.service.faults.counts == {"close": 1}


async def test_what_only_webqq_can_do(rig):
    async with rig("webqq2013") as bot:
        world = bot.service.world
        world.people[20009] = Person(number=20009, nick="Zoe")
        await bot.until_online()
        account = bot.supervisor.adapter.account
        native = bot.app.accounts.native(account, WebAccount)
        found = await native.search(person(bot, 20009))
        assert (found.number, found.nick, found.allow) == (20009, "Zoe", 1)
        assert bot.phases()[-1] is Phase.ONLINE, "a captcha for one call does not take the account offline"
        assert bot.supervisor.state.cause == ""
        assert (await native.let_add(person(bot, 20009))).ok
        assert (await native.move_friend(person(bot, 20001), 2)).ok
        info = await native.public_info(group(bot, 30001))
        assert (info.name, info.members, info.most_members) == ("qqops-test", 3, 500)
        card = await native.card(group(bot, 30001))
        assert (await native.write_card(group(bot, 30001), attrs.evolve(card, name="x", phone="1"))).ok
        assert world.groups[30001].cards[BOT] == "x"
        assert (await native.hear(group(bot, 30002), "silent")).ok
        room = await native.create_discussion("talk", [person(bot, 20001)])
        assert world.discussions[int(room.id.removeprefix("discussion:"))].members == [BOT, 20001]
        assert (await bot.app.rooms.send(room, "hello")).ok
        assert (
            await native.change_discussion(room, add=[person(bot, 20002)], remove=[person(bot, 20001)])
        ).ok
        assert world.discussions[int(room.id.removeprefix("discussion:"))].members == [BOT, 20002]
        done = {str(one["call"]): one for one in bot.state.done}
        assert (done["modify_friend_group"]["newid"], done["allow_added_request2"]["account"]) == (2, 20009)
        aliases = bot.state.live[BOT].aliases
        masks = json.loads(done["messagefilter.do"]["itemlist"])["groupmask"]
        assert masks == {str(aliases.gid(30001)): "0", str(aliases.gid(30002)): "1"}


async def test_what_webqq_cannot_do_is_refused_with_a_reason(rig, profile):
    async with rig(profile) as bot:
        await bot.until_online()
        native = bot.app.accounts.native(bot.supervisor.adapter.account, WebAccount)
        bot.operator.wrong = 9
        asked = len(bot.operator.asked)
        for call in (
            native.search(person(bot, 20001)),
            native.search(PersonRef(bot.supervisor.adapter.account, "name:Zoe")),
            native.move_friend(person(bot, 29999), 0),
            native.card(group(bot, 39999)),
            native.hear(group(bot, 30001), "nonsense"),
            native.create_discussion("x", [person(bot, 29999)]),
            native.change_discussion(group(bot, 30001)),
        ):
            with pytest.raises(Refuse):
                await call
        assert len(bot.operator.asked) == asked + 2, "a wrong captcha is asked for once more"
        refused = await bot.app.accounts.act(AddFriend(person=person(bot, 20001)))
        assert refused.delivery is Delivery.REFUSED
        assert bot.state.done == []
