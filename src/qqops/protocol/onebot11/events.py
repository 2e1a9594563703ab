"""Events: what a frame with a ``post_type`` says, as values of the model."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from qqops.model import (
    AccountRef,
    At,
    Event,
    FriendRequest,
    GroupInvite,
    JoinRequest,
    MemberRole,
    Message,
    MessageRef,
    Notice,
    PersonRef,
    RequestRef,
    Room,
    RoomKind,
    RoomRef,
    Segment,
    User,
)
from qqops.protocol.onebot11 import segments
from qqops.protocol.onebot11.errors import OneBotProtocolError
from qqops.protocol.onebot11.notices import NOTICES
from qqops.protocol.onebot11.wire import Frame, fields, number, text

K = TypeVar("K")
V = TypeVar("V")

#: Rooms and people that are kept ready; a busy account knows more, and then they are made anew.
MAX_KNOWN = 20_000
#: Notices and requests that are remembered to recognise what is told again (onebot11.md §6.3).
MAX_TOLD = 4096

#: What a person can be in a group.
ROLES = {role.value: role for role in MemberRole}


#: What a request is about; the token of one is this and the flag that the answer must bring back, verbatim.
FRIEND, ADD, INVITE = "friend", "add", "invite"


def plain_talk(frame: Frame) -> str:
    """Return the text of a group message that is nothing but text; "" for everything else.

    Nearly all messages of a busy group are such and concern no bot; they are told apart here, before anything is made.
    """
    if frame.get("post_type") != "message" or frame.get("message_type") != "group":
        return ""
    said = frame.get("message")
    if type(said) is list:
        if len(said) != 1 or type(said[0]) is not dict or said[0].get("type") != "text":
            return ""
        data = said[0].get("data")
        said = data.get("text") if type(data) is dict else ""
    elif type(said) is str and ("[CQ:" in said or "&" in said):
        return ""
    return said if type(said) is str and said.isprintable() else ""


class Reader:
    """Reads the events of one account. Keeps names, and what answers need later.

    Attributes:
        self_id: Own number as text; "" until anything has told it.
        names: Names of groups by number.
        temporary: The group through which a stranger talks to us, by person; answers must name it.
    """

    def __init__(self, account: AccountRef, now: Callable[[], datetime.datetime]) -> None:
        self.account = account
        self.self_id = ""
        self.names: dict[str, str] = {}
        self.temporary: dict[str, str] = {}
        self._now = now
        self._rooms: dict[object, Room] = {}
        self._users: dict[tuple[object, object], User] = {}
        self._places: dict[tuple[object, object], tuple[tuple[object, ...], tuple[Room, User]]] = {}
        self._second = (0, now())
        self._flags: dict[str, None] = {}
        self._told: dict[str, None] = {}
        self._last_told: tuple[Frame, str] = ({}, "")  # it is asked for twice

    def read(self, frame: Frame) -> Event | None:
        """Return what happened; None for what concerns nobody: meta events, own messages."""
        kind = frame.get("post_type")
        if kind == "message":
            return self._message(frame)
        if kind == "notice":
            return self._notice(frame)
        if kind == "request":
            return self._request(frame)
        return None

    # -- messages -------------------------------------------------------------------------------

    def any_message(self, frame: Frame) -> Message | None:
        """Return a message that was asked for, also when it is the account's own."""
        return self._message(frame, own=True)

    def _message(self, frame: Frame, own: bool = False) -> Message | None:
        if frame.get("message_type") == "group" or (
            "message_type" not in frame and frame.get("group_id") is not None
        ):
            place = self._place(frame, own)
            if place is None:
                return None
            room, user = place
        else:
            person = text(frame.get("user_id"))
            if person == self.self_id and not own:
                return None
            user = self._sender(None, person, fields(frame.get("sender")), {})
            room = self._private(frame, person, user.name)
        content, quoted = segments.read(frame.get("message"), self.account)
        if not content and not quoted and type(raw := frame.get("raw_message")) is str and raw:
            content, quoted = segments.read(raw, self.account)
        ref = room.ref
        number = frame.get("message_id")
        return Message(
            id=str(number) if type(number) is int else text(number),
            room=room,
            sender=user,
            segments=content,
            at=self.time(frame.get("time")),
            reply_to=MessageRef(ref, quoted) if quoted else None,
            at_me=ref.kind is RoomKind.PRIVATE or self._mentioned(content),
        )

    def _place(self, frame: Frame, own: bool) -> tuple[Room, User] | None:
        """Return where a group message was said and by whom; None when it was ourselves.

        What was made for the last message of the same person there is used again while names stay the same.
        """
        group, who, name = frame.get("group_id"), frame.get("user_id"), frame.get("group_name")
        sender, hidden = fields(frame.get("sender")), frame.get("anonymous")
        names = (name, sender.get("card"), sender.get("nickname"), sender.get("role"))
        usual = type(group) is int and type(who) is int and not hidden
        if usual:
            found = self._places.get((group, who))
            if found is not None and found[0] == names:
                return found[1]
        person = text(who)
        if person == self.self_id and not own:
            return None
        room = self.group(group, name)
        place = room, self._sender(room, person, sender, fields(hidden))
        if usual:
            if len(self._places) >= MAX_KNOWN:
                self._places.clear()
            self._places[group, who] = names, place
        return place

    def _mentioned(self, content: tuple[Segment, ...]) -> bool:
        for one in content:  # noqa: SIM110 - a generator costs more than all the rest
            if type(one) is At and one.person.id == self.self_id:
                return True
        return False

    def group(self, number: object, name: object = None) -> Room:
        """Return a group."""
        if type(number) is not int:
            number = text(number)
        found = self._rooms.get(number)
        called = text(name) if name else self.names.get(text(number), "")
        if found is None or (called and found.name != called):
            if len(self._rooms) >= MAX_KNOWN:
                self._rooms.clear()
            key = text(number)
            if key:
                self.names.setdefault(key, called)  # a group that nobody has told of
            room = Room(ref=RoomRef(self.account, RoomKind.GROUP, key), name=called or key)
            found = self._rooms[number] = room
        return found

    def rename(self, group: str, name: str) -> None:
        """Note what a group is called."""
        self.names[group] = name
        self._places.clear()

    def _private(self, frame: Frame, person: str, name: str) -> Room:
        if frame.get("sub_type") == "group":
            through = text(frame.get("group_id") or fields(frame.get("sender")).get("group_id"))
            if through:
                _bounded(self.temporary, MAX_KNOWN)[person] = through
        elif person in self.temporary:
            del self.temporary[person]
        return Room(ref=RoomRef(self.account, RoomKind.PRIVATE, person), name=name)

    def _sender(self, room: Room | None, person: str, sender: Frame, anonymous: Frame) -> User:
        if anonymous:
            name = text(anonymous.get("name")) or "anonymous"
            return User(ref=PersonRef(self.account, f"anonymous:{name}"), name=name, verified=False)
        if room is None:
            return self._user(None, person, text(sender.get("nickname")))
        role = sender.get("role")
        name = text(sender.get("card")) or text(sender.get("nickname"))
        return self._user(room, person, name, ROLES.get(text(role), MemberRole.UNKNOWN))

    def _user(self, room: Room | None, person: str, name: str = "", role: MemberRole | None = None) -> User:
        """Return a person; *role* is what the frame at hand says of them, None when it says nothing."""
        key = (room.ref.id if room is not None else None, person)
        found = self._users.get(key)
        if found is None or (name and found.name != name) or (role is not None and found.role != role):
            if len(self._users) >= MAX_KNOWN:
                self._users.clear()
            called = name or (found.name if found is not None else person)
            ref = PersonRef(self.account, person)
            found = self._users[key] = User(
                ref=ref, name=called, verified=bool(person), role=role or MemberRole.UNKNOWN
            )
        # What somebody was when they spoke last, they need not be any more.
        if role is not None or found.role is MemberRole.UNKNOWN:
            return found
        return attrs.evolve(found, role=MemberRole.UNKNOWN)

    def time(self, value: object) -> datetime.datetime:
        """Return a time in seconds, or in milliseconds as some say it; now when it is neither."""
        if value == self._second[0]:
            return self._second[1]
        seconds = value if type(value) is int else number(value)
        if seconds > 100_000_000_000:
            seconds //= 1000
        if not 0 < seconds < 100_000_000_000:
            return self._now()
        self._second = seconds, datetime.datetime.fromtimestamp(seconds, datetime.UTC)
        return self._second[1]

    # -- notices --------------------------------------------------------------------------------

    def _notice(self, frame: Frame) -> Event | None:
        kind = text(frame.get("notice_type"))
        if self._was_told(frame):
            return None
        if kind == "notify":
            kind = text(frame.get("sub_type"))
        reader = NOTICES.get(kind)
        event = reader(self, frame) if reader is not None else None
        return event if event is not None else self._unknown(kind, frame)

    def _unknown(self, kind: str, frame: Frame) -> Notice:
        at = self.time(frame.get("time"))
        return Notice(account=self.account, id=self.told_id(frame), at=at, kind=kind, data=frame)

    def _was_told(self, frame: Frame) -> bool:
        """Whether the very same notice came before: events are posted again when an answer is late, and by replays."""
        key = self.told_id(frame)
        if key in self._told:
            return True
        _bounded(self._told, MAX_TOLD)[key] = None
        return False

    def told_id(self, frame: Frame) -> str:
        """Return what is the same for all copies of a notice: made of all that it says."""
        if frame.get("notice_type") == "friend_add":  # told several times, a moment apart
            return f"friend_add:{text(frame.get('user_id'))}:{number(frame.get('time')) // 300}"
        if self._last_told[0] is frame:
            return self._last_told[1]
        try:
            said = repr(sorted((name, repr(value)) for name, value in frame.items()))
        except RecursionError:
            raise OneBotProtocolError("a notice is nested too deeply") from None
        told = hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=16).hexdigest()
        self._last_told = frame, told
        return told

    def room_of(self, frame: Frame) -> Room:
        """Return where it happened: the group, or the private chat with who did it."""
        if frame.get("group_id"):
            return self.group(frame["group_id"], frame.get("group_name"))
        person = text(frame.get("user_id"))
        name = self._user(None, person).name
        return Room(ref=RoomRef(self.account, RoomKind.PRIVATE, person), name=name)

    def person(self, frame: Frame, key: str = "user_id") -> User | None:
        """Return the person under *key*; None for nobody (0 or missing)."""
        who = text(frame.get(key))
        return self._user(self.room_of(frame), who) if who not in ("", "0") else None

    def sender(self, frame: Frame) -> User:
        """Return who did it, or whom it concerns."""
        return self._user(self.room_of(frame), text(frame.get("user_id")))

    def message(self, frame: Frame) -> MessageRef:
        """Return the message that it is about."""
        return MessageRef(self.room_of(frame).ref, text(frame.get("message_id")))

    # -- requests -------------------------------------------------------------------------------

    def _request(self, frame: Frame) -> Event | None:
        flag, comment = text(frame.get("flag")), text(frame.get("comment"))
        kind = text(frame.get("request_type"))
        if flag:
            seen = f"{kind}:{text(frame.get('sub_type'))}:{flag}"
            if seen in self._flags:  # some implementations tell a request again, hours later
                return None
            _bounded(self._flags, MAX_TOLD)[seen] = None

        def asked(wanted: str) -> dict[str, Any]:
            token = f"{wanted}:{flag}"
            request = RequestRef(self.account, token)
            return {"id": token if flag else "", "at": self.time(frame.get("time")), "request": request}

        if kind == "friend":
            user = self._user(None, text(frame.get("user_id")))
            return FriendRequest(account=self.account, sender=user, text=comment, **asked(FRIEND))
        if kind != "group":
            return self._unknown(f"request.{kind}", frame)
        room, user = self.room_of(frame), self.sender(frame)
        if frame.get("sub_type") == "invite":
            return GroupInvite(room=room, sender=user, text=comment, **asked(INVITE))
        return JoinRequest(room=room, sender=user, text=comment, **asked(ADD))


def _bounded(table: dict[K, V], most: int) -> dict[K, V]:
    """Return *table* with room for one more; the oldest entry goes."""
    if len(table) >= most:
        del table[next(iter(table))]
    return table
