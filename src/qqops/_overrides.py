"""Tables ``[plugins.NAME]`` → configurations; ``[plugins.NAME.rooms.ROOM]`` has single keys of them for one room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from qqops._file import SettingsFile
from qqops._structure import structure
from qqops.errors import ConfigError, Mistakes
from qqops.runtime.named_rooms import PerRoom

#: Returns a table with its secrets fetched; it stands below a key, and what cannot be had is noted.
Fetch: TypeAlias = Callable[[Mapping[str, Any], str, Mistakes], Mapping[str, Any]]

#: The key below which rooms stand; a list, or whatever else is no table, is the plugin's own.
ROOMS = "rooms"


def configured(
    table: Mapping[str, Any], cls: type[Any], file: SettingsFile, key: str, fetch: Fetch
) -> object:
    """Return an object of *cls*, or, where rooms have something for themselves, a `PerRoom` of such objects.

    Args:
        table: The table *key* of *file*.
        fetch: Fetches the secrets of a table, which stands below a key.

    Raises:
        ConfigError: Something is wrong; all of it is named.
    """
    common, rooms = _parted(table)
    mistakes = Mistakes()
    values = fetch(common, key, mistakes)
    with mistakes.noted():
        plain = structure(values, cls, file, key)
    wrong = bool(mistakes.found)
    own = {}
    for room, keys in rooms.items():
        below = f"{key}.{ROOMS}.{room}"
        if not isinstance(keys, dict):
            mistakes.add(f"must be a table, got {keys!r}", where=file.where(below), hint=f"[{below}]")
            continue
        fetched = fetch(keys, below, mistakes)
        try:
            own[room] = structure({**values, **fetched}, cls, file, below)
        except ConfigError as exc:
            # What is wrong everywhere is told already.
            places = tuple(f" {below}.{name}" for name in keys)
            mistakes.found += [one for one in exc.all if not wrong or one.where.endswith(places)]
    mistakes.check()
    return PerRoom(plain, own) if own else plain


def _parted(table: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what holds everywhere, and what rooms have for themselves."""
    rooms = table.get(ROOMS)
    if not isinstance(rooms, dict):
        return table, {}
    return {key: value for key, value in table.items() if key != ROOMS}, rooms
