"""Drafts → messages of the platform. Pure but for the uploads it asks for. Source: qq-official.md §5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from qqops import (
    At,
    AtAll,
    Capabilities,
    Draft,
    File,
    Forward,
    Image,
    Medium,
    Other,
    Recall,
    RoomKind,
    RoomRef,
    Segment,
    Text,
    Video,
    Voice,
)
from qqops_qqofficial.events import CHANNEL, DM
from qqops_qqofficial.passive import MAX_REPLIES

#: Seconds within which a message can be answered.
PRIVATE_WINDOW, WINDOW = 3600.0, 300.0


def path_of(room: RoomRef) -> str:
    """Return where messages to *room* go."""
    if room.id.startswith(CHANNEL):
        return f"/channels/{room.id.removeprefix(CHANNEL)}/messages"
    if room.id.startswith(DM):
        return f"/dms/{room.id.removeprefix(DM)}/messages"
    return f"/v2/{'users' if room.kind is RoomKind.PRIVATE else 'groups'}/{room.id}/messages"


def in_guild(room: RoomRef) -> bool:
    """Whether *room* is a channel or a private chat of a guild, where other fields count."""
    return room.id.startswith((CHANNEL, DM))


def window_of(room: RoomRef) -> float:
    """Return the seconds within which a message there can be answered."""
    private = room.kind is RoomKind.PRIVATE and not room.id.startswith(DM)
    return PRIVATE_WINDOW - 10 if private else WINDOW - 5


def capabilities(kind: RoomKind, max_bytes: int) -> Capabilities:
    """Return what the platform takes in rooms of *kind*."""
    media = {Image, Video, Voice, File}
    return Capabilities(
        actions=frozenset({Recall}),
        segments=frozenset({Text, At, AtAll, Forward, Other} | media),
        max_bytes=max_bytes,
        max_parts=MAX_REPLIES,
    )


def body_of(draft: Draft) -> dict[str, Any]:
    """Return the message but for its pictures and files."""
    guild = in_guild(draft.room)
    body: dict[str, Any] = {"content": said(draft.segments, guild=guild)}
    for segment in draft.segments:
        if isinstance(segment, Other) and segment.kind in ("markdown", "keyboard", "ark", "embed"):
            body[segment.kind] = segment.data
    if not guild:
        body["msg_type"] = 2 if "markdown" in body else 3 if "ark" in body else 4 if "embed" in body else 0
    if draft.reply_to is not None and guild:
        body["message_reference"] = {"message_id": draft.reply_to.id}
    return body


def said(segments: Sequence[Segment], *, guild: bool) -> str:
    """Return the text of a message with its mentions."""
    parts: list[str] = []
    for segment in segments:
        if isinstance(segment, Text):
            parts.append(_escaped(segment.text) if guild else segment.text)
        elif isinstance(segment, At):
            parts.append(f"<@!{segment.person.id}>" if guild else f"<@{segment.person.id}>")
        elif isinstance(segment, AtAll):
            parts.append("@everyone" if guild else "<qqbot-at-everyone />")
        elif isinstance(segment, Forward):
            parts += [f"{node.name}: {said(node.segments, guild=guild)}\n" for node in segment.nodes]
    return "".join(parts)


def _escaped(text: str) -> str:
    """Keep plain text from being read as markup of guilds."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def one_medium_each(draft: Draft) -> list[Draft]:
    """Return *draft* in parts with at most one picture or file each; text goes with the one that follows it."""
    parts: list[list[Segment]] = [[]]
    for segment in draft.segments:
        medium = isinstance(segment, Medium)
        if medium and any(isinstance(one, Medium) for one in parts[-1]):
            parts.append([])
        parts[-1].append(segment)
    return [attrs.evolve(draft, segments=tuple(part)) for part in parts]


def media_of(draft: Draft) -> list[tuple[int, Medium]]:
    """Return pictures and files, each with its kind in the platform's numbers."""
    kinds: dict[type[Any], int] = {Image: 1, Video: 2, Voice: 3, File: 4}
    return [(kinds[type(s)], s) for s in draft.segments if isinstance(s, Medium)]
