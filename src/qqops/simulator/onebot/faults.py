"""What can go wrong with an implementation of OneBot v11. Source: onebot11.md §6."""

from __future__ import annotations

from qqops.simulator.faults import Repertoire

#: What each fault means.
KINDS = {
    "close": "close the connection instead of answering (after=true: the action was done all the same)",
    "stall": "the connection stays open and nothing moves on it for some seconds (seconds, default 3600)",
    "hang": "do not answer the good-bye of the application for some seconds (seconds, default 3600)",
    "silent": "do not answer an action (after=true: it was done all the same)",
    "late": "answer some seconds later (seconds, default 2)",
    "reorder": "answer only after the next answer",
    "noecho": "answer without the echo, so that nobody can tell what is answered",
    "async": "answer a send with the status async: it is taken over, and nobody says how it went",
    "timeout": "say that a send failed with a time-out; people see it all the same",
    "mute": "refuse a send because the account is muted",
    "swallow": "say that a send went well; nobody sees it (risk control)",
    "null": "answer with data null",
    "duplicate": "push an event twice",
    "lose": "do not push an event",
    "garbage": "send a frame that is not an event before an event",
    "nobeat": "send no heartbeats any more",
    "http": "refuse a connection with an HTTP error (status, default 502)",
    "port": "close the port and every connection for some seconds (seconds, default 3)",
}
_SEND = "send_"
REPERTOIRE = Repertoire(
    kinds=KINDS,
    seconds={"late": 2.0, "port": 3.0},
    places=dict.fromkeys(("timeout", "mute", "async", "swallow"), _SEND),
    lasting=frozenset({"nobeat"}),
)
#: Faults of an action: no answer comes, another one comes, or it comes at another time.
UNANSWERED = frozenset({"close", "stall", "silent"})
ANSWERED = frozenset({"noecho", "async", "timeout", "mute", "swallow", "null"})
ON_ACTION = UNANSWERED | ANSWERED | {"late", "reorder"}
#: Faults of an event.
ON_EVENT = frozenset({"stall", "close", "garbage", "duplicate", "lose"})
#: Frames that are not events, or none that can be read.
GARBAGE = (b"null", b"[]", b"not json", b'"text"', b'{"post_type": 7}', b"\xff\xfe", b'{"status":"ok"}')
