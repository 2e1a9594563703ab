"""The tables of the store's file: what a new one gets, and the steps that bring an older one there. All of it blocks.

A change here needs a step in ``migrations/versions``, and the other way round; a test compares where both lead.
"""

from __future__ import annotations

import pathlib
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qqops.errors import StoreError

if TYPE_CHECKING:
    import sqlalchemy

#: Revision of the newest step.
HEAD = "0004"

#: What makes a new file. The steps would, too, but what runs them takes 25 MB for as long as the process lives.
NEW = (
    # Events that set something off, one row per handler. What tells one from all others is (account, name of its
    # class, kind of its room, room, message: its own id). `state` is a `RowState`; `start` is where the arguments of a
    # command begin, -1 for none.
    """
CREATE TABLE inbound (
    id INTEGER NOT NULL,
    account VARCHAR(200) NOT NULL,
    room VARCHAR(200) NOT NULL,
    message VARCHAR(200) NOT NULL,
    handler VARCHAR(200) NOT NULL,
    state INTEGER NOT NULL,
    at FLOAT NOT NULL,
    event TEXT,
    starts INTEGER DEFAULT '0' NOT NULL,
    name VARCHAR(200) DEFAULT 'Message' NOT NULL,
    kind VARCHAR(20) DEFAULT '' NOT NULL,
    start INTEGER DEFAULT '-1' NOT NULL,
    PRIMARY KEY (id)
)""",
    "CREATE INDEX inbound_state ON inbound (state)",
    "CREATE INDEX inbound_at ON inbound (at)",
    # Messages that wait to be sent, or are on the wire.
    """
CREATE TABLE outbound (
    id INTEGER NOT NULL,
    account VARCHAR(200) NOT NULL,
    plugin VARCHAR(200) NOT NULL,
    message VARCHAR(200) NOT NULL,
    at FLOAT NOT NULL,
    done INTEGER NOT NULL,
    flying INTEGER NOT NULL,
    draft TEXT NOT NULL,
    PRIMARY KEY (id)
)""",
    # Names that people and rooms were seen with.
    """
CREATE TABLE names (
    account VARCHAR(200) NOT NULL,
    kind VARCHAR(20) NOT NULL,
    place VARCHAR(200) NOT NULL,
    name VARCHAR(200) NOT NULL,
    number VARCHAR(200) NOT NULL,
    first FLOAT NOT NULL,
    last FLOAT NOT NULL,
    PRIMARY KEY (account, kind, place, name, number)
)""",
    # What plugins and the core keep by key.
    """
CREATE TABLE kv (
    namespace VARCHAR(200) NOT NULL,
    "key" VARCHAR(400) NOT NULL,
    value TEXT NOT NULL,
    expires FLOAT,
    PRIMARY KEY (namespace, "key")
)""",
    "CREATE INDEX kv_expires ON kv (expires)",
    # Which step the file has reached; alembic's own.
    """
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)""",
    f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')",
)


def layout_of(connection: sqlite3.Connection) -> str | None:
    """Return the step that a file has reached, None for a new one. Raises `sqlite3.Error`."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return None
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if found is None else str(found[0])


def create(connection: sqlite3.Connection, reached: Callable[[str], None]) -> None:
    """Make the tables of a new file, all of them or none. Raises `sqlite3.Error`."""
    # The driver begins no transaction for statements that change the layout.
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in NEW:
            connection.execute(statement)
            reached("after a table")
        reached("inside the migration")
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def climb(path: pathlib.Path, reached: Callable[[str], None], version: str = HEAD) -> None:
    """Bring an older file, or a new one, to a later layout, all the way or not at all. Raises `StoreError`."""
    import sqlalchemy  # here: large, and needed once after an update

    url = sqlalchemy.URL.create("sqlite", database=str(path))
    # The driver begins no transaction for statements that change the layout: without this one each would stand alone,
    # and a process that is killed between two of them leaves a file that no other can open.
    _climb(
        sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool),
        "BEGIN IMMEDIATE",
        str(path),
        reached,
        version,
    )


def climb_postgres(connect: Callable[[], Any], name: str, reached: Callable[[str], None]) -> None:
    """Bring an older database to the newest layout, all the way or not at all. Raises `StoreError`."""
    import sqlalchemy

    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=connect, poolclass=sqlalchemy.NullPool)
    _climb(engine, "BEGIN", name, reached, HEAD)


def _climb(
    engine: sqlalchemy.Engine, begin: str, name: str, reached: Callable[[str], None], version: str
) -> None:
    import alembic.command
    import alembic.config
    import sqlalchemy

    config = alembic.config.Config()
    config.set_main_option("script_location", str(pathlib.Path(__file__).with_name("migrations")))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            connection.exec_driver_sql(begin)
            alembic.command.upgrade(config, version)
            reached("inside the migration")
            connection.commit()
    except sqlalchemy.exc.SQLAlchemyError as exc:
        # The database's own words, without the statement and its values: these hold what people wrote.
        raise StoreError(
            f"cannot bring {name} to layout {version}: {getattr(exc, 'orig', None) or exc}"
        ) from exc
    finally:
        engine.dispose()
