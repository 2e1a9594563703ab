"""What WebQQ accounts can do beyond the model."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from qqops.adapters.webqq.actions import permanent_number
from qqops.adapters.webqq.calls import Calls
from qqops.adapters.webqq.lookups import LookUps
from qqops.errors import NotSent, ProtocolError, Refuse
from qqops.model import AccountRef, Outcome, PersonRef, RoomKind, RoomRef
from qqops.protocol.webqq import adding, grouping, manage
from qqops.protocol.webqq.adding import Found
from qqops.protocol.webqq.grouping import Card, PublicInfo
from qqops.protocol.webqq.lists import Discussion
from qqops.protocol.webqq.roster import DISCUSSION, discussion_of
from qqops.protocol.webqq.session import Session

#: What a group may be: heard with a notice, heard silently, or not at all (webqq.md §9.3).
MASKS = {"notify": 0, "silent": 1, "block": 2}


class WebAccount:
    """The abilities of one account, while it is online.

    Every method raises `qqops.Refuse` when the account does not know whom or what it is about; so do those that ask,
    when the service does not answer. Those that change something return an `Outcome`. The calls are those of the 2013
    generation; SmartQQ may refuse any of them.
    """

    def __init__(self, account: AccountRef, session: Session, calls: Calls, look_ups: LookUps) -> None:
        self._account = account
        self._session = session
        self._calls = calls
        self._look_ups = look_ups

    # -- people ---------------------------------------------------------------------------------

    async def search(self, person: PersonRef) -> Found:
        """Look somebody up by number. A person is asked to read a captcha."""
        number = permanent_number(person.id)
        return await self._calls.ask(self._session, adding.search(self._session, number))

    async def let_add(self, person: PersonRef) -> Outcome:
        """Accept the request of *person* without taking them into the account's own list."""
        number = permanent_number(person.id)
        return await self._calls.change(self._session, manage.let_friend_add(self._session, number))

    async def move_friend(self, person: PersonRef, category: int) -> Outcome:
        """Put a friend into another category of the account's list; 0 is the first one, which always exists."""
        uin = await self._alias(person)
        if uin not in self._look_ups.roster.friends:
            raise Refuse(f"{person.id} is not a friend of this account")
        return await self._calls.change(self._session, manage.move_friend(self._session, uin, category))

    # -- groups ---------------------------------------------------------------------------------

    async def card(self, room: RoomRef) -> Card:
        """Return how the account shows itself in a group."""
        return await self._calls.ask(self._session, grouping.card(self._session, await self._code(room)))

    async def write_card(self, room: RoomRef, card: Card) -> Outcome:
        """Show the account in a group as *card* says, all of it."""
        request = grouping.write_card(self._session, await self._code(room), card)
        return await self._calls.change(self._session, request)

    async def public_info(self, room: RoomRef) -> PublicInfo:
        """Return what a group tells everybody."""
        return await self._calls.ask(
            self._session, grouping.public_info(self._session, await self._code(room))
        )

    async def hear(self, room: RoomRef, how: str) -> Outcome:
        """Say how a group is heard: ``notify``, ``silent`` or ``block``. The service keeps it for the account."""
        if how not in MASKS:
            raise Refuse(f"a group is heard in one of these ways: {', '.join(MASKS)}")
        await self._code(room)
        groups = self._look_ups.roster.groups
        gid = (await self._known(room))[1]
        masks = {one.gid: one.mask for one in groups.values()} | {gid: MASKS[how]}
        outcome = await self._calls.change(self._session, grouping.filter_groups(self._session, masks))
        if outcome.ok and gid in groups:
            groups[gid] = attrs.evolve(groups[gid], mask=MASKS[how])
        return outcome

    # -- discussion groups ----------------------------------------------------------------------

    async def create_discussion(self, name: str, people: Sequence[PersonRef]) -> RoomRef:
        """Make a discussion group of the account and *people*."""
        uins = [await self._alias(person) for person in people]
        flow = grouping.create_discussion(self._session, name, uins)
        did = await self._calls.ask(self._session, flow)
        self._look_ups.roster.discussions[did] = Discussion(did, name)
        return RoomRef(self._account, RoomKind.GROUP, f"{DISCUSSION}{did}")

    async def change_discussion(
        self, room: RoomRef, *, add: Sequence[PersonRef] = (), remove: Sequence[PersonRef] = ()
    ) -> Outcome:
        """Take people into a discussion group, and out of it."""
        did = await self._discussion(room)
        into, out = [await self._alias(one) for one in add], [await self._alias(one) for one in remove]
        self._look_ups.roster.members.pop(("discu", did), None)  # whoever asks next asks the service
        request = grouping.change_members(self._session, did, add=into, remove=out)
        return await self._calls.change(self._session, request)

    # -- who and where --------------------------------------------------------------------------

    async def _discussion(self, room: RoomRef) -> int:
        if discussion_of(room) is None:
            raise Refuse(f"{room.id!r} is not a discussion group")
        return (await self._known(room))[1]

    async def _alias(self, person: PersonRef) -> int:
        return (await self._known(RoomRef(person.account, RoomKind.PRIVATE, person.id)))[1]

    async def _code(self, room: RoomRef) -> int:
        try:
            return await self._look_ups.code(room)
        except (NotSent, ProtocolError) as exc:
            raise Refuse(str(exc)) from exc

    async def _known(self, room: RoomRef) -> tuple[str, int]:
        try:
            return await self._look_ups.known(room)
        except (NotSent, ProtocolError) as exc:
            raise Refuse(str(exc)) from exc


__all__ = ["Card", "Found", "PublicInfo", "WebAccount"]
