"""One account, logged in by an implementation: events out, actions in. Pure but for the clock it is given."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from qqops.errors import ConfigError
from qqops.model import Clock
from qqops.protocol.onebot11.wire import text
from qqops.simulator.onebot.makes import MAKES, Make
from qqops.simulator.world import Group, Person, World, default_world

#: A JSON object.
Frame = dict[str, Any]
#: Forms in which messages can come; which one it is a user chooses, and an implementation has one that is usual.
FORMATS = ("usual", "array", "string")
#: What heartbeats say of the time between them. Some say nothing of use. Source: onebot11.md §2.
INTERVALS = ("usual", "zero", "missing", "empty")
#: Messages that are remembered for ``get_msg`` and ``delete_msg``.
REMEMBERED = 5000


@attrs.frozen(kw_only=True)
class Said:
    """A message as it was said, by people or by the bot.

    Attributes:
        kind: ``group`` or ``buddy``.
        room: Group number, or the other person's number.
        segments: The array form.
    """

    id: int
    kind: str
    sender: int
    room: int
    segments: tuple[Frame, ...]
    time: float

    @property
    def text(self) -> str:
        """What a person reads."""
        return plain(self.segments)


class Implementation:
    """What an implementation knows and does.

    Args:
        flavor: Which implementation it is: a key of `MAKES`.
        number: The account's number; 0 for the first account of the world.
        message_format: One of `FORMATS`.
        interval: One of `INTERVALS`.

    Attributes:
        push: Told each event; whoever holds the connections sends it on.
        sent: What the bot has said and people see, oldest first.
        swallowed: What the bot has said and nobody sees.
        swallowing: Whether nobody sees what the bot says now.
        done: Actions that changed something: name and parameters.
        online: Whether QQ itself has the account online.
        injected: Messages that were said to the bot.
    """

    message_format = "usual"
    interval = "usual"

    def __init__(
        self,
        clock: Clock,
        world: World | None = None,
        flavor: str = "napcat",
        number: int = 0,
        seed: int = 0,
        *,
        message_format: str = "usual",
        interval: str = "usual",
    ) -> None:
        if flavor not in MAKES:
            raise ConfigError(f"unknown flavor {flavor!r}", hint=f"one of: {', '.join(MAKES)}")
        self.choose(message_format=message_format, interval=interval)
        self.make: Make = MAKES[flavor]
        self.world = world or default_world()
        self.me: Person = self.world.person(number) if number else self.world.bots[0]
        self.push: Callable[[Frame], None] = lambda frame: None
        self.heard: Callable[[Said], None] = lambda said: None
        self.sent: list[Said] = []
        self.swallowed: list[Said] = []
        self.swallowing = False
        self.done: list[Frame] = []
        self.online = True
        self.injected = 0
        self.messages: OrderedDict[int, Said] = OrderedDict()
        self.nodes: dict[str, list[Frame]] = {}
        self._clock = clock
        self._rng = random.Random(seed)

    def choose(self, *, message_format: str = "", interval: str = "") -> None:
        """Take over what a user of the implementation sets; "" leaves it as it is. Raises `ConfigError`."""
        for what, value, known in (("format", message_format, FORMATS), ("interval", interval, INTERVALS)):
            if value and value not in known:
                raise ConfigError(f"unknown {what} {value!r}", hint=f"one of: {', '.join(known)}")
        self.message_format = message_format or self.message_format
        self.interval = interval or self.interval

    def now(self) -> float:
        """Return this moment in Unix seconds."""
        return self._clock.now().timestamp()

    def next_id(self) -> int:
        """Return an id that was not given before."""
        while True:
            found = self._rng.getrandbits(31) or 1
            found = -found if self.make.negative and self._rng.random() < 0.5 else found
            if found not in self.messages:
                return found

    def remember(self, said: Said) -> None:
        """Keep *said* for a while."""
        self.messages[said.id] = said
        if len(self.messages) > REMEMBERED:
            self.messages.popitem(last=False)

    # -- events ---------------------------------------------------------------------------------

    def event(self, post_type: str, **fields: Any) -> Frame:
        """Return an event of this account."""
        return {"time": int(self.now()), "self_id": self.me.number, "post_type": post_type, **fields}

    def lifecycle(self, kind: str = "connect") -> Frame:
        """Return what opens the event side, or announces its end (``disable``)."""
        return self.event("meta_event", meta_event_type="lifecycle", sub_type=kind)

    def heartbeat(self) -> Frame:
        """Return a sign of life."""
        status = {"online": self.online, "good": self.online}
        event = self.event("meta_event", meta_event_type="heartbeat", status=status)
        said: dict[str, Frame] = {"zero": {"interval": 0}, "empty": {"interval": ""}, "missing": {}}
        return event | said.get(self.interval, {"interval": int(self.make.heartbeat * 1000)})

    def say(self, sender: Person, group: Group | None, segments: Sequence[Frame]) -> Said:
        """Let *sender* say something in *group*, or to the bot alone, and push the event."""
        said = Said(
            id=self.next_id(), kind="group" if group else "buddy", sender=sender.number,
            room=group.number if group else sender.number, segments=tuple(segments), time=self.now(),
        )  # fmt: skip
        self.remember(said)
        self.injected += 1
        self.push(self.message(said))
        return said

    def message(self, said: Said) -> Frame:
        """Return the event that *said* is."""
        sender = self.world.people[said.sender]
        strings = self.make.text if self.message_format == "usual" else self.message_format == "string"
        shown = cq_string(said.segments) if strings else list(said.segments)
        event = self.event(
            "message", message_id=said.id, user_id=said.sender, message=shown, font=14,
            raw_message=cq_string(said.segments),
            sender={"user_id": said.sender, "nickname": sender.nick, "card": "", "role": "member"},
        )  # fmt: skip
        if not self.make.text:
            event["message_format"] = "string" if strings else "array"
        if said.kind == "group":
            group = self.world.groups[said.room]
            event["sender"]["card"] = group.cards.get(said.sender, "")
            event["sender"]["role"] = self.role(group, said.sender)
            return event | {
                "message_type": "group",
                "sub_type": "normal",
                "group_id": group.number,
                "anonymous": None,
            }
        return event | {"message_type": "private", "sub_type": "friend"}

    def role(self, group: Group, number: int) -> str:
        """Return what a member is in a group."""
        return "owner" if group.owner == number else "member"

    def notice(self, kind: str, **fields: Any) -> None:
        """Push a notice."""
        self.push(self.event("notice", notice_type=kind, **fields))

    # -- what people see ------------------------------------------------------------------------

    def speak(self, kind: str, room: int, segments: Sequence[Frame]) -> Said:
        """Let the bot say something; everybody in the room sees it, unless it is swallowed."""
        said = Said(
            id=self.next_id(), kind=kind, sender=self.me.number, room=room, segments=tuple(segments), time=self.now()
        )  # fmt: skip
        self.remember(said)
        if self.swallowing:
            self.swallowed.append(said)
        else:
            self.sent.append(said)
            self.heard(said)
        return said

    def name_of(self, kind: str, number: int) -> str:
        """Return what a group or person is called."""
        if kind == "group":
            return self.world.groups[number].name if number in self.world.groups else str(number)
        return self.world.people[number].nick if number in self.world.people else str(number)


def plain(segments: Sequence[Mapping[str, Any]]) -> str:
    """Return what a person reads of an array."""
    words = []
    for one in segments:
        kind, data = one.get("type"), one.get("data") or {}
        if kind == "text":
            words.append(text(data.get("text")))
        elif kind == "at":
            words.append(f"@{text(data.get('name')) or text(data.get('qq'))} ")
        elif kind != "reply":
            words.append(f"[{kind}]")
    return "".join(words)


def cq_string(segments: Sequence[Mapping[str, Any]]) -> str:
    """Return the string form of an array (§4)."""
    return "".join(_cq(one) for one in segments)


def _cq(segment: Mapping[str, Any]) -> str:
    kind, data = segment.get("type"), segment.get("data") or {}
    if kind == "text":
        return _escape(text(data.get("text")))
    pairs = "".join(f",{key}={_escape(text(value)).replace(',', '&#44;')}" for key, value in data.items())
    return f"[CQ:{kind}{pairs}]"


def _escape(value: str) -> str:
    return value.replace("&", "&amp;").replace("[", "&#91;").replace("]", "&#93;")
