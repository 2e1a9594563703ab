"""Sends, and what the service did with some of them. Source: webqq.md §11, §12.4."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from qqops.errors import ProtocolError
from qqops.model import Image, Segment, Text, plain
from qqops.protocol.webqq.content import decode
from qqops.protocol.webqq.wire import too_deep
from qqops.simulator.calendar import Era
from qqops.simulator.channel import Channel
from qqops.simulator.faults import Faults
from qqops.simulator.state import SentLine, Session, State, name_of
from qqops.simulator.wire import Asked, Reply, code, json_reply, result

#: Seconds in which sends count as one burst.
BURST = 10.0


class Sends:
    """The sends of the channel host."""

    def __init__(self, state: State, faults: Faults, channel: Channel, era: Callable[[str], Era]) -> None:
        self._state = state
        self._faults = faults
        self._channel = channel
        self._era = era
        self._last: dict[tuple[int, str, int], str] = {}
        self._times: dict[int, list[float]] = {}
        self._locked: dict[int, float] = {}

    def routes(self) -> Mapping[str, object]:
        """Return handler by path."""
        return {
            "/channel/send_buddy_msg2": lambda asked, now: self._send(asked, now, "buddy", "to"),
            "/channel/send_qun_msg2": lambda asked, now: self._send(asked, now, "group", "group_uin"),
            "/channel/send_discu_msg2": lambda asked, now: self._send(asked, now, "discu", "did"),
            "/channel/send_sess_msg2": lambda asked, now: self._send(asked, now, "sess", "to"),
        }

    def _send(self, asked: Asked, now: float, kind: str, field: str) -> Reply:
        session = self._channel.session(asked)
        if isinstance(session, Reply):
            return session
        if session.code:
            return self._channel.ended(session)
        number = self._target(session, kind, asked.number(field))
        content = _content(asked)
        if not number or content is None or (kind == "sess" and not self._is_signed(session, asked, number)):
            return code(100001)
        fault = self._faults.find(asked.path, frozenset({"1202"}))
        if fault is None or fault.delivered:
            self._deliver(session, kind, number, content, now)
        if fault is not None:
            return json_reply({"errmsg": "error!!!", "retcode": 1202})
        match self._era(session.profile).send_code:
            case "result":
                return result("ok")
            case "errCode":
                return json_reply({"errCode": 0, "msg": "send ok"})
        # With both names of the code every client is content (§13.10).
        return json_reply({"retcode": 0, "errCode": 0, "msg": "send ok"})

    def _target(self, session: Session, kind: str, alias: int) -> int:
        world, aliases = self._state.world, session.aliases
        if kind == "group":
            return aliases.real(aliases.gids, alias)
        if kind == "discu":
            return alias if alias in world.discussions else 0
        number = aliases.real(aliases.people, alias)
        friend = number in world.people[session.number].friends
        return (
            number if friend == (kind == "buddy") else 0
        )  # strangers are written to through send_sess (§11)

    def _is_signed(self, session: Session, asked: Asked, number: int) -> bool:
        """Whether a message to a stranger has the signature for just that person and way (§11)."""
        signature = asked.value("group_sig")
        made_for = session.signatures.get(signature)
        return made_for == (number, asked.number("service_type")) or (
            self._channel.lenient and bool(signature)
        )

    def _deliver(self, session: Session, kind: str, number: int, content: list[object], now: float) -> None:
        try:
            segments = decode(
                [_received(e) for e in content if not (isinstance(e, list) and e and e[0] == "font")]
            )
        except ProtocolError:
            segments = ()
        segments = tuple(self._with_content(segment) for segment in segments)
        kept = self._limits(session, kind, number, segments, now)
        if kept is None:
            self._state.swallowed += 1
            return
        self._state.sent.append(
            SentLine(
                account=session.number,
                kind=kind,
                room=number,
                name=name_of(self._state.world, "buddy" if kind == "sess" else kind, number),
                text=plain(kept),
                segments=kept,
                time=now,
            )
        )
        self._state.say(session.number, "buddy" if kind == "sess" else kind, number, kept, now)

    def _with_content(self, segment: Segment) -> Segment:
        if isinstance(segment, Image) and segment.id in self._state.pictures_held:
            return Image(segment.id, segment.data, self._state.pictures_held[segment.id])
        return segment

    def _limits(
        self, session: Session, kind: str, number: int, segments: tuple[Segment, ...], now: float
    ) -> tuple[Segment, ...] | None:
        """Return what people get to see, or None for nothing at all: each of these answers is "ok" (§12.4)."""
        path = {"buddy": "send_buddy_msg2", "group": "send_qun_msg2", "discu": "send_discu_msg2"}.get(
            kind, "send_sess"
        )
        text, key = plain(segments), (session.number, kind, number)
        before, self._last[key] = self._last.get(key), text
        if before == text and self._find(path, "equal") is not None:
            return None
        if kind == "group" and (rule := self._find(path, "new-ip")) and now - session.born < rule.seconds:
            return None
        if (rule := self._find(path, "spam")) is not None:
            times = self._times.setdefault(session.number, [])
            times[:] = [t for t in times if now - t < BURST] + [now]
            if len(times) > rule.most:
                self._locked[session.number] = now + rule.seconds
            if self._locked.get(session.number, 0.0) > now:
                return None
        if len(text.encode("utf-8", "replace")) > 720 and (rule := self._find(path, "cut")) is not None:
            return (Text(text.encode("utf-8", "replace")[:720].decode("utf-8", "ignore")),)
        return segments

    def _find(self, path: str, fault: str) -> Any:
        return self._faults.find(path, frozenset({fault}))


def _received(element: object) -> object:
    """Return an element of a send as receivers get it: pictures are written differently there (§10.2, §11)."""
    match element:
        case ["cface", "group", str(name)]:
            return ["cface", {"name": name, "file_id": 1, "key": "", "server": "124.115.1.1:8000"}]
        case ["offpic", str(path), *_]:
            return ["offpic", {"success": 1, "file_path": path}]
    return element


def _content(asked: Asked) -> list[object] | None:
    """Return the content array of a send, or None when it is not acceptable.

    It is JSON within JSON, the font comes last, and there must be at least one text (§11).
    """
    try:
        content = json.loads(str(asked.r.get("content", "")))
    except (ValueError, RecursionError):
        return None
    if (
        not isinstance(content, list)
        or too_deep(content)
        or not content
        or not any(isinstance(e, str) for e in content)
    ):
        return None
    last = content[-1]
    return content if isinstance(last, list) and last[:1] == ["font"] else None
