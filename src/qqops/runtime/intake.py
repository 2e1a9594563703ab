"""What a supervisor knows of whoever takes the events of its account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import trio

from qqops.model import AccountRef, Event


class Intake(Protocol):
    """Takes events. All but `ready` decide on the spot."""

    def online(self, ref: AccountRef, names: Sequence[str], me: str, ids: str) -> None:
        """Note that an account is online; see `qqops.adapters.base.Link.online`."""

    def offline(self, ref: AccountRef) -> None:
        """Note that an account is not online any more."""

    def route(self, event: Event) -> object:
        """Take *event*."""

    def chatter(self, account: AccountRef, text: str) -> bool:
        """Whether a group message of plain *text* sets nothing off, so that nobody need make an event of it."""

    def wants(self, kind: type[Event]) -> bool:
        """Whether anybody listens to events of *kind*."""

    @property
    def full(self) -> bool:
        """Whether there is more work than may be held."""

    async def ready(self, account: AccountRef) -> None:
        """Wait until what *account* has heard is accepted, and the next event may be read."""


class Unheard:
    """Takes nothing: the account was removed, though it may not have left its service yet."""

    full = False

    def online(self, ref: AccountRef, names: Sequence[str], me: str, ids: str) -> None:
        """Nobody is told."""

    def offline(self, ref: AccountRef) -> None:
        """Nobody is told."""

    def route(self, event: Event) -> None:
        """Drop *event*."""

    def chatter(self, account: AccountRef, text: str) -> bool:
        """Everything is."""
        return True

    def wants(self, kind: type[Event]) -> bool:
        """Nobody does."""
        return False

    async def ready(self, account: AccountRef) -> None:
        """Wait for the cancellation."""
        await trio.sleep_forever()


__all__ = ["Intake", "Unheard"]
