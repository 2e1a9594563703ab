"""What the runtime makes for each single plugin: its values, its files, its logger, its HTTP client."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog
import trio

from qqops.model import Clock
from qqops.runtime.files import Files, Folders
from qqops.runtime.observe import Observer, nobody
from qqops.runtime.storage.kv import KV, MemoryRows, Rows, StoredRows
from qqops.runtime.storage.store import Store
from qqops.runtime.storage.upgrade import Migration, upgrade
from qqops.runtime.web import HTTP

log = structlog.get_logger("qqops.shelves")


class Logger(Protocol):
    """A structlog logger that names its plugin; injected by type. Values are given by keyword."""

    def debug(self, event: str, **values: Any) -> Any:
        """Log what helps to find mistakes."""

    def info(self, event: str, **values: Any) -> Any:
        """Log what happens."""

    def warning(self, event: str, **values: Any) -> Any:
        """Log what somebody should look at."""

    def error(self, event: str, **values: Any) -> Any:
        """Log what went wrong."""

    def exception(self, event: str, **values: Any) -> Any:
        """Log what went wrong, with the traceback of the error that is being handled."""


class Shelves:
    """Owner of what single plugins get.

    Args:
        http: Makes the HTTP client of a plugin, by its name.

    Attributes:
        folders: Where their files lie.
    """

    def __init__(
        self,
        file: Store | None,
        clock: Clock,
        tell: Observer = nobody,
        folders: Folders | None = None,
        http: Callable[[str], HTTP] = HTTP,
    ) -> None:
        self._tell = tell
        self._file = file
        self._clock = clock
        self._rows: Rows = StoredRows(file) if file is not None else MemoryRows()
        self.folders = folders or Folders(None)
        self._stores: dict[str, KV] = {}
        self._clients: dict[str, HTTP] = {}
        self._http = http

    def connections(self) -> Mapping[str, int]:
        """Return how many connections the HTTP client of each plugin holds, where it holds any."""
        return {name: client.connections for name, client in self._clients.items() if client.connections}

    def own(self, plugin: str) -> Mapping[type[Any], object]:
        """Return what is injected into *plugin* alone, by type."""
        store = self._stores.setdefault(plugin, KV(plugin, self._rows, self._clock))
        client = self._clients.get(plugin)
        if client is None:
            client = self._clients[plugin] = self._http(plugin)
        logger = structlog.get_logger(f"qqops.plugin.{plugin}").bind(plugin=plugin)
        return {KV: store, HTTP: client, Logger: logger, Files: Files(self.folders, plugin)}

    async def upgrade(
        self, migrations: Mapping[str, Sequence[Migration]], *, within: float = math.inf
    ) -> None:
        """Bring stored data to the versions that plugins know; who reads it meanwhile waits.

        Args:
            within: Seconds for each plugin. A step that is cut off has changed nothing; the data is closed then.
        """
        for plugin in migrations:
            self._stores[plugin].hold()
        for plugin, steps in migrations.items():
            store = self._stores[plugin]
            with trio.move_on_after(within) as scope:
                await upgrade(store, steps, self._rows, self._file, self._tell)
            if scope.cancelled_caught:
                reason = f"a migration of {plugin} took more than {within:g} s: it is run by the next start of the bot"
                log.error("migration cut off: nothing was changed", plugin=plugin, reason=reason)
                store.release(reason)

    def reopen(self, plugin: str) -> None:
        """Open the store of *plugin*: the migrations that have closed it are not those of the next copy."""
        if (store := self._stores.get(plugin)) is not None:
            store.closed = ""

    async def end(self, plugin: str) -> None:
        """Close the HTTP client of *plugin*; its next copy has the same and opens it again."""
        if (client := self._clients.get(plugin)) is not None:
            await client.aclose()

    async def close(self) -> None:
        """Close the HTTP clients."""
        for client in self._clients.values():
            await client.aclose()
