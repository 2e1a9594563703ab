"""{{ cookiecutter.description }}

The network ``{{ cookiecutter.plugin_name }}`` of an account in the settings. What stands here speaks to an imagined service: JSON
over TCP, one object a line. Put the real one in its place; the tests say whether it keeps what an adapter promises.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import trio

from qqops import (
    AccountRef,
    Capabilities,
    Delivery,
    Draft,
    FatalError,
    Message,
    Outcome,
    Pace,
    PersonRef,
    ProtocolError,
    Room,
    RoomKind,
    RoomRef,
    Text,
    TransientError,
    User,
    hookimpl,
)
from qqops.adapter import Adapter, Link, Network, OnWire, Opening, Outgoing, Secret

#: Seconds for connecting and for an answer; within which the service says something, if only a ping.
DEADLINE, SILENCE = 10.0, 60.0
#: Messages that are kept while the bot has no room for more.
KEPT = 1000
#: Longest line that is read, in bytes: a service gone mad must not fill the memory.
MAX_LINE = 2**20
#: What a value of a peer can be good for when it is not what it should be.
ODD = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)


@attrs.frozen(kw_only=True)
class Options:
    """Keys of an account, besides those that every account has.

    Attributes:
        send_gap: Seconds between two sends.
    """

    host: str
    port: int = 7000
    password: Secret
    send_gap: float = 0.2


class Lines:
    """A connection: one task reads, several may ask; an answer bears the number of what was asked."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._rest = b""
        self._writing = trio.Lock()
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[trio.Event, dict[str, Any]]] = {}

    async def read(self) -> bytes:
        """Return the next line. Raises `TransientError` when the connection is over."""
        while b"\n" not in self._rest:
            try:
                data = await self._stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
                raise TransientError("the connection broke") from exc
            self._rest += data
            if not data or len(self._rest) > MAX_LINE:
                raise TransientError("the server has closed the connection" if not data else "a line has no end")
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    async def ask(self, what: dict[str, object]) -> dict[str, Any] | None:
        """Return the answer; None when there is none in time. Raises `TransientError` when the connection is over."""
        number, answered, answer = next(self._numbers), trio.Event(), dict[str, Any]()
        self._asked[number] = answered, answer
        try:
            with trio.move_on_after(DEADLINE):
                await self.write({"n": number, **what})
                await answered.wait()
                return answer
        finally:
            del self._asked[number]
        return None

    def answered(self, answer: dict[str, Any]) -> None:
        """Hand *answer* to who has asked; one that comes too late is nobody's."""
        event, found = self._asked.get(int(answer["n"]), (trio.Event(), {}))
        found.update(answer)
        event.set()

    async def write(self, what: dict[str, object]) -> None:
        """Write one line. Raises `TransientError` when the connection is over."""
        try:
            async with self._writing:
                await self._stream.send_all(json.dumps(what).encode() + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            raise TransientError("the connection broke") from exc


async def connect(options: Options) -> trio.abc.Stream:
    """Open a connection. Raises `TransientError`."""
    try:
        with trio.fail_after(DEADLINE):
            return await trio.open_tcp_stream(options.host, options.port)
    except (OSError, trio.TooSlowError) as exc:
        raise TransientError(f"cannot connect to {options.host}:{options.port}: {exc}") from exc


class Chat:
    """One account."""

    def __init__(
        self,
        account: AccountRef,
        options: Options,
        dial: Callable[[Options], Awaitable[trio.abc.Stream]] = connect,
    ) -> None:
        self.account = account
        self.pace = Pace(gap=options.send_gap)
        self._options = options
        self._dial = dial
        self._me = ""
        self._rooms: dict[str, Room] = {}
        self._dropped = 0

    def can(self, kind: RoomKind) -> Capabilities:
        """Return what the account can do: text, and not too much of it."""
        return Capabilities(segments=frozenset({Text}), max_bytes=1000)

    def rooms(self) -> Sequence[Room]:
        """Return the groups."""
        return list(self._rooms.values())

    async def members(self, room: RoomRef) -> Sequence[User]:
        """Return who is in *room*: the service does not tell."""
        return ()

    async def serve(self, link: Link, outbox: Outgoing) -> None:
        """Hold one session, from the first line to its end."""
        stream = await self._dial(self._options)
        try:
            lines = Lines(stream)
            nick = await self._log_in(lines)
            link.online([nick], me=self._me)
            async with trio.open_nursery() as nursery:
                kept, messages = trio.open_memory_channel[Message](KEPT)
                nursery.start_soon(self._hear, lines, link, kept)
                nursery.start_soon(self._pass_on, messages, link)
                await outbox.carry(functools.partial(self._send, lines))
        finally:
            with trio.CancelScope(shield=True):  # closing by force does not wait
                await trio.aclose_forcefully(stream)

    async def _log_in(self, lines: Lines) -> str:
        """Return what the account is called."""
        try:
            with trio.fail_after(DEADLINE):
                await lines.write({"password": self._options.password.reveal()})
                hello: dict[str, Any] = dict(json.loads(await lines.read()))
        except (*ODD, trio.TooSlowError) as exc:
            raise TransientError("no answer to the password") from exc
        if not hello.get("ok"):
            raise FatalError(f"the server refuses the account: {hello.get('why')}")
        for number, name in dict[str, Any](hello["rooms"]).items():
            ref = RoomRef(self.account, RoomKind.GROUP, number)
            self._rooms[number] = Room(ref=ref, name=str(name))
        self._me = str(hello["me"])
        return str(hello["nick"])

    async def _hear(self, lines: Lines, link: Link, kept: trio.MemorySendChannel[Message]) -> None:
        """Read on while the bot has no room: who stops would not hear either how sends went."""
        while True:
            link.alive(SILENCE)
            line = await lines.read()
            try:
                said: dict[str, Any] = dict(json.loads(line))
                if "n" in said:
                    lines.answered(said)
                elif "text" in said and (message := self._message(said)).sender.id != self._me:
                    kept.send_nowait(message)
            except trio.WouldBlock:
                self._dropped += 1
                link.overflow(self._dropped)
            except ODD as exc:
                link.malformed(ProtocolError(f"no message: {exc!r}", payload=line))

    async def _pass_on(self, messages: trio.MemoryReceiveChannel[Message], link: Link) -> None:
        async for message in messages:
            await link.ready()
            link.event(message)

    def _message(self, said: dict[str, Any]) -> Message:
        who = PersonRef(self.account, str(said["who"]))
        sender = User(ref=who, name=str(said["name"]))
        private = Room(ref=RoomRef(self.account, RoomKind.PRIVATE, who.id), name=sender.name)
        return Message(
            id=str(said["id"]),
            at=datetime.datetime.fromtimestamp(said["at"], datetime.UTC),
            room=self._rooms[said["room"]] if said["room"] else private,
            sender=sender,
            segments=(Text(str(said["text"])),),
            at_me=not said["room"] or f"@{self._me}" in said["text"],
        )

    async def _send(self, lines: Lines, draft: Draft, on_wire: OnWire) -> Outcome:
        room = draft.room
        if room.kind is not RoomKind.PRIVATE and room.id not in self._rooms:
            return Outcome(delivery=Delivery.REFUSED, reason=f"there is no room {room.id!r}")
        await on_wire()
        answer = await lines.ask({"to": room.id, "text": draft.text})
        if answer is None:
            return Outcome(delivery=Delivery.UNKNOWN, reason=f"no answer within {DEADLINE:g} s")
        if not answer.get("ok"):
            return Outcome(delivery=Delivery.REFUSED, reason=str(answer.get("why")))
        return Outcome(delivery=Delivery.ACCEPTED)


def open_chat(opening: Opening, options: Options) -> Adapter:
    """Return the adapter of an account."""
    return Chat(opening.account, options)


@hookimpl
def qqops_networks() -> list[Network]:
    """Return the network."""
    return [Network(name="{{ cookiecutter.plugin_name }}", options=Options, open=open_chat)]
