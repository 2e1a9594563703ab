"""Login and poll as a state machine: whatever the service, the wire and people do, in whatever order.

Each rule moves one trio run on by a step; in between virtual time stands still, so that hypothesis sees every state
and can shrink what breaks it. Files are real; the threads that write them are not, because those know nothing of
virtual time.
"""

import collections
import contextlib
import pathlib
import queue
import random
import shutil
import sys
import tempfile
import unittest.mock

import attrs
import outcome
import structlog
import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trio.testing import MockClock

from qqops import Ctx, Message, Plugin
from qqops.adapters.webqq.adapter import WebQQ, WebQQOptions
from qqops.app import App, AppPolicy
from qqops.errors import ConfigError
from qqops.model import AccountRef, MessageRef, PersonRef, Secret, plain
from qqops.plugin.host import Candidate
from qqops.runtime.observe import Expired, Interrupted, LinkState, Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.storage.store import Store
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.local import LocalHttp
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.testing.virtual import VirtualClock

NUMBER = 100200300
#: Virtual seconds in which a bot must be online, and have done everything, once nothing goes wrong any more.
CALM = 900.0
#: Real seconds after which a step hangs.
HANGS = 120.0


async def in_place(call, *args, limiter=None, abandon_on_cancel=False, thread_name=None):
    """Take the place of `trio.to_thread.run_sync`: blocking calls take no virtual time."""
    await trio.lowlevel.checkpoint_if_cancelled()
    result = call(*args)
    await trio.lowlevel.cancel_shielded_checkpoint()
    return result


class Stepper:
    """A trio run on virtual time that goes on only while one of its steps is done."""

    def __init__(self):
        self._callbacks = queue.SimpleQueue()
        self._ended = None
        trio.lowlevel.start_guest_run(
            self._main, run_sync_soon_threadsafe=self._callbacks.put, done_callback=self._end,
            clock=MockClock(autojump_threshold=0),
        )  # fmt: skip
        self._nursery = None
        while self._nursery is None:
            self._callbacks.get(timeout=HANGS)()

    async def _main(self):
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await trio.sleep_forever()

    def _end(self, result):
        self._ended = result

    def do(self, step, *args):
        """Return what *step* returns; everything else goes on until then."""
        results = []

        async def run():
            results.append(await outcome.acapture(step, *args))

        self._token.run_sync_soon(self._nursery.start_soon, run)
        while not results and self._ended is None:
            self._callbacks.get(timeout=HANGS)()
        return (results[0] if results else self._ended).unwrap()

    def start(self, function, *args):
        """Run *function* beside the steps."""
        self._token.run_sync_soon(self._nursery.start_soon, function, *args)

    def close(self):
        """End everything."""
        if self._ended is None:
            self._token.run_sync_soon(lambda: self._nursery.cancel_scope.cancel(reason="the end"))
        while self._ended is None:
            self._callbacks.get(timeout=HANGS)()
        self._ended.unwrap()


class Person:
    """Somebody who reads captchas when they feel like it. QR codes are scanned at the simulator."""

    def __init__(self, state):
        self._state = state
        self._typed = trio.Event()
        self.right = True
        self.patient = False

    async def ask(self, question):
        if not self.patient:
            self._typed = trio.Event()
            await self._typed.wait()
        return list(self._state.captchas.values())[-1] if self.right else "0000"

    async def show(self, question):
        await trio.lowlevel.checkpoint()

    def answer(self, right):
        self.right = right
        self._typed.set()


@attrs.frozen
class Start:
    """A handler that was started."""

    n: int
    ref: MessageRef
    sender: PersonRef
    bot: object


class Bot:
    """One run of the bot, on the files of the runs before it."""

    def __init__(self, machine):
        self.machine = machine
        self.scope = trio.CancelScope()
        self.over = trio.Event()
        store = Store(machine.folder / "qqops.db")
        self.app = App(
            AppPolicy(seed=machine.seed), clock=machine.clock, operator=machine.person, store=store
        )
        self.app.host.load(Candidate(name="rig", load=self._plugin))
        self.app.observers.add(self._observe)
        more = {"number": NUMBER, "password": Secret("sim-pass-1")} if machine.profile == "webqq2013" else {}
        adapter = WebQQ(
            AccountRef("webqq", "main"), WebQQOptions(profile=machine.profile, qr_interval=5.0, **more),
            clock=machine.clock, rng=random.Random(machine.seed), folder=machine.folder,
            directory=self.app.directory, http=lambda: LocalHttp(machine.server),
        )  # fmt: skip
        self.link = self.app.add_account(adapter, LinkPolicy(), OutboxPolicy(max_age=1e6))

    def _plugin(self):
        plugin = Plugin("rig")

        @plugin.on(Message, regex=r"^m(?P<n>\d+)$")
        async def answer(ctx: Ctx, message: Message, n: int) -> str:
            self.machine.starts.append(Start(n, message.ref, message.sender.ref, self))
            await trio.sleep(0.3)  # a kill may come in between
            return f"r{n}"

        return plugin

    def _observe(self, record):
        if isinstance(record, Interrupted | Expired):
            self.machine.reported.append(int(record.event.text[1:]))
        elif isinstance(record, LinkState):
            self.machine.states.append(record)

    async def run(self):
        with self.scope:
            await self.app.run(trio.Event())
        self.over.set()


class Machine(RuleBasedStateMachine):
    """See the module."""

    def __init__(self):
        super().__init__()
        self._patch = unittest.mock.patch("trio.to_thread.run_sync", in_place)
        self._patch.start()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._temporary.name)
        shutil.copy(empty_store(), self.folder / "qqops.db")
        self.stepper = Stepper()
        self.bot = None
        self.said = {}
        #: Numbers of messages that the service has lost on their way; the bot may have had another copy.
        self.lost = set()
        self.starts, self.reported, self.states = [], [], []
        self.locked_out = False
        #: Only rooms of 2013 count their messages; nobody can tell the order of others that the service has shuffled.
        self.shuffled = False

    @initialize(
        profile=st.sampled_from(["webqq2013", "smartqq"]), seed=st.integers(0, 3), online=st.sampled_from([True, True, False])
    )  # fmt: skip
    def begin(self, profile, seed, online):
        self.profile, self.seed = profile, seed
        self.clock = VirtualClock()
        options = ServiceOptions(hold=60.0, seed=seed, qr_auto=False)
        self.server = self.stepper.do(self._make, options)
        self.state = self.server.service.state
        self.start()
        if online:
            self.calm()

    async def _make(self, options):
        server = Server(Service(self.clock, options=options))
        self.person = Person(server.service.state)
        server.service.state.dropped = lambda item: self.lost.add(int(plain(item.segments)[1:]))
        return server

    @property
    def started(self):
        """The numbers of the messages that were started."""
        return {start.n for start in self.starts}

    # -- what can be done -----------------------------------------------------------------------

    def start(self):
        async def make():
            self.bot = Bot(self)

        self.stepper.do(make)
        self.stepper.start(self.bot.run)

    def kill(self):
        async def kill(bot):
            bot.scope.cancel(reason="killed")
            await bot.over.wait()
            root = trio.lowlevel.current_root_task()
            names = [task.name for n in root.child_nurseries for task in n.child_tasks]
            return [name for name in names if "rig" in name or "webqq" in name or "qqops" in name]

        left = self.stepper.do(kill, self.bot)
        assert not [name for name in left if not name.startswith(__name__)], f"tasks are left: {left}"
        self.bot = None

    def call(self, name, **data):
        async def call():
            self.server.control.call("POST", name, data)

        self.stepper.do(call)

    @property
    def live(self):
        """Whether the service has a session that works."""
        return any(not session.code for session in self.state.live.values())

    @rule(seconds=st.sampled_from([0.1, 1, 5, 30, 70, 130, 1000]))
    def wait(self, seconds):
        self.stepper.do(trio.sleep, seconds)

    @rule(
        sender=st.sampled_from(["Ali", "Bo"]),
        place=st.sampled_from(["ops", "ops", "qqops-test", "plan", None]),
        count=st.sampled_from([1, 2, 5]),
    )
    def say(self, sender, place, count):
        for _ in range(count):
            n = len(self.said) + 1
            self.said[n] = (sender, place)
            kind = {"plan": "discu", None: "buddy"}.get(place, "group")
            where = {"room": place} if place else {}
            self.call("inject", kind=kind, **{"from": sender}, text=f"m{n}", **where)

    @precondition(lambda self: self.live)
    @rule(how=st.sampled_from(["drop", "drop", "kick", "expire", "ptwebqq"]))
    def end_session(self, how):
        with contextlib.suppress(ConfigError):  # it may end before that
            self.call(how)

    @rule(
        kind=st.sampled_from(["close", "after", "502", "504", "stall", "html"]),
        where=st.sampled_from(
            ["", "poll2", "poll2", "login2", "send_", "get_", "/check", "getimage", "/login", "ptqrshow",
             "ptqrlogin", "check_sig", "pt4_auth", "getvfwebqq", "get_online_buddies2", "get_msg_tip"]
        ),
        count=st.integers(1, 4),
    )  # fmt: skip
    def break_requests(self, kind, where, count):
        data = {"502": {"fault": "http", "status": 502}, "504": {"fault": "http", "status": 504}, "after": {"fault": "close", "after": True}}  # fmt: skip
        self.call("faults", on=where, count=count, **data.get(kind, {"fault": kind}))

    @rule(
        kind=st.sampled_from(["duplicate", "reorder", "lose", "1202", "1202 delivered", "late"]),
        seconds=st.sampled_from([5.0, 100.0, 1200.0]),
    )
    def break_messages(self, kind, seconds):
        self.shuffled = self.shuffled or kind == "reorder"
        data = {"1202 delivered": {"fault": "1202", "delivered": True}, "late": {"fault": "late", "seconds": seconds}}  # fmt: skip
        self.call("faults", **data.get(kind, {"fault": kind}))

    @rule(seconds=st.sampled_from([0.0, 1.0, 20.0, 400.0]))
    def close_the_port_or_clear_faults(self, seconds):
        self.call("faults", **({"fault": "port", "seconds": seconds} if seconds else {"clear": True}))

    @rule(what=st.sampled_from(["captcha", "letters", "letters", "password", "quick"]), well=st.booleans())
    def change_the_login(self, what, well):
        if what == "captcha":
            self.call("captcha", on=not well)
        elif what == "letters":
            self.answer(well)
        elif what == "quick":
            self.server.service.options.quick = well
        else:
            self.state.world.people[NUMBER].password = "sim-pass-1" if well else "another"
            self.locked_out = self.locked_out or not well

    def answer(self, right):
        async def answer():
            self.person.answer(right)

        self.stepper.do(answer)

    @precondition(lambda self: any(not p.expired for p in self.state.pictures.values()))
    @rule(action=st.sampled_from(["scan", "confirm", "confirm", "expire"]))
    def hold_the_phone(self, action):
        with contextlib.suppress(ConfigError):  # that may just have been the end of the last one
            self.call("qr", action=action)

    @rule(seconds=st.sampled_from([0, 0, 20, 400]))
    def restart(self, seconds):
        self.kill()
        self.wait(seconds)
        self.start()

    @rule()
    def calm(self):
        """Nothing goes wrong any more, and people do what they are asked: all is well soon."""
        self.call("faults", clear=True)
        self.call("captcha", on=False)
        self.state.world.people[NUMBER].password = "sim-pass-1"
        self.server.service.options.qr_auto = True
        for picture in self.state.pictures.values():
            picture.confirmed = picture.confirmed or not picture.expired
        self.person.patient = True
        self.answer(True)
        if self.locked_out:  # whoever mends the password starts the bot again
            self.restart(0)
            self.locked_out = False
        self.stepper.do(self._until_well)
        self.person.patient = False
        self.server.service.options.qr_auto = False

    async def _until_well(self):
        with trio.move_on_after(CALM):
            while not self._well():
                await trio.sleep(1)
        assert self._well(), (self.bot.link.state, self._missing(), self.state.queue(NUMBER), self.lost)

    def _missing(self):
        return set(self.said) - self.started - set(self.reported)

    def _well(self):
        waiting = self.state.queue(NUMBER) or any(s.unconfirmed for s in self.state.sessions.values())
        online = self.bot.link.state.phase is Phase.ONLINE and self.live
        return online and not waiting and self.bot.app.idle() and self._missing() <= self.lost

    # -- what must hold -------------------------------------------------------------------------

    @invariant()
    def there_is_one_session(self):
        if self.bot is not None:
            assert self.state.most_live <= 1

    @invariant()
    def each_message_is_started_once_and_in_order(self):
        if not self.starts:
            return
        ids = [start.n for start in self.starts]
        assert len(ids) == len(set(ids)), "at most once, over all runs"
        runs = [(start.n, start.bot) for start in self.starts]
        assert len(runs) == len(set(runs)), "at most once in a run, also when it comes again under another id"
        talks = collections.defaultdict(list)
        for start in self.starts:
            counted = self.profile == "webqq2013" and self.said[start.n][1] is not None
            if counted or not self.shuffled:
                # A look-up that fails in between makes two people of one, as far as the bot can tell.
                talks[self.said[start.n], start.ref.room, start.sender].append(start.n)
        assert all(mine == sorted(mine) for mine in talks.values()), dict(talks)

    @invariant()
    def nothing_is_said_twice(self):
        if self.bot is not None:
            texts = collections.Counter(line.text for line in self.state.sent)
            assert {text for text, count in texts.items() if count > 1} == set()

    @invariant()
    def the_bot_has_no_bugs_and_stops_for_a_reason(self):
        assert [s.cause for s in self.states if "internal error" in s.cause] == []
        stopped = [s.cause for s in self.states if s.phase is Phase.STOPPED]
        assert all("密码不正确" in cause for cause in stopped), stopped

    def teardown(self):
        try:
            if self.bot is not None:
                if sys.exc_info()[0] is None:
                    self.calm()
                    self.there_is_one_session()
                    self.each_message_is_started_once_and_in_order()
                    self.nothing_is_said_twice()
                    self.the_bot_has_no_bugs_and_stops_for_a_reason()
                self.kill()
        finally:
            self.stepper.close()
            self._patch.stop()
            structlog.reset_defaults()
            self._temporary.cleanup()


_made = []


def empty_store():
    """Return a file with the newest layout; making one takes longer than an example."""
    if not _made:
        folder = tempfile.mkdtemp()
        store = Store(pathlib.Path(folder) / "qqops.db")

        async def main():
            async with trio.open_nursery() as nursery:
                await nursery.start(store.run)
                await store.opened.wait()
                nursery.cancel_scope.cancel()

        trio.run(main)
        _made.append(pathlib.Path(store.file.name))
    return _made[0]


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=settings.default.max_examples * 3 // 10,
    stateful_step_count=25,
    suppress_health_check=list(HealthCheck),
)


# -- what exploring has found ---------------------------------------------------------------------


def test_a_message_whose_second_copy_is_lost_was_there_all_the_same():
    """The bot is killed at the first of two messages; the service gives it again, and that copy is lost."""
    lost = set()
    for moment in range(3, 9):  # which of them is lost, and how far the bot has come, is a matter of moments
        machine = Machine()
        machine.begin(profile="webqq2013", seed=0, online=True)
        machine.say(count=2, place="ops", sender="Ali")
        for _ in range(moment):  # no time passes, but each step lets the bot go on a little
            machine.close_the_port_or_clear_faults(seconds=0.0)
        machine.break_messages(kind="lose", seconds=5.0)
        machine.restart(seconds=0)
        machine.wait(seconds=0.1)
        machine.teardown()
        told, begun = set(machine.reported), set(machine.started)
        assert {1, 2} - machine.lost <= told | begun, moment
        if machine.lost & (told | begun):
            lost |= machine.lost
    assert lost, "one was lost, and was there all the same"
