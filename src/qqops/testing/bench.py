"""A bot on a stage: an adapter, the network around it, and what was seen of the bot. For the contract of adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import trio

from qqops.adapters.base import Adapter, Operator
from qqops.app import App, AppPolicy, End
from qqops.model import At, Clock, Delivery, Draft, Face, Message, Other, RoomRef, Segment, Text
from qqops.plugin.host import Candidate
from qqops.plugin.plugin import Plugin
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.context import Context
from qqops.runtime.dispatch_policy import DispatchPolicy
from qqops.runtime.entry import Entry
from qqops.runtime.observe import LinkState, Phase, Record, Sent
from qqops.runtime.outbox import Outbox, OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.witness import Witness


class Stage(Protocol):
    """An adapter and the network around it.

    Attributes:
        adapter: What is tested. It belongs to a person called Ali and to two rooms, ``ops`` and ``qqops-test``, in
            which Ali and Bo are members.
        operator: Who answers what only a person can do.
        patience: Seconds within which a dead connection must be found out and replaced.
    """

    adapter: Adapter
    operator: Operator
    patience: float

    def say(self, who: str, room: str, text: str) -> None:
        """Let *who* say *text* in *room*, or to the bot alone when *room* is "".

        Who ``can`` ``echoes``: *who* is "" for the bot's own account, which speaks on another device.
        """

    def said(self) -> list[tuple[str, str]]:
        """Return what people have seen of the bot: (room or person, text)."""

    def connections(self) -> int:
        """Return how many connections the other side holds for good."""

    def drop(self) -> None:
        """Break the connection without a word."""

    def trouble(self, what: str) -> None:
        """Make one of the troubles in `qqops.testing.contract.CAN`, once."""


class HasSecrets(Protocol):
    """A stage whose network is entered with a secret: who ``can`` ``secrets``."""

    @property
    def secrets(self) -> Sequence[str]:
        """What must never be in a log: passwords, tokens, cookies. It is asked for when the session has worked."""


class Bench:
    """A bot on a stage, and what was seen of it.

    Attributes:
        handled: What the bot's handler was called with, in order.
        records: What the observers were told.
        gate: While it is not set, the handler does not answer.
        witness: What the adapter has told.
    """

    def __init__(self, stage: Stage, clock: Clock, dispatch: DispatchPolicy | None = None) -> None:
        self.stage = stage
        self.handled: list[str] = []
        self.records: list[Record] = []
        self.gate = trio.Event()
        self.gate.set()
        policy = AppPolicy(seed=1, dispatch=dispatch or DispatchPolicy())
        self.app = App(policy, clock=clock, operator=stage.operator)
        self.app.host.load(Candidate(name="contract", load=self._plugin))
        self.app.observers.add(self.records.append)
        link = LinkPolicy(backoff=BackoffPolicy(first=0.5, cap=5.0))
        supervisor = self.app.add_account(stage.adapter, link, OutboxPolicy(max_age=86400.0))
        self.witness = Witness(stage.adapter)
        supervisor.adapter = cast("Adapter", self.witness)
        self.ends: list[End] = []

    def _plugin(self) -> Plugin:
        plugin = Plugin("contract")

        @plugin.on(Message, regex=r"^(?P<word>\w+ \d+)$")
        async def answer(ctx: Context, word: str) -> str:
            self.handled.append(word)
            await self.gate.wait()
            return f"re {word}"

        @plugin.on(Message, regex="^long$")
        async def long(ctx: Context) -> str:  # noqa: ASYNC124 - as handlers are
            return "".join(f"{n:07d}\n" for n in range(600))

        @plugin.on(Message, regex="^wide$")
        async def wide(ctx: Context) -> str:  # noqa: ASYNC124 - as handlers are
            return "\n".join(f"{n} 汉字占三个字节" for n in range(150))

        @plugin.on(Message, regex="^endless$")
        async def endless(ctx: Context) -> str:  # noqa: ASYNC124 - as handlers are
            return "".join(f"{n:07d}\n" for n in range(100_000))

        @plugin.on(Message, regex="^shown$")
        async def shown(ctx: Context) -> tuple[Segment, ...]:  # noqa: ASYNC124 - as handlers are
            return Text("shown to "), At(ctx.sender.ref, ctx.sender.name), Text(" "), Face(14)

        @plugin.on(Message, regex="^poison (?P<what>face|other)$")
        async def poison(ctx: Context, what: str) -> tuple[Segment, ...]:  # noqa: ASYNC124 - as handlers are
            thing = object()  # nothing can write it
            wrong = Face(cast("int", thing)) if what == "face" else Other("markdown", {"content": thing})
            return Text("poison"), wrong

        @plugin.on(Message, regex="^blank$")
        async def blank(ctx: Context) -> str:  # noqa: ASYNC124 - as handlers are
            return " \n "

        @plugin.on(Message, regex="^members$")
        async def members(ctx: Context) -> str:
            asked = await self.app.rooms.members(ctx.room.ref)
            known = {person.ref for person in ctx.people()}  # who was asked for is known without asking again
            return ",".join(sorted(user.name for user in asked if user.ref in known))

        return plugin

    @property
    def state(self) -> LinkState:
        """How the account is."""
        return self.app.supervisors[0].state

    @property
    def outbox(self) -> Outbox:
        """What the account has to send."""
        return self.app.supervisors[0].outbox

    def sent(self) -> list[Sent]:
        """Return the record of each send that has an outcome."""
        return [r for r in self.records if isinstance(r, Sent)]

    def outcomes(self) -> list[tuple[str, Delivery]]:
        """Return what became of each send."""
        return [(r.draft.text, r.outcome.delivery) for r in self.sent()]

    def states(self) -> int:
        """Return how often the state of the account has changed; a reconnect changes it."""
        return len([r for r in self.records if isinstance(r, LinkState)])

    def put(self, room: RoomRef, text: str) -> Entry:
        """Let the bot say *text* in *room* by itself."""
        return self.outbox.put(Draft.of(room, text))

    async def hear(self, who: str, room: str, text: str) -> Message:
        """Let *who* say *text*, and return the event that the adapter makes of it."""
        before = len(self.witness.messages(text))
        self.stage.say(who, room, text)
        await self.until(lambda: len(self.witness.messages(text)) > before)
        return self.witness.messages(text)[before]

    async def until(self, condition: Callable[[], Any], within: float = 120.0) -> None:
        """Wait until *condition* holds; fails after *within* seconds of virtual time."""
        with trio.move_on_after(within):
            while not condition():  # noqa: ASYNC110 - it looks at a network and a bot at once
                await trio.sleep(0.01)
            return
        raise AssertionError(f"not within {within:g} s; the account is {self.state}")

    async def online(self) -> None:
        """Wait until the bot is connected."""
        await self.until(lambda: self.state.phase is Phase.ONLINE and self.stage.connections())
        await trio.sleep(0.2)

    async def run(self, stop: trio.Event) -> None:
        """Run the bot."""
        self.ends.append(await self.app.run(stop))
