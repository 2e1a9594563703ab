"""poll2: what came in, and what follows. Source: webqq.md §10, §12."""

from __future__ import annotations

from typing import Any

import attrs

from qqops.protocol.webqq.classify import Verdict, classify, http_verdict
from qqops.protocol.webqq.http import Request, Response
from qqops.protocol.webqq.items import Incoming, Item
from qqops.protocol.webqq.reading import read_item
from qqops.protocol.webqq.session import Session
from qqops.protocol.webqq.wire import json_of, retcode, token

#: After so many instant answers without content the session is taken for dead (§12.1, code 0).
DEAD_AFTER = 3
#: A poll that answers in less than this part of the hold, and of a second, did not wait for anything.
INSTANT = 0.25
#: Items of one answer that are looked at; a real one has a handful.
MAX_ITEMS = 5000


@attrs.frozen(kw_only=True)
class Polled:
    """What one poll brought.

    Attributes:
        items: Oldest first.
        ptwebqq: The new value, after code 116.
        instant: Whether the answer came without any waiting.
    """

    verdict: Verdict
    items: tuple[Item, ...] = ()
    ptwebqq: str = ""
    cause: str = ""
    instant: bool = False


def request(session: Session, deadline: float) -> Request:
    """Return the long poll; *deadline* is in seconds and longer than the service's hang."""
    if session.profile.repeats_ids:
        r: dict[str, object] = {**session.id_fields, "key": 0, "ids": []}
    else:
        r = {"ptwebqq": session.ptwebqq, **session.id_fields, "key": ""}
    return session.channel_post("poll2", r, deadline=deadline)


def read(session: Session, response: Response) -> Polled:
    """Return what *response* means.

    Raises:
        ProtocolError: The answer as a whole makes no sense. A single bad item does not raise: it is
            returned as `Malformed`.
    """
    if response.status != 200:
        return Polled(verdict=http_verdict("poll2", response.status), cause=f"HTTP {response.status}")
    body = json_of(response, "poll2")
    code = retcode(body, "poll2")
    instant = response.elapsed < INSTANT * min(session.hold, 4.0)
    verdict = classify(session.profile.name, "poll2", code, instant=instant)
    result = body.get("result")
    if verdict is Verdict.OK and isinstance(result, list) and result:
        session.empty_polls = 0
        return Polled(verdict=Verdict.OK, items=items(result))
    if verdict is Verdict.OK:
        verdict = Verdict.IDLE
    cause = f"poll2: retcode {code}"
    if verdict is Verdict.IDLE:
        # "Nothing new" at once and again and again is how a dead session looked from 2016 on.
        session.empty_polls = session.empty_polls + 1 if instant and code != 116 else 0
        if session.empty_polls >= DEAD_AFTER:
            return Polled(verdict=Verdict.RELINK, cause=f"{cause}, {session.empty_polls} times at once")
    renewed = body.get("p", "") if code == 116 else ""
    return Polled(
        verdict=verdict, ptwebqq=token(renewed, "poll2: the new ptwebqq"), cause=cause, instant=instant
    )


def items(result: list[Any]) -> tuple[Item, ...]:
    """Return the items of an answer, oldest first.

    The service lists them newest first, mostly; so the list is turned round and sorted by time. Where a group
    counts its messages, they take the places of that group in the order of the counter. Both sorts are stable.
    """
    found = [read_item(raw) for raw in reversed(result[:MAX_ITEMS])]
    order = iter(sorted((i for i in found if isinstance(i, Incoming)), key=lambda m: m.time))
    found = [next(order) if isinstance(item, Incoming) else item for item in found]
    rooms: dict[int, list[int]] = {}
    for place, item in enumerate(found):
        if isinstance(item, Incoming) and item.seq:
            rooms.setdefault(item.room, []).append(place)
    for places in rooms.values():
        counted = sorted(
            (item for p in places if isinstance(item := found[p], Incoming)), key=lambda m: m.seq
        )
        for place, item in zip(places, counted, strict=True):
            found[place] = item
    return tuple(found)
