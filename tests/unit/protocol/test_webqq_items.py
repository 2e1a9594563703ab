"""What a poll can bring besides messages, as the protocol page shows it (webqq.md §10.1)."""

import pytest

from qqops.model import Text
from qqops.protocol.webqq.items import (
    FileAsk,
    FriendAnswer,
    FriendAsk,
    FriendsChanged,
    Ignored,
    Incoming,
    JoinAsk,
    Kicked,
    Malformed,
    Membership,
    Seen,
    Shaken,
    Writing,
    read_item,
)

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
        Membership(group=30001, person=20001, joined=False, by=20002),
    ),
    ("sys_g_msg", {"type": "group_create"}, Ignored("sys_g_msg group_create")),
    (
        "file_message",
        {**HEADER, "mode": "recv", "name": "a.txt", "session_id": 77},
        FileAsk(uin=3100000001, name="a.txt", session="77"),
    ),
    ("file_message", {**HEADER, "mode": "refuse"}, Ignored("file_message refuse")),
    (
        "push_offfile",
        {**HEADER, "rkey": "k", "ip": "10.0.0.1", "port": 80, "name": "b.zip", "size": 5},
        FileAsk(uin=3100000001, name="b.zip", size=5, url="http://10.0.0.1:80/b.zip?ver=2173&rkey=k&range=0"),
    ),
    ("kick_message", {**HEADER, "reason": "elsewhere"}, Kicked("elsewhere")),
    ("av_request", HEADER, Ignored("av_request")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "item"), CASES)
def test_items(kind, value, item):
    assert read_item({"poll_type": kind, "value": value}) == item


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
    ],
)
def test_what_makes_no_sense_is_told_apart(raw):
    assert isinstance(read_item(raw), Malformed)
