"""Notices: what happened besides messages and requests, by kind. Source: onebot11.md §3."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qqops.model import (
    AdminChanged,
    CardChanged,
    Event,
    FileOffered,
    FriendAdded,
    Highlighted,
    Joined,
    Left,
    Muted,
    Poked,
    Reacted,
    Recalled,
    RoomRenamed,
    Typing,
    User,
)
from qqops.protocol.onebot11.wire import Frame, fields, number, text

if TYPE_CHECKING:
    from qqops.protocol.onebot11.events import Reader


def _where(reader: Reader, frame: Frame) -> dict[str, Any]:
    """Return what all events of a room have: which, where, when."""
    return {"room": reader.room_of(frame), "id": reader.told_id(frame), "at": reader.time(frame.get("time"))}


def _joined(reader: Reader, frame: Frame) -> Event:
    by = reader.person(frame, "operator_id")
    sender = reader.sender(frame)
    if sender.id == reader.self_id:
        reader.names.setdefault(text(frame.get("group_id")), text(frame.get("group_name")))
    return Joined(**_where(reader, frame), sender=sender, by=by if by != sender else None)


def _left(reader: Reader, frame: Frame) -> Event:
    by = reader.person(frame, "operator_id") if frame.get("sub_type") != "leave" else None
    event = Left(**_where(reader, frame), sender=reader.sender(frame), by=by)
    if frame.get("sub_type") in ("kick_me", "disband") or event.sender.id == reader.self_id:
        reader.names.pop(event.room.id, None)
    return event


def _admin(reader: Reader, frame: Frame) -> Event:
    on = frame.get("sub_type") == "set"
    return AdminChanged(**_where(reader, frame), sender=reader.sender(frame), on=on)


def _muted(reader: Reader, frame: Frame) -> Event:
    seconds = number(frame.get("duration"))
    if frame.get("sub_type") == "lift_ban":
        seconds = 0
    elif seconds <= 0:
        seconds = -1
    by = reader.person(frame, "operator_id")
    return Muted(**_where(reader, frame), sender=reader.person(frame), by=by, seconds=seconds)


def _recalled(reader: Reader, frame: Frame) -> Event:
    sender = reader.sender(frame)
    by = reader.person(frame, "operator_id") or sender
    return Recalled(**_where(reader, frame), sender=sender, by=by, message=reader.message(frame))


def _uploaded(reader: Reader, frame: Frame) -> Event:
    file = fields(frame.get("file"))
    return FileOffered(
        **_where(reader, frame),
        sender=reader.sender(frame),
        name=text(file.get("name")),
        size=number(file.get("size")),
        data=file,
    )


def _poked(reader: Reader, frame: Frame) -> Event:
    return Poked(
        **_where(reader, frame), sender=reader.sender(frame), target=reader.person(frame, "target_id")
    )


def _typing(reader: Reader, frame: Frame) -> Event:
    return Typing(**_where(reader, frame), sender=reader.sender(frame))


def _friend(reader: Reader, frame: Frame) -> Event:
    return FriendAdded(
        account=reader.account,
        id=reader.told_id(frame),
        at=reader.time(frame.get("time")),
        sender=reader.sender(frame),
    )


def _card(reader: Reader, frame: Frame) -> Event:
    old, new = text(frame.get("card_old")), text(frame.get("card_new"))
    return CardChanged(**_where(reader, frame), sender=reader.sender(frame), old=old, new=new)


def _renamed(reader: Reader, frame: Frame) -> Event:
    name = text(frame.get("name_new"))
    reader.rename(text(frame.get("group_id")), name)
    return RoomRenamed(**_where(reader, frame), sender=reader.sender(frame), name=name)


def _essence(reader: Reader, frame: Frame) -> Event:
    sender = reader.person(frame, "sender_id") or reader.sender(frame)
    by, on = reader.person(frame, "operator_id"), frame.get("sub_type") != "delete"
    return Highlighted(**_where(reader, frame), sender=sender, by=by, message=reader.message(frame), on=on)


def _liked(reader: Reader, frame: Frame) -> Event | None:
    likes = frame.get("likes")
    first = fields(likes[0]) if type(likes) is list and likes else {}
    code = text(first.get("emoji_id"))
    on = frame.get("is_add") is not False
    return _reaction(reader, frame, reader.sender(frame), code, on) if code else None


def _reacted(reader: Reader, frame: Frame) -> Event | None:
    code, on = text(frame.get("code")), frame.get("sub_type") != "remove"
    sender = reader.person(frame, "operator_id") or reader.sender(frame)
    return _reaction(reader, frame, sender, code, on) if code else None


def _reaction(reader: Reader, frame: Frame, sender: User, code: str, on: bool) -> Event:
    return Reacted(**_where(reader, frame), sender=sender, message=reader.message(frame), code=code, on=on)


#: By ``notice_type``, or by ``sub_type`` where that is ``notify``. What is missing here becomes a `Notice`.
NOTICES: dict[str, Callable[[Reader, Frame], Event | None]] = {
    "group_increase": _joined,
    "group_decrease": _left,
    "group_admin": _admin,
    "group_ban": _muted,
    "group_recall": _recalled,
    "friend_recall": _recalled,
    "group_upload": _uploaded,
    "offline_file": _uploaded,
    "poke": _poked,
    "input_status": _typing,
    "friend_add": _friend,
    "group_card": _card,
    "group_name": _renamed,
    "essence": _essence,
    "group_msg_emoji_like": _liked,
    "reaction": _reacted,
}
