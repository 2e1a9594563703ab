"""What the core keeps by name: read as a whole at the start, written soon after each change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import trio

from qqops.errors import StoreError
from qqops.runtime.storage import statements

if TYPE_CHECKING:
    from qqops.runtime.storage.store import Store, Write


class Keep(Protocol):
    """One namespace. Values are what JSON knows."""

    def load(self) -> Mapping[str, Any]:
        """Return what earlier runs have kept; for the start, before anything runs.

        Raises:
            StoreError: It cannot be read. Who decides by it about permissions must then say no.
        """

    def save(self, key: str, value: Any) -> None:
        """Keep *value* under *key*; it is on the disk soon, and tried again while it cannot be written.

        Args:
            value: What nobody changes afterwards.
        """

    def delete(self, key: str) -> None:
        """Keep nothing under *key* any more."""

    async def safe(self) -> bool:
        """Wait until all that was saved is on the disk; False when it cannot be written at the moment."""


class MemoryKeep:
    """A `Keep` that ends with the process."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def load(self) -> Mapping[str, Any]:
        """Return everything; copies, and lists for tuples, as from a file."""
        return {key: json.loads(json.dumps(value)) for key, value in self._values.items()}

    def save(self, key: str, value: Any) -> None:
        """Keep *value*."""
        self._values[key] = value

    def delete(self, key: str) -> None:
        """Forget *key*."""
        self._values.pop(key, None)

    async def safe(self) -> bool:
        """Say yes."""
        await trio.lowlevel.checkpoint()
        return True


class StoredKeep:
    """A `Keep` in the store's file.

    Args:
        namespace: Its name, with a colon in it: plugins' names have none.
    """

    def __init__(self, store: Store, namespace: str) -> None:
        self._store = store
        self._namespace = namespace
        self._last: Write | None = None

    def load(self) -> Mapping[str, Any]:
        """Read everything, blocking."""
        try:
            found = self._store.file.peek(self._namespace)
            return {key: json.loads(text) for key, text in found.items()}
        except ValueError as exc:
            raise StoreError(f"what is kept for {self._namespace} is not JSON") from exc

    def save(self, key: str, value: Any) -> None:
        """Queue *value*."""
        text = json.dumps(value, ensure_ascii=False)
        values = {"namespace": self._namespace, "key": key, "value": text, "expires": None}
        self._last = self._store.write(statements.PUT, values)

    def delete(self, key: str) -> None:
        """Queue that *key* goes."""
        self._last = self._store.write(statements.DELETE, {"namespace": self._namespace, "key": key})

    async def safe(self) -> bool:
        """Wait for what was queued last: it is written after all the others."""
        return self._last is None or await self._last.wait()


def keep_in(store: Store | None, namespace: str) -> MemoryKeep | StoredKeep:
    """Return a keep in *store*, or in memory when there is none."""
    return StoredKeep(store, namespace) if store is not None else MemoryKeep()
