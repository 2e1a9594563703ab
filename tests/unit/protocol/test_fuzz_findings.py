"""What the fuzzer found; each input once cost a session, seconds or minutes, or an unreadable log."""

import datetime
import json
import random
import urllib.parse

import pytest

from qqops.errors import ProtocolError, TransientError
from qqops.model import AccountRef
from qqops.protocol.onebot11.events import Reader
from qqops.protocol.webqq import lists, poll, send
from qqops.protocol.webqq.flow import AskCaptcha, Call, Pause
from qqops.protocol.webqq.http import Response
from qqops.protocol.webqq.items import Malformed
from qqops.protocol.webqq.login import login
from qqops.protocol.webqq.opening import relink
from qqops.protocol.webqq.profile import SMARTQQ, WEBQQ2013
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import js_call, js_unescape, json_of
from qqops.simulator.control import Control
from qqops.simulator.service import Service
from qqops.simulator.state import Aliases
from qqops.simulator.state import Session as SimSession
from qqops.simulator.wire import parse

HUGE = "1" + "0" * 4000
DONE = "ptuiCB('0','0','http://ptlogin2.web2.qq.com/check_sig?x=1','0','登录成功！', 'n');".encode()


class Clock:
    def now(self):
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def session(profile=SMARTQQ):
    made = Session(profile=profile, rng=random.Random(1), number=100200300)
    made.psessionid, made.vfwebqq, made.ptwebqq = "ps", "vf", "0123abcd"
    return made


def answer(body):
    return Response(status=200, body=body if isinstance(body, bytes) else body.encode(), elapsed=30.0)


def run(flow, *answers):
    """Drive *flow* with one answer a call, the last one again and again; return its result."""
    step, left = next(flow), list(answers)
    try:
        while True:
            if isinstance(step, Call):
                step = flow.send(answer(left.pop(0) if len(left) > 1 else left[0]))
            else:
                step = flow.send(None)
    except StopIteration as stop:
        return stop.value


@pytest.mark.parametrize(
    "nested", ["[" * 600 + '"\\ud800"' + "]" * 600, '{"a":' * 600 + '"\\ud800"' + "}" * 600]
)
def test_deep_nesting_with_a_lone_surrogate_is_a_protocol_error(nested):
    with pytest.raises(ProtocolError, match="nested"):
        json_of(answer(f'{{"retcode":0,"result":[{nested}]}}'), "poll2")


def test_nesting_up_to_the_end_of_the_stack_is_a_protocol_error():
    """json.loads got through where the repr in the error's excerpt, a few frames deeper, did not."""
    for depth in range(850, 1000):
        for body in ('{"retcode":%s}', '{"retcode":0,"result":[%s]}', '{"retcode":116,"p":%s}'):
            with pytest.raises(ProtocolError):
                poll.read(session(), answer(body % ("[" * depth + "]" * depth)))


def test_a_deep_item_that_is_injected_does_not_stop_the_polls():
    for depth in range(850, 1000):
        service, control = simulator()
        service.state.live[100200300] = service.state.sessions["ps"]
        service.options.lenient = True
        control.handle("POST", "inject", b'{"kind":"raw","item":%s}' % (b"[" * depth + b"]" * depth))
        service.collect(request(service, "/channel/poll2", '{"psessionid":"ps"}'))


def test_a_javascript_answer_full_of_escaped_quotes_is_read_in_linear_time():
    body = b"ptuiCB('" + b"\\'" * 30_000 + b")"
    assert js_call(answer(body), "ptuiCB") == []


def test_numbers_beyond_any_id_are_refused():
    with pytest.raises(ProtocolError) as raised:
        poll.read(session(), answer(f'{{"retcode":{HUGE}}}'))
    assert len(str(raised.value)) < 400
    with pytest.raises(ProtocolError) as raised:
        run(relink(session()), f'{{"retcode":0,"result":{{"psessionid":"x","uin":{HUGE}}}}}')
    assert len(str(raised.value)) < 400


def test_the_reason_of_a_send_stays_short():
    outcome, _ = send.read(session(), answer(f'{{"retcode":{HUGE}}}'))
    assert len(outcome.reason) < 400


def test_a_long_poll_type_makes_no_long_error():
    (item,) = poll.items([{"poll_type": "x" * 50_000}])
    assert isinstance(item, Malformed)
    assert len(str(item.error)) < 400


def test_the_reason_of_a_kick_is_one_short_printable_line():
    (item,) = poll.items([{"poll_type": "kick_message", "value": {"reason": "\x1b[2J\n" * 9000}}])
    assert item.reason.isprintable()
    assert len(item.reason) < 400


def test_excerpts_of_many_bad_items_take_no_time():
    poll.items(["super" * 128] * 300)


def test_a_refused_login_says_so_in_one_printable_line():
    flow = login(session(WEBQQ2013), "pw")
    check = b"ptui_checkVC('0','!PTH','\\x00');"
    with pytest.raises(TransientError) as raised:
        run(flow, b"", check, b"ptuiCB('" + b"\x1b[2J\n" * 9000 + b"','0','','0','no', '');")
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400


def test_a_name_with_an_endless_entity_does_not_cost_the_list():
    body = '{"retcode":0,"result":{"info":[{"uin":7,"nick":"&#' + "9" * 5000 + '"}]}}'
    assert set(run(lists.friends(session()), body)) == {7}


def test_a_ptwebqq_of_four_kilobytes_is_refused():
    """One of the friends hashes takes its length squared."""
    made = session()
    made.cookies.put("qq.com", "qrsig", "x")
    flow = login(made, "")
    flow.send(None)
    flow.send(answer(b"page"))
    made.cookies.put("qq.com", "qrsig", "x")
    flow.send(answer(b"picture"))
    next(flow)
    flow.send(answer(DONE))
    made.cookies.take("qq.com", [("Set-Cookie", "ptwebqq=" + "a" * 4000)])
    with pytest.raises(ProtocolError, match="token"):
        flow.send(answer(b""))


def test_pictures_that_expire_at_once_are_not_asked_for_without_a_pause():
    made = session()
    flow = login(made, "")
    step, paused = next(flow), False
    for _ in range(12):
        made.cookies.put("qq.com", "qrsig", "x")
        if isinstance(step, Call):
            step = flow.send(answer("ptuiCB('65','0','','0','二维码已失效。', '');"))
        else:
            paused = paused or isinstance(step, Pause)
            step = next(flow)
    assert paused


def test_a_captcha_answer_that_is_no_text_does_not_break_the_request():
    flow = login(session(WEBQQ2013), "pw")
    next(flow)
    flow.send(answer(b""))
    flow.send(answer(b"ptui_checkVC('1','x','\\x00');"))
    assert isinstance(flow.send(answer(b"picture")), AskCaptcha)
    step = flow.send("ab\udcc2")
    assert step.request.target.isascii()


def test_emoji_in_a_javascript_text_are_read_and_half_ones_replaced():
    assert js_unescape(r"\ud83d\ude00!") == "😀!"
    js_unescape(r"a\ud800b").encode()


def simulator():
    service = Service(Clock())
    made = SimSession(number=100200300, profile="smartqq", aliases=Aliases(random.Random(1)), skey="@k",
                      ptwebqq="pt", vfwebqq="vf", psessionid="ps")  # fmt: skip
    made.aliases.people[20001] = 7
    service.state.sessions["ps"] = service.state.logins["@k"] = made
    return service, Control(service)


def request(service, path, r):
    headers = {"referer": "http://d.web2.qq.com/proxy.html", "cookie": "skey=@k; uin=o1"}
    return service.handle(parse("POST", path, headers, f"r={urllib.parse.quote(r)}".encode()))


@pytest.mark.parametrize("value", [int(HUGE), -int(HUGE)])
@pytest.mark.parametrize("key", ["seconds", "probability"])
def test_a_fault_with_a_huge_number_is_an_error(key, value):
    _, control = simulator()
    status, _ = control.handle("POST", "faults", json.dumps({"fault": "stall", key: value}).encode())
    assert status == 400


def test_lone_surrogates_do_not_hide_what_was_sent_nor_the_state():
    service, control = simulator()
    content = json.dumps([["\ud800", 1], "x", ["font", {}]])
    request(
        service,
        "/channel/send_discu_msg2",
        json.dumps({"psessionid": "ps", "did": 40001, "content": content}),
    )
    request(service, "/channel/login2", json.dumps({"psessionid": "ps", "ptwebqq": "pt", "status": "\ud800"}))
    control.handle("POST", "faults", b'{"fault":"http","on":"\\ud800"}')
    assert len(service.state.sent) == 1
    assert control.handle("GET", "sent", b"")[0] == 200
    assert control.handle("GET", "state", b"")[0] == 200


def nested(times):
    value = []
    for _ in range(times):
        value = [value]
    return value


def test_a_notice_that_is_nested_too_deeply_is_malformed():
    reader = Reader(AccountRef("onebot11", "main"), Clock().now)
    frame = {"post_type": "notice", "notice_type": "x", "time": 5, "deep": nested(100_000)}
    with pytest.raises(ProtocolError, match="nested too deeply"):
        reader.read(frame)
    assert reader.read({**frame, "deep": nested(10)}).kind == "x"


def test_an_excerpt_of_what_is_nested_too_deeply_says_so():
    assert str(ProtocolError("bad", payload=nested(100_000))).endswith("list, nested too deeply to be shown")
