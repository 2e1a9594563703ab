"""Who and where, asked of the service when it is needed: once each, and few at a time."""

from __future__ import annotations

import structlog
import trio

from qqops.adapters._webqq_calls import Calls
from qqops.errors import NotSent, ProtocolError, Refuse, TransientError
from qqops.model import AccountRef, RoomRef
from qqops.protocol.webqq import items, lists
from qqops.protocol.webqq.classify import SessionGone
from qqops.protocol.webqq.roster import Need, NeedFriend, NeedGroup, NeedPerson, Roster
from qqops.protocol.webqq.session import Session

log = structlog.get_logger("qqops.webqq")

#: Look-ups at the same time; the rest of the connections is for polls and sends.
LOOK_UPS = 2
#: Seconds between two look-ups of real numbers in the background; the call is rate limited (§9.6).
LOOK_UP_GAP = 0.2


class LookUps:
    """Fills the roster of one session."""

    def __init__(self, account: AccountRef, session: Session, roster: Roster, calls: Calls) -> None:
        self.roster = roster
        self._account = account
        self._session = session
        self._calls = calls
        self._running: dict[Need, trio.Event] = {}
        self._cut: set[str] = set()
        self._limit = trio.CapacityLimiter(LOOK_UPS)

    async def look_up_for(self, item: items.Incoming) -> None:
        """Look up who and where; what the service does not tell in two tries stays unknown."""
        tries = 0
        while not self.roster.is_own(item) and (need := self.roster.need(item)) is not None:
            if not await self.look_up(need):
                tries += 1
                if tries == 2:
                    return
                await trio.sleep(LOOK_UP_GAP)

    async def look_up(self, need: Need) -> bool:
        """Ask the service, or wait for whoever is asking already; False when there was no answer.

        Raises:
            NotSent: There is no connection; the session is as good as over.
        """
        if (running := self._running.get(need)) is not None:
            await running.wait()
            return need in self.roster.asked
        self._running[need] = done = trio.Event()
        try:
            async with self._limit:
                await self._ask_service(need)
            self.report_cut()
            self.roster.asked.add(need)
        except (NotSent, SessionGone):
            raise
        except ProtocolError as exc:
            self.roster.asked.add(need)  # an answer, if not a good one: the same question gets the same
            self._log_failure(need, exc)
        except TransientError as exc:
            self._log_failure(need, exc)
            return False
        finally:
            del self._running[need]
            done.set()
        return True

    def report_cut(self) -> None:
        """Say once of each list that it was too long to be true, and was cut."""
        for what, rows in self._session.cut.items():
            if what not in self._cut:
                self._cut.add(what)
                log.warning(
                    "a list was too long and was cut", account=str(self._account), list=what, left_out=rows
                )
        self._session.cut.clear()

    def _log_failure(self, need: Need, exc: Exception) -> None:
        log.warning("look-up failed", account=str(self._account), need=type(need).__name__, reason=str(exc))

    async def _ask_service(self, need: Need) -> None:
        session, roster, drive = self._session, self.roster, self._calls.drive
        if isinstance(need, NeedPerson):
            roster.numbers[need.uin] = await drive(session, lists.real_number(session, need.uin, group=False))
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
            roster.numbers.update(numbers)
        elif need.room in roster.groups:
            group = roster.groups[need.room]
            roster.members[need.kind, need.room] = await drive(session, lists.group_members(session, group))

    async def target(self, room: RoomRef) -> tuple[str, int] | None:
        """Return (kind, alias) of *room*, looking up real numbers until it is found.

        Raises:
            NotSent: Nobody can say at the moment whether the room exists; the message waits.
        """
        target = self.roster.target(room)
        for need in self.roster.unresolved(room) if target is None else []:
            if not await self.look_up(need) and not await self.look_up(need):
                raise NotSent(f"the room {room.id!r} cannot be looked up at the moment")
            target = self.roster.target(room)
            if target is not None:
                break
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
            raise Refuse(f"{room.id!r} is no group of this account")
        return group.code
