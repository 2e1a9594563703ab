"""What plugins have declared, as dispatch reads it: from a message to the handlers that it sets off.

`Routes` are rebuilt when something changes and swapped as a whole: reading needs no lock. What a command line is not
found by at once (groups, ``plugin:command``, names without a space, aliases) is looked for only after that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from qqops.errors import Refuse
from qqops.model import Event, Message, Room, RoomRef, Segment, Text, plain
from qqops.protocol.words import INVISIBLE, Piece, Word, plainer, split
from qqops.runtime.addressed import NAME_LIMIT, after_name, skip
from qqops.runtime.aliases import DEEPEST, Aliases
from qqops.runtime.hints import HINT, Hints
from qqops.runtime.named_rooms import NamedRooms
from qqops.runtime.registry import (
    Around,
    Command,
    Handler,
    Hit,
    Line,
    Listener,
    Mode,
    names_of,
)
from qqops.texts import Say

if TYPE_CHECKING:
    from qqops.runtime.context import Context

#: A word without quotes.
_FIRST_WORD = re.compile(r"""[^\s"'“‘「『＂＇]+(?=\s|$)""")


@attrs.define(eq=False)
class Node:
    """A word of the command table; *children* are the words that may follow."""

    command: Command | None = None
    children: dict[str, Node] = attrs.field(factory=dict)

    def handlers(self) -> Iterable[Handler]:
        """Return what can be reached from here."""
        if self.command is not None:
            yield self.command.handler
        for child in self.children.values():
            yield from child.handlers()


def table_of(commands: Iterable[tuple[tuple[str, ...], Command]]) -> dict[str, Node]:
    """Return the table of *commands* by their words; the first of one name stays."""
    words: dict[str, Node] = {}
    for name, command in commands:
        table, node = words, Node()
        for word in name:
            node = table.setdefault(word, Node())
            table = node.children
        node.command = node.command or command
    return words


#: Names that need no space after them, by their first character, the longest first.
Glued: TypeAlias = Mapping[str, Sequence[tuple[str, Command]]]


def glued_of(commands: Iterable[tuple[tuple[str, ...], Command]]) -> Glued:
    """Return those of *commands* that are declared to need no space."""
    found: dict[str, list[tuple[str, Command]]] = {}
    for name, command in sorted(commands, key=lambda item: -len(item[0][0])):
        if command.no_space and len(name) == 1 and not name[0].isascii():
            found.setdefault(name[0][0], []).append((name[0], command))
    return found


@attrs.frozen(eq=False)
class Routes:
    """The tables as dispatch reads them. Cost of a message that nobody wants: a few look-ups.

    Attributes:
        first: Every character that a command line may begin with.
        by_room: What a command begins with in single rooms, by the name or id that *rooms* has for them.
        ranks: Priority and stop of the listeners, when any has them.
        bounded: Searches for the pattern of a listener in a text that is too long to do so without a bound.
    """

    prefixes: tuple[str, ...]
    by_room: Mapping[str, tuple[str, ...]]
    rooms: NamedRooms | None
    first: frozenset[str]
    words: Mapping[str, Node]
    depth: int
    glued: Glued
    always: tuple[Listener, ...]
    at_me: tuple[Listener, ...]
    regexes: tuple[Listener, ...]
    bounded: Callable[[Listener, str], re.Match[str] | None]
    keyword_pattern: re.Pattern[str] | None
    keywords: tuple[Listener, ...]
    others: tuple[Listener, ...]
    ranks: Mapping[Handler, Listener]
    around: Around
    aliases: Aliases
    hints: Hints | None
    visible: Callable[[Context, Handler], bool]
    commands: Sequence[Command]
    _owned: dict[str, tuple[dict[str, Node], Glued]] = attrs.field(factory=dict)
    _by_class: dict[type[Event], tuple[Hit, ...]] = attrs.field(factory=dict)

    def listening(self, kind: type[Event]) -> Sequence[Hit]:
        """Return who listens to events of *kind*, no message: to that class, or to one that it is derived from."""
        found = self._by_class.get(kind)
        if found is None:
            wanted = [one for one in self.others if issubclass(kind, one.event)]
            stop = next((i for i, one in enumerate(wanted) if one.stop), len(wanted))
            found = self._by_class[kind] = tuple(Hit(one.handler) for one in wanted[: stop + 1])
        return found

    def may_concern(self, text: str, names: tuple[str, ...]) -> bool:
        """Whether a group message that is all *text* and mentions nobody might set something off.

        It says no only where `match` finds nothing, and costs less than what `match` needs to be asked.
        """
        if self.always or not text:
            return True
        first = text[0]
        if first in self.first or first in "@＠" or first.isspace():
            return True
        if names and text[:NAME_LIMIT].lower().startswith(names):
            return True
        if self.keyword_pattern is not None and self.keyword_pattern.search(text):
            return True
        length = len(text)
        for one in self.regexes:
            pattern = one.pattern
            if pattern is not None and (
                pattern.search(text) if length <= one.free else self.bounded(one, text)
            ):
                return True
        return False

    def match(self, message: Message, names: tuple[str, ...]) -> list[Hit]:
        """Return what *message* sets off: its command, then listeners, those of a higher priority first.

        Args:
            names: What people call this bot in the account of the message, in lower case.
        """
        text = message.text
        hits: list[Hit] = []
        addressed = message.at_me
        start = self._after_prefix(text, message.room)
        prefixed = start >= 0
        if not prefixed:
            start = self._after_name(message, text, names)
            addressed = addressed or start >= 0
        if start >= 0:
            command = self._line(message, text, start, prefixed)
            if command is not None:
                hits.append(command)
        heard = len(hits)
        hits.extend(Hit(listener.handler) for listener in self.always)
        if addressed:
            # Who gives a command by the bot's name has said nothing else to it.
            called = heard and hits[0].handler.name != HINT
            hits.extend(Hit(one.handler) for one in self.at_me if not called or one.also_commands)
        if self.keyword_pattern is not None and self.keyword_pattern.search(text):
            folded = text.casefold()
            hits.extend(Hit(one.handler) for one in self.keywords if any(k in folded for k in one.keywords))
        for listener in self.regexes:
            pattern = listener.pattern
            if pattern is not None and (
                found := pattern.search(text) if len(text) <= listener.free else self.bounded(listener, text)
            ):
                hits.append(Hit(listener.handler, found))
        if self.ranks and len(hits) - heard > 1:
            hits[heard:] = self._ranked(hits[heard:])
        return hits

    def _ranked(self, hits: list[Hit]) -> list[Hit]:
        """Return the listeners among *hits* by priority, up to the first that stops the others."""
        ranks = self.ranks
        hits.sort(key=lambda hit: -ranks[hit.handler].priority)
        stop = next((i for i, hit in enumerate(hits) if ranks[hit.handler].stop), len(hits))
        return hits[: stop + 1]

    def prefixed(self, text: str, room: Room) -> Hit | None:
        """Return the command that *text*, said in *room*, calls by a prefix."""
        start = self._after_prefix(text, room)
        return self.command(text, start, (), room.ref) if start >= 0 else None

    def called(self, text: str, room: Room) -> str:
        """Return the word that stands where a command's name would, after a prefix; "" when there is none."""
        start = self._after_prefix(text, room)
        words = split(text, start, most=1) if start >= 0 else ()
        return words[0].text if words else ""

    # -- where a command line begins --------------------------------------------------------------

    def _after_prefix(self, text: str, room: Room) -> int:
        """Return where the command's name begins, or -1. Most chatter ends at the first test."""
        if not text or (text[0] not in self.first and not text[0].isspace()):
            return -1
        return self._skip_prefix(text, skip(text, 0), room, -1)

    def _skip_prefix(self, text: str, start: int, room: Room, without: int) -> int:
        prefixes = self.prefixes
        if self.by_room and self.rooms is not None:
            prefixes = self.by_room.get(self.rooms.key(room), prefixes)
        for prefix in prefixes:
            if text.startswith(prefix, start):
                start += len(prefix)
                while start < len(text) and text[start] in INVISIBLE:
                    start += 1
                return start
        return without

    def _after_name(self, message: Message, text: str, names: tuple[str, ...]) -> int:
        """Return where the text after ``@bot`` or ``bot,`` and a prefix begins, or -1."""
        start = after_name(message, text, names)
        return -1 if start < 0 else self._skip_prefix(text, start, message.room, start)

    def _line(self, message: Message, text: str, start: int, prefixed: bool) -> Hit | None:
        pieces = pieces_of(message.segments, start) if len(message.segments) > 1 else ()
        room = message.room.ref
        found = self.command(text, start, pieces, room)
        if found is None and prefixed and self.hints is not None:
            return self.hints.hit(self, text, start, room)
        return found

    # -- which command it is ----------------------------------------------------------------------

    def command(
        self, text: str, start: int, pieces: tuple[Piece, ...] = (), room: RoomRef | None = None
    ) -> Hit | None:
        """Return the command whose name stands at *start*; the longest path wins."""
        if start >= len(text) or text[start].isspace():
            return None
        first = _FIRST_WORD.match(text, start, pieces[0].start if pieces else len(text))
        lone = self.words.get(first[0].lower()) if first is not None else None
        if first is not None and lone is not None and lone.command is not None and not lone.children:
            # Nearly all commands are one word.
            return Hit(lone.command.handler, Line(text, first.end(), pieces))
        return self._search(text, start, pieces, room, DEEPEST)

    def _search(
        self, text: str, start: int, pieces: tuple[Piece, ...], room: RoomRef | None, deepest: int
    ) -> Hit | None:
        words = split(text, start, pieces, most=self.depth)
        if not words or words[0].quoted or words[0].piece is not None:
            return None
        line = Line(text, start, pieces)
        found = self._walk(line, words, self.words, words[0].text.lower())
        if found is None:
            found = self._of_plugin(line, words) or self._without_space(line, self.glued)
        if found is not None:
            return found
        expansion = self.aliases.find(room, words[0].text)
        if expansion is None:
            return None
        if not deepest:
            return Hit(_says("aliases", Say("refuse.alias_loop", {"name": words[0].text})), line)
        end = words[0].end
        moved = len(expansion) - end
        shifted = tuple(attrs.evolve(p, start=p.start + moved, end=p.end + moved) for p in pieces)
        return self._search(expansion + text[end:], 0, shifted, room, deepest - 1)

    def _walk(self, line: Line, words: list[Word], table: Mapping[str, Node], first: str) -> Hit | None:
        """Follow *words* through *table*, the first of them as *first*."""
        end = line.start
        best: Hit | None = None
        group: Node | None = None
        for i, word in enumerate(words):
            node = _look_up(table, first if i == 0 else word.text.lower()) if not word.quoted else None
            if node is None or word.piece is not None:
                break
            end = word.end
            if node.command is not None:
                best = Hit(node.command.handler, attrs.evolve(line, start=end))
                group = None
            else:
                group = node
            table = node.children
        if best is None and group is not None:
            return Hit(self._group_help(line.text[line.start : end], group), attrs.evolve(line, start=end))
        return best

    def _of_plugin(self, line: Line, words: list[Word]) -> Hit | None:
        """Return the command that is meant by ``plugin:command``."""
        plugin, colon, first = plainer(words[0].text).lower().partition(":")
        if not colon or not first:
            return None
        tables = self._owned.get(plugin)
        if tables is None:
            own = [(name, c) for c in self.commands if c.handler.plugin == plugin for name in names_of(c)]
            if not own:
                return None
            tables = self._owned[plugin] = table_of(own), glued_of(own)
        found = self._walk(line, words, tables[0], first)
        if found is not None:
            return found
        after = next(i for i, sign in enumerate(words[0].text, 1) if ":" in plainer(sign))
        return self._without_space(attrs.evolve(line, start=words[0].start + after), tables[1])

    def _without_space(self, line: Line, glued: Glued) -> Hit | None:
        """Return the command whose name the line begins with, where it is declared to need no space."""
        text, start = line.text, line.start
        for name, command in glued.get(text[start].lower(), ()):
            if text[start : start + len(name)].lower() == name:
                return Hit(command.handler, attrs.evolve(line, start=start + len(name)))
        return None

    def _group_help(self, name: str, group: Node) -> Handler:
        """Return a handler that says what may follow a group's name."""

        def prepare(ctx: Context, source: object) -> Callable[[], Any]:
            seen = [
                n for n, node in group.children.items() if any(self.visible(ctx, h) for h in node.handlers())
            ]
            if not seen:
                return _nothing
            choices = ("、" if ctx.language == "zh" else ", ").join(seen)
            raise Refuse(
                ctx.render(Say("refuse.unknown_sub", {"name": split(name)[-1].text, "choices": choices}))
            )

        plugin = next(handler.plugin for handler in group.handlers())
        return Handler(plugin=plugin, name="group", where="", mode=Mode.INLINE, prepare=prepare)


def _nothing() -> None:
    return None


def _says(plugin: str, say: Say) -> Handler:
    def prepare(ctx: Context, source: object) -> Callable[[], Any]:
        raise Refuse(ctx.render(say))

    return Handler(plugin=plugin, name="says", where="", mode=Mode.INLINE, prepare=prepare)


def _look_up(table: Mapping[str, Node], word: str) -> Node | None:
    node = table.get(word)
    return node if node is not None or word.isascii() else table.get(plainer(word).lower())


def pieces_of(segments: tuple[Segment, ...], start: int) -> tuple[Piece, ...]:
    """Return where in the plain text from *start* on stands what is not text."""
    found: list[Piece] = []
    at = 0
    for segment in segments:
        length = len(plain((segment,)))
        if not isinstance(segment, Text) and at >= start and length:
            found.append(Piece(at, at + length, segment))
        at += length
    return tuple(found)
