"""Never two live sessions of one account: what counts as two, and what does not."""

import pytest
import trio

from tests.torture.ledger import Ledger


async def test_two_clients_of_one_account_are_two_live_sessions(rig, profile):
    """The invariant can break: this is what a client that runs two sessions looks like."""

    async def script(at):
        await trio.sleep(300)
        assert at.state.most_live == 2
        ledger = Ledger()
        ledger.most_live = at.state.most_live
        assert any("2 live sessions" in problem for problem in ledger.check())

    at = rig().add(profile).add(profile, seed=2)
    await at.run(script)


@pytest.mark.parametrize("what", ["drop", "kick", "expire"])
async def test_a_session_that_takes_the_place_of_another_is_no_second_one(rig, profile, what):
    async def script(at):
        for _ in range(5):
            await at.online()
            at.call(what)
            await trio.sleep(200)
        assert at.state.logins_done + at.state.relinks_done > 5
        assert at.state.most_live == 1

    await rig().add(profile).run(script)


async def test_a_bot_that_is_killed_and_started_again_is_one(rig, profile):
    at = rig().add(profile).add(profile, seed=2)
    for bot in at.bots:
        async with trio.open_nursery() as nursery:
            await nursery.start(bot.app.run, trio.Event())
            await at.until(lambda before=at.state.logins_done: at.state.logins_done > before)
            await at.until(lambda: at.live is not None and at.live.hold is not None)
            nursery.cancel_scope.cancel()  # as good as a kill: the connections are closed
    assert at.state.logins_done == 2
    assert at.state.most_live == 1
