"""What is switched off where: plugins and single commands, by room."""

from __future__ import annotations

from collections.abc import Mapping


class Switches:
    """Names that are off, by the address of the room.

    A name is a plugin's, or ``plugin:name`` of one handler.
    """

    def __init__(self) -> None:
        self._off: dict[str, frozenset[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._off)

    def is_off(self, room: str, plugin: str, key: str) -> bool:
        """Whether a handler is off in *room*.

        Args:
            key: ``plugin:name``.
        """
        names = self._off.get(room)
        return names is not None and (plugin in names or key in names)

    def off(self, room: str) -> frozenset[str]:
        """Return what is off in *room*."""
        return self._off.get(room, frozenset())

    def all(self) -> Mapping[str, frozenset[str]]:
        """Return what is off, by room."""
        return self._off

    def turn(self, room: str, name: str, on: bool) -> bool:
        """Switch *name* on or off in *room*; return whether it was different before."""
        names = self.off(room)
        changed = names - {name} if on else names | {name}
        if changed:
            self._off[room] = changed
        else:
            self._off.pop(room, None)
        return changed != names

    def put(self, room: str, names: frozenset[str]) -> None:
        """Take over what an earlier run has kept."""
        if names:
            self._off[room] = names
