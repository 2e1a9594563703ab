"""The statements on values by key, built once. Importing this loads SQLAlchemy."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, or_, select
from sqlalchemy.dialects import sqlite

from qqops.runtime.storage.tables import kv

_insert = sqlite.insert(kv)
#: Writes a value, whether there is one or not.
PUT = _insert.on_conflict_do_update(
    index_elements=[kv.c.namespace, kv.c.key],
    set_={"value": _insert.excluded.value, "expires": _insert.excluded.expires},
)
_mine = kv.c.namespace == bindparam("b_namespace")
DELETE = delete(kv).where(_mine, kv.c.key == bindparam("b_key"))
#: Deletes what has expired, everybody's.
PURGE = delete(kv).where(kv.c.expires <= bindparam("b_now"))
_alive = or_(kv.c.expires.is_(None), kv.c.expires > bindparam("b_now"))
GET = select(kv.c.value).where(_mine, kv.c.key == bindparam("b_key"), _alive)
SCAN = (
    select(kv.c.key, kv.c.value)
    .where(_mine, kv.c.key >= bindparam("b_from"), kv.c.key < bindparam("b_to"), _alive)
    .order_by(kv.c.key)
)
