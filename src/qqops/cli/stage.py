"""Where the demo and the console play: people who speak, and ways to break the connection."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from qqops.adapters.memory import MemoryNetwork
from qqops.errors import ConfigError, TransientError
from qqops.model import RoomKind

#: Told what the bot said: name of the room or person, whether it is a private chat, and the text.
Heard = Callable[[str, bool, str], None]


class Stage(Protocol):
    """A world with a bot in it."""

    def people(self) -> Sequence[str]:
        """Return who can speak."""

    def rooms(self) -> Sequence[str]:
        """Return the rooms by name."""

    def find(self, who: str, room: str) -> tuple[str, str]:
        """Return the two names as the world writes them; *room* "" is the private chat. Raises `ConfigError`."""

    def say(self, who: str, room: str, text: str) -> None:
        """Let *who* say *text* in *room*, or to the bot alone when *room* is "". Raises `ConfigError`."""

    def upset(self, what: str, arguments: str) -> str:
        """Do ``drop``, ``kick``, ``expire`` or ``faults`` and return what was done. Raises `ConfigError`."""

    def online(self) -> str:
        """Bring an account back that was kicked, where it does not come back by itself. Raises `ConfigError`."""

    def state(self) -> list[str]:
        """Return what is going on, a line each."""

    def settled(self, handled: int) -> bool:
        """Whether the bot has taken everything that was said; *handled* messages it has seen so far."""


def fault_call(arguments: str) -> dict[str, Any]:
    """Return a control call from ``close on=poll2 count=2``, ``clear``, or JSON."""
    text = arguments.strip()
    if text.startswith("{"):
        try:
            data = json.loads(text)
        except ValueError as exc:
            raise ConfigError(f"no valid JSON: {exc}") from exc
        if not isinstance(data, dict):
            raise ConfigError("the JSON must be an object")
        return data
    if not text:
        raise ConfigError("which fault?", hint=":faults close on=poll2 count=2, or :faults clear")
    first, *rest = text.split()
    if first == "clear":
        return {"clear": True}
    data = {"fault": first}
    for word in rest:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"{word!r} is not key=value")
        data[key] = _value(value)
    return data


def _value(text: str) -> Any:
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if re.fullmatch(r"-?\d*\.\d+", text):
        return float(text)
    return {"true": True, "false": False}.get(text, text)


class MemoryStage:
    """The in-memory network of ``qqops console``."""

    def __init__(self, network: MemoryNetwork, heard: Heard) -> None:
        self._network = network
        network.heard = lambda draft, ref: heard(*self._place(draft.room.kind, draft.room.id), draft.text)
        for room in ("qqops-test", "ops"):
            network.group(room, "Ali", "Bo", network.nick)

    def _place(self, kind: RoomKind, room_id: str) -> tuple[str, bool]:
        if kind is RoomKind.PRIVATE:
            return next(u.name for u in self._network.users.values() if u.id == room_id), True
        return next(r.name for r in self._network.rooms.values() if r.id == room_id), False

    def people(self) -> Sequence[str]:
        """Everybody but the bot."""
        return [name for name in self._network.users if name != self._network.nick]

    def rooms(self) -> Sequence[str]:
        """The groups."""
        return list(self._network.rooms)

    def find(self, who: str, room: str) -> tuple[str, str]:
        """See `Stage`."""
        return _named(who, self.people(), "person"), _named(room, self.rooms(), "room") if room else ""

    def say(self, who: str, room: str, text: str) -> None:
        """See `Stage`."""
        network = self._network
        network.say(who, network.rooms[room] if room else network.private(who), text)

    def upset(self, what: str, arguments: str) -> str:
        """See `Stage`. There are no packets here that could go wrong, so there are no faults."""
        if what == "faults":
            raise ConfigError(
                "the console's network has no wire to break", hint="`qqops demo` has; :drop works here"
            )
        error = {
            "drop": TransientError("the connection was dropped"),
            "kick": TransientError("kicked: another login took over", retry_after=1.0),
            "expire": TransientError("the login has expired"),
        }[what]
        if not self._network.drop(error):
            raise ConfigError("the bot is not online")
        return str(error)

    def online(self) -> str:
        """See `Stage`."""
        raise ConfigError("a kicked account comes back by itself here")

    def state(self) -> list[str]:
        """See `Stage`."""
        return [f"in-memory network: {len(self._network.sent)} sent, {self._network.pending} waiting"]

    def settled(self, handled: int) -> bool:
        """See `Stage`."""
        return not self._network.pending


def _named(name: str, known: Sequence[str], what: str) -> str:
    found = [k for k in known if k.casefold() == name.casefold()]
    if not found:
        raise ConfigError(f"there is no {what} {name!r}", hint=f"there are: {', '.join(known)}")
    return found[0]
