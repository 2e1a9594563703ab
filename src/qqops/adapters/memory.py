"""A network in memory: rooms, people and bots without a socket. For the console and for tests.

It keeps the same promises as a real one: order per room, nothing swallowed while the bot is away, an outcome
for every send, and sessions that break on demand.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence

import attrs
import trio

from qqops.adapters.base import Link, Network, Opening, Outgoing
from qqops.errors import AdapterError, TransientError
from qqops.model import (
    AccountRef,
    At,
    AtAll,
    Capabilities,
    Clock,
    Delivery,
    Draft,
    Face,
    File,
    Forward,
    Image,
    Later,
    MemberRole,
    Message,
    MessageRef,
    Other,
    Outcome,
    Pace,
    PersonRef,
    Quoted,
    Room,
    RoomKind,
    RoomRef,
    Segment,
    Text,
    User,
    Video,
    Voice,
)

NAME = "memory"
#: Whatever a message can hold.
EVERYTHING = Capabilities(
    segments=frozenset({Text, Face, Image, At, AtAll, Voice, Video, File, Forward, Other, Quoted})
)


@attrs.frozen(kw_only=True)
class MemoryOptions:
    """Settings of an in-memory account.

    Attributes:
        nick: What the bot is called.
        send_gap: Seconds between two sends.
        max_bytes: UTF-8 bytes of text in one message; 0 for no limit.
    """

    nick: str = "qqops-bot"
    send_gap: float = 0.0
    max_bytes: int = 0


class MemoryNetwork:
    """The world of one in-memory account: who there is, and what was said.

    Args:
        first: Number of the first message; one that a bot with a journal has seen is no news to it.
        me: Id of the account where several share a world; "" for a world of its own.
    """

    def __init__(
        self, account: AccountRef, clock: Clock, nick: str = "qqops-bot", first: int = 1, me: str = ""
    ) -> None:
        self.account = account
        self.me = me
        self.nick = nick
        self.rooms: dict[str, Room] = {}
        self.users: dict[str, User] = {}
        self.members: dict[str, list[User]] = {}
        self.sent: list[Draft] = []
        self.heard: Callable[[Draft], None] = lambda draft: None
        self._clock = clock
        self._ids = itertools.count(first)
        self._waiting: deque[Message] = deque()
        self._arrived = trio.Event()
        self._break: tuple[trio.CancelScope, list[AdapterError]] | None = None

    def user(self, name: str) -> User:
        """Return the person *name*, who exists from now on."""
        if name not in self.users:
            self.users[name] = User(ref=PersonRef(self.account, f"u-{name}"), name=name)
        return self.users[name]

    def become(self, name: str, role: MemberRole) -> None:
        """Let *name* be that in the groups from now on."""
        self.users[name] = attrs.evolve(self.user(name), role=role)

    def group(self, name: str, *members: str) -> Room:
        """Return the group *name*, with these members from now on."""
        if name not in self.rooms:
            self.rooms[name] = Room(ref=RoomRef(self.account, RoomKind.GROUP, f"g-{name}"), name=name)
            self.members[name] = []
        inside = self.members[name]
        inside.extend(user for user in map(self.user, members) if user not in inside)
        return self.rooms[name]

    def private(self, name: str) -> Room:
        """Return the private chat of *name* with the bot."""
        user = self.user(name)
        return Room(ref=RoomRef(self.account, RoomKind.PRIVATE, user.id), name=name)

    def say(self, name: str, room: Room, content: str | Sequence[Segment]) -> Message:
        """Let *name* say *content* in *room*; it waits while the bot is away."""
        segments = (Text(content),) if isinstance(content, str) else tuple(content)
        mentioned = any(isinstance(s, At) and s.name == self.nick for s in segments)
        message = Message(
            id=str(next(self._ids)),
            room=room,
            sender=self.user(name),
            segments=segments,
            at=self._clock.now(),
            at_me=room.private or mentioned,
        )
        self._waiting.append(message)
        self._arrived.set()
        return message

    @property
    def pending(self) -> int:
        """Messages that no session has taken yet."""
        return len(self._waiting)

    def drop(self, error: AdapterError | None = None) -> bool:
        """End the open session with *error*; return whether there was one."""
        if self._break is None:
            return False
        scope, errors = self._break
        errors.append(error or TransientError("the connection was dropped"))
        scope.cancel(reason="dropped on purpose")
        return True

    async def session(self, link: Link, outbox: Outgoing) -> None:
        """Hold one session of the bot."""
        errors: list[AdapterError] = []
        with trio.CancelScope() as scope:
            self._break = (scope, errors)
            try:
                async with trio.open_nursery() as nursery:
                    link.online([self.nick], me=self.me)
                    link.alive(float("inf"))
                    nursery.start_soon(outbox.stream, self._take)
                    await self._deliver(link)
            finally:
                self._break = None
        if errors:
            raise errors[0]

    async def _deliver(self, link: Link) -> None:
        while True:
            self._arrived = (
                trio.Event()
            )  # before looking: what comes while we are not ready must wake us, too
            while self._waiting:
                link.event(self._waiting.popleft())
            await link.ready()
            await self._arrived.wait()

    def _take(self, draft: Draft, settle: Callable[[Outcome | Later], None]) -> Callable[[], bool]:
        # Whoever has an address of ours may use it, also in the world that a restarted bot finds.
        if not draft.room.id.startswith("u-" if draft.room.kind is RoomKind.PRIVATE else "g-"):
            settle(Outcome(delivery=Delivery.REFUSED, reason=f"there is no room {draft.room.id!r}"))
            return lambda: False
        self.sent.append(draft)
        self.heard(draft)
        refs = (MessageRef(draft.room, f"b{next(self._ids)}"),)
        settle(Outcome(delivery=Delivery.DELIVERED, refs=refs))
        return lambda: True


class MemoryAdapter:
    """The bot's side of a `MemoryNetwork`."""

    def __init__(
        self, network: MemoryNetwork, pace: Pace | None = None, can: Capabilities = EVERYTHING
    ) -> None:
        self.network = network
        self._pace = pace or Pace()
        self._can = can

    @property
    def account(self) -> AccountRef:
        """Whose connection this is."""
        return self.network.account

    @property
    def pace(self) -> Pace:
        """How fast the account may send."""
        return self._pace

    def can(self, kind: RoomKind) -> Capabilities:
        """Return what the account can do."""
        return self._can

    async def serve(self, link: Link, outbox: Outgoing) -> None:
        """Hold one session until it is broken on purpose."""
        await self.network.session(link, outbox)

    def rooms(self) -> Sequence[Room]:
        """Return the groups."""
        return list(self.network.rooms.values())

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return the members of a group, or the other side of a private chat."""
        await trio.lowlevel.checkpoint()
        return self.people(room)

    def people(self, room: RoomRef) -> Sequence[User]:
        """Return the same without waiting."""
        if room.kind is RoomKind.PRIVATE:
            return [user for user in self.network.users.values() if user.id == room.id]
        name = next((r.name for r in self.network.rooms.values() if r.ref == room), "")
        return list(self.network.members.get(name, ()))


def open_memory(opening: Opening, options: MemoryOptions) -> MemoryAdapter:
    """Return the adapter of an in-memory account."""
    network = MemoryNetwork(opening.account, opening.clock, options.nick)
    return MemoryAdapter(
        network, Pace(gap=options.send_gap), attrs.evolve(EVERYTHING, max_bytes=options.max_bytes)
    )


network = Network(name=NAME, options=MemoryOptions, open=open_memory)
