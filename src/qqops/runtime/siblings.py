"""Our own accounts among each other: none reacts to another, and of several in one room one responds.

Each account of ours hears what is said in a room where several are. One of them is to handle it: the one that is in
conversation with the person, else the ones that were addressed, else the one that is set for the room, else the first in the
settings. The others hold what they hear until that one has heard it, too, and then leave it; should it not hear it within
`PATIENCE` seconds, somebody else does, and goes on doing so until it keeps up again. So nothing is lost when a connection
dies unnoticed, and what comes late is not handled twice.

Copies know each other by what is the same for all accounts: place, kind, person, text and time. Ids are not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeAlias

import attrs
import structlog
import trio

from qqops.model import AccountRef, At, Event, Message, PersonRef, Room, RoomRef, plain
from qqops.runtime.alarms import Alarms

log = structlog.get_logger("qqops.siblings")

#: Seconds that others wait for the account that is to respond.
PATIENCE = 2.0
#: Seconds by which the times of two copies may differ: services count in whole ones.
SAME_WITHIN = 5.0
#: Copies and places that are remembered; the oldest are forgotten.
MAX_COPIES, MAX_PLACES = 4096, 10_000

#: What numbers the room, its kind, its number.
_Where: TypeAlias = tuple[str, str, str]


@attrs.define(eq=False)
class _Account:
    """One of ours that can be told from others by its number.

    Attributes:
        rank: Where it stands in the settings.
        ids: What its number is a number of.
        names: What people call it, in lower case.
    """

    ref: AccountRef
    rank: int
    me: str = ""
    ids: str = ""
    names: tuple[str, ...] = ()
    online: bool = False


@attrs.define(eq=False)
class _Place:
    """A room in which at least one of ours was heard from.

    Attributes:
        here: The accounts that hear what is said there.
        behind: Those of them that did not hear events of a class in time, and have not kept up since. A network may not
            tell of some at all.
    """

    here: set[AccountRef] = attrs.field(factory=set)
    behind: set[tuple[AccountRef, type[Event]]] = attrs.field(factory=set)


@attrs.define(eq=False)
class _Copy:
    """Something that has happened, as several of ours hear of it.

    Attributes:
        since: When the first one heard of it, on trio's clock.
        heard: Who did.
        taken: Whether one of them handles it.
        held: What waits for another one to do that, the oldest first.
    """

    where: _Where
    key: Hashable
    at: float
    since: float
    heard: set[AccountRef] = attrs.field(factory=set)
    taken: bool = False
    held: list[Event] = attrs.field(factory=list)


class Siblings:
    """Decides which of our accounts an event is for.

    Args:
        talking: Whether an account waits for an answer of that person in that room.
        account_of: Returns the name of the account that is set for a room; "" for none.
        hand_on: Takes an event that had been held.
    """

    def __init__(
        self,
        alarms: Alarms,
        talking: Callable[[RoomRef, PersonRef], bool],
        account_of: Callable[[Room], str],
        hand_on: Callable[[Event], object],
    ) -> None:
        self._alarms = alarms
        self._talking = talking
        self._account_of = account_of
        self._hand_on = hand_on
        self._accounts: dict[AccountRef, _Account] = {}
        self._by_number: dict[tuple[str, str], _Account] = {}
        self._places: dict[_Where, _Place] = {}
        self._copies: dict[tuple[_Where, Hashable], list[_Copy]] = {}
        self._order: deque[_Copy] = deque()
        self._holding: dict[AccountRef, int] = {}
        self._stirred = trio.Event()

    def add(self, ref: AccountRef) -> None:
        """Add an account; those that were added first go first."""
        self._accounts.setdefault(ref, _Account(ref, len(self._accounts)))

    def online(self, ref: AccountRef, names: tuple[str, ...], me: str, ids: str) -> None:
        """Note that an account is online, and who it is there; see `qqops.adapters.base.Link.online`.

        Args:
            names: In lower case.
        """
        one = self._accounts[ref]
        one.names, one.online, one.me, one.ids = names, True, me, ids or ref.network
        if me:
            self._by_number[one.ids, me] = one

    def offline(self, ref: AccountRef) -> None:
        """Note that an account is not online any more: nobody waits for it."""
        self._accounts[ref].online = False
        self._review(copy for copy in list(self._order) if copy.held)

    def leaves(self, event: Event) -> bool:
        """Whether the account that has heard of *event* leaves it to another one, or holds it for the time being."""
        one = self._accounts.get(event.account)
        if one is None or not one.me or len(self._by_number) < 2:
            return False
        sender = event.sender
        if sender is not None and self._by_number.get((one.ids, sender.proven.id), one) is not one:
            return True
        room = event.room
        if room is None or room.private or not room.verified:
            return False
        where = one.ids, room.ref.kind.value, room.id
        place = self._place(where)
        place.here.add(one.ref)
        copy = self._copy(event, where)
        copy.heard.add(one.ref)
        if trio.current_time() - copy.since <= PATIENCE:
            place.behind.discard((one.ref, type(event)))
        if copy.taken:
            return True
        if self._designated(event, where) is not one:
            self._hold(event, copy)
            return True
        self._take(copy)
        return False

    async def settled(self, ref: AccountRef) -> None:
        """Wait until nothing that *ref* has heard is held: it may be told that it has arrived."""
        while self._holding.get(ref):
            await self._stirred.wait()

    # -- who ------------------------------------------------------------------------------------

    def _designated(self, event: Event, where: _Where) -> _Account:
        """Return the account that is to handle *event*; the one that has heard of it when no other can."""
        own = self._accounts[event.account]
        place = self._places.get(where) or _Place()
        here = [one for ref in place.here | {own.ref} if (one := self._accounts[ref]).online or one is own]
        wanted = self._in_conversation(event, here) or self._addressed(event, here) or here
        able = [one for one in wanted if one is own or (one.ref, type(event)) not in place.behind]
        if not able:
            return own
        chosen = self._account_of(event.room) if event.room is not None else ""
        return min(able, key=lambda one: (one.ref.id != chosen, one.rank))

    def _in_conversation(self, event: Event, here: Sequence[_Account]) -> list[_Account]:
        room, sender = event.room, event.sender
        if room is None or sender is None or not isinstance(event, Message):
            return []
        kind, id_ = room.ref.kind, room.id
        return [
            one for one in here if self._talking(RoomRef(one.ref, kind, id_), PersonRef(one.ref, sender.id))
        ]

    @staticmethod
    def _addressed(event: Event, here: Sequence[_Account]) -> list[_Account]:
        if not isinstance(event, Message):
            return []
        numbers = {segment.person.id for segment in event.segments if isinstance(segment, At)}
        if mentioned := [one for one in here if one.me in numbers]:
            return mentioned
        text = plain(event.segments).lower()
        called = {one.ref: _called(text, one.names) for one in here}
        if longest := max(called.values()):
            return [one for one in here if called[one.ref] == longest]
        return [one for one in here if event.at_me and one.ref == event.account]

    # -- copies ---------------------------------------------------------------------------------

    def _place(self, where: _Where) -> _Place:
        place = self._places.get(where)
        if place is None:
            if len(self._places) >= MAX_PLACES:
                del self._places[next(iter(self._places))]
            place = self._places[where] = _Place()
        return place

    def _copy(self, event: Event, where: _Where) -> _Copy:
        """Return what *event* is a copy of, or begin with it."""
        key = _key(event)
        alike = self._copies.setdefault((where, key), [])
        at = event.at.timestamp()
        for copy in alike:
            if event.account not in copy.heard and abs(copy.at - at) <= SAME_WITHIN:
                return copy
        copy = _Copy(where, key, at, trio.current_time())
        alike.append(copy)
        self._order.append(copy)
        if len(self._order) > MAX_COPIES:
            self._forget(self._order.popleft())
        return copy

    def _forget(self, copy: _Copy) -> None:
        alike = self._copies[copy.where, copy.key]
        alike.remove(copy)
        if not alike:
            del self._copies[copy.where, copy.key]

    def _take(self, copy: _Copy) -> None:
        """Note that somebody handles it; what others hold of it is theirs no more."""
        copy.taken = True
        held, copy.held = copy.held, []
        for event in held:
            self._holding[event.account] -= 1
        if held:
            self._stirred.set()
            self._stirred = trio.Event()

    def _hold(self, event: Event, copy: _Copy) -> None:
        copy.held.append(event)
        self._holding[event.account] = self._holding.get(event.account, 0) + 1
        if len(copy.held) == 1:
            self._alarms.after(PATIENCE, lambda: self._overdue(copy))

    def _overdue(self, copy: _Copy) -> None:
        """The one that was waited for has not heard of it: it is behind, and nobody waits for it any longer."""
        if copy.taken:
            return
        late = self._designated(copy.held[0], copy.where).ref
        log.warning(
            "an account that is to respond in a room hears nothing there: another one does",
            account=str(late), room=copy.where[2],
        )  # fmt: skip
        self._place(copy.where).behind.add((late, type(copy.held[0])))
        self._review(one for one in list(self._order) if one.held and one.where == copy.where)
        if not copy.taken:
            self._alarms.after(PATIENCE, lambda: self._overdue(copy))

    def _review(self, copies: Iterable[_Copy]) -> None:
        """Hand on what is held by the account that is to handle it now."""
        for copy in copies:
            now = self._designated(copy.held[0], copy.where).ref
            event = next((event for event in copy.held if event.account == now), None)
            if event is not None:
                self._take(copy)
                self._hand_on(event)


def _called(text: str, names: Iterable[str]) -> int:
    """Return how long a name is by which *text* (in lower case) calls somebody; 0 when it does not."""
    bare = text.lstrip("@＠ ")
    return max((len(name) for name in names if bare.startswith(name) or f"@{name}" in text), default=0)


def _key(event: Event) -> Hashable:
    """Return what is the same in all copies of *event*, besides place and time."""
    said = " ".join(plain(event.segments).split()) if isinstance(event, Message) else ""
    sender = event.sender
    who = sender.person.id if sender is not None and sender.verified else ""
    return type(event), who, said
