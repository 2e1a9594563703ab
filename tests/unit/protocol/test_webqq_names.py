"""Numbers from names: what earlier sessions knew helps, proves little, and is never guessed."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from qqops.model import AccountRef, RoomKind, RoomRef
from qqops.protocol.webqq.earlier import Earlier
from qqops.protocol.webqq.items import Incoming
from qqops.protocol.webqq.lists import Contact, Discussion, Group
from qqops.protocol.webqq.roster import Roster
from qqops.runtime.storage.directory import NameDirectory

ACCOUNT = AccountRef("webqq", "main")
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Here:
    """The directory of one account, as the adapter makes it."""

    def __init__(self):
        class Clock:
            def now(self):
                return NOW

        self.directory = NameDirectory(None, Clock())

    def note(self, kind, place, name, number):
        self.directory.note(ACCOUNT, kind, place, name, number)

    def find(self, kind, place, name):
        return self.directory.find(ACCOUNT, kind, place, name)


def roster(known, **more):
    return Roster(account=ACCOUNT, own=100, nick="bot", earlier=Earlier(known), **more)


def who(user):
    return user.id, user.person.id, user.verified


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
    late = roster(known, friends={51: Contact(51, "Alice", mark="boss"), 52: Contact(52, "Bob")})
    assert who(late.user(51)) == ("name:boss", "20001", True)
    assert who(late.user(52)) == ("name:Bob", "20002", False)
    assert late.user(51).proven.id == "20001"
    assert late.user(52).proven.id == "name:Bob"


def test_a_remark_that_was_given_to_somebody_else_proves_nothing():
    known = Here()
    first_session(known)
    late = roster(known, friends={51: Contact(51, "Mallory", mark="boss"), 52: Contact(52, "Alice")})
    assert who(late.user(51)) == ("name:boss", "20001", False)


def test_a_card_counts_in_its_room_only_and_the_room_is_found_by_its_name():
    known = Here()
    first_session(known)
    members = {("group", 61): {51: Contact(51, "someone", card="chief")}}
    late = roster(known, groups={61: Group(61, 62, "ops")}, group_numbers={61: 30001}, members=members)
    assert who(late.user(51, "group", 61)) == ("name:chief", "20001", False)
    elsewhere = roster(known, groups={61: Group(61, 62, "other")}, group_numbers={61: 30009}, members=members)
    assert who(elsewhere.user(51, "group", 61)) == ("name:chief", "name:chief", False)
    no_numbers = roster(known, groups={61: Group(61, 62, "ops")})
    assert no_numbers.group_room(61).id == "30001"


def test_two_people_of_one_name_stay_names_and_are_reported():
    known = Here()
    first_session(known)
    late = roster(known, members={("group", 61): {53: Contact(53, "Twin")}})
    assert who(late.user(53, "group", 61)) == ("name:Twin", "name:Twin", False)
    assert set(late.earlier.ambiguous["Twin"]) == {"20003", "20004"}


def test_a_second_person_who_takes_on_a_name_gets_nothing():
    known = Here()
    first_session(known)
    late = roster(known, members={("group", 61): {51: Contact(51, "Bob"), 52: Contact(52, "Bob")}})
    assert who(late.user(51, "group", 61)) == ("uin:51", "uin:51", False)
    assert who(late.user(52, "group", 61)) == ("uin:52", "uin:52", False)


def test_somebody_without_any_name_is_nobody():
    known = Here()
    first_session(known)
    assert roster(known, friends={51: Contact(51)}).user(51).id == "uin:51"


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
    assert [(room.id, room.verified) for room in roster(known, groups=groups).rooms()] == [
        ("30001", False), ("name:new", False),
    ]  # fmt: skip
    assert [(room.id, room.verified) for room in late.rooms()] == [
        ("30001", False), ("name:new", False), ("discussion:5", True),
    ]  # fmt: skip


def test_two_groups_of_one_name_stay_names_and_prove_nothing():
    known = Here()
    first_session(known)
    late = roster(known, groups={61: Group(61, 62, "ops"), 63: Group(63, 64, "ops")})
    assert [(late.group_room(gid).id, late.group_room(gid).verified) for gid in (61, 63)] == [
        ("gid:61", False), ("gid:63", False)
    ]  # fmt: skip
    assert late.earlier.ambiguous == {"ops": ("30001",)}


def test_a_private_room_is_as_sure_as_its_person():
    known = Here()
    first_session(known)
    late = roster(
        known, friends={51: Contact(51, "x", mark="boss"), 52: Contact(52, "Bob")}, numbers={53: 20003}
    )
    rooms = {uin: late.room(said(uin)) for uin in (51, 52, 53)}
    assert {uin: (room.id, room.verified) for uin, room in rooms.items()} == {
        51: ("name:boss", False), 52: ("name:Bob", False), 53: ("20003", True),
    }  # fmt: skip


def test_who_has_spoken_without_a_number_keeps_the_ref_when_the_number_is_learned():
    late = roster(None, friends={51: Contact(51, "Bob"), 52: Contact(52, "Cai")})
    first = late.translate(said(51), NOW)
    late.learn(51, 20002)
    second = late.translate(said(51), NOW)
    assert who(first.sender) == ("name:Bob", "name:Bob", False)
    assert who(second.sender) == ("name:Bob", "20002", True)
    assert first.room.ref == second.room.ref, "and so does their private chat"
    assert not second.room.verified
    assert who(late.numbered(20002)) == ("name:Bob", "20002", True), "also where the wire says the number"
    late.learn(52, 20003)
    assert who(late.translate(said(52), NOW).sender) == ("20003", "20003", True)


def test_the_number_that_was_told_first_is_believed_until_the_next_login():
    one = roster(None, friends={51: Contact(51, "Bob")})
    one.learn(51, 20002)
    before = one.translate(said(51), NOW).sender
    for number in (0, 20009):
        one.learn(51, number)
        assert one.translate(said(51), NOW).sender == before


def test_a_rename_and_a_namesake_change_nobodys_ref():
    one = roster(None, friends={51: Contact(51, "Bob")})
    assert one.sender(51).id == "name:Bob"
    one.friends = {51: Contact(51, "Robert"), 52: Contact(52, "Bob")}
    assert one.sender(51).id == "name:Bob"
    assert one.sender(52).id == "uin:52", "somebody else has that name already"
    assert one.target(RoomRef(ACCOUNT, RoomKind.PRIVATE, "name:Bob")) == ("buddy", 51)
    assert one.target(RoomRef(ACCOUNT, RoomKind.PRIVATE, "uin:52")) == ("buddy", 52)


def test_a_list_of_members_binds_nobody():
    one = roster(None, members={("group", 61): {51: Contact(51, "Bob")}}, groups={61: Group(61, 62, "ops")})
    assert one.user(51, "group", 61).id == "name:Bob"
    one.learn(51, 20002)
    assert one.sender(51, "group", 61).id == "20002"


def test_nobody_gets_the_number_of_somebody_who_has_proven_it():
    known = Here()
    first_session(known)
    late = roster(
        known, friends={51: Contact(51, "Alice", mark="boss"), 52: Contact(52, "Alice")}, numbers={52: 20001}
    )
    assert who(late.user(51)) == ("name:boss", "name:boss", False), "the remark was moved to another friend"
    assert who(late.user(52)) == ("20001", "20001", True)


def test_what_was_addressed_to_a_number_reaches_who_is_known_by_a_name_now():
    known = Here()
    first_session(known)
    late = roster(known, friends={51: Contact(51, "Alice", mark="boss"), 52: Contact(52, "Bob")})
    assert late.target(RoomRef(ACCOUNT, RoomKind.PRIVATE, "20001")) == ("buddy", 51)
    assert late.target(RoomRef(ACCOUNT, RoomKind.PRIVATE, "20002")) is None, "it may be another Bob"


@given(
    st.lists(st.tuples(st.sampled_from("AB"), st.booleans(), st.booleans()), max_size=8),
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from(["say", "learn", "rename"])), max_size=20),
)
def test_no_ref_ever_means_two_people_and_nobodys_changes(people, happenings):
    """Whatever is learned and renamed in between."""
    friends = {
        uin: Contact(uin, nick, mark="M" if marked else "")
        for uin, (nick, marked, _) in enumerate(people, 50)
    }
    one = roster(None, friends=friends, numbers={uin: 900 + uin for uin, p in enumerate(people, 50) if p[2]})
    refs = {}
    for index, what in happenings:
        uin = 50 + index
        if uin not in one.friends:
            continue
        if what == "say":
            ref = one.translate(said(uin), NOW).sender.ref
            assert refs.setdefault(uin, ref) == ref
        elif what == "learn":
            one.learn(uin, 900 + uin)
        else:
            one.friends = {**one.friends, uin: Contact(uin, "A")}
    assert len(set(refs.values())) == len(refs)
