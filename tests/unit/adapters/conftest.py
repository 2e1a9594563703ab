"""A bot and a simulator in one process."""

import random

import pytest
import trio

from qqops import Ctx, Message, Plugin
from qqops.adapters.webqq.adapter import WebQQ, WebQQOptions
from qqops.app import App, AppPolicy
from qqops.model import AccountRef, Secret
from qqops.plugin.host import Candidate
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.observe import LinkState
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.local import LocalHttp
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.testing.virtual import VirtualClock

DAY = 86_400.0


class WebQQRig:
    """A bot and a simulator in one process, on virtual time."""

    def __init__(
        self, profile, seed=1, service=None, folder=None, directory=None, clock=None, server=None, **options
    ):
        self.clock = clock or VirtualClock()
        self.server = server or Server(
            Service(self.clock, options=service or ServiceOptions(hold=60.0, seed=seed))
        )
        self.state = self.server.service.state
        self.asked, self.links, self.handled = [], [], []
        self.delay = 0.0
        app = self.app = App(AppPolicy(seed=seed), clock=self.clock, operator=self)
        plugin = Plugin("rig")

        @plugin.on(Message, regex=r"^m(?P<n>\d+)$")
        async def answer(ctx: Ctx, n: int) -> str:
            self.handled.append(n)
            return f"r{n}"

        app.host.load(Candidate(name="rig", load=lambda: plugin))
        app.observers.add(lambda record: self.links.append(record) if isinstance(record, LinkState) else None)
        more = {"number": 100200300, "password": Secret("sim-pass-1")} if profile == "webqq2013" else {}
        self.adapter = WebQQ(
            AccountRef("webqq", "main"), WebQQOptions(profile=profile, **{**more, **options}), clock=self.clock,
            rng=random.Random(seed), http=lambda: LocalHttp(self.server), folder=folder, directory=directory,
        )  # fmt: skip
        app.add_account(self.adapter, LinkPolicy(backoff=BackoffPolicy()), OutboxPolicy(max_age=DAY))
        self.said = 0

    async def ask(self, question):
        self.asked.append(question)
        await trio.sleep(self.delay)
        return list(self.state.captchas.values())[-1]

    async def show(self, question):
        self.asked.append(question)

    def say(self):
        self.said += 1
        room = ["ops", "qqops-test"][self.said % 2]
        self.call("inject", kind="group", **{"from": "Ali"}, room=room, text=f"m{self.said}")

    def call(self, name, **data):
        self.server.control.call("POST", name, data)

    def break_(self, name):
        if any(not session.code for session in self.state.live.values()):
            self.call(name)

    async def run(self, script):
        async with trio.open_nursery() as nursery:
            await nursery.start(self.app.run, trio.Event())
            with trio.fail_after(400 * DAY):
                await script(self)
            nursery.cancel_scope.cancel()

    async def settled(self):
        """Wait until everything said was handled and answered."""
        self.call("faults", clear=True)
        with trio.fail_after(3600):
            while len(self.handled) < self.said or self.state.queue(100200300) or not self.app.idle():
                await trio.sleep(1)

    def check(self):
        assert sorted(self.handled) == list(range(1, self.said + 1)), "each message exactly once"
        for room in (0, 1):
            mine = [n for n in self.handled if n % 2 == room]
            assert mine == sorted(mine), "in order in each room"
        seen = [line.text for line in self.state.sent]
        assert len(seen) == len(set(seen)), "nothing is answered twice"
        assert self.state.most_live <= 1


@pytest.fixture(scope="session")
def Rig():
    """The class of the rig."""
    return WebQQRig
