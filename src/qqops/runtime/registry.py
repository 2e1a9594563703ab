"""What plugins have declared: one table per kind, and the compiled form that dispatch reads.

Records are plain values that the plugin floor fills in; this module knows no plugin. The compiled
`Routes` are rebuilt when something changes and swapped as a whole: reading needs no lock.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from qqops.errors import PluginError, Refuse
from qqops.model import At, Event, Message
from qqops.protocol.words import split
from qqops.runtime.agenda import Schedule
from qqops.texts import Say

if TYPE_CHECKING:
    from qqops.runtime.context import Context


class Mode(enum.Enum):
    """How a handler is run."""

    #: ``async def``: in the task.
    ASYNC = "async"
    #: ``def``: in a worker thread, so that blocking code cannot freeze the bot.
    THREAD = "thread"
    #: ``def`` declared ``inline=True``: called in place; for quick, pure functions.
    INLINE = "inline"


@attrs.frozen
class Line:
    """A command line: the whole text, and where the words after the command's name begin."""

    text: str
    start: int


#: Longest part of a message that is searched for the bot's name, in characters.
NAME_LIMIT = 64

#: What a handler was matched by: a command line, a regular expression's match, or nothing special.
Source: TypeAlias = Line | re.Match[str] | None

#: Turns context and source into a call without arguments; converts words. May raise `Refuse`.
Prepare: TypeAlias = Callable[["Context", Source], Callable[[], Any]]

#: A filter: gets the context and the rest of the chain.
FilterCall: TypeAlias = Callable[["Context", Callable[[], Awaitable[None]]], Awaitable[None]]


@attrs.frozen(kw_only=True, eq=False)
class Handler:
    """A function of a plugin, ready to be run.

    Attributes:
        where: ``file:line`` of the function.
        timeout: Seconds it may take, or None for the setting's value.
        at_least_once: Whether it is started again when the bot was killed while it ran.
    """

    plugin: str
    name: str
    where: str
    mode: Mode
    prepare: Prepare
    timeout: float | None = None
    at_least_once: bool = False
    key: str = attrs.field(init=False)

    @key.default
    def _plugin_and_name(self) -> str:
        return f"{self.plugin}:{self.name}"


@attrs.frozen(kw_only=True, eq=False)
class Command:
    """A command: ``path`` are its words, ``("flag", "set")`` for a command of a group."""

    path: tuple[str, ...]
    aliases: tuple[str, ...]
    handler: Handler
    summary: str
    usage: str
    help: str = ""


class Trigger(enum.Enum):
    """What a listener of messages looks for."""

    ANY = "any"
    REGEX = "regex"
    KEYWORD = "keyword"
    AT_ME = "at me"


@attrs.frozen(kw_only=True, eq=False)
class Listener:
    """Reacts to an event class; messages may be narrowed down by a trigger."""

    event: type[Any]
    handler: Handler
    trigger: Trigger = Trigger.ANY
    pattern: re.Pattern[str] | None = None
    keywords: tuple[str, ...] = ()


@attrs.frozen(kw_only=True, eq=False)
class Filter:
    """Wraps the handlers of all plugins; the lowest *order* is outermost."""

    plugin: str
    name: str
    where: str
    order: int
    call: FilterCall


@attrs.frozen(kw_only=True, eq=False)
class Job:
    """A function that runs by the clock."""

    name: str
    schedule: Schedule
    handler: Handler


@attrs.frozen
class Hit:
    """A handler that shall run, and what it was matched by."""

    handler: Handler
    source: Source = None


@attrs.define(eq=False)
class Node:
    """A word of the command table; *children* are the words that may follow."""

    command: Command | None = None
    children: dict[str, Node] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Routes:
    """The tables as dispatch reads them. Cost of a message that nobody wants: a few look-ups."""

    prefixes: tuple[str, ...]
    first: frozenset[str]
    words: Mapping[str, Node]
    always: tuple[Listener, ...]
    at_me: tuple[Listener, ...]
    regexes: tuple[Listener, ...]
    keyword_pattern: re.Pattern[str] | None
    keywords: tuple[Listener, ...]
    others: Mapping[type[Any], tuple[Listener, ...]]
    filters: tuple[Filter, ...]

    def match_event(self, event: Event) -> list[Hit]:
        """Return who listens to an event that is no message."""
        return [Hit(listener.handler) for listener in self.others.get(type(event), ())]

    def match(self, message: Message, names: tuple[str, ...]) -> list[Hit]:
        """Return what *message* sets off: its command, then listeners in order of registration.

        Args:
            names: What people call this bot in the account of the message, in lower case.
        """
        text = message.text
        hits: list[Hit] = []
        addressed = message.at_me
        start = self._after_prefix(text)
        if start < 0:
            start = self._after_name(message, text, names)
            addressed = addressed or start >= 0
        if start >= 0:
            found = self.command(text, start)
            if found is not None:
                hits.append(found)
        hits.extend(Hit(listener.handler) for listener in self.always)
        if addressed:
            hits.extend(Hit(listener.handler) for listener in self.at_me)
        if self.keyword_pattern is not None and self.keyword_pattern.search(text):
            folded = text.casefold()
            hits.extend(Hit(one.handler) for one in self.keywords if any(k in folded for k in one.keywords))
        for listener in self.regexes:
            pattern = listener.pattern
            if pattern is not None and (found_match := pattern.search(text)):
                hits.append(Hit(listener.handler, found_match))
        return hits

    def _after_prefix(self, text: str) -> int:
        """Return where the command's name begins, or -1. Most chatter ends at the first test."""
        if not text or (text[0] not in self.first and not text[0].isspace()):
            return -1
        start = len(text) - len(text.lstrip())
        for prefix in self.prefixes:
            if text.startswith(prefix, start):
                return start + len(prefix)
        return -1

    def _after_name(self, message: Message, text: str, names: tuple[str, ...]) -> int:
        """Return where the text after ``@bot`` or ``bot,`` begins, or -1."""
        start = -1
        if message.at_me and isinstance(message.segments[0] if message.segments else None, At):
            first = message.segments[0]
            start = len(f"@{first.name or first.person.id}") if isinstance(first, At) else -1
        elif text and names:
            bare = text[1:] if text[0] in "@＠" else text
            folded = bare[:NAME_LIMIT].lower()
            if folded.startswith(names):
                name = max((n for n in names if folded.startswith(n)), key=len)
                after = bare[len(name) : len(name) + 1]
                if not after or after.isspace() or after in ",，:：、/／":
                    start = len(text) - len(bare) + len(name)
        if start < 0:
            return -1
        while start < len(text) and (text[start].isspace() or text[start] in ",，:：、"):
            start += 1
        for prefix in self.prefixes:
            if text.startswith(prefix, start):
                return start + len(prefix)
        return start

    def command(self, text: str, start: int) -> Hit | None:
        """Return the command whose name stands at *start*; the longest path wins."""
        if start >= len(text) or text[start].isspace():
            return None
        words = split(text, start)[:8]
        node: Node | None = None
        table: Mapping[str, Node] = self.words
        end = start
        best: Hit | None = None
        group: Node | None = None
        for word in words:
            node = table.get(word.text.lower()) if not word.quoted else None
            if node is None:
                break
            end = word.end
            if node.command is not None:
                best = Hit(node.command.handler, Line(text, end))
                group = None
            else:
                group = node
            table = node.children
        if best is None and group is not None:
            return Hit(_group_help(text, end, group), Line(text, end))
        return best


def _group_help(text: str, end: int, group: Node) -> Handler:
    """Return a handler that says what may follow a group's name."""

    def prepare(ctx: Context, source: Source) -> Callable[[], Any]:
        choices = "、".join(group.children) if ctx.language == "zh" else ", ".join(group.children)
        name = split(text[:end])[-1].text
        raise Refuse(ctx.render(Say("refuse.unknown_sub", {"name": name, "choices": choices})))

    plugin = next(c.command.handler.plugin for c in _leaves(group) if c.command is not None)
    return Handler(plugin=plugin, name="group", where="", mode=Mode.INLINE, prepare=prepare)


def _leaves(node: Node) -> Iterable[Node]:
    if node.command is not None:
        yield node
    for child in node.children.values():
        yield from _leaves(child)


class Registry:
    """All declarations of one bot, each stamped with the plugin that made it."""

    def __init__(self, prefixes: tuple[str, ...] = ("/", "／")) -> None:
        self.prefixes = prefixes
        self.commands: list[Command] = []
        self.listeners: list[Listener] = []
        self.filters: list[Filter] = []
        self.jobs: list[Job] = []

    def add(
        self,
        *,
        commands: Iterable[Command] = (),
        listeners: Iterable[Listener] = (),
        filters: Iterable[Filter] = (),
        jobs: Iterable[Job] = (),
    ) -> None:
        """Add the declarations of one plugin: all of them, or none.

        Raises:
            PluginError: A command's name or alias is taken.
        """
        commands = list(commands)
        taken = {name: c for c in self.commands for name in names_of(c)}
        for command in commands:
            for name in names_of(command):
                other = taken.setdefault(name, command)
                if other is not command:
                    raise PluginError(
                        f"the command {' '.join(name)!r} is taken by {other.handler.plugin!r} ({other.handler.where})",
                        plugin=command.handler.plugin,
                        where=command.handler.where,
                    )
        self.commands += commands
        self.listeners += listeners
        self.filters += filters
        self.jobs += jobs

    def drop(self, plugin: str) -> None:
        """Forget everything that *plugin* declared."""
        self.commands = [c for c in self.commands if c.handler.plugin != plugin]
        self.listeners = [one for one in self.listeners if one.handler.plugin != plugin]
        self.filters = [f for f in self.filters if f.plugin != plugin]
        self.jobs = [j for j in self.jobs if j.handler.plugin != plugin]

    def compile(self) -> Routes:
        """Return the tables for dispatch."""
        words: dict[str, Node] = {}
        for command in self.commands:
            for name in names_of(command):
                table, node = words, Node()
                for word in name:
                    node = table.setdefault(word, Node())
                    table = node.children
                node.command = command
        messages = [one for one in self.listeners if one.event is Message]
        keywords = tuple(one for one in messages if one.trigger is Trigger.KEYWORD)
        alternatives = sorted({re.escape(k) for one in keywords for k in one.keywords}, key=len, reverse=True)
        others: dict[type[Any], tuple[Listener, ...]] = {}
        for one in self.listeners:
            if one.event is not Message:
                others[one.event] = (*others.get(one.event, ()), one)
        return Routes(
            prefixes=tuple(sorted(self.prefixes, key=len, reverse=True)),
            first=frozenset(p[0] for p in self.prefixes if p),
            words=words,
            always=tuple(one for one in messages if one.trigger is Trigger.ANY),
            at_me=tuple(one for one in messages if one.trigger is Trigger.AT_ME),
            regexes=tuple(one for one in messages if one.trigger is Trigger.REGEX),
            keyword_pattern=re.compile("|".join(alternatives), re.IGNORECASE) if alternatives else None,
            keywords=keywords,
            others=others,
            filters=tuple(sorted(self.filters, key=lambda f: f.order)),
        )


def names_of(command: Command) -> list[tuple[str, ...]]:
    """Return every word sequence that calls *command*, in lower case.

    An alias of one word replaces the whole path: the alias ``部署`` of ``deploy run`` is ``/部署``.
    """
    return [tuple(w.lower() for w in command.path), *((alias.lower(),) for alias in command.aliases)]
