"""What the bot can tell about itself; injected into handlers that ask for it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence

import attrs

from qqops.runtime.observe import LinkState
from qqops.runtime.registry import Command, Registry, names_of


@attrs.frozen
class CommandInfo:
    """One command, as help shows it.

    Attributes:
        name: Its words, ``flag set``.
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


class Commands:
    """The commands that exist at this moment."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def all(self) -> Sequence[CommandInfo]:
        """Return every command, by name."""
        return sorted((self._info(c) for c in self._registry.commands), key=lambda c: c.name)

    def find(self, name: str) -> Sequence[CommandInfo]:
        """Return the command called *name* (or by an alias), or all of the group of that name."""
        wanted = tuple(name.lower().removeprefix(self._registry.prefixes[0]).split())
        exact = [c for c in self._registry.commands if wanted in names_of(c)]
        found = exact or [
            c for c in self._registry.commands if names_of(c)[0][: len(wanted)] == wanted and wanted
        ]
        return sorted((self._info(c) for c in found), key=lambda c: c.name)

    def _info(self, command: Command) -> CommandInfo:
        prefix = self._registry.prefixes[0]
        return CommandInfo(
            name=" ".join(command.path),
            aliases=command.aliases,
            usage=prefix + command.usage,
            summary=command.summary,
            help=command.help,
            plugin=command.handler.plugin,
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
    ) -> None:
        self.version = version
        self.started = started
        self._plugins = plugins
        self._links = links

    @property
    def plugins(self) -> Sequence[tuple[str, str]]:
        """Name and version of every loaded plugin."""
        return self._plugins()

    @property
    def links(self) -> Sequence[LinkState]:
        """State of every account's connection."""
        return self._links()
