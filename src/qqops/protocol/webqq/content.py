"""Segments ↔ the content array of a message. Source: webqq.md §10.2, §11."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from qqops.model import At, Face, Image, Other, Segment, Text, plain
from qqops.protocol.webqq.errors import WebQQProtocolError

#: The 2013 web client told phone receivers so, at the end of each message (§11).
PHONE_NOTICE = "【提示：此用户正在使用Q+ Web：http://web.qq.com/】"

FONT = {"name": "宋体", "size": 10, "style": [0, 0, 0], "color": "000000"}

#: More elements in one message than anybody writes; the rest is left out.
MAX_ELEMENTS = 1000


def decode(content: object) -> tuple[Segment, ...]:
    """Return the segments of a received content array.

    Font elements are dropped, neighbouring texts joined, ``\\r`` becomes ``\\n``, and the one blank that
    the service appends is removed. Unknown elements are kept as `Other`.

    Raises:
        ProtocolError: It is not an array.
    """
    if not isinstance(content, list):
        raise WebQQProtocolError("the content is not a list", payload=content)
    segments: list[Segment] = []
    for element in content[:MAX_ELEMENTS]:
        if isinstance(element, str):
            text = element.replace("\r\n", "\n").replace("\r", "\n")
            if segments and isinstance(last := segments[-1], Text):
                segments.pop()
                text = last.text + text
            segments.append(Text(text))
        elif isinstance(element, list) and element and isinstance(element[0], str):
            segment = _element(element[0], element[1:])
            if segment is not None:
                segments.append(segment)
        else:
            segments.append(Other("unknown", element))
    if segments and isinstance(last := segments[-1], Text):
        segments[-1] = Text(last.text.replace(PHONE_NOTICE, "").removesuffix(" "))
    return tuple(s for s in segments if s != Text(""))


def _element(kind: str, rest: list[Any]) -> Segment | None:
    if kind == "font":
        return None
    first = rest[0] if rest else None
    if kind == "face" and isinstance(first, int) and not isinstance(first, bool):
        return Face(first)
    if kind == "cface" and isinstance(first, str):
        return Image(first, {"kind": "cface"})
    if kind == "cface" and isinstance(first, dict):
        return Image(str(first.get("name", "")), {"kind": "cface", **first})
    if kind == "offpic" and isinstance(first, dict):
        return Image(str(first.get("file_path", "")), {"kind": "offpic", **first})
    return Other(kind, rest)


def encode(segments: Sequence[Segment], pictures: Mapping[Image, Sequence[object]] | None = None) -> str:
    """Return the content of an outgoing message: JSON as text, the font last (§11).

    Args:
        pictures: How each uploaded picture is written; one that is not among them becomes a word.
    """
    elements: list[Any] = []
    for segment in segments:
        if isinstance(segment, Text):
            elements.append(segment.text)
        elif isinstance(segment, Face):
            elements.append(["face", segment.id])
        elif isinstance(segment, At):
            elements.append(f"@{segment.name or segment.person.id} ")
        elif isinstance(segment, Image):
            picture = (pictures or {}).get(segment)
            elements.append(list(picture) if picture is not None else "[image]")
        else:
            elements.append(plain((segment,)))
    if not any(isinstance(e, str) and e for e in elements):
        # A lone face is refused or lost: there must be at least one text (§11).
        elements.append(" ")
    elements.append(["font", FONT])
    return json.dumps(elements, ensure_ascii=False)
