"""What a poll can bring, one class each. Source: webqq.md §10.1.

People and rooms are this session's aliases, unless a field says that it is a real number; `roster` translates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TypeAlias

import attrs

from qqops.errors import ProtocolError
from qqops.model import Segment, plain


@attrs.frozen(kw_only=True)
class Incoming:
    """A message; `roster` turns it into a `Message`.

    Attributes:
        kind: ``buddy``, ``group``, ``discu`` or ``sess`` (somebody who shares a group with us, §10.1).
        room: gid or did; 0 for a friend. For ``sess``, where we both are.
        sender: uin of who wrote it; 0 is ourselves from another device.
        id: Made of the service's numbers; the same for a message that is delivered twice. A group's members number
            their messages independently of each other.
        time: Unix seconds.
        number: Real number of the group where the message tells it (2013), else 0.
        code: The group's second alias where the message tells it, else 0. SmartQQ writes the gid there.
        real: Real number of the sender where the message tells it, else 0.
        service: For ``sess``: 0 for a common group, 1 for a discussion group.
    """

    kind: str
    room: int
    sender: int
    id: str
    time: int
    segments: tuple[Segment, ...]
    seq: int = 0
    number: int = 0
    code: int = 0
    real: int = 0
    service: int = 0

    @property
    def place(self) -> tuple[str, int]:
        """The room or person that it belongs to, within this session: what it must stay in order with."""
        return self.kind, self.room if self.kind in ("group", "discu") else self.sender

    @property
    def name(self) -> str:
        """What the message is called in its room: made of what the wire says and of nothing that is looked up.

        All copies have it within one login; the next login has other aliases, and `heard` knows them by the rest.
        """
        return f"{self.sender}/{self.id}/{self.time}/{self.fingerprint}"

    @property
    def fingerprint(self) -> str:
        """What is the same for all copies of the message, in this run and the next: made of kind, id and text."""
        said = f"{self.kind}|{self.id}|{plain(self.segments)}"
        return hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=6).hexdigest()


@attrs.frozen
class Happening:
    """Something that is not a message.

    Attributes:
        id: What is the same for all copies of it within one login; "" where the service numbers nothing.
        time: Unix seconds, or 0.
    """

    id: str = attrs.field(default="", kw_only=True)
    time: int = attrs.field(default=0, kw_only=True)


@attrs.frozen(kw_only=True)
class Membership(Happening):
    """Somebody joined or left a group; the numbers are real ones.

    Attributes:
        forced: Whether an administrator did it: added somebody, or put somebody out.
        by: Number of that administrator, or of who let somebody in; 0 where the service does not tell.
        by_uin: The administrator's alias, or 0.
        by_name: What the administrator is called, or "".
    """

    group: int
    person: int
    joined: bool
    forced: bool = False
    by: int = 0
    by_uin: int = 0
    by_name: str = ""


@attrs.frozen(kw_only=True)
class JoinAsk(Happening):
    """Somebody wants to come into a group that we administer.

    Attributes:
        group: Real number of the group.
        person: Real number of who asks.
        uin: The same person's alias.
    """

    group: int
    person: int
    uin: int
    text: str


@attrs.frozen(kw_only=True)
class FriendAsk(Happening):
    """Somebody wants to become a friend; *number* is real."""

    number: int
    text: str


@attrs.frozen(kw_only=True)
class FriendAnswer(Happening):
    """Somebody has become a friend; *number* is real."""

    number: int
    text: str


@attrs.frozen(kw_only=True)
class FriendsChanged(Happening):
    """Friends came and went, by uin; *left_out* counts those of a list that was too long to be true."""

    added: tuple[int, ...]
    removed: tuple[int, ...]
    left_out: int = 0


@attrs.frozen
class Seen(Happening):
    """A friend is seen differently now."""

    uin: int
    status: str


@attrs.frozen
class Writing(Happening):
    """A friend is typing."""

    uin: int


@attrs.frozen
class Shaken(Happening):
    """A friend shook our window."""

    uin: int


@attrs.frozen(kw_only=True)
class FileAsk(Happening):
    """A friend wants to give us a file.

    Attributes:
        session: What the calls to take or refuse it want, for a direct transfer; "" for an offline file.
        url: Where an offline file lies; "" for a direct transfer.
    """

    uin: int
    name: str
    size: int = 0
    session: str = ""
    url: str = ""


@attrs.frozen(kw_only=True)
class Told(Happening):
    """Something that no class is made for; *data* holds texts and numbers under the service's own names.

    Attributes:
        kind: The service's own word for it.
        sender: uin of who did it, or 0.
        room: gid of the group where it happened, or 0.
        group: Real number of that group, or 0.
        by: Real number of who decided about it, or 0.
    """

    kind: str
    data: Mapping[str, object] = attrs.field(factory=dict)
    sender: int = 0
    room: int = 0
    group: int = 0
    by: int = 0


@attrs.frozen
class Kicked:
    """Another web login took the session over."""

    reason: str


@attrs.frozen
class Malformed:
    """An item that could not be read."""

    error: ProtocolError


@attrs.frozen
class Ignored:
    """An item of a type that we have no use for."""

    poll_type: str


Item: TypeAlias = (
    Incoming
    | Membership
    | JoinAsk
    | FriendAsk
    | FriendAnswer
    | FriendsChanged
    | Seen
    | Writing
    | Shaken
    | FileAsk
    | Told
    | Kicked
    | Malformed
    | Ignored
)
