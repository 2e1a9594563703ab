"""Handlers that the bot itself has switched off, everywhere, because they held everything up.

In memory: a restart, a reload of the plugin, or an owner (`/command on`, `/plugin on`) lifts it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
import structlog

from qqops.model import Clock
from qqops.runtime.registry import Handler
from qqops.texts import Say

log = structlog.get_logger("qqops.halted")

#: Handlers that need a permission below this are how a room gets something back: they are never switched off.
OWN = "access."
#: Times that a handler may hold everything up before it is switched off.
STRIKES = 3


@attrs.frozen
class Halt:
    """Why a handler is switched off, as `/why` tells it, and since when."""

    reason: Say
    since: datetime.datetime


class Halted:
    """Who is switched off, by ``plugin:name``.

    Attributes:
        changed: Called after each change.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._halts: dict[str, Halt] = {}
        self._strikes: dict[str, int] = {}
        self.changed: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        return bool(self._halts)

    def __contains__(self, key: str) -> bool:
        return key in self._halts

    def __iter__(self) -> Iterator[str]:
        return iter(self._halts)

    def get(self, key: str) -> Halt | None:
        """Return why *key* is switched off; None when it is not."""
        return self._halts.get(key)

    def among(self, handlers: Iterable[Handler]) -> list[tuple[Handler, Halt]]:
        """Return those of *handlers* that are switched off, and why."""
        return [(one, self._halts[one.key]) for one in handlers if one.key in self._halts]

    def of(self, name: str) -> list[str]:
        """Return who of *name* is switched off: a plugin's, or ``plugin:name``."""
        return [key for key in self._halts if name in (key, key.partition(":")[0])]

    def strikes(self, key: str) -> int:
        """Return how often *key* has held everything up."""
        return self._strikes.get(key, 0)

    def strike(self, handler: Handler, reason: Say) -> None:
        """Count that *handler* has held everything up; with the third time it is switched off for *reason*."""
        self._strikes[handler.key] = self.strikes(handler.key) + 1
        if self._strikes[handler.key] >= STRIKES:
            self.halt(handler, reason)

    def halt(self, handler: Handler, reason: Say) -> None:
        """Switch *handler* off for *reason*, unless it is one that switches on."""
        if handler.key in self._halts or handler.guards.permission.startswith(OWN):
            return
        self._halts[handler.key] = Halt(reason, self._clock.now())
        log.error(
            "the handler is switched off everywhere until an owner switches it on",
            plugin=handler.plugin, handler=handler.name, where=handler.where, on=f"/command on {handler.key}",
        )  # fmt: skip
        self._tell()

    def lift(self, name: str) -> Sequence[str]:
        """Switch on *name*, a plugin's or ``plugin:name``; return what was off. Its strikes are forgotten."""
        found = self.of(name)
        self._strikes = {
            key: n for key, n in self._strikes.items() if name not in (key, key.partition(":")[0])
        }
        for key in found:
            del self._halts[key]
        if found:
            self._tell()
        return found

    def _tell(self) -> None:
        for call in self.changed:
            call()
