"""A bot that is killed and started again: what was begun is known, and nothing is done twice."""

import contextlib
import random
import stat

import pytest
import trio

from qqops import Ctx, Plugin
from qqops.adapters.base import QuestionKind
from qqops.adapters.webqq import Options, WebQQ
from qqops.app import App, AppPolicy
from qqops.model import AccountRef, Message, Secret
from qqops.plugin.host import Candidate
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.clock import WallClock
from qqops.runtime.observe import Interrupted, Phase, Sent
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.store import Store
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions


class World:
    """A simulator that stays, and bots that come and go."""

    def __init__(self, folder, profile):
        self.folder = folder
        self.profile = profile
        self.server = Server(Service(WallClock(), options=ServiceOptions(hold=5.0, seed=1)))
        self.state = self.server.service.state
        self.started, self.ended, self.records, self.asked = [], [], [], []
        self.gate = trio.Event()
        self.app = None

    def say(self, text):
        self.server.control.inject({"kind": "group", "from": "Ali", "room": "ops", "text": text})

    def texts(self):
        return [line.text for line in self.state.sent]

    async def ask(self, question):
        self.asked.append(question)
        await trio.lowlevel.checkpoint()
        return "" if question.kind is QuestionKind.RENEWAL else list(self.state.captchas.values())[-1]

    async def show(self, question):
        self.asked.append(question)

    def plugin(self):
        plugin = Plugin("rig")

        @plugin.command("slow")
        async def slow(ctx: Ctx, n: int) -> str:
            self.started.append(n)
            await self.gate.wait()
            self.ended.append(n)
            return f"done {n}"

        @plugin.command("sure", at_least_once=True)
        async def sure(ctx: Ctx, n: int) -> str:
            self.started.append(n)
            await self.gate.wait()
            return f"sure {n}"

        @plugin.on(Message, keyword="quick")
        async def quick(message: Message) -> str:
            self.started.append(message.text)
            return f"heard {message.text}"

        return plugin

    @contextlib.asynccontextmanager
    async def bot(self, **options):
        """Run a bot; leaving the block is a kill: nothing gets to say good-bye."""
        clock = WallClock()
        app = self.app = App(
            AppPolicy(seed=1, grace_seconds=2), clock=clock, human=self, store=Store(self.folder / "qqops.db")
        )
        app.host.load(Candidate(name="rig", load=self.plugin))
        app.observers.add(self.records.append)
        defaults = {
            "profile": self.profile, "endpoints": {"*": self.server.url}, "poll_hold": 5.0, "send_gap": 0.0,
            "qr_interval": 0.02, "kick_pause": 0.1,
        }  # fmt: skip
        if self.profile == "webqq2013":
            defaults |= {"number": 100200300, "password": Secret("sim-pass-1")}
        adapter = WebQQ(
            AccountRef("webqq", "main"), Options(**{**defaults, **options}), clock=clock, rng=random.Random(1),
            folder=self.folder, directory=app.identity,
        )  # fmt: skip
        app.add_account(adapter, LinkPolicy(backoff=BackoffPolicy(first=0.05, cap=0.3)), OutboxPolicy())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.run, trio.Event())
            yield app
            # As good as a kill for what was written: rows of handlers that are cut off have no end.
            nursery.cancel_scope.cancel()

    async def online(self):
        await self.until(lambda: self.app.supervisors[0].state.phase is Phase.ONLINE)
        await self.until(lambda: any(s.hold is not None for s in self.state.live.values()))

    async def until(self, condition):
        while not condition():
            await trio.sleep(0.01)


@pytest.fixture(params=["webqq2013", "smartqq"])
def profile(request):
    return request.param


@contextlib.asynccontextmanager
async def world_of(folder, profile):
    world = World(folder, profile)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.server.run)
        yield world
        nursery.cancel_scope.cancel()


async def test_started_is_reported_and_only_restarted_where_declared(tmp_path, profile):
    async with world_of(tmp_path, profile) as world:
        async with world.bot():
            await world.online()
            world.say("/slow 1")
            world.say("/sure 2")
            await world.until(lambda: 1 in world.started)
            world.server.control.inject({"kind": "group", "from": "Bo", "room": "ops", "text": "/sure 2"})
            await world.until(lambda: 2 in world.started)
        world.gate.set()
        world.records.clear()
        async with world.bot():
            await world.until(lambda: "sure 2" in world.texts())
            await world.online()
        told = {(r.message.text, r.again) for r in world.records if isinstance(r, Interrupted)}
        assert told == {("/slow 1", False), ("/sure 2", True)}
        assert world.started.count(1) == 1
        assert "done 1" not in world.texts()


async def test_accepted_and_not_started_is_handled_after_the_restart_in_order(tmp_path, profile):
    async with world_of(tmp_path, profile) as world:
        async with world.bot():
            await world.online()
            for n in range(1, 5):
                world.say(f"/slow {n}")
            # One person's messages wait for each other: the first holds the others up.
            await world.until(lambda: world.state.answered == 4 and world.app.dispatcher.busy == 4)
            await world.until(lambda: world.started == [1])
        world.gate.set()
        async with world.bot():
            await world.until(lambda: "done 4" in world.texts())
        assert world.started == [1, 2, 3, 4]
        assert world.texts() == ["done 2", "done 3", "done 4"]


async def test_what_was_handled_is_not_handled_again_when_it_comes_again(tmp_path, profile):
    """The answer's arrival was never confirmed: the service delivers it once more to the next session."""
    async with world_of(tmp_path, profile) as world:
        async with world.bot():
            await world.online()
            world.say("quick")
            await world.until(lambda: world.texts() == ["heard quick"])
        (tmp_path / "webqq-main.session.json").unlink()
        world.state.queue(100200300).extend(world.state.said_last)
        async with world.bot():
            await world.online()
            world.say("quick again")
            await world.until(lambda: "heard quick again" in world.texts())
        assert world.texts() == ["heard quick", "heard quick again"]


async def test_what_waited_to_be_sent_is_sent_after_the_restart_once(tmp_path, profile):
    async with world_of(tmp_path, profile) as world:
        async with world.bot():
            await world.online()
            world.server.control.faults({"fault": "close", "on": "send_", "probability": 1.0, "after": True})
            world.say("quick one")
            await world.until(lambda: any(isinstance(r, Sent) for r in world.records))
            world.server.control.faults({"clear": True})
            world.server.control.faults({"fault": "stall", "on": "send_", "count": 1})
            world.say("quick two")
            world.say("quick three")
            await world.until(lambda: len(world.started) == 3)
            await world.until(lambda: world.server.service.faults.counts.get("stall"))
        world.server.control.faults({"clear": True})
        world.records.clear()
        async with world.bot():
            await world.until(lambda: "heard quick three" in world.texts())
            await world.until(lambda: len([r for r in world.records if isinstance(r, Sent)]) == 2)
            sent = {r.draft.text: r.outcome.delivery.value for r in world.records if isinstance(r, Sent)}
        # One was obeyed before the connection broke, two was on the wire at the kill: neither is sent again.
        assert world.texts() == ["heard quick one", "heard quick three"]
        assert sent == {"heard quick two": "unknown", "heard quick three": "accepted"}


async def test_a_saved_login_is_taken_up_again_and_is_private(tmp_path, profile):
    async with world_of(tmp_path, profile) as world:
        async with world.bot():
            await world.online()
        file = tmp_path / "webqq-main.session.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        asked = len(world.asked)
        async with world.bot():
            await world.online()
            world.say("quick")
            await world.until(world.texts)
        assert (world.state.logins_done, world.state.relinks_done, len(world.asked)) == (1, 1, asked)


async def test_an_expired_qr_login_is_renewed_by_its_cookies_or_asks_once(tmp_path):
    async with world_of(tmp_path, "smartqq") as world, world.bot():
        await world.online()
        assert len(world.asked) == 1
        world.server.control.expire({})
        await world.until(lambda: world.state.logins_done == 2)
        await world.online()
        assert len(world.asked) == 1, "the cookies of the QR login were enough"
        world.server.service.options.quick = False
        world.server.service.options.qr_auto = False
        world.server.control.expire({})
        await world.until(lambda: len(world.asked) == 2)
        await trio.sleep(0.3)
        assert len(world.asked) == 2, "asked once, and waited for"
        world.server.control.qr({"action": "confirm"})
        await world.until(lambda: world.state.logins_done == 3)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"layout": 1}', '{"layout": 99}', "\0\0", '{"layout":1,"profile":"x"}']
)
async def test_garbage_in_the_session_file_costs_one_login(tmp_path, profile, content):
    (tmp_path / "webqq-main.session.json").write_text(content)
    async with world_of(tmp_path, profile) as world, world.bot():
        await world.online()
        assert world.state.logins_done == 1


async def test_a_session_file_that_cannot_be_written_is_no_reason_to_stop(tmp_path, profile):
    (tmp_path / "webqq-main.session.json").mkdir()
    async with world_of(tmp_path, profile) as world, world.bot():
        await world.online()
        world.say("quick")
        await world.until(world.texts)


async def test_a_saved_login_of_somebody_else_is_not_used(tmp_path):
    async with world_of(tmp_path, "webqq2013") as world:
        async with world.bot():
            await world.online()
        text = (tmp_path / "webqq-main.session.json").read_text()
        (tmp_path / "webqq-main.session.json").write_text(text.replace("100200300", "100200301"))
        async with world.bot():
            await world.online()
        assert world.state.logins_done == 2
