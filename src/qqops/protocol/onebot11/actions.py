"""What is asked of an implementation: actions of the model as requests, the best first and its fallbacks after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from qqops.model import (
    Action,
    Announce,
    Answer,
    Highlight,
    Kick,
    LeaveRoom,
    Mute,
    PersonRef,
    Poke,
    React,
    Recall,
    RemoveFriend,
    RoomKind,
    RoomRef,
    SetAdmin,
    SetCard,
    SetMemberCard,
    SetRemark,
    SetRoomName,
    SetSignature,
    SetTitle,
    ShowTyping,
)
from qqops.protocol.onebot11.events import ADD, FRIEND, INVITE
from qqops.protocol.onebot11.wire import as_id

#: One way to do it: the action's name and its parameters.
Step: TypeAlias = tuple[str, dict[str, Any]]

#: Longest mute that QQ knows, in seconds: 30 days less one second.
MAX_MUTE = 30 * 86400 - 1


class NotPossible(Exception):
    """It cannot be asked for; the text says why."""


def steps(action: Action, self_id: str) -> list[Step]:
    """Return the ways to do *action*, the best first; the next one is for implementations that lack it.

    Raises:
        NotPossible: OneBot has no such thing.
    """
    writer = _WRITERS.get(type(action))
    if writer is None:
        raise NotPossible(f"OneBot v11 does not know {type(action).__name__}")
    return writer(action, self_id)


def _group(room: RoomRef) -> dict[str, Any]:
    if room.kind is not RoomKind.GROUP:
        raise NotPossible("this is for groups")
    return {"group_id": as_id(room.id)}


def _member(room: RoomRef, person: PersonRef) -> dict[str, Any]:
    return {**_group(room), "user_id": as_id(person.id)}


def _answer(a: Answer, *_: object) -> list[Step]:
    kind, flag = a.request.token.split(":", 1) if ":" in a.request.token else ("", "")
    if kind == FRIEND:
        params: dict[str, Any] = {"flag": flag, "approve": a.accept}
        return [("set_friend_add_request", params | ({"remark": a.remark} if a.remark else {}))]
    if kind not in (ADD, INVITE):
        raise NotPossible("this request is none of OneBot's")
    params = {"flag": flag, "sub_type": kind, "type": kind, "approve": a.accept}
    return [("set_group_add_request", params | ({"reason": a.text} if a.text else {}))]


def _recall(a: Recall, *_: object) -> list[Step]:
    return [("delete_msg", {"message_id": as_id(a.message.id)})]


def _mute(a: Mute, *_: object) -> list[Step]:
    if a.person is None:
        return [("set_group_whole_ban", {**_group(a.room), "enable": a.seconds != 0})]
    seconds = min(max(a.seconds, 0), MAX_MUTE)
    return [("set_group_ban", {**_member(a.room, a.person), "duration": seconds})]


def _kick(a: Kick, *_: object) -> list[Step]:
    return [("set_group_kick", {**_member(a.room, a.person), "reject_add_request": a.ban})]


def _admin(a: SetAdmin, *_: object) -> list[Step]:
    return [("set_group_admin", {**_member(a.room, a.person), "enable": a.on})]


def _member_card(a: SetMemberCard, *_: object) -> list[Step]:
    return [("set_group_card", {**_member(a.room, a.person), "card": a.text})]


def _own_card(a: SetCard, me: str) -> list[Step]:
    return [("set_group_card", {**_group(a.room), "user_id": as_id(me), "card": a.text})]


def _title(a: SetTitle, *_: object) -> list[Step]:
    return [
        ("set_group_special_title", {**_member(a.room, a.person), "special_title": a.text, "duration": -1})
    ]


def _name(a: SetRoomName, *_: object) -> list[Step]:
    return [("set_group_name", {**_group(a.room), "group_name": a.text})]


def _leave(a: LeaveRoom, *_: object) -> list[Step]:
    return [("set_group_leave", _group(a.room))]


def _react(a: React, *_: object) -> list[Step]:
    message = as_id(a.message.id)
    liked = {"message_id": message, "emoji_id": a.code, "set": a.on}
    found: list[Step] = (
        [("set_msg_emoji_like", liked)]
        if a.on
        else [("unset_msg_emoji_like", liked), ("set_msg_emoji_like", liked)]
    )
    if a.message.room.kind is RoomKind.GROUP:
        found.append(
            (
                "set_group_reaction",
                {**_group(a.message.room), "message_id": message, "code": a.code, "is_add": a.on},
            )
        )
    return found


def _highlight(a: Highlight, *_: object) -> list[Step]:
    return [("set_essence_msg" if a.on else "delete_essence_msg", {"message_id": as_id(a.message.id)})]


def _announce(a: Announce, *_: object) -> list[Step]:
    return [("_send_group_notice", {**_group(a.room), "content": a.text})]


def _poke(a: Poke, *_: object) -> list[Step]:
    if a.room.kind is RoomKind.GROUP:
        if a.person is None:
            raise NotPossible("say whom to poke")
        who = _member(a.room, a.person)
        segment = {"type": "poke", "data": {"qq": a.person.id}}
        say = ("send_group_msg", {**_group(a.room), "message": [segment]})
        return [("group_poke", who), ("send_poke", who), say]
    who = {"user_id": as_id(a.room.id)}
    return [("friend_poke", who), ("send_poke", who)]


def _typing(a: ShowTyping, *_: object) -> list[Step]:
    return [("set_input_status", {"user_id": as_id(a.room.id), "event_type": 1})]


def _unfriend(a: RemoveFriend, *_: object) -> list[Step]:
    return [("delete_friend", {"user_id": as_id(a.person.id), "temp_block": False, "temp_both_del": a.both})]


def _remark(a: SetRemark, *_: object) -> list[Step]:
    return [("set_friend_remark", {"user_id": as_id(a.person.id), "remark": a.text})]


def _signature(a: SetSignature, *_: object) -> list[Step]:
    return [("set_self_longnick", {"longNick": a.text})]


_WRITERS: Mapping[type[Action], Callable[[Any, str], list[Step]]] = {
    Answer: _answer,
    Recall: _recall,
    Mute: _mute,
    Kick: _kick,
    SetAdmin: _admin,
    SetMemberCard: _member_card,
    SetCard: _own_card,
    SetTitle: _title,
    SetRoomName: _name,
    LeaveRoom: _leave,
    React: _react,
    Highlight: _highlight,
    Announce: _announce,
    Poke: _poke,
    ShowTyping: _typing,
    RemoveFriend: _unfriend,
    SetRemark: _remark,
    SetSignature: _signature,
}

#: What can be asked for where only two people talk.
_IN_PRIVATE = frozenset({Answer, Poke, React, Recall, RemoveFriend, SetRemark, SetSignature, ShowTyping})


def actions_in(kind: RoomKind) -> frozenset[type[Action]]:
    """Return what can be asked for in rooms of *kind*."""
    return _IN_PRIVATE if kind is RoomKind.PRIVATE else frozenset(_WRITERS) - _ONLY_PRIVATE


_ONLY_PRIVATE = frozenset({RemoveFriend, SetRemark, SetSignature, ShowTyping})
