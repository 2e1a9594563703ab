"""What plugins have declared: one table per kind.

Records are plain values that the plugin floor fills in; this module knows no plugin. How a message is matched
with them is the business of `qqops.runtime.routes`.
"""

from __future__ import annotations

import datetime
import enum
import itertools
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import structlog

from qqops.errors import PluginError
from qqops.protocol.words import Piece
from qqops.runtime.agenda import Misfire, Overlap, Schedule
from qqops.runtime.aliases import Aliases
from qqops.runtime.border import ANYTHING
from qqops.runtime.declared import OPEN, Converse, Guards
from qqops.runtime.outgoing import Chain, Outgoing
from qqops.runtime.verdicts import Stage, Verdict
from qqops.texts import Say

if TYPE_CHECKING:
    from qqops.runtime.context import Context


log = structlog.get_logger("qqops.registry")


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
    """A command line.

    Attributes:
        text: All of it.
        start: Where the words after the command's name begin.
        pieces: Where in the text stands what is not text.
    """

    text: str
    start: int
    pieces: tuple[Piece, ...] = ()


#: What a handler was matched by: a command line, a regular expression's match, or nothing special.
Source: TypeAlias = Line | re.Match[str] | None

#: Turns context and source into a call without arguments; converts words. May raise `Refuse`.
Prepare: TypeAlias = Callable[["Context", Source], Callable[[], Any]]

#: Spells the values of a command's parameters as it would be typed, those that are named left out as ``***``.
Spell: TypeAlias = Callable[[Mapping[str, Any], Sequence[str]], str]

#: A filter: gets the context and the rest of the chain.
FilterCall: TypeAlias = Callable[["Context", Callable[[], Awaitable[None]]], Awaitable[None]]


@attrs.frozen(kw_only=True, eq=False)
class Handler:
    """A function of a plugin, ready to be run.

    Attributes:
        where: ``file:line`` of the function.
        timeout: Seconds it may take, or None for the setting's value.
        at_least_once: Whether it is started again when the bot was killed while it ran.
        guards: What stands before it.
        converse: What becomes of its open question when the same person gives another command in the same room.
        spell: Writes a command out in full; None for what is not a command.
        zone: Time zone that it is meant in; None for the room's.
    """

    plugin: str
    name: str
    where: str
    mode: Mode
    prepare: Prepare
    timeout: float | None = None
    at_least_once: bool = False
    guards: Guards = OPEN
    converse: Converse = "refuse"
    spell: Spell | None = None
    zone: datetime.tzinfo | None = None
    key: str = attrs.field(init=False)

    @key.default
    def _plugin_and_name(self) -> str:
        return f"{self.plugin}:{self.name}"


@attrs.frozen(kw_only=True, eq=False)
class Command:
    """A command: ``path`` are its words, ``("flag", "set")`` for a command of a group.

    Attributes:
        no_space: Whether its Chinese names need no space after them.
    """

    path: tuple[str, ...]
    aliases: tuple[str, ...]
    handler: Handler
    summary: str
    usage: str
    help: str = ""
    no_space: bool = False


class Trigger(enum.Enum):
    """What a listener of messages looks for."""

    ANY = "any"
    REGEX = "regex"
    KEYWORD = "keyword"
    AT_ME = "at me"


@attrs.frozen(kw_only=True, eq=False)
class Listener:
    """Reacts to an event class; messages may be narrowed down by a trigger.

    Attributes:
        free: Characters of a text in which *pattern* is searched without a bound on its time.
        priority: The highest comes first.
        stop: Whether those that come later are left out when this one matches.
        also_commands: Whether one that waits for messages to the bot hears those that call a command, too.
    """

    event: type[Any]
    handler: Handler
    trigger: Trigger = Trigger.ANY
    pattern: re.Pattern[str] | None = None
    free: int = -1
    keywords: tuple[str, ...] = ()
    priority: int = 0
    stop: bool = False
    also_commands: bool = False


class Wraps(enum.Enum):
    """What a filter wraps."""

    #: What a message sets off: commands and listeners of messages.
    MESSAGES = "messages"
    #: Jobs and the listeners of all other events as well.
    ALL = "all"


@attrs.frozen(kw_only=True, eq=False)
class Filter:
    """Wraps the handlers of all plugins; the lowest *order* is outermost."""

    plugin: str
    name: str
    where: str
    order: int
    call: FilterCall
    wraps: Wraps = Wraps.MESSAGES
    key: str = attrs.field(init=False)

    @key.default
    def _plugin_and_name(self) -> str:
        return f"{self.plugin}:{self.name}"


@attrs.frozen(eq=False)
class Filters:
    """Filters around a handler, the outermost first.

    Attributes:
        passed: What is recorded when all of them have gone on.
    """

    all: tuple[Filter, ...]
    passed: Verdict = attrs.field(init=False)

    @passed.default
    def _by_name(self) -> Verdict:
        names = ", ".join(one.key for one in self.all)
        return Verdict(Stage.FILTERS, True, Say("why.filters", {"names": names}))


@attrs.frozen(eq=False)
class Around:
    """The filters of a bot: those around what messages set off, and those around everything else."""

    messages: Filters
    others: Filters

    @classmethod
    def of(cls, filters: Iterable[Filter]) -> Around:
        """Return *filters* in their order."""
        every = sorted(filters, key=lambda one: one.order)
        return cls(Filters(tuple(every)), Filters(tuple(one for one in every if one.wraps is Wraps.ALL)))


@attrs.frozen(kw_only=True, eq=False)
class Job:
    """A function that runs by the clock.

    Attributes:
        name: What it is called; what is known about it is kept under ``plugin:name``.
        jitter: Most seconds by which a run is late on purpose.
    """

    name: str
    schedule: Schedule
    handler: Handler
    jitter: float = 0.0
    misfire: Misfire = Misfire.ONCE
    overlap: Overlap = Overlap.SKIP


@attrs.frozen
class Hit:
    """A handler that shall run, and what it was matched by."""

    handler: Handler
    source: Source = None


@attrs.frozen
class Dispute:
    """A name that two plugins want.

    Attributes:
        winner: Whose command the plain name calls.
        loser: Whose command is called by ``plugin:name`` only.
    """

    name: str
    winner: str
    loser: str

    def __str__(self) -> str:
        return (
            f"the command {self.name!r} is that of {self.winner!r}; the other one is {self.loser}:{self.name}"
        )


class Registry:
    """All declarations of one bot, each stamped with the plugin that made it.

    Attributes:
        owners: Which plugin's command a name calls, where several plugins have one of it.
        visible: Whether somebody may know of a handler, for help and hints; replaced by who knows permissions.
        chain: What plugins do to messages on their way out.
        revision: Another number after each change.
    """

    def __init__(
        self,
        prefixes: tuple[str, ...] = ("/", "／"),
        owners: Mapping[str, str] | None = None,
        aliases: Aliases | None = None,
    ) -> None:
        self.prefixes = prefixes
        self.owners = {" ".join(name.lower().split()): plugin for name, plugin in (owners or {}).items()}
        self.aliases = aliases if aliases is not None else Aliases()
        self.aliases.is_command = self._begins_command
        self.visible: Callable[[Context, Handler], bool] = lambda ctx, handler: True
        self.revision = 0
        self.commands: list[Command] = []
        self.listeners: list[Listener] = []
        self.filters: list[Filter] = []
        self.jobs: list[Job] = []
        self.chain = Chain()

    def add(
        self,
        *,
        commands: Iterable[Command] = (),
        listeners: Iterable[Listener] = (),
        filters: Iterable[Filter] = (),
        jobs: Iterable[Job] = (),
        outgoing: Iterable[Outgoing] = (),
    ) -> Sequence[Dispute]:
        """Add the declarations of one plugin: all of them, or none.

        Returns:
            The names that another plugin has, too.

        Raises:
            PluginError: Two commands or two jobs of the plugin have the same name.
        """
        jobs = list(jobs)
        _check_names(jobs)
        commands = list(commands)
        own: dict[tuple[str, ...], Command] = {}
        for command in commands:
            for name in names_of(command):
                other = own.setdefault(name, command)
                if other is not command:
                    raise PluginError(
                        f"the command {' '.join(name)!r} is taken by {other.handler.name!r} ({other.handler.where})",
                        plugin=command.handler.plugin,
                        where=command.handler.where,
                    )
        before = self.named()
        self.commands += commands
        self.listeners += listeners
        self.filters += filters
        self.jobs += jobs
        self.chain.add(outgoing)
        self.revision += 1
        after = self.named()
        return [
            Dispute(
                " ".join(name),
                winner=after[name].handler.plugin,
                loser=(before[name] if after[name] is command else command).handler.plugin,
            )
            for name, command in own.items()
            if name in before
        ]

    def named(self) -> Mapping[tuple[str, ...], Command]:
        """Return the command that each name calls: that of the plugin which the settings name, else the first."""
        found: dict[tuple[str, ...], Command] = {}
        for command in self.commands:
            for name in names_of(command):
                if name not in found or (
                    self.owners and self.owners.get(" ".join(name)) == command.handler.plugin
                ):
                    found[name] = command
        return found

    def _begins_command(self, word: str) -> bool:
        """Whether *word*, in lower case, is the beginning of a command, so that an alias of it would never be found."""
        return any(
            name[0] == word or (c.no_space and not name[0].isascii() and word.startswith(name[0]))
            for name, c in self.named().items()
        )

    def unowned(self) -> Sequence[str]:
        """Return the names which the settings give to a plugin that has no command of the name."""
        has = {(" ".join(name), c.handler.plugin) for c in self.commands for name in names_of(c)}
        return [name for name, plugin in self.owners.items() if (name, plugin) not in has]

    def handlers(self, plugin: str) -> list[Handler]:
        """Return the handlers that *plugin* has declared."""
        commands, listeners = (one.handler for one in self.commands), (one.handler for one in self.listeners)
        every = itertools.chain(commands, listeners, (one.handler for one in self.jobs))
        return [one for one in every if one.plugin == plugin]

    def drop(self, plugin: str) -> None:
        """Forget everything that *plugin* declared."""
        self.commands = [c for c in self.commands if c.handler.plugin != plugin]
        self.listeners = [one for one in self.listeners if one.handler.plugin != plugin]
        self.filters = [f for f in self.filters if f.plugin != plugin]
        self.jobs = [j for j in self.jobs if j.handler.plugin != plugin]
        self.chain.drop(plugin)
        self.revision += 1

    def may_see(self, ctx: Context, handler: Handler) -> bool:
        """Whether who caused *ctx* may know of *handler*; an error means no."""
        try:
            return self.visible(ctx, handler)
        except ANYTHING:
            log.exception("it cannot be said whether somebody may see a command", handler=handler.key)
            return False


def _check_names(jobs: Sequence[Job]) -> None:
    own: dict[str, Job] = {}
    for job in jobs:
        if (other := own.get(job.name)) is not None:
            raise PluginError(
                f"the job {job.name!r} is taken ({other.handler.where}); what is known about a job is kept by its name",
                plugin=job.handler.plugin,
                where=job.handler.where,
            )
        own[job.name] = job


def names_of(command: Command) -> list[tuple[str, ...]]:
    """Return every word sequence that calls *command*, in lower case.

    An alias of one word replaces the whole path: the alias ``部署`` of ``deploy run`` is ``/部署``.
    """
    return [tuple(w.lower() for w in command.path), *((alias.lower(),) for alias in command.aliases)]
