"""One entry of a poll's answer → one item. Source: webqq.md §10.1."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import attrs

from qqops.errors import ProtocolError
from qqops.protocol.webqq.address import split
from qqops.protocol.webqq.content import decode
from qqops.protocol.webqq.errors import WebQQProtocolError, excerpt
from qqops.protocol.webqq.items import (
    FileAsk,
    FriendAnswer,
    FriendAsk,
    FriendsChanged,
    Happening,
    Ignored,
    Incoming,
    Item,
    JoinAsk,
    Kicked,
    Malformed,
    Membership,
    Seen,
    Shaken,
    Told,
    Writing,
)
from qqops.protocol.webqq.wire import integer, mapping, rows

#: Friends of one change; see `lists.MAX_FRIENDS`.
MAX_FRIENDS = 10_000
#: Values of op_type (§10.1): by himself, and by an administrator.
_LEFT, _FORCED = 2, 3
#: Fields of what we have no class for that are passed on.
_MAX_FIELDS = 20
#: Fields that hold this session's aliases, or the header; so does each with "uin" in its name.
_ALIASES = frozenset(
    ["gcode", "group_code", "gid", "old_member", "new_member", "msg_id", "msg_id2", "msg_type", "reply_ip"]
)
#: Longest text of a request or a file's name that is passed on.
MAX_TEXT = 1000


def read_item(raw: object) -> Item:
    """Return one entry of a poll's answer; one that makes no sense comes back as `Malformed`."""
    try:
        entry = mapping(raw, "item of poll2")
        kind = entry.get("poll_type")
        value = entry.get("value")
        if not isinstance(value, dict):
            raise WebQQProtocolError(f"the value of {excerpt(kind, 40)!r} is not an object", payload=value)
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        if reader is None:
            return Ignored(str(kind)[:40])
        item = reader(value)
        return _numbered(item, value) if isinstance(item, Happening) else item
    except ProtocolError as exc:
        return Malformed(exc)


def _numbered(item: Happening, value: Mapping[str, Any]) -> Item:
    """Return *item* with its id and time, where *value* has a number: then a copy says the very same."""
    time = value.get("time")
    found = attrs.evolve(item, time=time if isinstance(time, int) and 0 < time < 2**36 else 0)
    if "msg_id" in value or "seq" in value:
        said = repr(sorted((key, repr(field)) for key, field in value.items()))
        digest = hashlib.blake2b(said.encode("utf-8", "replace"), digest_size=8).hexdigest()
        found = attrs.evolve(found, id=f"{type(item).__name__.lower()}/{digest}")
    return found  # type: ignore[return-value] # it is of the class that it was


def _text(value: object) -> str:
    return "".join(c for c in str(value or "") if c.isprintable())[:MAX_TEXT]


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
        code=integer(value.get("group_code", 0), "group_code") if kind == "group" else 0,
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
    if kind in ("group_join", "group_leave"):
        return _membership(value, joined=kind == "group_join")
    if kind in ("group_create", "group_request_join_agree", "group_request_join_deny"):
        return _told(str(kind), value, group=value.get("t_gcode"), by=value.get("t_admin_uin"))
    return Ignored(f"sys_g_msg {kind}"[:40])


def _membership(value: Mapping[str, Any], *, joined: bool) -> Membership:
    """Whose doing it was is said by op_type; an administrator is named by number, by alias, by nick, or not at all."""
    op_type = integer(value.get("op_type", 0), "op_type")
    by = integer(value.get("t_admin_uin") or 0, "t_admin_uin")
    alone = op_type == _LEFT and not joined
    return Membership(
        group=integer(value.get("t_gcode"), "t_gcode"),
        person=integer(value.get("t_new_member" if joined else "t_old_member"), "member"),
        joined=joined,
        forced=op_type == _FORCED or (not joined and not op_type and by > 0),
        by=0 if alone else by,
        by_uin=0 if alone else integer(value.get("admin_uin") or 0, "admin_uin"),
        by_name="" if alone else _text(value.get("admin_nick")),
    )


def _told(
    kind: str,
    value: Mapping[str, Any],
    *,
    sender: object = 0,
    room: object = 0,
    group: object = 0,
    by: object = 0,
) -> Told:
    """Keep what is plain in *value*; aliases and the header are of no use to anybody later."""
    data = {
        key[:40]: _text(field) if isinstance(field, str) else integer(field, key)
        for key, field in list(value.items())[:_MAX_FIELDS]
        if isinstance(field, int | str)
        and not isinstance(field, bool)
        and key not in _ALIASES
        and "uin" not in key
    }
    return Told(
        kind=kind,
        data=data,
        sender=integer(sender or 0, "sender"),
        room=integer(room or 0, "room"),
        group=integer(group or 0, "group"),
        by=integer(by or 0, "by"),
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
    cut: dict[str, int] = {}

    def uins(key: str) -> tuple[int, ...]:
        found = rows(value.get(key), key, MAX_FRIENDS, cut)
        return tuple(integer(row.get("uin"), f"{key}: uin") for row in found)

    added, removed = uins("added_friends"), uins("removed_friends")
    return FriendsChanged(added=added, removed=removed, left_out=sum(cut.values()))


def _typing(value: Mapping[str, Any]) -> Writing:
    return Writing(integer(value.get("from_uin"), "from_uin"))


def _shake(value: Mapping[str, Any]) -> Shaken:
    return Shaken(integer(value.get("from_uin"), "from_uin"))


def _file(value: Mapping[str, Any]) -> Item:
    mode = value.get("mode")
    if mode in ("refuse", "send_ack"):
        return _told(f"file_{mode}", value, sender=value.get("from_uin"))
    if mode != "recv":
        return Ignored(f"file_message {mode}"[:40])
    return FileAsk(
        uin=integer(value.get("from_uin"), "from_uin"),
        name=_text(value.get("name")),
        session=str(integer(value.get("session_id"), "session_id")),
    )


def _offline_file(value: Mapping[str, Any]) -> FileAsk:
    """An offline file lies on a server of the service, at an address that the message names."""
    ip, port = _text(value.get("ip")), integer(value.get("port"), "port")
    name, key = _text(value.get("name")), _text(value.get("rkey"))
    url = f"http://{ip}:{port}/{quote(name, safe='')}?ver=2173&rkey={quote(key, safe='')}&range=0"
    to = split(url)
    if (to.host, to.port) != (ip.lower(), port):
        raise WebQQProtocolError("push_offfile: no plain address", payload=ip)
    size = integer(value.get("size", 0), "size")
    return FileAsk(uin=integer(value.get("from_uin"), "from_uin"), name=name, size=size, url=url)


def _told_by(kind: str) -> Callable[[Mapping[str, Any]], Told]:
    return lambda value: _told(kind, value, sender=value.get("from_uin"))


def _group_web(value: Mapping[str, Any]) -> Told:
    """A shared file and the like; from_uin is the group (§10.1)."""
    return _told("group_web_message", value, sender=value.get("send_uin"), room=value.get("from_uin"))


def _transfer(value: Mapping[str, Any]) -> Told:
    """The state of files that somebody sends over the service's disk; their names are what is of use."""
    names = [_text(row.get("file_name")) for row in rows(value.get("file_infos"), "file_infos", _MAX_FIELDS)]
    told = _told("filesrv_transfer", value, sender=value.get("from_uin"))
    return attrs.evolve(told, data={**told.data, "files": names})


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
    "notify_offfile": _told_by("notify_offfile"),
    "filesrv_transfer": _transfer,
    "group_web_message": _group_web,
    # Named by the official scripts, their fields are not documented (§10.1).
    "tips": _told_by("tips"),
    "nick_change": _told_by("nick_change"),
    "av_request": _told_by("av_request"),
    "av_refuse": _told_by("av_refuse"),
}
