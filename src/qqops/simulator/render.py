"""An item → what one session's poll shows of it. Source: webqq.md §10."""

from __future__ import annotations

from typing import Any

from qqops.model import At, Face, Image, Other, Segment, Text, plain
from qqops.simulator.state import Item, Session

KICK_REASON = "您的帐号在另一地点登录，您已被迫下线。如有疑问，请登录 safe.qq.com 了解更多。"

_FONT = ["font", {"size": 10, "color": "000000", "style": [0, 0, 0], "name": "\u5b8b\u4f53"}]
_TYPES = {
    "buddy": ("message", 9), "group": ("group_message", 43), "discu": ("discu_message", 42), "sess": ("sess_message", 140),
}  # fmt: skip


def render(item: Item, session: Session, now: float) -> Any:
    """Return *item* with the aliases and in the manner of *session*'s generation."""
    if item.kind == "raw":
        return item.raw
    poll_type, msg_type = _TYPES[item.kind]
    old = session.profile == "webqq2013"
    aliases = session.aliases
    value: dict[str, Any] = {"msg_id": item.msg_id, "to_uin": session.number, "time": item.time}
    value["msg_type"] = msg_type if old else 0
    if old:
        value |= {"msg_id2": item.msg_id2, "reply_ip": 176488602}
    if item.kind == "buddy":
        value["from_uin"] = aliases.uin(item.sender)
    elif item.kind == "sess":
        place = item.room if item.service else aliases.gid(item.room)
        value |= {"from_uin": aliases.uin(item.sender), "id": place, "ruin": item.sender}
        value |= {
            "service_type": item.service,
            "flags": {"text": 1, "pic": 1, "file": 1, "audio": 1, "video": 1},
        }
    elif item.kind == "group":
        gid = aliases.gid(item.room)
        value |= {"from_uin": gid, "send_uin": aliases.uin(item.sender)}
        value |= {"group_code": aliases.code(item.room) if old else gid}
        if old:
            value |= {"seq": item.seq, "info_seq": item.room}
    else:
        value |= {"did": item.room, "send_uin": aliases.uin(item.sender)}
        value["from_uin"] = 10000 if old else item.room
        if old:
            value |= {"seq": item.seq, "info_seq": 2}
    value["content"] = [_FONT, *_elements(item.segments)]
    return {"poll_type": poll_type, "value": value}


def kick_notice(session: Session) -> Any:
    """Return the item that tells a session of its end (§10.1)."""
    header = {
        "msg_id": 1,
        "from_uin": 10000,
        "to_uin": session.number,
        "msg_id2": 1,
        "msg_type": 48,
        "reply_ip": 0,
    }
    return {
        "poll_type": "kick_message",
        "value": {**header, "way": "poll", "show_reason": 1, "reason": KICK_REASON},
    }


def _elements(segments: tuple[Segment, ...]) -> list[Any]:
    """Return the content without the font; text messages end in one blank (§10.2)."""
    elements: list[Any] = []
    for segment in segments:
        if isinstance(segment, Text):
            elements.append(segment.text)
        elif isinstance(segment, Face):
            elements.append(["face", segment.id])
        elif isinstance(segment, At):
            elements.append(f"@{segment.name}")
        elif isinstance(segment, Image):
            data = dict(segment.data)
            if data.pop("kind", "cface") == "offpic":
                elements.append(["offpic", {"success": 1, "file_path": segment.id}])
            else:
                elements.append(["cface", {"name": segment.id, **data}])
        elif isinstance(segment, Other):
            elements.append([segment.kind, segment.data])
        else:
            elements.append(plain((segment,)))
    if elements and isinstance(elements[-1], str):
        elements[-1] += " "
    else:
        elements.append(" " if elements else "")
    return elements
