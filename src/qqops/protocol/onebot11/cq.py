"""The string form of messages, ``text[CQ:type,key=value]``: read only. What we send goes as an array."""

from __future__ import annotations

import re
from typing import Any

_CODE = re.compile(r"\[CQ:([A-Za-z0-9_.\-]{1,64})((?:,[^\[\],]*)*)\]")
#: More codes in one message than anybody writes; the rest stays text.
MAX_CODES = 10_000


def parse(message: str) -> list[dict[str, Any]]:
    """Return the segments of a CQ string. What is not a proper code stays text."""
    segments: list[dict[str, Any]] = []
    done = 0
    for count, found in enumerate(_CODE.finditer(message)):
        if count == MAX_CODES:
            break
        _add_text(segments, message[done : found.start()])
        data: dict[str, Any] = {}
        for pair in found[2].split(",")[1:]:
            key, equals, value = pair.partition("=")
            if equals:
                data[key] = unescape(value)
        segments.append({"type": found[1], "data": data})
        done = found.end()
    _add_text(segments, message[done:])
    return segments


def _add_text(segments: list[dict[str, Any]], text: str) -> None:
    if text:
        segments.append({"type": "text", "data": {"text": unescape(text)}})


def unescape(text: str) -> str:
    """Undo the escapes; ``&amp;`` last, so that an escaped escape stays one."""
    if "&" not in text:
        return text
    return text.replace("&#44;", ",").replace("&#91;", "[").replace("&#93;", "]").replace("&amp;", "&")
