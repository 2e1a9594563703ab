"""Client core and simulator core wired together without a socket: what one sends the other understands."""

import datetime
import random

import pytest

from qqops.errors import FatalError, TransientError
from qqops.model import Face, Text
from qqops.protocol.webqq import lists, poll, send
from qqops.protocol.webqq.classify import Verdict
from qqops.protocol.webqq.flow import AskCaptcha, Call
from qqops.protocol.webqq.http import Response
from qqops.protocol.webqq.login import login
from qqops.protocol.webqq.opening import logout, relink
from qqops.protocol.webqq.profile import PROFILES
from qqops.protocol.webqq.session import Session
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.state import Hold
from qqops.simulator.wire import parse


class Clock:
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    def now(self):
        return self.moment


class Wire:
    """Carries requests of a client core to a service core and back."""

    def __init__(self, profile, **options):
        self.service = Service(Clock(), options=ServiceOptions(seed=1, **options))
        number = 100200300 if profile == "webqq2013" else 0
        self.session = Session(profile=PROFILES[profile], rng=random.Random(1), number=number)
        self.calls = []

    def request(self, request):
        self.calls.append(request.name)
        cookies = self.session.cookies
        headers = {k.lower(): v for k, v in request.headers(cookies.header(request.hostname))}
        body = request.body if request.method == "POST" else b""
        outcome = self.service.handle(parse(request.method, request.target, headers, body))
        if isinstance(outcome, Hold):
            reply = self.service.collect(outcome)
            if reply is None:
                Clock.moment += datetime.timedelta(seconds=60)
                reply = self.service.collect(outcome)
            self.service.channel.written(outcome, True)
            outcome = reply
        lines = tuple(("Set-Cookie", line) for line in outcome.cookies)
        cookies.take(request.hostname, lines)
        return Response(status=outcome.status, headers=lines, body=outcome.body, elapsed=30.0)

    def drive(self, flow):
        answer = None
        while True:
            try:
                step = flow.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = None
            if isinstance(step, Call):
                answer = self.request(step.request)
            elif isinstance(step, AskCaptcha):
                answer = list(self.service.state.captchas.values())[-1]

    def poll(self):
        return poll.read(self.session, self.request(poll.request(self.session, 120)))

    def send(self, *args):
        return send.read(self.session, self.request(send.request(self.session, *args)))


@pytest.fixture(params=list(PROFILES))
def wire(request):
    wire = Wire(request.param)
    wire.drive(login(wire.session, "sim-pass-1"))
    return wire


def test_login_gives_a_session(wire):
    session = wire.session
    assert session.number == 100200300
    assert session.nick == "qqops-bot"
    assert session.psessionid
    assert session.vfwebqq
    assert session.cookies.get("p_skey")
    assert wire.poll().verdict is Verdict.IDLE


def test_the_calls_come_in_the_order_of_the_generation():
    old, new = Wire("webqq2013"), Wire("smartqq")
    old.drive(login(old.session, "sim-pass-1"))
    new.drive(login(new.session, ""))
    assert old.calls == ["login_page", "check", "login", "check_sig", "login2"]
    assert new.calls == [
        "login_page", "ptqrshow", "ptqrlogin", "ptqrlogin", "ptqrlogin", "check_sig", "getvfwebqq", "login2",
        "get_self_info2", "get_online_buddies2", "get_recent_list2",
    ]  # fmt: skip


def test_smartqq_polls_answer_103_until_the_gate_is_opened():
    wire = Wire("smartqq")
    flow = login(wire.session, "")
    answer = None
    while True:
        step = flow.send(answer)
        if isinstance(step, Call) and step.request.name == "get_online_buddies2":
            break
        answer = wire.request(step.request) if isinstance(step, Call) else None
    assert wire.poll().verdict is Verdict.RELINK


def test_captcha_and_wrong_captcha():
    wire = Wire("webqq2013", captcha=True)
    wire.drive(login(wire.session, "sim-pass-1"))
    assert wire.calls[:4] == ["login_page", "check", "getimage", "login"]


def test_a_wrong_password_is_fatal_and_brings_the_captcha():
    wire = Wire("webqq2013")
    with pytest.raises(FatalError, match="密码不正确"):
        wire.drive(login(wire.session, "wrong"))
    wire.drive(login(wire.session, "sim-pass-1"))
    assert "getimage" in wire.calls


@pytest.mark.parametrize("variant", "NOPQ")
def test_each_hash_variant_is_found(variant):
    wire = Wire("webqq2013", hashes={"webqq2013": frozenset(variant)})
    wire.drive(login(wire.session, "sim-pass-1"))
    assert {c.nick for c in wire.drive(lists.friends(wire.session)).values()} == {"Ali", "Bo"}
    assert wire.session.hash_variant == variant


def test_no_variant_fits():
    wire = Wire("webqq2013", hashes={"webqq2013": frozenset()})
    wire.drive(login(wire.session, "sim-pass-1"))
    with pytest.raises(TransientError, match="hash"):
        wire.drive(lists.friends(wire.session))


def test_lists_and_real_numbers(wire):
    session = wire.session
    friends = wire.drive(lists.friends(session))
    ali = next(c for c in friends.values() if c.nick == "Ali")
    assert ali.uin != 20001
    assert wire.drive(lists.real_number(session, ali.uin, group=False)) == 20001
    groups = wire.drive(lists.groups(session))
    ops = next(g for g in groups.values() if g.name == "ops")
    assert wire.drive(lists.real_number(session, ops.code, group=True)) == 30002
    assert wire.drive(lists.real_number(session, ops.gid, group=True)) == 0
    members = wire.drive(lists.group_members(session, ops))
    assert {m.name for m in members.values()} == {"Ali", "Bo", "qqops-bot"}
    (plan,) = wire.drive(lists.discussions(session)).values()
    _, numbers = wire.drive(lists.discussion_members(session, plan.did))
    assert set(numbers.values()) == {20001, 20002, 100200300}


def test_messages_both_ways(wire):
    session, state = wire.session, wire.service.state
    groups = wire.drive(lists.groups(session))
    gid = next(g.gid for g in groups.values() if g.name == "ops")
    for i in range(3):
        state.say(20001, "group", 30002, (Text(f"m{i} "), Face(14)), wire.service.now() + i)
    items = wire.poll().items
    assert [i.segments for i in items] == [(Text(f"m{n} "), Face(14)) for n in range(3)]
    assert {i.room for i in items} == {gid}
    outcome, verdict = wire.send("group", gid, (Text("hi 你好"), Face(14)))
    assert (outcome.ok, verdict) == (True, Verdict.OK)
    assert state.sent[-1].segments == (Text("hi 你好"), Face(14))
    assert not wire.send("group", 12345, (Text("nobody"),))[0].ok


def test_relink_and_logout(wire):
    state = wire.service.state
    state.end(state.live[100200300], 121, relinkable=True)
    assert wire.poll().verdict is Verdict.RELINK
    assert wire.drive(relink(wire.session)) is True
    assert wire.poll().verdict is Verdict.IDLE
    wire.drive(logout(wire.session))
    assert not state.live
    assert wire.drive(relink(wire.session)) is False


def test_aliases_change_with_each_login(wire):
    first = {c.nick: uin for uin, c in wire.drive(lists.friends(wire.session)).items()}
    wire.session = Session(profile=wire.session.profile, rng=random.Random(2), number=100200300)
    wire.drive(login(wire.session, "sim-pass-1"))
    second = {c.nick: uin for uin, c in wire.drive(lists.friends(wire.session)).items()}
    assert first.keys() == second.keys()
    assert set(first.values()).isdisjoint(second.values())


def test_the_referer_is_checked():
    import attrs

    for profile in PROFILES:
        wire = Wire(profile)
        wire.drive(login(wire.session, "sim-pass-1"))
        request = attrs.evolve(poll.request(wire.session, 120), referer="http://evil.com/proxy.html")
        assert poll.read(wire.session, wire.request(request)).verdict in (Verdict.RELINK, Verdict.LOGIN)


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("/channel/poll2?x=1", "d.web2.qq.com"),
        ("http://d.web2.qq.com/channel/poll2?x=1", "127.0.0.1:8000"),
        ("/d.web2.qq.com/channel/poll2?x=1", "127.0.0.1:8000"),
    ],
)
def test_three_roads_lead_to_a_host(target, host):
    asked = parse("GET", target, {"host": host}, b"")
    assert (asked.host, asked.path, asked.query) == ("d.web2.qq.com", "/channel/poll2", {"x": "1"})
