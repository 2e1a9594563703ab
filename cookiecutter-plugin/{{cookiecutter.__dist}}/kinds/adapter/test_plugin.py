"""The adapter keeps what an adapter promises: the tests of qqops, on virtual time, with the service played here."""

from __future__ import annotations

import json

import trio
from trio.testing import memory_stream_pair

from qqops import AccountRef, Secret
from qqops.adapter import Adapter, Clock, Operator
from qqops.testing.bots import Nobody
from qqops.testing.contract import AdapterContract

from {{ cookiecutter.__module }} import Chat, Options

PEOPLE = {"Ali": "p1", "Bo": "p2"}
ROOMS = {"ops": "r1", "qqops-test": "r2"}
NAMES = {number: name for name, number in (PEOPLE | ROOMS).items()}
#: Seconds between two pings of the service.
PING = 20.0


class Stage:
    """The service, and ways to break it."""

    operator: Operator = Nobody()
    patience = 120.0
    secrets = ("open sesame",)

    def __init__(self, nursery: trio.Nursery, clock: Clock) -> None:
        self._nursery, self._clock = nursery, clock
        options = Options(host="nowhere", password=Secret("open sesame"), send_gap=0.0)
        self.adapter: Adapter = Chat(AccountRef("{{ cookiecutter.plugin_name }}", "main"), options, self._connect)
        self._open: dict[trio.abc.Stream, trio.MemorySendChannel[bytes]] = {}  # what is to be written, in order
        self._dead: list[trio.abc.Stream] = []
        self._seen: list[tuple[str, str]] = []
        self._troubles: list[str] = []
        self._number = 0

    # -- what the tests ask for

    def say(self, who: str, room: str, text: str) -> None:
        self._number += 1
        event = {
            "id": f"e{self._number}", "at": self._clock.now().timestamp(), "who": PEOPLE[who], "name": who,
            "room": ROOMS.get(room, ""), "text": text,
        }  # fmt: skip
        line = json.dumps(event).encode() + b"\n"
        if self._due("garbage"):
            line = b'\xff what?\n{"text": 1}\n' + line
        line *= 2 if self._due("duplicate") else 1
        for writer in self._open.values():
            writer.send_nowait(line)

    def said(self) -> list[tuple[str, str]]:
        return self._seen

    def connections(self) -> int:
        return len([stream for stream in self._open if stream not in self._dead])

    def drop(self) -> None:
        for stream in self._open:
            self._nursery.start_soon(trio.aclose_forcefully, stream)

    def trouble(self, what: str) -> None:
        if what == "stall":
            self._dead += self._open.keys()
        elif what == "kick":
            self.drop()
        else:
            self._troubles.append(what)

    # -- the service

    def _due(self, what: str) -> bool:
        if what not in self._troubles:
            return False
        self._troubles.remove(what)
        return True

    async def _connect(self, options: Options) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        rest, known = b"", False
        self._open[stream], lines = trio.open_memory_channel[bytes](1000)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, stream, lines)
                nursery.start_soon(self._ping, self._open[stream])
                while data := await stream.receive_some(65536):
                    *asked, rest = (rest + data).split(b"\n")
                    for said in map(json.loads, asked):
                        if not known:
                            known = said["password"] == "open sesame"
                            rooms = {number: name for name, number in ROOMS.items()}
                            hello = {"ok": known, "me": "p0", "nick": "a-bot", "rooms": rooms}
                            self._open[stream].send_nowait(json.dumps(hello).encode() + b"\n")
                        elif stream not in self._dead:
                            self._open[stream].send_nowait(self._take(said))
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            del self._open[stream]

    def _take(self, said: dict[str, str]) -> bytes:
        """Take a message of the bot, and return the answer."""
        answer: dict[str, object] = {"n": said["n"], "ok": True}
        if self._due("refuse") or said["to"] not in NAMES:
            answer |= {"ok": False, "why": "you may not speak there"}
        else:
            self._seen.append((NAMES[said["to"]], said["text"]))
        return b"" if self._due("unknown") else json.dumps(answer).encode() + b"\n"

    async def _write(self, stream: trio.abc.Stream, lines: trio.MemoryReceiveChannel[bytes]) -> None:
        async for line in lines:
            if stream not in self._dead:
                await stream.send_all(line)

    async def _ping(self, lines: trio.MemorySendChannel[bytes]) -> None:
        while True:
            await trio.sleep(PING)
            lines.send_nowait(b'{"ping": true}\n')


class TestChat(AdapterContract):
    can = frozenset({"secrets", "duplicate", "garbage", "refuse", "unknown", "stall", "kick"})

    def stage(self, nursery: trio.Nursery, clock: Clock) -> Stage:
        return Stage(nursery, clock)
