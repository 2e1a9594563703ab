"""What helps when a store does not do, by the words of the system or the database; the table in ``how-to/run-a-bot`` says more."""

from __future__ import annotations

#: What stands in a reason, in any case, and what a person can do then. The first that fits counts.
_ADVICE = (
    (
        ("read-only transaction",),
        "that server may only be read: name the one that can be written in store.url",
    ),
    (
        ("disk is full", "no space left", "disk full", "could not extend", "quota"),
        "make room on that disk; what waits to be written is kept until then",
    ),
    (
        ("readonly", "read-only", "permission denied", "unable to open database file"),
        "let the user that the bot runs as write to that folder and its files",
    ),
    (("is locked",), "another program holds the file: end it; the bot needs no restart"),
    (
        ("not a database", "malformed", "damaged"),
        "stop the bot and `qqops restore` the last backup, or move the file away to begin with an empty one",
    ),
    (
        ("password authentication", "no password supplied", "does not exist", "no pg_hba.conf entry"),
        "look at the user, password and database in store.url; `psql` with the same URL must work",
    ),
    (
        ("connection", "could not translate host", "timeout expired", "server closed", "terminating"),
        "look whether the server of store.url is up and can be reached; it is tried again until then",
    ),
)


def advice(reason: str) -> str:
    """Return what helps against *reason*, "" where nobody knows."""
    low = reason.lower()
    return next((what for words, what in _ADVICE if any(word in low for word in words)), "")
