"""Scenario files on virtual time: an hour of them in a moment."""

import trio

from qqops.runtime.observe import Phase
from qqops.simulator.scenario import load_scenario
from qqops.simulator.world import ACCOUNT_PASSWORD, FIRST_ACCOUNT, add_accounts, default_world

HOURLY = """
seed = 7

[[step]]
at = 60
every = 60
times = 59
fault = "retcode"
code = 121

[[step]]
at = 30
every = 60
times = 60
call = "inject"
kind = "group"
from = "Ali"
room = "ops"
text = "/say tick"

[[step]]
at = 1800
call = "expire"

[[step]]
at = 5
call = "kick"
account = "nobody"
"""


async def test_a_scenario_runs_on_virtual_time_with_a_bot(rig, profile, tmp_path):
    path = tmp_path / "hour.toml"
    path.write_text(HOURLY)

    async def script(at):
        began = trio.current_time()
        await load_scenario(path).run(at.server.control)
        assert 59 * 60 <= trio.current_time() - began <= 61 * 60
        await trio.sleep(100)
        await at.settled()
        assert [text.replace("\u200b", "") for text in at.seen()] == ["tick"] * 60
        assert at.server.service.faults.counts == {"retcode": 59}
        assert at.state.logins_done == 2
        assert at.bot.phase is Phase.ONLINE
        assert at.state.most_live == 1

    await rig().add(profile).run(script)


async def test_accounts_that_were_added_come_online(rig):
    world = default_world()
    add_accounts(world, 30)

    async def script(at):
        await at.until(lambda: at.bots[-1].phase is Phase.ONLINE)
        at.call("inject", kind="group", **{"from": "Bo"}, room="crowd-1", text="m1")
        at.call("inject", kind="group", **{"from": "Bo"}, room="crowd-2", text="m2")
        await trio.sleep(30)
        assert [bot.handled for bot in at.bots] == [[1], [1], [2]]

    at = rig(world)
    for number in (FIRST_ACCOUNT, FIRST_ACCOUNT + 19, FIRST_ACCOUNT + 29):
        assert world.people[number].password == ACCOUNT_PASSWORD
        at.add("webqq2013", number=number, seed=number)
    await at.run(script)
