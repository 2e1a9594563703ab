"""What a poll brings, as events: whose doing it was, what has no class of its own, and what is said once in the log."""

import datetime
import random

import pytest
import structlog.testing

from qqops.adapters.webqq.events import EventTranslator
from qqops.adapters.webqq.lookups import LookUps
from qqops.model import AccountRef, Left, Notice
from qqops.protocol.webqq.heard import Heard
from qqops.protocol.webqq.items import FriendsChanged, Incoming
from qqops.protocol.webqq.lists import Contact, Group
from qqops.protocol.webqq.profile import PROFILES
from qqops.protocol.webqq.reading import read_item
from qqops.protocol.webqq.roster import Roster
from qqops.protocol.webqq.session import Session

ACCOUNT = AccountRef("webqq", "main")


class Clock:
    def now(self):
        return datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Link:
    def __init__(self):
        self.events = []

    def event(self, event):
        self.events.append(event)


@pytest.fixture
def roster():
    return Roster(
        account=ACCOUNT, own=100, nick="bot", friends={7: Contact(7, "Ali")}, numbers={7: 20007},
        groups={61: Group(61, 62, "ops")}, group_numbers={61: 30001},
    )  # fmt: skip


def events(roster, *raw):
    link = Link()
    hand_over = EventTranslator(ACCOUNT, Clock(), link, Heard())
    for kind, value in raw:
        hand_over.item(read_item({"poll_type": kind, "value": value}), roster)
    return link.events


LEFT = {"type": "group_leave", "gcode": 62, "t_gcode": 30001, "t_old_member": 20009}


@pytest.mark.parametrize(
    ("more", "by"),
    [
        ({"op_type": 2}, None),
        ({"op_type": 2, "t_admin_uin": 20009, "admin_nick": "himself"}, None),
        ({"op_type": 3, "t_admin_uin": 20007, "admin_nick": "Ali"}, ("20007", "Ali", True)),
        ({"op_type": 3, "t_admin_uin": 20007}, ("20007", "20007", True)),
        ({"op_type": 3, "admin_uin": 7, "admin_nick": "Al"}, ("20007", "Ali", True)),
        ({"op_type": 3, "admin_uin": 8, "admin_nick": "Bo"}, ("uin:8", "Bo", False)),
        ({"op_type": 3, "admin_nick": "Bo"}, ("name:Bo", "Bo", False)),
        ({"op_type": 3}, ("name:?", "?", False)),
        ({}, None),
    ],
)
def test_who_was_put_out_is_told_from_who_left(roster, more, by):
    (event,) = events(roster, ("sys_g_msg", {**LEFT, **more}))
    assert isinstance(event, Left)
    assert (event.room.id, event.room.name, event.sender.id) == ("30001", "ops", "20009")
    assert (event.by and (event.by.id, event.by.name, event.by.verified)) == by


def test_what_has_no_class_becomes_a_notice_with_permanent_ids(roster):
    found = events(
        roster,
        ("group_web_message", {"from_uin": 61, "group_code": 62, "send_uin": 7, "xml": "<d/>"}),
        ("notify_offfile", {"from_uin": 7, "action": 1, "filename": "a.txt", "filesize": 5}),
        (
            "sys_g_msg",
            {"type": "group_request_join_agree", "t_gcode": 30001, "t_admin_uin": 20007, "msg": "hi"},
        ),
        ("sys_g_msg", {"type": "group_create", "gcode": 5, "t_gcode": 30009, "owner_uin": 100}),
        ("tips", {"text": "x"}),
    )
    assert all(isinstance(event, Notice) for event in found)
    assert [(event.kind, dict(event.data)) for event in found] == [
        ("group_web_message", {"xml": "<d/>", "sender": "20007", "room": "30001"}),
        ("notify_offfile", {"action": 1, "filename": "a.txt", "filesize": 5, "sender": "20007"}),
        (
            "group_request_join_agree",
            {
                "type": "group_request_join_agree",
                "t_gcode": 30001,
                "msg": "hi",
                "room": "30001",
                "by": "20007",
            },
        ),
        ("group_create", {"type": "group_create", "t_gcode": 30009, "room": "30009"}),
        ("tips", {"text": "x"}),
    ]


def test_a_group_without_number_and_a_list_that_was_cut_are_reported_once(roster):
    roster.group_numbers = {61: 0}
    hand_over = EventTranslator(ACCOUNT, Clock(), Link(), Heard())
    with structlog.testing.capture_logs() as logs:
        for n in range(3):
            hand_over.item(
                Incoming(kind="group", room=61, sender=7, id=f"{n}-1", time=5, segments=()), roster
            )
            hand_over.item(FriendsChanged(added=(), removed=(), left_out=5), roster)
    assert sorted(entry["event"][:10] for entry in logs) == ["a group is", "a list was"]


def test_a_list_of_the_service_that_was_cut_is_reported_once(roster):
    session = Session(profile=PROFILES["webqq2013"], rng=random.Random(1), number=100)
    look_ups = LookUps(ACCOUNT, session, roster, calls=None)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            session.cut |= {"info": 5, "cards": 7}
            look_ups.report_cut()
    assert sorted((entry["list"], entry["left_out"]) for entry in logs) == [("cards", 7), ("info", 5)]
