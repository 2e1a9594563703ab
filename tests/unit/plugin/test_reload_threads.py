"""Threads of an old copy that hang take no places from the new one."""

import threading

from qqops import Plugin
from qqops.app import AppPolicy
from qqops.plugin.host import Candidate
from qqops.runtime.dispatch import DispatchPolicy


async def test_a_plugin_whose_threads_all_hang_is_cured_by_a_reload(bots):
    may_end, began, made, gave_way = threading.Event(), threading.Event(), [], []

    def make():
        made.append(None)
        number, plugin = len(made), Plugin("stuck")

        @plugin.command("which")
        def which() -> str:
            if number == 1:
                began.set()
                gave_way.append(not may_end.wait(3))
            return f"copy {number}"

        return plugin

    async with bots.run(policy=AppPolicy(dispatch=DispatchPolicy(threads=1))) as bot:
        bot.app.host.load(Candidate(name="stuck", load=make))
        bot.app.refresh()
        ali = bot.user("ali")
        await ali.say("/which")
        assert began.wait(5)
        change = await bot.app.plugins.reload("stuck")
        assert len(change.left) == 1
        await ali.say("/which")
        try:
            await ali.expect("copy 2")
            assert gave_way == []
        finally:
            may_end.set()
