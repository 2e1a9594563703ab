"""Where the text begins after what addresses the bot: a mention, ``@bot``, ``bot,``. Pure."""

from __future__ import annotations

import re

import attrs

from qqops.model import At, Message, Segment, Text, plain
from qqops.protocol.words import INVISIBLE

#: Longest part of a message that is searched for the bot's name, in characters.
NAME_LIMIT = 64

#: What may stand between the name and the text.
_SEPARATORS = ",，:：、"
#: What may stand before a prefix.
_LEADING = re.compile(rf"[\s{INVISIBLE}]*")


def skip(text: str, start: int) -> int:
    """Return where the first character after *start* stands that people see."""
    found = _LEADING.match(text, start)
    return found.end() if found is not None else start


def after_name(message: Message, text: str, names: tuple[str, ...]) -> int:
    """Return where *text* begins after what addresses the bot, or -1.

    Args:
        text: That of *message*.
        names: What people call the bot, in lower case.
    """
    start = -1
    if message.at_me and isinstance(message.segments[0] if message.segments else None, At):
        first = message.segments[0]
        start = len(f"@{first.name or first.person.id}") if isinstance(first, At) else -1
    elif text and names:
        bare = text[1:] if text[0] in "@＠" else text
        folded = bare[:NAME_LIMIT].lower()
        if folded.startswith(names):
            name = max((n for n in names if folded.startswith(n)), key=len)
            after = bare[len(name) : len(name) + 1]
            if not after or after.isspace() or after in f"{_SEPARATORS}/／":
                start = len(text) - len(bare) + len(name)
    if start < 0:
        return -1
    while start < len(text) and (text[start].isspace() or text[start] in _SEPARATORS):
        start += 1
    return skip(text, start)


def unaddressed(message: Message, names: tuple[str, ...], *, loosely: bool = False) -> Message:
    """Return *message* without what addresses the bot.

    Args:
        loosely: The bare name is enough, as before a command. Else it is only with an ``@`` or a sign behind it: an answer
            may well begin with a word that the bot is called by.
    """
    start = after_name(message, message.text, names)
    first = message.segments[0] if message.segments else None
    # All that is said in private is for the bot: a mention there is of somebody else, unless it is by its name.
    other = isinstance(first, At) and message.room.private and first.name.lower() not in names
    if start < 0 or other:
        return message
    name = message.text[:start]
    if not loosely and name[:1] not in "@＠" and not any(sign in name for sign in _SEPARATORS):
        return message
    return attrs.evolve(message, segments=_cut(message.segments, start))


def _cut(segments: tuple[Segment, ...], start: int) -> tuple[Segment, ...]:
    """Return what of *segments* stands behind the first *start* characters of their text."""
    for number, segment in enumerate(segments):
        length = len(plain((segment,)))
        if start < length:
            if start and isinstance(segment, Text):
                segment = Text(segment.text[start:])
            return segment, *segments[number + 1 :]
        start -= length
    return ()
