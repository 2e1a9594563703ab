"""Pictures, files, avatars and profiles, fetched when somebody wants them."""

from __future__ import annotations

import structlog

from qqops.adapters.webqq.calls import Calls
from qqops.adapters.webqq.lookups import LookUps
from qqops.errors import AdapterError, ProtocolError, Refuse
from qqops.model import FileOffered, Image, PersonRef, Profile, RoomKind, RoomRef
from qqops.protocol.webqq import manage, pictures
from qqops.protocol.webqq.address import join
from qqops.protocol.webqq.http import Request, Response, get
from qqops.protocol.webqq.session import Session

log = structlog.get_logger("qqops.webqq")

#: Redirects that are followed for a picture or file.
REDIRECTS = 3


class Fetch:
    """What one session can fetch."""

    def __init__(self, session: Session, calls: Calls, look_ups: LookUps) -> None:
        self._session = session
        self._calls = calls
        self._look_ups = look_ups

    async def fetch(self, thing: Image | FileOffered) -> bytes:
        """Return a picture or file. Raises `Refuse` with the reason when it cannot be had."""
        if isinstance(thing, Image):
            request = pictures.download(self._session, thing)
            if request is None:
                raise Refuse("its message does not say where the picture is")
            return await self._picture(request)
        return await self._file(thing)

    async def _file(self, offer: FileOffered) -> bytes:
        uin, transfer, url = (offer.data.get(key) for key in ("uin", "session", "url"))
        if isinstance(uin, int) and isinstance(transfer, str) and transfer:
            return await self._download(pictures.take_file(self._session, uin, transfer, offer.name))
        if not isinstance(url, str) or not url:
            raise Refuse("this file was not offered on WebQQ")
        named = url in self._look_ups.roster.offered
        try:
            request = get("offline_file", url, {}, deadline=pictures.PICTURE_DEADLINE, named=named)
        except ProtocolError as exc:
            raise Refuse(str(exc)) from exc
        content = await self._download(request)
        if isinstance(uin, int):
            await self._taken(
                manage.answer_offline_file(self._session, uin, offer.name, offer.size, accept=True)
            )
        return content

    async def _taken(self, request: Request) -> None:
        """Tell the sender that the file is here; what became of that does not change that it is."""
        told = await self._calls.change(self._session, request)
        if not told.ok:
            log.info("the sender of a file does not know that it came", reason=told.reason)

    async def avatar(self, who: PersonRef | RoomRef) -> bytes:
        """Return the picture of a person or group. Raises `Refuse`."""
        if isinstance(who, RoomRef) and who.kind is RoomKind.GROUP:
            return await self._picture(manage.avatar(self._session, await self._code(who), group=True))
        return await self._picture(manage.avatar(self._session, await self._uin(who), group=False))

    async def profile(self, person: PersonRef) -> Profile:
        """Return what the service tells about *person*. Raises `Refuse`."""
        uin = await self._uin(person)
        friend = uin in self._look_ups.roster.friends
        return await self._calls.ask(self._session, manage.profile(self._session, uin, person, friend=friend))

    async def _uin(self, who: PersonRef | RoomRef) -> int:
        """Return the alias of a person; our own is our number (§2)."""
        if who.id == str(self._session.number):
            return self._session.number
        try:
            return (await self._look_ups.known(RoomRef(who.account, RoomKind.PRIVATE, who.id)))[1]
        except AdapterError as exc:
            raise Refuse(str(exc)) from exc

    async def _code(self, room: RoomRef) -> int:
        try:
            return await self._look_ups.code(room)
        except AdapterError as exc:
            raise Refuse(str(exc)) from exc

    async def _picture(self, request: Request) -> bytes:
        content = await self._download(request)
        if len(content) > pictures.MAX_PICTURE:
            raise Refuse(f"the picture has {len(content)} bytes, at most {pictures.MAX_PICTURE} are taken")
        if not pictures.picture_type(content):
            raise Refuse("what came is not a picture")
        return content

    async def _download(self, request: Request) -> bytes:
        """Follow redirects within the service and return what is there."""
        try:
            for _ in range(REDIRECTS + 1):
                response = await self._calls.call(self._session, request)
                if response.status not in (301, 302, 303, 307, 308):
                    return _content(response)
                target = join(request.url, response.header("location"))
                request = get(request.name, target, {}, deadline=request.deadline)
        except (AdapterError, ProtocolError) as exc:
            raise Refuse(str(exc)) from exc
        raise Refuse("too many redirects")


def _content(response: Response) -> bytes:
    if response.status != 200 or not response.body:
        raise Refuse(f"the service answered HTTP {response.status}")
    return response.body
