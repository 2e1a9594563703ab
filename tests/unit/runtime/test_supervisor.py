"""The life of a connection on virtual time: each row of the failure table, states, back-off, liveness."""

import itertools
import random
import re

import pytest
import trio

from qqops.adapters.base import Question, QuestionKind
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.app import App, AppPolicy, End
from qqops.errors import FatalError, NeedsHuman, NotSent, ProtocolError, TransientError
from qqops.model import AccountRef, Capabilities, Delivery, Draft, Outcome, Pace, RoomKind, RoomRef
from qqops.runtime.alarms import Alarms
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.links import COMING_ONLINE
from qqops.runtime.observe import BadData, LinkState, Phase
from qqops.runtime.outbox import Outbox, OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy, Reconnect
from qqops.testing.bots import Nobody
from qqops.testing.virtual import VirtualClock

ME = AccountRef("memory", "x")
ROOM = RoomRef(ME, RoomKind.GROUP, "r")


class Scripted:
    """An adapter whose sessions do what a list says: a number of seconds online, then an error or None."""

    account = ME
    pace, capabilities = Pace(), Capabilities()

    def can(self, kind):
        return self.capabilities

    def __init__(self, *sessions, forever=True):
        self.sessions = list(sessions)
        self.began = []
        self.live = 0
        self.most_live = 0
        self.forever = forever

    async def serve(self, link, outbox):
        self.began.append(trio.current_time())
        self.live += 1
        self.most_live = max(self.live, self.most_live)
        try:
            if not self.sessions:
                link.online(["bot"])
                link.alive(float("inf"))
                await trio.sleep_forever()
            session = self.sessions.pop(0)
            if callable(session):
                await session(link, outbox)
                return
            seconds, error = session
            if seconds:
                link.online(["bot"])
                link.alive(float("inf"))
                await trio.sleep(seconds)
            if error is not None:
                raise error
        finally:
            self.live -= 1

    def rooms(self):
        return []

    async def members(self, room):
        return []


class Most(random.Random):
    def random(self):
        return 0.0


class Running:
    def __init__(self, adapter, policy=None, operator=None, outbox=None, app_policy=None):
        self.app = App(app_policy or AppPolicy(seed=1), clock=VirtualClock(), operator=operator or Nobody())
        self.app.links.rng = Most()
        self.records = []
        self.app.observers.add(self.records.append)
        self.supervisor = self.app.add_account(adapter, policy or LinkPolicy(), outbox or OutboxPolicy())
        self.stop = trio.Event()
        self.end = None

    async def __aenter__(self):
        self._manager = trio.open_nursery()
        nursery = await self._manager.__aenter__()

        async def run(task_status):
            self.end = await self.app.run(self.stop, task_status)

        await nursery.start(run)
        return self

    async def __aexit__(self, *exc):
        self.stop.set()
        return await self._manager.__aexit__(*exc)

    @property
    def states(self):
        return [r for r in self.records if isinstance(r, LinkState)]

    @property
    def phases(self):
        return [s.phase for s in self.states]


async def test_a_dropped_connection_comes_back_with_growing_delays():
    adapter = Scripted(*[(0, TransientError("refused"))] * 4)
    async with Running(adapter) as bot:
        await trio.sleep(100)
        gaps = [b - a for a, b in zip(adapter.began, adapter.began[1:], strict=False)]
        assert gaps == [1, 2, 4, 8]
        assert bot.supervisor.state.phase is Phase.ONLINE
        waiting = [s for s in bot.states if s.phase is Phase.WAITING]
        assert [(s.cause, s.attempt, s.retry_in) for s in waiting[:2]] == [
            ("refused", 1, 1),
            ("refused", 2, 2),
        ]


async def test_it_never_gives_up_and_the_delay_stays_below_the_cap():
    adapter = Scripted(*[(0, TransientError("down"))] * 300)
    async with Running(adapter):
        await trio.sleep(300 * 61)
        assert len(adapter.began) == 301
        assert max(b - a for a, b in zip(adapter.began, adapter.began[1:], strict=False)) == 60


async def test_a_stable_minute_forgets_the_failures_a_short_session_does_not():
    adapter = Scripted(
        (0, TransientError("a")),
        (59, TransientError("b")),
        (61, TransientError("c")),
        (0, TransientError("d")),
    )
    async with Running(adapter) as bot:
        await trio.sleep(200)
        assert [s.retry_in for s in bot.states if s.phase is Phase.WAITING] == [1, 2, 1, 2]


async def test_the_server_may_ask_for_a_longer_wait():
    adapter = Scripted((0, TransientError("busy", retry_after=300)))
    async with Running(adapter):
        await trio.sleep(301)
        assert adapter.began[1] - adapter.began[0] == 300


async def test_errors_of_several_tasks_are_one_end_and_the_worst_counts():
    async def both(link, outbox):
        async with trio.open_nursery() as nursery:

            async def fail(error):
                raise error

            nursery.start_soon(fail, TransientError("gone"))
            nursery.start_soon(fail, FatalError("banned"))

    async with Running(Scripted(both)) as bot:
        await trio.sleep(1)
        assert (bot.supervisor.state.phase, bot.supervisor.state.cause) == (Phase.STOPPED, "banned")


async def test_silence_ends_the_session():
    """Liveness is proved, not assumed: a broken promise of `alive` is a dropped connection."""
    cancelled = []

    async def silent(link, outbox):
        link.online(["bot"])
        link.alive(60)
        await trio.sleep(50)
        link.alive(60)
        try:
            await trio.sleep_forever()
        finally:
            cancelled.append((trio.current_time(), link.lost))

    adapter = Scripted(silent)
    async with Running(adapter) as bot:
        began = trio.current_time()
        await trio.sleep(112)
        assert cancelled == [(began + 110, True)]
        assert next(s.cause for s in bot.states if s.phase is Phase.WAITING) == "nothing was heard for 60 s"
        assert bot.supervisor.state.phase is Phase.ONLINE


async def test_a_login_that_hangs_is_ended():
    async def hang(link, outbox):
        await trio.sleep_forever()

    adapter = Scripted(hang)
    async with Running(adapter, LinkPolicy(connect_within=30)):
        await trio.sleep(40)
        assert adapter.began[1] - adapter.began[0] == 31


@pytest.mark.parametrize("kind", [KeyError, SystemExit, KeyboardInterrupt])
async def test_a_bug_in_an_adapter_is_loud_and_does_not_end_the_bot(capsys, kind):
    async def bug(link, outbox):
        raise kind("oops")

    async with Running(Scripted(bug)) as bot:
        await trio.sleep(5)
        assert bot.supervisor.state.phase is Phase.ONLINE
    assert re.search(f"{kind.__name__}: '?oops", capsys.readouterr().out)


async def test_malformed_data_is_counted_and_the_session_lives():
    async def odd(link, outbox):
        link.online(["bot"])
        link.alive(float("inf"))
        for _ in range(3):
            link.malformed(ProtocolError("no JSON", payload=b"x" * 10_000))
        await trio.sleep_forever()

    async with Running(Scripted(odd)) as bot:
        await trio.sleep(1)
        bad = [r for r in bot.records if isinstance(r, BadData)]
        assert [r.count for r in bad] == [1, 2, 3]
        assert len(bad[0].error) < 250
        assert bot.supervisor.state.phase is Phase.ONLINE


async def test_fatal_stops_this_account_and_the_last_one_ends_the_bot():
    other = Scripted()
    other.account = AccountRef("memory", "y")
    bot = Running(Scripted((0, FatalError("banned"))))
    second = bot.app.add_account(other, LinkPolicy(), OutboxPolicy())
    async with bot:
        await trio.sleep(5)
        assert bot.supervisor.stopped
        assert second.state.phase is Phase.ONLINE
        assert bot.end is None
    assert bot.end is End.CLEAN
    alone = Running(Scripted((0, FatalError("banned"))))
    async with alone:
        await trio.sleep(5)
        assert alone.end is End.NO_ACCOUNTS


async def test_a_question_that_nobody_answers_is_not_asked_again():
    async def captcha(link, outbox):
        await link.ask(Question(account=ME, kind=QuestionKind.CAPTCHA, text="captcha"))

    adapter = Scripted(captcha)
    async with Running(adapter) as bot:
        await trio.sleep(1000)
        assert len(adapter.began) == 1
        assert bot.phases == [Phase.CONNECTING, Phase.NEEDS_HUMAN, Phase.STOPPED]
        assert "person is needed" in bot.supervisor.state.cause


async def test_a_person_may_take_an_hour():
    class Slow:
        async def ask(self, question):
            await trio.sleep(3600)
            return "abcd"

        async def show(self, question):
            raise NeedsHuman("no")

    answers = []

    async def captcha(link, outbox):
        answers.append(await link.ask(Question(account=ME, kind=QuestionKind.CAPTCHA, text="captcha")))
        link.online(["bot"])
        link.alive(float("inf"))
        await trio.sleep_forever()

    async with Running(Scripted(captcha), operator=Slow()) as bot:
        await trio.sleep(3601)
        assert answers == ["abcd"]
        assert bot.phases == [Phase.CONNECTING, Phase.NEEDS_HUMAN, Phase.CONNECTING, Phase.ONLINE]


async def test_a_question_of_a_session_that_is_online_does_not_take_it_offline():
    class Slow:
        async def ask(self, question):
            await trio.sleep(3600)
            return "abcd"

    answers = []

    async def captcha(link, outbox):
        link.online(["bot"])
        link.alive(7200)
        answers.append(await link.ask(Question(account=ME, kind=QuestionKind.CAPTCHA, text="captcha")))
        await trio.sleep_forever()

    async with Running(Scripted(captcha), operator=Slow()) as bot:
        await trio.sleep(1)
        assert (bot.phases[-1], bot.supervisor.state.cause) == (Phase.ONLINE, "captcha")
        await trio.sleep(3600)
        assert (answers, bot.phases[-1], bot.supervisor.state.cause) == (["abcd"], Phase.ONLINE, "")
        await trio.sleep(3700)
        assert "nothing was heard" in next(s.cause for s in bot.states if s.phase is Phase.WAITING)


@pytest.mark.parametrize(
    ("policy", "error", "sessions", "ended"),
    [
        (Reconnect.ALWAYS, None, 2, False),
        (Reconnect.ALWAYS, TransientError("x"), 2, False),
        (Reconnect.ON_TRANSIENT, TransientError("x"), 2, False),
        (Reconnect.ON_TRANSIENT, None, 1, True),
        (Reconnect.NEVER, TransientError("x"), 1, True),
        (Reconnect.EXIT, TransientError("x"), 1, True),
    ],
)
async def test_policies(policy, error, sessions, ended):
    adapter = Scripted((5, error))
    async with Running(adapter, LinkPolicy(reconnect=policy)) as bot:
        await trio.sleep(20)
        assert len(adapter.began) == sessions
        assert (bot.end is not None) == ended


async def test_there_is_never_more_than_one_session():
    adapter = Scripted(*[(i % 3, TransientError("x")) for i in range(50)])
    async with Running(adapter, LinkPolicy(backoff=BackoffPolicy(first=0.1, cap=0.2))):
        await trio.sleep(500)
        assert len(adapter.began) == 51
        assert adapter.most_live == 1


# -- proofs of life, and who holds them up -----------------------------------------------------------


async def test_a_fatal_error_on_the_way_out_of_a_silent_session_stops_the_account():
    async def banned(link, outbox):
        async def reader():
            try:
                await trio.sleep_forever()
            finally:
                raise FatalError("4014: banned")

        link.online(["bot"])
        link.alive(10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reader)
            nursery.start_soon(trio.sleep_forever)

    adapter = Scripted(banned)
    async with Running(adapter) as bot:
        await trio.sleep(100)
        assert len(adapter.began) == 1
        assert (bot.supervisor.state.phase, bot.supervisor.state.cause) == (Phase.STOPPED, "4014: banned")


@pytest.mark.parametrize("first", [0, 1])
async def test_a_session_that_several_readers_hold_up_has_its_time_left_afterwards(first, monkeypatch):
    """The deadline does not run while somebody waits for the bot, and runs on when nobody does any more."""
    gates = [trio.Event(), trio.Event()]

    async def session(link, outbox):
        async def reader(gate):
            bot.app.dispatcher.ready = lambda account: gate.wait()
            await link.ready()

        link.online(["bot"])
        link.alive(10)
        await trio.sleep(4)  # six seconds are left
        async with trio.open_nursery() as nursery:
            for gate in gates:
                nursery.start_soon(reader, gate)
                await trio.testing.wait_all_tasks_blocked()
            await trio.sleep_forever()

    adapter = Scripted(session)
    bot = Running(adapter)
    async with bot:
        await trio.sleep(100)
        gates[first].set()
        await trio.sleep(100)
        assert bot.supervisor.state.phase is Phase.ONLINE
        gates[1 - first].set()
        await trio.sleep(5.9)
        assert bot.supervisor.state.phase is Phase.ONLINE
        await trio.sleep(0.2)
        assert bot.supervisor.state.phase is not Phase.ONLINE


async def test_a_question_that_is_given_up_gives_the_deadline_back():
    class Never:
        async def ask(self, question):
            await trio.sleep_forever()

        async def show(self, question):
            raise NeedsHuman("no")

    async def captcha(link, outbox):
        with trio.move_on_after(60):
            await link.ask(Question(account=ME, kind=QuestionKind.CAPTCHA, text="captcha"))
        await trio.sleep_forever()

    async with Running(Scripted(captcha), LinkPolicy(connect_within=100), operator=Never()) as bot:
        await trio.sleep(61)
        assert bot.supervisor.state.phase is Phase.CONNECTING
        await trio.sleep(98)
        assert bot.supervisor.state.phase is Phase.CONNECTING
        await trio.sleep(2)
        assert bot.supervisor.state.phase is Phase.WAITING
        assert "nothing was heard" in bot.supervisor.state.cause


# -- the outbox --------------------------------------------------------------------------------------


def draft(text):
    return Draft.of(ROOM, text)


class Arrivals(Scripted):
    """One of many accounts of one network: it does `first` and then stays online."""

    def __init__(self, number, first):
        super().__init__(first)
        self.account = AccountRef("memory", f"a{number}")


async def test_a_crowd_comes_online_a_few_at_a_time():
    async def slow(link, outbox):
        await trio.sleep(10)
        link.online(["bot"])
        link.alive(float("inf"))
        await trio.sleep_forever()

    first = Arrivals(0, slow)
    running = Running(first)
    rest = [Arrivals(n, slow) for n in range(1, COMING_ONLINE + 10)]
    for adapter in rest:
        running.app.add_account(adapter, LinkPolicy(), OutboxPolicy())
    other = Scripted(slow)
    other.account = AccountRef("elsewhere", "x")
    running.app.add_account(other, LinkPolicy(), OutboxPolicy())
    async with running:
        start = trio.current_time()
        await trio.sleep(5)
        assert sum(len(a.began) for a in [first, *rest]) == COMING_ONLINE
        assert other.began == [start]  # another network has its own doors
        await trio.sleep(10)
        assert sorted({a.began[0] - start for a in [first, *rest]}) == [0, 10]


async def test_who_waits_for_a_person_or_for_the_next_try_keeps_nobody_out():
    class Never:
        async def ask(self, question):
            await trio.sleep_forever()

        async def show(self, question):
            raise NeedsHuman("no")

    def captcha(number):
        async def session(link, outbox):
            me = AccountRef("memory", f"a{number}")
            await link.ask(Question(account=me, kind=QuestionKind.CAPTCHA, text="captcha"))

        return session

    half = COMING_ONLINE // 2
    stuck = [Arrivals(n, captcha(n)) for n in range(half)]
    down = [Arrivals(n, (0, TransientError("refused", retry_after=1000))) for n in range(half, COMING_ONLINE)]
    well = [Arrivals(n, (5000, None)) for n in range(COMING_ONLINE, 2 * COMING_ONLINE)]
    running = Running(stuck[0], operator=Never())
    for adapter in [*stuck[1:], *down, *well]:
        running.app.add_account(adapter, LinkPolicy(), OutboxPolicy())
    async with running:
        await trio.sleep(1)
        assert all(len(adapter.began) == 1 for adapter in well)


async def carrying(adapter_send):
    async def session(link, outbox):
        link.online(["bot"])
        link.alive(float("inf"))
        await outbox.carry(adapter_send)

    return session


async def test_sends_wait_for_the_connection_and_go_out_in_order():
    sent = []

    async def send(part, started):
        await started()
        sent.append(part.text)
        return Outcome(delivery=Delivery.ACCEPTED)

    adapter = Scripted((0, TransientError("a")), await carrying(send))
    async with Running(adapter) as bot:
        outcomes = []

        async def speak(text):
            outcomes.append((await bot.supervisor.outbox.send(draft(text))).delivery)

        async with trio.open_nursery() as nursery:
            for text in "abc":
                nursery.start_soon(speak, text)
                await trio.testing.wait_all_tasks_blocked()
        assert sent == ["a", "b", "c"]
        assert set(outcomes) == {Delivery.ACCEPTED}


async def test_a_send_that_waited_too_long_is_refused_at_its_time():
    adapter = Scripted(*[(0, TransientError("down"))] * 100)
    async with Running(adapter, outbox=OutboxPolicy(max_age=30)) as bot:
        began = trio.current_time()
        outcome = await bot.supervisor.outbox.send(draft("x"))
        assert (outcome.delivery, trio.current_time() - began) == (Delivery.REFUSED, 30)
        assert "30 s" in outcome.reason


async def test_a_full_outbox_refuses_at_once():
    async with Running(Scripted(*[(0, TransientError("down"))] * 100), outbox=OutboxPolicy(size=2)) as bot:
        entries = [bot.supervisor.outbox.put(draft(t)) for t in "abc"]
        assert [e.outcome and e.outcome.delivery for e in entries] == [None, None, Delivery.REFUSED]


async def test_what_was_on_the_wire_is_unknown_and_never_sent_again():
    sent = []

    async def break_off(part, started):
        await started()
        sent.append(part.text)
        raise TransientError("reset by peer")

    async def send(part, started):
        await started()
        sent.append(part.text)
        return Outcome(delivery=Delivery.ACCEPTED)

    adapter = Scripted(await carrying(break_off), await carrying(send))
    async with Running(adapter) as bot:
        first, second = (bot.supervisor.outbox.put(draft(t)) for t in "ab")
        await trio.sleep(10)
        assert sent == ["a", "b"]
        assert first.outcome.delivery is Delivery.UNKNOWN
        assert second.outcome.delivery is Delivery.ACCEPTED


async def test_what_has_not_left_is_sent_by_the_next_session():
    sent = []

    async def not_sent(part, started):
        await started()
        raise NotSent("no connection")

    async def send(part, started):
        await started()
        sent.append(part.text)
        return Outcome(delivery=Delivery.ACCEPTED)

    adapter = Scripted(await carrying(not_sent), await carrying(send))
    async with Running(adapter) as bot:
        assert (await bot.supervisor.outbox.send(draft("a"))).ok
        assert sent == ["a"]


async def test_a_session_that_is_cut_leaves_unknown_behind():
    async def hang(part, started):
        await started()
        await trio.sleep_forever()

    async def session(link, outbox):
        link.online(["bot"])
        link.alive(10)
        await outbox.carry(hang)

    async with Running(Scripted(session)) as bot:
        outcome = await bot.supervisor.outbox.send(draft("a"))
        assert outcome.delivery is Delivery.UNKNOWN


async def test_sends_keep_their_distance():
    times = []

    async def send(part, started):
        await started()
        times.append(trio.current_time())
        return Outcome(delivery=Delivery.ACCEPTED)

    adapter = Scripted(await carrying(send))
    adapter.pace, adapter.capabilities = Pace(gap=0.5), Capabilities(max_bytes=4)
    async with Running(adapter) as bot:
        outcome = await bot.supervisor.outbox.send(draft("aaaa bbbb cccc"))
        assert outcome.ok
        assert [round(b - a, 3) for a, b in itertools.pairwise(times)] == [0.5, 0.5]


async def test_cancelling_who_waits_does_not_lose_the_message():
    observers = Running(Scripted()).app.observers
    box = Outbox(
        ME, Pace(), lambda kind: Capabilities(), OutboxPolicy(), observers, Alarms(), rng=random.Random(1)
    )
    with trio.move_on_after(1):
        await box.send(draft("a"))
    assert len(box) == 1


async def test_memory_network_keeps_what_was_said_while_away():
    network = MemoryNetwork(ME, VirtualClock())
    network.say("ali", network.group("ops", "ali"), "hello")
    async with Running(MemoryAdapter(network)) as bot:
        await trio.testing.wait_all_tasks_blocked()
        assert network.pending == 0
        assert bot.app.dispatcher.messages == 1


async def test_a_bug_in_the_runtime_takes_the_bot_down_loudly():
    from qqops.runtime.registry import Handler, Job, Mode

    class Broken:
        def after(self, moment):
            raise RuntimeError("a bug")

    handler = Handler(
        plugin="p", name="h", where="", mode=Mode.INLINE, prepare=lambda ctx, source: lambda: None
    )
    bot = Running(Scripted())
    bot.app.registry.add(jobs=[Job(name="j", schedule=Broken(), handler=handler)])
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug"), flatten_subgroups=True):
        async with bot:
            await trio.sleep(1)


async def test_a_broken_observer_disturbs_nobody(capsys):
    bot = Running(Scripted())

    def broken(record):
        raise ValueError("observer")

    bot.app.observers.add(broken)
    seen = []
    bot.app.observers.add(seen.append)
    async with bot:
        await trio.sleep(1)
    assert len(seen) == len(bot.records) >= 2
    assert "observer failed" in capsys.readouterr().out


async def test_log_lines_about_a_message_say_which(bots):
    import structlog

    from qqops import Plugin
    from qqops.runtime.dispatch import add_run

    plugin = Plugin("noisy")

    @plugin.command("boom")
    async def boom() -> None:
        raise ValueError("x")

    processor = structlog.testing.LogCapture()
    old = structlog.get_config()["processors"]
    structlog.configure(processors=[add_run, processor])
    try:
        async with bots.run(plugin) as bot:
            await bot.user("ali", room=bot.room("ops")).say("/boom")
            await bot.room("ops").expect("went wrong")
    finally:
        structlog.configure(processors=old)
    (line,) = [e for e in processor.entries if e["event"] == "handler failed"]
    assert (line["account"], line["room"], line["plugin"], line["message"]) == (
        "memory:test",
        "g-ops",
        "noisy",
        "1",
    )


async def test_a_begun_message_does_not_block_those_behind_it():
    """The first part went out, the connection is gone: at their age all are answered, the begun one says how far it got."""

    async def one_part(part, started):
        if part.text == "aaaa":
            await started()
            return Outcome(delivery=Delivery.ACCEPTED)
        raise NotSent("no connection")

    adapter = Scripted(await carrying(one_part), *[(0, TransientError("down"))] * 100)
    adapter.capabilities = Capabilities(max_bytes=4)
    async with Running(adapter, outbox=OutboxPolicy(max_age=30)) as bot:
        began = trio.current_time()
        first = bot.supervisor.outbox.put(draft("aaaa bbbb"))
        outcome = await bot.supervisor.outbox.send(draft("cccc"))
        assert (outcome.delivery, trio.current_time() - began) == (Delivery.REFUSED, 30)
        assert "1 of 2 parts were sent" in first.outcome.reason


async def test_what_was_cut_before_it_left_is_sent_by_the_next_session():
    sent = []

    async def never_starts(part, started):
        await trio.sleep_forever()

    async def session(link, outbox):
        link.online(["bot"])
        link.alive(10)
        await outbox.carry(never_starts)

    async def send(part, started):
        await started()
        sent.append(part.text)
        return Outcome(delivery=Delivery.ACCEPTED)

    async with Running(Scripted(session, await carrying(send))) as bot:
        assert (await bot.supervisor.outbox.send(draft("a"))).ok
        assert sent == ["a"]


async def test_no_grace_and_nothing_to_do_is_a_clean_end():
    bot = Running(Scripted(), app_policy=AppPolicy(seed=1, grace_seconds=0))
    async with bot:
        await trio.sleep(1)
    assert bot.end is End.CLEAN
