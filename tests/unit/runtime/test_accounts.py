"""Actions: done by the account, refused with what is missing, or said in words where that was asked for."""

import pytest

from qqops import Accounts, Ctx, Delivery, Edit, Plugin, React, Text
from qqops.adapters.memory import EVERYTHING
from qqops.app import AppPolicy
from qqops.runtime.named_rooms import RoomSettings


def acts(action):
    """Return a plugin whose ``/act`` does *action* on the command's own message, and remembers the outcomes."""
    plugin = Plugin("acts")
    plugin.outcomes = []

    @plugin.command("act")
    async def act(ctx: Ctx, words: bool = False, *, accounts: Accounts) -> None:
        plugin.outcomes.append(await accounts.act(action(ctx.message.ref), in_words=words))

    return plugin


@pytest.mark.parametrize(
    ("action", "en", "zh"),
    [
        (lambda ref: React(message=ref, code="76"), "👍", "👍"),
        (lambda ref: React(message=ref, code="🎉"), "🎉", "🎉"),
        (lambda ref: Edit(message=ref, segments=(Text("better"),)), "(edited) better", "（已修改）better"),
    ],
)
async def test_what_the_account_cannot_do_is_said_in_the_room_if_that_is_wanted(bots, action, en, zh):
    plugin = acts(action)
    rooms = RoomSettings(languages={"zh": "zh"})
    async with bots.run(plugin, policy=AppPolicy(seed=1, rooms=rooms), can=EVERYTHING) as bot:
        for name, words in (("ops", en), ("zh", zh)):
            ali = bot.user("ali", room=bot.room(name))
            await ali.say("/act yes")
            assert await ali.expect("") == words
        assert all(outcome.ok for outcome in plugin.outcomes)


@pytest.mark.parametrize(
    ("action", "line"),
    [
        (lambda ref: React(message=ref, code="76"), "/act"),
        (lambda ref: React(message=ref, code="76", on=False), "/act yes"),
    ],
    ids=["not wanted", "nothing to say"],
)
async def test_else_it_is_refused_with_what_is_missing(bots, action, line):
    plugin = acts(action)
    async with bots.run(plugin, can=EVERYTHING) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say(line)
        await ali.room.quiet()
        [outcome] = plugin.outcomes
        assert (outcome.delivery, outcome.reason) == (Delivery.REFUSED, "memory:test cannot do React (group)")
