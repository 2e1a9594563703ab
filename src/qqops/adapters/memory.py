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
from qqops.errors import AdapterError, Refuse, TransientError
from qqops.model import (
    AccountRef,
    Action,
    At,
    AtAll,
    Capabilities,
    Clock,
    Delivery,
    Draft,
    Event,
    Face,
    File,
    FileOffered,
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
    Profile,
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
from qqops.model.allowed import Bytes, Pause

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
    send_gap: Pause = 0.0
    max_bytes: Bytes = 0


class MemoryNetwork:
    """The world of one in-memory account: who there is, and what was said.

    Args:
        first: Number of the first message; one that a bot with a journal has seen is no news to it.
        me: Id of the account where several share a world; "" for a world of its own.

    Attributes:
        sent, done: What the bot has said and done here, in order.
        heard: Called with each message of the bot, and its address.
        acted: Called with each action of the bot.
        refusal: What becomes of all that the bot sends and does; None while nothing is in its way.
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
        self.roles: dict[tuple[str, str], MemberRole] = {}
        self.sent: list[Draft] = []
        self.done: list[Action] = []
        self.heard: Callable[[Draft, MessageRef], None] = lambda draft, ref: None
        self.acted: Callable[[Action], None] = lambda action: None
        self.refusal: Outcome | None = None
        self._clock = clock
        self._ids = itertools.count(first)
        self._waiting: deque[Event] = deque()
        self._arrived = trio.Event()
        self._break: tuple[trio.CancelScope, list[AdapterError]] | None = None

    def user(self, name: str) -> User:
        """Return the person *name*, who exists from now on."""
        if name not in self.users:
            self.users[name] = User(ref=PersonRef(self.account, f"u-{name}"), name=name)
        return self.users[name]

    def become(self, name: str, role: MemberRole, group: str = "") -> None:
        """Let *name* be that in *group* from now on; without one in all in which they are nothing else."""
        self.user(name)
        self.roles[group, name] = role

    def seen(self, name: str, group: str = "") -> User:
        """Return *name* as people in *group* see them."""
        return self._with_role(self.user(name), group)

    def inside(self, group: str) -> list[User]:
        """Return who is in *group*."""
        return [self._with_role(user, group) for user in self.members.get(group, ())]

    def _with_role(self, user: User, group: str) -> User:
        role = self.roles.get((group, user.name)) or self.roles.get(("", user.name))
        return user if role is None else attrs.evolve(user, role=role)

    def group(self, name: str, *members: str) -> Room:
        """Return the group *name*, with these members from now on."""
        if name not in self.rooms:
            self.rooms[name] = Room(ref=RoomRef(self.account, RoomKind.GROUP, f"g-{name}"), name=name)
            self.members[name] = []
        inside = self.members[name]
        inside.extend(user for user in map(self.user, members) if user.ref not in {one.ref for one in inside})
        return self.rooms[name]

    def leave(self, name: str, group: str) -> None:
        """Let *name* not be in *group* any more."""
        self.members[group] = [user for user in self.members.get(group, ()) if user.name != name]

    def private(self, name: str) -> Room:
        """Return the private chat of *name* with the bot."""
        user = self.user(name)
        return Room(ref=RoomRef(self.account, RoomKind.PRIVATE, user.id), name=name)

    @property
    def at(self) -> At:
        """A mention of the bot."""
        return At(PersonRef(self.account, self.me or self.nick), self.nick)

    def say(
        self, name: str, room: Room, content: str | Sequence[Segment], reply_to: MessageRef | None = None
    ) -> Message:
        """Let *name* say *content* in *room*; it waits while the bot is away."""
        segments = (Text(content),) if isinstance(content, str) else tuple(content)
        mentioned = any(isinstance(s, At) and s.name == self.nick for s in segments)
        message = Message(
            id=self.number(),
            room=room,
            sender=self.seen(name, "" if room.private else room.name),
            segments=segments,
            at=self._clock.now(),
            at_me=room.private or mentioned,
            reply_to=reply_to,
        )
        self.happen(message)
        return message

    def number(self) -> str:
        """Return the id of the next thing that happens."""
        return str(next(self._ids))

    def happen(self, event: Event) -> None:
        """Let *event* happen; it waits while the bot is away."""
        self._waiting.append(event)
        self._arrived.set()

    @property
    def pending(self) -> int:
        """Messages and other events that no session has taken yet."""
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
        if (refusal := self.refusal) is not None:
            settle(refusal)
            return lambda: refusal.delivery is not Delivery.REFUSED
        ref = MessageRef(draft.room, f"b{self.number()}")
        self.sent.append(draft)
        self.heard(draft, ref)
        settle(Outcome(delivery=Delivery.DELIVERED, refs=(ref,)))
        return lambda: True

    def act(self, action: Action) -> Outcome:
        """Let the bot do *action*."""
        if self.refusal is not None:
            return self.refusal
        self.done.append(action)
        self.acted(action)
        return Outcome(delivery=Delivery.DELIVERED)


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
        return self.network.inside(name)

    async def act(self, action: Action) -> Outcome:
        """Do *action*: it is noted, and nothing else comes of it."""
        await trio.lowlevel.checkpoint()
        return self.network.act(action)

    async def fetch(self, thing: Image | FileOffered, room: RoomRef) -> bytes:
        """Return the content that a picture, or the data of an offered file, came with. Raises `Refuse` without one."""
        await trio.lowlevel.checkpoint()
        content = thing.content if isinstance(thing, Image) else thing.data.get("content")
        if not isinstance(content, bytes) or not content:
            raise Refuse("it came without content")
        return content

    async def avatar(self, who: PersonRef | RoomRef) -> bytes:
        """Raise `Refuse`: nobody has one here."""
        await trio.lowlevel.checkpoint()
        raise Refuse(f"{who} has no picture")

    async def profile(self, person: PersonRef) -> Profile:
        """Return the name of *person*. Raises `Refuse` for who does not exist."""
        await trio.lowlevel.checkpoint()
        for user in self.network.users.values():
            if person in (user.ref, user.person):
                return Profile(person=person, nick=user.name)
        raise Refuse(f"there is no {person}")


def open_memory(opening: Opening, options: MemoryOptions) -> MemoryAdapter:
    """Return the adapter of an in-memory account."""
    network = MemoryNetwork(opening.account, opening.clock, options.nick)
    return MemoryAdapter(
        network, Pace(gap=options.send_gap), attrs.evolve(EVERYTHING, max_bytes=options.max_bytes)
    )


network = Network(name=NAME, options=MemoryOptions, open=open_memory)
