"""What can happen on a network, besides messages. Each class can be listened to with ``@plugin.on(Class)``."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from qqops.model.event import AccountEvent, PersonEvent, RoomEvent
from qqops.model.message import Segment
from qqops.model.people import MessageRef, RequestRef, User


@attrs.frozen(kw_only=True)
class Joined(PersonEvent):
    """Somebody came into a room; *by* is who let them in, where known."""

    by: User | None = None


@attrs.frozen(kw_only=True)
class Left(PersonEvent):
    """Somebody left a room; *by* is who removed them, or None when they went by themselves."""

    by: User | None = None


@attrs.frozen(kw_only=True)
class FriendRequest(AccountEvent):
    """Somebody wants to become a friend of the account; `Answer` the *request*."""

    sender: User
    request: RequestRef
    text: str


@attrs.frozen(kw_only=True)
class FriendAdded(AccountEvent):
    """Somebody is a friend of the account now; *text* is what came with it."""

    sender: User
    text: str = ""


@attrs.frozen(kw_only=True)
class FriendRemoved(AccountEvent):
    """Somebody is not a friend of the account any more."""

    sender: User


@attrs.frozen(kw_only=True)
class JoinRequest(PersonEvent):
    """Somebody wants to come into a room that the account may let people into; `Answer` the *request*."""

    request: RequestRef
    text: str = ""


@attrs.frozen(kw_only=True)
class Presence(AccountEvent):
    """Somebody is seen differently: *status* is online, away, busy, callme, silent, hidden or offline."""

    sender: User
    status: str


@attrs.frozen(kw_only=True)
class Typing(PersonEvent):
    """Somebody is writing to the account."""


@attrs.frozen(kw_only=True)
class Poked(PersonEvent):
    """Somebody shook a window: the account's own, or that of *target* in a group."""

    target: User | None = None


@attrs.frozen(kw_only=True)
class FileOffered(PersonEvent):
    """Somebody wants to give the account a file.

    Attributes:
        size: Bytes, or 0 where the network does not tell.
        data: Facts by which the adapter can fetch or refuse it; of no use after the session.
    """

    name: str
    size: int = 0
    data: Mapping[str, object] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class GroupInvite(PersonEvent):
    """Somebody wants the account to come into a room; `Answer` the *request*."""

    request: RequestRef
    text: str = ""


@attrs.frozen(kw_only=True)
class Recalled(PersonEvent):
    """A message was taken back; *by* is who did it."""

    by: User
    message: MessageRef


@attrs.frozen(kw_only=True)
class Edited(PersonEvent):
    """A message says something else now."""

    message: MessageRef
    segments: tuple[Segment, ...]


@attrs.frozen(kw_only=True)
class Muted(RoomEvent):
    """Somebody may not speak for a while, or may again.

    Attributes:
        sender: Who is concerned; None for everybody in the room.
        seconds: How long; 0 when the mute was lifted, -1 for until it is lifted.
    """

    sender: User | None
    by: User | None = None
    seconds: int = 0


@attrs.frozen(kw_only=True)
class AdminChanged(PersonEvent):
    """Somebody became an administrator of a room (*on*), or is one no more."""

    on: bool


@attrs.frozen(kw_only=True)
class CardChanged(PersonEvent):
    """Somebody is called differently in a room."""

    old: str
    new: str


@attrs.frozen(kw_only=True)
class RoomRenamed(PersonEvent):
    """A room is called differently."""

    name: str


@attrs.frozen(kw_only=True)
class Reacted(PersonEvent):
    """Somebody put a sign to a message (*on*), or took it away; *code* is the sign as the network numbers it."""

    message: MessageRef
    code: str
    on: bool = True


@attrs.frozen(kw_only=True)
class Highlighted(PersonEvent):
    """A message became one that the room keeps in view (*on*), or is one no more; *by* did it."""

    by: User | None
    message: MessageRef
    on: bool = True


@attrs.frozen(kw_only=True)
class Notice(AccountEvent):
    """Something that qqops has no class for; *kind* and *data* are the network's own."""

    kind: str
    data: Mapping[str, object] = attrs.field(factory=dict, hash=False)


@attrs.frozen(kw_only=True)
class Connected(AccountEvent):
    """An account came online."""


@attrs.frozen(kw_only=True)
class Disconnected(AccountEvent):
    """An account lost its session; *cause* says why, in words."""

    cause: str
