"""What plugins do to messages on their way out."""

import attrs
import pytest

from qqops import Draft, Plugin, PluginError, Rooms, Text
from qqops.runtime.observe import Sent


def make(*more):
    plugin = Plugin("demo")

    @plugin.command("say")
    async def say(text: str, *, rooms: Rooms) -> str:
        outcome = await rooms.send("lab", text)
        return f"{outcome.delivery.value} {outcome.reason}"

    for order, function in more:
        plugin.outgoing(order=order)(function)
    return plugin


def shout(draft: Draft) -> Draft:
    return attrs.evolve(draft, segments=(Text(draft.text.upper()),))


def mask(draft: Draft) -> Draft | None:
    return None if "secret" in draft.text else draft


async def test_messages_pass_in_order_and_may_be_held_back(bots):
    async with bots.run(make((2, shout), (1, mask))) as bot:
        ali, lab = bot.user("ali", room=bot.room("ops")), bot.room("lab")
        await ali.say("/say hello")
        await lab.expect("^HELLO$")
        await ali.expect("^DELIVERED $")
        await ali.say("/say secret")
        await ali.expect("^REFUSED DEMO:MASK HELD IT BACK$")
        await lab.quiet()
        held = [r for r in bot.records if isinstance(r, Sent) and not r.outcome.ok]
        assert [(r.draft.text, r.outcome.reason) for r in held] == [("secret", "demo:mask held it back")]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda draft: 1 / 0, "failed"),
        (lambda draft: "text", "returned no draft to the same room"),
        (lambda draft: attrs.evolve(draft, segments=()), "returned no draft to the same room"),
    ],
)
async def test_an_error_means_no(bots, function, reason):
    async with bots.run(make((0, lambda draft: draft if draft.text != "x" else function(draft)))) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        bot.room("lab")
        await ali.say("/say x")
        await ali.expect(f"^refused demo:<lambda> {reason}$")
        bot.app.registry.drop("demo")
        outcome = await bot.app.rooms.send("lab", "x")
        assert outcome.ok
        assert [type(one.error) for one in bot.failures] == [ZeroDivisionError] * (reason == "failed")
        bot.failures.clear()


async def waits(draft: Draft) -> Draft:
    return draft


@pytest.mark.parametrize(
    ("function", "reason"), [(waits, "must be a plain `def`"), (lambda a, b: a, "takes one parameter")]
)
async def test_what_cannot_be_a_link_is_a_load_error(bots, function, reason):
    with pytest.raises(PluginError, match=reason):
        async with bots.run(make((0, function))):
            pass
