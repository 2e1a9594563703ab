"""Numbers from names: what earlier sessions knew helps, proves little, and is never guessed."""

import datetime

from qqops.model import AccountRef
from qqops.protocol.webqq.items import Incoming
from qqops.protocol.webqq.lists import Contact, Discussion, Group
from qqops.protocol.webqq.roster import Roster
from qqops.runtime.identity import Identity

ACCOUNT = AccountRef("webqq", "main")
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Here:
    """The directory of one account, as the adapter makes it."""

    def __init__(self):
        class Clock:
            def now(self):
                return NOW

        self.identity = Identity(None, Clock())

    def note(self, kind, place, name, number):
        self.identity.note(ACCOUNT, kind, place, name, number)

    def find(self, kind, place, name):
        return self.identity.find(ACCOUNT, kind, place, name)


def roster(known, **more):
    return Roster(account=ACCOUNT, own=100, nick="bot", known=known, **more)


def said(sender, room=0, kind="buddy"):
    return Incoming(kind=kind, room=room, sender=sender, id="1", time=5, segments=())


def first_session(known):
    """A session in which the service still told real numbers."""
    old = roster(
        known,
        friends={1: Contact(1, "Alice", mark="boss"), 2: Contact(2, "Bob")},
        groups={7: Group(7, 8, "ops")},
        numbers={1: 20001, 2: 20002, 3: 20003, 4: 20004},
        group_numbers={7: 30001},
        members={
            ("group", 7): {1: Contact(1, "Alice", card="chief"), 3: Contact(3, "Twin"), 4: Contact(4, "Twin")}
        },
    )
    for message in (said(1), said(2), said(1, 7, "group"), said(3, 7, "group"), said(4, 7, "group")):
        old.translate(message, NOW)


def test_a_remark_proves_who_it_is_and_a_nick_does_not():
    known = Here()
    first_session(known)
    late = roster(known, friends={51: Contact(51, "renamed", mark="boss"), 52: Contact(52, "Bob")})
    assert (late.user(51).id, late.user(51).verified) == ("20001", True)
    assert (late.user(52).id, late.user(52).verified) == ("20002", False)


def test_a_card_counts_in_its_room_only_and_the_room_is_found_by_its_name():
    known = Here()
    first_session(known)
    members = {("group", 61): {51: Contact(51, "someone", card="chief")}}
    late = roster(known, groups={61: Group(61, 62, "ops")}, group_numbers={61: 30001}, members=members)
    assert late.user(51, "group", 61).id == "20001"
    elsewhere = roster(known, groups={61: Group(61, 62, "other")}, group_numbers={61: 30009}, members=members)
    assert elsewhere.user(51, "group", 61).id == "name:chief"
    no_numbers = roster(known, groups={61: Group(61, 62, "ops")})
    assert no_numbers.group_room(61).id == "30001"


def test_two_people_of_one_name_stay_names_and_are_reported():
    known = Here()
    first_session(known)
    late = roster(known, members={("group", 61): {53: Contact(53, "Twin")}})
    user = late.user(53, "group", 61)
    assert (user.id, user.verified) == ("name:Twin", False)
    assert set(late.ambiguous["Twin"]) == {"20003", "20004"}


def test_a_second_person_who_takes_on_a_name_gets_nothing():
    known = Here()
    first_session(known)
    late = roster(known, members={("group", 61): {51: Contact(51, "Bob"), 52: Contact(52, "Bob")}})
    assert late.user(51, "group", 61).id == "name:Bob"
    assert late.user(52, "group", 61).id == "name:Bob"


def test_somebody_without_any_name_is_nobody():
    known = Here()
    first_session(known)
    assert roster(known, friends={51: Contact(51)}).user(51).id == "name:?"


def test_a_room_says_whether_its_number_is_the_services_own():
    known = Here()
    first_session(known)
    groups = {61: Group(61, 62, "ops"), 63: Group(63, 64, "new")}
    told = roster(known, groups=groups, group_numbers={61: 30001, 63: 30009})
    assert [(told.group_room(gid).id, told.group_room(gid).verified) for gid in groups] == [
        ("30001", True),
        ("30009", True),
    ]
    late = roster(known, groups=groups, group_numbers={61: 0, 63: 0}, discussions={5: Discussion(5, "plan")})
    assert [(room.id, room.verified) for room in late.rooms()] == [
        ("30001", False), ("name:new", False), ("5", True),
    ]  # fmt: skip


def test_two_groups_of_one_name_stay_names_and_prove_nothing():
    known = Here()
    first_session(known)
    late = roster(known, groups={61: Group(61, 62, "ops"), 63: Group(63, 64, "ops")})
    assert {(late.group_room(gid).id, late.group_room(gid).verified) for gid in (61, 63)} == {
        ("name:ops", False)
    }
    assert late.ambiguous == {"ops": ("30001",)}


def test_a_private_room_is_as_sure_as_its_person():
    known = Here()
    first_session(known)
    late = roster(
        known, friends={51: Contact(51, "x", mark="boss"), 52: Contact(52, "Bob")}, numbers={53: 20003}
    )
    rooms = {uin: late.room(said(uin)) for uin in (51, 52, 53)}
    assert {uin: (room.id, room.verified) for uin, room in rooms.items()} == {
        51: ("20001", True), 52: ("20002", False), 53: ("20003", True),
    }  # fmt: skip
