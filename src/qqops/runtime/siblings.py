"""Our own accounts among each other: none reacts to another, and of several in one room one responds.

Each account of ours hears what is said in a room where several are. One of them is to handle what sets something off: the
one that is in conversation with the person, else the ones that were addressed, else the one that is set for the room, else
the first in the settings. The others hold it until that one has heard it, too, and then leave it; should it not hear it
within `PATIENCE` seconds, somebody else handles it, and goes on doing so until it keeps up again. So nothing is lost when a
connection dies unnoticed, and what comes late is not handled twice.

Copies know each other by what is the same for all accounts: place, kind, person, text and time. Ids are not.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeAlias

import attrs
import structlog
import trio

from qqops.model import AccountRef, At, Event, Message, PersonRef, Room, RoomRef, Text, plain
from qqops.runtime.alarms import Alarms
from qqops.runtime.seen import order_of

log = structlog.get_logger("qqops.siblings")

#: Seconds that others wait for the account that is to respond.
PATIENCE = 2.0
#: Seconds by which the times of two copies may differ: services count in whole ones.
SAME_WITHIN = 1.5
#: Copies and places that are remembered; the oldest are forgotten.
MAX_COPIES, MAX_PLACES = 4096, 10_000

#: Events of an earlier run that are remembered until their account is online.
MAX_RESUMED = 1000

#: A mention: accounts see it by number, name or card.
_MENTION = re.compile(r"[@＠]\S+")

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
        who: Number of the person, or ``~`` and a name.
        since: When the first one heard of it, on trio's clock.
        heard: Who did.
        taken: Whether one of them handles it.
        meant: Whether it was addressed to the one that does.
        held: What waits for another one to do that, the oldest first.
    """

    where: _Where
    key: Hashable
    who: str
    at: float
    since: float
    heard: set[AccountRef] = attrs.field(factory=set)
    taken: bool = False
    meant: bool = False
    held: list[Event] = attrs.field(factory=list)


class Siblings:
    """Decides which of our accounts an event is for.

    Args:
        talking: Whether an account waits for an answer of that person in that room.
        account_of: Returns the name of the account that is set for a room; "" for none.
        stirs: Whether an event sets anything off at the account that has heard of it.
        hand_on: Takes an event that had been held.
    """

    def __init__(
        self,
        alarms: Alarms,
        talking: Callable[[RoomRef, PersonRef], bool],
        account_of: Callable[[Room], str],
        stirs: Callable[[Event], bool],
        hand_on: Callable[[Event], object],
    ) -> None:
        self._alarms = alarms
        self._talking = talking
        self._account_of = account_of
        self._stirs = stirs
        self._hand_on = hand_on
        self._accounts: dict[AccountRef, _Account] = {}
        self._ranks = itertools.count()
        self._by_number: dict[tuple[str, str], _Account] = {}
        self._places: dict[_Where, _Place] = {}
        self._copies: dict[tuple[_Where, Hashable], list[_Copy]] = {}
        self._order: deque[_Copy] = deque()
        self._waiting: dict[_Copy, None] = {}  # those of which something is held, the oldest first
        self._holding: dict[AccountRef, int] = {}
        self._resumed: list[Event] = []
        self._stirred = trio.Event()

    def add(self, ref: AccountRef) -> None:
        """Add an account; those that were added first go first."""
        self._accounts.setdefault(ref, _Account(ref, next(self._ranks)))

    def remove(self, ref: AccountRef) -> None:
        """Forget an account."""
        self.offline(ref)
        one = self._accounts.pop(ref)
        if self._by_number.get((one.ids, one.me)) is one:
            del self._by_number[one.ids, one.me]

    def online(self, ref: AccountRef, names: tuple[str, ...], me: str, ids: str) -> None:
        """Note that an account is online, and who it is there; see `qqops.adapters.base.Link.online`.

        Args:
            names: In lower case.
        """
        one = self._accounts[ref]
        if self._by_number.get((one.ids, one.me)) is one:
            del self._by_number[one.ids, one.me]
        one.names, one.online, one.me, one.ids = names, True, me, ids or ref.network
        if me:
            self._by_number[one.ids, me] = one
        waiting, self._resumed = self._resumed, []
        for event in waiting:
            self.resumed(event)

    def resumed(self, event: Event) -> None:
        """Note that an earlier run has accepted *event*: its copies are not for anybody else."""
        one = self._accounts.get(event.account)
        if one is None or not one.online:
            if len(self._resumed) < MAX_RESUMED:
                self._resumed.append(event)
        elif one.me and (where := _where(event, one)) is not None:
            copy = self._copy(event, where)
            copy.taken = True
            copy.heard.add(one.ref)

    def offline(self, ref: AccountRef) -> None:
        """Note that an account is not online any more: nobody waits for it."""
        self._accounts[ref].online = False
        self._review(list(self._waiting))

    def close(self) -> None:
        """Hand on what is held: the bot is stopping, and nobody waits any longer."""
        for copy in list(self._waiting):
            if copy.held:
                self._release(copy, copy.held[0])

    def leaves(self, event: Event) -> bool:
        """Whether the account that has heard of *event* leaves it to another one, or holds it for the time being."""
        one = self._accounts.get(event.account)
        if one is None or not one.me or len(self._by_number) < 2:
            return False
        sender = event.sender
        if sender is not None and self._by_number.get((one.ids, sender.proven.id), one) is not one:
            return True
        where = _where(event, one)
        if where is None:
            return False
        place = self._place(where)
        place.here.add(one.ref)
        copy = self._copy(event, where)
        copy.heard.add(one.ref)
        if trio.current_time() - copy.since <= PATIENCE:
            place.behind.discard((one.ref, type(event)))
        meant = self._is_meant(event, one)
        if copy.taken:
            # What was said to this one is not settled by what another one has made of it.
            return not meant or copy.meant
        if not self._stirs(event):
            return False
        if self._designated(event, where) is not one:
            self._hold(event, copy)
            return True
        self._hand_on_before(event)
        self._take(copy, meant)
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

    def _is_meant(self, event: Event, one: _Account) -> bool:
        """Whether *event* is an answer to *one*, or addressed to it."""
        return bool(self._in_conversation(event, [one])) or one in self._addressed(event, [one])

    def _in_conversation(self, event: Event, here: Sequence[_Account]) -> list[_Account]:
        room, sender = event.room, event.sender
        if room is None or sender is None or not isinstance(event, Message):
            return []
        kind, id_, people = room.ref.kind, room.id, {sender.ref.id, sender.proven.id}
        return [
            one
            for one in here
            if any(self._talking(RoomRef(one.ref, kind, id_), PersonRef(one.ref, who)) for who in people)
        ]

    def _addressed(self, event: Event, here: Sequence[_Account]) -> list[_Account]:
        """Return who is mentioned by number, even if nothing was heard of them here yet; else who is by name."""
        if not isinstance(event, Message):
            return []
        ids = self._accounts[event.account].ids
        found = (self._by_number.get((ids, s.person.id)) for s in event.segments if isinstance(s, At))
        if mentioned := [one for one in found if one is not None and one.online]:
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
        key, who, at = _key(event), _who(event), event.at.timestamp()
        alike = self._copies.setdefault((where, key), [])
        same = [
            copy
            for copy in alike
            if event.account not in copy.heard and abs(copy.at - at) <= SAME_WITHIN and _may_be(copy.who, who)
        ]
        if same:
            return min(same, key=lambda copy: abs(copy.at - at))
        copy = _Copy(where, key, who, at, trio.current_time())
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
        if copy.held:
            self._release(copy, copy.held[0])

    def _take(self, copy: _Copy, meant: bool) -> None:
        """Note that somebody handles it; what others hold of it is theirs no more."""
        copy.taken, copy.meant = True, meant
        held, copy.held = copy.held, []
        self._waiting.pop(copy, None)
        for event in held:
            self._holding[event.account] -= 1
        if held:
            self._stirred.set()
            self._stirred = trio.Event()

    def _hold(self, event: Event, copy: _Copy) -> None:
        copy.held.append(event)
        self._holding[event.account] = self._holding.get(event.account, 0) + 1
        if len(copy.held) == 1:
            self._waiting[copy] = None
            self._alarms.after(PATIENCE, lambda: self._overdue(copy))

    def _hand_on_before(self, event: Event) -> None:
        """Let what is held of the same person in the same room go first: the order of one person is kept."""
        if not self._holding.get(event.account):
            return
        order = order_of(event)
        for copy in list(self._waiting):
            mine = next((one for one in copy.held if one.account == event.account), None)
            if mine is not None and order_of(mine) == order:
                self._release(copy, mine)

    def _overdue(self, copy: _Copy) -> None:
        """Nobody waits any longer for those that have not heard of it; they are behind until they keep up again."""
        self._review([copy])
        place = self._place(copy.where)
        while copy.held:
            late = self._designated(copy.held[0], copy.where).ref
            if late in copy.heard:  # it has left it to somebody who left it, too
                self._release(copy, copy.held[0])
                break
            log.warning(
                "an account that is to respond in a room hears nothing there: another one does",
                account=str(late), room=copy.where[2],
            )  # fmt: skip
            place.behind.add((late, type(copy.held[0])))
            self._review([one for one in self._waiting if one.where == copy.where])

    def _review(self, copies: Iterable[_Copy]) -> None:
        """Hand on what is held by the account that is to handle it now."""
        for copy in copies:
            if not copy.held:
                continue
            now = self._designated(copy.held[0], copy.where).ref
            event = next((event for event in copy.held if event.account == now), None)
            if event is not None:
                self._release(copy, event)

    def _release(self, copy: _Copy, event: Event) -> None:
        self._take(copy, self._is_meant(event, self._accounts[event.account]))
        self._hand_on(event)


def _called(text: str, names: Iterable[str]) -> int:
    """Return how long a name is by which *text* (in lower case) calls somebody; 0 when it does not."""
    bare = text.lstrip("@＠ ")
    return max((len(name) for name in names if bare.startswith(name) or f"@{name}" in text), default=0)


def _where(event: Event, one: _Account) -> _Where | None:
    """Return the room of *event* as all accounts call it; None where each has its own."""
    room = event.room
    if room is None or room.private or not room.verified:
        return None
    return one.ids, room.ref.kind.value, room.id


def _key(event: Event) -> Hashable:
    """Return what is the same in all copies of *event*, besides place, person and time."""
    if not isinstance(event, Message):
        return type(event), ""
    said = " ".join(one.text for one in event.segments if isinstance(one, Text))
    return type(event), " ".join(_MENTION.sub(" ", said).split())


def _who(event: Event) -> str:
    sender = event.sender
    if sender is None:
        return ""
    return sender.person.id if sender.verified else f"~{sender.name}"


def _may_be(one: str, other: str) -> bool:
    """Whether two accounts may mean one person: one of them may know no more than a name."""
    return one == other or one.startswith("~") != other.startswith("~")
