"""Every event class of the model can be listened to, with the event, the context and its room as far as there is one."""

import datetime
import inspect

import attrs
import pytest
import trio

from qqops import (
    AccountEvent,
    Ctx,
    Event,
    Message,
    MessageRef,
    Plugin,
    Refuse,
    RequestRef,
    Room,
    RoomKind,
    RoomRef,
    Text,
)
from qqops.app import AppPolicy
from qqops.model import PersonEvent, RoomEvent, events
from qqops.runtime.observe import Handled, Interrupted, Result

NOON = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)
CLASSES = [
    Message,
    *(one for _, one in inspect.getmembers(events, inspect.isclass) if one.__module__ == events.__name__),
]


def sample(kind, bot):
    """Return an event of *kind* in the room ``ops``."""
    room, user = bot.room("ops").room, bot.network.user("ali")
    of_type = {
        "Room": room, "User": user, "User | None": user, "AccountRef": bot.network.account, "str": "x", "int": 1,
        "MessageRef": MessageRef(room.ref, "m1"), "RequestRef": RequestRef(bot.network.account, "r"),
        "datetime.datetime": NOON, "bool": True,
        "tuple[Segment, ...]": (), "MessageRef | None": None,
    }  # fmt: skip
    fields = [a for a in attrs.fields(kind) if a.init and (a.default is attrs.NOTHING or a.name == "by")]
    # As they are written: what stores events resolves the types in the fields.
    written = {
        name: text for c in kind.__mro__[::-1] for name, text in vars(c).get("__annotations__", {}).items()
    }
    return kind(**{a.name: of_type[written[a.name]] for a in fields})


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
async def test_every_event_class_can_be_listened_to(bots, kind):
    plugin, heard = Plugin("ears"), []

    async def hear(event: kind, ctx: Ctx) -> str | None:
        heard.append(event)
        try:
            return f"heard {type(event).__name__} of {ctx.account.id} in {ctx.room.name}"
        except Refuse:
            return None

    async def not_reached() -> None:
        heard.append("not reached")

    plugin.on(kind)(not_reached)
    plugin.on(kind, priority=1, stop=True)(hear)
    async with bots.run(plugin) as bot:
        heard.clear()  # the account has come online
        event = sample(kind, bot)
        bot.app.dispatcher.route(event)
        await bot.settle()
        assert heard == [event]
        if event.room is not None:
            await bot.room("ops").expect(f"^heard {kind.__name__} of test in ops$")
        results = [r.result for r in bot.records if isinstance(r, Handled)]
        assert set(results) == {Result.DONE}


def ears(kind, note):
    """Return a plugin that listens to *kind*, and what it has noted."""
    plugin, heard = Plugin("ears"), []

    @plugin.on(kind)
    async def hear(event: kind) -> None:
        heard.append(note(event))

    return plugin, heard


@attrs.frozen(kw_only=True)
class Flooded(PersonEvent):
    """An event of somebody's own, as an adapter or a plugin may define it."""

    depth: float


@pytest.mark.parametrize("kind", [Flooded, PersonEvent, RoomEvent, Event])
async def test_a_listener_to_a_class_also_hears_what_is_derived_from_it(bots, kind):
    plugin, heard = ears(kind, lambda event: type(event).__name__)
    async with bots.run(plugin) as bot:
        heard.clear()
        room, user = bot.room("ops").room, bot.network.user("ali")
        bot.app.dispatcher.route(Flooded(room=room, sender=user, at=NOON, depth=1.5))
        await bot.user("ali", room=bot.room("ops")).say("hello")
        await bot.settle()
        assert heard == (["Flooded"] if kind is Flooded else ["Flooded", "Message"])


async def test_who_listens_to_accounts_hears_nothing_of_rooms(bots):
    plugin, heard = ears(AccountEvent, lambda event: type(event).__name__)
    async with bots.run(plugin) as bot:
        await bot.user("ali", room=bot.room("ops")).say("hello")
        await bot.settle()
        assert heard == ["Connected"]


async def test_every_event_that_comes_again_is_heard_once(bots):
    plugin, heard = ears(Event, lambda event: (type(event).__name__, event.id))
    async with bots.run(plugin) as bot:
        heard.clear()
        room, user = bot.room("ops").room, bot.network.user("ali")
        alone = {"account": bot.network.account, "sender": user, "at": NOON}
        told = [
            events.Joined(room=room, sender=user, at=NOON, id="7"),
            events.Left(room=room, sender=user, at=NOON, id="7"),  # a class of its own
            events.Joined(
                room=attrs.evolve(room, ref=bot.network.private("ali").ref), sender=user, at=NOON, id="7"
            ),
            events.FriendAdded(**alone, id="7"),
            events.FriendAdded(**alone, id="8"),
        ]
        for event in (*told, *told):
            bot.app.dispatcher.route(event)
        for _ in range(3):  # what has no id cannot be told from others
            bot.app.dispatcher.route(events.Poked(room=room, sender=user, at=NOON))
        await bot.settle()
        assert sorted(heard) == sorted([
            ("Joined", "7"), ("Left", "7"), ("Joined", "7"), ("FriendAdded", "7"), ("FriendAdded", "8"),
            *[("Poked", "")] * 3,
        ])  # fmt: skip


async def test_a_group_and_a_person_of_one_number_do_not_share_a_window(bots):
    plugin, heard = ears(Message, lambda event: event.room.ref.kind.value)
    async with bots.run(plugin) as bot:
        user = bot.network.user("ali")
        for kind in RoomKind:
            room = Room(ref=RoomRef(bot.network.account, kind, "5000"), name="x")
            bot.app.dispatcher.route(Message(room=room, sender=user, at=NOON, id="1", segments=(Text("hi"),)))
        await bot.settle()
        assert sorted(heard) == ["group", "private"]


async def test_events_survive_a_restart_as_messages_do(bots, tmp_path):
    plugin, began, gate = Plugin("slow"), [], trio.Event()

    @plugin.on(events.Joined)
    async def welcome(event: events.Joined) -> None:
        began.append(event.id)
        await gate.wait()

    def told(bot):
        room, user = bot.room("ops").room, bot.network.user("ali")
        for number in ("1", "2", "1"):
            bot.app.dispatcher.route(events.Joined(room=room, sender=user, at=NOON, id=number))

    async with bots.run(plugin, folder=tmp_path, policy=AppPolicy(seed=1, grace_seconds=1)) as bot:
        told(bot)
        await bot.app.journal.safe()
        with trio.fail_after(60):
            while not began:  # its start is noted by a thread
                await trio.sleep(0.01)
        await trio.testing.wait_all_tasks_blocked()
        assert began == ["1"], "what one person does in one room is handled in order"
    gate.set()
    async with bots.run(plugin, folder=tmp_path) as bot:
        await bot.app.journal.loaded.wait()  # as accounts do before they are connected
        told(bot)  # the service delivers it again
        with trio.fail_after(60):
            while not bot.app.idle():
                await trio.sleep(0.01)
        assert began == ["1", "2"]
        assert [(r.event.id, r.again) for r in bot.records if isinstance(r, Interrupted)] == [("1", False)]


async def test_two_friend_requests_do_not_wait_for_each_other(bots):
    plugin, began, gate = Plugin("slow"), [], trio.Event()

    @plugin.on(events.FriendRequest)
    async def ask(event: events.FriendRequest) -> None:
        began.append(event.sender.name)
        await gate.wait()

    async with bots.run(plugin) as bot:
        for name in ("ali", "bo"):
            request = RequestRef(bot.network.account, name)
            user = bot.network.user(name)
            bot.app.dispatcher.route(
                events.FriendRequest(
                    account=bot.network.account, sender=user, at=NOON, id=name, request=request, text=""
                )
            )
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(began) == ["ali", "bo"]
        gate.set()


async def test_an_event_without_an_id_or_with_one_that_is_no_text_is_heard_all_the_same(bots):
    plugin, heard = ears(events.Poked, lambda event: event.id)
    async with bots.run(plugin) as bot:
        room, user = bot.room("ops").room, bot.network.user("ali")
        for odd in ("", 7, None, ["a"], {"x": 1}):
            bot.app.dispatcher.route(events.Poked(room=room, sender=user, at=NOON, id=odd))
        await bot.settle()
        assert heard == ["", "7", "", "['a']", "{'x': 1}"]
