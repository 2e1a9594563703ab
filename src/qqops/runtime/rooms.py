"""Rooms from the outside: their settings, and sending to one that nobody has spoken in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from qqops.adapters.base import Adapter
from qqops.model import AccountRef, Delivery, Draft, Outcome, Room, RoomRef, User
from qqops.runtime.context import Answer
from qqops.runtime.outbox import Outbox
from qqops.texts import DEFAULT_LANGUAGE, Catalogue, Say


@attrs.frozen
class RoomSettings:
    """What is set for rooms: one immutable look-up.

    Attributes:
        default: Language where nothing else is set.
        languages: Language by room name or id.
    """

    default: str = DEFAULT_LANGUAGE
    languages: Mapping[str, str] = attrs.field(factory=dict)

    def language(self, room: Room | None) -> str:
        """Return the language of *room*."""
        if room is None or not self.languages:
            return self.default
        return self.languages.get(room.id) or self.languages.get(room.name) or self.default


class Rooms:
    """Injected into handlers and jobs that ask for it: find rooms, speak in them, see who is there."""

    def __init__(self, settings: RoomSettings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._adapters: dict[AccountRef, tuple[Adapter, Outbox]] = {}

    def account(self, adapter: Adapter, outbox: Outbox) -> None:
        """Make the rooms of *adapter* reachable."""
        self._adapters[adapter.account] = (adapter, outbox)

    def known(self) -> Sequence[Room]:
        """Return every room that any account knows at this moment."""
        return [room for adapter, _ in self._adapters.values() for room in adapter.rooms()]

    def find(self, name: str) -> Room | None:
        """Return the room with this id, name or full address; None when there is none or it is not clear."""
        found = [room for room in self.known() if name in (room.id, room.name, str(room.ref))]
        return found[0] if len(found) == 1 else None

    async def send(self, room: str | RoomRef, answer: Answer) -> Outcome:
        """Say *answer* in *room* and return how it went.

        Args:
            room: A room's address, id or name. Ids and names work once an account has been online.
        """
        ref = room if isinstance(room, RoomRef) else None
        known = self.find(room) if isinstance(room, str) else None
        if known is not None:
            ref = known.ref
        if ref is None or ref.account not in self._adapters:
            return Outcome(
                delivery=Delivery.REFUSED, reason=f"no account knows exactly one room {str(room)!r}"
            )
        if isinstance(answer, Say):
            answer = self._catalogue.render(answer, self._settings.language(known))
        return await self._adapters[ref.account][1].send(Draft.of(ref, answer))

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*, as far as the network tells."""
        return await self._adapters[room.account][0].members(room)
