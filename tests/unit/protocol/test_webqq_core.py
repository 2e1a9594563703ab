"""The parts of the client's core, each by itself: cookies, content, polls, codes; and garbage for all of them."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqops.errors import AdapterError, ProtocolError
from qqops.model import Delivery, Face, Image, Other, Text
from qqops.protocol.webqq import adding, grouping, lists, poll, send
from qqops.protocol.webqq.classify import Verdict, classify
from qqops.protocol.webqq.content import PHONE_NOTICE, decode, encode
from qqops.protocol.webqq.errors import WebQQProtocolError
from qqops.protocol.webqq.flow import Call
from qqops.protocol.webqq.http import Cookies, Response
from qqops.protocol.webqq.login import login, quick_login
from qqops.protocol.webqq.profile import PROFILES, SMARTQQ, WEBQQ2013
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import js_bytes, js_call, js_unescape

FONT = ["font", {"size": 10, "color": "000000", "style": [0, 0, 0], "name": "宋体"}]


def make_session(profile=SMARTQQ):
    session = Session(profile=profile, rng=random.Random(1), number=100200300)
    session.psessionid, session.vfwebqq, session.ptwebqq = "ps", "vf", "0123abcd"
    return session


def answer(body, elapsed=30.0, status=200):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status=status, body=data, elapsed=elapsed)


# -- cookies -----------------------------------------------------------------------------------------


def test_the_cookies_of_check_sig_leave_the_good_ones():
    """Empty ones with an expiry of 1970 delete; they must not shadow p_skey under another domain."""
    jar = Cookies()
    jar.take(
        "ptlogin2.web2.qq.com",
        [
            ("Set-Cookie", "skey=@abcdefghi; PATH=/; DOMAIN=qq.com;"),
            ("Set-Cookie", "p_skey=good; PATH=/; DOMAIN=web2.qq.com;"),
            ("Set-Cookie", "p_skey=; EXPIRES=Thu, 01 Jan 1970 00:00:00 GMT; PATH=/; DOMAIN=qq.com;"),
            (
                "set-cookie",
                "pt2gguin=o0100200300; EXPIRES=Fri, 02-Jan-2020 00:00:00 GMT; PATH=/; DOMAIN=qq.com;",
            ),
        ],
    )
    assert jar.header("d1.web2.qq.com") == "skey=@abcdefghi; p_skey=good; pt2gguin=o0100200300"
    assert jar.get("p_skey") == "good"


def test_a_name_goes_out_once_and_the_closest_domain_wins():
    jar = Cookies()
    jar.take(
        "a.web2.qq.com",
        [("Set-Cookie", "x=far; DOMAIN=qq.com"), ("Set-Cookie", "x=near; DOMAIN=web2.qq.com")],
    )
    assert jar.header("a.web2.qq.com") == "x=near"
    assert jar.header("ptlogin2.qq.com") == "x=far"
    jar.put("qq.com", "x", "new")
    assert jar.header("a.web2.qq.com") == "x=new"


def test_foreign_domains_and_header_injection_are_refused():
    jar = Cookies()
    jar.take(
        "s.web2.qq.com",
        [("Set-Cookie", "x=1; DOMAIN=evil.com"), ("Set-Cookie", "y=a\r\nX: b"), ("Set-Cookie", "=")],
    )
    assert len(jar) == 0


def test_the_jar_is_bounded():
    jar = Cookies()
    jar.take("qq.com", [("Set-Cookie", f"c{i}=1") for i in range(1000)])
    assert len(jar) == Cookies.LIMIT


# -- content -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "segments"),
    [
        ([FONT, "hello "], (Text("hello"),)),
        ([FONT, "a\rb\r\nc "], (Text("a\nb\nc"),)),
        ([FONT, "hello ", ["face", 14], " look "], (Text("hello "), Face(14), Text(" look"))),
        ([FONT, "one", "two "], (Text("onetwo"),)),
        ([FONT, ["face", 14], " "], (Face(14),)),
        ([FONT, ["cface", "A.jPg", ""], " "], (Image("A.jPg", {"kind": "cface"}),)),
        ([FONT, ["offpic", {"success": 1, "file_path": "/x"}], " "],
         (Image("/x", {"kind": "offpic", "success": 1, "file_path": "/x"}),)),
        ([FONT, ["new", 1, 2], " "], (Other("new", [1, 2]),)),
        ([FONT, "hi" + PHONE_NOTICE], (Text("hi"),)),
        ([FONT, ""], ()),
        ([FONT, 5], (Other("unknown", 5),)),
    ],
)  # fmt: skip
def test_decode(content, segments):
    assert decode(content) == segments


def test_outgoing_content_ends_in_the_font_and_holds_text():
    content = json.loads(encode((Face(14),)))
    assert content == [
        ["face", 14],
        " ",
        ["font", {"name": "宋体", "size": 10, "style": [0, 0, 0], "color": "000000"}],
    ]


texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r"), min_size=1)


@given(st.lists(st.one_of(texts.map(Text), st.integers(0, 134).map(Face)), min_size=1))
def test_what_is_sent_reads_the_same(segments):
    """Round trip through the wire form, texts joined, but for the one blank that receivers strip."""
    wire = json.loads(encode(tuple(segments)))
    got = decode([wire[-1], *wire[:-1]])
    flat = "".join(s.text if isinstance(s, Text) else f"<{s.id}>" for s in segments)
    back = "".join(s.text if isinstance(s, Text) else f"<{s.id}>" for s in got)
    assert back in (flat, flat.removesuffix(" ")) or PHONE_NOTICE in flat


# -- polls -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("profile", "body", "elapsed", "verdict"),
    [
        ("webqq2013", {"retcode": 102, "errmsg": ""}, 60, Verdict.IDLE),
        ("smartqq", {"retcode": 100012, "retmsg": "RecvTimeout"}, 60, Verdict.IDLE),
        ("smartqq", {"retcode": 100012}, 0.1, Verdict.LOGIN),
        ("smartqq", {"retcode": 0, "retmsg": "ok", "errmsg": "error"}, 60, Verdict.IDLE),
        ("webqq2013", {"retcode": 121, "t": "0"}, 5, Verdict.RELINK),
        ("smartqq", {"retcode": 103}, 0.1, Verdict.RELINK),
        ("webqq2013", {"retcode": 103}, 0.1, Verdict.LOGIN),
        ("smartqq", {"retcode": 100000}, 0.1, Verdict.LOGIN),
        ("webqq2013", {"retcode": "108"}, 0.1, Verdict.LOGIN),
        ("webqq2013", {"retcode": 111}, 0.1, Verdict.FATAL),
        ("webqq2013", {"retcode": 424242}, 0.1, Verdict.TRANSIENT),
    ],
)
def test_poll_verdicts(profile, body, elapsed, verdict):
    assert poll.read(make_session(PROFILES[profile]), answer(body, elapsed)).verdict is verdict


def test_nothing_at_once_again_and_again_is_a_dead_session():
    session = make_session()
    body = {"retcode": 0, "errmsg": "error"}
    verdicts = [poll.read(session, answer(body, 0.1)).verdict for _ in range(3)]
    assert verdicts == [Verdict.IDLE, Verdict.IDLE, Verdict.RELINK]


def test_a_new_ptwebqq_is_taken_into_variable_and_cookie():
    session = make_session()
    session.cookies.put("qq.com", "ptwebqq", "old")
    polled = poll.read(session, answer({"retcode": 116, "p": "new"}))
    session.renew_ptwebqq(polled.ptwebqq)
    assert (session.ptwebqq, session.cookies.get("ptwebqq")) == ("new", "new")


def message(time, seq=0, msg_id=1, text="x"):
    value = {
        "msg_id": msg_id,
        "from_uin": 7,
        "send_uin": 8,
        "time": time,
        "seq": seq,
        "content": [FONT, text],
    }
    return {"poll_type": "group_message", "value": value}


def test_newest_first_is_put_in_order():
    items = poll.items([message(12, 3, 3), message(11, 2, 2), message(11, 1, 1)])
    assert [i.seq for i in items] == [1, 2, 3]
    assert [i.seq for i in poll.items([message(11, 1, 1), message(12, 3, 3), message(11, 2, 2)])] == [1, 2, 3]


def test_one_bad_item_does_not_cost_the_others():
    got = poll.items([message(2), {"poll_type": "message", "value": {"content": "no list"}}, 5, message(1)])
    assert [type(i).__name__ for i in got] == ["Incoming", "Malformed", "Malformed", "Incoming"]


@pytest.mark.parametrize(
    ("code", "delivery"),
    [(0, Delivery.ACCEPTED), (100100, Delivery.ACCEPTED), (1202, Delivery.UNKNOWN), (100001, Delivery.REFUSED),
     (121, Delivery.REFUSED), (99, Delivery.UNKNOWN)],
)  # fmt: skip
def test_send_outcomes(code, delivery):
    assert send.read(make_session(), answer({"retcode": code}))[0].delivery is delivery
    assert send.read(make_session(), answer({"errCode": code, "msg": ""}))[0].delivery is delivery


def test_the_same_code_means_different_things_in_different_calls():
    assert classify("smartqq", "list", 50) is Verdict.HASH
    assert classify("smartqq", "relink", 112) is Verdict.TRANSIENT
    assert classify("smartqq", "login2", 106) is Verdict.FATAL
    assert classify("smartqq", "send", 100100) is Verdict.OK
    assert classify("smartqq", "list", 100100) is Verdict.REFUSED


# -- javascript --------------------------------------------------------------------------------------


def test_javascript_answers():
    body = "ptuiCB('66','0','','0','二维码未失效。(3203338905)', '');\r\n".encode()
    assert js_call(answer(body), "ptuiCB") == ["66", "0", "", "0", "二维码未失效。(3203338905)", ""]
    assert js_bytes(r"\x00\x00\x00\x00\x05\xf8\xef\x6c") == (100200300).to_bytes(8, "big")
    assert js_unescape(r"it\x27s \u4f60 \\") == "it's 你 \\"
    with pytest.raises(ProtocolError, match="HTTP 502"):
        js_call(Response(status=502, body=b"<html>"), "ptuiCB")


# -- garbage -----------------------------------------------------------------------------------------

jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(
        st.sampled_from(["retcode", "errCode", "result", "poll_type", "value", "content", "msg_id", "from_uin", "p",
                         "info", "friends", "uin", "gnamelist", "gid", "code", "minfo", "ginfo", "members", "type",
                         "send_uin", "did", "time", "seq", "psessionid", "vfwebqq", "account", "t_gcode"]),
        inner, max_size=6,
    ),
    max_leaves=20,
)  # fmt: skip
bodies = st.binary(max_size=200) | jsons.map(lambda v: json.dumps(v).encode())


@given(bodies, st.sampled_from(list(PROFILES)), st.floats(0, 100), st.sampled_from([200, 404, 502]))
def test_a_poll_of_garbage_raises_nothing_but_protocol_errors(body, profile, elapsed, status):
    session = make_session(PROFILES[profile])
    try:
        polled = poll.read(session, answer(body, elapsed, status))
    except ProtocolError as exc:
        assert len(str(exc)) < 400
    else:
        assert polled.verdict in Verdict


@given(st.lists(jsons, max_size=5))
def test_items_of_garbage_are_told_apart(result):
    assert len(poll.items(result)) == len(result)


FLOWS = [
    lambda s: login(s, "pw"),
    lists.friends,
    lists.groups,
    lists.discussions,
    lambda s: lists.group_members(s, lists.Group(1, 2, "x")),
    lambda s: lists.discussion_members(s, 1),
    lambda s: lists.real_number(s, 1, group=False),
    lambda s: adding.search(s, 1),
    lambda s: grouping.card(s, 1),
    lambda s: grouping.public_info(s, 1),
    lambda s: grouping.create_discussion(s, "x", [1]),
    lambda s: quick_login(with_token(make_session(SMARTQQ))),
]


def with_token(session):
    session.cookies.put("qq.com", "supertoken", "5")
    return session


@given(st.data(), st.sampled_from(FLOWS), st.sampled_from([WEBQQ2013, SMARTQQ]))
def test_a_flow_fed_with_garbage_ends_in_an_error_of_ours(data, make, profile):
    session = make_session(profile)
    session.cookies.put("qq.com", "qrsig", "x")
    flow = make(session)
    step = next(flow)
    headers = st.lists(st.tuples(st.just("Set-Cookie"), st.text(max_size=30)), max_size=2)
    scripts = st.sampled_from([
        b"ptui_checkVC('0','!ABC','\\x00\\x01');", b"ptui_checkVC('1','x','\\x00');", b"ptui_checkVC('0');",
        b"ptuiCB('0','0','http://ptlogin2.web2.qq.com/check_sig?x=1','0','ok', 'n');",
        b"ptuiCB('0','0','http://evil.com/','0','ok', 'n');", b"ptuiCB('3','0','','0','no', '');", b"ptuiCB();",
    ])  # fmt: skip
    for _ in range(30):
        try:
            if isinstance(step, Call):
                body = data.draw(scripts | bodies)
                response = Response(status=data.draw(st.sampled_from([200, 404])), body=body)
                session.cookies.take(step.request.host, data.draw(headers))
                step = flow.send(response)
            else:
                step = flow.send("text")
        except (ProtocolError, AdapterError, StopIteration):
            return


def test_what_has_no_time_of_its_own_is_only_turned_round():
    assert [i.id for i in poll.items([message(11, msg_id=m) for m in (3, 2, 1)])] == ["1-0", "2-0", "3-0"]


def test_sends_and_logins_are_not_repeated_by_the_transport():
    session = make_session()
    assert not send.request(session, "group", 1, (Text("x"),)).idempotent
    assert poll.request(session, 60).idempotent
    ids = {
        json.loads(dict(send.request(session, "group", 1, (Text("x"),)).form)["r"])["msg_id"]
        for _ in range(5)
    }
    assert len(ids) == 5, "a message id is never used twice"


def test_a_javascript_answer_without_end_is_refused_at_once():
    for body in (b"a" * 1_000_000, b"a" * 60_000, b"ptuiCB(" + b"'" * 60_000):
        with pytest.raises(ProtocolError):
            js_call(answer(body), "ptuiCB")


@pytest.mark.parametrize(
    "url",
    ["http://evil.com/check_sig", "http://[foo", "ftp://ptlogin2.qq.com/", "http://é.qq.com/", "http://a..qq.com/",
     "http://qq.com.evil.com/", "http://x@ptlogin2.qq.com/", "http://ptlogin2.qq.com:80/\\ud800", "http://evilqq.com/"],
)  # fmt: skip
def test_a_login_leads_nowhere_but_to_the_service(url):
    session = make_session()
    flow = login(session, "")
    next(flow)
    flow.send(answer(b"page"))
    session.cookies.put("qq.com", "qrsig", "x")
    flow.send(answer(b"picture"))
    next(flow)
    with pytest.raises(ProtocolError, match="foreign or malformed"):
        flow.send(answer(f"ptuiCB('0','0','{url}','0','登录成功！', 'n');".encode()))


def test_excerpts_do_not_show_secrets():
    body = {"retcode": 0, "result": {"psessionid": "S3CR3T", "vfwebqq": "S3CR3T", "uin": "x"}}
    shown = str(WebQQProtocolError("bad", payload=json.dumps(body).encode()))
    assert "S3CR3T" not in shown
    assert "psessionid" in shown
    assert "S3CR3T" not in str(WebQQProtocolError("bad", payload=body))
    assert "S3CR3T" not in str(
        WebQQProtocolError("bad", payload="ptuiCB('0','0','http://x/?ptsigx=S3CR3T&s_url=1')")
    )


@pytest.mark.parametrize("value", ["--5", "²", "x", "-1", "0", "5"])
def test_max_age_of_any_kind(value):
    jar = Cookies()
    jar.take("qq.com", [("Set-Cookie", f"a=1; Max-Age={value}")])
    assert len(jar) == (0 if value in ("-1", "0") else 1)


def test_a_new_ptwebqq_that_is_no_token_is_refused():
    with pytest.raises(ProtocolError, match="not a token"):
        poll.read(make_session(), answer({"retcode": 116, "p": "é; x"}))


def test_an_empty_result_is_nothing_new():
    session = make_session()
    verdicts = [poll.read(session, answer({"retcode": 0, "result": []}, 0.1)).verdict for _ in range(3)]
    assert verdicts == [Verdict.IDLE, Verdict.IDLE, Verdict.RELINK]


def test_counters_put_each_group_in_order_within_its_own_places():
    def of(room, time, seq):
        item = message(time, seq, seq)
        item["value"]["from_uin"] = room
        return item

    got = poll.items([of(1, 11, 1), of(2, 11, 9), of(1, 11, 2)])
    assert [(i.room, i.seq) for i in got] == [(1, 1), (2, 9), (1, 2)]
