"""Rooms and people of a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

import attrs
import trio

from qqops.adapters.memory import MemoryNetwork
from qqops.model import (
    Action,
    At,
    Edited,
    Event,
    FriendRequest,
    Joined,
    JoinRequest,
    Left,
    Message,
    MessageRef,
    Poked,
    Reacted,
    Recalled,
    RequestRef,
    Room,
    RoomRef,
    Segment,
    Text,
    User,
)
from qqops.testing.heard import Said

if TYPE_CHECKING:
    from qqops.testing.bot import BotUnderTest

E = TypeVar("E", bound=Event)
T = TypeVar("T", bound="Segment | Action")


class RoomUnderTest:
    """A room of the test, which one or several accounts of the bot are in."""

    def __init__(self, bot: BotUnderTest, rooms: Sequence[tuple[MemoryNetwork, Room]]) -> None:
        self._bot = bot
        self.rooms = rooms
        self.room = rooms[0][1]

    @property
    def name(self) -> str:
        """The room's name."""
        return self.room.name

    @property
    def refs(self) -> set[RoomRef]:
        """The room as each of the accounts sees it."""
        return {room.ref for _, room in self.rooms}

    @overload
    async def expect(self, wanted: str, *, within: float = 10.0) -> Said: ...
    @overload
    async def expect(self, wanted: type[T], *, within: float = 10.0) -> T: ...
    async def expect(self, wanted: str | type[Any], *, within: float = 10.0) -> Any:
        """Wait until the bot says or does something here, and return it. It is not found again.

        Args:
            wanted: A pattern that is searched for in what it says; or a class of segments or actions: ``Image``, ``Kick``.
            within: Virtual seconds to wait.

        Returns:
            The text, which knows its address (`Said`); or the segment or action.

        Raises:
            AssertionError: It did not happen; with the transcript, and the tracebacks of handlers that failed.
        """
        __tracebackhide__ = True
        return await self._bot.heard.expect(wanted, self.refs, within)

    async def quiet(self, seconds: float = 5.0) -> None:
        """Let *seconds* pass and check that the bot has nothing more to say here."""
        __tracebackhide__ = True
        await trio.sleep(seconds)
        texts = self._bot.heard.texts(self.refs)
        if texts:
            raise AssertionError(
                f"expected silence in {self.name}, but the bot said {texts}\n{self._bot.heard.story()}"
            )


class UserUnderTest:
    """A person of the test. What they do happens at once, and the bot reacts as far as it can without waiting."""

    def __init__(self, bot: BotUnderTest, name: str, room: RoomUnderTest) -> None:
        self._bot = bot
        self.name = name
        self.room = room

    @property
    def user(self) -> User:
        """Who that is to the bot, where they speak."""
        return _seen(*self.room.rooms[0], self.name)

    @property
    def mention(self) -> At:
        """A mention of this person, as a piece of what people say."""
        return At(self.user.ref, self.name)

    async def say(
        self,
        *content: str | Segment,
        room: RoomUnderTest | None = None,
        reply_to: Message | MessageRef | Said | None = None,
    ) -> Message:
        """Say *content*: texts and segments. ``bot.at()`` is a mention of the bot.

        Args:
            reply_to: What it quotes.

        Returns:
            The message, to be quoted, recalled or reacted to.
        """
        where = room or self.room
        segments = tuple(Text(one) if isinstance(one, str) else one for one in content)
        quoted = None if reply_to is None else _ref(reply_to)
        said = [network.say(self.name, one, segments, quoted) for network, one in where.rooms]
        place = "" if where.room.private else f" in {where.name}"
        self._bot.transcript.append(f"{self.name}{place}> {said[0].text}")
        await trio.testing.wait_all_tasks_blocked()
        return said[0]

    async def does(self, kind: type[E], *, room: RoomUnderTest | None = None, **more: Any) -> E:
        """Let an event of *kind* happen with this person as its sender, and return it.

        What *more* does not say is filled in, as far as *kind* has it: ``id``, ``at``, ``room``, ``account``, ``sender``,
        ``request``.
        """
        where = room or self.room
        names = {a.name for a in attrs.fields(kind)}
        happened = []
        for network, one in where.rooms:
            if (message := more.get("message")) is not None and message.room.account != network.account:
                continue  # ids of messages are of use to one account
            known: dict[str, Any] = {
                "id": network.number(), "at": self._bot.clock.now(), "room": one, "account": network.account,
                "sender": _seen(network, one, self.name),
                "request": RequestRef(network.account, f"r{network.number()}"),
            }  # fmt: skip
            filled = {name: value for name, value in known.items() if name in names and name not in more}
            happened.append(kind(**filled, **more))
            network.happen(happened[-1])
        assert happened, f"none of the accounts in {where.name} knows that message"
        self._bot.transcript.append(f"{self.name}: {kind.__name__}")
        await trio.testing.wait_all_tasks_blocked()
        return happened[0]

    async def joins(self, room: RoomUnderTest, *, by: UserUnderTest | None = None) -> Joined:
        """Come into *room*, let in by somebody."""
        for network, one in room.rooms:
            network.group(one.name, self.name)
        return await self.does(Joined, room=room, by=by and by.user)

    async def leaves(self, room: RoomUnderTest, *, by: UserUnderTest | None = None) -> Left:
        """Leave *room*, or be put out *by* somebody."""
        for network, one in room.rooms:
            network.leave(self.name, one.name)
        return await self.does(Left, room=room, by=by and by.user)

    async def recalls(self, message: Message | Said | MessageRef) -> Recalled:
        """Take *message* back: the own one, or another's."""
        more = self._at(message)
        if isinstance(message, Message):
            more["sender"] = message.sender
        return await self.does(Recalled, **more, by=self.user)

    async def edits(self, message: Message | MessageRef, *content: str | Segment) -> Edited:
        """Let *message* say *content* instead."""
        segments = tuple(Text(one) if isinstance(one, str) else one for one in content)
        return await self.does(Edited, **self._at(message), segments=segments)

    async def reacts(self, message: Message | Said | MessageRef, code: str, *, on: bool = True) -> Reacted:
        """Put the sign *code* to *message*, or take it away."""
        return await self.does(Reacted, **self._at(message), code=code, on=on)

    async def pokes(self, whom: UserUnderTest | None = None, *, room: RoomUnderTest | None = None) -> Poked:
        """Shake the window of *whom*, or of the bot."""
        return await self.does(Poked, room=room, target=whom and whom.user)

    async def asks_friendship(self, text: str = "") -> FriendRequest:
        """Ask to become a friend of the account."""
        return await self.does(FriendRequest, text=text)

    async def asks_to_join(self, room: RoomUnderTest, text: str = "") -> JoinRequest:
        """Ask to be let into *room*."""
        return await self.does(JoinRequest, room=room, text=text)

    @overload
    async def expect(self, wanted: str, *, within: float = 10.0) -> Said: ...
    @overload
    async def expect(self, wanted: type[T], *, within: float = 10.0) -> T: ...
    async def expect(self, wanted: str | type[Any], *, within: float = 10.0) -> Any:
        """Wait for something where this person speaks; see `RoomUnderTest.expect`."""
        __tracebackhide__ = True
        return await self.room.expect(cast("Any", wanted), within=within)

    def _at(self, message: Message | Said | MessageRef) -> dict[str, Any]:
        """Return *message* and its room, as events have them."""
        ref = _ref(message)
        for network in self._bot.networks.values():
            for one in (*network.rooms.values(), *map(network.private, list(network.users))):
                if one.ref == ref.room:
                    return {"message": ref, "room": RoomUnderTest(self._bot, [(network, one)])}
        raise AssertionError(f"{ref} is in no room of this test")


def _ref(message: Message | Said | MessageRef) -> MessageRef:
    return message if isinstance(message, MessageRef) else message.ref


def _seen(network: MemoryNetwork, room: Room, name: str) -> User:
    """Return *name* as people in *room* see them."""
    return network.seen(name, "" if room.private else room.name)
