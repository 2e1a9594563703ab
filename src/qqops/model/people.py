"""Who and where: addresses that survive a new login, and what is known about them.

Everything is addressed by (network, account, room or person). A *ref* is such an address: small,
frozen, hashable, serialisable, and built from numbers that the network keeps for ever. Aliases that
a service hands out for one session (WebQQ's uin, gid, gcode) never get this far.
"""

from __future__ import annotations

import enum

import attrs


class MemberRole(enum.Enum):
    """What a person is in a group, as the network says."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    #: It does not tell, or it is not a group.
    UNKNOWN = ""


class RoomKind(enum.Enum):
    """What sort of room it is."""

    #: A chat with one person.
    PRIVATE = "private"
    #: A room of several people, whatever the network calls it.
    GROUP = "group"


@attrs.frozen(cache_hash=True)
class AccountRef:
    """One of our own accounts on one network.

    Attributes:
        network: Kind of network, e.g. ``webqq``.
        id: Name of the account in the settings; stable, also before the first login.
    """

    network: str
    id: str

    def __str__(self) -> str:
        return f"{self.network}:{self.id}"


@attrs.frozen(cache_hash=True)
class RoomRef:
    """A room as one of our accounts sees it; for a private chat, *id* is the person's."""

    account: AccountRef
    kind: RoomKind
    id: str

    def __str__(self) -> str:
        return f"{self.account}/{self.kind.value}:{self.id}"


@attrs.frozen(cache_hash=True)
class PersonRef:
    """A person as one of our accounts sees them; never two people, and one person keeps it for a session.

    *id* is the permanent number where the network told it in time, else it is in a namespace of its own that no number
    is in (``name:…``).
    """

    account: AccountRef
    id: str

    def __str__(self) -> str:
        return f"{self.account}/{self.id}"


@attrs.frozen(cache_hash=True)
class MessageRef:
    """A message in a room. *id* is opaque: compare it, store it, do not read it."""

    room: RoomRef
    id: str

    def __str__(self) -> str:
        return f"{self.room}#{self.id}"


@attrs.frozen(cache_hash=True)
class RequestRef:
    """A request that waits for an answer. *token* is opaque, and of use as long as the network says."""

    account: AccountRef
    token: str

    def __str__(self) -> str:
        return f"{self.account}?{self.token}"


@attrs.frozen(kw_only=True)
class Room:
    """What is known about a room at this moment.

    Attributes:
        verified: Whether *ref.id* is the network's own permanent number. When it is False, the room was recognised by
            its name, which any other room can take on: fine for talking, not for permissions.
    """

    ref: RoomRef
    name: str
    verified: bool = True

    @property
    def id(self) -> str:
        """The permanent id, e.g. the real group number."""
        return self.ref.id

    @property
    def private(self) -> bool:
        """Whether it is a chat with one person."""
        return self.ref.kind is RoomKind.PRIVATE


@attrs.frozen(kw_only=True)
class Profile:
    """What the network tells about a person; empty where it does not.

    Attributes:
        signature: The line below the name.
        level: The network's own level, 0 when it does not tell.
    """

    person: PersonRef
    nick: str
    signature: str = ""
    level: int = 0
    gender: str = ""
    birthday: str = ""
    country: str = ""
    province: str = ""
    city: str = ""
    status: str = ""


@attrs.frozen(kw_only=True)
class User:
    """What is known about a person at this moment.

    Attributes:
        ref: Where to reach them, and what keeps their messages in order and their conversations together.
        name: What people in that room see: card, else remark, else nick.
        person: Who that is, as far as is known: the same as *ref*, unless the number was learned only after *ref* had
            been given, or is no more than likely. Data about people hangs on it.
        verified: Whether *person* is beyond doubt. When it is False, the person was recognised by a name, which anybody
            can take on: fine for talking, not for permissions.
        role: What the network says this person is in the group.
        bot: Whether the network says that it is a program.
    """

    ref: PersonRef
    name: str
    verified: bool = True
    role: MemberRole = MemberRole.UNKNOWN
    bot: bool = False
    person: PersonRef = attrs.field(default=attrs.Factory(lambda self: self.ref, takes_self=True))

    @property
    def id(self) -> str:
        """The id of *ref*, e.g. the QQ number."""
        return self.ref.id

    @property
    def proven(self) -> PersonRef:
        """Where rights and belongings hang: *person* where that is beyond doubt, else *ref*."""
        return self.person if self.verified else self.ref
