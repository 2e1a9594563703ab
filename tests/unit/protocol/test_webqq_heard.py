"""What is a copy of a message, and what only looks like one (webqq.md §12.4)."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqops.model import AccountRef, Text
from qqops.protocol.webqq.heard import WINDOW, Heard
from qqops.protocol.webqq.items import Incoming
from qqops.protocol.webqq.lists import Contact, Group
from qqops.protocol.webqq.roster import Roster

ACCOUNT = AccountRef("webqq", "main")
NOW = datetime.datetime(2013, 11, 30, tzinfo=datetime.UTC)


def roster(numbers=None, groups=None):
    return Roster(account=ACCOUNT, own=100, nick="bot", numbers=numbers or {}, group_numbers=groups or {})


def said(sender, room=0, kind="buddy", id_="1-2", text="/ping", time=5, **more):
    return Incoming(kind=kind, room=room, sender=sender, id=id_, time=time, segments=(Text(text),), **more)


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
        (said(51, 57, "group", time=6), roster(), True),
        (said(51, 57, "group", time=0), roster(), False),  # the service tells no time
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
    ("room", "then", "new"),
    [
        ("30001", said(1, 7, "group"), False),
        ("name:ops", said(1, 7, "group"), False),  # the look-up failed in the last run
        ("30001", said(51, 57, "group"), False),  # another login
        ("30009", said(1, 7, "group"), True),  # somewhere else, for certain
        ("30001", said(1, 7, "group", time=6), True),
        ("30001", said(1, 7, "group", time=0), False),
        ("30001", said(1, 7, "group", id_="1-3"), True),
        ("30001", said(1, 7, "group", text="/pong"), True),
    ],
)
def test_a_copy_in_the_next_run_is_one_whatever_could_be_looked_up_then(room, then, new):
    now = said(1, 7, "group")
    heard = Heard()
    heard.before([(room, then.name), ("30001", "20001-7"), ("30001", ""), ("30001", "1/2/x/3")])
    assert heard.is_new(now, ONE) is new
    assert not heard.is_new(now, ONE)


#: One delivery of a message: whether it is the first of a new login, of a new run, and what could be looked up for it.
DELIVERIES = st.tuples(
    st.sampled_from(["same session", "new login", "restart"]), st.booleans(), st.booleans(), st.booleans()
)


@given(st.lists(DELIVERIES, min_size=2, max_size=6), st.sampled_from(["group", "buddy", "discu", "sess"]))
def test_a_message_is_heard_once_whatever_fails_between_its_copies(deliveries, kind):
    heard, handled, login = Heard(), [], 0
    own = Roster(account=ACCOUNT, own=100, nick="bot")
    for happens, sender_known, room_known, members_known in deliveries:
        if happens != "same session":
            login += 10
            own = Roster(account=ACCOUNT, own=100, nick="bot")
        if happens == "restart":
            heard = Heard()
            heard.before([(one.room.id, one.ref.id) for one in handled])
        person, room = 1 + login, 0 if kind == "buddy" else 40001 if kind == "discu" else 7 + login
        own.numbers.pop(person, None)
        own.group_numbers.pop(room, None)
        own.members.clear()
        if sender_known:
            own.numbers[person] = 20001
        if room_known:
            own.group_numbers[room] = 30001
        if members_known:
            own.members[kind, room] = {person: Contact(person, "Ali")}
        message = said(person, room, kind)
        if heard.is_new(message, own):
            handled.append(own.translate(message, NOW))
    assert len(handled) == 1


def test_an_id_is_made_of_nothing_that_a_look_up_may_change():
    message = said(1, 7, "group")
    known = roster({1: 20001}, {7: 30001})
    known.members["group", 7] = {1: Contact(1, "Ali", card="A.")}
    known.groups[7] = Group(7, 77, "ops")
    ids = {one.translate(message, NOW).ref.id for one in (ONE, known, roster(), roster({1: 0}, {7: 0}))}
    assert ids == {message.name}
    others = [said(2, 7, "group"), said(1, 7, "group", id_="1-3"), said(1, 7, "group", text="x")]
    assert len(ids | {ONE.translate(other, NOW).ref.id for other in others}) == 4
