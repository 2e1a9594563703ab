"""What can happen on a network. Each class can be listened to with ``@plugin.on(Class)``.

All events are frozen values that serialise; none holds a socket, a task or another live thing.
"""

from __future__ import annotations

import datetime
from typing import TypeAlias

import attrs

from qqops.model.message import Message
from qqops.model.people import AccountRef, Room, User


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


Event: TypeAlias = Message | Joined | Left | FriendRequest | Connected | Disconnected

#: Event classes that happen in a room and have a sender; handlers of these get a context to answer in.
IN_ROOM = (Message, Joined, Left)
