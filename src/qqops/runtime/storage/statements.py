"""All statements on the store's file but those that make its tables.

What stands behind a colon is bound by name; a question mark, on the journal's hot path, in order.
"""

from __future__ import annotations

# -- values by key --------------------------------------------------------------------------

#: Writes a value, whether there is one or not.
PUT = """
INSERT INTO kv (namespace, key, value, expires) VALUES (:namespace, :key, :value, :expires)
ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, expires = excluded.expires"""
DELETE = "DELETE FROM kv WHERE namespace = :namespace AND key = :key"
#: Deletes what has expired, everybody's.
PURGE = "DELETE FROM kv WHERE expires <= :now"
GET = """
SELECT value FROM kv WHERE namespace = :namespace AND key = :key AND (expires IS NULL OR expires > :now)"""
SCAN = """
SELECT key, value FROM kv
WHERE namespace = :namespace AND key >= :from AND key < :to AND (expires IS NULL OR expires > :now) ORDER BY key"""

# -- the journal: received ------------------------------------------------------------------

ACCEPT = """
INSERT INTO inbound (id, account, name, kind, room, message, handler, start, at, event, state, starts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
START = "UPDATE inbound SET state = 1, starts = starts + 1 WHERE id = ?"
UNSTART = "UPDATE inbound SET state = 0, starts = starts - 1 WHERE id = ?"
END = "UPDATE inbound SET state = ?, event = NULL WHERE id = ?"
#: Deletes what is over since before a moment.
FORGET = "DELETE FROM inbound WHERE state > 1 AND at < :before"
#: Those of earlier runs that have no end, in their order.
UNFINISHED = """
SELECT id, at, event, handler, state, starts, start FROM inbound
WHERE state <= 1 AND (id < :first OR id >= :next) ORDER BY id"""
#: What tells events apart, the latest first.
RECENT = "SELECT account, name, kind, room, message FROM inbound ORDER BY id DESC LIMIT :most"

# -- the journal: to be sent ----------------------------------------------------------------

QUEUE = """
INSERT INTO outbound (id, account, plugin, message, at, draft, done, flying)
VALUES (?, ?, ?, ?, ?, ?, 0, ?)"""
FLY = "UPDATE outbound SET flying = 1 WHERE id = ?"
LAND = "UPDATE outbound SET flying = 0, done = ? WHERE id = ?"
UNQUEUE = "DELETE FROM outbound WHERE id = ?"
#: Those of earlier runs, in their order.
UNSENT = """
SELECT id, draft, plugin, message, at, done, flying FROM outbound WHERE id < :first OR id >= :next ORDER BY id"""
#: The highest numbers of both tables.
HIGHEST = "SELECT (SELECT max(id) FROM inbound), (SELECT max(id) FROM outbound)"

# -- names ----------------------------------------------------------------------------------

#: Notes a name, or that it was seen again.
SEE = """
INSERT INTO names (account, kind, place, name, number, first, last)
VALUES (:account, :kind, :place, :name, :number, :now, :now)
ON CONFLICT (account, kind, place, name, number) DO UPDATE SET last = excluded.last"""
NAMES = "SELECT account, kind, place, name, number, last FROM names ORDER BY last DESC LIMIT :most"
