"""What can happen on a network. Each class can be listened to with ``@plugin.on(Class)``.

All events are frozen values that serialise; none holds a socket, a task or another live thing.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TypeAlias

import attrs

from qqops.model.message import Message
from qqops.model.people import AccountRef, PersonRef, Room, User


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
    """Somebody shook the account's window."""

    room: Room
    sender: User


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
    | Connected
    | Disconnected
)

#: Event classes that happen in a room and have a sender; handlers of these get a context to answer in.
IN_ROOM = (Message, Joined, Left, JoinRequest, Typing, Poked, FileOffered)
