"""``qqops console``: a bot to talk to on a network in memory. It starts without a simulator, a database or an HTTP client."""

from __future__ import annotations

import os
import pathlib
import sys

import trio

from qqops.adapters.base import Operator, Question
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.app import App
from qqops.assemble import PLUGINS, make_app
from qqops.cli import loaded
from qqops.cli.perform import perform, read_script
from qqops.cli.stage import MemoryStage
from qqops.errors import ConfigError, NeedsHuman
from qqops.model import AccountRef
from qqops.plugin._beside import find
from qqops.plugin.host import PluginState
from qqops.runtime.hidden import Hidden
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.settings import Settings, load_settings

#: The settings file of who names none.
DEFAULT = pathlib.Path("qqops.toml")


class Nobody:
    """The person for networks that never ask one."""

    async def ask(self, question: Question) -> str:
        """Refuse."""
        await trio.lowlevel.checkpoint()
        raise NeedsHuman(question.text)

    async def show(self, question: Question) -> None:
        """Refuse."""
        await trio.lowlevel.checkpoint()
        raise NeedsHuman(question.text)


def run_console(
    script: str | None,
    hidden: Hidden,
    *,
    narrate: bool = False,
    config: pathlib.Path | None = None,
    plugins: pathlib.Path | None = None,
) -> int:
    """Run a bot on an in-memory network, and play; return the exit code.

    Args:
        hidden: Learns the secrets of the settings.
        narrate: Tell in the debug log what becomes of every message.
        config: The settings file; without one that in the working folder, if there is one.
        plugins: Folder with plugins of one file each.

    Raises:
        ConfigError: The settings are wrong, or there is no such file or folder.
    """
    lines = read_script(script)

    async def main() -> int:
        app = bot(Nobody(), hidden, config, plugins)
        if narrate:
            app.narrate()
        network = MemoryNetwork(AccountRef("memory", "console"), app.clock)
        app.add_account(MemoryAdapter(network), LinkPolicy(), OutboxPolicy())
        return await perform(app, lambda heard: MemoryStage(network, heard), lines)

    return trio.run(main)


def bot(operator: Operator, hidden: Hidden, config: pathlib.Path | None, plugins: pathlib.Path | None) -> App:
    """Return a bot with every plugin that is found; those that are skipped are named.

    Args:
        hidden: Learns the secrets of the settings.
        config: The settings file; without one that in the working folder, if there is one.
        plugins: Folder with plugins of one file each.

    Raises:
        ConfigError: The settings are wrong, or there is no such file or folder.
    """
    if plugins is not None and not plugins.is_dir():
        raise ConfigError(
            f"there is no folder {plugins}", hint="`qqops plugin new NAME --one-file` makes one"
        )
    settings, file = (
        load_settings(config or DEFAULT, os.environ) if config or DEFAULT.exists() else (Settings(), None)
    )
    app = make_app(settings, operator, os.environ, file=file, plugins=plugins, hidden=hidden)
    for report in app.host.reports.all():
        if report.state is PluginState.SKIPPED:
            print(f"* plugin {report} skipped: {report.why}", file=sys.stderr)
    if file is None and plugins is None and (left := find(pathlib.Path(PLUGINS))):
        names = ", ".join(one.file for one in left)
        print(
            f"* not loaded, as there is no {DEFAULT} here: {names}; add --plugins {PLUGINS}", file=sys.stderr
        )
    if what := loaded.missing(app):
        print(f"* there is no {what}: {loaded.HINT}", file=sys.stderr)
    return app
