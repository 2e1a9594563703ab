"""What an account can do, and how fast."""

from __future__ import annotations

import attrs

from qqops.model.actions import Action
from qqops.model.message import Segment, Text


@attrs.frozen(kw_only=True)
class Pace:
    """How fast an account may send; the outbox keeps to it.

    Attributes:
        gap: Seconds between two sends of the account.
        room_gap: Seconds between two sends to one room.
        jitter: By how much a gap between sends to one room may be longer, as a part of it.
        in_flight: Most sends of the account that are on the wire at the same time.
    """

    gap: float = 0.0
    room_gap: float = 0.0
    jitter: float = 0.0
    in_flight: int = 1


@attrs.frozen(kw_only=True)
class Capabilities:
    """What an account can do in one kind of room; it may become more, or less, while the account is online.

    Attributes:
        actions: What it can be asked to do besides sending.
        segments: What a message may hold. What is not among them is said in words (`qqops.model.fit`).
        max_bytes: UTF-8 bytes of text in one message; longer ones are split. 0 means no limit.
        max_parts: Most messages that a long one is split into. What is longer still becomes a file where the network
            takes `File`, else it is cut.
        reply_window: Seconds within which a message can be answered; None for any time.
        history: Whether it can tell what was said before it came.
    """

    actions: frozenset[type[Action]] = frozenset()
    segments: frozenset[type[Segment]] = frozenset({Text})
    max_bytes: int = 0
    max_parts: int = 8
    reply_window: float | None = None
    history: bool = False
