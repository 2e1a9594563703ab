"""Login, exchange and each fault alone, over real sockets, for both generations."""

import random
import re

import pytest
import trio

from qqops.adapters.base import QuestionKind
from qqops.model import Delivery, RoomKind, Secret, SetStatus
from qqops.runtime.observe import Phase, Sent
from qqops.simulator.service import ServiceOptions


async def test_exchange_with_friend_group_and_discussion(rig, profile):
    async with rig(profile) as bot:
        await bot.until_online()
        bot.inject("Ali", "/ping", "qqops-test")
        bot.inject("Bo", "/say hello", kind="buddy")
        bot.inject("Bo", "/say plan-b", "plan", kind="discu")
        await bot.until(lambda: len(bot.texts()) == 3)
        assert sorted((s.kind, s.name, s.text) for s in bot.state.sent) == [
            ("buddy", "Bo", "hello"),
            ("discu", "plan", "plan-b"),
            ("group", "qqops-test", "pong"),
        ]


async def test_people_and_rooms_have_their_permanent_numbers(rig, profile):
    """Aliases of the session do not leave it; after a new login the same people have the same ids."""
    async with rig(profile) as bot:
        for round_ in range(2):
            await bot.until_online()
            bot.inject("Ali", f"one {round_}", "qqops-test")
            bot.inject("Bo", f"two {round_}", kind="buddy")
            bot.inject("Bo", f"three {round_}", "plan", kind="discu")
            await bot.until_handled(f"one {round_}", f"two {round_}", f"three {round_}")
            if round_ == 0:
                bot.server.control.expire({})
                await bot.until(lambda: bot.state.logins_done == 2)
        seen = {(m.room.ref.kind, m.room.id, m.room.name, m.sender.id, m.sender.name) for m in bot.handled}
        assert seen == {
            (RoomKind.GROUP, "30001", "qqops-test", "20001", "Ali"),
            (RoomKind.PRIVATE, "20002", "Bo", "20002", "Bo"),
            (RoomKind.GROUP, "discussion:40001", "plan", "20002", "Bo"),
        }


async def test_captcha_is_asked_of_a_person_until_it_is_right(rig):
    async with rig("webqq2013", service_options=ServiceOptions(hold=5, captcha=True, seed=1)) as bot:
        bot.operator.wrong = 2
        await bot.until_online()
        assert len(bot.operator.asked) == 3
        assert bot.operator.asked[0].picture.startswith(b"\x89PNG")
        assert bot.phases().count(Phase.NEEDS_HUMAN) == 3


async def test_wrong_password_stops_the_account(rig):
    from qqops.model import Secret

    async with rig("webqq2013", password=Secret("nope")) as bot:
        await bot.until(lambda: bot.supervisor.stopped)
        assert bot.supervisor.state.fatal
        assert "密码不正确" in bot.supervisor.state.cause


async def test_qr_is_shown_scanned_and_refreshed_when_it_expires(rig):
    async with rig("smartqq", service_options=ServiceOptions(hold=5, qr_auto=False, seed=1)) as bot:
        await bot.until(lambda: len(bot.operator.asked) == 1)
        bot.server.control.qr({"action": "scan"})
        await trio.sleep(0.05)
        bot.server.control.qr({"action": "expire"})
        await bot.until(lambda: len(bot.operator.asked) == 2)
        kinds = [question.kind for question in bot.operator.asked]
        assert kinds == [QuestionKind.QR, QuestionKind.QR]
        bot.server.control.qr({"action": "confirm"})
        await bot.until_online()


async def test_the_right_variant_of_the_hash_is_found(rig):
    options = ServiceOptions(hold=5, seed=1, hashes={"webqq2013": frozenset("Q"), "smartqq": frozenset("P")})
    async with rig("webqq2013", service_options=options) as bot:
        await bot.until_online()
        bot.inject("Ali", "/ping", "ops")
        await bot.until_sent("pong")


async def test_long_answers_are_split(rig, profile):
    async with rig(profile) as bot:
        await bot.until_online()
        long = "字" * 500
        bot.inject("Ali", f"/say {long}", "ops")
        await bot.until(lambda: len(bot.texts()) == 3)
        assert "".join(bot.texts()).replace("\u200b", "") == long
        assert all(len(text.encode()) <= 720 for text in bot.texts())


async def test_a_dropped_session_is_taken_up_again_without_a_login(rig, profile):
    async with rig(profile) as bot:
        await bot.until_online()
        bot.server.control.drop({})
        bot.inject("Ali", "/ping", "ops")
        await bot.until_sent("pong")
        assert (bot.state.logins_done, bot.state.relinks_done) == (1, 1)
        assert bot.phases()[-3:] == [Phase.WAITING, Phase.CONNECTING, Phase.ONLINE]


@pytest.mark.parametrize("what", ["kick", "expire"])
async def test_an_ended_session_is_replaced_by_a_new_login(rig, profile, what):
    async with rig(profile) as bot:
        await bot.until_online()
        getattr(bot.server.control, what)({})
        bot.inject("Ali", "/ping", "ops")
        await bot.until_sent("pong")
        assert bot.state.logins_done == 2
        assert bot.state.most_live == 1


async def test_a_kicked_account_may_be_told_to_stay_away(rig, profile):
    async with rig(profile, on_kick="stop") as bot:
        await bot.until_online()
        bot.server.control.kick({})
        await bot.until(lambda: bot.supervisor.stopped)
        assert "kicked" in bot.supervisor.state.cause


async def test_ptwebqq_is_renewed_in_variable_and_cookie(rig, profile):
    async with rig(profile, refresh=0.5) as bot:
        await bot.until_online()
        new = bot.server.control.ptwebqq({})["ptwebqq"]
        before = bot.service.requests
        await bot.until(lambda: bot.service.requests > before + 4)  # the lists, whose hash is made of it
        bot.inject("Ali", "/ping", "ops")
        await bot.until_sent("pong")
        live = bot.state.live[100200300]
        assert live.ptwebqq == new
        assert bot.state.logins_done == 1
        assert bot.state.relinks_done == 0
        bot.server.control.drop({})  # a re-link carries the new value
        await bot.until(lambda: bot.state.relinks_done == 1)


FAULTS = [
    {"fault": "http", "status": 502, "on": "poll2", "count": 3},
    {"fault": "http", "status": 404, "on": "poll2", "count": 2},
    {"fault": "http", "status": 502, "on": "get_friend_uin2", "count": 2},
    {"fault": "html", "on": "poll2", "count": 2},
    {"fault": "close", "on": "poll2", "count": 3},
    {"fault": "close", "count": 4},
    {"fault": "stall", "on": "poll2", "count": 1},
    {"fault": "duplicate", "count": 5},
    {"fault": "reorder", "count": 5},
    {"fault": "port", "seconds": 0.5},
    {"fault": "close", "probability": 0.3, "seed": 3},
    {"fault": "http", "probability": 0.3, "seed": 4, "on": "poll2"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: "-".join(str(v) for v in f.values()))
async def test_each_fault_alone(rig, profile, fault):
    """Afterwards the bot is online again; each message was handled once, each answer is seen once or reported as not sure."""
    async with rig(profile, service_options=ServiceOptions(hold=1.0, seed=1)) as bot:
        doubtful = []
        bot.app.observers.add(
            lambda r: doubtful.append(r.draft.text) if isinstance(r, Sent) and not r.outcome.ok else None
        )
        await bot.until_online()
        texts = [f"/say t{i}" for i in range(12)]
        for i, text in enumerate(texts):
            if i == 3:
                bot.server.control.faults(fault)
            bot.inject("Ali", text, "qqops-test" if i % 2 else "ops")
            await trio.sleep(0.01)
        await bot.until_handled(*texts)
        bot.server.control.faults({"clear": True})
        await bot.until_online()
        bot.inject("Bo", "/say end", "ops")
        await bot.until_sent("end")
        await bot.until(bot.app.idle)
        handled = [m.text for m in bot.handled]
        assert sorted(handled) == sorted([*texts, "/say end"])
        visible = bot.texts()
        assert len(visible) == len(set(visible)), "no send is seen twice"
        answers = {text.removeprefix("/say ") for text in handled}
        assert answers - set(visible) <= set(doubtful), "what is not seen was reported"
        if fault["fault"] not in ("close", "http", "port"):
            assert len(visible) == 13, "no send was touched: none may be in doubt"


@pytest.mark.parametrize("delivered", [True, False])
async def test_1202_is_reported_as_unknown_and_never_sent_again(rig, profile, delivered):
    async with rig(profile) as bot:
        outcomes = []
        bot.app.observers.add(
            lambda r: outcomes.append(r.outcome.delivery.value) if hasattr(r, "outcome") else None
        )
        await bot.until_online()
        bot.server.control.faults({"fault": "1202", "count": 1, "delivered": delivered})
        bot.inject("Ali", "/say first", "ops")
        await bot.until(lambda: len(outcomes) == 1)
        bot.inject("Ali", "/say second", "ops")
        await bot.until_sent("second")
        await bot.until(lambda: len(outcomes) == 2)
        assert outcomes == ["unknown", "accepted"]
        assert bot.texts() == (["first", "second"] if delivered else ["second"])


async def test_an_answer_given_while_the_port_is_closed_goes_out_afterwards(rig, profile):
    async with rig(profile) as bot:
        await bot.until_online()
        bot.inject("Ali", "hello", "ops")
        await bot.until_handled("hello")
        bot.server.control.faults({"fault": "port", "seconds": 0.7})
        await trio.sleep(0.05)
        outcome = None

        async def speak():
            nonlocal outcome
            outcome = await bot.app.rooms.send(bot.handled[0].room.ref, "still here")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(speak)
        assert outcome.ok
        assert bot.texts() == ["still here"]


async def test_a_silent_service_is_left_and_come_back_to(rig, profile):
    """No answer within twice the hold: the session is ended and connected anew."""
    async with rig(profile, service_options=ServiceOptions(hold=0.4, seed=1)) as bot:
        await bot.until_online()
        bot.server.control.faults({"fault": "stall", "on": "poll2", "count": 1})
        await bot.until(lambda: Phase.WAITING in bot.phases())
        assert "nothing was heard" in next(s.cause for s in bot.states if s.phase is Phase.WAITING)
        bot.inject("Ali", "/ping", "ops")
        await bot.until_sent("pong")


async def test_bad_items_are_skipped_and_counted(rig, profile):
    from qqops.runtime.observe import BadData

    async with rig(profile) as bot:
        bad = []
        bot.app.observers.add(lambda r: bad.append(r) if isinstance(r, BadData) else None)
        await bot.until_online()
        for item in (None, 5, {}, {"poll_type": "message"}, {"poll_type": "message", "value": {"content": 3}},
                     {"poll_type": ["x"], "value": {}}, {"poll_type": "tips", "value": {}}):  # fmt: skip
            bot.server.control.inject({"kind": "raw", "item": item})
        bot.inject("Ali", "/ping", "ops")
        await bot.until_sent("pong")
        assert [r.count for r in bad] == [1, 2, 3, 4, 5]


async def test_joins_and_requests_become_events(rig, profile):
    from qqops import FriendRequest, Joined

    async with rig(profile) as bot:
        seen = []
        route = bot.app.dispatcher.route
        bot.app.dispatcher.route = lambda event: (seen.append(event), route(event))[1]
        await bot.until_online()
        value = {"type": "group_join", "t_gcode": 30001, "t_new_member": "20009", "t_admin_uin": 20001}
        bot.server.control.inject({"kind": "raw", "item": {"poll_type": "sys_g_msg", "value": value}})
        value = {"type": "verify_required", "account": 20010, "msg": "hi"}
        bot.server.control.inject({"kind": "raw", "item": {"poll_type": "system_message", "value": value}})
        await bot.until(lambda: any(isinstance(e, FriendRequest) for e in seen))
        joined = next(e for e in seen if isinstance(e, Joined))
        assert (joined.room.id, joined.sender.id, joined.by.id) == ("30001", "20009", "20001")


async def test_rooms_are_found_by_name_and_members_listed(rig, profile):
    async with rig(profile) as bot:
        await bot.until_online()
        await bot.until(lambda: bot.app.rooms.find("qqops-test") and bot.app.rooms.find("ops"))
        room = bot.app.rooms.find("qqops-test")
        names = sorted(u.name for u in await bot.app.rooms.members(room.ref))
        assert names == ["Ali", "Bo", "qqops-bot"]
        assert (await bot.app.rooms.send("ops", "from a job")).ok
        assert bot.state.sent[0].name == "ops"


async def test_shutdown_flushes_replies_and_logs_out(rig, profile):
    async with rig(profile) as bot:
        await bot.until_online()
        bot.inject("Ali", "/ping", "ops")
        await bot.until_handled("/ping")
        bot.stop.set()
        await bot.until(lambda: not bot.state.live)
        assert bot.texts() == ["pong"]


async def test_status_is_set_at_login_and_can_be_changed(rig, profile):
    async with rig(profile, status="away") as bot:
        await bot.until_online()
        assert bot.state.live[100200300].status == "away"
        account = bot.supervisor.adapter.account
        done = await bot.app.accounts.act(SetStatus(account=account, status="busy"))
        assert (done.delivery, bot.state.live[100200300].status) == (Delivery.ACCEPTED, "busy")
        refused = await bot.app.accounts.act(SetStatus(account=account, status="dancing"))
        assert (refused.delivery, bot.state.live[100200300].status) == (Delivery.REFUSED, "busy")


async def test_a_new_friend_and_a_new_group_are_looked_up(rig, profile):
    from qqops.simulator.world import Group, Person

    async with rig(profile) as bot:
        await bot.until_online()
        world = bot.service.world
        world.people[20003] = Person(number=20003, nick="Cy")
        world.people[100200300].friends.append(20003)
        world.groups[30003] = Group(number=30003, name="new", members=[20003, 100200300])
        bot.inject("Cy", "/say one", kind="buddy")
        bot.inject("Cy", "/say two", "new")
        await bot.until(lambda: len(bot.texts()) == 2)
        assert {(m.sender.id, m.sender.name, m.room.id, m.room.name) for m in bot.handled} == {
            ("20003", "Cy", "20003", "Cy"),
            ("20003", "Cy", "30003", "new"),
        }


async def test_two_accounts_in_one_group_give_one_answer_and_do_not_answer_each_other(rig, profile):
    from qqops.adapters.webqq.adapter import WebQQ, WebQQOptions
    from qqops.model import AccountRef
    from qqops.runtime.outbox import OutboxPolicy
    from qqops.runtime.supervisor import LinkPolicy
    from qqops.simulator.world import Person

    def answers(text):
        return [line.account for line in bot.state.sent if line.text == text]

    async with rig(profile) as bot:
        world = bot.service.world
        world.people[555] = Person(number=555, nick="second", password="x")
        world.groups[30002].members.append(555)
        await bot.until_online()
        options = WebQQOptions(
            number=555, password=Secret("x"), profile=profile, endpoints={"*": bot.server.url}, qr_interval=0.02, poll_hold=5.0
        )  # fmt: skip
        second = WebQQ(AccountRef("webqq", "second"), options, clock=bot.app.clock, rng=random.Random(5))
        supervisor = bot.app.add_account(second, LinkPolicy(), OutboxPolicy())
        await bot.until(lambda: supervisor.state.phase is Phase.ONLINE)
        await bot.until(lambda: any(r.name == "ops" and r.verified for r in second.rooms()))
        for n in range(5):
            bot.inject("Ali", f"/say answer-{n}", "ops")
            await bot.until_sent(f"^answer-{n}$")
        room = next(r for r in second.rooms() if r.name == "ops")
        assert (await bot.app.rooms.send(room.ref, "/say from-second")).ok
        bot.inject("Ali", "/say the-last", "ops")
        await bot.until_sent("^the-last$")
        await bot.app.links.remove("second")
        assert [len(answers(f"answer-{n}")) for n in range(5)] == [1] * 5
        assert answers("the-last") == [100200300], "the first in the settings"
        assert answers("from-second") == [], "what the second said is nothing to the first"


async def test_a_queued_reply_finds_its_room_after_a_reconnect(rig, profile):
    """Look-ups that fail or are under way do not turn a known room into an unknown one."""
    async with rig(profile) as bot:
        await bot.until_online()
        bot.inject("Ali", "hello", "ops")
        await bot.until_handled("hello")
        room = bot.handled[0].room.ref
        for _ in range(3):
            bot.server.control.expire({})
            bot.server.control.faults({"fault": "close", "on": "get_friend_uin2", "count": 3})
            outcome = await bot.app.rooms.send(room, "answer")
            assert outcome.ok, outcome.reason
            bot.server.control.faults({"clear": True})
        assert [line.name for line in bot.state.sent] == ["ops"] * 3


async def test_a_message_during_a_slow_look_up_has_its_real_room(rig):
    async with rig("smartqq") as bot:
        bot.server.control.faults({"fault": "stall", "on": "get_friend_uin2", "count": 1, "seconds": 0.3})
        await bot.until_online()
        bot.inject("Ali", "first", "ops")
        await bot.until_handled("first")
        assert bot.handled[0].room.id == "30002"


@pytest.mark.parametrize("code", [121, 103])
async def test_relinks_that_lead_nowhere_end_in_a_new_login(rig, profile, code):
    async with rig(profile) as bot:
        await bot.until_online()
        state = bot.state

        class Doomed(dict):
            def __setitem__(self, number, session):
                super().__setitem__(number, session)
                if state.relinks_done < 5 and state.logins_done == 1:
                    session.code = code

        state.live = Doomed(state.live)
        state.end(state.live[100200300], 121, relinkable=True)
        await bot.until(lambda: state.logins_done == 2)
        assert state.relinks_done <= 5
        bot.inject("Ali", "/ping", "ops")
        await bot.until_sent("pong")


async def test_an_expired_vfwebqq_after_a_relink_leads_to_a_new_login(rig):
    async with rig("smartqq") as bot:
        await bot.until_online()
        bot.state.live[100200300].vfwebqq = "expired"
        bot.server.control.drop({})
        bot.inject("Ali", "/ping", "ops")
        await bot.until_sent("pong")
        assert bot.state.logins_done == 2


async def test_a_kick_stops_the_account_although_a_send_fails_first(rig, profile):
    async with rig(profile, on_kick="stop") as bot:
        await bot.until_online()
        bot.inject("Ali", "hello", "ops")
        await bot.until_handled("hello")
        bot.server.control.kick({})
        bot.app.supervisors[0].outbox.put(bot_draft(bot, "x"))
        await bot.until(lambda: bot.supervisor.stopped)
        assert "kicked" in bot.supervisor.state.cause


def bot_draft(bot, text):
    from qqops.model import Draft

    return Draft.of(bot.handled[0].room.ref, text)


async def test_a_login_of_somebody_else_is_refused(rig):
    async with rig("smartqq", number=999) as bot:
        await bot.until(lambda: bot.supervisor.stopped)
        assert "the login is that of 100200300" in bot.supervisor.state.cause


async def test_members_are_looked_up_again_when_somebody_new_speaks(rig, profile):
    from qqops.simulator.world import Person

    async with rig(profile) as bot:
        await bot.until_online()
        group = bot.service.world.groups[30002]
        group.cards = {20001: "Captain"}
        bot.inject("Ali", "one", "ops")
        await bot.until_handled("one")
        bot.service.world.people[20003] = Person(number=20003, nick="Cy")
        group.members.append(20003)
        bot.inject("Cy", "two", "ops")
        bot.inject("Ali", "three", "ops")
        await bot.until_handled("two", "three")
        assert [m.sender.name for m in bot.handled] == ["Captain", "Cy", "Captain"]


async def test_the_bots_card_is_its_name_too(rig, profile):
    async with rig(profile) as bot:
        await bot.until_online()
        bot.service.world.groups[30002].cards = {100200300: "DeployBot"}
        bot.inject("Ali", "@DeployBot ping", "ops")
        await bot.until_sent("pong")
        bot.inject("Ali", "thanks @qqops-bot !", "ops")
        await bot.until_handled("thanks @qqops-bot !")
        assert [m.at_me for m in bot.handled] == [True, True]


async def test_stopping_between_login_and_online_logs_out(rig, profile):
    async with rig(profile) as bot:
        bot.server.control.faults({"fault": "stall", "on": "get_user_friends2", "count": 1})
        await bot.until(lambda: bot.service.faults.counts.get("stall"))
        bot.stop.set()
        await bot.until(lambda: not bot.state.live)


GARBAGE = [
    b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /api/get_user_friends2 HTTP/1.1\r\nHost: s.web2.qq.com\r\nReferer: http://[\r\nContent-Length: 0\r\n\r\n",
    b"GET /check?uin=%C2%B2 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /login?u=%C2%B2 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /check_sig?s_url=%E4%BD%A0&uin=%E4%BD%A0 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /channel/send_qun_msg2?r=%00 HTTP/1.1\r\nHost: x\r\nCookie: \xff=\xff\r\n\r\n",
    b'POST /__control/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n{"seed":[]}',
    b'POST /__control/faults HTTP/1.1\r\nHost: x\r\nContent-Length: 31\r\n\r\n{"fault":"stall","seconds":-10}',
]


@pytest.mark.parametrize("request_", GARBAGE)
async def test_no_request_ends_the_simulator(rig, request_):
    async with rig("webqq2013") as bot:
        await bot.until_online()
        port = int(bot.server.url.rpartition(":")[2])
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(request_)
            assert (await stream.receive_some(1000)).startswith(b"HTTP/1.1 ")
        bot.inject("Ali", "/ping", "ops")
        await bot.until_sent("pong")


async def test_a_client_that_has_just_gone_swallows_no_message(rig, tmp_path):
    """Close and message in the same tick: the answer must not be written into a dead connection."""
    async with rig("webqq2013", folder=tmp_path) as bot:
        await bot.until_online()
        live = bot.state.live[100200300]
        bot.stop.set()  # the session stays; from here on it is polled by hand
        await bot.until(lambda: bot.ends)
        port = int(bot.server.url.rpartition(":")[2])
        cookies = f"skey={live.skey}; uin=o0100200300"
        body = f"clientid={live.clientid}&psessionid={live.psessionid}"
        poll = (
            "POST /channel/poll2 HTTP/1.1\r\nHost: d.web2.qq.com\r\nReferer: http://d.web2.qq.com/proxy.html\r\n"
            f"Cookie: {cookies}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        for i in range(20):
            gone = await trio.open_tcp_stream("127.0.0.1", port)
            before = live.hold
            await gone.send_all(poll.encode())
            await bot.until(lambda before=before: live.hold is not None and live.hold is not before)
            gone.socket.close()
            bot.inject("Ali", f"/say m{i}.", "ops")
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(poll.encode())
                answer = b""
                while b"retcode" not in answer and (chunk := await stream.receive_some(10_000)):
                    answer += chunk
                assert re.findall(rb"/say m\d+\.", answer) == [f"/say m{i}.".encode()]
