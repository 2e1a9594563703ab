"""How a send went, or when it is to be tried again."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import attrs

from qqops.model.people import MessageRef


class Delivery(enum.Enum):
    """What is known about a send afterwards."""

    #: The network confirmed that people can see it.
    DELIVERED = "delivered"
    #: The network took it. On WebQQ that is all one ever learns.
    ACCEPTED = "accepted"
    #: Some parts of a long message went, others did not, or nobody knows; `Outcome.parts` says which.
    PARTIAL = "partial"
    #: Nobody knows. It is reported and never sent again by itself: that would make duplicates.
    UNKNOWN = "unknown"
    #: Nothing of it was sent; `Outcome.reason` says why.
    REFUSED = "refused"


@attrs.frozen(kw_only=True)
class Outcome:
    """How a send went.

    Attributes:
        refs: What is known of the parts that went, in order; networks that tell no ids leave it empty.
        reason: Why, for everything that is not `ok`; else "".
        parts: How each part went that was tried, in order, where a message was split; else empty.
    """

    delivery: Delivery
    refs: tuple[MessageRef, ...] = ()
    reason: str = ""
    parts: tuple[Outcome, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the network has all of it for certain."""
        return self.delivery in (Delivery.DELIVERED, Delivery.ACCEPTED)


def combine(outcomes: Sequence[Outcome], of: int) -> Outcome:
    """Return the outcome of a message of *of* parts from those of the parts that were tried, in order."""
    if not outcomes:
        return Outcome(delivery=Delivery.REFUSED, reason="nothing to send")
    if of == 1:
        return outcomes[0]
    refs = tuple(ref for one in outcomes for ref in one.refs)
    went = [one for one in outcomes if one.ok]
    reason = next((one.reason for one in outcomes if not one.ok), "")
    if len(went) == of:
        accepted = any(one.delivery is Delivery.ACCEPTED for one in outcomes)
        delivery = Delivery.ACCEPTED if accepted else Delivery.DELIVERED
    elif went or any(one.delivery is Delivery.PARTIAL for one in outcomes):
        delivery, reason = Delivery.PARTIAL, f"{len(went)} of {of} parts were sent; {reason}"
    elif any(one.delivery is Delivery.UNKNOWN for one in outcomes):
        delivery = Delivery.UNKNOWN
    else:
        delivery = Delivery.REFUSED
    return Outcome(delivery=delivery, refs=refs, reason=reason, parts=tuple(outcomes))


class Scope(enum.Enum):
    """What a `Later` holds up."""

    ROOM = "room"
    ACCOUNT = "account"


def _seconds(later: object, attribute: object, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"Later needs a finite number of seconds, 0 or more, got {value!r}")


@attrs.frozen
class Later:
    """A part cannot go now and has not left: it stays queued, and its room or the whole account pauses.

    The outbox asks again after *seconds*, or when the oldest message may wait no longer, whichever comes first.

    Raises:
        ValueError: *seconds* is negative, infinite or no number.
    """

    seconds: float = attrs.field(validator=_seconds)
    scope: Scope
    reason: str
