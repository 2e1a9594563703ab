"""What a WebQQ session can do besides polling and sending text: actions, pictures, files, profiles."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from qqops.adapters._webqq_calls import Calls
from qqops.adapters._webqq_lookups import LookUps
from qqops.errors import AdapterError, NotSent, ProtocolError, Refuse
from qqops.model import (
    Action,
    AddFriend,
    AnswerFriend,
    AnswerJoin,
    Delivery,
    FileOffered,
    Image,
    JoinRoom,
    LeaveRoom,
    Outcome,
    PersonRef,
    Poke,
    Profile,
    RefuseFile,
    RemoveFriend,
    RoomKind,
    RoomRef,
    Segment,
    SetCard,
    SetRemark,
    SetRoomRemark,
    SetSignature,
    SetStatus,
    ShowTyping,
)
from qqops.protocol.webqq import manage, pictures
from qqops.protocol.webqq.flow import Flow, T
from qqops.protocol.webqq.http import Request, Response, get
from qqops.protocol.webqq.opening import change_status
from qqops.protocol.webqq.pictures import MAX_PICTURE, Uploaded
from qqops.protocol.webqq.session import Session

#: Seconds for which the signature of a chat with a stranger is used again (webqq.md §12.3).
SIGNATURE_LIFE = 300.0
#: Redirects that are followed for a picture or file.
REDIRECTS = 3


class Actions:
    """Actions of one session."""

    def __init__(self, session: Session, calls: Calls, look_ups: LookUps) -> None:
        self._session = session
        self._calls = calls
        self._look_ups = look_ups
        self._signatures: dict[int, tuple[float, str]] = {}

    # -- what sends need ------------------------------------------------------------------------

    async def send_more(self, kind: str, target: int) -> dict[str, object]:
        """Return the further fields of a send: the signature for a stranger (§11).

        Raises:
            ProtocolError: The service gives none.
        """
        room = self._look_ups.roster.common_room(target) if kind == "sess" else None
        if room is None:
            return {}
        made, value = self._signatures.get(target, (0.0, ""))
        if not value or trio.current_time() - made > SIGNATURE_LIFE:
            flow = manage.session_signature(self._session, room[0], target, room[1])
            value = await self._calls.drive(self._session, flow)
            self._signatures[target] = (trio.current_time(), value)
        return {"group_sig": value, "service_type": room[1]}

    async def upload(self, segments: Sequence[Segment], kind: str, target: int) -> dict[Image, Uploaded]:
        """Give the service the pictures in *segments*.

        Raises:
            Refuse: One of them cannot be sent; the reason says why.
        """
        images = [segment for segment in segments if isinstance(segment, Image) and segment.content]
        if not images:
            return {}
        if not self._session.profile.repeats_ids:
            raise Refuse("SmartQQ cannot send pictures")
        uploaded = {}
        for image in images:
            if len(image.content) > MAX_PICTURE:
                raise Refuse(f"the picture has {len(image.content)} bytes, at most {MAX_PICTURE} can be sent")
            if not pictures.picture_type(image.content):
                raise Refuse("this is no picture: png, gif, jpg, bmp or webp")
            flow: Flow[Uploaded]
            if kind in ("buddy", "sess"):
                flow = pictures.upload_for_friend(self._session, target, image.content)
            else:
                flow = pictures.upload_for_group(self._session, image.content)
            try:
                uploaded[image] = await self._calls.drive(self._session, flow)
            except ProtocolError as exc:
                raise Refuse(str(exc)) from exc
        await trio.sleep(self._calls.spread)
        return uploaded

    def picture_fields(self, kind: str, target: int) -> dict[str, object]:
        """Return what a send with a picture says about its group (§11)."""
        group = self._look_ups.roster.groups.get(target)
        return {"group_code": group.code} if kind == "group" and group is not None else {}

    # -- actions --------------------------------------------------------------------------------

    async def act(self, action: Action) -> Outcome:
        """Do *action*."""
        if isinstance(action, SetStatus):
            flow = change_status(self._session, action.status)
            done = await self._tried(flow)
            return done if isinstance(done, Outcome) else _outcome("" if done else "refused by the service")
        try:
            request = await self._request(action)
        except Refuse as exc:
            return _outcome(exc.text)
        except (NotSent, ProtocolError) as exc:
            return _outcome(str(exc))
        refused = await self._tried(manage.change(self._session, request))
        return refused if isinstance(refused, Outcome) else _outcome(refused)

    async def _tried(self, flow: Flow[T]) -> T | Outcome:
        try:
            return await self._calls.drive(self._session, flow)
        except NotSent as exc:
            return _outcome(str(exc))
        except (AdapterError, ProtocolError) as exc:
            return Outcome(delivery=Delivery.UNKNOWN, reason=str(exc))

    async def _request(self, action: Action) -> Request:
        """Return the call that does *action*. Raises `Refuse` when this account cannot do it."""
        session = self._session
        match action:
            case AnswerFriend(accept=True):
                return manage.accept_friend(session, _number(action.person.id), action.remark)
            case AnswerFriend():
                return manage.deny_friend(session, _number(action.person.id), action.text)
            case AddFriend():
                return manage.add_friend(session, _number(action.person.id), action.text)
            case RemoveFriend():
                return manage.remove_friend(session, await self._friend(action.person), both=action.both)
            case SetRemark():
                return manage.remark_friend(session, await self._friend(action.person), action.text)
            case SetRoomRemark():
                return manage.remark_group(session, await self._code(action.room), action.text)
            case SetCard():
                return manage.group_card(session, await self._code(action.room), action.text)
            case JoinRoom():
                return manage.join_group(session, _number(action.room.id), action.text)
            case LeaveRoom() if action.room.kind is RoomKind.DISCUSSION:
                return manage.leave_discussion(session, _number(action.room.id))
            case LeaveRoom():
                return manage.leave_group(session, await self._code(action.room))
            case AnswerJoin():
                gid = (await self._target(action.room))[1]
                uin = self._uin_of(action.person)
                return manage.answer_join(session, gid, uin, accept=action.accept, text=action.text)
            case RefuseFile():
                return self._refuse_file(action.offer)
            case SetSignature():
                return manage.signature(session, action.text)
            case ShowTyping():
                return manage.typing(session, (await self._target(action.room))[1])
            case Poke():
                return manage.shake(session, (await self._target(action.room))[1])
        raise Refuse(f"WebQQ does not know {type(action).__name__}")

    def _refuse_file(self, offer: FileOffered) -> Request:
        uin, transfer = offer.data.get("uin"), offer.data.get("session")
        if not isinstance(uin, int) or not isinstance(transfer, str):
            raise Refuse("this file was not offered on WebQQ")
        if transfer:
            return manage.refuse_file(self._session, uin, transfer)
        return manage.refuse_offline_file(self._session, uin, offer.name, offer.size)

    async def _target(self, room: RoomRef) -> tuple[str, int]:
        target = await self._look_ups.target(room)
        if target is None:
            raise Refuse(f"the account knows no room {room.id!r}")
        return target

    async def _code(self, room: RoomRef) -> int:
        group = self._look_ups.roster.groups.get((await self._target(room))[1])
        if group is None:
            raise Refuse(f"{room.id!r} is no group of this account")
        return group.code

    async def _friend(self, person: PersonRef) -> int:
        uin = (await self._target(RoomRef(person.account, RoomKind.PRIVATE, person.id)))[1]
        if uin not in self._look_ups.roster.friends:
            raise Refuse(f"{person.id} is no friend of this account")
        return uin

    def _uin_of(self, person: PersonRef) -> int:
        numbers = self._look_ups.roster.numbers
        uin = next((uin for uin, number in numbers.items() if str(number) == person.id), 0)
        if not uin:
            raise Refuse(f"{person.id} has not asked in this session")
        return uin

    # -- fetching -------------------------------------------------------------------------------

    async def fetch(self, thing: Image | FileOffered) -> bytes:
        """Return a picture or file. Raises `Refuse` with the reason when it cannot be had."""
        if isinstance(thing, Image):
            request = pictures.download(self._session, thing)
            if request is None:
                raise Refuse("its message does not say where the picture is")
        else:
            request = self._file_request(thing)
        content = await self._download(request)
        if isinstance(thing, Image) and not pictures.picture_type(content):
            raise Refuse("what came is no picture")
        return content

    def _file_request(self, offer: FileOffered) -> Request:
        uin, transfer, url = (offer.data.get(key) for key in ("uin", "session", "url"))
        if isinstance(uin, int) and isinstance(transfer, str) and transfer:
            return pictures.take_file(self._session, uin, transfer, offer.name)
        if isinstance(url, str) and url:
            return get("offline_file", url, {}, deadline=pictures.PICTURE_DEADLINE)
        raise Refuse("this file was not offered on WebQQ")

    async def avatar(self, who: PersonRef | RoomRef) -> bytes:
        """Return the picture of a person or group. Raises `Refuse`."""
        if isinstance(who, RoomRef) and who.kind is RoomKind.GROUP:
            request = manage.avatar(self._session, await self._code(who), group=True)
        else:
            person = RoomRef(who.account, RoomKind.PRIVATE, who.id)
            request = manage.avatar(self._session, (await self._target(person))[1], group=False)
        content = await self._download(request)
        if not pictures.picture_type(content):
            raise Refuse("what came is no picture")
        return content

    async def profile(self, person: PersonRef) -> Profile:
        """Return what the service tells about *person*. Raises `Refuse`."""
        own = person.id == str(self._session.number)
        room = RoomRef(person.account, RoomKind.PRIVATE, person.id)
        uin = self._session.number if own else (await self._target(room))[1]
        friend = uin in self._look_ups.roster.friends
        try:
            return await self._calls.drive(
                self._session, manage.profile(self._session, uin, person, friend=friend)
            )
        except (AdapterError, ProtocolError) as exc:
            raise Refuse(str(exc)) from exc

    async def _download(self, request: Request) -> bytes:
        """Follow redirects within the service and return what is there."""
        try:
            for _ in range(REDIRECTS):
                response = await self._calls.call(self._session, request)
                if response.status not in (301, 302, 303, 307):
                    return _content(response)
                request = get(request.name, response.header("location"), {}, deadline=request.deadline)
        except (AdapterError, ProtocolError, ValueError) as exc:
            raise Refuse(str(exc)) from exc
        raise Refuse("too many redirects")


def _content(response: Response) -> bytes:
    if response.status != 200 or not response.body:
        raise Refuse(f"the service answered HTTP {response.status}")
    return response.body


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise Refuse(f"{text!r} is no permanent number")
    return int(text)


def _outcome(refused: str) -> Outcome:
    if refused:
        return Outcome(delivery=Delivery.REFUSED, reason=refused)
    return Outcome(delivery=Delivery.ACCEPTED)
