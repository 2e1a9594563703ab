"""A bot as its settings make it, and all that is wrong with it: what ``check``, ``doctor`` and ``config`` look at."""

from __future__ import annotations

import os
import pathlib

import attrs

from qqops._file import SettingsFile
from qqops.app import App
from qqops.assemble import assembled, make_app, strange_variables
from qqops.cli.operators import Terminal
from qqops.errors import ConfigError
from qqops.plugin.host import PluginReport, PluginState
from qqops.settings import Reading, Settings, read_settings

#: What is looked for when no file is named.
DEFAULT = pathlib.Path("qqops.toml")


@attrs.frozen(kw_only=True)
class Examined:
    """What was found.

    Attributes:
        path: The settings file, which may be missing when nobody has named it.
        reading: The settings; None where there is no file, and only the plugins were looked at.
        app: All of it that is right.
        wrong: What is wrong in the settings and the environment; in the tables of plugins see `tables`.
    """

    path: pathlib.Path
    reading: Reading | None
    app: App
    wrong: tuple[ConfigError, ...] = ()

    @property
    def file(self) -> SettingsFile | None:
        """The settings file, where there is one."""
        return self.reading.file if self.reading is not None else None

    @property
    def skipped(self) -> list[PluginReport]:
        """Plugins that cannot be loaded."""
        return [one for one in self.app.host.reports.all() if one.state is PluginState.SKIPPED]

    @property
    def unowned(self) -> list[str]:
        """Commands that the settings give to a plugin that has none of the name, each as a line with its place."""
        owners = self.app.registry.owners
        return [
            f"{self.file.where(f'commands.{name}') if self.file is not None else 'commands'}: "
            f"{name!r} is given to {owners[name]!r}, which has none of this name"
            for name in self.app.registry.unowned()
        ]

    @property
    def unsettled(self) -> list[str]:
        """Notes on plugins that ask for something, each as a line."""
        return [f"plugin {one}: {note}" for one in self.app.host.reports.all() for note in one.unsettled]

    @property
    def loaded(self) -> int:
        """How many plugins are loaded."""
        return sum(one.state is PluginState.LOADED for one in self.app.host.reports.all())

    def check(self) -> None:
        """Raise `ConfigError` with all that is wrong in the settings, if anything is."""
        if self.wrong:
            raise ConfigError.of(self.wrong)


def examine(config: pathlib.Path | None) -> Examined:
    """Look at the bot of *config*, or of the file that is looked for when it is None.

    Raises:
        ConfigError: A file that was named is missing, or the settings cannot be read at all.
    """
    path = config or DEFAULT
    operator = Terminal(path.parent)
    if config is None and not path.exists():
        return Examined(path=path, reading=None, app=make_app(Settings(), operator, os.environ))
    reading = read_settings(path, os.environ)
    app, wrong = assembled(reading, operator, os.environ)
    wrong = (*wrong, *strange_variables(app, reading, os.environ))
    return Examined(path=path, reading=reading, app=app, wrong=wrong)


def load_for_check(config: pathlib.Path | None) -> tuple[App, SettingsFile | None]:
    """Return the bot of *config*, or one with just the plugins when none was named and there is no file.

    Raises:
        ConfigError: Something is wrong in the settings; all of it is named.
    """
    found = examine(config)
    found.check()
    return found.app, found.file
