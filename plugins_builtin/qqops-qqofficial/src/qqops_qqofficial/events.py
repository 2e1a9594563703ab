"""Dispatches → events of the model. Pure. Source: qq-official.md §4."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

from qqops import (
    AccountRef,
    At,
    AtAll,
    Event,
    File,
    FriendAdded,
    FriendRemoved,
    Image,
    Joined,
    Left,
    Message,
    MessageRef,
    Notice,
    PersonRef,
    Reacted,
    Room,
    RoomKind,
    RoomRef,
    Segment,
    Text,
    User,
    Video,
    Voice,
)
from qqops_qqofficial.wire import fields, text

#: Rooms of guilds and their private chats, beside groups and people: their ids begin so.
CHANNEL, DM = "channel/", "dm/"
#: Mentions within a text.
_MENTION = re.compile(
    r"<@!?([A-Za-z0-9_-]{1,64})>|<qqbot-at-user id=\"([^\"]{1,64})\" ?/>|<qqbot-at-everyone ?/>"
)
_MESSAGES = frozenset(
    {"C2C_MESSAGE_CREATE", "GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE", "AT_MESSAGE_CREATE",
     "MESSAGE_CREATE", "DIRECT_MESSAGE_CREATE"}
)  # fmt: skip
#: What is not a message and allows a reply by ``event_id``.
_ANSWERABLE = frozenset(
    {
        "FRIEND_ADD",
        "C2C_MSG_RECEIVE",
        "GROUP_ADD_ROBOT",
        "GROUP_MSG_RECEIVE",
        "GROUP_MEMBER_ADD",
        "INTERACTION_CREATE",
    }
)


class Reader:
    """Reads the dispatches of one account.

    Attributes:
        self_id: Own id in guilds; "" until it is known.
    """

    def __init__(self, account: AccountRef, now: Callable[[], datetime.datetime]) -> None:
        self.account = account
        self.self_id = ""
        self._now = now

    def read(self, kind: str, data: dict[str, Any], event_id: str = "") -> Event | None:
        """Return what happened; None for what concerns nobody.

        Args:
            event_id: Of the dispatch. Messages have ids of their own.
        """
        if kind in _MESSAGES:
            return self._message(kind, data)
        said: dict[str, Any] = {"id": event_id, "at": self._time(data.get("timestamp"))}
        person = text(data.get("openid")) or text(data.get("user_openid"))
        if kind == "FRIEND_ADD" and person:
            return FriendAdded(account=self.account, sender=self._user(person), **said)
        if kind == "FRIEND_DEL" and person:
            return FriendRemoved(account=self.account, sender=self._user(person), **said)
        group = text(data.get("group_openid"))
        member = text(data.get("member_openid")) or text(data.get("user_openid"))
        if kind in ("GROUP_MEMBER_ADD", "GROUP_MEMBER_REMOVE") and group and member:
            by = text(data.get("op_member_openid"))
            operator = self._user(by) if by and by != member else None
            room, user = self._room(RoomKind.GROUP, group), self._user(member)
            if kind == "GROUP_MEMBER_ADD":
                return Joined(room=room, sender=user, by=operator, **said)
            return Left(room=room, sender=user, by=operator, **said)
        if kind in ("MESSAGE_REACTION_ADD", "MESSAGE_REACTION_REMOVE"):
            return self._reaction(kind, data, said)
        return Notice(account=self.account, kind=kind, data=data, **said)

    def answerable(self, kind: str, data: dict[str, Any]) -> RoomRef | None:
        """Return where something that is not a message can be answered, by the id of its event; None for nowhere."""
        if kind not in _ANSWERABLE:
            return None
        if group := text(data.get("group_openid")):
            return RoomRef(self.account, RoomKind.GROUP, group)
        if channel := text(data.get("channel_id")):
            return RoomRef(self.account, RoomKind.GROUP, CHANNEL + channel)
        person = text(data.get("openid")) or text(data.get("user_openid"))
        return RoomRef(self.account, RoomKind.PRIVATE, person) if person else None

    def _room(self, kind: RoomKind, key: str, name: str = "") -> Room:
        return Room(ref=RoomRef(self.account, kind, key), name=name or key)

    def _user(self, key: str, name: str = "") -> User:
        return User(ref=PersonRef(self.account, key), name=name or key[:12], verified=bool(key))

    def _message(self, kind: str, data: dict[str, Any]) -> Message | None:
        author = fields(data.get("author"))
        place = self._place(kind, data, author)
        if place is None:
            return None
        room, who = place
        if who == self.self_id and who:
            return None
        name = text(fields(data.get("member")).get("nick")) or text(author.get("username"))
        segments, mentioned = self._segments(data)
        quoted = text(fields(data.get("message_reference")).get("message_id"))
        at_me = room.private or mentioned or kind in ("GROUP_AT_MESSAGE_CREATE", "AT_MESSAGE_CREATE")
        return Message(
            id=text(data.get("id")),
            room=room,
            sender=self._user(who, name),
            segments=segments,
            at=self._time(data.get("timestamp")),
            reply_to=MessageRef(room.ref, quoted) if quoted else None,
            at_me=at_me,
        )

    def _place(self, kind: str, data: dict[str, Any], author: dict[str, Any]) -> tuple[Room, str] | None:
        if kind == "C2C_MESSAGE_CREATE":
            who = text(author.get("user_openid")) or text(author.get("id"))
            return (self._room(RoomKind.PRIVATE, who, text(author.get("username"))), who) if who else None
        if kind in ("GROUP_AT_MESSAGE_CREATE", "GROUP_MESSAGE_CREATE"):
            group = text(data.get("group_openid")) or text(data.get("group_id"))
            who = text(author.get("member_openid")) or text(author.get("id"))
            return (self._room(RoomKind.GROUP, group), who) if group and who else None
        who = text(author.get("id"))
        if kind == "DIRECT_MESSAGE_CREATE":
            guild = text(data.get("guild_id"))
            found = self._room(RoomKind.PRIVATE, DM + guild, text(author.get("username")))
            return (found, who) if guild and who else None
        channel = text(data.get("channel_id"))
        return (self._room(RoomKind.GROUP, CHANNEL + channel), who) if channel and who else None

    def _segments(self, data: dict[str, Any]) -> tuple[tuple[Segment, ...], bool]:
        """Return the segments, and whether we are mentioned; our own mention at the beginning is left out."""
        said = text(data.get("content"))
        names: dict[str, str] = {}
        me = {self.self_id} - {""}
        mentions = data.get("mentions")
        for one in mentions if isinstance(mentions, list) else ():
            row = fields(one)
            key = text(row.get("member_openid")) or text(row.get("user_openid")) or text(row.get("id"))
            names[key] = text(row.get("username"))
            if row.get("is_you") is True or (row.get("bot") is True and key == self.self_id):
                me.add(key)
        segments: list[Segment] = []
        mentioned, done = bool(me & set(names)), 0
        for found in _MENTION.finditer(said):
            before = said[done : found.start()]
            key = found[1] or found[2] or ""
            done = found.end()
            if not segments:
                before = before.lstrip()
            if before:
                segments.append(Text(before))
            if not key:
                segments.append(AtAll())
            elif key in me:
                mentioned = True
                if segments:
                    segments.append(At(PersonRef(self.account, key), names.get(key, "")))
            else:
                segments.append(At(PersonRef(self.account, key), names.get(key, "")))
        rest = said[done:] if segments else said[done:].lstrip()
        if rest:
            segments.append(Text(rest))
        attachments = data.get("attachments")
        segments += [
            _attachment(fields(one)) for one in (attachments if isinstance(attachments, list) else ())[:100]
        ]
        return tuple(segments), mentioned

    def _reaction(self, kind: str, data: dict[str, Any], said: dict[str, Any]) -> Event:
        target, emoji = fields(data.get("target")), fields(data.get("emoji"))
        room = self._room(RoomKind.GROUP, CHANNEL + text(data.get("channel_id")))
        return Reacted(
            room=room, sender=self._user(text(data.get("user_id"))),
            message=MessageRef(room.ref, text(target.get("id"))),
            code=f"{text(emoji.get('type'))}:{text(emoji.get('id'))}", on=kind.endswith("ADD"), **said,
        )  # fmt: skip

    def _time(self, value: object) -> datetime.datetime:
        try:
            found = datetime.datetime.fromisoformat(text(value))
        except ValueError:
            return self._now()
        return found if found.tzinfo is not None else self._now()


def _attachment(data: dict[str, Any]) -> Segment:
    url = text(data.get("url"))
    if url and "://" not in url:
        url = "https://" + url.lstrip("/")
    name, kind = text(data.get("filename")), text(data.get("content_type"))
    if kind.startswith("image"):
        return Image(name, data, url=url)
    if kind.startswith(("voice", "audio")):
        return Voice(name, data, url=text(data.get("voice_wav_url")) or url)
    if kind.startswith("video"):
        return Video(name, data, url=url)
    size = data.get("size")
    return File(name, data, name=name, url=url, size=size if isinstance(size, int) else 0)
