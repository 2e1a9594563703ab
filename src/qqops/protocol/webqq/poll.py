"""poll2: what came in, and what follows. Source: webqq.md §10, §12."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from qqops.errors import ProtocolError
from qqops.model import Segment
from qqops.protocol.webqq.classify import Verdict, classify, http_verdict
from qqops.protocol.webqq.content import decode
from qqops.protocol.webqq.http import Request, Response
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import integer, json_of, mapping, retcode

#: After so many instant answers without content the session is taken for dead (§12.1, code 0).
DEAD_AFTER = 3
#: A poll that answers in less than this part of the hold, and of a second, did not wait for anything.
INSTANT = 0.25
#: Items of one answer that are looked at; a real one has a handful.
MAX_ITEMS = 5000


@attrs.frozen(kw_only=True)
class Incoming:
    """A message with this session's aliases; `roster` turns it into a `Message`.

    Attributes:
        kind: ``buddy``, ``group`` or ``discu``.
        room: gid or did; 0 for a friend.
        sender: uin of who wrote it; 0 is ourselves from another device.
        id: Made of the service's numbers; the same for a message that is delivered twice.
        time: Unix seconds.
        number: Real number of the group where the message tells it (2013), else 0.
    """

    kind: str
    room: int
    sender: int
    id: str
    time: int
    segments: tuple[Segment, ...]
    seq: int = 0
    number: int = 0


@attrs.frozen(kw_only=True)
class Membership:
    """Somebody joined or left a group; the numbers are real ones."""

    group: int
    person: int
    joined: bool
    by: int = 0


@attrs.frozen(kw_only=True)
class FriendAsk:
    """Somebody wants to become a friend; *number* is real."""

    number: int
    text: str


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


Item: TypeAlias = Incoming | Membership | FriendAsk | Kicked | Malformed | Ignored


@attrs.frozen(kw_only=True)
class Polled:
    """What one poll brought.

    Attributes:
        items: Oldest first.
        ptwebqq: The new value, after code 116.
        instant: Whether the answer came without any waiting.
    """

    verdict: Verdict
    items: tuple[Item, ...] = ()
    ptwebqq: str = ""
    cause: str = ""
    instant: bool = False


def request(session: Session, deadline: float) -> Request:
    """Return the long poll; *deadline* is in seconds and longer than the service's hang."""
    if session.profile.repeats_ids:
        r: dict[str, object] = {**session.id_fields, "key": 0, "ids": []}
    else:
        r = {"ptwebqq": session.ptwebqq, **session.id_fields, "key": ""}
    return session.channel_post("poll2", r, deadline=deadline)


def read(session: Session, response: Response) -> Polled:
    """Return what *response* means.

    Raises:
        ProtocolError: The answer as a whole makes no sense. A single bad item does not raise: it is
            returned as `Malformed`.
    """
    if response.status != 200:
        return Polled(verdict=http_verdict("poll2", response.status), cause=f"HTTP {response.status}")
    body = json_of(response, "poll2")
    code = retcode(body, "poll2")
    instant = response.elapsed < INSTANT * min(session.hold, 4.0)
    verdict = classify(session.profile.name, "poll2", code, instant=instant)
    result = body.get("result")
    if verdict is Verdict.OK and isinstance(result, list) and result:
        session.empty_polls = 0
        return Polled(verdict=Verdict.OK, items=items(result))
    if verdict is Verdict.OK:
        verdict = Verdict.IDLE
    cause = f"poll2: retcode {code}"
    if verdict is Verdict.IDLE:
        # "Nothing new" at once and again and again is how a dead session looked from 2016 on.
        session.empty_polls = session.empty_polls + 1 if instant and code != 116 else 0
        if session.empty_polls >= DEAD_AFTER:
            return Polled(verdict=Verdict.RELINK, cause=f"{cause}, {session.empty_polls} times at once")
    renewed = body.get("p", "") if code == 116 else ""
    if not isinstance(renewed, str) or not re.fullmatch(r"[\w@*.+/=-]{0,200}", renewed, re.ASCII):
        raise ProtocolError("poll2: the new ptwebqq is no token", payload=renewed)
    return Polled(verdict=verdict, ptwebqq=renewed, cause=cause, instant=instant)


def items(result: list[Any]) -> tuple[Item, ...]:
    """Return the items of an answer, oldest first.

    The service lists them newest first, mostly; so the list is turned round and sorted by time. Where a group
    counts its messages, they take the places of that group in the order of the counter. Both sorts are stable.
    """
    found = [_item(raw) for raw in reversed(result[:MAX_ITEMS])]
    order = iter(sorted((i for i in found if isinstance(i, Incoming)), key=lambda m: m.time))
    found = [next(order) if isinstance(item, Incoming) else item for item in found]
    rooms: dict[int, list[int]] = {}
    for place, item in enumerate(found):
        if isinstance(item, Incoming) and item.seq:
            rooms.setdefault(item.room, []).append(place)
    for places in rooms.values():
        counted = sorted(
            (item for p in places if isinstance(item := found[p], Incoming)), key=lambda m: m.seq
        )
        for place, item in zip(places, counted, strict=True):
            found[place] = item
    return tuple(found)


def _item(raw: object) -> Item:
    try:
        entry = mapping(raw, "item of poll2")
        kind = entry.get("poll_type")
        value = mapping(entry.get("value"), f"value of {kind!r}")
        reader = _READERS.get(kind) if isinstance(kind, str) else None
        return reader(value) if reader is not None else Ignored(str(kind)[:40])
    except ProtocolError as exc:
        return Malformed(exc)


def _buddy(value: Mapping[str, Any]) -> Incoming:
    return _message("buddy", value, room=0, sender=value.get("from_uin"))


def _group(value: Mapping[str, Any]) -> Incoming:
    return _message("group", value, room=value.get("from_uin"), sender=value.get("send_uin"))


def _discussion(value: Mapping[str, Any]) -> Incoming:
    return _message("discu", value, room=value.get("did"), sender=value.get("send_uin"))


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
    )


def _kick(value: Mapping[str, Any]) -> Kicked:
    return Kicked(str(value.get("reason", "")))


def _group_system(value: Mapping[str, Any]) -> Item:
    kind = value.get("type")
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
    if value.get("type") != "verify_required":
        return Ignored(f"system_message {value.get('type')}"[:40])
    return FriendAsk(number=integer(value.get("account"), "account"), text=str(value.get("msg", "")))


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Item]] = {
    "message": _buddy,
    "group_message": _group,
    "discu_message": _discussion,
    "kick_message": _kick,
    "sys_g_msg": _group_system,
    "system_message": _system,
}
