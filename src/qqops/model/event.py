"""What all events have in common. Adapters and plugins may have events of their own: subclasses."""

from __future__ import annotations

import datetime

import attrs

from qqops.model.people import AccountRef, Room, User


def _text(value: object) -> str:
    """Return an id as text: a network that means a number by it may say so."""
    if type(value) is str:
        return value
    return "" if value is None else str(value)


@attrs.frozen(kw_only=True)
class Event:
    """Something that has happened; a listener to a class also hears its subclasses.

    All events are frozen values that serialise; none holds a socket, a task or another live thing.

    Attributes:
        id: Made of what the wire says, and the same when the service delivers it again; within one account, room and
            class no two events have the same. "" where nothing on the wire tells one from the next.
        at: When it happened, as far as the network tells, aware; else when it was heard of.
    """

    id: str = attrs.field(default="", converter=_text)
    at: datetime.datetime

    @property
    def account(self) -> AccountRef:
        """The account that heard of it."""
        raise NotImplementedError

    @property
    def room(self) -> Room | None:
        """Where it happened; None for what happens in no room."""
        return None

    @property
    def sender(self) -> User | None:
        """Who did it, or whom it concerns; None where that is nobody."""
        return None


@attrs.frozen(kw_only=True)
class AccountEvent(Event):
    """Something that concerns an account, and happens in no room."""

    account: AccountRef


@attrs.frozen(kw_only=True)
class RoomEvent(Event):
    """Something that happens in a room; handlers of these get a context to answer in."""

    room: Room

    @property
    def account(self) -> AccountRef:
        """The account that heard of it."""
        return self.room.ref.account


@attrs.frozen(kw_only=True)
class PersonEvent(RoomEvent):
    """Something that somebody does in a room, or that happens to them there."""

    sender: User
