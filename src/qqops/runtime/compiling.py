"""From what plugins have declared to the tables that dispatch reads."""

from __future__ import annotations

import re
from collections.abc import Iterable

from qqops.model import Message
from qqops.protocol.words import INVISIBLE
from qqops.runtime.bounds import Bounds
from qqops.runtime.clock import WallClock
from qqops.runtime.halted import Halted
from qqops.runtime.hints import Hints
from qqops.runtime.named_rooms import NamedRooms
from qqops.runtime.registry import Around, Listener, Registry, Trigger
from qqops.runtime.routes import Routes, glued_of, table_of


def compile_routes(
    registry: Registry,
    rooms: NamedRooms | None = None,
    hints: Hints | None = None,
    bounds: Bounds | None = None,
) -> Routes:
    """Return the tables for dispatch.

    Args:
        rooms: What is set for single rooms.
        bounds: Searches for patterns that may take long, and knows who is switched off.
    """
    by_room = {key: _longest_first(prefixes) for key, prefixes in rooms.prefixes.items()} if rooms else {}
    prefixes = _longest_first(registry.prefixes)
    messages = _by_priority(one for one in registry.listeners if issubclass(Message, one.event))
    keywords = tuple(one for one in messages if one.trigger is Trigger.KEYWORD)
    alternatives = sorted({re.escape(k) for one in keywords for k in one.keywords}, key=len, reverse=True)
    bounds = bounds or Bounds(Halted(WallClock()))
    named = registry.named()
    return Routes(
        prefixes=prefixes,
        by_room=by_room,
        rooms=rooms,
        first=frozenset(p[0] for of in (prefixes, *by_room.values()) for p in of if p) | frozenset(INVISIBLE),
        words=table_of(named.items()),
        depth=max((len(name) for name in named), default=1),
        glued=glued_of(named.items()),
        always=tuple(one for one in messages if one.trigger is Trigger.ANY),
        at_me=tuple(one for one in messages if one.trigger is Trigger.AT_ME),
        regexes=tuple(
            one for one in messages if one.trigger is Trigger.REGEX and one.handler.key not in bounds.halted
        ),
        bounded=bounds.search,
        keyword_pattern=re.compile("|".join(alternatives), re.IGNORECASE) if alternatives else None,
        keywords=keywords,
        others=tuple(_by_priority(one for one in registry.listeners if one.event is not Message)),
        ranks={one.handler: one for one in messages} if any(m.priority or m.stop for m in messages) else {},
        around=Around.of(registry.filters),
        aliases=registry.aliases,
        hints=hints,
        visible=registry.may_see,
        commands=tuple(registry.commands),
    )


def _longest_first(prefixes: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(prefixes, key=len, reverse=True))


def _by_priority(listeners: Iterable[Listener]) -> list[Listener]:
    return sorted(listeners, key=lambda one: -one.priority)
