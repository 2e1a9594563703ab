"""What a supervisor knows of whoever takes the events of its account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from qqops.model import AccountRef, Event

if TYPE_CHECKING:
    from qqops.runtime.outbox import Outbox


class Intake(Protocol):
    """Takes events. All but `ready` decide on the spot."""

    def account(self, ref: AccountRef, outbox: Outbox, names: Sequence[str]) -> None:
        """Let what *ref* sets off be answered through *outbox*; *names* are what people call the bot there."""

    def route(self, event: Event) -> object:
        """Take *event*."""

    def chatter(self, account: AccountRef, text: str) -> bool:
        """Whether a group message of plain *text* sets nothing off, so that nobody need make an event of it."""

    @property
    def full(self) -> bool:
        """Whether there is more work than may be held."""

    async def ready(self) -> None:
        """Wait until the next event may be read."""


__all__ = ["Intake"]
