"""Our own accounts among each other: none reacts to another, and of several in one room one answers."""

import contextlib

import attrs
import pytest
import trio

from qqops import At, Ctx, Joined, Message, PersonRef, Plugin, Text
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.app import App, AppPolicy
from qqops.errors import TransientError
from qqops.model import AccountRef
from qqops.plugin.host import Candidate
from qqops.runtime import siblings
from qqops.runtime.backoff import BackoffPolicy
from qqops.runtime.named_rooms import RoomSettings
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.siblings import PATIENCE
from qqops.runtime.storage.journal import Recovered, Unfinished
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.bots import Nobody
from qqops.testing.virtual import VirtualClock

ONE, TWO, THREE = "one", "two", "three"


class World:
    """Accounts that share the group ``ops``, and what they have said there."""

    def __init__(self, *names, policy=None):
        self.clock = VirtualClock()
        self.app = App(policy or AppPolicy(seed=1), clock=self.clock, operator=Nobody())
        self.networks = {}
        for name in names:
            account = AccountRef("memory", name)
            network = MemoryNetwork(account, self.clock, nick=f"bot-{name}", me=f"id-{name}")
            network.group("ops", "ali", "bo")
            self.networks[name] = network
            link = LinkPolicy(backoff=BackoffPolicy(first=1000.0, cap=1000.0))
            self.app.add_account(MemoryAdapter(network), link, OutboxPolicy())
        self.app.host.load(Candidate(name="plugin", load=lambda: self.plugin()))
        self.joined = []

    def plugin(self):
        plugin = Plugin("plugin")

        @plugin.command("ping")
        async def ping() -> str:
            return "pong"

        @plugin.command("ask")
        async def ask(ctx: Ctx) -> str:
            return f"got {await ctx.ask('what?')}"

        @plugin.on(Message, regex="^(?P<word>log .*)$")
        async def log(word: str) -> str:
            return word

        @plugin.on(Joined)
        async def joined(event: Joined) -> None:
            self.joined.append(event.account.id)

        return plugin

    @contextlib.asynccontextmanager
    async def run(self):
        async with trio.open_nursery() as nursery:
            stop = trio.Event()
            nursery.start_soon(self.app.run, stop)
            await trio.sleep(1)
            yield self
            stop.set()
            nursery.cancel_scope.deadline = trio.current_time() + 60

    def say(self, text, *names, who="ali", room="ops"):
        """Let somebody say it in the hearing of these accounts, in this order."""
        for name in names:
            network = self.networks[name]
            network.say(who, network.group(room) if room else network.private(who), text)

    def said(self, name=None):
        """Return what was answered: (account, text)."""
        found = [(n, draft.text) for n, network in self.networks.items() for draft in network.sent]
        return [text for n, text in found if n == name] if name else found

    async def meet(self):
        """Let everybody be heard of in the group, and forget what was answered."""
        for name in self.networks:
            self.say("log hello", name)
            await trio.sleep(0.01)
        self.forget()

    def forget(self):
        for network in self.networks.values():
            network.sent.clear()

    async def answers(self, text, *names):
        """Say *text* and return the answers."""
        self.forget()
        self.say(text, *names)
        await trio.sleep(0.01)
        return self.said()


@pytest.mark.parametrize("order", [(ONE, TWO, THREE), (THREE, TWO, ONE), (TWO, ONE, THREE)])
async def test_three_accounts_in_one_group_give_one_answer(order):
    async with World(ONE, TWO, THREE).run() as world:
        world.say("/ping", *order)
        await trio.sleep(PATIENCE + 1)
        assert len(world.said()) == 1, "whoever hears the first message: nobody knows yet who is where"
        for _ in range(3):
            assert await world.answers("/ping", *order) == [(ONE, "pong")], (
                "the first in the settings, at once"
            )
        await trio.sleep(10)
        assert world.said() == [(ONE, "pong")]


async def test_what_is_said_twice_is_answered_twice():
    async with World(ONE, TWO).run() as world:
        await world.meet()
        for _ in range(2):
            world.say("/ping", TWO)
        for _ in range(2):
            world.say("/ping", ONE)
        await trio.sleep(1)
        assert world.said(ONE) == ["pong"] * 2


async def test_the_account_that_is_set_for_the_room_answers_there():
    policy = AppPolicy(seed=1, rooms=RoomSettings(accounts={"ops": TWO}))
    async with World(ONE, TWO, policy=policy).run() as world:
        await world.meet()
        assert await world.answers("/ping", ONE, TWO) == [(TWO, "pong")]
        assert await world.answers("/ping", TWO, ONE) == [(TWO, "pong")]


@pytest.mark.parametrize("call", ["number", "name"])
async def test_the_account_that_is_addressed_answers(call):
    async with World(ONE, TWO).run() as world:
        await world.meet()
        for order in ((ONE, TWO), (TWO, ONE)):
            world.forget()
            for name in order:
                network = world.networks[name]
                at = At(PersonRef(network.account, "id-two"), "bot-two")
                text = (at, Text(" ping")) if call == "number" else "@bot-two ping"
                network.say("ali", network.group("ops"), text)
            await trio.sleep(0.01)
            assert world.said() == [(TWO, "pong")]


async def test_nobody_waits_for_an_account_that_is_not_online():
    async with World(ONE, TWO).run() as world:
        await world.meet()
        world.say("/ping", TWO)
        await trio.sleep(0.5)
        assert world.said(TWO) == [], "it holds what the other one is to hear"
        world.networks[ONE].drop(TransientError("gone"))
        await trio.sleep(0.01)
        assert world.said(TWO) == ["pong"], "and hands it on when that one has gone"
        assert await world.answers("/ping", TWO) == [(TWO, "pong")]


async def test_an_account_that_hears_nothing_is_waited_for_once_until_it_keeps_up_again(capsys):
    async with World(ONE, TWO).run() as world:
        await world.meet()
        for n in range(3):
            world.say(f"log {n}", TWO)
        await trio.sleep(PATIENCE - 0.1)
        assert world.said(TWO) == []
        await trio.sleep(0.2)
        assert world.said(TWO) == ["log 0", "log 1", "log 2"], "in order"
        assert await world.answers("log 3", TWO) == [(TWO, "log 3")], "at once now"
        assert await world.answers("log 4", TWO, ONE) in ([(ONE, "log 4")], [(TWO, "log 4")]), "it is back"
        assert await world.answers("log 5", TWO, ONE) == [(ONE, "log 5")]
        assert capsys.readouterr().out.count("hears nothing there") == 1


async def test_what_comes_late_was_handled_already():
    """An account that was away gets what the service has kept for it."""
    async with World(ONE, TWO).run() as world:
        await world.meet()
        world.networks[ONE].drop(TransientError("gone"))
        await trio.sleep(0.1)
        for n in range(5):
            world.say(f"log {n}", TWO, ONE)
            await trio.sleep(20)
        await trio.sleep(1000)
        assert world.app.supervisors[0].state.phase.value == "online"
        assert world.said(TWO) == [f"log {n}" for n in range(5)]
        assert world.said(ONE) == []


async def test_what_only_one_heard_is_handled_whoever_it_was():
    async with World(ONE, TWO, THREE).run() as world:
        await world.meet()
        world.say("log a", THREE)
        await trio.sleep(3 * PATIENCE)
        assert world.said() == [(THREE, "log a")]


async def test_an_answer_goes_to_the_account_that_has_asked():
    async with World(ONE, TWO).run() as world:
        await world.meet()
        await world.answers("@bot-two ask", ONE, TWO)
        assert await world.answers("42", ONE, TWO) == [(TWO, "got 42")]
        assert await world.answers("/ping", ONE, TWO) == [(ONE, "pong")]


async def test_none_reacts_to_another():
    async with World(ONE, TWO).run() as world:
        network = world.networks[TWO]
        network.users["twin"] = network.user("twin").__class__(
            ref=PersonRef(network.account, "id-one"), name="bot-one"
        )
        world.say("/ping", TWO, who="twin")
        world.say("/ping", TWO, who="twin", room=None)
        await trio.sleep(10)
        assert world.said() == []


async def test_what_happens_in_the_room_is_told_once_and_what_concerns_oneself_to_oneself():
    async with World(ONE, TWO).run() as world:
        await world.meet()

        def joins(name, person):
            network = world.networks[name]
            user = network.user("ali").__class__(ref=PersonRef(network.account, person), name=person)
            room = network.group("ops")
            world.app.dispatcher.route(
                Joined(room=room, sender=user, at=world.clock.now(), id=f"{name}{person}")
            )

        for person in ("dan", "eve"):
            joins(TWO, person)
            joins(ONE, person)
        await trio.sleep(5)
        assert world.joined == [ONE, ONE]
        for person in ("fay", "gus", "hal"):  # the network of the first one does not tell of it
            joins(TWO, person)
        await trio.sleep(PATIENCE + 0.1)
        assert world.joined == [ONE, ONE, TWO, TWO, TWO]
        joins(TWO, "ida")
        await trio.sleep(0.01)
        assert world.joined.pop() == TWO, "waited for once"
        assert await world.answers("/ping", TWO, ONE) == [(ONE, "pong")], "and messages are another matter"
        del world.joined[2:]
        joins(ONE, "id-one")
        joins(TWO, "id-one")
        await trio.sleep(5)
        assert world.joined == [ONE, ONE, ONE]


async def test_other_rooms_and_private_chats_are_everybodys_own():
    async with World(ONE, TWO).run() as world:
        await world.meet()
        world.say("/ping", TWO, room="other")
        world.say("/ping", TWO, room=None)
        await trio.sleep(0.01)
        assert world.said(TWO) == ["pong", "pong"]


async def test_accounts_that_meet_others_under_other_ids_have_nothing_to_do_with_each_other():
    world = World(ONE, TWO)
    for network in world.networks.values():
        network.me = ""
    async with world.run():
        assert await world.answers("/ping", ONE, TWO) == [(ONE, "pong"), (TWO, "pong")]


async def test_equal_numbers_of_two_services_are_not_the_same_account_or_room():
    async with World(ONE, TWO).run() as world:
        online = world.app.dispatcher.online
        for name in (ONE, TWO):
            online(AccountRef("memory", name), [f"bot-{name}"], "1", f"service of {name}")
        assert await world.answers("/ping", ONE, TWO) == [(ONE, "pong"), (TWO, "pong")]


async def test_what_is_held_is_not_reported_as_arrived():
    """The reader that heard it waits: should the bot be killed now, the service still has it."""
    async with World(ONE, TWO).run() as world:
        await world.meet()
        dispatcher, two = world.app.dispatcher, world.networks[TWO].account
        world.say("log a", TWO)
        await trio.sleep(0.1)
        with trio.move_on_after(0.1) as waits:
            await dispatcher.ready(two)
        assert waits.cancelled_caught
        with trio.fail_after(PATIENCE):
            await dispatcher.ready(two)
        await trio.sleep(0.01)
        assert world.said(TWO) == ["log a"]


async def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(siblings, "MAX_COPIES", 50)
    monkeypatch.setattr(siblings, "MAX_PLACES", 10)
    async with World(ONE, TWO).run() as world:
        for n in range(200):
            world.say(f"log {n}", ONE, TWO, room=f"r{n % 40}")
            await trio.sleep(0.1)
        assert len(world.said()) == 200
        of = world.app.dispatcher.siblings
        assert (len(of._order), len(of._copies), len(of._places)) == (50, 50, 10)
        assert not any(of._holding.values())


# -- what must not be lost ----------------------------------------------------------------------------


def heard(world, name, *segments, number, at_me=False):
    """Return a message of ali as *name* hears it."""
    network = world.networks[name]
    return Message(
        id=f"x{number}", room=network.group("ops"), sender=network.user("ali"), segments=segments,
        at=world.clock.now(), at_me=at_me,
    )  # fmt: skip


@pytest.mark.parametrize("call", ["number", "name"])
@pytest.mark.parametrize("later", [0.1, PATIENCE + 1])
async def test_who_is_addressed_answers_also_as_the_first_thing_and_late(call, later):
    async with World(ONE, TWO).run() as world:
        at = At(PersonRef(world.networks[TWO].account, "id-two"), "bot-two")
        said = (at, Text(" ping")) if call == "number" else (Text("@bot-two ping"),)
        for copy in [heard(world, name, *said, number="1") for name in (ONE, TWO)]:
            world.app.dispatcher.route(copy)
            await trio.sleep(later)
        await trio.sleep(10)
        assert world.said() == [(TWO, "pong")]


async def test_what_only_one_account_takes_for_addressed_is_answered_by_it():
    """A card, which the other account does not know to be a name of ours."""
    async with World(ONE, TWO).run() as world:
        await world.meet()
        at = At(PersonRef(world.networks[TWO].account, "id-two"), "card")
        world.app.dispatcher.route(heard(world, ONE, Text("@card ping"), number="1"))
        world.app.dispatcher.route(heard(world, TWO, at, Text(" ping"), number="1", at_me=True))
        await trio.sleep(10)
        assert world.said() == [(TWO, "pong")]


@pytest.mark.parametrize("person", ["known", "unverified", "by another ref"])
async def test_a_late_answer_still_reaches_the_account_that_has_asked(person):
    async with World(ONE, TWO).run() as world:
        await world.meet()
        network = world.networks[TWO]
        user = network.user("ali")
        if person == "unverified":
            network.users["ali"] = attrs.evolve(user, verified=False)
        elif person == "by another ref":
            network.users["ali"] = attrs.evolve(
                user, ref=PersonRef(network.account, "name:ali"), person=user.ref
            )
        await world.answers("@bot-two ask", ONE, TWO)
        world.forget()
        for copy in [heard(world, name, Text("42"), number="1") for name in (ONE, TWO)]:
            world.app.dispatcher.route(copy)
            await trio.sleep(PATIENCE + 1)
        assert world.said() == [(TWO, "got 42")]


async def test_a_late_answer_is_an_answer_whatever_another_account_has_made_of_it():
    async with World(ONE, TWO).run() as world:
        await world.meet()
        await world.answers("@bot-two ask", ONE, TWO)
        world.forget()
        for copy in [heard(world, name, Text("log 42"), number="1") for name in (ONE, TWO)]:
            world.app.dispatcher.route(copy)
            await trio.sleep(PATIENCE + 1)
        assert sorted(world.said()) == [(ONE, "log 42"), (TWO, "got log 42")]


async def test_two_readers_that_wait_for_each_other_lose_nothing():
    async with World(ONE, TWO).run() as world:
        for room in ("ops", "other"):
            for name in (ONE, TWO):
                world.networks[name].group("other", "ali")
                world.say("log hi", name, room=room)
                await trio.sleep(0.1)
        world.forget()

        async def read(name, *lines):
            for room, text in lines:
                world.say(text, name, room=room)
                await world.app.dispatcher.ready(world.networks[name].account)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, ONE, ("ops", "@bot-two ping"), ("other", "@bot-one ping"))
            nursery.start_soon(read, TWO, ("other", "@bot-one ping"), ("ops", "@bot-two ping"))
        await trio.sleep(5)
        assert sorted(world.said()) == [(ONE, "pong"), (TWO, "pong")]


async def test_copies_know_each_other_by_what_is_surely_the_same():
    """A mention is written by number, name or card; and who speaks is proven to one account only."""
    async with World(ONE, TWO).run() as world:
        await world.meet()
        bo = At(PersonRef(world.networks[ONE].account, "bo"), "")
        world.app.dispatcher.route(heard(world, ONE, Text("log it for "), bo, number="1"))
        world.app.dispatcher.route(heard(world, TWO, Text("log it for @Bo"), number="1"))
        network = world.networks[TWO]
        network.users["ali"] = attrs.evolve(network.user("ali"), verified=False)
        world.say("/ping", ONE, TWO)
        await trio.sleep(10)
        assert [name for name, _ in world.said()] == [ONE, ONE]


async def test_one_persons_order_is_kept_when_the_second_line_need_not_wait():
    async with World(ONE, TWO).run() as world:
        await world.meet()
        at = At(PersonRef(world.networks[TWO].account, "id-two"), "bot-two")
        world.app.dispatcher.route(heard(world, TWO, Text("log first"), number="1"))
        world.app.dispatcher.route(heard(world, TWO, at, Text(" ping"), number="2"))
        await trio.sleep(10)
        assert world.said(TWO) == ["log first", "pong"]


async def test_what_is_forgotten_while_it_is_held_is_handed_on(monkeypatch):
    monkeypatch.setattr(siblings, "MAX_COPIES", 3)
    async with World(ONE, TWO).run() as world:
        await world.meet()
        for n in range(5):
            world.say(f"log {n}", TWO)
        await trio.sleep(30)
        with trio.fail_after(1):
            await world.app.dispatcher.ready(world.networks[TWO].account)
        assert world.said(TWO) == [f"log {n}" for n in range(5)]


async def test_what_is_held_when_the_bot_stops_is_handled():
    world = World(ONE, TWO)
    async with world.run():
        await world.meet()
        world.say("log a", TWO)
        await trio.sleep(0.1)
    assert world.said() == [(TWO, "log a")]


async def test_what_an_earlier_run_has_accepted_is_not_for_another_account():
    async with World(ONE, TWO).run() as world:
        await world.meet()
        message = heard(world, ONE, Text("log a"), number="77")
        key = world.app.dispatcher._routes.match(message, ())[0].handler.key
        left = Unfinished(row=0, age=1.0, event=message, handler=key, started=False)
        world.app.dispatcher.resume(Recovered(unfinished=[left]))
        world.app.dispatcher.route(heard(world, TWO, Text("log a"), number="78"))
        await trio.sleep(10)
        assert [text for _, text in world.said()] == ["log a"]


async def test_a_number_that_an_account_has_given_up_is_a_strangers():
    async with World(ONE, TWO).run() as world:
        one, two = (world.networks[name] for name in (ONE, TWO))
        online = world.app.dispatcher.online
        online(one.account, ["bot-one"], two.user("carl").id)
        online(one.account, ["bot-one"], "id-one")
        world.say("/ping", TWO, who="carl", room=None)
        await trio.sleep(5)
        assert world.said() == [(TWO, "pong")]


async def test_a_mistyped_command_gets_one_hint():
    async with World(ONE, TWO).run() as world:
        await world.meet()
        for order in ((ONE, TWO), (TWO, ONE)):
            [(name, text)] = await world.answers("/pign", *order)
            assert name == ONE
            assert "/ping" in text
            await trio.sleep(3600)


async def test_what_sets_nothing_off_is_waited_for_by_nobody():
    async with World(ONE, TWO).run() as world:
        await world.meet()
        world.say("nice weather", TWO)
        await trio.sleep(0.01)
        assert not world.app.dispatcher.siblings._holding.get(world.networks[TWO].account)
