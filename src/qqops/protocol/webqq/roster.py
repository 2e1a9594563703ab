"""Who is who in one session: aliases ↔ people and rooms with permanent numbers. Source: webqq.md §2, §9.

The aliases end here. `Roster.translate` makes messages of the model out of what a poll brought, or says
what has to be looked up first.
"""

from __future__ import annotations

import datetime
from collections import deque
from collections.abc import Sequence
from typing import Protocol, TypeAlias

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
from qqops.protocol.webqq.items import Incoming
from qqops.protocol.webqq.lists import Contact, Discussion, Group

#: Offers of files that can still be taken.
OFFERED = 256


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


class Known(Protocol):
    """Names and numbers of earlier sessions; `qqops.adapters.base.Directory` for one account."""

    def note(self, kind: str, place: str, name: str, number: str) -> None:
        """Note that *number* is called *name*."""

    def find(self, kind: str, place: str, name: str) -> Sequence[str]:
        """Return the numbers that were called so."""


@attrs.define(kw_only=True)
class Roster:
    """What one session knows about people and rooms.

    Attributes:
        own: Our own real number.
        numbers: Real number of a person by uin; 0 when the service did not tell.
        group_numbers: Real number of a group by gid; 0 when the service did not tell.
        asked: Needs that were looked up once; they are not asked for again before the lists are refreshed.
        strangers: uin → (gid or did, service) of people who wrote through a common room.
        known: What earlier sessions have seen, or None.
        ambiguous: Names that more than one number was seen with, and that therefore stay names.
        aliases: Stands for the login whose aliases these are.
        offered: URLs of files that the service has named in this session, the last ones.
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
    known: Known | None = None
    ambiguous: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    aliases: object = attrs.field(factory=object)
    offered: deque[str] = attrs.field(factory=lambda: deque(maxlen=OFFERED))

    def needs(self, message: Incoming) -> list[Need]:
        """Return what must be looked up before *message* can be translated, in the order of asking."""
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
                self.numbers[message.sender] = message.real
        kind, room = _place(message)
        if kind != "buddy" and message.sender not in self.members.get((kind, room), {}):
            wanted.append(NeedMembers(kind, room, message.sender))
        if message.sender not in self.numbers and message.sender not in (self.own, 0):
            wanted.append(NeedPerson(message.sender))
        return [need for need in wanted if need not in self.asked]

    def is_own(self, message: Incoming) -> bool:
        """Whether *message* is our own, seen from another device or echoed (§10.1, §12.4)."""
        return message.sender in (0, self.own) or self.numbers.get(message.sender) == self.own

    def translate(self, message: Incoming, now: datetime.datetime) -> Message:
        """Return *message* with permanent addresses.

        Args:
            now: Stands in where the service told no time.
        """
        room = self.room(message)
        sender = self.user(message.sender, *_place(message))
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

    def user(self, uin: int, kind: str = "buddy", room: int = 0) -> User:
        """Return the person *uin* as seen in a room."""
        contact = self.members.get((kind, room), {}).get(uin) or self.friends.get(uin)
        friend = self.friends.get(uin)
        name = (
            (contact.card if contact else "")
            or (friend.mark if friend else "")
            or (contact.nick if contact else "")
        )
        number = self.own if uin == self.own else self.numbers.get(uin, 0)
        if number:
            return User(ref=PersonRef(self.account, str(number)), name=name or str(number))
        shown = name or "?"
        id_, verified = self._remembered(contact, friend, kind, room)
        return User(ref=PersonRef(self.account, id_ or f"name:{shown}"), name=shown, verified=verified)

    # -- names of earlier sessions --------------------------------------------------------------

    def _note(self, message: Incoming) -> None:
        """Remember what the sender and the room of *message* are called, where their numbers are known."""
        if self.known is None:
            return
        number = str(self.numbers.get(message.sender) or "")
        kind, room = _place(message)
        friend = self.friends.get(message.sender)
        contact = self.members.get((kind, room), {}).get(message.sender) or friend
        if number and contact is not None:
            place = self._place_id(kind, room)
            for what, where, name in (
                ("remark", "", friend.mark if friend else ""),
                ("card", place, contact.card),
                ("nick", "", contact.nick),
            ):
                if name and (where or what != "card"):
                    self.known.note(what, where, name, number)
        if message.kind == "group" and self.group_numbers.get(message.room):
            name = self.groups[message.room].name if message.room in self.groups else ""
            if name:
                self.known.note("room", "", name, str(self.group_numbers[message.room]))

    def _place_id(self, kind: str, room: int) -> str:
        if kind == "group":
            return str(self.group_numbers.get(room) or "")
        return str(room) if kind == "discu" else ""

    def _remembered(
        self, contact: Contact | None, friend: Contact | None, kind: str, room: int
    ) -> tuple[str, bool]:
        """Return (number, verified) of somebody whom earlier sessions knew by the same name, or ("", False).

        A remark is given by ourselves, so nobody can take on another one's: it counts as proof. Cards and nicks
        are everybody's own choice: they give the number back to data that hangs on it, but prove nothing. A name
        that two people have, now or then, is not resolved at all.
        """
        if self.known is None or contact is None:
            return "", False
        mark = friend.mark if friend else ""
        marked = sum(1 for one in self.friends.values() if one.mark == mark)
        if mark and (number := self._only("remark", "", mark, marked)):
            return number, True
        people = self.members.get((kind, room), self.friends)
        place = self._place_id(kind, room)
        if contact.card and place:
            same = sum(1 for one in people.values() if one.card == contact.card)
            if number := self._only("card", place, contact.card, same):
                return number, False
        same = sum(1 for one in people.values() if one.nick == contact.nick)
        return (self._only("nick", "", contact.nick, same) if contact.nick else ""), False

    def _only(self, kind: str, place: str, name: str, now: int) -> str:
        """Return the one number that was called *name*; "" when there is none, or more than one."""
        assert self.known is not None
        numbers = tuple(self.known.find(kind, place, name))
        if len(numbers) > 1 or (numbers and now > 1):
            self.ambiguous[name] = numbers
            return ""
        return numbers[0] if numbers else ""

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
        return Room(ref=ref, name=user.name, verified=user.verified)

    def group_room(self, gid: int) -> Room:
        """Return the group *gid*; where the service tells no number it is found by its name, which proves nothing."""
        group = self.groups.get(gid)
        name = (group.mark or group.name) if group else "?"
        number = self.group_numbers.get(gid, 0)
        id_ = str(number) if number else ""
        if not id_ and self.known is not None and group is not None:
            same = sum(1 for one in self.groups.values() if one.name == group.name)
            id_ = self._only("room", "", group.name, same)
        ref = RoomRef(self.account, RoomKind.GROUP, id_ or f"name:{name}")
        return Room(ref=ref, name=group.name if group else "?", verified=bool(number))

    def discussion_room(self, did: int) -> Room:
        """Return the discussion group *did*; that number is permanent in itself."""
        discussion = self.discussions.get(did)
        ref = RoomRef(self.account, RoomKind.DISCUSSION, str(did))
        return Room(ref=ref, name=discussion.name if discussion else str(did))

    def rooms(self) -> list[Room]:
        """Return the groups and discussion groups whose permanent address is known."""
        groups = [self.group_room(gid) for gid in self.groups if gid in self.group_numbers]
        return groups + [self.discussion_room(did) for did in self.discussions]

    def target(self, room: RoomRef) -> tuple[str, int] | None:
        """Return (kind, alias) to send to, or None when this session knows no such room, or not just one."""
        if room.kind is RoomKind.DISCUSSION:
            known = room.id.isascii() and room.id.isdigit() and int(room.id) in self.discussions
            return ("discu", int(room.id)) if known else None
        named = room.id.removeprefix("name:") if room.id.startswith("name:") else None
        if named == "?":
            return None  # somebody without number and name: nobody can tell who that was
        if room.kind is RoomKind.GROUP:
            groups = self.groups.items()
            found = [
                g
                for g, group in groups
                if named in (group.name, group.mark) or self.group_room(g).ref == room
            ]
            return ("group", found[0]) if len(found) == 1 else None
        people = set(self.friends) | set(self.numbers)
        found = [uin for uin in people if named == self.user(uin).name or self.user(uin).id == room.id]
        found = [uin for uin in found if uin in self.friends] or found
        if len(found) != 1:
            return None
        if found[0] not in self.friends and self.common_room(found[0]) is not None:
            return ("sess", found[0])
        return ("buddy", found[0])

    def common_room(self, uin: int) -> tuple[int, int] | None:
        """Return (gid or did, service) of a room that we share with somebody who is no friend (§11)."""
        if uin in self.strangers:
            return self.strangers[uin]
        for (kind, room), members in self.members.items():
            if uin in members:
                return room, 0 if kind == "group" else 1
        return None

    def unresolved(self, room: RoomRef) -> list[Need]:
        """Return what could be looked up to find *room*, in the order of trying."""
        if room.kind is RoomKind.GROUP:
            needs: list[Need] = [NeedGroup(gid) for gid in self.groups if gid not in self.group_numbers]
        elif room.kind is RoomKind.PRIVATE:
            needs = [NeedPerson(uin) for uin in self.friends if uin not in self.numbers]
        else:
            needs = []
        return [need for need in needs if need not in self.asked]


def _place(message: Incoming) -> tuple[str, int]:
    """Return (kind, room) in which the sender of *message* is seen; strangers are seen where we both are."""
    if message.kind == "sess":
        return ("group" if message.service == 0 else "discu"), message.room
    return message.kind, message.room


def _fetchable(image: Image, message: Incoming, code: int) -> Image:
    """Return *image* with what is needed to fetch it; of use as long as this session lives (§11.2)."""
    more = {"sender": message.sender, "code": code, "message": message.id.partition("-")[0]}
    return Image(image.id, {**image.data, **more})
