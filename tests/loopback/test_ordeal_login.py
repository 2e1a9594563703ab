"""A real `qqops run` that gets SIGTERM or kill -9 in each state of the login: what is left, and what a restart does."""

import functools
import pathlib
import signal

import attrs
import pytest
import trio

from qqops.runtime.clock import WallClock
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.world import DEFAULT_BOT

SETTINGS = """
[bot]
ask = ["file"]
grace_seconds = 60
[accounts.main]
network = "webqq"
profile = "{profile}"
{login}
endpoints = {{ "*" = "{url}" }}
poll_hold = {hold}
call_deadline = {hold}
qr_interval = 0.05
send_gap = 0.0
[accounts.main.link]
retry_first = 0.05
retry_cap = 0.3
"""


@attrs.define
class Bot:
    """A process that runs `qqops run`."""

    process: object

    @property
    def code(self):
        return self.process.poll()

    def signal(self, how):
        self.process.send_signal(how)

    async def end(self, how):
        """Return the exit code. Whatever the bot is at takes longer than its grace: who waits for that is cut off."""
        self.signal(how)
        while self.code is None:
            await trio.sleep(0.01)
        return self.code


@attrs.define
class World:
    """A simulator that stays, and processes that come and go."""

    folder: pathlib.Path
    forks: object
    server: Server
    bots: list = attrs.field(factory=list)

    @property
    def service(self):
        return self.server.service

    @property
    def state(self):
        return self.server.service.state

    def call(self, name, **data):
        return self.server.control.call("POST", name, data)

    def say(self, text):
        self.call("inject", kind="group", **{"from": "Ali"}, room="ops", text=f"/echo {text}")

    def seen(self):
        return [line.text for line in self.state.sent]

    def polls(self):
        live = self.state.live.get(DEFAULT_BOT)
        return live is not None and not live.code and live.hold is not None

    def hit(self):
        """Whether the call that shall hang hangs."""
        return bool(self.service.faults.counts.get("stall"))

    async def start(self):
        with (self.folder / "bot.log").open("ab") as log:
            process = self.forks.start(
                "qqops", "run", "--config", self.folder / "qqops.toml", env={"QQOPS_PLUGINS": "essentials"},
                stdout=log, stderr=log,
            )  # fmt: skip
        self.bots.append(Bot(process))
        return self.bots[-1]

    async def until(self, condition, bot=None):
        while not condition():
            if bot is not None and bot.code is not None:
                log = (self.folder / "bot.log").read_text("utf-8")
                raise AssertionError(f"the bot ended with {bot.code}:\n{log}")
            await trio.sleep(0.01)


async def in_world(folder, forks, profile, script, hold=600.0, **options):
    server = Server(Service(WallClock(), options=ServiceOptions(hold=hold, seed=1, **options)))
    folder.mkdir(exist_ok=True)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(server.run)
        login = f'number = {DEFAULT_BOT}\npassword = "sim-pass-1"' if profile == "webqq2013" else ""
        text = SETTINGS.format(profile=profile, login=login, url=url, hold=hold)
        (folder / "qqops.toml").write_text(text, "utf-8")
        (folder / "qqops.toml").chmod(0o600)
        world = World(folder, forks, server)
        try:
            await script(world)
        finally:
            for bot in world.bots:
                bot.process.close()
        nursery.cancel_scope.cancel()


def hang(on):
    """Let the call *on* hang; the state is reached when it does."""

    def prepare(world):
        world.call("faults", fault="stall", on=on, count=1, seconds=600)

    return prepare, World.hit


def manual_qr(scanned):
    def prepare(world):
        world.service.options.qr_auto = False

    def reached(world):
        pictures = list(world.state.pictures.values())
        if scanned and pictures and not pictures[0].scanned and pictures[0].polls:
            world.call("qr", action="scan")
            pictures[0].polls = 0
        return bool(pictures) and pictures[0].polls > 1 and pictures[0].scanned is scanned

    return prepare, reached


def captcha():
    def prepare(world):
        world.call("captcha", on=True)

    return prepare, lambda world: list(world.folder.glob("**/captcha-*.png")) != []


#: State → (profile, what brings a bot there, how to tell that it is there).
STATES = {
    "login page": ("webqq2013", *hang("/cgi-bin/login")),
    "check": ("webqq2013", *hang("/check")),
    "captcha asked": ("webqq2013", *captcha()),
    "login": ("webqq2013", *hang("/login")),
    "check_sig": ("webqq2013", *hang("/check_sig")),
    "login2": ("webqq2013", *hang("/login2")),
    "QR shown": ("smartqq", *manual_qr(scanned=False)),
    "QR scanned": ("smartqq", *manual_qr(scanned=True)),
    "getvfwebqq": ("smartqq", *hang("/getvfwebqq")),
    "online buddies": ("smartqq", *hang("/get_online_buddies2")),
    "friends": ("smartqq", *hang("/get_user_friends2")),
    "groups": ("webqq2013", *hang("/get_group_name_list")),
    "polling": ("smartqq", lambda world: None, World.polls),
}  # fmt: skip


async def end_in(state, how, world):
    _, prepare, reached = STATES[state]
    prepare(world)
    bot = await world.start()
    await world.until(lambda: reached(world), bot)
    if state == "polling":
        world.say("before")
        await world.until(lambda: "before" in world.seen(), bot)
    code = await bot.end(how)
    assert code == (0 if how is signal.SIGTERM else -how), "SIGTERM ends in good order wherever it comes"
    # Everything is in order again, and somebody has said something meanwhile.
    world.call("faults", clear=True)
    world.call("captcha", on=False)
    world.service.options.qr_auto = True
    world.say("meanwhile")
    bot = await world.start()
    await world.until(lambda: "meanwhile" in world.seen(), bot)
    await world.until(world.polls, bot)
    assert await bot.end(signal.SIGTERM) == 0
    before = ["before"] if state == "polling" else []
    assert world.seen() == [*before, "meanwhile"], "nothing is handled twice, nothing is lost"
    assert world.state.most_live == 1
    log = (world.folder / "bot.log").read_text("utf-8")
    assert "[error" not in log, "whatever was cut off is no trouble for the next start"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
@pytest.mark.parametrize("state", STATES)
async def test_a_bot_that_ends_in_a_state_of_the_login_comes_back(tmp_path, forks, state, how):
    await in_world(tmp_path, forks, STATES[state][0], functools.partial(end_in, state, how))


@pytest.mark.parametrize("profile", ["webqq2013", "smartqq"])
async def test_a_bot_that_was_suspended_beyond_every_deadline_goes_on(tmp_path, forks, profile):
    """SIGSTOP for longer than the hold, the deadline of a poll and that of a call; what was said meanwhile is handled once."""

    async def script(world):
        bot = await world.start()
        await world.until(world.polls, bot)
        world.say("before")
        await world.until(lambda: "before" in world.seen(), bot)
        bot.signal(signal.SIGSTOP)
        await trio.sleep(0.1)
        world.say("meanwhile")
        await trio.sleep(2.0)  # twice the hold is the longest that a poll may take
        bot.signal(signal.SIGCONT)
        await world.until(lambda: "meanwhile" in world.seen(), bot)
        await world.until(world.polls, bot)
        world.say("after")
        await world.until(lambda: "after" in world.seen(), bot)
        assert await bot.end(signal.SIGTERM) == 0
        assert world.seen() == ["before", "meanwhile", "after"]
        assert world.state.most_live == 1
        assert world.state.logins_done == 1, "the session is taken up again"

    await in_world(tmp_path, forks, profile, script, hold=0.5)
