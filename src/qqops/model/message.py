"""Messages and their pieces.

`Message` is what came in, `Draft` is what goes out. Both hold *segments*, small frozen values; what a
network sends and we have no segment for travels as `Other`, so that nothing is lost on the way.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TypeAlias

import attrs

from qqops.model.people import MessageRef, PersonRef, Room, RoomRef, User


def _encodable(text: str) -> str:
    """Return *text* with lone surrogates replaced: JSON can carry them, UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


@attrs.frozen
class Text:
    """Plain text; line breaks are ``\\n``. It can always be encoded."""

    text: str = attrs.field(converter=_encodable)


@attrs.frozen
class Face:
    """A classic QQ emoticon by its number (14 is the smile)."""

    id: int


@attrs.frozen
class Image:
    """A picture, as far as the network described it.

    Attributes:
        id: The network's own name or path of the picture.
        data: Further facts by which the adapter can fetch it, as the network named them.
        content: The picture itself, on its way out; empty for received ones, which are fetched when wanted.
    """

    id: str
    data: Mapping[str, object] = attrs.field(factory=dict, hash=False)
    content: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen
class At:
    """A mention of a person; *name* is how it is shown."""

    person: PersonRef
    name: str = ""


@attrs.frozen
class Other:
    """A piece that qqops has no segment for; *data* is the network's own."""

    kind: str
    data: object = attrs.field(default=None, hash=False)


Segment: TypeAlias = Text | Face | Image | At | Other


def plain(segments: tuple[Segment, ...]) -> str:
    """Return what a reader without pictures would see; the text that commands and patterns look at."""
    parts: list[str] = []
    for segment in segments:
        if isinstance(segment, Text):
            parts.append(segment.text)
        elif isinstance(segment, At):
            parts.append(f"@{segment.name or segment.person.id}")
        elif isinstance(segment, Face):
            parts.append(f"[face:{segment.id}]")
        elif isinstance(segment, Image):
            parts.append("[image]")
        else:
            parts.append(f"[{segment.kind}]")
    return "".join(parts)


@attrs.frozen(kw_only=True)
class Message:
    """A received message; also the event class of ``@plugin.on(Message)``.

    Attributes:
        time: When the network says it was sent, aware.
        reply_to: The message it quotes, where the network tells.
        at_me: Whether it addresses this bot: a private chat, or a mention.
    """

    ref: MessageRef
    room: Room
    sender: User
    segments: tuple[Segment, ...]
    time: datetime.datetime
    reply_to: MessageRef | None = None
    at_me: bool = False
    text: str = attrs.field(init=False, eq=False)

    @text.default
    def _plain_text(self) -> str:
        return plain(self.segments)

    @property
    def id(self) -> str:
        """The message's id within its room."""
        return self.ref.id


@attrs.frozen(kw_only=True)
class Draft:
    """A message on its way out.

    Attributes:
        reply_to: The message it answers; networks without quotes ignore it.
    """

    room: RoomRef
    segments: tuple[Segment, ...]
    reply_to: MessageRef | None = None

    @classmethod
    def of(
        cls, room: RoomRef, content: str | Segment | tuple[Segment, ...], **more: MessageRef | None
    ) -> Draft:
        """Return a draft of *content*, which may be a plain string, one segment or several."""
        if isinstance(content, str):
            content = (Text(content),)
        elif not isinstance(content, tuple):
            content = (content,)
        return cls(room=room, segments=content, reply_to=more.get("reply_to"))

    @property
    def text(self) -> str:
        """The plain-text view."""
        return plain(self.segments)
