"""What accounts can do besides sending: answer requests, manage friends and rooms, fetch pictures and files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

from qqops.adapters.base import Adapter
from qqops.errors import Refuse
from qqops.model import (
    AccountRef,
    Action,
    Delivery,
    Edit,
    FileOffered,
    Image,
    Outcome,
    PersonRef,
    Profile,
    React,
    RoomRef,
    plain,
)
from qqops.model.faces import emoji
from qqops.texts import Say

N = TypeVar("N")


@runtime_checkable
class CanAct(Protocol):
    """An adapter that knows actions."""

    async def act(self, action: Action) -> Outcome:
        """Do *action*; what the network does not know is refused with a reason."""


@runtime_checkable
class CanFetch(Protocol):
    """An adapter that can fetch pictures, files and what the network tells about people."""

    async def fetch(self, thing: Image | FileOffered, room: RoomRef) -> bytes:
        """Return the content. Raises `Refuse` with the reason when it cannot be had."""

    async def avatar(self, who: PersonRef | RoomRef) -> bytes:
        """Return the picture of a person or room. Raises `Refuse`."""

    async def profile(self, person: PersonRef) -> Profile:
        """Return what the network tells about *person*. Raises `Refuse`."""


#: Says something in a room.
Speak: TypeAlias = Callable[[RoomRef, str | Say], Awaitable[Outcome]]


def _instead(action: Action) -> tuple[RoomRef, str | Say] | None:
    """Return what is said where an account cannot do *action*, and in which room; None for nothing."""
    if isinstance(action, React) and action.on:
        return action.message.room, emoji(int(action.code)) if action.code.isdecimal() else action.code
    if isinstance(action, Edit):
        return action.message.room, Say("sent.edited", {"text": plain(action.segments)})
    return None


class Accounts:
    """Injected into handlers that ask for it.

    Args:
        speak: Says something where an account cannot do what it is asked to.
    """

    def __init__(self, speak: Speak) -> None:
        self._speak = speak
        self._adapters: dict[AccountRef, Adapter] = {}

    def add(self, adapter: Adapter) -> None:
        """Make *adapter* reachable."""
        self._adapters[adapter.account] = adapter

    def forget(self, account: AccountRef) -> None:
        """Make *account* unreachable."""
        self._adapters.pop(account, None)

    async def act(self, action: Action, *, in_words: bool = False) -> Outcome:
        """Do *action* with the account that it names, and return how that went.

        Args:
            in_words: Whether something is said in the room instead where the account cannot do it: for a reaction its
                sign, for an edit the new text.
        """
        account = action.account
        adapter = self._adapters.get(account)
        if adapter is None or type(action) not in adapter.can(action.kind).actions:
            if in_words and (words := _instead(action)) is not None:
                return await self._speak(*words)
            name, where = type(action).__name__, action.kind.value
            return Outcome(delivery=Delivery.REFUSED, reason=f"{account} cannot do {name} ({where})")
        assert isinstance(adapter, CanAct)
        return await adapter.act(action)

    async def fetch(self, thing: Image | FileOffered, room: RoomRef) -> bytes:
        """Return the content of a picture or file that came in *room*.

        Raises:
            Refuse: It cannot be had: too old, too large, or the network does not give it.
        """
        return await self._fetcher(room.account).fetch(thing, room)

    async def avatar(self, who: PersonRef | RoomRef) -> bytes:
        """Return the picture of a person or room. Raises `Refuse`."""
        return await self._fetcher(who.account).avatar(who)

    async def profile(self, person: PersonRef) -> Profile:
        """Return what the network tells about *person*. Raises `Refuse`."""
        return await self._fetcher(person.account).profile(person)

    def native(self, account: AccountRef, kind: type[N]) -> N:
        """Return what *account* can do beyond the model, as an object of its network's own class *kind*.

        Raises:
            Refuse: It is offline, or of another network.
        """
        found = getattr(self._adapters.get(account), "native", None)
        if not isinstance(found, kind):
            raise Refuse(f"{account} is not an account of {kind.__name__}")
        return found

    def _fetcher(self, account: AccountRef) -> CanFetch:
        adapter = self._adapters.get(account)
        if adapter is None or not isinstance(adapter, CanFetch):
            raise Refuse(f"{account} cannot fetch anything")
        return adapter
