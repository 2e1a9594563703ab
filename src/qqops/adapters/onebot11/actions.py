"""What a OneBot v11 account can do besides sending, as methods; `OneBot.call` reaches all the rest."""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import trio

from qqops.adapters.onebot11.files import Files, GroupFile
from qqops.adapters.onebot11.media import Media
from qqops.errors import AdapterError, NotSent, Refuse
from qqops.model import (
    Action,
    Answer,
    Delivery,
    File,
    FileOffered,
    Image,
    Message,
    MessageRef,
    Node,
    Outcome,
    PersonRef,
    Profile,
    RequestRef,
    Room,
    RoomKind,
    RoomRef,
    Upload,
    User,
    Video,
    Voice,
)
from qqops.protocol.onebot11 import segments
from qqops.protocol.onebot11.actions import NotPossible, Step, steps
from qqops.protocol.onebot11.answers import ActionFailed
from qqops.protocol.onebot11.events import Reader
from qqops.protocol.onebot11.flavors import Flavor
from qqops.protocol.onebot11.wire import Frame, as_id, fields, number, rows, text

#: Seconds to wait before a request is answered: some implementations fail when it is done at once.
CONSIDER = 1.5
#: Answered requests that are remembered: a second answer would be an error over there, or another decision.
MAX_ANSWERED = 1000


class Caller(Protocol):
    """What carries requests: `qqops.adapters.onebot11.calls.Calls`."""

    flavor: Flavor

    async def call(self, action: str, params: dict[str, Any] | None = None, deadline: float = 0.0) -> Any:
        """Do *action* and return its data."""


class OneBot:
    """The abilities of one account, while it is online.

    Every method raises `qqops.Refuse` when the implementation refuses, lacks the action or does not answer; `act`
    returns an `Outcome` instead.

    Attributes:
        files: Files of groups, and of people.
    """

    def __init__(self, reader: Reader, calls: Caller, media: Media, upload_deadline: float) -> None:
        self._account = reader.account
        self._calls = calls
        self._reader = reader
        self._media = media
        self._missing: set[str] = set()
        self._answered: deque[RequestRef] = deque(maxlen=MAX_ANSWERED)
        self.files = Files(self._call, media, upload_deadline)

    async def call(self, action: str, /, **params: Any) -> Any:
        """Do any action by its name and return its ``data``."""
        return await self._call(action, params)

    async def call_within(self, seconds: float, action: str, /, **params: Any) -> Any:
        """Do as `call` with an action that may take longer, or must not take so long, as ``call_deadline`` says."""
        return await self._call(action, params, seconds)

    async def _call(self, action: str, params: dict[str, Any], deadline: float = 0.0) -> Any:
        name = self._calls.flavor.name_of(action)
        if not name or name in self._missing:
            raise Refuse(f"the implementation does not know {action}")
        try:
            return await self._calls.call(name, params, deadline)
        except ActionFailed as exc:
            if exc.missing:
                self._missing.add(name)
            raise Refuse(str(exc)) from exc
        except AdapterError as exc:
            raise Refuse(str(exc)) from exc

    # -- actions --------------------------------------------------------------------------------

    async def act(self, action: Action) -> Outcome:
        """Do an action of the model; where the implementation lacks the best way, the next one is taken."""
        if isinstance(action, Upload):
            return await self._upload(action)
        try:
            ways = steps(action, self._reader.self_id)
        except NotPossible as exc:
            return Outcome(delivery=Delivery.REFUSED, reason=str(exc))
        if not isinstance(action, Answer):
            return await self._first(ways)
        if action.request in self._answered:
            return Outcome(delivery=Delivery.REFUSED, reason="this request was answered already")
        await trio.sleep(CONSIDER)
        outcome = await self._first(ways)
        if outcome.ok:
            self._answered.append(action.request)
        return outcome

    async def _upload(self, action: Upload) -> Outcome:
        try:
            await self.files.upload(action.room, action.file)
        except Refuse as exc:
            return Outcome(delivery=Delivery.REFUSED, reason=exc.text)
        return Outcome(delivery=Delivery.DELIVERED)

    async def _first(self, ways: Sequence[Step]) -> Outcome:
        """Take the first way that the implementation knows."""
        for wanted, params in ways:
            name = self._calls.flavor.name_of(wanted)
            if not name or name in self._missing:
                continue
            try:
                await self._calls.call(name, params)
            except ActionFailed as exc:
                if exc.missing:
                    self._missing.add(name)
                    continue
                delivery = Delivery.UNKNOWN if exc.unknown else Delivery.REFUSED
                return Outcome(delivery=delivery, reason=str(exc))
            except NotSent as exc:
                return Outcome(delivery=Delivery.REFUSED, reason=str(exc))
            except AdapterError as exc:
                return Outcome(delivery=Delivery.UNKNOWN, reason=str(exc))
            return Outcome(delivery=Delivery.DELIVERED)
        names = ", ".join(name for name, _ in ways)
        return Outcome(delivery=Delivery.REFUSED, reason=f"the implementation does not know {names}")

    async def like(self, person: PersonRef, times: int = 10) -> None:
        """Like the profile of *person*."""
        await self.call("send_like", user_id=as_id(person.id), times=times)

    async def sign_in(self, room: RoomRef) -> None:
        """Sign in to a group, as people do once a day."""
        await self.call("set_group_sign", group_id=as_id(room.id))

    # -- messages -------------------------------------------------------------------------------

    async def message(self, ref: MessageRef) -> Message:
        """Return a message; implementations forget them."""
        frame = fields(await self.call("get_msg", message_id=as_id(ref.id)))
        found = self._message(frame, ref.room)
        if found is None:
            raise Refuse(f"there is no message {ref.id}")
        return found

    def _message(self, frame: Frame, room: RoomRef) -> Message | None:
        where: Frame = {"message_type": "private"}
        if room.kind is RoomKind.GROUP:
            where = {"message_type": "group", "group_id": as_id(room.id)}
        who = fields(frame.get("sender")).get("user_id")
        frame = {"user_id": who, **frame, **where, "post_type": "message"}
        return self._reader.any_message(frame)

    async def history(self, room: RoomRef, count: int = 20, before: str = "") -> list[Message]:
        """Return the last *count* messages of *room*, oldest first; *before* is a ``message_seq``."""
        group = room.kind is RoomKind.GROUP
        params: dict[str, Any] = {"group_id" if group else "user_id": as_id(room.id), "count": count}
        if before:
            params |= {"message_seq": as_id(before), "reverse_order": True, "reverseOrder": True}
        found = await self._call(f"get_{'group' if group else 'friend'}_msg_history", params)
        messages = rows(fields(found).get("messages"))
        return [message for row in messages if (message := self._message(row, room)) is not None]

    async def forward(self, name: str) -> tuple[Node, ...]:
        """Return the messages within a forward that was received."""
        found = fields(await self._call("get_forward_msg", {"id": name, "message_id": name}))
        return segments.read_nodes(found.get("messages", found.get("message")), self._account)

    async def highlights(self, room: RoomRef) -> list[MessageRef]:
        """Return the messages that a group keeps in view."""
        found = rows(await self.call("get_essence_msg_list", group_id=as_id(room.id)))
        return [MessageRef(room, text(row.get("message_id"))) for row in found]

    async def announcements(self, room: RoomRef) -> list[Frame]:
        """Return the notices on a group's board, as the implementation tells them."""
        return rows(await self.call("_get_group_notice", group_id=as_id(room.id)))

    async def remove_announcement(self, room: RoomRef, notice: str) -> None:
        """Take a notice down; *notice* is the ``notice_id`` of one of `announcements`."""
        await self.call("_del_group_notice", group_id=as_id(room.id), notice_id=notice)

    # -- people and rooms -----------------------------------------------------------------------

    async def about(self) -> Frame:
        """Return what the implementation says of itself: ``app_name``, ``app_version`` and more."""
        return fields(await self.call("get_version_info"))

    async def status(self) -> Frame:
        """Return how the account is: ``online``, ``good`` and more."""
        return fields(await self.call("get_status"))

    async def groups(self) -> list[Room]:
        """Return the groups that the account is in, asked anew."""
        found = rows(await self.call("get_group_list", no_cache=True))
        self._reader.names = {text(row.get("group_id")): text(row.get("group_name")) for row in found}
        return [self._reader.group(number, name) for number, name in self._reader.names.items()]

    async def group(self, room: RoomRef) -> Frame:
        """Return what is told about a group: ``group_name``, ``member_count``, ``max_member_count`` and more."""
        return fields(await self.call("get_group_info", group_id=as_id(room.id), no_cache=True))

    async def friends(self) -> list[User]:
        """Return the account's friends."""
        found = rows(await self.call("get_friend_list"))
        return [self._user(row, text(row.get("remark")) or text(row.get("nickname"))) for row in found]

    async def members(self, room: RoomRef) -> list[User]:
        """Return who is in a group."""
        found = rows(await self.call("get_group_member_list", group_id=as_id(room.id)))
        return [self._user(row, text(row.get("card")) or text(row.get("nickname"))) for row in found]

    def _user(self, row: Frame, name: str) -> User:
        return User(ref=PersonRef(self._account, text(row.get("user_id"))), name=name)

    async def profile(self, person: PersonRef) -> Profile:
        """Return what is told about *person*."""
        row = fields(await self.call("get_stranger_info", user_id=as_id(person.id)))
        gender = text(row.get("sex"))
        return Profile(
            person=person,
            nick=text(row.get("nickname")),
            signature=text(row.get("long_nick")) or text(row.get("sign")),
            level=number(row.get("level")) or number(row.get("qqLevel")),
            gender=gender if gender != "unknown" else "",
        )

    async def role(self, room: RoomRef, person: PersonRef) -> str:
        """Return what somebody is in a group: ``owner``, ``admin`` or ``member``."""
        row = await self.call(
            "get_group_member_info", group_id=as_id(room.id), user_id=as_id(person.id), no_cache=True
        )
        return text(fields(row).get("role")) or "member"

    # -- contents -------------------------------------------------------------------------------

    async def fetch(self, thing: Image | Voice | Video | File | FileOffered, room: RoomRef) -> bytes:
        """Return the content of something received; a URL that has expired is asked for again."""
        if isinstance(thing, FileOffered):
            data = dict(thing.data)
            key = text(data.get("id")) or text(data.get("file_id"))
            file = GroupFile(id=key, name=thing.name, folder=False, data=data)
            return await self._media.fetch(text(data.get("url")) or await self.files.url(room, file))
        if thing.url:
            try:
                return await self._media.fetch(thing.url)
            except Refuse:
                if not thing.id:
                    raise
        return await self._asked_for(thing)

    async def _asked_for(self, thing: Image | Voice | Video | File) -> bytes:
        """Return a content that the implementation has, by the name that it gave."""
        params: dict[str, Any] = {"file": thing.id, "file_id": thing.id}
        kind = {Image: "get_image", Voice: "get_record"}.get(type(thing), "get_file")
        if kind == "get_record":
            params["out_format"] = "mp3"
        found = fields(await self._call(kind, params))
        if coded := text(found.get("base64")):
            try:
                return base64.b64decode(coded, validate=True)
            except binascii.Error as exc:
                raise Refuse("the implementation sends no proper base64") from exc
        url = text(found.get("url"))
        if not url.startswith(("http://", "https://")):
            raise Refuse("it lies on the implementation's own disk")
        return await self._media.fetch(url)

    async def avatar(self, who: PersonRef | RoomRef) -> bytes:
        """Return the picture of a person or group, from QQ's public servers."""
        if isinstance(who, PersonRef):
            return await self._media.fetch(f"https://q1.qlogo.cn/g?b=qq&nk={who.id}&s=640")
        return await self._media.fetch(f"https://p.qlogo.cn/gh/{who.id}/{who.id}/640")


__all__ = ["Caller", "GroupFile", "OneBot"]
