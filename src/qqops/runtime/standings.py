"""Who set something off, as rules look at them; kept ready while nothing about it changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import attrs

from qqops.model import Event, Room, User
from qqops.runtime.roles import NOBODY, SELF, Roles, Standing
from qqops.runtime.rules import Who
from qqops.runtime.verdicts import Verdict

if TYPE_CHECKING:
    from qqops.runtime.registry import Handler

#: People in rooms whose standing is kept ready.
MAX_READY = 2000

#: The person, how rules describe them, and their roles.
Look: TypeAlias = tuple[User | None, Who, Standing]

_BOT = Who("", "", "", "", "", True, True)


@attrs.define(eq=False)
class Ready:
    """What is kept ready of one person in one room.

    Attributes:
        admitted: What spoke for it, by handler that was admitted. A no may have been an error, and is decided again.
        counted: Under which keys the uses of a handler are counted.
    """

    room: Room
    user: User
    look: Look
    admitted: dict[Handler, Verdict | None] = attrs.field(factory=dict)
    counted: dict[Handler, Sequence[str]] = attrs.field(factory=dict)


class Standings:
    """Looks people up."""

    def __init__(self, roles: Roles) -> None:
        self._roles = roles
        self._ready: dict[tuple[int, int], Ready] = {}

    def clear(self) -> None:
        """Forget everything: rules, roles or plugins have changed."""
        self._ready.clear()

    def ready(self, event: Event | None) -> Ready | None:
        """Return what is kept ready of who set *event* off, and where; None where plugins must be asked each time."""
        if event is None or (room := event.room) is None or (user := event.sender) is None:
            return None
        # Adapters give the same objects again while nothing about somebody changes; both are frozen.
        found = self._ready.get((id(room), id(user)))
        if found is not None and found.room is room and found.user is user:
            return found
        if self._roles.identify is not None:
            return None
        if len(self._ready) >= MAX_READY:
            self._ready.clear()
        found = self._ready[id(room), id(user)] = Ready(room, user, self._look(event, user))
        return found

    def of(self, event: Event | None) -> Look:
        """Return who set *event* off; the bot itself when nothing has happened."""
        if event is None:
            return None, _BOT, SELF
        ready = self.ready(event)
        return ready.look if ready is not None else self._look(event, event.sender)

    def _look(self, event: Event, user: User | None) -> Look:
        room, ref = event.room, event.account
        address = str(user.person) if user is not None else ""
        who = Who(
            ref.network, f"{ref.network}:{ref.id}", ref.id, str(room.ref) if room is not None else "", address,
            user is not None and user.verified, room is not None and room.verified,
        )  # fmt: skip
        if user is None:
            return None, who, NOBODY
        return user, who, self._roles.of(user, address, room.ref.kind if room is not None else None)
