"""What a WebQQ session can do besides polling and sending: the actions of the model."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from qqops.adapters.webqq.calls import Calls
from qqops.adapters.webqq.lookups import LookUps
from qqops.errors import AdapterError, NotSent, ProtocolError, Refuse, TransientError
from qqops.model import (
    Action,
    AddFriend,
    Answer,
    Delivery,
    FileOffered,
    JoinRoom,
    LeaveRoom,
    Outcome,
    PersonRef,
    Poke,
    RefuseFile,
    RemoveFriend,
    RoomKind,
    RoomRef,
    SetCard,
    SetRemark,
    SetRoomName,
    SetRoomRemark,
    SetSignature,
    SetStatus,
    ShowTyping,
)
from qqops.protocol.webqq import adding, grouping, manage
from qqops.protocol.webqq.http import Request
from qqops.protocol.webqq.opening import change_status
from qqops.protocol.webqq.roster import discussion_of
from qqops.protocol.webqq.session import Session

_BY_KIND: Mapping[RoomKind, frozenset[type[Action]]] = {
    RoomKind.PRIVATE: frozenset(
        {
            AddFriend,
            Answer,
            Poke,
            RefuseFile,
            RemoveFriend,
            SetRemark,
            SetSignature,
            SetStatus,
            ShowTyping,
        }
    ),
    RoomKind.GROUP: frozenset({Answer, JoinRoom, LeaveRoom, SetCard, SetRoomName, SetRoomRemark}),
}


def actions_in(kind: RoomKind) -> frozenset[type[Action]]:
    """Return what the service has calls for, in rooms of *kind*."""
    return _BY_KIND[kind]


class Actions:
    """Actions of one session."""

    def __init__(self, session: Session, calls: Calls, look_ups: LookUps) -> None:
        self._session = session
        self._calls = calls
        self._look_ups = look_ups

    async def act(self, action: Action) -> Outcome:
        """Do *action*."""
        try:
            if isinstance(action, SetStatus):
                return await self._be_seen(action.status)
            return await self._calls.change(self._session, await self._request(action))
        except Refuse as exc:
            return Outcome(delivery=Delivery.REFUSED, reason=exc.text)
        except (TransientError, ProtocolError) as exc:
            return Outcome(delivery=Delivery.REFUSED, reason=str(exc))  # nothing was asked for yet

    async def _be_seen(self, status: str) -> Outcome:
        try:
            if await self._calls.drive(self._session, change_status(self._session, status)):
                return Outcome(delivery=Delivery.ACCEPTED)
        except NotSent:
            raise
        except (AdapterError, ProtocolError) as exc:
            return Outcome(delivery=Delivery.UNKNOWN, reason=str(exc))
        return Outcome(delivery=Delivery.REFUSED, reason="refused by the service")

    async def _request(self, action: Action) -> Request:
        """Return the call that does *action*, after what must be asked before. Raises `Refuse` when it cannot be done."""
        session = self._session
        match action:
            case Answer():
                return await self._answer(action)
            case AddFriend():
                found = await self._calls.ask(
                    session, adding.search(session, permanent_number(action.person.id))
                )
                return adding.request(session, found, action.text)
            case RemoveFriend():
                return manage.remove_friend(session, await self._friend(action.person), both=action.both)
            case SetRemark():
                return manage.remark_friend(session, await self._friend(action.person), action.text)
            case SetRoomRemark():
                return manage.remark_group(session, await self._look_ups.code(action.room), action.text)
            case SetCard():
                code = await self._look_ups.code(action.room)
                card = await self._calls.ask(session, grouping.card(session, code))
                return grouping.write_card(session, code, attrs.evolve(card, name=action.text))
            case SetRoomName():
                if discussion_of(action.room) is None:
                    raise Refuse("on WebQQ only discussion groups can be renamed")
                alias = (await self._look_ups.known(action.room))[1]
                return grouping.rename_discussion(session, alias, action.text)
            case JoinRoom():
                return manage.join_group(session, permanent_number(action.room.id), action.text)
            case LeaveRoom():
                if (did := discussion_of(action.room)) is not None:
                    return manage.leave_discussion(session, did)
                return manage.leave_group(session, await self._look_ups.code(action.room))
            case RefuseFile():
                return self._refuse_file(action.offer)
            case SetSignature():
                return manage.signature(session, action.text)
            case ShowTyping():
                return manage.typing(session, (await self._look_ups.known(action.room))[1])
            case Poke():
                return manage.shake(session, (await self._look_ups.known(action.room))[1])
        raise Refuse(f"WebQQ does not know {type(action).__name__}")

    async def _answer(self, action: Answer) -> Request:
        session = self._session
        kind, _, who = action.request.token.partition(":")
        if kind == "friend" and action.accept:
            return manage.accept_friend(session, permanent_number(who), action.remark)
        if kind == "friend":
            return manage.deny_friend(session, permanent_number(who), action.text)
        if kind != "join":
            raise Refuse("this request is none of WebQQ's")
        group, _, person = who.partition(":")
        gid = (await self._look_ups.known(RoomRef(action.account, RoomKind.GROUP, group)))[1]
        uin = self._uin_of(PersonRef(action.account, person))
        return manage.answer_join(session, gid, uin, accept=action.accept, text=action.text)

    def _refuse_file(self, offer: FileOffered) -> Request:
        uin, transfer = offer.data.get("uin"), offer.data.get("session")
        if not isinstance(uin, int) or not isinstance(transfer, str):
            raise Refuse("this file was not offered on WebQQ")
        if transfer:
            return manage.refuse_file(self._session, uin, transfer)
        return manage.answer_offline_file(self._session, uin, offer.name, offer.size, accept=False)

    async def _friend(self, person: PersonRef) -> int:
        uin = (await self._look_ups.known(RoomRef(person.account, RoomKind.PRIVATE, person.id)))[1]
        if uin not in self._look_ups.roster.friends:
            raise Refuse(f"{person.id} is not a friend of this account")
        return uin

    def _uin_of(self, person: PersonRef) -> int:
        numbers = self._look_ups.roster.numbers
        uin = next((uin for uin, number in numbers.items() if str(number) == person.id), 0)
        if not uin:
            raise Refuse(f"{person.id} has not asked in this session")
        return uin


def permanent_number(text: str) -> int:
    """Return a permanent id as a number. Raises `Refuse` for one that was made of a name."""
    if not (text.isascii() and text.isdigit()):
        raise Refuse(f"{text!r} is not a permanent number")
    return int(text)
