"""The simulated OneBot v11 implementation itself, and what a soak of the adapter takes for broken: each thing alone."""

import contextlib
import json
import random
from collections import Counter

import pytest
import trio
import trio.testing

from qqops.adapters.websocket.socket import GOODBYE
from qqops.errors import ConfigError, TransientError
from qqops.simulator.onebot.faults import KINDS, REPERTOIRE
from qqops.simulator.onebot.implementation import FORMATS, INTERVALS, Implementation
from qqops.simulator.onebot.local import LocalDial
from qqops.simulator.onebot.makes import MAKES
from qqops.simulator.onebot.server import OneBotServer
from qqops.testing.virtual import VirtualClock
from tests.torture.onebot.crowd import Crowd, Line, Place, haunts, make_world
from tests.torture.onebot.ledger import BACKLOG, OUTBOX, PEAK, Ledger
from tests.torture.onebot.plan import Plan
from tests.torture.onebot.soak import plan_of, report
from tests.torture.onebot.tap import Tap


class Application:
    """The other side of an implementation, by hand."""

    def __init__(self, server, socket):
        self.server, self.socket = server, socket
        self.frames = []
        self.ended = ""

    async def read(self):
        try:
            while True:
                self.frames += [json.loads(data) for data in await self.socket.receive()]
        except TransientError as exc:
            self.ended = str(exc)

    def call(self, name, method="POST", **data):
        return self.server.control.call(method, name, data)

    async def ask(self, action, **params):
        """Return the frame that answers, or None when there is none at once."""
        before = len(self.frames)
        self.socket.put(json.dumps({"action": action, "params": params, "echo": "e-1"}).encode())
        await trio.sleep(0.01)
        return next((f for f in self.frames[before:] if "status" in f and "retcode" in f), None)

    async def say(self, text="hi"):
        """Let somebody say something; return the event."""
        self.call("inject", kind="group", room="ops", **{"from": "Ali"}, text=text)
        await trio.sleep(0.01)
        return self.frames[-1]

    def kinds(self):
        return [frame.get("sub_type") or frame.get("meta_event_type") for frame in self.frames]

    def texts(self):
        return [said.text for said in self.server.it.sent]


@contextlib.asynccontextmanager
async def connected(flavor="napcat", **options):
    async with trio.open_nursery() as nursery:
        server = OneBotServer(Implementation(VirtualClock(), flavor=flavor, seed=1, **options))
        socket = await LocalDial(server.handle, nursery)("ws://qq/", [], within=5, max_size=2**20)
        app = Application(server, socket)
        nursery.start_soon(socket.write)
        nursery.start_soon(app.read)
        await trio.sleep(0.01)
        yield app
        nursery.cancel_scope.cancel()


async def test_async_says_that_it_is_taken_over_and_no_more():
    async with connected() as app:
        app.call("faults", fault="async")
        answer = await app.ask("send_group_msg", group_id=30002, message="hello")
        assert answer == {"status": "async", "retcode": 1, "data": None, "echo": "e-1"}
        assert app.texts() == ["hello"]
        assert (await app.ask("send_group_msg", group_id=30002, message="again"))["status"] == "ok"


async def test_an_answer_can_lack_its_echo():
    async with connected() as app:
        app.call("faults", fault="noecho", on="get_login_info")
        answer = await app.ask("get_login_info")
        assert answer["status"] == "ok"
        assert "echo" not in answer
        assert (await app.ask("get_login_info"))["echo"] == "e-1"


async def test_what_is_swallowed_is_said_to_have_gone_well_and_nobody_sees_it():
    async with connected() as app:
        app.call("faults", fault="swallow")
        answer = await app.ask("send_group_msg", group_id=30002, message="hello")
        assert answer["status"] == "ok"
        assert answer["data"]["message_id"]
        await app.ask("send_group_msg", group_id=30002, message="again")
        assert app.texts() == ["again"]
        seen = app.call("sent", "GET")
        assert [[line["text"] for line in seen[key]] for key in ("sent", "swallowed")] == [
            ["again"],
            ["hello"],
        ]
        assert app.call("state", "GET")["swallowed"] == 1


@pytest.mark.parametrize("flavor", ["napcat", "snowluma"])
async def test_a_good_bye_can_stay_unanswered(flavor):
    for hang, seconds in ((False, 0), (True, GOODBYE)):
        async with connected(flavor) as app:
            if hang:
                app.call("faults", fault="hang", seconds=60)
            began = trio.current_time()
            app.socket.close()
            with trio.move_on_after(GOODBYE):
                while not app.ended:
                    await trio.sleep(0.01)
            assert round(trio.current_time() - began, 1) == seconds
            assert bool(app.ended) is not hang
            await trio.sleep(70)
            assert app.ended
            assert not app.server.peers


async def test_heartbeats_can_say_anything_of_their_interval():
    said = {"usual": 30000, "zero": 0, "missing": None, "empty": ""}
    assert set(said) == set(INTERVALS)
    for interval, value in said.items():
        async with connected(interval=interval) as app:
            await trio.sleep(31)
            beats = [f for f in app.frames if f.get("meta_event_type") == "heartbeat"]
            assert [beat.get("interval") for beat in beats] == [value] * 2
            assert ("interval" in beats[0]) == (interval != "missing")


async def test_options_can_be_changed_on_the_way_and_nonsense_is_refused():
    async with connected() as app:
        assert (await app.say())["message"] == [{"type": "text", "data": {"text": "hi"}}]
        assert app.call("options", format="string", interval="empty")["format"] == "string"
        assert (await app.say())["message"] == "hi"
        assert app.server.it.heartbeat()["interval"] == ""
        for wrong in ({"format": "xml"}, {"interval": "7"}, {"format": 1}, {"nothing": "x"}):
            with pytest.raises(ConfigError):
                app.call("options", **wrong)
        with pytest.raises(ConfigError):
            Implementation(VirtualClock(), message_format="xml")


@pytest.mark.parametrize("flavor", MAKES)
@pytest.mark.parametrize("form", FORMATS)
async def test_each_implementation_speaks_both_forms(flavor, form):
    async with connected(flavor, message_format=form) as app:
        event = await app.say("a&b")
        strings = MAKES[flavor].text if form == "usual" else form == "string"
        assert event["message"] == ("a&amp;b" if strings else [{"type": "text", "data": {"text": "a&b"}}])
        told = None if flavor == "gocq" else "string" if strings else "array"
        assert event.get("message_format") == told


@pytest.mark.parametrize(("flavor", "says"), [("snowluma", True), ("napcat", False)])
async def test_who_says_disable_before_it_closes(flavor, says):
    async with connected(flavor) as app:
        app.call("drop", polite=True)
        await trio.sleep(0.1)
        assert app.ended == "closed by the other side: 1000"
        assert ("disable" in app.kinds()) is says
    async with connected(flavor) as app:
        app.call("drop")
        await trio.sleep(0.1)
        assert app.ended
        assert "disable" not in app.kinds()


async def test_the_url_of_a_private_file_needs_its_hash_at_snowluma():
    for flavor, refuses in (("snowluma", True), ("napcat", False)):
        async with connected(flavor) as app:
            answer = await app.ask("get_private_file_url", user_id=20001, file_id="f")
            assert answer["status"] == ("failed" if refuses else "ok")
            answer = await app.ask("get_private_file_url", user_id=20001, file_id="f", file_hash="h")
            assert answer["data"] == {"url": "https://example.invalid/f"}


@pytest.mark.parametrize("kind", KINDS)
async def test_every_fault_can_be_switched_on(kind):
    async with connected() as app:
        assert app.call("faults", fault=kind)["faults"] == (kind != "port")
        assert kind in REPERTOIRE.kinds


# -- listening in -------------------------------------------------------------------------------


def ping(number, masked):
    content = str(number).encode()
    return (
        b"\x89" + bytes((0x80 | len(content), 0, 0, 0, 0)) if masked else bytes((0x89, len(content)))
    ) + content


def pong(number, masked):
    content = str(number).encode()
    if not masked:
        return bytes((0x8A, len(content))) + content
    key = b"\x01\x02\x03\x04"
    return bytes((0x8A, 0x80 | len(content))) + key + bytes(c ^ key[i % 4] for i, c in enumerate(content))


class Listener:
    def __init__(self, *, dialled=False):
        self.proven, self.doubted = [], []
        self.hearing = trio.Event()
        self.hearing.set()
        ours, self.theirs = trio.testing.memory_stream_pair()
        self.tap = Tap(
            ours, dialled=dialled, hearing=lambda: self.hearing,
            proven=self.proven.extend, doubted=self.doubted.extend,
        )  # fmt: skip


@pytest.mark.parametrize("dialled", [False, True])
async def test_only_an_answered_ping_proves_what_went_before_it(dialled):
    one = Listener(dialled=dialled)
    if dialled:
        await one.theirs.send_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + pong(7, False)[:1])
        await one.tap.receive_some()
        one.tap.heard(pong(7, False)[1:])
    one.tap.put(1)
    one.tap.put(0)
    await one.tap.send_all(b"frames")
    one.tap.put(2)
    await one.tap.send_all(b"more")
    await one.tap.send_all(b"an answer")
    assert one.tap.waiting == 3
    sent = await one.theirs.receive_some()
    assert sent == b"frames" + ping(1, dialled) + b"more" + ping(2, dialled) + b"an answer"
    answer = (
        b"\x81" + bytes((0 if dialled else 0x80,)) + (b"" if dialled else bytes(4)) + pong(1, not dialled)
    )
    await one.theirs.send_all(answer[:4])
    await one.tap.receive_some()
    await one.theirs.send_all(answer[4:])
    await one.tap.receive_some()
    assert (one.proven, one.tap.waiting) == ([1, 0], 1)
    one.tap.put(3)
    await one.tap.aclose()
    assert (one.proven, one.doubted, one.tap.waiting) == ([1, 0], [2, 3], 0)
    one.tap.heard(pong(2, not dialled))
    assert one.proven == [1, 0]


async def test_a_side_that_is_deaf_reads_nothing():
    one = Listener()
    one.hearing = trio.Event()
    await one.theirs.send_all(b"x")
    with trio.move_on_after(100) as scope:
        await one.tap.receive_some()
    assert scope.cancelled_caught
    one.hearing.set()
    assert await one.tap.receive_some() == b"x"


# -- the crowd ----------------------------------------------------------------------------------


def test_the_crowd_says_the_same_for_the_same_seed_and_of_each_kind_its_part():
    one, two = ([Crowd(random.Random(3)).next() for _ in range(1)] for _ in range(2))
    assert one == two
    crowd = Crowd(random.Random(1))
    events = [crowd.next() for _ in range(20_000)]
    kinds = Counter(
        ("command" if one.number else "chatter") if isinstance(one, Line) else one["post_type"]
        for one in events
    )
    assert set(kinds) == {"command", "chatter", "notice", "request", "meta_event"}
    assert 0.78 < kinds["chatter"] / 20_000 < 0.82
    assert 0.14 < kinds["command"] / 20_000 < 0.16
    commands = [one for one in events if isinstance(one, Line) and one.number]
    assert [one.number for one in commands] == list(range(1, len(commands) + 1))
    world = make_world()
    assert all(one.group in {0, *world.groups} and one.group in haunts(one.person) for one in commands)
    first = commands[0]
    mark = f"{first.number}.{first.place.room}.{first.place.person}"
    assert first.segments[0]["data"]["text"] in (f"/mark {mark}", f"/now {mark}")


# -- what a soak takes for broken ---------------------------------------------------------------

HELD = {"rss_kb": 50_000, "peak_kb": 60_000, "fds": 9, "threads": 1, "tasks": 17}
A, B = Place("g1", "u1"), Place("p2", "u2")


def good():
    """Return the ledger of a run in which all was well: one command in doubt, one answer unknown, one refused."""
    ledger = Ledger(deaf=True)
    for n, place in ((1, A), (2, A), (3, B), (4, B), (5, A)):
        ledger.asked[n] = place
        ledger.written.add(n)
    ledger.certain |= {1, 2, 3, 4}
    for n, outcome in ((1, "delivered"), (2, "unknown"), (3, "refused"), (4, "accepted")):
        place = ledger.asked[n]
        mark = f"{n}.{place.room}.{place.person}"
        ledger.line("S", {"n": n, "room": place.room, "person": place.person})
        assert ledger.line("O", {"text": f"{mark}[image]", "outcome": outcome}) == n
        if outcome != "refused":
            ledger.shown(place.room, mark)
    ledger.line("U", {"tasks": 17, "backlog": 10, "outbox": 20})
    ledger.exits.append(0)
    ledger.usage = [HELD, {**HELD, "rss_kb": 52_000}, HELD]
    return ledger


def test_a_good_run_has_nothing_to_complain_about(capsys):
    assert good().check() == []
    row = good().summary()
    assert [row[key] for key in ("certain", "in doubt", "handled", "lost", "unknown", "refused")] == [
        4,
        1,
        4,
        0,
        1,
        1,
    ]
    assert report(Plan(), good()) == 0
    assert capsys.readouterr().out.count("|\n") == 3


def start(n, place):
    return lambda x: x.starts.append((n, place))


BREAK = {
    "read and never handled: [1]": lambda x: x.starts.pop(0),
    "handled or answered more than once: [1]": start(1, A),
    "handled or answered more than once: [4]": lambda x: x.shown("p2", "4.p2.u2"),
    "after a later one of the same person in the same room: [1, 3]": lambda x: x.starts.reverse(),
    "after a later one of the same person in the same room: [1] ": lambda x: x.visible.reverse(),
    "ascribed to or answered to somebody else: [5]": start(5, B),
    "ascribed to or answered to somebody else: [1]": lambda x: x.visible.append((1, "p2")),
    "with another mark than the command": lambda x: x.shown("g1", "1.g1.u2"),
    "handled and never said: [9]": start(9, A),
    "answered and never handled: [5]": lambda x: x.shown("g1", "5.g1.u1"),
    "said and not asked for: ['error']": lambda x: x.line("O", {"text": "error", "outcome": "delivered"}),
    "7 events were dropped": lambda x: x.line("D", {"dropped": 7}),
    "1: handled, and its answer has 0 outcomes": lambda x: x.outcomes.pop(1),
    "1: handled, and its answer has 2 outcomes": lambda x: x.outcomes[1].append("unknown"),
    "1: delivered and seen 0 times": lambda x: x.visible.pop(0),
    "3: refused and seen all the same": lambda x: x.shown("p2", "3.p2.u2"),
    "no outcome says so": lambda x: x.outcomes.update({2: ["delivered"], 3: ["delivered"]}),
    "waited in the backlog": lambda x: x.line("U", {"backlog": BACKLOG + 1, "outbox": 0}),
    "waited in the outbox": lambda x: x.line("U", {"backlog": 0, "outbox": OUTBOX + 1}),
    "the bot ended with [1]": lambda x: x.exits.append(1),
    "fds: 9 at the start, 10 later": lambda x: x.usage.append({**HELD, "fds": 10}),
    "threads: 1 at the start, 2 later": lambda x: x.usage.insert(1, {**HELD, "threads": 2}),
    "tasks: 17 at the start": lambda x: x.usage.append({**HELD, "tasks": 18}),
    "53000 kB later": lambda x: x.usage.append({**HELD, "rss_kb": 53_000}),
    "for a moment": lambda x: x.usage.append({**HELD, "peak_kb": 50_001 + PEAK}),
    "was not measured": lambda x: x.usage.clear(),
    "something else": lambda x: x.problems.append("something else"),
}  # fmt: skip


@pytest.mark.parametrize("words", BREAK)
def test_each_thing_that_must_hold_is_seen_to_break(words, capsys):
    ledger = good()
    BREAK[words](ledger)
    assert any(words in problem for problem in ledger.check()), ledger.check()
    assert report(Plan(), ledger) == 1
    assert "BROKEN: " in capsys.readouterr().out


def test_small_growth_and_what_came_late_through_a_reconnect_are_no_break():
    ledger = good()
    ledger.usage.append({**HELD, "rss_kb": 52_500, "fds": 8})
    ledger.starts = [ledger.starts[1], ledger.starts[0], *ledger.starts[2:]]
    ledger.visible = [(2, "g1"), (1, "g1"), (4, "p2")]
    assert len(ledger.check()) == 1
    ledger.repeated.add(1)
    assert ledger.check() == []


def test_what_can_be_asked_for(tmp_path):
    plan, folder = plan_of(["--minutes", "30", "--rate", "200", "--folder", str(tmp_path / "x")])
    assert (plan.minutes, plan.rate, plan.trouble, plan.reverse, plan.journal) == (30, 200, True, True, False)
    assert folder is not None
    assert folder.is_dir()
    plan, folder = plan_of(
        ["--trouble", "none", "--transport", "forward", "--journal", "on", "--flavor", "gocq"]
    )
    assert (plan.events, plan.trouble, plan.reverse, plan.journal, plan.flavor) == (
        100_000,
        False,
        False,
        True,
        "gocq",
    )
    assert folder is None
    for wrong in (
        ["--events", "0"],
        ["--rate", "-1"],
        ["--minutes", "1", "--events", "5"],
        ["--flavor", "x"],
    ):
        with pytest.raises(SystemExit):
            plan_of(wrong)
