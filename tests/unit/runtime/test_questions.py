"""Questions that only a person can answer: in rooms, in a folder, and when nobody is there."""

import contextlib
import io
import random

import attrs
import pytest
import trio

from qqops.adapters.base import Question, QuestionKind
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.adapters.webqq.adapter import WebQQ, WebQQOptions
from qqops.app import App, AppPolicy
from qqops.cli.operators import Folder, Terminal
from qqops.errors import NeedsHuman
from qqops.model import AccountRef, Delivery, Image, Outcome, Room, RoomKind, RoomRef, Secret, Text
from qqops.plugin.host import Candidate
from qqops.runtime.named_rooms import RoomSettings
from qqops.runtime.observe import LinkState, Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.questions import Place, Questions
from qqops.runtime.supervisor import LinkPolicy
from qqops.simulator.local import LocalHttp
from qqops.simulator.server import Server
from qqops.simulator.service import Service, ServiceOptions
from qqops.testing.bots import Nobody
from qqops.testing.virtual import HeldThreads, VirtualClock
from qqops_essentials import plugin as essentials

CAPTCHA = Question(
    account=AccountRef("webqq", "main"), kind=QuestionKind.CAPTCHA, text="captcha", picture=b"\x89PNG"
)
HERE = AppPolicy(
    seed=1, ask_in=(Place("test", "ops"),), rooms=RoomSettings(default="en", languages={"zh": "zh"})
)


async def test_a_room_is_asked_once_and_its_answer_counts(bots):
    async with bots.run(essentials, policy=HERE) as bot:
        ops, elsewhere = bot.room("ops"), bot.room("elsewhere")
        answers = []

        async def ask():
            answers.append(await bot.app.questions.ask(CAPTCHA))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await ops.expect("main cannot log in.*/answer main")
            await bot.settle()
            pictures = [d for d in bot.network.sent if any(isinstance(s, Image) for s in d.segments)]
            assert [d.segments[0].content for d in pictures] == [b"\x89PNG"]
            await bot.user("Eve", room=elsewhere).say("/answer main wrong")
            await elsewhere.expect("asks nothing here")
            await bot.user("Ali", room=ops).say("/answer other abcd")
            await ops.expect("asks nothing here")
            await bot.advance(3600)
            assert len(bot.network.sent) == 4, "asked once, however long it takes"
            await bot.user("Ali", room=ops).say("/answer main abcd")
            await ops.expect("thank you")
        assert answers == ["abcd"]
        assert bot.app.questions.open == []


async def test_the_account_that_needs_help_does_not_ask_itself(bots):
    async with bots.run(essentials, policy=HERE) as bot:
        bot.room("ops")
        own = Question(account=AccountRef("memory", "test"), kind=QuestionKind.QR, text="scan", picture=b"x")
        with trio.fail_after(100):
            with pytest.raises(NeedsHuman):
                await bot.app.questions.ask(own)
        assert bot.network.sent == []


async def test_when_nobody_is_there_that_is_said(bots):
    async with bots.run(essentials) as bot:
        with pytest.raises(NeedsHuman):
            await bot.app.questions.ask(CAPTCHA)
        with pytest.raises(NeedsHuman):
            await bot.app.questions.show(CAPTCHA)


async def test_the_first_of_several_counts_and_the_others_are_let_go(bots):
    class Slow:
        async def ask(self, question):
            await trio.sleep(100)
            return "slow"

    class Quick:
        async def ask(self, question):
            await trio.sleep(1)
            return "quick"

    async with bots.run(essentials) as bot, trio.open_nursery() as nursery:
        questions = Questions([Nobody(), Slow(), Quick()], bot.app.rooms, rng=random.Random(1))
        await nursery.start(questions.run)
        began = trio.current_time()
        assert await questions.ask(CAPTCHA) == "quick"
        assert trio.current_time() - began == pytest.approx(1)
        nursery.cancel_scope.cancel()


async def test_two_questions_of_one_account_have_each_their_answer(bots):
    class Clerk:
        def __init__(self):
            self.open, self.most, self.seen = 0, 0, []

        async def ask(self, question):
            self.open += 1
            self.most = max(self.most, self.open)
            self.seen.append(question.text)
            await trio.sleep(10)
            self.open -= 1
            return f"answer to {question.text}"

    async with bots.run(essentials) as bot, trio.open_nursery() as nursery:
        clerk = Clerk()
        questions = Questions([clerk], bot.app.rooms, rng=random.Random(1))
        await nursery.start(questions.run)
        answers = {}

        async def ask(text):
            answers[text] = await questions.ask(attrs.evolve(CAPTCHA, text=text))

        async with trio.open_nursery() as both:
            both.start_soon(ask, "one")
            both.start_soon(ask, "two")
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(1):  # a third is given up while it waits for its turn
                await ask("three")
        assert answers == {"one": "answer to one", "two": "answer to two"}
        assert (clerk.most, sorted(clerk.seen)) == (1, ["one", "two"])
        nursery.cancel_scope.cancel()


# -- a whole outage: the real login, terminal, folder and rooms ------------------------------------

HOUR = 3600.0
OPS = Room(ref=RoomRef(AccountRef("memory", "talk"), RoomKind.GROUP, "g-ops"), name="ops")


class Talk(MemoryAdapter):
    """A chat account that comes online when it is told to."""

    def __init__(self, network):
        super().__init__(network)
        self.gate = trio.Event()

    async def serve(self, link, outbox):
        link.waiting("not yet")
        await self.gate.wait()
        await super().serve(link, outbox)

    def rooms(self):
        return super().rooms() if self.gate.is_set() else []


class Outage:
    """A WebQQ account that needs a person, a chat account, and those who are asked."""

    def __init__(self, profile, operators, places, rooms=RoomSettings(), **service):  # noqa: B008 - frozen
        self.clock = VirtualClock()
        self.server = Server(Service(self.clock, options=ServiceOptions(hold=60.0, seed=1, **service)))
        self.state = self.server.service.state
        self.app = App(AppPolicy(seed=1, ask_in=places, rooms=rooms), clock=self.clock, operator=operators)
        self.app.host.load(Candidate(name="essentials", load=lambda: essentials))
        more = {"number": 100200300, "password": Secret("sim-pass-1")} if profile == "webqq2013" else {}
        bot = WebQQ(
            AccountRef("webqq", "main"), WebQQOptions(profile=profile, qr_interval=10.0, **more), clock=self.clock,
            rng=random.Random(1), http=lambda: LocalHttp(self.server),
        )  # fmt: skip
        self.link = self.app.add_account(bot, LinkPolicy(), OutboxPolicy())
        self.network = MemoryNetwork(AccountRef("memory", "talk"), self.clock)
        self.talk = Talk(self.network)
        self.app.add_account(self.talk, LinkPolicy(), OutboxPolicy())
        self.records = []
        self.app.observers.add(self.records.append)

    @property
    def posts(self):
        """What stands in the room, replies to `/answer` left out."""
        return [d for d in self.network.sent if "thank you" not in d.text]

    @property
    def phases(self):
        return {r.phase for r in self.records if isinstance(r, LinkState) and r.account.id == "main"}

    def newest(self):
        """The picture in the room that came last."""
        return next(d.segments[0].content for d in reversed(self.posts) if isinstance(d.segments[0], Image))

    def say(self, text, room="ops"):
        self.network.say("Ali", self.network.group(room, "Ali"), text)

    @contextlib.asynccontextmanager
    async def run(self, *, talk=True):
        self.network.group("ops", "Ali")
        if talk:
            self.talk.gate.set()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.app.run, trio.Event())
            with trio.fail_after(60 * HOUR):
                yield self
            nursery.cancel_scope.cancel()


ROOM = (Place("talk", "ops"),)


async def test_a_stranger_who_is_called_like_the_room_of_the_operators_answers_nothing():
    """A private chat bears the name of the other side, who may choose it."""
    it = Outage("smartqq", [], ROOM, qr_auto=False)
    stranger, known = it.network.private("ops"), it.talk.rooms
    it.talk.rooms = lambda: [stranger, *known()]
    async with it.run():
        await trio.sleep(60)
        assert {d.room for d in it.posts} == {OPS.ref}
        assert not it.app.questions.answer("main", "guess", stranger)
        assert it.app.questions.answer("main", "guess", OPS)


async def test_a_question_in_a_chinese_room_is_in_chinese():
    it = Outage("smartqq", [], ROOM, rooms=RoomSettings(languages={"ops": "zh"}), qr_auto=False)
    async with it.run():
        await trio.sleep(60)
        assert "二维码" in it.posts[0].text


async def test_a_room_that_comes_online_later_gets_the_picture_too():
    it = Outage("smartqq", [], ROOM, qr_auto=False)
    async with it.run(talk=False):
        await trio.sleep(60)
        assert it.posts == []
        it.talk.gate.set()
        await trio.sleep(30)
        assert [type(d.segments[0]) for d in it.posts] == [Text, Image]


def looked_at(tmp_path, monkeypatch):
    """A terminal whose input has ended, and a folder; their threads hold the virtual clock."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    threads = HeldThreads()
    return [Terminal(tmp_path, threads), Folder(tmp_path, threads)]


async def test_a_room_is_asked_once_in_hours_of_qr_codes_while_the_folder_is_kept_fresh(
    tmp_path, monkeypatch
):
    async with Outage("smartqq", looked_at(tmp_path, monkeypatch), ROOM, qr_auto=False).run() as it:
        seen = set()
        for _ in range(3 * 60):
            await trio.sleep(60)
            seen.add((tmp_path / "qr-main.png").read_bytes())
        assert len(seen) > 75, "a fresh picture about every two minutes"
        assert len(it.posts) == 2, "a text and a picture"
        assert it.newest() in seen
        it.say("/answer main new")
        await trio.sleep(1)
        assert len(it.posts) == 4
        assert it.newest() == (tmp_path / "qr-main.png").read_bytes(), "the one that counts now"
        await trio.sleep(HOUR)
        assert len(it.posts) == 4
        it.server.control.qr({"action": "confirm"})
        await trio.sleep(20)
        assert it.link.state.phase is Phase.ONLINE
        it.server.service.options.quick = False
        it.server.control.expire({})
        await trio.sleep(HOUR)
        assert len(it.posts) == 6, "that is another outage"


async def test_a_room_is_asked_once_in_hours_of_captchas_and_no_old_letters_are_taken(tmp_path, monkeypatch):
    async with Outage("webqq2013", looked_at(tmp_path, monkeypatch), ROOM, captcha=True).run() as it:
        await trio.sleep(2 * HOUR + 100)
        assert len(it.posts) == 2
        assert len(it.state.captchas) > 8, "a fresh one every quarter of an hour"
        counts = (tmp_path / "captcha-main.png").read_bytes()
        it.say("/answer main abcd")
        await trio.sleep(1)
        assert len(it.posts) == 4, "the letters of a picture that is stale bring the one that counts"
        assert it.newest() == counts, "and are not taken for an answer to that one"
        it.say("/answer main wrong")
        await trio.sleep(1)
        assert len(it.posts) == 6, "whoever was wrong gets another one"
        it.say(f"/answer main {list(it.state.captchas.values())[-1]}")
        await trio.sleep(30)
        assert it.link.state.phase is Phase.ONLINE
        assert len(it.posts) == 6


async def test_wrong_letters_however_many_stop_nothing():
    async with Outage("webqq2013", [], ROOM, captcha=True).run() as it:
        for _ in range(8):
            await trio.sleep(70)
            it.say("/answer main zzzz")
        await trio.sleep(70)
        assert Phase.WAITING in it.phases, "the login starts over, after a pause"
        it.say(f"/answer main {list(it.state.captchas.values())[-1]}")
        await trio.sleep(20)
        assert it.link.state.phase is Phase.ONLINE
        assert len(it.posts) == 2 * 9


async def test_nothing_is_fetched_while_only_a_room_is_there_and_nobody_asks():
    async with Outage("smartqq", [], ROOM, qr_auto=False).run() as it:
        await trio.sleep(300)
        requests = it.server.service.requests
        await trio.sleep(5 * HOUR)
        assert (it.server.service.requests, len(it.posts)) == (requests, 2)
        it.say("/answer main new")
        await trio.sleep(20)
        assert len(it.posts) == 4
        it.server.control.qr({"action": "confirm"})
        await trio.sleep(20)
        assert it.link.state.phase is Phase.ONLINE


@pytest.mark.parametrize("kind", ["qr", "captcha"])
async def test_a_room_whose_account_is_offline_is_asked_when_it_comes_online(kind):
    how = {"qr": ("smartqq", {"qr_auto": False}), "captcha": ("webqq2013", {"captcha": True})}[kind]
    async with Outage(how[0], [], ROOM, **how[1]).run(talk=False) as it:
        await trio.sleep(3 * HOUR)
        requests = it.server.service.requests
        await trio.sleep(2 * HOUR)
        assert it.server.service.requests == requests, "nobody would see a fresh one"
        it.talk.gate.set()
        await trio.sleep(30)
        assert len(it.posts) == 2
        if kind == "qr":
            it.server.control.qr({"action": "confirm"})
        else:
            it.say(f"/answer main {list(it.state.captchas.values())[-1]}")
        await trio.sleep(20)
        assert it.link.state.phase is Phase.ONLINE, "what it was shown counts"


async def test_a_session_that_breaks_while_it_waits_asks_nobody_again(tmp_path, monkeypatch):
    async with Outage("smartqq", looked_at(tmp_path, monkeypatch), ROOM, qr_auto=False).run() as it:
        for _ in range(20):
            await trio.sleep(600)
            it.server.control.faults({"fault": "html", "on": "ptqrlogin", "count": 1})
        assert Phase.WAITING in it.phases
        assert len(it.posts) == 2


async def test_two_rooms_of_one_name_are_not_asked_and_may_not_answer(capsys):
    async with Outage("smartqq", [], ROOM, qr_auto=False).run() as it:
        twin = RoomRef(it.network.account, RoomKind.GROUP, "g-evil")
        it.network.rooms["evil"] = Room(ref=twin, name="ops")
        await trio.sleep(HOUR)
        assert it.posts == []
        assert capsys.readouterr().out.count("name the room by its number") == 1
        it.network.say("Eve", it.network.rooms["evil"], "/answer main new")
        await trio.sleep(20)
        assert ["asks nothing here" in d.text for d in it.posts] == [True]


async def test_a_room_with_a_number_is_asked_whatever_others_are_called():
    async with Outage("smartqq", [], (Place("talk", "g-ops"),), qr_auto=False).run() as it:
        for name in ("ops", "g-ops"):
            twin = RoomRef(it.network.account, RoomKind.GROUP, f"other-{name}")
            it.network.rooms[f"other {name}"] = Room(ref=twin, name=name)
        await trio.sleep(60)
        assert [d.room.id for d in it.posts] == ["g-ops", "g-ops"]


async def test_a_room_that_refuses_is_tried_again_and_that_is_said_once(capsys):
    it = Outage("smartqq", [], ROOM, qr_auto=False)
    tries = []
    take = it.network._take

    def muted(draft, settle):
        tries.append(draft)
        if len(tries) < 8:
            settle(Outcome(delivery=Delivery.REFUSED, reason="muted"))
            return lambda: False
        return take(draft, settle)

    it.network._take = muted
    async with it.run():
        await trio.sleep(2 * HOUR)
        assert len(it.posts) == 2
        assert len(tries) == 9, "seven were refused, a text and a picture were not"
        assert capsys.readouterr().out.count("could not be put") == 1


# -- a disk that is full ---------------------------------------------------------------------------


class Full:
    """Lets pictures be saved, or not."""

    def __init__(self, monkeypatch):
        self.full = True
        self.tries = []

        from qqops.cli import operators

        real = operators.save

        def save(question, folder):
            self.tries.append(question.picture)
            if self.full:
                raise OSError(28, "No space left on device")
            return real(question, folder)

        monkeypatch.setattr(operators, "save", save)


@pytest.mark.parametrize(
    ("profile", "service"), [("smartqq", {"qr_auto": False}), ("webqq2013", {"captcha": True})]
)
async def test_a_full_disk_is_waited_for_and_said_once(tmp_path, monkeypatch, capsys, profile, service):
    disk = Full(monkeypatch)
    async with Outage(profile, [Folder(tmp_path, HeldThreads())], (), **service).run() as it:
        await trio.sleep(HOUR)
        assert it.link.state.phase is Phase.NEEDS_HUMAN
        assert 50 < len(disk.tries) < 400, "tried again, and not all the time"
        said = capsys.readouterr().out
        assert said.count("cannot be put") == 1
        assert "No space left on device" in said
        disk.full = False
        await trio.sleep(70)
        pictures = [path.read_bytes() for path in tmp_path.glob("*-main.png")]
        assert pictures == disk.tries[-1:]
        if profile == "smartqq":
            it.server.control.qr({"action": "confirm"})
        else:
            (tmp_path / "answer-main.txt").write_text(list(it.state.captchas.values())[-1])
        await trio.sleep(20)
        assert it.link.state.phase is Phase.ONLINE
        assert capsys.readouterr().out.count("can be put again") == 1


async def test_what_is_drawn_in_the_terminal_need_not_be_saved(tmp_path, monkeypatch, capsys):
    Full(monkeypatch)
    async with Outage("smartqq", [Terminal(tmp_path, HeldThreads())], (), qr_auto=False).run() as it:
        await trio.sleep(60)
        shown = capsys.readouterr()
        assert "█" in shown.err
        assert "No space left on device" in shown.err
        assert "cannot be put" not in shown.out
        it.server.control.qr({"action": "confirm"})
        await trio.sleep(20)
        assert it.link.state.phase is Phase.ONLINE


async def test_an_account_stops_when_nobody_could_ever_answer(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    for operators, places in (
        ([Terminal(tmp_path, HeldThreads())], ()),
        ([], ()),
        ([], (Place("main", "ops"),)),
    ):
        async with Outage("webqq2013", operators, places, captcha=True).run() as it:
            while it.link.state.phase is not Phase.STOPPED:
                await trio.sleep(1)  # the end of the input comes from a real thread
            assert "a person is needed" in it.link.state.cause


async def test_a_terminal_without_input_is_no_reason_to_stop_while_there_is_another_way(
    tmp_path, monkeypatch
):
    async with Outage("webqq2013", looked_at(tmp_path, monkeypatch), (), captcha=True).run() as it:
        await trio.sleep(HOUR - 100)
        assert it.link.state.phase is Phase.NEEDS_HUMAN
        (tmp_path / "answer-main.txt").write_text(list(it.state.captchas.values())[-1])
        await trio.sleep(20)
        assert it.link.state.phase is Phase.ONLINE
