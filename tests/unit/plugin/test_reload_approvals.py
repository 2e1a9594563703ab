"""What waits for approval while its plugin is reloaded waits on; it ends, and says so, when the plugin has gone."""

from qqops import Approval, Plugin
from qqops.plugin.host import Candidate
from qqops.runtime.approvals import Judges
from qqops_essentials import plugin as essentials


class Deploys:
    def __init__(self):
        self.made = 0

    def __call__(self):
        self.made += 1
        number, plugin = self.made, Plugin("deploys")

        @plugin.command("deploy", approval=Approval(by="role:sre"))
        async def deploy() -> str:
            return f"deployed by copy {number}"

        return plugin


async def asked(bot):
    bot.app.host.load(Candidate(name="deploys", load=Deploys()))
    bot.app.refresh()
    bot.app.approvals.judges = Judges(roles_of=lambda ctx: frozenset({"sre"}))
    ops = bot.room("ops")
    await bot.user("ali", room=ops).say("/deploy")
    await ops.expect("needs 1 approval")
    return ops


async def test_a_request_is_run_by_the_new_copy_once_it_is_approved(bots):
    async with bots.run(essentials) as bot:
        ops = await asked(bot)
        assert (await bot.app.plugins.reload("deploys")).done
        await bot.user("bo", room=ops).say("/approve")
        await ops.expect("deployed by copy 2")


async def test_a_request_ends_with_its_plugin_and_says_so(bots):
    async with bots.run(essentials) as bot:
        ops = await asked(bot)
        await bot.app.plugins.unload("deploys")
        await ops.expect("cannot be approved any more, its plugin was unloaded: deploy")
        assert bot.app.approvals.open() == []
