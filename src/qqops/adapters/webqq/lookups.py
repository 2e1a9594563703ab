"""Who and where, asked of the service when it is needed: once each, and few at a time."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import structlog
import trio

from qqops.adapters.webqq.calls import Calls
from qqops.errors import ProtocolError, Refuse, TransientError
from qqops.model import AccountRef, RoomRef, User
from qqops.protocol.webqq import items, lists
from qqops.protocol.webqq.roster import Need, NeedFriend, NeedGroup, NeedMembers, NeedPerson, Roster
from qqops.protocol.webqq.session import Session

log = structlog.get_logger("qqops.webqq")

#: Look-ups at the same time; the rest of the connections is for polls and sends.
LOOK_UPS = 2
#: Seconds between two look-ups of real numbers in the background; the call is rate limited (§9.6).
LOOK_UP_GAP = 0.2
#: Seconds for which what came in waits until it is known who and where it is about, and then no longer: the next poll
#: waits as well, and the service keeps what nobody polls for about a minute (§10).
LOOK_UP_PATIENCE = 5.0
#: Seconds that a look-up may take; it goes on when nobody waits for it any longer.
LOOK_UP_DEADLINE = 15.0
#: Seconds after which a look-up that failed is tried again; twice as many each further time, up to the most.
ASIDE, MAX_ASIDE = 30.0, 600.0


@attrs.frozen
class _Running:
    """A look-up under way.

    Attributes:
        began: When it began, on trio's clock.
    """

    began: float
    done: trio.Event = attrs.field(factory=trio.Event)


@attrs.frozen
class _Failed:
    """A look-up that has failed.

    Attributes:
        until: When it may be tried again, on trio's clock.
        stalled: Whether that took so long that nobody shall wait for the next try.
    """

    until: float
    pause: float
    stalled: bool


class LookUps:
    """Fills the roster of one session."""

    def __init__(self, account: AccountRef, session: Session, roster: Roster, calls: Calls) -> None:
        self.roster = roster
        self._account = account
        self._session = session
        self._calls = calls
        self._nursery: trio.Nursery  # from `begin` on
        self._running: dict[Need, _Running] = {}
        self._aside: dict[Need, _Failed] = {}
        self._cut: list[str] = []
        self._limit = trio.CapacityLimiter(LOOK_UPS)

    def begin(self, nursery: trio.Nursery) -> None:
        """Be there for look-ups, which run in *nursery*."""
        self._nursery = nursery

    async def look_up_for(self, item: items.Item) -> None:
        """Look up who and where. What the service does not tell now stays unknown, and is asked for again later."""
        while (need := self.need(item)) is not None:
            await self.look_up(need)

    def need(self, item: items.Item) -> Need | None:
        """Return what *item* is to wait for, or None; what has stalled before is asked for again, and not waited for."""
        if isinstance(item, items.Incoming) and self.roster.is_own(item):
            return None
        for need in self.roster.needs(item):
            running, failed = self._running.get(need), self._aside.get(need)
            if failed is not None and failed.stalled:
                self._begin(need)
            elif running is not None:
                if trio.current_time() - running.began < LOOK_UP_PATIENCE:
                    return need
            elif failed is None or failed.until <= trio.current_time():
                return need
        return None

    async def look_up(self, need: Need) -> bool:
        """Ask the service, or wait for whoever is asking already; False when there was no answer, or is none now.

        Whatever the answer says about the session: it is the poll that knows.
        """
        if (running := self._begin(need)) is None:
            return False
        await running.done.wait()
        return need in self.roster.asked

    def _begin(self, need: Need) -> _Running | None:
        """Ask the service in the background; None when it has failed so lately that it is not asked."""
        if (running := self._running.get(need)) is not None:
            return running
        if need in self._aside and trio.current_time() < self._aside[need].until:
            return None
        running = self._running[need] = _Running(trio.current_time())
        self._nursery.start_soon(self._look_up, need, running.done)
        return running

    async def _look_up(self, need: Need, done: trio.Event) -> None:
        answered, began = False, trio.current_time()
        try:
            try:
                answered = await self._ask_service(need)
            except TransientError as exc:
                self._log_failure(need, str(exc))
                await trio.sleep(LOOK_UP_GAP)
                answered = await self._ask_service(need)
        except ProtocolError as exc:
            answered = True  # if not a good one: the same question gets the same
            self._log_failure(need, str(exc))
        except TransientError as exc:
            self._log_failure(need, str(exc))
        finally:
            if answered:
                self.roster.asked.add(need)
                self._aside.pop(need, None)
            else:
                now, before = trio.current_time(), self._aside.get(need)
                pause = min(2 * before.pause, MAX_ASIDE) if before is not None else ASIDE
                self._aside[need] = _Failed(now + pause, pause, now - began > LOOK_UP_PATIENCE)
            del self._running[need]
            done.set()
        self.report_cut()

    def report_cut(self) -> None:
        """Say once of each list that it was too long to be true, and was cut."""
        for what, rows in self._session.cut.items():
            if what not in self._cut:
                self._cut.append(what)
                log.warning(
                    "a list was too long and was cut", account=str(self._account), list=what, left_out=rows
                )
        self._session.cut.clear()

    def _log_failure(self, need: Need, reason: str) -> None:
        log.warning("look-up failed", account=str(self._account), need=type(need).__name__, reason=reason)

    async def _ask_service(self, need: Need) -> bool:
        """Ask; return whether there was an answer in time."""
        async with self._limit:
            with trio.move_on_after(LOOK_UP_DEADLINE):
                await self._ask(need)
                return True
        self._log_failure(need, f"no answer within {LOOK_UP_DEADLINE:g} s")
        return False

    async def _ask(self, need: Need) -> None:
        session, roster, drive = self._session, self.roster, self._calls.drive
        if isinstance(need, NeedPerson):
            roster.learn(need.uin, await drive(session, lists.real_number(session, need.uin, group=False)))
        elif isinstance(need, NeedFriend):
            roster.friends = await drive(session, lists.friends(session))
        elif isinstance(need, NeedGroup):
            if need.gid not in roster.groups:
                roster.groups = await drive(session, lists.groups(session))
            group = roster.groups.get(need.gid)
            if group is not None and need.gid not in roster.group_numbers:
                number = await drive(session, lists.real_number(session, group.code, group=True))
                roster.group_numbers[need.gid] = number
        elif need.kind == "discu":
            members, numbers = await drive(session, lists.discussion_members(session, need.room))
            roster.members[need.kind, need.room] = members
            for uin, number in numbers.items():
                roster.learn(uin, number)
        elif need.room in roster.groups:
            group = roster.groups[need.room]
            roster.members[need.kind, need.room] = await drive(session, lists.group_members(session, group))

    async def target(self, room: RoomRef) -> tuple[str, int] | None:
        """Return (kind, alias) of *room*, looking up real numbers until it is found.

        Raises:
            TransientError: Nobody can say at the moment whether the room exists.
        """
        target, sure = self.roster.target(room), True
        for need in self.roster.unresolved(room) if target is None else []:
            sure = await self.look_up(need) and sure
            target = self.roster.target(room)
            if target is not None:
                break
        if target is None and not sure:
            raise TransientError(f"the room {room.id!r} cannot be looked up at the moment")
        return target

    async def known(self, room: RoomRef) -> tuple[str, int]:
        """Return (kind, alias) of *room*. Raises `Refuse` when there is none, and as `target` does."""
        target = await self.target(room)
        if target is None:
            raise Refuse(f"the account knows no room {room.id!r}")
        return target

    async def code(self, room: RoomRef) -> int:
        """Return what the service wants to be asked about the group *room* by. Raises as `known` does."""
        group = self.roster.groups.get((await self.known(room))[1])
        if group is None:
            raise Refuse(f"{room.id!r} is not a group of this account")
        return group.code

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*; nobody when the service does not tell."""
        try:
            target = await self.target(room)
        except TransientError:
            return []
        if target is not None and target[0] in ("group", "discu") and target not in self.roster.members:
            await self.look_up(NeedMembers(*target))
        return self.people(room)

    def people(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room* as far as the lists that are there tell."""
        kind, alias = self.roster.target(room) or ("", 0)
        if kind in ("buddy", "sess"):
            return [self.roster.user(alias)]
        return [self.roster.user(uin, kind, alias) for uin in self.roster.members.get((kind, alias), {})]
