"""A few small texts that must outlive the process for certain: locks that are held, approvals that are waited for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from qqops.errors import StoreError
from qqops.runtime.storage.keep import Keep, MemoryKeep


class Drawers(Protocol):
    """Where they are kept, by kind and key. Every method may raise `StoreError`."""

    async def all(self, kind: str) -> Mapping[str, str]:
        """Return every text of *kind* by its key."""

    async def put(self, kind: str, key: str, text: str) -> None:
        """Keep *text*; returns when it will survive."""

    async def drop(self, kind: str, key: str) -> None:
        """Forget what is kept there; returns when it will not come back."""

    def forget(self, kind: str, key: str) -> None:
        """Forget what is kept there, soon; a crash may bring it back."""


class KeptDrawers:
    """Drawers in the core's own keeps, one for each kind.

    Args:
        open_keep: Returns the keep of a name.
    """

    def __init__(self, open_keep: Callable[[str], Keep]) -> None:
        self._open = open_keep
        self._keeps: dict[str, Keep] = {}

    def _of(self, kind: str) -> Keep:
        keep = self._keeps.get(kind)
        if keep is None:
            keep = self._keeps[kind] = self._open(kind)
        return keep

    async def all(self, kind: str) -> Mapping[str, str]:
        """Return every text of *kind* by its key."""
        keep = self._of(kind)
        await keep.safe()
        return {key: str(text) for key, text in keep.load().items()}

    async def put(self, kind: str, key: str, text: str) -> None:
        """Keep *text*."""
        keep = self._of(kind)
        keep.save(key, text)
        await _written(keep)

    async def drop(self, kind: str, key: str) -> None:
        """Forget what is kept there."""
        keep = self._of(kind)
        keep.delete(key)
        await _written(keep)

    def forget(self, kind: str, key: str) -> None:
        """Forget what is kept there."""
        self._of(kind).delete(key)


async def _written(keep: Keep) -> None:
    if not await keep.safe():
        raise StoreError("it cannot be written down at the moment")


class InMemory(KeptDrawers):
    """Drawers that end with the process."""

    def __init__(self) -> None:
        super().__init__(lambda kind: MemoryKeep())
