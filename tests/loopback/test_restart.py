"""A bot that is killed and started again: what was begun is known, and nothing is done twice."""

import contextlib
import json
import random
import sqlite3
import stat
import threading

import psycopg
import pytest
import trio

from qqops import Ctx, Plugin
from qqops.adapters.webqq.adapter import WebQQ, WebQQOptions
from qqops.app import App, AppPolicy
from qqops.errors import StoreError
from qqops.model import AccountRef, Message, Secret, SetStatus
from qqops.plugin.host import Candidate
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.clock import WallClock
from qqops.runtime.observe import Expired, Interrupted, Phase, Sent
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.storage.journal import JournalPolicy
from qqops.runtime.storage.postgres import Postgres
from qqops.runtime.storage.store import Store
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.world import Group


class World:
    """A simulator that stays, and bots that come and go."""

    def __init__(self, folder, profile, url=""):
        self.folder = folder
        self.url = url
        self.profile = profile
        self.server = Server(Service(WallClock(), options=ServiceOptions(hold=5.0, seed=1)))
        self.state = self.server.service.state
        self.started, self.ended, self.records, self.asked = [], [], [], []
        self.gate = trio.Event()
        self.app = None

    @contextlib.contextmanager
    def database(self):
        """Yield a connection of its own to the store."""
        made = psycopg.connect(self.url) if self.url else sqlite3.connect(self.folder / "qqops.db")
        with contextlib.closing(made) as connection, connection:
            yield connection

    def say(self, text):
        self.server.control.inject({"kind": "group", "from": "Ali", "room": "ops", "text": text})

    def texts(self):
        return [line.text for line in self.state.sent]

    async def ask(self, question):
        self.asked.append(question)
        await trio.lowlevel.checkpoint()
        return list(self.state.captchas.values())[-1]

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
    async def bot(self, journal=None, **options):
        """Run a bot; leaving the block is a kill, once what was done so far is on the disk: nobody says good-bye."""
        clock = WallClock()
        killed = threading.Event()

        def reached(point):
            if killed.is_set() and point == "before the transaction":
                raise StoreError("killed") if self.url else sqlite3.OperationalError("killed")

        app = self.app = App(
            AppPolicy(seed=1, grace_seconds=2, journal=journal or JournalPolicy()),
            clock=clock,
            operator=self,
            store=Store(
                Postgres(self.url, self.folder, reached) if self.url else self.folder / "qqops.db",
                reached=reached,
            ),
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
            AccountRef("webqq", "main"), WebQQOptions(**{**defaults, **options}), clock=clock, rng=random.Random(1),
            folder=self.folder, directory=app.directory,
        )  # fmt: skip
        app.add_account(adapter, LinkPolicy(backoff=BackoffPolicy(first=0.05, cap=0.3)), OutboxPolicy())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app.run, trio.Event())
            yield app
            await app.store.read(lambda connection: None)
            # A cancelled store still writes what the others note on their way out, if they are quick; a killed one
            # does not.
            killed.set()
            nursery.cancel_scope.cancel()

    async def online(self):
        await self.until(lambda: self.app.supervisors[0].state.phase is Phase.ONLINE)
        await self.until(lambda: any(s.hold is not None for s in self.state.live.values()))

    async def taken(self, count):
        """Until the bot has answered for `count` messages: the poll after them says that they are in the journal."""
        await self.until(lambda: self.state.answered == count and self.app.dispatcher.busy == count)
        await self.until(lambda: any(s.hold is not None for s in self.state.live.values()))

    async def until(self, condition):
        while not condition():
            await trio.sleep(0.01)


@pytest.fixture(params=["webqq2013", "smartqq"])
def profile(request):
    return request.param


@pytest.fixture(params=["webqq2013", "smartqq", "smartqq, postgres"])
def world_of(request):
    """Return how a world is made; the store is in a file or in a server."""
    profile, _, server = request.param.partition(", ")
    url = request.getfixturevalue(server).database() if server else ""
    return lambda folder: making_world(folder, profile, url)


@contextlib.asynccontextmanager
async def making_world(folder, profile, url=""):
    world = World(folder, profile, url)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.server.run)
        yield world
        nursery.cancel_scope.cancel()


async def test_started_is_reported_and_only_restarted_where_declared(tmp_path, world_of):
    async with world_of(tmp_path) as world:
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
        told = {(r.event.text, r.again) for r in world.records if isinstance(r, Interrupted)}
        assert told == {("/slow 1", False), ("/sure 2", True)}
        assert world.started.count(1) == 1
        assert "done 1" not in world.texts()


@pytest.mark.parametrize("call", ["/slow", "qqops-bot: slow"])
async def test_accepted_and_not_started_is_handled_after_the_restart_in_order(tmp_path, world_of, call):
    """Also what is addressed by the bot's name, which a restart knows only when the account is online."""
    async with world_of(tmp_path) as world:
        async with world.bot():
            await world.online()
            for n in range(1, 5):
                world.say(f"{call} {n}")
            # One person's messages wait for each other: the first holds the others up.
            await world.taken(4)
            await world.until(lambda: world.started == [1])
        world.gate.set()
        async with world.bot():
            await world.until(lambda: "done 4" in world.texts())
        assert world.started == [1, 2, 3, 4]
        assert world.texts() == ["done 2", "done 3", "done 4"]


async def test_what_is_too_old_after_the_restart_is_told_and_not_handled(tmp_path, world_of):
    async with world_of(tmp_path) as world:
        async with world.bot():
            await world.online()
            world.say("/slow 1")
            world.say("/slow 2")
            await world.taken(2)
            await world.until(lambda: world.started == [1])
        world.gate.set()
        world.records.clear()
        async with world.bot(journal=JournalPolicy(max_age=0.0)):
            await world.online()
            await world.until(lambda: any(isinstance(r, Expired) for r in world.records))
        assert [r.event.text for r in world.records if isinstance(r, Expired)] == ["/slow 2"]
        assert world.started == [1]


async def test_a_handler_that_never_ends_is_started_again_so_often_and_then_given_up(tmp_path, world_of):
    async with world_of(tmp_path) as world:
        async with world.bot():
            await world.online()
            world.say("/sure 1")
            await world.until(lambda: world.started == [1])
        for starts in (2, 3):
            async with world.bot():
                await world.until(lambda starts=starts: len(world.started) == starts)
        assert [(r.again, r.given_up) for r in told(world)] == [(True, ""), (True, "")]
        async with world.bot():
            await world.online()
            await world.until(lambda: len(told(world)) == 3)
            last = told(world)[-1]
            assert not last.again
            assert "started 3 times" in last.given_up
        async with world.bot():
            await world.online()
        assert world.started == [1, 1, 1]
        assert len(told(world)) == 3, "given up once"


@pytest.mark.parametrize("readable", [True, False])
async def test_what_was_started_long_ago_is_given_up(tmp_path, world_of, readable):
    async with world_of(tmp_path) as world:
        async with world.bot():
            await world.online()
            world.say("/sure 1")
            await world.until(lambda: world.started == [1])
        with world.database() as connection:
            connection.execute("UPDATE inbound SET at = at - 30 * 86400")
            if not readable:
                connection.execute("UPDATE inbound SET event = '{}'")
        async with world.bot():
            await world.online()
            world.say("quick")
            await world.until(lambda: "heard quick" in world.texts())
        assert world.started == [1, "quick"]
        assert ["s old" in r.given_up for r in told(world)] == [True] * readable
        with world.database() as connection:
            assert connection.execute("SELECT count(*) FROM inbound WHERE state < 2").fetchone() == (0,)


def told(world):
    return [record for record in world.records if isinstance(record, Interrupted)]


async def test_what_was_handled_is_not_handled_again_when_it_comes_again(tmp_path, world_of):
    """The answer's arrival was never confirmed: the service delivers it once more to the next session."""
    async with world_of(tmp_path) as world:
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


async def test_what_waited_to_be_sent_is_sent_after_the_restart_once(tmp_path, world_of):
    async with world_of(tmp_path) as world:
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
            await world.until(lambda: world.app.dispatcher.busy == 0)
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
    async with making_world(tmp_path, profile) as world:
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
    async with making_world(tmp_path, "smartqq") as world, world.bot():
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


async def test_a_restart_between_the_end_of_a_session_and_the_next_login_keeps_the_cookies(tmp_path):
    async with making_world(tmp_path, "smartqq") as world:
        file = tmp_path / "webqq-main.session.json"
        async with world.bot():
            await world.online()
            world.server.control.faults(
                {"fault": "http", "status": 502, "on": "pt4_auth", "probability": 1.0}
            )
            world.server.control.expire({})
            await world.until(lambda: world.server.service.faults.counts.get("http", 0) > 2)
        assert json.loads(file.read_text())["psessionid"] == ""
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        world.server.control.faults({"clear": True})
        async with world.bot():
            await world.online()
        assert (world.state.logins_done, len(world.asked)) == (2, 1), "nobody had to scan again"
        world.server.service.options.quick = False
        world.server.control.expire({})
        async with world.bot():
            await world.until(lambda: len(world.asked) == 2)
        assert "supertoken" not in file.read_text() or world.state.logins_done == 3


async def test_a_status_that_was_set_survives_a_restart_until_the_settings_change(tmp_path, profile):
    async with making_world(tmp_path, profile) as world:

        async def seen(expire=False, **options):
            async with world.bot(**options) as app:
                await world.online()
                found = world.state.live[100200300].status
                if found == "online":
                    account = app.supervisors[0].adapter.account
                    assert (await app.accounts.act(SetStatus(account=account, status="away"))).ok
                if expire:
                    world.server.control.expire({})
            return found

        assert [await seen(), await seen(expire=True), await seen(), await seen(status="busy")] == [
            "online", "away", "away", "busy",
        ]  # fmt: skip


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"layout": 1}', '{"layout": 99}', "\0\0", '{"layout":1,"profile":"x"}']
)
async def test_garbage_in_the_session_file_costs_one_login(tmp_path, profile, content):
    (tmp_path / "webqq-main.session.json").write_text(content)
    async with making_world(tmp_path, profile) as world, world.bot():
        await world.online()
        assert world.state.logins_done == 1


async def test_a_session_file_that_cannot_be_written_is_no_reason_to_stop(tmp_path, profile):
    (tmp_path / "webqq-main.session.json").mkdir()
    async with making_world(tmp_path, profile) as world, world.bot():
        await world.online()
        world.say("quick")
        await world.until(world.texts)


async def test_a_saved_login_of_somebody_else_is_not_used(tmp_path):
    async with making_world(tmp_path, "webqq2013") as world:
        async with world.bot():
            await world.online()
        text = (tmp_path / "webqq-main.session.json").read_text()
        (tmp_path / "webqq-main.session.json").write_text(text.replace("100200300", "100200301"))
        async with world.bot():
            await world.online()
        assert world.state.logins_done == 2


async def test_groups_whose_numbers_are_gone_are_found_by_name_and_prove_nothing(tmp_path):
    """Numbers are told, then no more; over a restart, a rename, new aliases, and a group that took on the name."""
    async with making_world(tmp_path, "smartqq") as world:
        groups, options = world.server.service.world.groups, world.server.service.options
        options.profile = "smartqq@2017-03"

        async def heard_in(number, text):
            seen, route = [], world.app.dispatcher.route
            world.app.dispatcher.route = lambda event: (seen.append(event), route(event))[1]
            data = {"kind": "group", "from": "Ali", "room": number, "text": text}
            world.server.control.inject(data)
            await world.until(lambda: any(isinstance(event, Message) for event in seen))
            world.app.dispatcher.route = route
            room = next(event.room for event in seen if isinstance(event, Message))
            return room.id, room.name, room.verified

        async with world.bot(refresh=0.2):
            await world.online()
            assert await heard_in(30002, "one") == ("30002", "ops", True)
            groups[30002].name = "operations"
            await world.until(lambda: any(room.name == "operations" for room in world.app.rooms.known()))
            assert await heard_in(30002, "two") == ("30002", "operations", True)
        options.profile = "smartqq@2017-06"
        async with world.bot(refresh=0.2):
            world.server.control.expire({})
            await world.until(lambda: world.state.logins_done == 2)
            await world.online()
            assert await heard_in(30002, "three") == ("30002", "operations", False)
            groups[30002].name = "ops"
            await world.until(lambda: any(room.name == "ops" for room in world.app.rooms.known()))
            assert await heard_in(30002, "four") == ("30002", "ops", False), "the name that it had before"
            groups[30002].name = "unheard of"
            await world.until(lambda: any(room.name == "unheard of" for room in world.app.rooms.known()))
            assert await heard_in(30002, "five") == ("name:unheard of", "unheard of", False)
            groups[30009] = Group(number=30009, name="ops", members=[20001, 100200300])
            await world.until(lambda: any(room.name == "ops" for room in world.app.rooms.known()))
            assert await heard_in(30009, "six") == ("30002", "ops", False), "a stranger's: no proof"
            groups[30002].name = "ops"
            await world.until(lambda: [room.name for room in world.app.rooms.known()].count("ops") == 2)
            seven, eight = await heard_in(30002, "seven"), await heard_in(30009, "eight")
            assert seven[1:] == eight[1:] == ("ops", False)
            assert seven[0] != eight[0], "two groups are never one address"
