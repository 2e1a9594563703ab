"""A plugin's own values by key, with types. Injected as `KV`; the database itself is `qqops.runtime.storage.store`."""

from __future__ import annotations

import abc
import contextlib
import datetime
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import attrs
import trio

from qqops.errors import StoreError
from qqops.model import Clock
from qqops.runtime.storage import statements

if TYPE_CHECKING:
    from qqops.runtime.storage.store import Part, Store

T = TypeVar("T")
D = TypeVar("D")

#: Longest key, in characters, and largest value, in characters of JSON. Larger things belong into files.
MAX_KEY, MAX_VALUE = 400, 1024 * 1024
#: Values with an expiry that are written between two rounds of deleting what has expired.
PURGE_EVERY = 500


@attrs.frozen
class Change:
    """A value that is written, or deleted when *text* is None.

    Attributes:
        expires: Seconds since the epoch, or None for never.
    """

    namespace: str
    key: str
    text: str | None
    expires: float | None = None


class Rows(Protocol):
    """Where values are kept, as JSON."""

    async def get(self, namespace: str, key: str, now: float) -> str | None:
        """Return a value that has not expired, or None. Raises `StoreError`."""

    async def scan(self, namespace: str, prefix: str, now: float) -> Sequence[tuple[str, str]]:
        """Return keys that begin with *prefix* and their values, by key. Raises `StoreError`."""

    async def apply(self, changes: Sequence[Change], now: float) -> None:
        """Make all *changes* or none; ordered by the call, returns when they last.

        Raises:
            StoreError: Nothing was changed.
        """


class MemoryRows:
    """Values that end with the process, for the console and for tests."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, tuple[str, float | None]]] = {}

    async def get(self, namespace: str, key: str, now: float) -> str | None:
        """Return a value."""
        await trio.lowlevel.checkpoint()
        return dict(self._alive(namespace, key, now)).get(key)

    async def scan(self, namespace: str, prefix: str, now: float) -> Sequence[tuple[str, str]]:
        """Return values by key."""
        await trio.lowlevel.checkpoint()
        return sorted(self._alive(namespace, prefix, now))

    def _alive(self, namespace: str, prefix: str, now: float) -> list[tuple[str, str]]:
        rows = self._rows.get(namespace, {})
        return [
            (key, text)
            for key, (text, expires) in rows.items()
            if key.startswith(prefix) and (expires is None or expires > now)
        ]

    async def apply(self, changes: Sequence[Change], now: float) -> None:
        """Make the changes."""
        for one in changes:
            rows = self._rows.setdefault(one.namespace, {})
            if one.text is None:
                rows.pop(one.key, None)
            else:
                rows[one.key] = (one.text, one.expires)
        await trio.lowlevel.checkpoint()


class StoredRows:
    """Values in the store's file."""

    def __init__(self, file: Store) -> None:
        self._file = file
        self._until_purge = 0

    async def get(self, namespace: str, key: str, now: float) -> str | None:
        """Return a value."""
        values = {"namespace": namespace, "key": key, "now": now}
        found = await self._file.read(
            lambda connection: connection.execute(statements.GET, values).fetchone()
        )
        return None if found is None else str(found[0])

    async def scan(self, namespace: str, prefix: str, now: float) -> Sequence[tuple[str, str]]:
        """Return values by key."""
        # Up to the last character there is: nothing that begins with the prefix comes after it.
        values = {"namespace": namespace, "from": prefix, "to": f"{prefix}\U0010ffff", "now": now}
        return await self._file.read(
            lambda connection: connection.execute(statements.SCAN, values).fetchall()
        )

    async def apply(self, changes: Sequence[Change], now: float) -> None:
        """Make the changes in one transaction."""
        parts: list[Part] = []
        for one in changes:
            if one.text is None:
                parts.append((statements.DELETE, {"namespace": one.namespace, "key": one.key}))
            else:
                values = {
                    "namespace": one.namespace,
                    "key": one.key,
                    "value": one.text,
                    "expires": one.expires,
                }
                parts.append((statements.PUT, values))
        write = self._file.write_all(parts, kept=False)
        self._purge(changes, now)
        if not await write.wait():
            raise StoreError(f"nothing was stored: {write.error}")

    def _purge(self, changes: Sequence[Change], now: float) -> None:
        expiring = sum(one.expires is not None for one in changes)
        if not expiring:
            return
        self._until_purge -= expiring
        if self._until_purge <= 0:
            self._until_purge = PURGE_EVERY
            self._file.write(statements.PURGE, {"now": now})


class _Values(abc.ABC):
    """Reading and writing with types; where the rows come from is decided below."""

    def __init__(self, namespace: str, clock: Clock) -> None:
        self.namespace = namespace
        self._clock = clock

    @abc.abstractmethod
    async def _get(self, key: str) -> str | None: ...

    @abc.abstractmethod
    async def _scan(self, prefix: str) -> Sequence[tuple[str, str]]: ...

    @overload
    async def get(self, key: str, kind: type[T]) -> T | None: ...
    @overload
    async def get(self, key: str, kind: type[T], default: D) -> T | D: ...
    async def get(self, key: str, kind: type[T], default: Any = None) -> Any:
        """Return the value of *key*, or *default* when there is none or it has expired.

        Args:
            kind: What it shall be: one of JSON's types, an attrs class, ``list[Flag]`` and so on.

        Raises:
            StoreError: The store cannot be read, or the value is not of *kind*.
        """
        text = await self._get(_checked(key))
        return default if text is None else self._load(key, text, kind)

    async def scan(self, kind: type[T], prefix: str = "") -> list[tuple[str, T]]:
        """Return the keys that begin with *prefix* and their values, by key. Raises `StoreError`."""
        return [(key, self._load(key, text, kind)) for key, text in await self._scan(prefix)]

    def _load(self, key: str, text: str, kind: type[T]) -> T:
        from qqops.runtime.storage import codec

        try:
            return codec.load_value(text, kind)
        except StoreError as exc:
            raise StoreError(f"{self.namespace}: {key!r}: {exc}") from exc

    def _change(self, key: str, value: object, ttl: float | datetime.timedelta | None) -> Change:
        from qqops.runtime.storage import codec

        try:
            text = codec.dump_value(value)
        except TypeError as exc:
            raise TypeError(f"{self.namespace}: {key!r} cannot be stored: {exc}") from exc
        if len(text) > MAX_VALUE:
            raise StoreError(f"{self.namespace}: {key!r} is larger than {MAX_VALUE} characters")
        seconds = ttl.total_seconds() if isinstance(ttl, datetime.timedelta) else ttl
        expires = None if seconds is None else self._now() + seconds
        return Change(self.namespace, _checked(key), text, expires)

    def _now(self) -> float:
        return self._clock.now().timestamp()


class Transaction(_Values):
    """Changes that are stored together when the block ends, or not at all when it raises."""

    def __init__(self, store: KV, rows: Rows) -> None:
        super().__init__(store.namespace, store._clock)
        self._rows = rows
        self.changes: dict[str, Change] = {}

    async def _get(self, key: str) -> str | None:
        if key in self.changes:
            await trio.lowlevel.checkpoint()
            return self.changes[key].text
        return await self._rows.get(self.namespace, key, self._now())

    async def _scan(self, prefix: str) -> Sequence[tuple[str, str]]:
        found = dict(await self._rows.scan(self.namespace, prefix, self._now()))
        for key, change in self.changes.items():
            if change.text is None:
                found.pop(key, None)
            elif key.startswith(prefix):
                found[key] = change.text
        return sorted(found.items())

    def put(self, key: str, value: object, *, ttl: float | datetime.timedelta | None = None) -> None:
        """KV *value* when the block ends; see `KV.put`."""
        self.changes[key] = self._change(key, value, ttl)

    def delete(self, key: str) -> None:
        """Delete *key* when the block ends."""
        self.changes[key] = Change(self.namespace, _checked(key), None)


class KV(_Values):
    """What one plugin stores; no other plugin sees it.

    Attributes:
        closed: Why it may not be used, or "".
    """

    def __init__(self, namespace: str, rows: Rows, clock: Clock) -> None:
        super().__init__(namespace, clock)
        self._rows = rows
        self._turn = trio.Lock()
        self._ready: trio.Event | None = None
        self.closed = ""

    def hold(self) -> None:
        """Let everybody wait until `release`: stored data is brought to the plugin's version first."""
        self._ready = trio.Event()

    def release(self, closed: str = "") -> None:
        """Let everybody go on; with a reason in *closed* every call fails for it."""
        self.closed = closed
        if self._ready is not None:
            self._ready.set()

    async def _get(self, key: str) -> str | None:
        await self._open()
        return await self._rows.get(self.namespace, key, self._now())

    async def _scan(self, prefix: str) -> Sequence[tuple[str, str]]:
        await self._open()
        return await self._rows.scan(self.namespace, prefix, self._now())

    async def put(self, key: str, value: object, *, ttl: float | datetime.timedelta | None = None) -> None:
        """KV *value*; returns when it lasts.

        Args:
            ttl: Seconds after which it is gone again, or None.

        Raises:
            StoreError: It was not stored.
            TypeError: It is nothing that can be stored.
        """
        await self._apply([self._change(key, value, ttl)])

    async def delete(self, key: str) -> None:
        """Delete *key*, if there is one; returns when that lasts. Raises `StoreError`."""
        await self._apply([Change(self.namespace, _checked(key), None)])

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Read and change as one step: nobody else's change of this plugin's values comes between.

        Raises:
            StoreError: Nothing was stored.
        """
        await self._open()
        async with self._turn:
            inside = Transaction(self, self._rows)
            yield inside
            if inside.changes:
                await self._rows.apply(list(inside.changes.values()), self._now())

    async def _apply(self, changes: Sequence[Change]) -> None:
        await self._open()
        if self._turn.locked():
            # A transaction is open. Whoever holds it itself and comes here is told so by the lock.
            async with self._turn:
                await self._rows.apply(changes, self._now())
        else:
            await self._rows.apply(changes, self._now())

    async def _open(self) -> None:
        if self._ready is not None and not self._ready.is_set():
            await self._ready.wait()
        if self.closed:
            raise StoreError(self.closed)


def _checked(key: str) -> str:
    if not key or len(key) > MAX_KEY:
        raise ValueError(f"a key has 1 to {MAX_KEY} characters, got {len(key)}")
    if "\0" in key:
        raise ValueError("a key has no NUL in it")
    key.encode()  # halves of a character: no database takes them
    return key
