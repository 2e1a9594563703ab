"""The WebQQ adapter against the simulator without sockets: days of virtual time in a second."""

import random

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from qqops import Ctx, Message, Plugin
from qqops.adapters._webqq_upkeep import seconds_until
from qqops.adapters.base import QuestionKind
from qqops.adapters.webqq import Options, WebQQ
from qqops.app import App, AppPolicy
from qqops.model import AccountRef, Secret
from qqops.plugin.host import Candidate
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.observe import LinkState, Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.local import LocalHttp
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.testing.virtual import VirtualClock

DAY = 86_400.0


class Rig:
    """A bot and a simulator in one process, on virtual time."""

    def __init__(self, profile, seed=1, service=None, **options):
        self.clock = VirtualClock()
        self.server = Server(Service(self.clock, options=service or ServiceOptions(hold=60.0, seed=seed)))
        self.state = self.server.service.state
        self.asked, self.links, self.handled = [], [], []
        self.delay = 0.0
        app = self.app = App(AppPolicy(seed=seed), clock=self.clock, human=self)
        plugin = Plugin("rig")

        @plugin.on(Message, regex=r"^m(?P<n>\d+)$")
        async def answer(ctx: Ctx, n: int) -> str:
            self.handled.append(n)
            return f"r{n}"

        app.host.load(Candidate(name="rig", load=lambda: plugin))
        app.observers.add(lambda record: self.links.append(record) if isinstance(record, LinkState) else None)
        more = {"number": 100200300, "password": Secret("sim-pass-1")} if profile == "webqq2013" else {}
        self.adapter = WebQQ(
            AccountRef("webqq", "main"), Options(profile=profile, **{**more, **options}), clock=self.clock,
            rng=random.Random(seed), http=lambda: LocalHttp(self.server),
        )  # fmt: skip
        app.add_account(self.adapter, LinkPolicy(backoff=BackoffPolicy()), OutboxPolicy(max_age=DAY))
        self.said = 0

    async def ask(self, question):
        self.asked.append(question)
        await trio.sleep(self.delay)
        return "" if question.kind is QuestionKind.RENEWAL else list(self.state.captchas.values())[-1]

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


@pytest.fixture(params=["webqq2013", "smartqq"])
def profile(request):
    return request.param


async def test_a_day_with_a_fault_every_few_minutes(profile):
    rng = random.Random(3)

    async def script(rig):
        for _ in range(250):
            await trio.sleep(rng.expovariate(1 / 370))
            kind = rng.choice(
                ["close", "http", "html", "stall", "drop", "expire", "kick", "ptwebqq", "duplicate", "port"]
            )
            if kind in ("drop", "expire", "kick", "ptwebqq"):
                rig.break_(kind)
            elif kind == "port":
                rig.call("faults", fault="port", seconds=rng.uniform(1, 600))
            else:
                rig.call(
                    "faults",
                    fault=kind,
                    count=rng.randint(1, 4),
                    on=rng.choice(["poll2", "send_", "get_", "login", ""]),
                )
            rig.say()
        await rig.settled()
        rig.check()
        assert trio.current_time() > 0.9 * DAY
        assert rig.server.service.requests < 60 * 24 * 60, "no poll storm"

    rig = Rig(profile, seed=3)
    await rig.run(script)


async def test_a_quiet_day_costs_one_request_a_minute(profile):
    async def script(rig):
        await trio.sleep(DAY)
        lists_and_beats = 3 * DAY / 300 + (DAY / 60 if profile == "webqq2013" else 0)
        assert rig.server.service.requests < DAY / 60 + lists_and_beats + 60
        assert [link.phase for link in rig.links].count(Phase.ONLINE) == 1

    await Rig(profile).run(script)


async def test_a_captcha_that_is_answered_too_late_is_asked_anew(request):
    async def script(rig):
        rig.delay = 16 * 60.0
        await trio.sleep(20 * 60)
        kinds = [question.kind for question in rig.asked]
        assert kinds == [QuestionKind.CAPTCHA, QuestionKind.RENEWAL]
        rig.delay = 60.0
        await trio.sleep(30 * 60)
        assert [question.kind for question in rig.asked].count(QuestionKind.CAPTCHA) == 2
        assert rig.links[-1].phase is Phase.ONLINE

    await Rig("webqq2013", service=ServiceOptions(hold=60, seed=1, captcha=True)).run(script)


async def test_a_qr_code_that_nobody_scans_is_shown_again_and_again_and_nothing_else_happens():
    async def script(rig):
        await trio.sleep(DAY / 12)
        assert {link.phase for link in rig.links} <= {Phase.CONNECTING, Phase.NEEDS_HUMAN}
        shown = [question for question in rig.asked if question.kind is QuestionKind.QR]
        assert 40 < len(shown) < 70, "one about every two minutes"
        rig.call("qr", action="confirm")
        await trio.sleep(10)
        assert rig.links[-1].phase is Phase.ONLINE

    await Rig("smartqq", service=ServiceOptions(hold=60, seed=1, qr_auto=False)).run(script)


async def test_messages_that_come_twenty_minutes_late_are_handled(profile):
    async def script(rig):
        await trio.sleep(30)
        rig.call("faults", fault="late", seconds=1200)
        rig.say()
        await trio.sleep(1100)
        assert rig.handled == []
        await trio.sleep(200)
        assert rig.handled == [1]

    await Rig(profile).run(script)


async def test_the_planned_login_comes_at_its_hour(profile):
    async def script(rig):
        before = rig.clock.now().astimezone()
        await trio.sleep(seconds_until("04:30", before) + 120)
        assert (rig.state.logins_done, rig.links[-1].phase) == (2, Phase.ONLINE)
        assert any("planned re-login at 04:30" in link.cause for link in rig.links)

    await Rig(profile, relogin_at="04:30").run(script)


def test_seconds_until_an_hour():
    import datetime

    now = datetime.datetime(2026, 1, 1, 4, 30, tzinfo=datetime.UTC)
    assert seconds_until("04:31", now) == 60
    assert seconds_until("4:30", now) == DAY
    assert seconds_until("04:29", now) == DAY - 60


ACTIONS = st.sampled_from(
    ["say", "say", "say", "drop", "expire", "kick", "ptwebqq", "close", "after", "http", "stall", "html", "duplicate", "1202", "port", "wait"]
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["webqq2013", "smartqq"]),
    st.lists(st.tuples(ACTIONS, st.integers(0, 90)), max_size=25),
    st.integers(0, 3),
)
def test_whatever_happens_in_whatever_order(profile, actions, seed):
    """Login and poll as a machine that the service pushes about: each message once, in order, nothing twice."""

    async def script(rig):
        for action, wait in actions:
            if action == "say":
                rig.say()
            elif action in ("drop", "expire", "kick", "ptwebqq"):
                rig.break_(action)
            elif action == "port":
                rig.call("faults", fault="port", seconds=float(wait))
            elif action == "after":
                rig.call("faults", fault="close", after=True, count=wait % 3 + 1)
            elif action == "1202":
                rig.call("faults", fault="1202", delivered=bool(wait % 2))
            elif action != "wait":
                rig.call(
                    "faults",
                    fault=action,
                    count=wait % 3 + 1,
                    on=["", "poll2", "login2", "get_", "send_"][wait % 5],
                )
            await trio.sleep(wait)
        await rig.settled()
        rig.check()

    async def main():
        await Rig(profile, seed=seed).run(script)

    trio.run(main, clock=MockClock(autojump_threshold=0))
