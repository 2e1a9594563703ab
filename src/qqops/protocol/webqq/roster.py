"""Who is who in one session: aliases ↔ people and rooms with permanent numbers. Source: webqq.md §2, §9.

The aliases end here. `Roster.translate` makes messages of the model out of what a poll brought, or says
what has to be looked up first.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import attrs

from qqops.model import (
    AccountRef,
    At,
    Image,
    Message,
    PersonRef,
    Room,
    RoomKind,
    RoomRef,
    Segment,
    Text,
    User,
)
from qqops.protocol.webqq import items
from qqops.protocol.webqq.earlier import Earlier
from qqops.protocol.webqq.items import Incoming
from qqops.protocol.webqq.lists import Contact, Discussion, Group

#: What the id of a discussion group begins with; the rest is its number. Groups are numbered apart.
DISCUSSION = "discussion:"
#: Offers of files that can still be taken.
OFFERED = 256
#: Friends who came or went at once and whose numbers are asked for; more is not an everyday event.
MANY = 20


@attrs.frozen
class NeedPerson:
    """The real number of a person is not known yet."""

    uin: int


@attrs.frozen
class NeedFriend:
    """Somebody who is not in the list of friends writes to us: the list may be old."""

    uin: int


@attrs.frozen
class NeedGroup:
    """The real number of a group is not known yet; *gid* may not even be in the list."""

    gid: int


@attrs.frozen
class NeedMembers:
    """The members of a group or discussion group are not known yet, or somebody new spoke."""

    kind: str
    room: int
    sender: int = 0


Need: TypeAlias = NeedPerson | NeedFriend | NeedGroup | NeedMembers


@attrs.define(kw_only=True)
class Roster:
    """What one session knows about people and rooms.

    Attributes:
        own: Our own real number.
        numbers: Real number of a person by uin; 0 when the service did not tell. See `learn`.
        group_numbers: Real number of a group by gid; 0 when the service did not tell.
        asked: Needs that were looked up once; they are not asked for again before the lists are refreshed.
        strangers: uin → (gid or did, service) of people who wrote through a common room.
        earlier: What earlier sessions have seen.
        aliases: Stands for the login whose aliases these are.
        offered: URLs of files that the service has named in this session, the last ones.
        given: The refs of people who did something before their number was known, by uin: they keep them.
    """

    account: AccountRef
    own: int
    nick: str
    friends: dict[int, Contact] = attrs.field(factory=dict)
    groups: dict[int, Group] = attrs.field(factory=dict)
    discussions: dict[int, Discussion] = attrs.field(factory=dict)
    members: dict[tuple[str, int], dict[int, Contact]] = attrs.field(factory=dict)
    numbers: dict[int, int] = attrs.field(factory=dict)
    group_numbers: dict[int, int] = attrs.field(factory=dict)
    asked: set[Need] = attrs.field(factory=set)
    strangers: dict[int, tuple[int, int]] = attrs.field(factory=dict)
    earlier: Earlier = attrs.field(factory=Earlier)
    aliases: object = attrs.field(factory=object)
    offered: list[str] = attrs.field(factory=list)
    given: dict[int, PersonRef] = attrs.field(factory=dict)
    _holders: dict[str, int] = attrs.field(factory=dict)
    _counted: tuple[object, int, Counter[str]] | None = None
    _group_names: tuple[object, Counter[str]] | None = None

    def learn(self, uin: int, number: int) -> None:
        """Note the real number of *uin*, 0 for none. The first one that is told is believed as long as the aliases live."""
        self.numbers[uin] = self.numbers.get(uin) or number

    def offer(self, url: str) -> None:
        """Note that the service has named *url*."""
        self.offered.append(url)
        del self.offered[:-OFFERED]

    def needs(self, item: items.Item) -> list[Need]:
        """Return what must be looked up before *item* can be translated, in the order of asking."""
        wanted = self._of_message(item) if isinstance(item, Incoming) else []
        unknown = (uin for uin in _people(item) if uin not in self.numbers and uin not in (self.own, 0))
        wanted += [NeedPerson(uin) for uin in unknown]
        return [need for need in wanted if need not in self.asked]

    def _of_message(self, message: Incoming) -> list[Need]:
        wanted: list[Need] = []
        if message.kind == "group":
            if message.number:
                self.group_numbers[message.room] = message.number
            if message.room not in self.groups or message.room not in self.group_numbers:
                wanted.append(NeedGroup(message.room))
        if message.kind == "buddy" and message.sender not in self.friends and message.sender != self.own:
            wanted.append(NeedFriend(message.sender))
        if message.kind == "sess":
            self.strangers[message.sender] = (message.room, message.service)
            if message.real:
                self.learn(message.sender, message.real)
        kind, room = _place(message)
        if kind != "buddy" and message.sender not in self.members.get((kind, room), {}):
            wanted.append(NeedMembers(kind, room, message.sender))
        return wanted

    def is_own(self, message: Incoming) -> bool:
        """Whether *message* is our own, seen from another device or echoed (§10.1, §12.4)."""
        return message.sender in (0, self.own) or self.numbers.get(message.sender) == self.own

    def translate(self, message: Incoming, now: datetime.datetime) -> Message:
        """Return *message* with permanent addresses.

        Args:
            now: Stands in where the service told no time.
        """
        sender = self.sender(message.sender, *_place(message))
        room = self.room(message)
        self._note(message)
        time = (
            datetime.datetime.fromtimestamp(message.time, datetime.UTC) if 0 < message.time < 2**36 else now
        )
        segments, mentioned = self._mention(message.segments, self._own_names(message))
        group = self.groups.get(message.room) if message.kind == "group" else None
        code = group.code if group is not None else message.code
        segments = tuple(_fetchable(s, message, code) if isinstance(s, Image) else s for s in segments)
        return Message(
            id=message.name,
            room=room,
            sender=sender,
            segments=segments,
            at=time,
            at_me=room.private or mentioned,
        )

    def _own_names(self, message: Incoming) -> list[str]:
        """Return what we are called in the room of *message*, the longest first."""
        members = self.members.get(_place(message), {})
        mine = [c for uin, c in members.items() if uin == self.own or self.numbers.get(uin) == self.own]
        return sorted({self.nick, *(c.card for c in mine)} - {""}, key=len, reverse=True)

    def _mention(self, segments: tuple[Segment, ...], names: list[str]) -> tuple[tuple[Segment, ...], bool]:
        """Find ``@nick`` or ``@card`` of ours; the service writes it as plain text (§10.2).

        A leading one becomes a mention of its own, so that a command may follow it.
        """
        first = segments[0] if segments else None
        for name in names:
            me = f"@{name}"
            if isinstance(first, Text) and first.text.startswith(me):
                rest = first.text[len(me) :]
                if not rest or rest[0].isspace() or rest[0] in ",，:：":
                    at = At(PersonRef(self.account, str(self.own)), name)
                    return (at, *((Text(rest),) if rest else ()), *segments[1:]), True
        found = any(f"@{name}" in s.text for name in names for s in segments if isinstance(s, Text))
        return segments, found

    def sender(self, uin: int, kind: str = "buddy", room: int = 0) -> User:
        """Return who did something in a room; from now on *uin* has this ref, whatever is learned later."""
        user = self.user(uin, kind, room)
        if uin not in self.given and user.ref != self._numbered(uin):
            self.given[uin] = user.ref
            self._holders[user.id] = uin
        return user

    def user(self, uin: int, kind: str = "buddy", room: int = 0) -> User:
        """Return the person *uin* as seen in a room, as far as is known now."""
        friend = self.friends.get(uin)
        contact = self.members.get((kind, room), {}).get(uin) or friend
        mark = friend.mark if friend else ""
        name = (contact.card or mark or contact.nick) if contact else ""
        person = self._numbered(uin)
        if person is not None:
            return User(ref=self.given.get(uin, person), name=name or person.id, person=person)
        ref = self.given.get(uin) or PersonRef(self.account, self._own_id(uin, contact, name, kind, room))
        number, verified = "", False
        if contact is not None:
            people = self.members.get((kind, room), self.friends).values()
            place = self._place_id(kind, room)
            number, verified = self.earlier.person(contact, mark, place, people, self.friends.values())
        if not number or int(number) in self.numbers.values():  # the other one is proven to be that person
            return User(ref=ref, name=name or "?", verified=False)
        return User(ref=ref, name=name, verified=verified, person=PersonRef(self.account, number))

    def numbered(self, number: int) -> User:
        """Return the person of whom the service has said the real number itself."""
        person = PersonRef(self.account, str(number))
        uin = next((uin for uin in self.given if self.numbers.get(uin) == number), 0)
        return User(ref=self.given.get(uin, person), name=person.id, person=person)

    def _numbered(self, uin: int) -> PersonRef | None:
        number = self.own if uin == self.own else self.numbers.get(uin, 0)
        return PersonRef(self.account, str(number)) if number else None

    def _own_id(self, uin: int, contact: Contact | None, name: str, kind: str, room: int) -> str:
        """Return an id for somebody without a number: the name where nobody else has it, else this session's alias."""
        id_ = f"name:{name}"
        mine = contact is not None and contact.name == name
        others = self._called(self.members.get((kind, room), self.friends))[name] - mine
        return id_ if name and not others and self._holders.get(id_, uin) == uin else f"uin:{uin}"

    def _called(self, people: dict[int, Contact]) -> Counter[str]:
        """Return how many of *people* have each name."""
        if self._counted is None or self._counted[0] is not people or self._counted[1] != len(people):
            counts = Counter(contact.name for contact in people.values())
            self._counted = people, len(people), counts
        return self._counted[2]

    def _note(self, message: Incoming) -> None:
        """Remember what the sender and the room of *message* are called, where their numbers are known."""
        kind, room = _place(message)
        friend = self.friends.get(message.sender)
        contact = self.members.get((kind, room), {}).get(message.sender) or friend
        if (number := self.numbers.get(message.sender)) and contact is not None:
            mark = friend.mark if friend else ""
            self.earlier.note_person(str(number), contact, mark, self._place_id(kind, room))
        if message.kind == "group" and (number := self.group_numbers.get(message.room)):
            self.earlier.note_group(
                str(number), self.groups[message.room].name if message.room in self.groups else ""
            )

    def _place_id(self, kind: str, room: int) -> str:
        if kind == "group":
            return str(self.group_numbers.get(room) or "")
        return str(room) if kind == "discu" else ""

    def room(self, message: Incoming) -> Room:
        """Return the room of *message*."""
        if message.kind == "group":
            return self.group_room(message.room)
        if message.kind == "discu":
            return self.discussion_room(message.room)
        user = self.user(message.sender, *_place(message))
        return self.private_room(user)

    def private_room(self, user: User) -> Room:
        """Return the chat with *user*."""
        ref = RoomRef(self.account, RoomKind.PRIVATE, user.id)
        return Room(ref=ref, name=user.name, verified=user.verified and user.ref == user.person)

    def group_room(self, gid: int) -> Room:
        """Return the group *gid*; where the service tells no number it is found by its name, which proves nothing."""
        group = self.groups.get(gid)
        name = (group.mark or group.name) if group else "?"
        number = self.group_numbers.get(gid, 0)
        id_ = str(number) if number else ""
        if not id_ and group is not None:
            id_ = self.earlier.group(group, self.groups.values())
        if not id_:
            id_ = f"name:{name}" if group is not None and self._groups_called()[name] == 1 else f"gid:{gid}"
        ref = RoomRef(self.account, RoomKind.GROUP, id_)
        return Room(ref=ref, name=group.name if group else "?", verified=bool(number))

    def _groups_called(self) -> Counter[str]:
        """Return how many groups have each name; a refresh brings another dict."""
        if self._group_names is None or self._group_names[0] is not self.groups:
            self._group_names = self.groups, Counter(one.mark or one.name for one in self.groups.values())
        return self._group_names[1]

    def discussion_room(self, did: int) -> Room:
        """Return the discussion group *did*; that number is permanent in itself."""
        discussion = self.discussions.get(did)
        ref = RoomRef(self.account, RoomKind.GROUP, f"{DISCUSSION}{did}")
        return Room(ref=ref, name=discussion.name if discussion else str(did))

    def rooms(self) -> list[Room]:
        """Return the groups and discussion groups; those whose number is not known yet are not verified."""
        return [self.group_room(gid) for gid in self.groups] + [
            self.discussion_room(did) for did in self.discussions
        ]

    def target(self, room: RoomRef) -> tuple[str, int] | None:
        """Return (kind, alias) to send to, or None when this session knows no such room, or not just one."""
        if (did := discussion_of(room)) is not None:
            return ("discu", did) if did in self.discussions else None
        if room.kind is RoomKind.GROUP:
            found = [gid for gid, group in self.groups.items() if self._is_group(gid, group, room)]
            return ("group", found[0]) if len(found) == 1 else None
        return self._person_target(room.id)

    def _is_group(self, gid: int, group: Group, room: RoomRef) -> bool:
        named = room.id.removeprefix("name:") if room.id.startswith("name:") else None
        return named in (group.name, group.mark) or self.group_room(gid).ref == room

    def _person_target(self, id_: str) -> tuple[str, int] | None:
        if id_ in self._holders:
            found = [self._holders[id_]]
        else:
            people = {**self.friends, **self.numbers}
            found = [uin for uin in people if self._is_person(self.user(uin), id_)]
            found = [uin for uin in found if uin in self.friends] or found
        if len(found) != 1:
            return None
        if found[0] not in self.friends and self.common_room(found[0]) is not None:
            return ("sess", found[0])
        return ("buddy", found[0])

    @staticmethod
    def _is_person(user: User, id_: str) -> bool:
        """Whether *id_* means *user*; a number means nobody of whom it is no more than likely."""
        return id_ in (user.id, user.proven.id, f"name:{user.name}")

    def common_room(self, uin: int) -> tuple[int, int] | None:
        """Return (gid or did, service) of a room that we share with somebody who is not a friend (§11)."""
        if uin in self.strangers:
            return self.strangers[uin]
        for (kind, room), members in self.members.items():
            if uin in members:
                return room, 0 if kind == "group" else 1
        return None

    def unresolved(self, room: RoomRef) -> list[Need]:
        """Return what could be looked up to find *room*, in the order of trying."""
        needs: list[Need] = []
        if room.kind is RoomKind.PRIVATE:
            needs += [NeedPerson(uin) for uin in self.friends if uin not in self.numbers]
        elif discussion_of(room) is None:
            needs += [NeedGroup(gid) for gid in self.groups if gid not in self.group_numbers]
        return [need for need in needs if need not in self.asked]


def discussion_of(room: RoomRef) -> int | None:
    """Return the number of a discussion group; None when *room* is not one."""
    number = room.id.removeprefix(DISCUSSION)
    is_one = room.kind is RoomKind.GROUP and number != room.id and number.isascii() and number.isdigit()
    return int(number) if is_one else None


def _people(item: items.Item) -> Sequence[int]:
    """Return the uins of those who did what *item* says."""
    match item:
        case Incoming():
            return (item.sender,)
        case items.Seen() | items.Writing() | items.Shaken() | items.FileAsk():
            return (item.uin,)
        case items.FriendsChanged():
            return (*item.added, *item.removed)[:MANY]
        case items.Membership():
            return (item.by_uin,) if not item.by else ()
    return ()


def _place(message: Incoming) -> tuple[str, int]:
    """Return (kind, room) in which the sender of *message* is seen; strangers are seen where we both are."""
    if message.kind == "sess":
        return ("group" if message.service == 0 else "discu"), message.room
    return message.kind, message.room


def _fetchable(image: Image, message: Incoming, code: int) -> Image:
    """Return *image* with what is needed to fetch it; of use as long as this session lives (§11.2)."""
    more = {"sender": message.sender, "code": code, "message": message.id.partition("-")[0]}
    return Image(image.id, {**image.data, **more})
