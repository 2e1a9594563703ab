"""Messages on their way out, as requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from qqops.model import Draft, Forward, Image, Medium, Node, RoomKind, Segment, Text, plain
from qqops.protocol.onebot11 import segments
from qqops.protocol.onebot11.wire import as_id


@attrs.frozen
class Request:
    """An action and its parameters.

    Attributes:
        plainer: What says the same for who does not know the action.
    """

    action: str
    params: dict[str, Any]
    plainer: Request | None = None


def request_of(draft: Draft, temporary: Mapping[str, str], me: str = "") -> Request:
    """Return the request that sends *draft*.

    A forward is a message of its own kind: what stands beside it becomes its first or last message, said by us. Who does
    not know forwards gets all of it as text.

    Args:
        temporary: The group through which a stranger talks to us, by person.
        me: Own number.
    """
    room = draft.room
    where: dict[str, Any]
    if room.kind is RoomKind.PRIVATE:
        kind, where = "private", {"user_id": as_id(room.id)}
        through = temporary.get(room.id)
        if through is not None:
            where["group_id"] = as_id(through)
    else:
        kind, where = "group", {"group_id": as_id(room.id)}
    quoted = draft.reply_to.id if draft.reply_to is not None and draft.reply_to.room == room else ""
    nodes = _nodes(draft.segments, me)
    if not nodes:
        where["message"] = segments.write(draft.segments, quoted)
        return Request(f"send_{kind}_msg", where)
    listed = segments.write(
        (Text("\n".join(f"{n.name or n.sender}: {plain(n.segments)}" for n in nodes)),), quoted
    )
    plainer = Request(f"send_{kind}_msg", {**where, "message": listed})
    return Request(f"send_{kind}_forward_msg", {**where, "messages": segments.write_nodes(nodes)}, plainer)


def _nodes(parts: tuple[Segment, ...], me: str) -> tuple[Node, ...]:
    """Return the messages of a forward with what stands beside it; () when there is no forward to send."""
    if not any(isinstance(part, Forward) and part.nodes for part in parts):
        return ()
    nodes: list[Node] = []
    beside: list[Segment] = []
    for part in parts:
        if isinstance(part, Forward) and part.nodes:
            if beside:
                nodes.append(Node(me, me, tuple(beside)))
                beside = []
            nodes += part.nodes
        else:
            beside.append(part)
    if beside:
        nodes.append(Node(me, me, tuple(beside)))
    return tuple(nodes)


def is_heavy(draft: Draft) -> bool:
    """Whether a send carries contents of its own, which take long to put in place and to arrive."""
    return any(_is_heavy(segment) for segment in draft.segments)


def _is_heavy(segment: Segment) -> bool:
    if type(segment) is Text:
        return False
    if isinstance(segment, Forward):
        return any(_is_heavy(one) for node in segment.nodes for one in node.segments)
    if isinstance(segment, Medium):
        return bool(segment.content) or segment.url.startswith("file://") or not isinstance(segment, Image)
    return False
