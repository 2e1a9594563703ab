"""Soak and torture themselves, for some seconds each, with fixed seeds: they run, they see, and they tell."""

import signal

import attrs
import pytest
import trio

from tests.torture.ledger import Ledger
from tests.torture.ordeal import Ordeal
from tests.torture.plan import Plan
from tests.torture.run import plan_of, report
from tests.torture.scene import Scene

SHORT = Plan(seed=5, minutes=0.08, profile="webqq2013", hold=1.0, idle=0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "rough"),
    [("webqq2013", True), ("smartqq", True), ("smartqq", False)],
    ids=["torture-2013", "torture", "soak"],
)
async def test_a_short_run_holds_what_must_hold(tmp_path, capsys, profile, rough):
    plan = attrs.evolve(SHORT, profile=profile, rough=rough)
    ledger = await Ordeal(plan, tmp_path).run()
    assert report(plan, ledger) == 0, capsys.readouterr().out
    shown = capsys.readouterr().out
    assert f"| 5 | {profile} | 0.08 |" in shown
    assert "all that must hold does" in shown
    assert len(ledger.confirmed) + len(ledger.lost) > 20
    assert ledger.most_live == 1
    assert ledger.lives.all[-1].done is not None, "the last process has ended in good order"
    assert (tmp_path / "trouble.log").exists()


async def test_each_way_to_end_a_process_is_seen(tmp_path):
    """A kill -9 and a SIGTERM by hand: the ledger knows both lives, and only the second has an end."""

    async def script():
        async with trio.open_nursery() as nursery:
            await at.open(nursery)
            for how in (signal.SIGKILL, signal.SIGTERM):
                await at.until_online()
                await at.end_process(how)
                await at.until_started()
            nursery.cancel_scope.cancel()

    at = Scene(SHORT, tmp_path)
    await script()
    assert [life.done is not None for life in at.ledger.lives.all][:2] == [False, True]
    assert (at.ledger.exits[-9], at.ledger.exits[0]) == (1, 1)
    assert at.ledger.lives.check() == []


def test_a_run_in_which_something_broke_says_what_and_fails(capsys):
    ledger = Ledger()
    ledger.injected[1] = ("group", "ops/Ali")
    ledger.confirmed[1] += 1
    ledger.most_live = 2
    assert report(SHORT, ledger) == 1
    shown = capsys.readouterr().out
    assert "BROKEN: delivered and never handled: [1] (1 in all)" in shown
    assert "BROKEN: 2 live sessions of one account at the same time" in shown
    assert shown.splitlines()[-1].endswith("things do not hold")


@pytest.mark.parametrize(
    "arguments", [["--minutes", "0"], ["--rate", "-1"], ["--profile", "icq"], ["--seed", "x"]]
)
def test_wrong_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        plan_of(arguments, "…", rough=True)
    assert end.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_arguments_become_a_plan(tmp_path):
    folder = tmp_path / "keep"
    plan, kept = plan_of(
        ["--seed", "9", "--minutes", "2", "--profile", "smartqq", "--folder", str(folder)], "…", rough=False
    )
    assert (plan.seed, plan.minutes, plan.profile, plan.rough, kept) == (9, 2.0, "smartqq", False, folder)
    assert folder.is_dir()


async def test_a_message_whose_answer_was_chosen_when_the_port_closed_is_not_lost(rig):
    """Both happen in one step of the scheduler: the connection dies before the first byte of the answer."""
    async with rig("webqq2013") as bot:
        await bot.until_online()
        await bot.until(lambda: any(s.hold is not None for s in bot.state.live.values()))
        bot.inject("Ali", "/say through", "ops")
        bot.server.control.call("POST", "faults", {"fault": "port", "seconds": 0.1})
        await bot.until_sent("^through$")
        assert not bot.state.flying
