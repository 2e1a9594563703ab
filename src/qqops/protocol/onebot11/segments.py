"""Segments ↔ the array form of messages. Unknown types pass through untouched as `Other`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TypeAlias

from qqops.model import (
    AccountRef,
    At,
    AtAll,
    Face,
    File,
    Forward,
    Image,
    Medium,
    Node,
    Other,
    PersonRef,
    Segment,
    Text,
    Video,
    Voice,
    plain,
)
from qqops.protocol.onebot11 import cq
from qqops.protocol.onebot11.wire import Frame, as_id, fields, number, text

#: More segments in one message than anybody writes; the rest is left out.
MAX_SEGMENTS = 10_000

#: Segments, and the id of the message they quote ("" for none).
Content: TypeAlias = tuple[tuple[Segment, ...], str]


def read(message: object, account: AccountRef, depth: int = 0) -> Content:
    """Return the segments of a received message and what it quotes: array, one segment, or CQ string.

    Args:
        depth: How many forwards it lies within.
    """
    if type(message) is str:
        message = cq.parse(message)
    elif type(message) is dict:
        message = [message]
    if type(message) is not list:
        return (), ""
    if len(message) == 1:  # by far the most frequent: one text
        only = message[0]
        if type(only) is dict and only.get("type") == "text":
            said = fields(only.get("data")).get("text")
            if type(said) is str:
                return ((Text(said),), "") if said else ((), "")
    quoted = ""
    segments: list[Segment] = []
    for element in message[:MAX_SEGMENTS]:
        if type(element) is not dict:
            segments.append(Other("unknown", element))
            continue
        kind, data = text(element.get("type")), fields(element.get("data"))
        if kind == "reply" and not quoted:
            quoted = text(data.get("id"))
            continue
        reader = _READERS.get(kind)
        segment = reader(data, account, depth) if reader is not None else None
        segments.append(segment if segment is not None else Other(kind or "unknown", element.get("data")))
    return tuple(s for s in segments if s != Text("")), quoted


def _read_text(data: Frame, account: AccountRef, depth: int) -> Segment:
    return Text(text(data.get("text")))


def _read_at(data: Frame, account: AccountRef, depth: int) -> Segment | None:
    who = text(data.get("qq"))
    if who == "all":
        return AtAll()
    return At(PersonRef(account, who), text(data.get("name"))) if who else None


def _read_face(data: Frame, account: AccountRef, depth: int) -> Segment | None:
    face = text(data.get("id"))
    return Face(int(face)) if face.isdecimal() and len(face) < 10 else None


def _read_image(data: Frame, account: AccountRef, depth: int) -> Segment:
    return Image(text(data.get("file")), data, url=text(data.get("url")))


def _read_voice(data: Frame, account: AccountRef, depth: int) -> Segment:
    return Voice(text(data.get("file")), data, url=text(data.get("url")))


def _read_video(data: Frame, account: AccountRef, depth: int) -> Segment:
    return Video(text(data.get("file")), data, url=text(data.get("url")))


def _read_file(data: Frame, account: AccountRef, depth: int) -> Segment:
    name = text(data.get("name")) or text(data.get("file"))
    size = number(data.get("file_size"))
    return File(text(data.get("file_id")), data, name=name, url=text(data.get("url")), size=size)


def _read_forward(data: Frame, account: AccountRef, depth: int) -> Segment | None:
    found = text(data.get("id"))
    return Forward(found, read_nodes(data.get("content"), account, depth)) if found else None


_READERS: dict[str, Callable[[Frame, AccountRef, int], Segment | None]] = {
    "text": _read_text,
    "at": _read_at,
    "face": _read_face,
    "image": _read_image,
    "record": _read_voice,
    "video": _read_video,
    "file": _read_file,
    "forward": _read_forward,
}


#: How deep forwards within forwards are read.
DEPTH = 4


def read_nodes(content: object, account: AccountRef, depth: int = 0) -> tuple[Node, ...]:
    """Return the messages within a forward, whichever of the forms they came in; nested ones `DEPTH` deep."""
    if type(content) is not list or depth >= DEPTH:
        return ()
    nodes = []
    for one in content[:1000]:
        data = fields(one)
        data = fields(data.get("data")) if data.get("type") == "node" else data
        sender = fields(data.get("sender"))
        who = text(data.get("user_id") or data.get("uin") or sender.get("user_id"))
        name = text(data.get("nickname") or data.get("name") or sender.get("nickname"))
        said = data.get("content", data.get("message"))
        nodes.append(Node(who, name, read(said, account, depth + 1)[0]))
    return tuple(nodes)


# -- out ----------------------------------------------------------------------------------------


#: What a message may hold.
SEGMENTS: frozenset[type[Segment]] = frozenset(
    {Text, At, AtAll, Face, Image, Voice, Video, File, Forward, Other}
)
#: What a picture may say beside its content: how it is shown, and as what.
_IMAGE_EXTRAS = ("summary", "sub_type", "subType", "type")


def in_frame(content: bytes) -> str:
    """Put *content* into the frame itself: the other side may be another machine."""
    return "base64://" + base64.b64encode(content).decode()


def write(segments: Sequence[Segment], reply_to: str = "") -> list[Frame]:
    """Return the array of an outgoing message."""
    array: list[Frame] = []
    if reply_to:
        array.append({"type": "reply", "data": {"id": reply_to}})
    for segment in segments:
        if isinstance(segment, Text):
            array.append({"type": "text", "data": {"text": segment.text}})
        else:
            array.append(_write_other(segment))
    return array


def _write_other(segment: Segment) -> Frame:
    if isinstance(segment, At):
        return {"type": "at", "data": {"qq": segment.person.id}}
    if isinstance(segment, AtAll):
        return {"type": "at", "data": {"qq": "all"}}
    if isinstance(segment, Face):
        return {"type": "face", "data": {"id": str(segment.id)}}
    if isinstance(segment, Image):
        more = {key: segment.data[key] for key in _IMAGE_EXTRAS if key in segment.data}
        return {"type": "image", "data": {"file": source(segment), **more}}
    if isinstance(segment, Voice):
        return {"type": "record", "data": {"file": source(segment)}}
    if isinstance(segment, Video):
        return {"type": "video", "data": {"file": source(segment)}}
    if isinstance(segment, File):
        return {"type": "file", "data": {"file": source(segment), "name": segment.name}}
    if isinstance(segment, Other):
        data = segment.data if type(segment.data) is dict else {}
        return {"type": segment.kind, "data": data}
    if isinstance(segment, Forward) and segment.id:
        return {"type": "forward", "data": {"id": segment.id}}
    return {"type": "text", "data": {"text": plain((segment,))}}


def source(media: Medium) -> str:
    """Return where the other side finds the content: in the frame itself, at a URL, or under an id it gave us."""
    return in_frame(media.content) if media.content else media.url or media.id


def write_nodes(nodes: Sequence[Node]) -> list[Frame]:
    """Return the nodes of an outgoing forward, with both spellings of their keys."""
    return [
        {
            "type": "node",
            "data": {
                "user_id": as_id(node.sender),
                "uin": node.sender,
                "nickname": node.name,
                "name": node.name,
                "content": write(node.segments),
            },
        }
        for node in nodes
    ]


__all__ = ["Content", "in_frame", "read", "read_nodes", "source", "write", "write_nodes"]
