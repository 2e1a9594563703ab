"""The trouble that a soak makes, by the dice: on the wire, in the answers, at QQ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from tests.torture.onebot.scene import Scene

Kind: TypeAlias = Callable[[], Awaitable[None]]

#: Seconds between two troubles.
PAUSE = (0.1, 1.0)
#: What can go wrong with the answer to a send.
_ANSWERS = ("late", "late", "reorder", "silent", "timeout", "mute", "null", "async", "noecho", "close")


class Trouble:
    """Makes trouble for one run.

    Args:
        at: What it works on.
    """

    def __init__(self, at: Scene) -> None:
        self._at = at

    async def make(self) -> None:
        """Make trouble until cancelled."""
        kinds = self._kinds()
        while True:
            await trio.sleep(self._at.rng.uniform(*PAUSE))
            await self._do(self._at.rng.choice(kinds))

    async def once(self) -> None:
        """Make each trouble once, so that what is made at the first time of each is made."""
        for kind in dict.fromkeys(self._kinds()):
            await self._do(kind)
            await trio.sleep(PAUSE[0])

    async def _do(self, kind: Kind) -> None:
        name = kind.__name__.lstrip("_")
        self._at.ledger.actions[name] += 1
        self._at.note(f"{name} at {len(self._at.ledger.asked)}")
        await kind()

    def _kinds(self) -> list[Kind]:
        answers = [self._answer] * 6
        return [
            *answers,
            self._event,
            self._event,
            self._drop,
            self._drop,
            self._part,
            self._stall,
            self._port,
            self._kick,
        ]

    async def _fault(self, **data: object) -> None:
        await trio.lowlevel.checkpoint()
        self._at.note(f"  {data}")
        self._at.server.control.call("POST", "faults", data)

    async def _answer(self) -> None:
        """Let something go wrong with the next answers."""
        rng, kind = self._at.rng, self._at.rng.choice(_ANSWERS)
        data: dict[str, object] = {"fault": kind, "on": "send_", "count": rng.randint(1, 4)}
        if kind == "late":
            data["seconds"] = rng.uniform(0.05, 1.0)
        if kind in ("silent", "close"):
            data |= {"after": rng.random() < 0.5, "count": 1}
        await self._fault(**data)

    async def _event(self) -> None:
        """Let something go wrong with the next events."""
        kind = self._at.rng.choice(["duplicate", "garbage", "close"])
        await self._fault(
            fault=kind, on="message", count=1 if kind == "close" else self._at.rng.randint(1, 4)
        )

    async def _drop(self) -> None:
        """Cut the connection."""
        await trio.lowlevel.checkpoint()
        self._at.server.control.call("POST", "drop", {})

    async def _part(self) -> None:
        """Close the connection in good order."""
        await trio.lowlevel.checkpoint()
        self._at.server.control.call("POST", "drop", {"polite": True})

    async def _stall(self) -> None:
        """Leave the connection open and dead, until the bot finds out."""
        await trio.lowlevel.checkpoint()
        before = self._at.server.exchange.connections
        self._at.server.control.call("POST", "drop", {"stall": 4.0})
        await self._at.until(lambda: self._at.server.exchange.connections > before)

    async def _port(self) -> None:
        """Close everything for a moment."""
        seconds = self._at.rng.uniform(0.1, 0.5)
        await self._fault(fault="port", seconds=seconds)
        await trio.sleep(seconds)

    async def _kick(self) -> None:
        """Let QQ throw the account out for a moment: sends fail."""
        self._at.server.control.call("POST", "kick", {})
        await trio.sleep(self._at.rng.uniform(0.1, 0.5))
        self._at.server.control.call("POST", "online", {})
