"""What can happen on a network. Each class can be listened to with ``@plugin.on(Class)``.

All events are frozen values that serialise; none holds a socket, a task or another live thing.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TypeAlias

import attrs

from qqops.model.message import Message
from qqops.model.people import AccountRef, MessageRef, PersonRef, Room, User


@attrs.frozen(kw_only=True)
class Joined:
    """Somebody came into a room; *by* is who let them in, where known."""

    room: Room
    sender: User
    by: User | None = None


@attrs.frozen(kw_only=True)
class Left:
    """Somebody left a room; *by* is who removed them, or None when they went by themselves."""

    room: Room
    sender: User
    by: User | None = None


@attrs.frozen(kw_only=True)
class FriendRequest:
    """Somebody wants to become a friend of the account."""

    account: AccountRef
    sender: User
    text: str


@attrs.frozen(kw_only=True)
class FriendAdded:
    """Somebody is a friend of the account now; *text* is what came with it."""

    account: AccountRef
    sender: User
    text: str = ""


@attrs.frozen(kw_only=True)
class FriendRemoved:
    """Somebody is no friend of the account any more."""

    account: AccountRef
    sender: User


@attrs.frozen(kw_only=True)
class JoinRequest:
    """Somebody wants to come into a room that the account may let people into."""

    room: Room
    sender: User
    text: str


@attrs.frozen(kw_only=True)
class Presence:
    """Somebody is seen differently: *status* is online, away, busy, callme, silent, hidden or offline."""

    account: AccountRef
    person: PersonRef
    status: str


@attrs.frozen(kw_only=True)
class Typing:
    """Somebody is writing to the account."""

    room: Room
    sender: User


@attrs.frozen(kw_only=True)
class Poked:
    """Somebody shook a window: the account's own, or that of *target* in a group."""

    room: Room
    sender: User
    target: User | None = None


@attrs.frozen(kw_only=True)
class FileOffered:
    """Somebody wants to give the account a file.

    Attributes:
        size: Bytes, or 0 where the network does not tell.
        data: Facts by which the adapter can fetch or refuse it; of no use after the session.
    """

    room: Room
    sender: User
    name: str
    size: int = 0
    data: Mapping[str, object] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class Invited:
    """Somebody wants the account to come into a room."""

    room: Room
    sender: User
    text: str = ""


@attrs.frozen(kw_only=True)
class Recalled:
    """A message was taken back; *by* is who did it."""

    room: Room
    sender: User
    by: User
    message: MessageRef


@attrs.frozen(kw_only=True)
class Muted:
    """Somebody may not speak for a while, or may again.

    Attributes:
        sender: Who is concerned; None for everybody in the room.
        seconds: How long; 0 when the mute was lifted, -1 for until it is lifted.
    """

    room: Room
    sender: User | None
    by: User | None = None
    seconds: int = 0


@attrs.frozen(kw_only=True)
class AdminChanged:
    """Somebody became an administrator of a room (*on*), or is one no more."""

    room: Room
    sender: User
    on: bool


@attrs.frozen(kw_only=True)
class CardChanged:
    """Somebody is called differently in a room."""

    room: Room
    sender: User
    old: str
    new: str


@attrs.frozen(kw_only=True)
class RoomRenamed:
    """A room is called differently."""

    room: Room
    sender: User
    name: str


@attrs.frozen(kw_only=True)
class Reacted:
    """Somebody put a sign to a message (*on*), or took it away; *code* is the sign as the network numbers it."""

    room: Room
    sender: User
    message: MessageRef
    code: str
    on: bool = True


@attrs.frozen(kw_only=True)
class Highlighted:
    """A message became one that the room keeps in view (*on*), or is one no more; *by* did it."""

    room: Room
    sender: User
    by: User | None
    message: MessageRef
    on: bool = True


@attrs.frozen(kw_only=True)
class Notice:
    """Something that qqops has no class for; *kind* and *data* are the network's own."""

    account: AccountRef
    kind: str
    data: Mapping[str, object] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class Connected:
    """An account came online."""

    account: AccountRef
    at: datetime.datetime


@attrs.frozen(kw_only=True)
class Disconnected:
    """An account lost its session; *cause* says why, in words."""

    account: AccountRef
    at: datetime.datetime
    cause: str


Event: TypeAlias = (
    Message
    | Joined
    | Left
    | FriendRequest
    | FriendAdded
    | FriendRemoved
    | JoinRequest
    | Presence
    | Typing
    | Poked
    | FileOffered
    | Invited
    | Recalled
    | Muted
    | AdminChanged
    | CardChanged
    | RoomRenamed
    | Reacted
    | Highlighted
    | Notice
    | Connected
    | Disconnected
)

#: Event classes that happen in a room and have a sender; handlers of these get a context to answer in.
IN_ROOM = (
    Message,
    Joined,
    Left,
    JoinRequest,
    Typing,
    Poked,
    FileOffered,
    Invited,
    Recalled,
    Muted,
    AdminChanged,
    CardChanged,
    RoomRenamed,
    Reacted,
    Highlighted,
)
