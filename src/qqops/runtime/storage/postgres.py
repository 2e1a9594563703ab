"""A store in PostgreSQL. Everything here blocks: the worker thread of the store calls it.

One connection writes and holds a lock on the database for as long as it lasts, another one reads. A connection that breaks
while a transaction is being committed leaves open how that went: the next one asks the server, so that who is told that
nothing was stored can rely on it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, LiteralString, NoReturn, TypeVar

from qqops.errors import ConfigError, StoreError
from qqops.runtime.storage import layout
from qqops.runtime.storage.database import Found, InUse, Query, Reached, RowError, Values

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")

#: Seconds to connect, for one statement, to wait for a lock of others.
CONNECT, STATEMENT, LOCK = 10, 30, 5
#: Seconds for which the server is asked how a commit went whose answer was lost.
RESOLVE = 30.0
#: Seconds for which another bot may still be leaving.
PATIENCE = 2.0
#: Copies of one kind that are kept.
SNAPSHOTS = 3
#: Our number among locks that programs agree on; the other half is the schema's.
OURS = 0x71716F70

_LOCK = "SELECT pg_try_advisory_lock(%s, hashtext(current_schema()))"
_HOLDER = """
SELECT a.pid, a.application_name, coalesce(host(a.client_addr), 'this machine'), a.backend_start::timestamp(0)
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = %s AND l.objid::bigint = hashtext(current_schema())::bigint & 4294967295
"""
#: Ends connections of this process that the server still believes in.
_END_OLD = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s AND pid <> pg_backend_pid()"""


class Postgres:
    """One schema of one database.

    Args:
        url: ``postgresql://user:password@host:port/database``, as libpq takes it.
        folder: Where copies are put.
        reached: Is told each point; nobody listens outside of tests.

    Raises:
        ConfigError: *url* is none, or what it needs is not installed.
    """

    quick = False

    def __init__(self, url: str, folder: pathlib.Path, reached: Reached | None = None) -> None:
        try:
            import psycopg  # here: large, and only who keeps the store there needs it
            import psycopg.conninfo
        except ImportError as exc:
            hint = "pip install 'qqops[postgres]'"
            raise ConfigError("a store in PostgreSQL needs more packages", hint=hint) from exc
        try:
            parts = psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.ProgrammingError as exc:
            # Its own words may show the password.
            hint = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            raise ConfigError("store.url is not the URL of a PostgreSQL database", hint=hint) from exc
        # A password with such a character ends up in the name of the host or of the database, which are shown.
        if "@" in str(parts.get("host") or "")[1:] or "@" in str(parts.get("dbname") or ""):
            hint = "write @ : / ? # in the password as %40 %3A %2F %3F %23"
            raise ConfigError("store.url is not the URL of a PostgreSQL database", hint=hint)
        self._psycopg = psycopg
        self._options = parts.get("options") or ""
        self._url = url
        self.name = (
            f"PostgreSQL {parts.get('host') or 'localhost'}/{parts.get('dbname') or parts.get('user') or ''}"
        )
        self.folder = folder
        self.reached: Reached = reached or (lambda point: None)
        self.connection: psycopg.Connection[Any] | None = None
        self._reader: psycopg.Connection[Any] | None = None
        # Of this process, and in the list of the server's connections.
        self._token = f"qqops {os.getpid()} {uuid.uuid4().hex[:12]}"

    @property
    def is_open(self) -> bool:
        """See `Database`."""
        return self.connection is not None

    # -- opening --------------------------------------------------------------------------------

    def open(self) -> None:
        """See `Database`. Raises `StoreError`: it cannot be reached, or another bot works in it."""
        if self.connection is not None:
            return
        with self._told("cannot open"):
            connection = self._connected(self._token)
            try:
                self._claim(connection)
                self._bring_up(connection)
                connection.autocommit = False
            except BaseException:
                connection.close()
                raise
            self.connection = connection

    def _connected(self, name: str) -> psycopg.Connection[Any]:
        return self._psycopg.connect(
            self._url, autocommit=True, connect_timeout=CONNECT, application_name=name, keepalives_idle=30,
            keepalives_interval=10, keepalives_count=3, tcp_user_timeout=STATEMENT * 1000,
            options=f"{self._options} -c statement_timeout={STATEMENT}s -c lock_timeout={LOCK}s -c timezone=UTC",
        )  # fmt: skip

    def _claim(self, connection: psycopg.Connection[Any]) -> None:
        """Take the lock that says that one bot works here. Raises `StoreError` when another one does."""
        if connection.execute("SELECT current_schema()").fetchone() == (None,):
            raise StoreError("there is no schema that this user may use: see search_path")
        # The server takes a moment to notice that a bot has ended.
        until, patience = time.monotonic() + CONNECT, time.monotonic() + PATIENCE
        while not connection.execute(_LOCK, (OURS,)).fetchone()[0]:  # type: ignore[index]
            holder = connection.execute(_HOLDER, (OURS,)).fetchone()
            if holder is None:  # it has just left, or is nobody that this user may see
                if time.monotonic() > until:
                    raise InUse("another bot works in it")
                time.sleep(0.05)
                continue
            _, name, address, since = holder
            own = name == self._token
            if time.monotonic() > (until if own else patience):
                raise InUse(f"another bot works in it: {name} on {address}, since {since} UTC")
            if own:  # it broke, and the server does not know yet
                connection.execute(_END_OLD, (self._token,))
            time.sleep(0.05)

    def _bring_up(self, connection: psycopg.Connection[Any]) -> None:
        found = _layout_of(connection)
        if found == layout.HEAD:
            return
        if found is not None and found > layout.HEAD:
            raise StoreError(f"it has layout {found}, this qqops knows up to {layout.HEAD}: update qqops")
        self.reached("before the migration")
        if found is None:
            with connection.transaction():
                for statement in layout.NEW:
                    connection.execute(_made(statement))
                    self.reached("after a table")
                self.reached("inside the migration")
        else:
            self._snapshot(f"layout-{found}", found)
            layout.climb_postgres(lambda: self._connected(f"{self._token} layout"), self.name, self.reached)
        self.reached("after the migration")

    # -- writing --------------------------------------------------------------------------------

    def write(self, parts: Iterable[tuple[str, Values]], *, wait: bool) -> None:
        """See `Database`."""
        connection, reached = self.connection, self.reached
        if connection is None:
            raise StoreError(f"{self.name} is not open")
        reached("before the transaction")
        xid, error = self._sent(connection, parts)
        if error is not None:
            self._failed(connection, error)
        reached("inside the transaction")
        try:
            connection.commit()
        except self._psycopg.Error as exc:
            self.close()
            if not self._committed(xid):
                raise StoreError(_reason_of(exc)) from exc
        reached("after the transaction")

    def _sent(
        self, connection: psycopg.Connection[Any], parts: Iterable[tuple[str, Values]]
    ) -> tuple[str, Exception | None]:
        """Send a transaction but for its end, in one go; return its number, and what went wrong."""
        xid, error = "", None
        try:
            with connection.pipeline() as pipeline:
                try:
                    number = connection.execute("SELECT pg_current_xact_id()::text")
                    for statement, values in parts:
                        connection.execute(_translated(statement), values)
                    pipeline.sync()
                    xid = number.fetchone()[0]  # type: ignore[index]
                except Exception as exc:  # noqa: BLE001 - the end of the block would only say that it was cut short
                    error = exc
        except self._psycopg.Error as exc:
            error = error or exc
        return xid, error

    def _failed(self, connection: psycopg.Connection[Any], exc: Exception) -> NoReturn:
        """Take back a transaction that has failed before its commit; raise what that means for who asked for it."""
        with contextlib.suppress(Exception):
            connection.rollback()
        if connection.broken or connection.closed:
            self.close()
            raise StoreError(_reason_of(exc)) from exc
        # Class 54 is what the server finds too large: an index row, a statement.
        too_large = (getattr(exc, "sqlstate", None) or "").startswith("54")
        if too_large or isinstance(exc, self._psycopg.IntegrityError | self._psycopg.DataError):
            raise RowError(_reason_of(exc)) from exc
        if isinstance(exc, self._psycopg.Error) and exc.sqlstate is not None:
            self.close()
            raise StoreError(_reason_of(exc)) from exc
        raise RowError(_reason_of(exc)) from exc  # a value that nobody can write

    def _committed(self, xid: str) -> bool:
        """Return whether a transaction whose commit was not answered was made. Raises `StoreError` when nobody can tell."""
        until = time.monotonic() + RESOLVE
        while time.monotonic() < until:
            with (
                contextlib.suppress(self._psycopg.Error),
                contextlib.closing(self._connected(f"{self._token} asks")) as asking,
            ):
                (state,) = asking.execute("SELECT pg_xact_status(%s::text::xid8)", (xid,)).fetchone() or ("",)
                if state == "in progress":
                    asking.execute(_END_OLD, (self._token,))
                elif state is not None:
                    return bool(state == "committed")
            time.sleep(0.1)
        raise StoreError(
            f"the connection broke while it was being stored, and {self.name} cannot be asked whether it was"
        )

    # -- reading --------------------------------------------------------------------------------

    def read(self, query: Query[T]) -> T:
        """See `Database`."""
        with self._told("cannot read"):
            kept = self._reader is not None
            try:
                return self._read(query)
            except self._psycopg.OperationalError:
                if not kept:
                    raise
            return self._read(query)  # the connection had broken since the last time

    def _read(self, query: Query[T]) -> T:
        if self._reader is None:
            self._reader = self._connected(f"{self._token} reads")
            self._reader.isolation_level = self._psycopg.IsolationLevel.REPEATABLE_READ
            self._reader.read_only = True
        try:
            with self._reader.transaction():
                return query(_Session(self._reader))
        except self._psycopg.Error:
            reader, self._reader = self._reader, None
            reader.close()
            raise

    def peek(self, namespace: str) -> Mapping[str, str]:
        """See `Database`."""
        with (
            self._told("cannot read"),
            contextlib.closing(self._connected(f"{self._token} looks")) as connection,
        ):
            if _layout_of(connection) is None:
                return {}
            query = "SELECT key, value FROM kv WHERE namespace = %s AND expires IS NULL"
            return dict(connection.execute(query, (namespace,)).fetchall())

    def snapshot(self, name: str) -> pathlib.Path:
        """See `Database`; the copy is an SQLite file, as a store without a server is."""
        return self._snapshot(name, layout.HEAD)

    def _snapshot(self, name: str, version: str) -> pathlib.Path:
        from qqops.runtime.storage.portable import copy_out  # here: only who makes a copy pays for it

        number = 1
        while (target := self.folder / f"qqops.db.{name}.{number}").exists():
            number += 1
        self.copied(lambda reader: copy_out(reader, target, self.reached, version))
        (self.folder / f"qqops.db.{name}.{number - SNAPSHOTS}").unlink(missing_ok=True)
        return target

    def copied(self, query: Query[T]) -> T:
        """Return what *query* reads over a connection of its own. Raises `StoreError`."""
        with (
            self._told("cannot read"),
            contextlib.closing(self._connected(f"{self._token} copies")) as connection,
        ):
            connection.isolation_level = self._psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                return query(_Session(connection))

    def version(self) -> str | None:
        """Return the layout that it has, None for none. Raises `StoreError`."""
        with self._told("cannot read"), contextlib.closing(self._connected(f"{self._token} looks")) as found:
            return _layout_of(found)

    # -- the end --------------------------------------------------------------------------------

    def checkpoint(self) -> None:
        """See `Database`: the server does that by itself."""

    def close(self) -> None:
        """Close the connection that writes."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def end(self) -> None:
        """See `Database`."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(Exception):
                reader.close()
        self.close()

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._psycopg.Error as exc:
            raise StoreError(f"{what} {self.name}: {_reason_of(exc)}") from exc
        except StoreError as exc:
            raise type(exc)(f"{what} {self.name}: {exc}") from exc.__cause__


class _Session:
    """A connection that takes statements as SQLite does."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Values = (), /) -> Found:
        """Return the rows that *statement* finds."""
        return self._connection.execute(_translated(statement), values)


@functools.cache
def _translated(statement: str) -> LiteralString:
    """Return *statement* with values marked as the driver wants it. Statements are constants of ours."""
    return re.sub(r"(?<!:):(\w+)", r"%(\1)s", statement.replace("%", "%%")).replace("?", "%s")


def _made(statement: str) -> LiteralString:
    """Return what makes a table of SQLite as PostgreSQL has it: texts of any length that compare by code point."""
    for here, there in (
        (r"VARCHAR\(\d+\)", 'TEXT COLLATE "C"'), (r"\bFLOAT\b", "DOUBLE PRECISION"), (r"\bid INTEGER\b", "id BIGINT"),
    ):  # fmt: skip
        statement = re.sub(here, there, statement)
    return statement


def _layout_of(connection: psycopg.Connection[Any]) -> str | None:
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return None
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if found is None else str(found[0])


def _reason_of(exc: BaseException) -> str:
    """Return the server's own words in one line, without the statement and its values."""
    diag = getattr(exc, "diag", None)
    return " ".join((getattr(diag, "message_primary", None) or str(exc)).split()) or type(exc).__name__
