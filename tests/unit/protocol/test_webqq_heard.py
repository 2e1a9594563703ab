"""What is a copy of a message, and what only looks like one (webqq.md §12.4)."""

import pytest

from qqops.model import AccountRef, Text
from qqops.protocol.webqq.heard import WINDOW, Heard
from qqops.protocol.webqq.items import Incoming
from qqops.protocol.webqq.roster import Roster

ACCOUNT = AccountRef("webqq", "main")


def roster(numbers=None, groups=None):
    return Roster(account=ACCOUNT, own=100, nick="bot", numbers=numbers or {}, group_numbers=groups or {})


def said(sender, room=0, kind="buddy", id_="1-2", text="/ping", **more):
    return Incoming(kind=kind, room=room, sender=sender, id=id_, time=5, segments=(Text(text),), **more)


ONE = roster({1: 20001, 2: 20002}, {7: 30001, 8: 30002})


@pytest.mark.parametrize(
    ("message", "where", "new"),
    [
        (said(1, 7, "group"), ONE, False),
        (said(2, 7, "group"), ONE, True),
        (said(1, 8, "group"), ONE, True),
        (said(1, 7, "group", id_="1-3"), ONE, True),
        (said(1, 7, "group", text="/pong"), ONE, True),
        (said(1, 7, "discu"), ONE, True),
        # A new login has other aliases: numbers tell, where they are known.
        (said(51, 57, "group"), roster({51: 20001}, {57: 30001}), False),
        (said(51, 57, "group"), roster({51: 20002}, {57: 30001}), True),
        (said(51, 57, "group"), roster({51: 20001}, {57: 30002}), True),
        (said(51, 57, "group", number=30002), roster(), True),
        (said(51, 57, "group"), roster(), False),
        (said(51, 57, "group"), roster({51: 0}, {57: 0}), False),
        # An alias of one login says nothing about the same number in another.
        (said(1, 7, "group"), roster({1: 20009}, {7: 30001}), True),
    ],
)
def test_copies(message, where, new):
    heard = Heard()
    assert heard.is_new(said(1, 7, "group"), ONE)
    assert heard.is_new(message, where) is new
    assert not heard.is_new(said(1, 7, "group"), ONE)


def test_a_discussion_group_keeps_its_number_and_a_stranger_may_bring_his():
    heard = Heard()
    assert heard.is_new(said(1, 40001, "discu"), roster())
    assert heard.is_new(said(1, 40002, "discu"), roster())
    assert not heard.is_new(said(51, 40002, "discu"), roster())
    assert heard.is_new(said(1, 7, "sess", real=20001), roster())
    assert heard.is_new(said(2, 7, "sess", real=20002), roster())
    assert not heard.is_new(said(3, 7, "sess", real=20002), roster())


def test_the_window_is_bounded():
    heard = Heard()
    for n in range(WINDOW + 10):
        assert heard.is_new(said(1, id_=f"{n}-0"), ONE)
        assert heard.is_new(said(1000 + n, id_="same"), ONE)
    assert len(heard._last) <= WINDOW
    assert all(len(places) <= WINDOW for places in heard._last.values())


@pytest.mark.parametrize(
    ("room", "sender", "new"),
    [
        ("30001", "name:Ali", False),  # the look-up failed in the last run
        ("name:ops", "20001", False),
        ("30001", "20001", False),
        ("30001", "20002", True),  # somebody else, for certain
        ("30009", "20001", True),
    ],
)
def test_a_copy_in_the_next_run_is_one_whatever_could_be_looked_up_then(room, sender, new):
    first = said(1, 7, "group")
    heard = Heard()
    heard.before([(room, f"{sender}/{first.id}/{first.fingerprint}"), ("30001", "20001-7"), ("30001", "")])
    assert heard.is_new(first, ONE) is new
    assert not heard.is_new(first, ONE)
