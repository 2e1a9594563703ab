"""From a draft to the messages that a network can take: splitting and fallbacks, in one place. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from qqops.model.capabilities import Capabilities
from qqops.model.cut import pieces, weight
from qqops.model.faces import emoji
from qqops.model.message import (
    At,
    AtAll,
    Draft,
    Face,
    File,
    Forward,
    Image,
    Quoted,
    Segment,
    Text,
    Video,
    Voice,
    plain,
)

#: The first of the lone surrogates, which stand for segments while a text is cut, and how many there are.
_FIRST_MARK, _MARKS = 0xD800, 0x800


def left_out(count: int) -> str:
    """Return the last line of a text that was cut, in English."""
    return f"[… {count:,} characters left out]"


def fit(draft: Draft, can: Capabilities, left_out: Callable[[int], str] = left_out) -> list[Draft]:
    """Return *draft* as messages that keep to what the account *can* do; [] when nothing is left to send.

    Only the first one carries the reply. Mentions weigh what is seen of them; pictures and faces weigh nothing, the
    services count text.

    Args:
        left_out: Returns the last line of a text that was cut, by the number of characters that are missing.
    """
    segments = draft.segments
    if len(segments) == 1 and type(segments[0]) is Text:
        text = segments[0].text
        if (not can.max_bytes or 4 * len(text) <= can.max_bytes) and not text.isspace() and text:
            return [draft]
    if isinstance(segments[0] if segments else None, Quoted):
        draft, segments = _quoting(draft, can)
    segments = _in_words(segments, can)
    if all(isinstance(one, Text) and not one.text.strip() for one in segments):
        return []
    if can.max_bytes <= 0:
        return [draft if segments == draft.segments else attrs.evolve(draft, segments=segments)]
    parts = _split(segments, can, left_out)
    return [
        Draft(room=draft.room, segments=part, reply_to=draft.reply_to if i == 0 else None)
        for i, part in enumerate(parts)
    ]


def _quoting(draft: Draft, can: Capabilities) -> tuple[Draft, tuple[Segment, ...]]:
    """Return *draft* with its quote as the network's own where it has them, and what is to be said."""
    quoted = draft.segments[0]
    assert isinstance(quoted, Quoted)
    if Quoted not in can.segments or quoted.message.room != draft.room:
        return draft, draft.segments
    segments = draft.segments[1:]
    return attrs.evolve(draft, segments=segments, reply_to=quoted.message), segments


def _in_words(segments: Sequence[Segment], can: Capabilities) -> tuple[Segment, ...]:
    """Return *segments* with words for those that the account cannot send."""
    shown = can.segments - {Quoted}  # what is still there is of another room
    if all(type(one) in shown for one in segments):
        return tuple(segments)
    return tuple(one if type(one) in shown else Text(_word(one)) for one in segments)


def _word(one: Segment) -> str:
    """Return what stands for a segment where there is only text."""
    if isinstance(one, At):
        return f"{plain((one,))} "
    if isinstance(one, AtAll):
        return f"{plain((one,))} "
    if isinstance(one, Face):
        return emoji(one.id)
    if isinstance(one, Image | Voice | Video) and one.url.startswith(("http://", "https://")):
        return f" {one.url} "
    if isinstance(one, File):
        link = f" {one.url} " if one.url.startswith(("http://", "https://")) else ""
        return plain((one,)) + link
    if isinstance(one, Forward) and one.nodes:
        return "\n".join(f"{node.name or node.sender}: {plain(node.segments)}" for node in one.nodes)
    return plain((one,))


def _split(
    segments: tuple[Segment, ...], can: Capabilities, left_out: Callable[[int], str]
) -> list[tuple[Segment, ...]]:
    text, stands_for = _flat(segments, can.max_bytes)
    marks = {mark: _seen(one) for mark, one in stands_for.items()}
    if weight(text, marks) <= can.max_bytes:
        return [segments]
    found: list[str] = []
    for piece, _ in pieces(text, lambda index: can.max_bytes, marks):
        if len(found) == can.max_parts:
            if File in can.segments:
                others = tuple(one for one in segments if not isinstance(one, Text))
                return [(*others, File(name="message.txt", content=plain(segments).encode()))]
            return _shortened(text, stands_for, marks, can, left_out)
        found.append(piece)
    return [_segments(piece, stands_for) for piece in found]


def _shortened(
    text: str,
    stands_for: dict[str, Segment],
    marks: dict[str, int],
    can: Capabilities,
    left_out: Callable[[int], str],
) -> list[tuple[Segment, ...]]:
    """Return the first pieces of *text*, and a last line that says how much is missing."""
    last = can.max_parts - 1
    note = len(left_out(len(text)).encode()) + 1
    room = can.max_bytes - note

    def most(index: int) -> int:
        return room if index == last and room > 0 else can.max_bytes

    found: list[str] = []
    for piece, end in pieces(text, most, marks):
        if len(found) < last:
            found.append(piece)
        elif room <= 0:
            found.append(piece)  # a message can hold the text or the note, not both
            break
        elif weight(piece, marks) <= room:
            found.append(f"{piece}\n{left_out(len(text) - end)}")
            break
        else:
            found.append(
                left_out(len(text) - end + len(piece))
            )  # a single sign that is too large beside the note
            break
    return [_segments(piece, stands_for) for piece in found]


def _seen(one: Segment) -> int:
    """Return what a segment weighs that is not text."""
    return len(plain((one,)).encode()) + 1 if isinstance(one, At | AtAll) else 0


def _flat(segments: Sequence[Segment], most: int) -> tuple[str, dict[str, Segment]]:
    """Return *segments* as one text, and what its marks stand for."""
    parts: list[str] = []
    stands_for: dict[str, Segment] = {}
    for one in segments:
        if isinstance(one, Text):
            parts.append(one.text)
        elif _seen(one) > most or len(stands_for) == _MARKS:
            parts.append(_word(one))  # longer than a message, or more than anybody sends
        else:
            mark = chr(_FIRST_MARK + len(stands_for))
            stands_for[mark] = one
            parts.append(mark)
    return "".join(parts), stands_for


def _segments(piece: str, stands_for: dict[str, Segment]) -> tuple[Segment, ...]:
    """Return *piece* with the segments that its marks stand for."""
    if not stands_for:
        return (Text(piece),)
    found: list[Segment] = []
    begin = 0
    for i, c in enumerate(piece):
        if c in stands_for:
            if i > begin:
                found.append(Text(piece[begin:i]))
            found.append(stands_for[c])
            begin = i + 1
    if begin < len(piece):
        found.append(Text(piece[begin:]))
    return tuple(found)
