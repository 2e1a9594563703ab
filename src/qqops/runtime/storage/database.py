"""What a store keeps its rows in: the contract of `DataFile` (SQLite) and `Postgres`. Everything here blocks."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from qqops.errors import StoreError

T = TypeVar("T")

#: Values of a statement, by name or in their order.
Values: TypeAlias = Mapping[str, Any] | Sequence[Any]
#: Is told which point the work on a database has reached; a test kills the process there.
Reached: TypeAlias = Callable[[str], None]


class InUse(StoreError):
    """Another bot works in it."""


class RowError(Exception):
    """A statement or its values are at fault, not the database."""


class Found(Protocol):
    """Rows that were found."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""


class Reader(Protocol):
    """What reads; its statements are SQL that SQLite and PostgreSQL take, with ``?`` or ``:name`` for values."""

    def execute(self, statement: str, values: Values = (), /) -> Found:
        """Return the rows that *statement* finds."""


#: Reads; in a thread.
Query: TypeAlias = Callable[[Reader], T]


class Database(Protocol):
    """One database.

    Attributes:
        name: What people know it by; without a password.
        folder: Where files belong that go with it.
        quick: Whether a transaction waits for nothing: neither disk nor network.
    """

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> pathlib.Path: ...

    @property
    def quick(self) -> bool: ...

    @property
    def is_open(self) -> bool:
        """Whether it can be written to, as far as is known."""

    def open(self) -> None:
        """Open it if it is not, and bring it to the newest layout. Raises `StoreError`."""

    def write(self, parts: Iterable[tuple[str, Values]], *, wait: bool) -> None:
        """Write statements with their values, all of them or none.

        Args:
            wait: Whether to wait for others that hold the database.

        Raises:
            StoreError: It cannot be written to.
            RowError: One of *parts* is at fault.
        """

    def read(self, query: Query[T]) -> T:
        """Return what *query* reads of what is written by now. Raises `StoreError`."""

    def checkpoint(self) -> None:
        """Do what keeps it quick after many writes, beside them."""

    def snapshot(self, name: str) -> pathlib.Path:
        """Copy it to a file in `folder`, and drop the oldest of that *name*; return where. Raises `StoreError`."""

    def peek(self, namespace: str) -> Mapping[str, str]:
        """Return key → JSON of a namespace without opening the database for good. Raises `StoreError`."""

    def end(self) -> None:
        """Close everything, when nobody reads any more."""
