"""Names that people give to command lines while the bot runs.

An alias is only another way to type a line: what it stands for is looked up like anything else that is typed, and
stands before the same gate. A command always wins over an alias of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs
import structlog

from qqops.errors import StoreError
from qqops.model import RoomRef
from qqops.protocol.words import plainer, split
from qqops.runtime.storage.keep import Keep, MemoryKeep

log = structlog.get_logger("qqops.aliases")

#: How often an alias may lead to another one.
DEEPEST = 8
#: Most aliases of one room, and most that hold everywhere.
MAX_ALIASES = 200
#: Longest name and longest line, in characters.
MAX_NAME, MAX_LINE = 32, 500


@attrs.frozen
class Alias:
    """One alias; *room* is where it holds, None for everywhere."""

    name: str
    line: str
    room: RoomRef | None = None


class Aliases:
    """The aliases of one bot.

    Args:
        keep: Where they outlive the process.

    Attributes:
        is_command: Whether a word begins a command already.
        leads_somewhere: Whether a line, typed in a room, is a command.
    """

    def __init__(self, keep: Keep | None = None) -> None:
        self._keep = keep or MemoryKeep()
        self.is_command: Callable[[str], bool] = lambda word: False
        self.leads_somewhere: Callable[[RoomRef | None, str], bool] = lambda room, line: True
        self._by_room: dict[RoomRef | None, dict[str, Alias]] = {}

    def restore(self) -> None:
        """Take over what an earlier run has kept; what cannot be read is named in the log and left alone."""
        from qqops.runtime.storage import codec

        try:
            found = self._keep.load()
        except StoreError as exc:
            log.error("the aliases cannot be read: there are none", reason=str(exc))  # noqa: TRY400
            return
        for key, text in found.items():
            try:
                self.load([codec.load_value(str(text), Alias)])
            except StoreError:
                log.exception("an alias cannot be taken up", alias=key)

    def load(self, aliases: Iterable[Alias]) -> None:
        """Take over *aliases* as they are."""
        for alias in aliases:
            self._by_room.setdefault(alias.room, {})[_key(alias.name)] = alias

    def find(self, room: RoomRef | None, word: str) -> str | None:
        """Return the line that *word* stands for in *room*; the room's own come first."""
        if not self._by_room:
            return None
        key = _key(word)
        for where in (room, None):
            alias = self._by_room.get(where, {}).get(key)
            if alias is not None:
                return alias.line
        return None

    def in_room(self, room: RoomRef | None) -> Sequence[Alias]:
        """Return what was given in *room* (None: everywhere), by name."""
        return sorted(self._by_room.get(room, {}).values(), key=lambda alias: alias.name)

    def add(self, alias: Alias) -> str:
        """Add or replace *alias*; return "" or why not: ``name``, ``line``, ``taken``, ``many``, ``loop``, ``nowhere``."""
        words = split(alias.name)
        if len(words) != 1 or words[0].text != alias.name or len(alias.name) > MAX_NAME or ":" in alias.name:
            return "name"
        if not alias.line.strip() or len(alias.line) > MAX_LINE:
            return "line"
        if self.is_command(_key(alias.name)):
            return "taken"
        table = self._by_room.setdefault(alias.room, {})
        if len(table) >= MAX_ALIASES and _key(alias.name) not in table:
            return "many"
        if self._loops(alias):
            return "loop"
        if not self.leads_somewhere(alias.room, alias.line):
            return "nowhere"
        from qqops.runtime.storage import codec

        table[_key(alias.name)] = alias
        self._keep.save(_place(alias.room, alias.name), codec.dump_value(alias))
        return ""

    def remove(self, room: RoomRef | None, name: str) -> Alias | None:
        """Forget an alias and return it; None when there is none."""
        alias = self._by_room.get(room, {}).pop(_key(name), None)
        if alias is not None:
            self._keep.delete(_place(room, name))
        return alias

    def _loops(self, alias: Alias) -> bool:
        """Whether *alias* would lead back to its own name, or too far."""
        line: str | None = alias.line
        for _ in range(DEEPEST):
            first = split(line or "", most=1)
            if not first or self.is_command(_key(first[0].text)):
                return False
            if _key(first[0].text) == _key(alias.name):
                return True
            line = self.find(alias.room, first[0].text)
            if line is None:
                return False
        return True


def _place(room: RoomRef | None, name: str) -> str:
    """Return the key under which an alias is kept."""
    return f"{room if room is not None else ''} {_key(name)}"


def _key(word: str) -> str:
    return plainer(word).lower()
