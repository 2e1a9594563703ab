"""The tables of the store's file. A change here needs a step in ``migrations/versions``."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table, Text

#: Revision of the newest migration step; a file that has it already is opened without alembic.
HEAD = "0004"

metadata = MetaData()

_Key = BigInteger().with_variant(Integer, "sqlite")

#: Events that set something off, one row per handler. What tells one from all others is (account, name of its class,
#: kind of its room, room, message: its own id). `start` is where the arguments of a command begin, -1 for none.
inbound = Table(
    "inbound",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=False),
    Column("account", String(200), nullable=False),
    Column("room", String(200), nullable=False),
    Column("message", String(200), nullable=False),
    Column("handler", String(200), nullable=False),
    Column("state", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("event", Text, nullable=True),
    Column("starts", Integer, nullable=False, server_default="0"),
    Column("name", String(200), nullable=False, server_default="Message"),
    Column("kind", String(20), nullable=False, server_default=""),
    Column("start", Integer, nullable=False, server_default="-1"),
    Index("inbound_state", "state"),
    Index("inbound_at", "at"),
)

#: Messages that wait to be sent, or are on the wire.
outbound = Table(
    "outbound",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=False),
    Column("account", String(200), nullable=False),
    Column("plugin", String(200), nullable=False),
    Column("message", String(200), nullable=False),
    Column("at", Float, nullable=False),
    Column("done", Integer, nullable=False),
    Column("flying", Integer, nullable=False),
    Column("draft", Text, nullable=False),
)

#: Names that people and rooms were seen with.
names = Table(
    "names",
    metadata,
    Column("account", String(200), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("place", String(200), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("number", String(200), primary_key=True),
    Column("first", Float, nullable=False),
    Column("last", Float, nullable=False),
)

#: What plugins and the core keep by key.
kv = Table(
    "kv",
    metadata,
    Column("namespace", String(200), primary_key=True),
    Column("key", String(400), primary_key=True),
    Column("value", Text, nullable=False),
    Column("expires", Float, nullable=True),
    Index("kv_expires", "expires"),
)
