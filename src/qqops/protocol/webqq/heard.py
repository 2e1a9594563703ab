"""Copies of messages: the service gives one again when it is not sure that we have it. Source: webqq.md §12.4."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from qqops.protocol.webqq.items import Incoming
from qqops.protocol.webqq.roster import DISCUSSION, Roster

#: Messages in which copies are recognised; they come one poll, one re-link or one login apart.
WINDOW = 256


@attrs.frozen
class _Where:
    """Who wrote a message where and when: by the aliases of one roster, and by what outlasts it where known, else 0."""

    aliases: object
    room: int
    sender: int
    room_number: int
    sender_number: int
    time: int

    def same(self, other: _Where) -> bool:
        """Whether both can be one place and one person.

        Aliases of one roster tell that for certain. Across logins only numbers and the time do, and the service may
        have told them for one of the two only: then nothing speaks against it.
        """
        if self.aliases is other.aliases:
            return (self.room, self.sender) == (other.room, other.sender)
        pairs = zip(self._lasting(), other._lasting(), strict=True)
        return all(ours == theirs or 0 in (ours, theirs) for ours, theirs in pairs)

    def _lasting(self) -> tuple[int, int, int]:
        return self.room_number, self.sender_number, self.time


class Heard:
    """The last messages of one account, over all its sessions.

    Members number their messages independently, so an id alone does not tell a message from another's: it is a copy
    when id and text are the same, and neither room, sender nor time is known to be another.
    """

    def __init__(self) -> None:
        self._last: dict[str, list[_Where]] = {}

    def before(self, seen: Iterable[tuple[str, str]]) -> None:
        """Take over what an earlier run has heard: (room id, message id) as that run has made them, the oldest first.

        A message's id (`Incoming.name`) begins with an alias, which means nothing any more; the rest is the same for ever.
        """
        for room, name in list(seen)[-WINDOW:]:
            match name.split("/"):
                case [_, _, time, found]:
                    where = _Where(object(), 0, 0, _number(room), 0, _number(time))
                    self._last.setdefault(found, []).append(where)

    def is_new(self, message: Incoming, roster: Roster) -> bool:
        """Note *message*; False when it came before."""
        key = message.fingerprint
        where = _where(message, roster)
        before = self._last.setdefault(key, [])
        if any(where.same(one) for one in before):
            return False
        before.append(where)
        if len(before) > WINDOW:
            del before[0]
        if len(self._last) > WINDOW:
            del self._last[next(iter(self._last))]
        return True


def _number(name: str) -> int:
    name = name.removeprefix(DISCUSSION)
    return int(name) if name.isascii() and name.isdecimal() else 0


def _where(message: Incoming, roster: Roster) -> _Where:
    room_number = message.room if message.kind == "discu" else 0  # a did is permanent (§2)
    if message.kind == "group":
        room_number = message.number or roster.group_numbers.get(message.room, 0)
    return _Where(
        roster.aliases,
        message.room,
        message.sender,
        room_number,
        message.real or roster.numbers.get(message.sender, 0),
        message.time,
    )
