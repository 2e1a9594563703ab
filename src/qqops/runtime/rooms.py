"""Rooms from the outside: their settings, and sending to one that nobody has spoken in."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import structlog

from qqops.adapters.base import Adapter
from qqops.model import AccountRef, Delivery, Draft, Outcome, Room, RoomRef, User
from qqops.runtime.context import Content
from qqops.runtime.named_rooms import NamedRooms, RoomSettings
from qqops.runtime.outbox import Outbox
from qqops.runtime.ticket import running
from qqops.texts import Catalogue, Say

log = structlog.get_logger("qqops.rooms")

#: Who speaks when no plugin does.
CORE = "core"
#: Rooms whose members are remembered after somebody has asked for them; the oldest are forgotten.
_REMEMBERED = 256


@runtime_checkable
class KnowsPeople(Protocol):
    """An adapter that has lists of members at hand."""

    def people(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*, as far as it is known at this moment."""


class Rooms:
    """Injected into handlers and jobs that ask for it: find rooms, speak in them, see who is there.

    Attributes:
        named: What is set for rooms.
        plugin: Who speaks, for the records; each plugin is given an object of its own.
    """

    def __init__(self, settings: RoomSettings, catalogue: Catalogue) -> None:
        self.named = NamedRooms(settings, self.of)
        self._catalogue = catalogue
        self._adapters: dict[AccountRef, tuple[Adapter, Outbox]] = {}
        self._members: dict[RoomRef, Sequence[User]] = {}
        self.plugin = CORE

    def of_plugin(self, plugin: str) -> Rooms:
        """Return the same rooms, for *plugin* to speak in."""
        rooms = copy.copy(self)
        rooms.plugin = plugin
        return rooms

    def account(self, adapter: Adapter, outbox: Outbox) -> None:
        """Make the rooms of *adapter* reachable."""
        self._adapters[adapter.account] = (adapter, outbox)

    def forget(self, account: AccountRef) -> None:
        """Make the rooms of *account* unreachable."""
        self._adapters.pop(account, None)
        for room in [room for room in self._members if room.account == account]:
            del self._members[room]

    def known(self) -> Sequence[Room]:
        """Return every room that any account knows at this moment."""
        return [room for adapter, _ in self._adapters.values() for room in adapter.rooms()]

    def of(self, account: str) -> Sequence[Room]:
        """Return the rooms that the account called *account* in the settings knows at this moment."""
        return [
            room
            for ref, (adapter, _) in self._adapters.items()
            if ref.id == account
            for room in adapter.rooms()
        ]

    def find(self, name: str) -> Room | None:
        """Return the room with this id, name or full address; None when there is none or it is not clear.

        A private chat has no name here: it is called what the other side likes to be called.
        """
        found = [
            room
            for room in self.known()
            if name in (room.id, str(room.ref)) or (name == room.name and not room.private)
        ]
        return found[0] if len(found) == 1 else None

    async def send(self, room: str | RoomRef, answer: Content) -> Outcome:
        """Say *answer* in *room* and return how it went.

        Args:
            room: A room's address, id or name. Ids and names work once an account has been online.

        What a job sends and is refused is an error in the log as well: nobody has asked for it who would miss it.
        """
        outcome = await self._send(room, answer)
        ticket = running.get()
        if outcome.delivery is Delivery.REFUSED and ticket is not None and ticket.event is None:
            handler = ticket.hit.handler
            log.error(
                "what a job sends goes nowhere", plugin=handler.plugin, job=handler.name, where=handler.where,
                room=str(room), reason=outcome.reason,
            )  # fmt: skip
        return outcome

    async def _send(self, room: str | RoomRef, answer: Content) -> Outcome:
        ref = room if isinstance(room, RoomRef) else None
        known = self.find(room) if isinstance(room, str) else None
        if known is not None:
            ref = known.ref
        if ref is None or ref.account not in self._adapters:
            return Outcome(
                delivery=Delivery.REFUSED, reason=f"no account knows exactly one room {str(room)!r}"
            )
        if isinstance(answer, Say):
            answer = self._catalogue.render(answer, self.named.language(known or self._room(ref)))
        return await self._adapters[ref.account][1].send(Draft.of(ref, answer), plugin=self.plugin)

    def say(self, room: RoomRef, text: str) -> bool:
        """Queue *text* to *room* without waiting; False when none of our accounts is there."""
        if room.account not in self._adapters:
            return False
        self._adapters[room.account][1].put(Draft.of(room, text), plugin=self.plugin)
        return True

    def left_out(self, room: RoomRef, count: int) -> str:
        """Return the last line of a text that was cut, in the language of *room*."""
        words = Say("sent.left_out", {"count": f"{count:,}"})
        return self._catalogue.render(words, self.named.language(self._room(room)))

    def _room(self, ref: RoomRef) -> Room | None:
        found = self._adapters.get(ref.account)
        return next((room for room in found[0].rooms() if room.ref == ref), None) if found else None

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*, as far as the network tells."""
        found = await self._adapters[room.account][0].members(room)
        self._members.pop(room, None)
        self._members[room] = found
        if len(self._members) > _REMEMBERED:
            del self._members[next(iter(self._members))]
        return found

    def people(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room* as far as it is known without asking: else who was there when somebody asked."""
        adapter: object = self._adapters[room.account][0] if room.account in self._adapters else None
        return adapter.people(room) if isinstance(adapter, KnowsPeople) else self._members.get(room, ())
