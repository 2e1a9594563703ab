"""The listeners of a bot as one plugin has them in its hands: each path that it asks for is known to be its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from qqops.runtime.listener import Listener, Listeners, Route


class OwnListeners:
    """Stands for `Listeners` in one plugin, so that no path outlives it, whatever it calls the owner."""

    def __init__(self, listeners: Listeners, plugin: str) -> None:
        self._listeners = listeners
        self._plugin = plugin

    def at(self, listen: str) -> Listener:
        """Return the listener at ``HOST:PORT``; see `Listeners.at`."""
        return cast("Listener", _OwnListener(self._listeners.at(listen), self._plugin))

    def routes(self) -> Sequence[tuple[str, Route]]:
        """Return every path that somebody has, with the address it is at."""
        return self._listeners.routes()

    def of(self, owner: str) -> list[Route]:
        """Return what belongs to *owner*."""
        return self._listeners.of(owner)


class _OwnListener:
    """Stands for a `Listener`, and stamps its routes."""

    def __init__(self, listener: Listener, plugin: str) -> None:
        self._listener = listener
        self._plugin = plugin

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)

    def route(self, *args: Any, **more: Any) -> Route:
        """Let a path be answered; see `Listener.route`."""
        return self._listener.route(*args, **{**more, "plugin": self._plugin})
