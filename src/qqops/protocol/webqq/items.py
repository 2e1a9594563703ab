"""What a poll can bring, one class each. Source: webqq.md §10.1.

People and rooms are this session's aliases, unless a field says that it is a real number; `roster` translates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from qqops.errors import ProtocolError, excerpt
from qqops.model import Segment
from qqops.protocol.webqq.content import decode
from qqops.protocol.webqq.wire import integer, mapping, rows

#: Longest text of a request or a file's name that is passed on.
LONGEST = 1000


@attrs.frozen(kw_only=True)
class Incoming:
    """A message; `roster` turns it into a `Message`.

    Attributes:
        kind: ``buddy``, ``group``, ``discu`` or ``sess`` (somebody who shares a group with us, §10.1).
        room: gid or did; 0 for a friend. For ``sess``, where we both are.
        sender: uin of who wrote it; 0 is ourselves from another device.
        id: Made of the service's numbers; the same for a message that is delivered twice.
        time: Unix seconds.
        number: Real number of the group where the message tells it (2013), else 0.
        real: Real number of the sender where the message tells it, else 0.
        service: For ``sess``: 0 for a common group, 1 for a discussion group.
    """

    kind: str
    room: int
    sender: int
    id: str
    time: int
    segments: tuple[Segment, ...]
    seq: int = 0
    number: int = 0
    real: int = 0
    service: int = 0


@attrs.frozen(kw_only=True)
class Membership:
    """Somebody joined or left a group; the numbers are real ones."""

    group: int
    person: int
    joined: bool
    by: int = 0


@attrs.frozen(kw_only=True)
class JoinAsk:
    """Somebody wants to come into a group that we administer.

    Attributes:
        group: Real number of the group.
        person: Real number of who asks.
        uin: The same person's alias.
    """

    group: int
    person: int
    uin: int
    text: str


@attrs.frozen(kw_only=True)
class FriendAsk:
    """Somebody wants to become a friend; *number* is real."""

    number: int
    text: str


@attrs.frozen(kw_only=True)
class FriendAnswer:
    """Somebody has become a friend; *number* is real."""

    number: int
    text: str


@attrs.frozen(kw_only=True)
class FriendsChanged:
    """Friends came and went, by uin."""

    added: tuple[int, ...]
    removed: tuple[int, ...]


@attrs.frozen
class Seen:
    """A friend is seen differently now."""

    uin: int
    status: str


@attrs.frozen
class Writing:
    """A friend is typing."""

    uin: int


@attrs.frozen
class Shaken:
    """A friend shook our window."""

    uin: int


@attrs.frozen(kw_only=True)
class FileAsk:
    """A friend wants to give us a file.

    Attributes:
        session: What the calls to take or refuse it want, for a direct transfer; "" for an offline file.
        url: Where an offline file lies; "" for a direct transfer.
    """

    uin: int
    name: str
    size: int = 0
    session: str = ""
    url: str = ""


@attrs.frozen
class Kicked:
    """Another web login took the session over."""

    reason: str


@attrs.frozen
class Malformed:
    """An item that could not be read."""

    error: ProtocolError


@attrs.frozen
class Ignored:
    """An item of a type that we have no use for."""

    poll_type: str


Item: TypeAlias = (
    Incoming
    | Membership
    | JoinAsk
    | FriendAsk
    | FriendAnswer
    | FriendsChanged
    | Seen
    | Writing
    | Shaken
    | FileAsk
    | Kicked
    | Malformed
    | Ignored
)


def read_item(raw: object) -> Item:
    """Return one entry of a poll's answer; one that makes no sense comes back as `Malformed`."""
    try:
        entry = mapping(raw, "item of poll2")
        kind = entry.get("poll_type")
        value = entry.get("value")
        if not isinstance(value, dict):
            raise ProtocolError(f"the value of {excerpt(kind, 40)!r} is no object", payload=value)
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        return reader(value) if reader is not None else Ignored(str(kind)[:40])
    except ProtocolError as exc:
        return Malformed(exc)


def _text(value: object) -> str:
    return "".join(c for c in str(value or "") if c.isprintable())[:LONGEST]


def _buddy(value: Mapping[str, Any]) -> Incoming:
    return _message("buddy", value, room=0, sender=value.get("from_uin"))


def _group(value: Mapping[str, Any]) -> Incoming:
    return _message("group", value, room=value.get("from_uin"), sender=value.get("send_uin"))


def _discussion(value: Mapping[str, Any]) -> Incoming:
    return _message("discu", value, room=value.get("did"), sender=value.get("send_uin"))


def _stranger(value: Mapping[str, Any]) -> Incoming:
    return _message("sess", value, room=value.get("id"), sender=value.get("from_uin"))


def _message(kind: str, value: Mapping[str, Any], *, room: object, sender: object) -> Incoming:
    ids = [integer(value.get("msg_id"), "msg_id"), integer(value.get("msg_id2", 0), "msg_id2")]
    return Incoming(
        kind=kind,
        room=integer(room, "room"),
        sender=integer(sender, "sender"),
        id="-".join(str(i) for i in ids),
        time=integer(value.get("time", 0), "time"),
        segments=decode(value.get("content")),
        seq=integer(value.get("seq", 0), "seq"),
        # SmartQQ has no info_seq; discussion groups use the field for something else.
        number=integer(value.get("info_seq", 0), "info_seq") if kind == "group" else 0,
        real=integer(value.get("ruin", 0), "ruin") if kind == "sess" else 0,
        service=integer(value.get("service_type", 0), "service_type") if kind == "sess" else 0,
    )


def _kick(value: Mapping[str, Any]) -> Kicked:
    return Kicked(excerpt(value.get("reason", "")))


def _group_system(value: Mapping[str, Any]) -> Item:
    kind = value.get("type")
    if kind == "group_request_join":
        return JoinAsk(
            group=integer(value.get("t_gcode"), "t_gcode"),
            person=integer(value.get("t_request_uin") or value.get("request_uin"), "request_uin"),
            uin=integer(value.get("request_uin"), "request_uin"),
            text=_text(value.get("msg")),
        )
    if kind == "group_join":
        person, by = value.get("t_new_member"), value.get("t_admin_uin", 0)
    elif kind == "group_leave":
        person, by = value.get("t_old_member"), value.get("t_admin_uin", 0)
    else:
        return Ignored(f"sys_g_msg {kind}"[:40])
    return Membership(
        group=integer(value.get("t_gcode"), "t_gcode"),
        person=integer(person, "member"),
        joined=kind == "group_join",
        by=integer(by or 0, "admin"),
    )


def _system(value: Mapping[str, Any]) -> Item:
    kind = value.get("type")
    if kind == "verify_required":
        return FriendAsk(number=integer(value.get("account"), "account"), text=_text(value.get("msg")))
    if kind in ("verify_pass", "verify_pass_add", "added_buddy_sig"):
        return FriendAnswer(number=integer(value.get("account"), "account"), text=_text(value.get("msg")))
    return Ignored(f"system_message {kind}"[:40])


def _status(value: Mapping[str, Any]) -> Seen:
    return Seen(integer(value.get("uin"), "uin"), _text(value.get("status")))


def _friends(value: Mapping[str, Any]) -> FriendsChanged:
    def uins(key: str) -> tuple[int, ...]:
        return tuple(integer(row.get("uin"), f"{key}: uin") for row in rows(value.get(key), key))

    return FriendsChanged(added=uins("added_friends"), removed=uins("removed_friends"))


def _typing(value: Mapping[str, Any]) -> Writing:
    return Writing(integer(value.get("from_uin"), "from_uin"))


def _shake(value: Mapping[str, Any]) -> Shaken:
    return Shaken(integer(value.get("from_uin"), "from_uin"))


def _file(value: Mapping[str, Any]) -> Item:
    if value.get("mode") != "recv":
        return Ignored(f"file_message {value.get('mode')}"[:40])
    return FileAsk(
        uin=integer(value.get("from_uin"), "from_uin"),
        name=_text(value.get("name")),
        session=str(integer(value.get("session_id"), "session_id")),
    )


def _offline_file(value: Mapping[str, Any]) -> FileAsk:
    """An offline file lies on a server of the service, at an address that the message names."""
    ip, port = _text(value.get("ip")), integer(value.get("port"), "port")
    name, key = _text(value.get("name")), _text(value.get("rkey"))
    url = f"http://{ip}:{port}/{name}?ver=2173&rkey={key}&range=0"
    size = integer(value.get("size", 0), "size")
    return FileAsk(uin=integer(value.get("from_uin"), "from_uin"), name=name, size=size, url=url)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Item]] = {
    "message": _buddy,
    "group_message": _group,
    "discu_message": _discussion,
    "sess_message": _stranger,
    "kick_message": _kick,
    "sys_g_msg": _group_system,
    "system_message": _system,
    "buddies_status_change": _status,
    "buddylist_change": _friends,
    "input_notify": _typing,
    "shake_message": _shake,
    "file_message": _file,
    "push_offfile": _offline_file,
}
