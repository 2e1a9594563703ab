"""{{ cookiecutter.description }}"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from qqops import Plugin

plugin = Plugin("{{ cookiecutter.plugin_name }}")


class Tally:
    """A service: other plugins ask for it by its type, ``async def handler(*, tally: Tally)``."""

    def __init__(self) -> None:
        self._votes: dict[str, int] = {}

    def add(self, what: str) -> int:
        """Count *what* once more, and return how often that was."""
        self._votes[what] = self._votes.get(what, 0) + 1
        return self._votes[what]


@plugin.service
@contextlib.asynccontextmanager
async def tally() -> AsyncGenerator[Tally]:
    """Hold the service while the bot runs: open before the yield what it needs, and close it behind."""
    yield Tally()


@plugin.command("{{ cookiecutter.plugin_name }}")
async def vote(what: str, *, tally: Tally) -> str:
    """Vote for something."""
    return f"{what}: {tally.add(what)}"
