""" "Did you mean": names near to a command that does not exist. Quiet unless somebody clearly meant the bot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qqops.errors import Refuse
from qqops.model import RoomRef
from qqops.protocol.words import plainer, split
from qqops.runtime.registry import Handler, Hit, Mode
from qqops.texts import Say

if TYPE_CHECKING:
    from qqops.runtime.context import Context
    from qqops.runtime.routes import Node, Routes

#: Name of what says a hint; no plugin has declared it.
HINT = "did you mean"
#: Seconds between two hints in one room.
PAUSE = 10.0
#: Names that are offered at once.
_OFFERED = 3
#: Longest word that is compared, in characters.
_MAX_WORD = 32
#: Shortest word for which a hint is more than a guess: Latin words of two letters are all near to each other.
_SHORTEST, _SHORTEST_HAN = 3, 2
#: Rooms whose last hint is remembered.
_ROOMS = 1024


class Hints:
    """Finds names that differ by one slip from what was typed.

    The index of all names with one character left out is made when the first unknown command comes.

    Args:
        now: The clock, in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last: dict[RoomRef, float] = {}
        self._made_for: object = None
        self._index: dict[str, list[str]] = {}

    def hit(self, routes: Routes, text: str, start: int, room: RoomRef) -> Hit | None:
        """Return a handler that offers names near to the word at *start*; None when none is, or one was just said."""
        now = self._now()
        if now - self._last.get(room, -PAUSE) < PAUSE:
            return None
        words = split(text, start, most=1)
        if not words or words[0].quoted or words[0].start != start:
            return None
        word = plainer(words[0].text).lower()
        near = self._near(routes, word)
        if not near:
            return None
        self._last.pop(room, None)
        self._last[room] = now
        if len(self._last) > _ROOMS:
            del self._last[next(iter(self._last))]
        return Hit(_offer(routes, words[0].text, near))

    def _near(self, routes: Routes, word: str) -> list[str]:
        if not (_SHORTEST if word.isascii() else _SHORTEST_HAN) <= len(word) <= _MAX_WORD:
            return []
        if self._made_for is not routes:
            self._made_for = routes
            self._index = _index(routes.words)
        found = {name: None for form in _forms(word) for name in self._index.get(form, ())}
        return sorted(found, key=lambda name: (abs(len(name) - len(word)), name[:1] != word[:1], name))


def _index(names: Mapping[str, Node]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        if len(name) >= (_SHORTEST if name.isascii() else _SHORTEST_HAN):
            for form in _forms(name):
                found.setdefault(form, []).append(name)
    return found


def _forms(word: str) -> list[str]:
    """Return *word*, and *word* with each of its characters left out."""
    return [word, *dict.fromkeys(word[:i] + word[i + 1 :] for i in range(len(word)))]


def _offer(routes: Routes, word: str, near: list[str]) -> Handler:
    def prepare(ctx: Context, source: object) -> Callable[[], Any]:
        seen = [n for n in near if any(routes.visible(ctx, h) for h in routes.words[n].handlers())]
        if not seen:
            return _nothing
        hint = ", ".join(ctx.prefix + name for name in seen[:_OFFERED])
        raise Refuse(ctx.render(Say("refuse.unknown_command", {"word": word[:_MAX_WORD], "hint": hint})))

    plugin = next(iter(routes.words[near[0]].handlers())).plugin
    return Handler(plugin=plugin, name=HINT, where="", mode=Mode.INLINE, prepare=prepare)


def _nothing() -> None:
    return None
