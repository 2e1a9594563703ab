"""``qqops console``: a bot to talk to on a network in memory. It starts without a simulator, a database or an HTTP client."""

from __future__ import annotations

import os
import sys

import trio

from qqops.adapters.base import Operator, Question
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.app import App
from qqops.assemble import make_app
from qqops.cli.perform import perform, read_script
from qqops.cli.stage import MemoryStage
from qqops.errors import NeedsHuman
from qqops.model import AccountRef
from qqops.plugin.host import PluginState
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.settings import Settings


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


def run_console(script: str | None, *, narrate: bool = False) -> int:
    """Run a bot on an in-memory network, and play; return the exit code.

    Args:
        narrate: Tell in the debug log what becomes of every message.
    """
    lines = read_script(script)

    async def main() -> int:
        app = bot(Nobody())
        if narrate:
            app.narrate()
        network = MemoryNetwork(AccountRef("memory", "console"), app.clock)
        app.add_account(MemoryAdapter(network), LinkPolicy(), OutboxPolicy())
        return await perform(app, lambda heard: MemoryStage(network, heard), lines)

    return trio.run(main)


def bot(operator: Operator) -> App:
    """Return a bot with every installed plugin; those that are skipped are named."""
    app = make_app(Settings(), operator, os.environ)
    for report in app.host.reports.all():
        if report.state is PluginState.SKIPPED:
            print(f"* plugin {report} skipped: {report.why}", file=sys.stderr)
    if not app.registry.commands:
        print("* no plugin with commands is installed; try: pip install qqops-essentials", file=sys.stderr)
    return app
