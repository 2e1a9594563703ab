"""The test that stands in the reference passes, in both languages, and fails when the plugin is wrong."""

import re
import sys
import types

import pytest

from qqops import Accounts, Ctx, Kick, Plugin, User
from qqops.testing.virtual import run_test
from tests.contract._pages import ROOT


def door(*, puts_out=True):
    plugin = Plugin("door")

    @plugin.command("out", permission="door.out")
    async def out(ctx: Ctx, who: User, *, accounts: Accounts) -> None:
        if await ctx.confirm("sure?") and puts_out:
            await accounts.act(Kick(room=ctx.room.ref, person=who.ref))

    return plugin


def example(language, plugin):
    page = (ROOT / "docs" / language / "reference/plugin-api.md").read_text("utf-8")
    (code,) = re.findall(r"^```python\n(from qqops import Kick\n.*?)^```$", page, re.DOTALL | re.MULTILINE)
    module = types.ModuleType("qqops_door")
    module.plugin = plugin
    sys.modules["qqops_door"] = module
    try:
        names = {}
        exec(compile(code, "plugin-api.md", "exec"), names)
    finally:
        del sys.modules["qqops_door"]
    return names["test_who_is_not_welcome_is_put_out"]


@pytest.mark.trio(run=run_test)
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_example_passes(bots, language):
    await example(language, door())(bots)


@pytest.mark.trio(run=run_test)
async def test_the_example_fails_for_a_door_that_puts_nobody_out(bots):
    with pytest.raises(AssertionError, match="expected Kick within 10 s"):
        await example("en", door(puts_out=False))(bots)
