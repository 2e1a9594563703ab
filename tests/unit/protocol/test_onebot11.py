"""The OneBot v11 core: frames, CQ strings, segments, events, answers."""

import datetime
import itertools
import json

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from qqops import model
from qqops.adapters.onebot11.calls import Calls
from qqops.adapters.onebot11.intake import Intake
from qqops.errors import ProtocolError
from qqops.model import (
    AccountRef,
    At,
    AtAll,
    Delivery,
    Face,
    Image,
    MemberRole,
    Message,
    Other,
    RoomKind,
    RoomRef,
    Text,
)
from qqops.protocol.onebot11 import cq, segments
from qqops.protocol.onebot11.answers import goes_on, is_auth_failure, sent
from qqops.protocol.onebot11.events import Reader
from qqops.protocol.onebot11.flavors import FLAVORS, UNKNOWN, flavor_of
from qqops.protocol.onebot11.wire import as_id, decode, encode, number, text
from qqops.simulator.onebot.implementation import cq_string

ME = AccountRef("onebot11", "main")
NOW = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)
ROOM = RoomRef(ME, RoomKind.GROUP, "30001")


def reader():
    found = Reader(ME, lambda: NOW)
    found.self_id = "1"
    return found


class Everything:
    """A link that wants everything."""

    full = False

    def __init__(self):
        self.events = []

    def event(self, event):
        self.events.append(event)

    def chatter(self, text):
        return False

    def note(self, cause):
        assert isinstance(cause, str)


def message(**fields):
    return {
        "post_type": "message", "message_type": "group", "group_id": 30001, "user_id": 20001, "message_id": 7,
        "time": 1700000000, "message": "hi", "sender": {"nickname": "Ali", "card": "A."}, **fields,
    }  # fmt: skip


@pytest.mark.parametrize("data", [b"null", b"[]", b"7", b"{", b"\xff\xfe\x00", b"", b"[" * 100_000, b'"x"'])
def test_what_is_no_object_is_an_error(data):
    with pytest.raises(ProtocolError):
        decode(data)


def test_frames_that_only_a_lenient_reader_takes():
    assert text(decode(b'{"a":"\\ud83d"}')["a"]) == "?"
    assert decode(b'{"a":NaN}')["a"] != 1
    assert decode(b'{"a":"\xff"}')["a"] == "\ufffd"


def test_requests_are_json_with_a_string_echo():
    assert json.loads(encode("a", {"x": "你"}, "q1")) == {"action": "a", "params": {"x": "你"}, "echo": "q1"}


@pytest.mark.parametrize(
    ("value", "as_text", "as_number"),
    [
        (None, "", 0), (True, "true", 1), (7, "7", 7), ("7", "7", 7), ("x", "x", 0), (2**80, str(2**80), 0),
        (1.5, "1.5", 1), (float("nan"), "nan", 0), ([], "", 0), ({}, "", 0), ("9" * 30, "9" * 30, 0),
    ],
)  # fmt: skip
def test_fields_of_any_type(value, as_text, as_number):
    assert (text(value), number(value)) == (as_text, as_number)


def test_ids_go_back_as_numbers_when_they_look_like_some():
    assert [as_id(x) for x in ("7", "-7", "x7", "", "٣")] == [7, -7, "x7", "", "٣"]


@pytest.mark.parametrize(
    ("string", "kinds"),
    [
        ("hi", ["text"]), ("[CQ:at,qq=1] hi", ["at", "text"]), ("a[CQ:face,id=1]b[CQ:rps]", ["text", "face", "text", "rps"]),
        ("[CQ:broken", ["text"]), ("[CQ:]", ["text"]), ("", []), ("[cq:at,qq=1]", ["text"]),
    ],
)  # fmt: skip
def test_cq_strings(string, kinds):
    assert [one["type"] for one in cq.parse(string)] == kinds


def test_cq_escapes():
    assert cq.parse("&#91;CQ:at&#93; &amp;#91;")[0]["data"]["text"] == "[CQ:at] &#91;"
    assert cq.parse("[CQ:share,url=http://a/?b=c&amp;d=e&#44;f,title=]")[0]["data"] == {
        "url": "http://a/?b=c&d=e,f", "title": "",
    }  # fmt: skip


@given(st.lists(st.one_of(
    st.builds(lambda t: {"type": "text", "data": {"text": t}}, st.text("ab[]&,;#CQ:=\n", min_size=1)),
    st.builds(lambda v: {"type": "at", "data": {"qq": v, "x": v}}, st.text("ab[]&,;#=\n")),
)))  # fmt: skip
def test_what_is_written_as_cq_reads_the_same(array):
    merged = []
    for one in array:
        if one["type"] == "text" and merged and merged[-1]["type"] == "text":
            merged[-1] = {"type": "text", "data": {"text": merged[-1]["data"]["text"] + one["data"]["text"]}}
        else:
            merged.append(one)
    assert cq.parse(cq_string(array)) == merged


def test_segments_in_and_out():
    array = [
        {"type": "reply", "data": {"id": -5}},
        {"type": "at", "data": {"qq": 20001, "name": "Ali"}},
        {"type": "at", "data": {"qq": "all"}},
        {"type": "text", "data": {"text": " hi "}},
        {"type": "face", "data": {"id": "14"}},
        {"type": "image", "data": {"file": "a.png", "url": "http://x/a.png"}},
        {"type": "mface", "data": {"key": "k"}},
        {"type": "dice", "data": None},
        7,
        {"type": "text", "data": {"text": ""}},
    ]
    found, quoted = segments.read(array, ME)
    assert quoted == "-5"
    assert [type(s) for s in found] == [At, AtAll, Text, Face, Image, Other, Other, Other]
    assert found[0].person.id == "20001"
    back = segments.write(found[:6], "-5")
    assert back[0] == {"type": "reply", "data": {"id": "-5"}}
    assert [one["type"] for one in back] == ["reply", "at", "at", "text", "face", "image", "mface"]
    assert back[6]["data"] == {"key": "k"}


def test_bytes_go_as_base64_and_the_rest_by_url():
    assert segments.write([Image("", content=b"abc")])[0]["data"]["file"] == "base64://YWJj"
    assert segments.write([Image("x", url="http://a/b")])[0]["data"]["file"] == "http://a/b"


@pytest.mark.parametrize("form", ["array", "object", "string"])
def test_a_message_in_every_form(form):
    said = {"array": [{"type": "text", "data": {"text": "hi"}}], "object": {"type": "text", "data": {"text": "hi"}},
            "string": "hi"}[form]  # fmt: skip
    found = reader().read(message(message=said))
    assert (found.text, found.room.id, found.sender.name, found.ref.id) == ("hi", "30001", "A.", "7")
    assert found.at.timestamp() == 1700000000


def test_messages_of_our_own_and_meta_events_are_nothing():
    assert reader().read(message(user_id=1)) is None
    assert reader().read({"post_type": "meta_event"}) is None
    assert reader().read({"post_type": "message_sent"}) is None


def test_a_mention_of_us_and_a_private_chat():
    assert reader().read(message(message="[CQ:at,qq=1] x")).at_me
    assert not reader().read(message(message="[CQ:at,qq=2] x")).at_me
    found = reader().read(message(message_type="private"))
    assert (found.room.ref.kind, found.room.id, found.at_me) == (RoomKind.PRIVATE, "20001", True)


def test_milliseconds_and_nonsense_as_time():
    assert reader().read(message(time=1700000000123)).at.timestamp() == 1700000000
    assert reader().read(message(time="x")).at == NOW


def test_a_temporary_chat_is_answered_through_its_group():
    them = reader()
    them.read(message(message_type="private", sub_type="group", group_id=30001))
    assert them.temporary == {"20001": "30001"}


NOTICES = [
    ("group_increase", {"sub_type": "invite", "operator_id": 3}, model.Joined, {"by.id": "3"}),
    ("group_decrease", {"sub_type": "leave", "operator_id": 20001}, model.Left, {"by": None}),
    ("group_decrease", {"sub_type": "kick", "operator_id": 3}, model.Left, {"by.id": "3"}),
    ("group_admin", {"sub_type": "unset"}, model.AdminChanged, {"on": False}),
    ("group_ban", {"sub_type": "ban", "duration": 60, "operator_id": 3}, model.Muted, {"seconds": 60}),
    ("group_ban", {"sub_type": "lift_ban", "duration": 0, "user_id": 0}, model.Muted, {"seconds": 0, "sender": None}),
    ("group_recall", {"operator_id": 3, "message_id": 9}, model.Recalled, {"by.id": "3", "message.id": "9"}),
    ("friend_recall", {"message_id": 9, "group_id": None}, model.Recalled, {"message.id": "9"}),
    ("group_upload", {"file": {"name": "a", "size": 3}}, model.FileOffered, {"name": "a", "size": 3}),
    ("friend_add", {"group_id": None}, model.FriendAdded, {"sender.id": "20001"}),
    ("group_card", {"card_old": "a", "card_new": "b"}, model.CardChanged, {"new": "b"}),
    ("essence", {"sub_type": "add", "sender_id": 5, "message_id": 9}, model.Highlighted, {"sender.id": "5"}),
    ("group_msg_emoji_like", {"likes": [{"emoji_id": "66"}], "message_id": 9}, model.Reacted, {"code": "66"}),
    ("reaction", {"sub_type": "remove", "code": "66", "operator_id": 3}, model.Reacted, {"on": False, "sender.id": "3"}),
    ("notify", {"sub_type": "poke", "target_id": 1}, model.Poked, {"target.id": "1"}),
    ("notify", {"sub_type": "group_name", "name_new": "x"}, model.RoomRenamed, {"name": "x", "room.name": "x"}),
    ("notify", {"sub_type": "lucky_king"}, model.Notice, {"kind": "lucky_king"}),
    ("of_tomorrow", {}, model.Notice, {"kind": "of_tomorrow"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "wanted", "values"), NOTICES)
def test_notices(kind, fields, wanted, values):
    frame = {"post_type": "notice", "notice_type": kind, "group_id": 30001, "user_id": 20001, **fields}
    event = reader().read(frame)
    assert type(event) is wanted
    for path, value in values.items():
        found = event
        for step in path.split("."):
            found = getattr(found, step)
        assert found == value, path


def test_requests_keep_their_flag():
    them = reader()
    frame = {"post_type": "request", "user_id": 20001, "comment": "hi", "flag": "f-1"}
    group = frame | {"request_type": "group", "group_id": 30001}
    found = [
        them.read(frame | {"request_type": "friend"}), them.read(group | {"sub_type": "add"}),
        them.read(group | {"sub_type": "invite"}),
    ]  # fmt: skip
    assert [type(one) for one in found] == [model.FriendRequest, model.JoinRequest, model.GroupInvite]
    assert [one.request.token for one in found] == ["friend:f-1", "add:f-1", "invite:f-1"]
    assert [one.id for one in found] == ["friend:f-1", "add:f-1", "invite:f-1"]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["group", "private", "text", "at", "all", "0", "1", "add", "poke", "\ud83d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "data", "text", "qq", "id", "content", "file", "name", "emoji_id", "card", "user_id"]),
        inner, max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip
FIELDS = [
    "message_type", "sub_type", "message_id", "user_id", "group_id", "message", "raw_message", "sender", "time",
    "anonymous", "operator_id", "target_id", "duration", "file", "likes", "code", "flag", "comment", "self_id",
    "interval", "status", "font", "post_type", "notice_type", "card_old", "card_new", "name_new", "is_add", "sender_id", "group_name",
]  # fmt: skip
KINDS = [("message", ""), ("request", "friend"), ("request", "group"), ("request", "?")]
KINDS += [("meta_event", "heartbeat"), ("meta_event", "lifecycle"), ("message_sent", "")]
KINDS += [("notice", kind) for kind in {kind for kind, *_ in NOTICES}]


@settings(max_examples=settings.default.max_examples * 4)
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=8))
def test_wrong_types_in_every_field_are_no_error(kind, fields):
    post_type, what = kind
    frame = {
        "post_type": post_type,
        "notice_type": what,
        "request_type": what,
        "meta_event_type": what,
        **fields,
    }
    event = reader().read(frame)
    assert event is None or isinstance(event, model.Event)
    trio.run(taken_in, frame)


async def taken_in(frame):
    intake, link = Intake(reader()), Everything()
    intake.begin(link)
    assert intake.take(frame)  # never an error, and never a frame that is held against the others
    assert intake.take(message(message="after it"))
    assert [e.text for e in link.events if isinstance(e, Message)][-1] == "after it"


@settings(max_examples=settings.default.max_examples * 3)
@given(
    st.dictionaries(
        st.sampled_from(["status", "retcode", "data", "echo", "message", "wording", "msg", "stream"]),
        ANYTHING,
    )
)
def test_answers_of_any_shape_are_no_error(frame):
    outcome = sent(frame, ROOM, UNKNOWN)
    assert isinstance(outcome.delivery, Delivery)
    assert goes_on(frame) in (True, False)
    assert is_auth_failure(frame) in (True, False)
    calls = Calls(None, itertools.count(), 5)
    calls.answer(frame)
    assert calls.strays == 1


def test_many_segments_and_deep_forwards_are_bounded():
    many = [{"type": "face", "data": {"id": "1"}}] * 50_000
    assert len(segments.read(many, ME)[0]) == segments.MAX_SEGMENTS
    deep = []
    for _ in range(500):
        deep = [
            {"type": "node", "data": {"content": [{"type": "forward", "data": {"id": "1", "content": deep}}]}}
        ]
    assert len(segments.read_nodes(deep, ME)) == 1


@pytest.mark.parametrize(
    ("flavor", "answer", "delivery"),
    [
        ("napcat", {"status": "ok", "data": {"message_id": -3}}, Delivery.DELIVERED),
        ("napcat", {"status": "ok", "data": None}, Delivery.DELIVERED),
        ("napcat", {"status": "async", "retcode": 1}, Delivery.ACCEPTED),
        ("napcat", {"status": "failed", "retcode": 1200, "message": "Timeout: NTEvent sendMsg"}, Delivery.UNKNOWN),
        ("napcat", {"status": "failed", "retcode": 1200, "message": 'EventRet: {"result": 120}'}, Delivery.REFUSED),
        ("napcat", {"status": "failed", "retcode": 1200, "message": 'EventRet: {"result": 0}'}, Delivery.UNKNOWN),
        ("gocq", {"status": "failed", "retcode": 100, "wording": "账号可能被风控"}, Delivery.UNKNOWN),
        ("gocq", {"status": "failed", "retcode": 100, "wording": "群不存在"}, Delivery.REFUSED),
        ("lagrange", {"status": "failed", "retcode": 120}, Delivery.REFUSED),
        ("napcat", {"status": "failed", "retcode": 1404, "message": "Timeout: NTEvent"}, Delivery.REFUSED),
    ],
)  # fmt: skip
def test_how_a_send_went(flavor, answer, delivery):
    assert sent(answer, ROOM, FLAVORS[flavor]).delivery is delivery


def test_flavors_by_what_they_call_themselves():
    assert flavor_of("NapCat.Onebot") is FLAVORS["napcat"]
    assert flavor_of("LLOneBot") is FLAVORS["llbot"]
    assert flavor_of("go-cqhttp") is FLAVORS["gocq"]
    assert flavor_of("of tomorrow") is UNKNOWN


def test_what_somebody_is_in_the_group_comes_from_each_message_and_from_nothing_else():
    made = reader()
    roles = ["member", "admin", "admin", "owner", "member", "king", ["admin"], None]
    seen = [made.read(message(sender={"nickname": "Ali", "role": role})).sender.role.value for role in roles]
    assert seen == ["member", "admin", "admin", "owner", "member", "", "", ""]
    made.read(message(sender={"nickname": "Ali", "role": "admin"}))
    poke = {
        "post_type": "notice",
        "notice_type": "notify",
        "sub_type": "poke",
        "group_id": 30001,
        "user_id": 20001,
        "target_id": 1,
    }
    assert made.read(poke).sender.role is MemberRole.UNKNOWN, "an old message says nothing about now"
    private = message(message_type="private", sender={"nickname": "Ali", "role": "admin"})
    assert made.read(private).sender.role is MemberRole.UNKNOWN
