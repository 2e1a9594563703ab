"""What the bot can tell about itself; injected into handlers that ask for it."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from qqops.protocol.words import plainer
from qqops.runtime.observe import LinkState
from qqops.runtime.registry import Command, Handler, Registry, names_of
from qqops.runtime.tally import Sends

if TYPE_CHECKING:
    from qqops.runtime.context import Context

#: Part of a name that is compared with others, in characters.
_COMPARED = 32


@attrs.frozen
class CommandInfo:
    """One command, as help shows it.

    Attributes:
        name: Its words, ``flag set``; with ``plugin:`` before them when another plugin's command has the plain name.
        aliases: Other words that call it.
        usage: How it is typed, with the prefix.
        summary: First line of its docstring.
        help: The rest of the docstring and what the parameters mean.
    """

    name: str
    aliases: tuple[str, ...]
    usage: str
    summary: str
    help: str
    plugin: str


@attrs.frozen
class _Entry:
    """A command in words, and by which words it is found."""

    info: CommandInfo
    handler: Handler
    names: list[tuple[str, ...]]


class Commands:
    """The commands that exist at this moment, of those that somebody may know of.

    Who knows permissions sets `Registry.visible`; help and hints ask it for every command that they are about to show.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._made: tuple[int, str] = (-1, "")
        self._entries: list[_Entry] = []

    def all(self, ctx: Context | None = None) -> Sequence[CommandInfo]:
        """Return every command that who caused *ctx* may know of, by name; all there are without *ctx*."""
        return [one.info for one in self._seen(ctx)]

    def find(self, name: str, ctx: Context | None = None) -> Sequence[CommandInfo]:
        """Return the command called *name* (or by an alias, or by ``plugin:name``), or all of the group of that name."""
        prefix = ctx.prefix if ctx is not None else self._registry.prefixes[0]
        plugin, _, rest = plainer(name).lower().removeprefix(plainer(prefix)).rpartition(":")
        wanted = tuple(rest.split())
        if not wanted:
            return []
        seen = [one for one in self._seen(ctx) if plugin in ("", one.handler.plugin)]
        exact = [one.info for one in seen if wanted in one.names]
        return exact or [one.info for one in seen if one.names[0][: len(wanted)] == wanted]

    def near(self, name: str, ctx: Context | None = None) -> Sequence[str]:
        """Return the names of at most three commands that are spelt much like *name*."""
        names = {name: None for one in self._seen(ctx) for name in (one.info.name, *one.info.aliases)}
        return difflib.get_close_matches(name[:_COMPARED].lower(), names, 3)

    def _seen(self, ctx: Context | None) -> list[_Entry]:
        entries = self._every(ctx.prefix if ctx is not None else self._registry.prefixes[0])
        if ctx is None:
            return entries
        return [one for one in entries if self._registry.may_see(ctx, one.handler)]

    def _every(self, prefix: str) -> list[_Entry]:
        """Return every command; they are put into words once after each change."""
        wanted = (self._registry.revision, prefix)
        if self._made != wanted:
            named = self._registry.named()
            entries = [
                _Entry(_info(c, prefix, named), c.handler, names_of(c)) for c in self._registry.commands
            ]
            self._entries = sorted(entries, key=lambda one: (one.names[0], one.info.name))
            self._made = wanted
        return self._entries


def _info(command: Command, prefix: str, named: Mapping[tuple[str, ...], Command]) -> CommandInfo:
    path, *aliases = names_of(command)
    plugin = command.handler.plugin
    before = "" if named[path] is command else f"{plugin}:"
    return CommandInfo(
        name=before + " ".join(command.path),
        aliases=tuple(
            alias for alias, key in zip(command.aliases, aliases, strict=True) if named[key] is command
        ),
        usage=prefix + before + command.usage,
        summary=command.summary,
        help=command.help,
        plugin=plugin,
    )


class BotInfo:
    """Version, start and connections of the bot.

    Attributes:
        started: When it was started.
    """

    def __init__(
        self,
        *,
        version: str,
        started: datetime.datetime,
        plugins: Callable[[], Sequence[tuple[str, str]]],
        links: Callable[[], Sequence[LinkState]],
        sends: Callable[[], Sequence[Sends]],
    ) -> None:
        self.version = version
        self.started = started
        self._plugins = plugins
        self._links = links
        self._sends = sends

    @property
    def plugins(self) -> Sequence[tuple[str, str]]:
        """Name and version of every loaded plugin."""
        return self._plugins()

    @property
    def links(self) -> Sequence[LinkState]:
        """State of every account's connection."""
        return self._links()

    @property
    def sends(self) -> Sequence[Sends]:
        """How the sends to each room went since the start, those with the most trouble first."""
        return self._sends()
