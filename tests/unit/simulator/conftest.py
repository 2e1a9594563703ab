"""A simulator and real bots in one process, on virtual time."""

import random

import pytest
import trio

from qqops import Ctx, Message, Plugin
from qqops.adapters.base import QuestionKind
from qqops.adapters.webqq.adapter import WebQQ, WebQQOptions
from qqops.app import App, AppPolicy
from qqops.model import AccountRef, Secret
from qqops.plugin.host import Candidate
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.observe import BadData, LinkState, Phase, Sent
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.local import LocalHttp
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.world import DEFAULT_BOT
from qqops.testing.virtual import VirtualClock

DAY = 86_400.0
HOUR = 3600.0


class Bot:
    """One bot: what it has heard, said and gone through. It answers ``m7`` with ``r7``."""

    def __init__(self, rig, profile, seed, number, options):
        self.rig = rig
        self.handled, self.links, self.sent, self.bad, self.heard, self.asked = [], [], [], [], [], []
        self.app = App(AppPolicy(seed=seed), clock=rig.bot_clock, operator=self)
        self.app.host.load(Candidate(name="rig", load=self._plugin))
        self.app.observers.add(self._observe)
        more = {"number": number, "password": Secret("sim-pass-1")} if profile == "webqq2013" else {}
        self.adapter = WebQQ(
            AccountRef("webqq", "main"), WebQQOptions(profile=profile, **{**more, **options}), clock=rig.bot_clock,
            rng=random.Random(seed), http=lambda: LocalHttp(rig.server),
        )  # fmt: skip
        policy = LinkPolicy(backoff=BackoffPolicy(first=1.0, cap=30.0))
        self.supervisor = self.app.add_account(self.adapter, policy, OutboxPolicy(max_age=DAY))

    def _plugin(self):
        plugin = Plugin("rig")

        @plugin.on(Message, regex=r"^m(?P<n>\d+)$")
        async def answer(ctx: Ctx, n: int) -> str:
            self.handled.append(n)
            return f"r{n}"

        @plugin.command("say")
        async def say(ctx: Ctx, text: str) -> str:
            return text

        @plugin.on(Message)
        async def note(message: Message) -> None:
            self.heard.append(message)

        return plugin

    def _observe(self, record):
        lists = {LinkState: self.links, Sent: self.sent, BadData: self.bad}
        lists.get(type(record), []).append(record)

    async def ask(self, question):
        self.asked.append(question)
        await trio.lowlevel.checkpoint()
        return "" if question.kind is QuestionKind.RENEWAL else list(self.rig.state.captchas.values())[-1]

    async def show(self, question):
        self.asked.append(question)

    @property
    def phase(self):
        return self.links[-1].phase if self.links else None

    def outcomes(self):
        return [(one.draft.text, one.outcome.delivery.value) for one in self.sent]


class Rig:
    """A world, and bots in it."""

    def __init__(self, world=None, **options):
        self.clock, self.bot_clock = VirtualClock(), VirtualClock()
        settings = {"hold": 60.0, "seed": 1, **options}
        self.server = Server(Service(self.clock, world, ServiceOptions(**settings)))
        self.state = self.server.service.state
        self.bots = []
        self.said = 0

    @property
    def bot(self):
        return self.bots[0]

    def add(self, profile, seed=1, number=DEFAULT_BOT, **options):
        self.bots.append(Bot(self, profile, seed, number, options))
        return self

    def call(self, name, **data):
        return self.server.control.call("POST", name, data)

    def fault(self, fault, **data):
        self.call("faults", fault=fault, **data)

    def say(self, sender="Ali", room=None, text=None, kind="group"):
        self.said += 1
        room = room or ["ops", "qqops-test"][self.said % 2]
        data = {} if kind == "buddy" else {"room": room}
        self.call("inject", kind=kind, **{"from": sender}, text=text or f"m{self.said}", **data)

    def seen(self):
        return [line.text for line in self.state.sent]

    @property
    def live(self):
        session = self.state.live.get(DEFAULT_BOT)
        return session if session is not None and not session.code else None

    async def until(self, condition, within=HOUR):
        step = 0.05
        with trio.fail_after(within):
            while not condition():
                await trio.sleep(step)
                step = min(step * 1.1, 0.5)  # the longer it takes, the less a moment matters

    async def online(self):
        await self.until(lambda: self.live is not None and self.live.hold is not None)
        await self.until(lambda: self.bot.phase is Phase.ONLINE)

    async def settled(self):
        """Wait until nothing waits anywhere."""
        self.call("faults", clear=True)
        await self.until(lambda: not self.state.queue(DEFAULT_BOT) and self.bot.app.idle())
        await trio.sleep(130)
        await self.until(lambda: not self.state.queue(DEFAULT_BOT) and self.bot.app.idle())

    async def run(self, script):
        async with trio.open_nursery() as nursery:
            for bot in self.bots:
                await nursery.start(bot.app.run, trio.Event())
                if bot is not self.bots[-1]:
                    await trio.sleep(10)  # each login has one code at a time
            with trio.fail_after(400 * DAY):
                await script(self)
            nursery.cancel_scope.cancel()


@pytest.fixture(params=["webqq2013", "smartqq"])
def profile(request):
    return request.param


@pytest.fixture
def rig():
    return Rig
