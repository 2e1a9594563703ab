"""Messages and their pieces.

`Message` is what came in, `Draft` is what goes out. Both hold *segments*, small frozen values; what a
network sends and we have no segment for travels as `Other`, so that nothing is lost on the way.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from qqops.model.blob import Blob
from qqops.model.event import PersonEvent
from qqops.model.people import MessageRef, PersonRef, RoomRef

#: Lines of a quote that are shown in words, and characters of each.
QUOTED_LINES, QUOTED_LINE = 3, 80


def _encodable(text: str) -> str:
    """Return *text* with lone surrogates replaced: JSON can carry them, UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


@attrs.frozen
class Segment:
    """A piece of a message. A network may have pieces of its own: subclasses."""


@attrs.frozen
class Text(Segment):
    """Plain text; line breaks are ``\\n``. It can always be encoded."""

    text: str = attrs.field(converter=_encodable)


@attrs.frozen
class Face(Segment):
    """A classic QQ emoticon by its number (14 is the smile)."""

    id: int


@attrs.frozen
class Medium(Segment):
    """Something that is more than text: a picture, a file.

    Attributes:
        id: The network's own name or path of it.
        data: Further facts by which the adapter can fetch it, as the network named them.
        content: The thing itself, on its way out. What waits to be sent has *blob* in its place; received ones are fetched
            when wanted.
        url: Where it lies, on its way in or out; received ones expire within hours.
        blob: What refers to the content where qqops keeps it.
    """

    id: str = ""
    data: Mapping[str, object] = attrs.field(factory=dict, hash=False)
    content: bytes = attrs.field(default=b"", repr=False)
    url: str = ""
    blob: Blob | None = None


@attrs.frozen
class Image(Medium):
    """A picture, as far as the network described it."""


@attrs.frozen
class Voice(Medium):
    """A voice message."""


@attrs.frozen
class Video(Medium):
    """A video."""


@attrs.frozen
class File(Medium):
    """A file that is shown as a message.

    Attributes:
        size: Bytes, or 0 where the network does not tell.
    """

    name: str = ""
    size: int = 0


@attrs.frozen
class At(Segment):
    """A mention of a person; *name* is how it is shown."""

    person: PersonRef
    name: str = ""


@attrs.frozen
class Quoted(Segment):
    """The message that this one answers; at the beginning. Where a network cannot quote, it is shown as ``> name: text``.

    Attributes:
        name: Who has said it.
        text: What was said; a few lines are shown.
    """

    message: MessageRef
    name: str = ""
    text: str = ""

    @classmethod
    def of(cls, message: Message) -> Quoted:
        """Return what quotes *message*."""
        return cls(message.ref, message.sender.name, message.text)

    @property
    def words(self) -> str:
        """What stands for it where there is only text: at most three lines, each with ``> `` before it."""
        said = f"{self.name}: {self.text}" if self.name else self.text
        lines = said.strip().splitlines()
        shown = [line[:QUOTED_LINE] + "…" * (len(line) > QUOTED_LINE) for line in lines[:QUOTED_LINES]]
        if len(lines) > QUOTED_LINES:
            shown[-1] += " …"
        return "".join(f"> {line}\n" for line in shown)


@attrs.frozen
class AtAll(Segment):
    """A mention of everybody in the room."""


@attrs.frozen
class Node:
    """One message within a `Forward`: who said it, and what.

    Attributes:
        sender: The person's permanent id.
    """

    sender: str
    name: str
    segments: tuple[Segment, ...]


@attrs.frozen
class Forward(Segment):
    """Several messages that are shown as one; received ones are known by *id*, sent ones by their *nodes*."""

    id: str = ""
    nodes: tuple[Node, ...] = ()


@attrs.frozen
class Other(Segment):
    """A piece that qqops has no segment for; *data* is the network's own."""

    kind: str
    data: object = attrs.field(default=None, hash=False)


_WORDS: Mapping[type[Segment], str] = {
    Image: "[image]",
    Voice: "[voice]",
    Video: "[video]",
    Forward: "[forward]",
    AtAll: "@all",
}


def plain(segments: tuple[Segment, ...]) -> str:
    """Return what a reader without pictures would see; the text that commands and patterns look at."""
    if len(segments) == 1 and type(segments[0]) is Text:
        return segments[0].text
    parts: list[str] = []
    for segment in segments:
        if isinstance(segment, Text):
            parts.append(segment.text)
        elif isinstance(segment, At):
            parts.append(f"@{segment.name or segment.person.id}")
        elif isinstance(segment, Face):
            parts.append(f"[face:{segment.id}]")
        elif isinstance(segment, Quoted):
            parts.append(segment.words)
        elif isinstance(segment, File):
            parts.append(f"[file:{segment.name}]")
        elif isinstance(segment, Other):
            parts.append(f"[{segment.kind}]")
        else:
            parts.append(_WORDS.get(type(segment)) or f"[{type(segment).__name__.lower()}]")
    return "".join(parts)


@attrs.frozen(kw_only=True)
class Message(PersonEvent):
    """A received message; also the event class of ``@plugin.on(Message)``.

    Attributes:
        reply_to: The message it quotes, where the network tells.
        at_me: Whether it addresses this bot: a private chat, or a mention.
        job: Id of the job that says it in its sender's name; "" for what a person has just said.
        text: What a reader without pictures would see.
        ref: Its address, to answer, recall or react to.
    """

    segments: tuple[Segment, ...]
    reply_to: MessageRef | None = None
    at_me: bool = False
    job: str = ""
    text: str = attrs.field(init=False, eq=False)
    ref: MessageRef = attrs.field(init=False, eq=False)

    @text.default
    def _plain_text(self) -> str:
        return plain(self.segments)

    @ref.default
    def _address(self) -> MessageRef:
        return MessageRef(self.room.ref, self.id)


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
        cls, room: RoomRef, content: str | Segment | tuple[str | Segment, ...], **more: MessageRef | None
    ) -> Draft:
        """Return a draft of *content*: a string or a segment, or several of them in a tuple."""
        several = content if isinstance(content, tuple) else (content,)
        segments = tuple(Text(one) if isinstance(one, str) else one for one in several)
        return cls(room=room, segments=segments, reply_to=more.get("reply_to"))

    @property
    def text(self) -> str:
        """The plain-text view."""
        return plain(self.segments)
