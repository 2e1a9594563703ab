"""Replies on the official platform: to which message, and with which number. Pure. Source: qq-official.md §5."""

from __future__ import annotations

from collections import OrderedDict

import attrs

#: Replies that one message allows.
MAX_REPLIES = 5
#: Messages of a chat that are remembered.
REMEMBERED = 20


@attrs.define
class _Heard:
    at: float
    by: str
    used: int = 0


@attrs.frozen
class Ticket:
    """What a reply must carry; sending the same ticket again is safe, the platform takes it once.

    Attributes:
        by: ``msg_id`` or ``event_id``.
    """

    id: str
    seq: int
    by: str = "msg_id"


class Passive:
    """Which messages can still be answered, by chat."""

    def __init__(self, most_chats: int = 20_000) -> None:
        self._chats: OrderedDict[str, OrderedDict[str, _Heard]] = OrderedDict()
        self._most_chats = most_chats

    def heard(self, chat: str, message: str, now: float, by: str = "msg_id") -> None:
        """Note that *message* came in *chat*; *by* is ``event_id`` for what is not a message and can be answered, too."""
        heard = self._chats.get(chat)
        if heard is None:
            if len(self._chats) >= self._most_chats:
                self._chats.popitem(last=False)
            heard = self._chats[chat] = OrderedDict()
        heard.setdefault(message, _Heard(now, by))
        self._chats.move_to_end(chat)
        if len(heard) > REMEMBERED:
            heard.popitem(last=False)

    def claim(self, chat: str, wanted: str, window: float, now: float) -> Ticket | None:
        """Return a ticket for a reply to *wanted*, or else to the newest message that still allows one; None for none."""
        heard = self._chats.get(chat, OrderedDict())
        order = [wanted, *reversed(heard)] if wanted in heard else list(reversed(heard))
        for message in order:
            one = heard[message]
            if one.used < MAX_REPLIES and now - one.at < window:
                one.used += 1
                return Ticket(message, one.used, one.by)
        return None
