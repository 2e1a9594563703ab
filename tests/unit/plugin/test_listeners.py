"""Every event class of the model can be listened to, with the event, the context and its room as far as there is one."""

import datetime
import inspect
import typing

import attrs
import pytest

from qqops import Ctx, Event, Message, MessageRef, PersonRef, Plugin, Refuse
from qqops.runtime.observe import Handled, Result

CLASSES = typing.get_args(Event)


def sample(kind, bot):
    """Return an event of *kind* in the room ``ops``."""
    room, user = bot.room("ops").room, bot.network.user("ali")
    of_type = {
        "Room": room, "User": user, "User | None": user, "AccountRef": bot.network.account, "str": "x", "int": 1,
        "MessageRef": MessageRef(room.ref, "m1"), "PersonRef": PersonRef(bot.network.account, "p"),
        "datetime.datetime": datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC), "bool": True,
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
        if hasattr(event, "room"):
            await bot.room("ops").expect(f"^heard {kind.__name__} of test in ops$")
        results = [r.result for r in bot.records if isinstance(r, Handled)]
        assert set(results) == {Result.DONE}


def test_the_list_of_events_is_whole():
    from qqops.model import events

    classes = {c for _, c in inspect.getmembers(events, inspect.isclass) if c.__module__ == events.__name__}
    assert classes | {Message} == set(CLASSES)
