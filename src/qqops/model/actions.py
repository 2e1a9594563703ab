"""What we ask of a network, and how it went."""

from __future__ import annotations

import enum

import attrs

from qqops.model.people import MessageRef


class Delivery(enum.Enum):
    """What is known about a send afterwards."""

    #: The network confirmed that people can see it.
    DELIVERED = "delivered"
    #: The network took it. On WebQQ that is all one ever learns.
    ACCEPTED = "accepted"
    #: Nobody knows. It is reported and never sent again by itself: that would make duplicates.
    UNKNOWN = "unknown"
    #: It was not sent; `Outcome.reason` says why.
    REFUSED = "refused"


@attrs.frozen(kw_only=True)
class Outcome:
    """How a send went.

    Attributes:
        delivery: The worst result among the parts that a long message was split into.
        refs: What is known of the parts, in order; networks that tell no ids leave it empty.
        reason: Why, for `UNKNOWN` and `REFUSED`; else "".
    """

    delivery: Delivery
    refs: tuple[MessageRef, ...] = ()
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the network has it for certain."""
        return self.delivery in (Delivery.DELIVERED, Delivery.ACCEPTED)


_WORST_FIRST = (Delivery.REFUSED, Delivery.UNKNOWN, Delivery.ACCEPTED, Delivery.DELIVERED)


def combine(outcomes: list[Outcome]) -> Outcome:
    """Return the outcome of a message from those of its parts: the worst one counts."""
    if not outcomes:
        return Outcome(delivery=Delivery.REFUSED, reason="nothing to send")
    worst = min(outcomes, key=lambda o: _WORST_FIRST.index(o.delivery))
    refs = tuple(ref for o in outcomes for ref in o.refs)
    return Outcome(delivery=worst.delivery, refs=refs, reason=worst.reason)


@attrs.frozen(kw_only=True)
class Limits:
    """What an account may send; the outbox keeps to it.

    Attributes:
        gap: Seconds between two sends of the account.
        max_bytes: UTF-8 bytes of text in one message; longer ones are split. 0 means no limit.
    """

    gap: float = 0.0
    max_bytes: int = 0
