"""Who is who in one session: aliases ↔ people and rooms with permanent numbers. Source: webqq.md §2, §9.

The aliases end here. `Roster.translate` makes messages of the model out of what a poll brought, or says
what has to be looked up first.
"""

from __future__ import annotations

import datetime
from typing import TypeAlias

import attrs

from qqops.model import (
    AccountRef,
    At,
    Message,
    MessageRef,
    PersonRef,
    Room,
    RoomKind,
    RoomRef,
    Segment,
    Text,
    User,
)
from qqops.protocol.webqq.lists import Contact, Discussion, Group
from qqops.protocol.webqq.poll import Incoming


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
        numbers: Real number of a person by uin; 0 when the service did not tell.
        group_numbers: Real number of a group by gid; 0 when the service did not tell.
        asked: Needs that were looked up once; they are not asked for again before the lists are refreshed.
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

    def need(self, message: Incoming) -> Need | None:
        """Return what must be looked up before *message* can be translated, or None."""
        wanted: list[Need] = []
        if message.kind == "group":
            if message.number:
                self.group_numbers[message.room] = message.number
            if message.room not in self.groups or message.room not in self.group_numbers:
                wanted.append(NeedGroup(message.room))
        if message.kind == "buddy" and message.sender not in self.friends and message.sender != self.own:
            wanted.append(NeedFriend(message.sender))
        if message.kind != "buddy" and message.sender not in self.members.get(
            (message.kind, message.room), {}
        ):
            wanted.append(NeedMembers(message.kind, message.room, message.sender))
        if message.sender not in self.numbers and message.sender not in (self.own, 0):
            wanted.append(NeedPerson(message.sender))
        return next((need for need in wanted if need not in self.asked), None)

    def is_own(self, message: Incoming) -> bool:
        """Whether *message* is our own, seen from another device or echoed (§10.1, §12.4)."""
        return message.sender in (0, self.own) or self.numbers.get(message.sender) == self.own

    def translate(self, message: Incoming, now: datetime.datetime) -> Message:
        """Return *message* with permanent addresses.

        Args:
            now: Stands in where the service told no time.
        """
        room = self.room(message)
        sender = self.user(message.sender, message.kind, message.room)
        time = (
            datetime.datetime.fromtimestamp(message.time, datetime.UTC) if 0 < message.time < 2**36 else now
        )
        segments, mentioned = self._mention(message.segments, self._own_names(message))
        return Message(
            # A group's members number their messages independently: the sender belongs to the id.
            ref=MessageRef(room.ref, f"{sender.id}-{message.id}"),
            room=room,
            sender=sender,
            segments=segments,
            time=time,
            at_me=room.private or mentioned,
        )

    def _own_names(self, message: Incoming) -> list[str]:
        """Return what we are called in the room of *message*, the longest first."""
        members = self.members.get((message.kind, message.room), {})
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
        return User(ref=PersonRef(self.account, f"name:{shown}"), name=shown, verified=False)

    def room(self, message: Incoming) -> Room:
        """Return the room of *message*."""
        if message.kind == "group":
            return self.group_room(message.room)
        if message.kind == "discu":
            return self.discussion_room(message.room)
        user = self.user(message.sender)
        return Room(ref=RoomRef(self.account, RoomKind.PRIVATE, user.id), name=user.name)

    def group_room(self, gid: int) -> Room:
        """Return the group *gid*."""
        group = self.groups.get(gid)
        name = (group.mark or group.name) if group else "?"
        number = self.group_numbers.get(gid, 0)
        ref = RoomRef(self.account, RoomKind.GROUP, str(number) if number else f"name:{name}")
        return Room(ref=ref, name=group.name if group else "?")

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
        return ("buddy", found[0]) if len(found) == 1 else None

    def unresolved(self, room: RoomRef) -> list[Need]:
        """Return what could be looked up to find *room*, in the order of trying."""
        if room.kind is RoomKind.GROUP:
            needs: list[Need] = [NeedGroup(gid) for gid in self.groups if gid not in self.group_numbers]
        elif room.kind is RoomKind.PRIVATE:
            needs = [NeedPerson(uin) for uin in self.friends if uin not in self.numbers]
        else:
            needs = []
        return [need for need in needs if need not in self.asked]
