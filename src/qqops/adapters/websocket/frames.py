"""Where WebSocket frames begin and end in what was read (RFC 6455 §5.2). Pure."""

from __future__ import annotations

from typing import NamedTuple

#: First bytes of frames that are a whole message: final, text or binary, no extension.
WHOLE = (0x81, 0x82)


class Span(NamedTuple):
    """One whole frame: the indices of its first byte, of its content, and after its end."""

    at: int
    content: int
    stop: int


class Cut(NamedTuple):
    """The whole frames in what was read, how far they reach, and whether what follows breaks the rules."""

    spans: list[Span]
    end: int
    broken: bool


def cut(data: bytes | bytearray, mask_bit: int, most: int) -> Cut:
    """Return the whole frames in *data*.

    Args:
        mask_bit: 0x80 where frames must be masked, 0 where they must not.
        most: Largest content, in bytes.
    """
    spans: list[Span] = []
    at, end, mask = 0, len(data), mask_bit >> 5
    while end - at >= 2:
        second = data[at + 1]
        size, start = second & 0x7F, at + 2
        if size == 126:
            start = at + 4
            size = int.from_bytes(data[at + 2 : start], "big")
        elif size == 127:
            start = at + 10
            size = int.from_bytes(data[at + 2 : start], "big")
        if second & 0x80 != mask_bit:
            return Cut(spans, at, True)
        if start > end:
            break
        if size > most:
            return Cut(spans, at, True)
        start += mask
        if start + size > end:
            break
        spans.append(Span(at, start, start + size))
        at = start + size
    return Cut(spans, at, False)
