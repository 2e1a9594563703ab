"""What we ask of a network, and how it went."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import TypeAlias

import attrs

from qqops.model.events import FileOffered
from qqops.model.people import AccountRef, MessageRef, PersonRef, RoomRef


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


@attrs.frozen(kw_only=True)
class Limits:
    """What an account may send; the outbox keeps to it.

    Attributes:
        gap: Seconds between two sends of the account.
        room_gap: Seconds between two sends to one room.
        jitter: By how much a gap between sends to one room may be longer, as a part of it.
        max_bytes: UTF-8 bytes of text in one message; longer ones are split. 0 means no limit.
        in_flight: Most sends of the account that are on the wire at the same time.
    """

    gap: float = 0.0
    room_gap: float = 0.0
    jitter: float = 0.0
    max_bytes: int = 0
    in_flight: int = 1


# -- what an account can be asked to do, besides sending ----------------------------------------


@attrs.frozen(kw_only=True)
class AnswerFriend:
    """Accept or refuse a `FriendRequest`; *remark* is what the new friend is to be called, *text* why not."""

    person: PersonRef
    accept: bool
    remark: str = ""
    text: str = ""


@attrs.frozen(kw_only=True)
class AnswerJoin:
    """Let somebody into a room, or not (`JoinRequest`)."""

    room: RoomRef
    person: PersonRef
    accept: bool
    text: str = ""


@attrs.frozen(kw_only=True)
class RefuseFile:
    """Do not take an offered file. To take it, fetch it."""

    offer: FileOffered


@attrs.frozen(kw_only=True)
class AddFriend:
    """Ask *person* to become a friend."""

    person: PersonRef
    text: str = ""


@attrs.frozen(kw_only=True)
class RemoveFriend:
    """End a friendship; *both* also takes the account out of the other's list."""

    person: PersonRef
    both: bool = False


@attrs.frozen(kw_only=True)
class SetRemark:
    """Call a friend *text* in the account's own list."""

    person: PersonRef
    text: str


@attrs.frozen(kw_only=True)
class SetRoomRemark:
    """Call a room *text* in the account's own list."""

    room: RoomRef
    text: str


@attrs.frozen(kw_only=True)
class SetCard:
    """Be called *text* in a room."""

    room: RoomRef
    text: str


@attrs.frozen(kw_only=True)
class JoinRoom:
    """Ask to be let into a room, by its permanent number."""

    room: RoomRef
    text: str = ""


@attrs.frozen(kw_only=True)
class LeaveRoom:
    """Leave a room."""

    room: RoomRef


@attrs.frozen(kw_only=True)
class SetStatus:
    """Be seen as *status*: online, away, busy, callme, silent or hidden."""

    account: AccountRef
    status: str


@attrs.frozen(kw_only=True)
class SetSignature:
    """Have *text* as the line below the account's name."""

    account: AccountRef
    text: str


@attrs.frozen(kw_only=True)
class ShowTyping:
    """Let the other side of a private chat see that the account is writing."""

    room: RoomRef


@attrs.frozen(kw_only=True)
class Poke:
    """Shake the window of *person* in a room, or of the other side of a private chat."""

    room: RoomRef
    person: PersonRef | None = None


@attrs.frozen(kw_only=True)
class AnswerInvite:
    """Come into a room that the account was invited to (`Invited`), or not."""

    room: RoomRef
    person: PersonRef
    accept: bool
    text: str = ""


@attrs.frozen(kw_only=True)
class Recall:
    """Take a message back: the account's own, or another's where it may."""

    message: MessageRef


@attrs.frozen(kw_only=True)
class Mute:
    """Let *person* not speak for *seconds*; 0 lifts it. Without a person, everybody: any seconds but 0 mean until lifted."""

    room: RoomRef
    person: PersonRef | None = None
    seconds: int = 600


@attrs.frozen(kw_only=True)
class Kick:
    """Put somebody out of a room; *ban* keeps them from asking to come in again."""

    room: RoomRef
    person: PersonRef
    ban: bool = False


@attrs.frozen(kw_only=True)
class SetAdmin:
    """Make somebody an administrator of a room, or no longer one."""

    room: RoomRef
    person: PersonRef
    on: bool = True


@attrs.frozen(kw_only=True)
class SetMemberCard:
    """Call *person* *text* in a room."""

    room: RoomRef
    person: PersonRef
    text: str


@attrs.frozen(kw_only=True)
class SetTitle:
    """Give *person* the title *text* in a room; "" takes it away."""

    room: RoomRef
    person: PersonRef
    text: str


@attrs.frozen(kw_only=True)
class SetRoomName:
    """Call a room *text*, for everybody."""

    room: RoomRef
    text: str


@attrs.frozen(kw_only=True)
class React:
    """Put the sign *code* to a message, or take it away; codes are the network's own."""

    message: MessageRef
    code: str
    on: bool = True


@attrs.frozen(kw_only=True)
class Highlight:
    """Keep a message in view for the room, or no longer."""

    message: MessageRef
    on: bool = True


@attrs.frozen(kw_only=True)
class Announce:
    """Put *text* on the notice board of a room."""

    room: RoomRef
    text: str


Action: TypeAlias = (
    AnswerFriend
    | AnswerJoin
    | RefuseFile
    | AddFriend
    | RemoveFriend
    | SetRemark
    | SetRoomRemark
    | SetCard
    | JoinRoom
    | LeaveRoom
    | SetStatus
    | SetSignature
    | ShowTyping
    | Poke
    | AnswerInvite
    | Recall
    | Mute
    | Kick
    | SetAdmin
    | SetMemberCard
    | SetTitle
    | SetRoomName
    | React
    | Highlight
    | Announce
)


def account_of(action: Action) -> AccountRef:
    """Return which account shall do *action*."""
    if isinstance(action, SetStatus | SetSignature):
        return action.account
    if isinstance(action, AnswerFriend | AddFriend | RemoveFriend | SetRemark):
        return action.person.account
    if isinstance(action, RefuseFile):
        return action.offer.room.ref.account
    if isinstance(action, Recall | React | Highlight):
        return action.message.room.account
    return action.room.account
