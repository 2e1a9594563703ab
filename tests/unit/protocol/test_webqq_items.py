"""What a poll can bring besides messages, as the protocol page shows it (webqq.md §10.1)."""

import attrs
import pytest

from qqops.model import Text
from qqops.protocol.webqq.items import (
    FileAsk,
    FriendAnswer,
    FriendAsk,
    FriendsChanged,
    Happening,
    Ignored,
    Incoming,
    JoinAsk,
    Kicked,
    Malformed,
    Membership,
    Seen,
    Shaken,
    Told,
    Writing,
)
from qqops.protocol.webqq.reading import MAX_FRIENDS, read_item

HEADER = {
    "msg_id": 11,
    "from_uin": 3100000001,
    "to_uin": 100200300,
    "msg_id2": 12,
    "msg_type": 9,
    "reply_ip": 1,
}
CASES = [
    ("buddies_status_change", {"uin": 31, "status": "offline", "client_type": 1}, Seen(31, "offline")),
    ("input_notify", HEADER, Writing(3100000001)),
    ("shake_message", HEADER, Shaken(3100000001)),
    (
        "buddylist_change",
        {"added_friends": [{"uin": 1, "groupid": 0}], "removed_friends": [{"uin": 2}]},
        FriendsChanged(added=(1,), removed=(2,)),
    ),
    (
        "system_message",
        {"type": "verify_required", "account": 20009, "msg": "let me in"},
        FriendAsk(number=20009, text="let me in"),
    ),
    ("system_message", {"type": "verify_pass_add", "account": 7, "msg": ""}, FriendAnswer(number=7, text="")),
    ("system_message", {"type": "added_buddy_sig", "account": 7}, FriendAnswer(number=7, text="")),
    ("system_message", {"type": "else"}, Ignored("system_message else")),
    (
        "sys_g_msg",
        {"type": "group_request_join", "gcode": 9, "t_gcode": 30001, "request_uin": 5, "t_request_uin": 20005, "msg": "hi"},
        JoinAsk(group=30001, person=20005, uin=5, text="hi"),
    ),
    (
        "sys_g_msg",
        {"type": "group_leave", "t_gcode": 30001, "t_old_member": 20001, "t_admin_uin": 20002, "op_type": 3},
        Membership(group=30001, person=20001, joined=False, forced=True, by=20002),
    ),
    (
        "sys_g_msg",
        {"type": "group_leave", "t_gcode": 30001, "t_old_member": 20001, "admin_uin": 7, "admin_nick": "Ali", "op_type": 3},
        Membership(group=30001, person=20001, joined=False, forced=True, by_uin=7, by_name="Ali"),
    ),
    (
        "sys_g_msg",
        {"type": "group_leave", "t_gcode": 30001, "t_old_member": 20001, "t_admin_uin": 20001, "op_type": 2},
        Membership(group=30001, person=20001, joined=False),
    ),
    (
        "sys_g_msg",
        {"type": "group_join", "t_gcode": 30001, "t_new_member": 20001, "admin_uin": 7, "op_type": 3},
        Membership(group=30001, person=20001, joined=True, forced=True, by_uin=7),
    ),
    (
        "sys_g_msg",
        {"type": "group_create", "gcode": 9, "t_gcode": 30001, "owner_uin": 7},
        Told(kind="group_create", group=30001, data={"type": "group_create", "t_gcode": 30001}),
    ),
    (
        "sys_g_msg",
        {"type": "group_request_join_deny", "t_gcode": 30001, "admin_uin": 7, "t_admin_uin": 20002, "msg": "no"},
        Told(kind="group_request_join_deny", group=30001, by=20002, data={"type": "group_request_join_deny", "t_gcode": 30001, "msg": "no"}),
    ),
    ("sys_g_msg", {"type": "else"}, Ignored("sys_g_msg else")),
    (
        "file_message",
        {**HEADER, "mode": "recv", "name": "a.txt", "session_id": 77},
        FileAsk(uin=3100000001, name="a.txt", session="77"),
    ),
    (
        "file_message",
        {**HEADER, "mode": "refuse", "type": 161, "session_id": 77, "cancel_type": 3},
        Told(kind="file_refuse", sender=3100000001, data={"mode": "refuse", "type": 161, "session_id": 77, "cancel_type": 3}),
    ),
    (
        "file_message",
        {**HEADER, "mode": "send_ack", "session_id": 77},
        Told(kind="file_send_ack", sender=3100000001, data={"mode": "send_ack", "session_id": 77}),
    ),
    ("file_message", {**HEADER, "mode": "else"}, Ignored("file_message else")),
    (
        "notify_offfile",
        {**HEADER, "action": 2, "filename": "a.txt", "filesize": 5},
        Told(kind="notify_offfile", sender=3100000001, data={"action": 2, "filename": "a.txt", "filesize": 5}),
    ),
    (
        "filesrv_transfer",
        {"file_count": 1, "lc_id": "9", "operation": 1, "from_uin": 7, "file_infos": [{"file_name": "a.txt", "file_status": 50}, 3]},
        Told(kind="filesrv_transfer", sender=7, data={"file_count": 1, "lc_id": "9", "operation": 1, "files": ["a.txt"]}),
    ),
    (
        "group_web_message",
        {**HEADER, "from_uin": 61, "group_code": 62, "group_type": 1, "ver": 1, "send_uin": 7, "xml": "<d/>"},
        Told(kind="group_web_message", sender=7, room=61, data={"group_type": 1, "ver": 1, "xml": "<d/>"}),
    ),
    ("tips", {"text": "a\nb", "list": [1], "deep": {"x": 1}}, Told(kind="tips", data={"text": "ab"})),
    ("nick_change", {"from_uin": 7, "nick": "Al"}, Told(kind="nick_change", sender=7, data={"nick": "Al"})),
    (
        "push_offfile",
        {**HEADER, "rkey": "k", "ip": "10.0.0.1", "port": 80, "name": "b.zip", "size": 5},
        FileAsk(uin=3100000001, name="b.zip", size=5, url="http://10.0.0.1:80/b.zip?ver=2173&rkey=k&range=0"),
    ),
    ("kick_message", {**HEADER, "reason": "elsewhere"}, Kicked("elsewhere")),
    ("av_request", HEADER, Told(kind="av_request", sender=3100000001)),
    ("discu_else", HEADER, Ignored("discu_else")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "item"), CASES)
def test_items(kind, value, item):
    found = read_item({"poll_type": kind, "value": value})
    if isinstance(found, Happening):
        assert bool(found.id) == ("msg_id" in value or "seq" in value), "a number makes an id"
        again = read_item({"poll_type": kind, "value": dict(reversed(value.items()))})
        assert again == found, "a copy is the same, in whatever order its fields come"
        found = attrs.evolve(found, id="", time=0)
    assert found == item


def test_a_stranger_writes_through_a_common_group():
    value = {
        **HEADER,
        "id": 2700000002,
        "ruin": 20009,
        "service_type": 0,
        "time": 5,
        "content": [["font", {}], "hi "],
    }
    item = read_item({"poll_type": "sess_message", "value": value})
    assert item == Incoming(
        kind="sess",
        room=2700000002,
        sender=3100000001,
        id="11-12",
        time=5,
        segments=(Text("hi"),),
        real=20009,
    )


@pytest.mark.parametrize(
    "raw",
    [
        {"poll_type": "input_notify", "value": {}},
        {"poll_type": "shake_message", "value": {"from_uin": []}},
        {"poll_type": "push_offfile", "value": {**HEADER, "port": "x"}},
        {"poll_type": "buddylist_change", "value": {"added_friends": 3}},
        {"poll_type": "sess_message", "value": {**HEADER, "content": []}},
        {"poll_type": "system_message", "value": {"type": "verify_required"}},
        {"poll_type": "sys_g_msg", "value": {"type": "group_request_join"}},
        {
            "poll_type": "sys_g_msg",
            "value": {"type": "group_leave", "t_gcode": 1, "t_old_member": 2, "op_type": []},
        },
        {"poll_type": "tips", "value": {"from_uin": [7]}},
        {"poll_type": "tips", "value": {"n": 10**21}},
    ],
)
def test_what_makes_no_sense_is_told_apart(raw):
    assert isinstance(read_item(raw), Malformed)


def test_what_is_passed_on_unread_is_short():
    value = {f"k{n}": "x" * 5000 for n in range(100)}
    told = read_item({"poll_type": "tips", "value": value})
    assert len(told.data) == 20
    assert {len(field) for field in told.data.values()} == {1000}


def test_a_change_of_the_friends_that_is_too_long_is_cut_and_counted():
    many = [{"uin": n + 1} for n in range(MAX_FRIENDS + 7)]
    item = read_item(
        {"poll_type": "buddylist_change", "value": {"added_friends": many, "removed_friends": many[:3]}}
    )
    assert (len(item.added), len(item.removed), item.left_out) == (MAX_FRIENDS, 3, 7)
