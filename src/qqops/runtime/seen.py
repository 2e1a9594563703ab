"""Which events were seen lately: two generations of keys, so that forgetting costs nothing."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeAlias

import trio

from qqops.model import AccountRef, Event

#: Seconds for which events are remembered, as long as there are not ten times as many as the window says.
REMEMBERED = 300.0

#: What tells an event of one account from all others: its class, the kind and the id of its room, its own id.
Key: TypeAlias = tuple[str, str, str, str]


def key_of(event: Event) -> Key:
    """Return the key of *event*."""
    room = event.room
    if room is None:
        return type(event).__name__, "", "", event.id
    return type(event).__name__, room.ref.kind.value, room.ref.id, event.id


def order_of(event: Event) -> Hashable:
    """Return what *event* stays in order with: what one person does in one room, or besides all rooms."""
    room, sender = event.room, event.sender
    return room.ref if room is not None else event.account, sender.ref if sender is not None else type(event)


class Window:
    """Remembers at least the last *window* keys and at least the last *seconds*; at most twice what that takes.

    Args:
        most: Keys above which the time does not count any more.
    """

    def __init__(self, window: int, seconds: float, most: int) -> None:
        self._window = window
        self._seconds = seconds
        self._most = most
        self._young: set[Hashable] = set()
        self._old: set[Hashable] = set()
        self._since = float("-inf")

    def add(self, key: Hashable, now: float) -> bool:
        """Note *key*; return whether it is new."""
        young = self._young
        if key in young or key in self._old:
            return False
        if not young:
            self._since = now
        elif len(young) >= self._window and (now - self._since >= self._seconds or len(young) >= self._most):
            self._old, self._young, self._since = young, set(), now
            young = self._young
        young.add(key)
        return True


class Seen:
    """The events of all accounts that were seen lately; the memory outlives sessions.

    Args:
        window: Keys of each account that are remembered at least.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._windows: dict[AccountRef, Window] = {}

    def is_new(self, event: Event) -> bool:
        """Note *event*; return whether it was not seen before. What has no id cannot be told from others without one."""
        return not event.id or self.add(event.account, key_of(event))

    def add(self, account: AccountRef, key: Key) -> bool:
        """Note an event by its `key_of`; return whether it is new."""
        window = self._windows.get(account)
        if window is None:
            window = self._windows[account] = Window(self._window, REMEMBERED, 10 * self._window)
        return window.add(key, trio.current_time())
