"""The fault `retcode`: each code of webqq.md §12.1 where the sheet names it, and what a real bot makes of it."""

import json

import pytest
import trio

from qqops.errors import ConfigError
from qqops.runtime.observe import Phase
from qqops.simulator.faults import Faults

#: On poll2: codes after which the session goes on, is taken up again or made anew, or the account stops.
GOES_ON = [102, 109, 110, 114, 116, 100003, 100100, 60, 112, 113, 115]
RENEWED = [100, 101, 103, 108, 120, 121, 122, 100000, 100001, 100002, 100006]
STOPS = [106, 111]


def renewals(at):
    return at.state.logins_done - 1 + at.state.relinks_done


async def play(at, fault, within=300):
    await at.online()
    await at.until(lambda: at.server.service.requests > 5)
    at.fault("retcode", **fault)
    at.say()
    await trio.sleep(within)
    at.say()
    await at.settled()
    assert at.server.service.faults.counts["retcode"] == 1
    assert sorted(at.bot.handled) == [1, 2], "nothing is lost and nothing comes twice"
    assert at.bot.phase is Phase.ONLINE


@pytest.mark.parametrize("code", GOES_ON)
async def test_a_poll_that_answers_so_changes_nothing(rig, profile, code):
    async def script(at):
        await play(at, {"code": code, "p": "a" * 64 if code == 116 else ""})
        assert renewals(at) == 0

    await rig().add(profile).run(script)


@pytest.mark.parametrize("code", RENEWED)
async def test_a_poll_that_answers_so_renews_the_session(rig, profile, code):
    async def script(at):
        await play(at, {"code": code})
        assert renewals(at) == 1

    await rig().add(profile).run(script)


@pytest.mark.parametrize("code", STOPS)
async def test_a_poll_that_answers_so_stops_the_account(rig, profile, code):
    async def script(at):
        await at.online()
        at.fault("retcode", code=code)
        await at.until(lambda: at.bot.phase is Phase.STOPPED)
        assert str(code) in at.bot.links[-1].cause

    await rig().add(profile).run(script)


@pytest.mark.parametrize(("seconds", "renewed"), [(0.0, True), (59.9, False)])
async def test_100012_goes_by_the_time_it_took(rig, seconds, renewed):
    """2016: the login has expired, at once. 2018: nothing new, after the hang (§12.1)."""

    async def script(at):
        text = "cmd[qconnect.0], errmsg[RecvTimeout], cost[59.956365374s]"
        await play(at, {"code": 100012, "retmsg": text, "seconds": seconds})
        assert (renewals(at) > 0) is renewed

    await rig().add("smartqq").run(script)


async def test_116_by_a_rule_counts_at_the_service_as_well(rig, profile):
    """Lists that come later are signed with the new value, and the service takes them."""

    async def script(at):
        await at.online()
        at.fault("retcode", code=116, p="b" * 64)
        await trio.sleep(700)
        assert at.live.ptwebqq == "b" * 64
        assert renewals(at) == 0
        assert not [link for link in at.bot.links if link.phase is Phase.WAITING]

    await rig().add(profile, refresh=300.0).run(script)


@pytest.mark.parametrize("code", [103, 108, 112, 113, 114, 115, 100000, 100001, 100002])
async def test_a_login_that_is_refused_so_is_tried_again(rig, profile, code):
    async def script(at):
        await at.online()
        assert at.server.service.faults.counts == {"retcode": 1}
        assert Phase.WAITING in [link.phase for link in at.bot.links]
        assert at.state.most_live == 1

    at = rig()
    at.fault("retcode", code=code, on="login2")
    await at.add(profile).run(script)


@pytest.mark.parametrize("code", [106, 111])
async def test_a_login_that_is_refused_so_stops_the_account(rig, profile, code):
    async def script(at):
        await at.until(lambda: at.bot.phase is Phase.STOPPED)

    at = rig()
    at.fault("retcode", code=code, on="login2")
    await at.add(profile).run(script)


@pytest.mark.parametrize("code", [103, 106, 108, 111, 112, 113, 114, 115, 100000])
async def test_a_relink_that_is_refused_so_ends_as_defined(rig, profile, code):
    async def script(at):
        await at.online()
        at.fault("retcode", code=code, on="login2")
        at.call("drop")
        await trio.sleep(300)
        stopped = code in (106, 111)
        assert at.bot.phase is (Phase.STOPPED if stopped else Phase.ONLINE)
        assert at.state.most_live == 1

    await rig().add(profile).run(script)


@pytest.mark.parametrize("on", ["get_user_friends2", "get_group_name_list_mask2", "getvfwebqq"])
@pytest.mark.parametrize("code", [6, 50, 60, 103, 108, 100000, 100001, 100002, 100100, 100101])
async def test_a_list_that_is_refused_so_does_not_keep_the_bot_offline(rig, profile, code, on):
    async def script(at):
        await at.online()
        at.say()
        await at.settled()
        assert at.bot.handled == [1]

    at = rig()
    at.fault("retcode", code=code, on=on)
    await at.add(profile).run(script)


#: Code of a send → (whether it was obeyed, outcomes that may be told of it).
SENDS = {
    1202: (True, {"unknown"}), 100003: (True, {"accepted"}), 100100: (True, {"accepted"}),
    100001: (False, {"refused"}), 103: (False, {"accepted"}), 108: (False, {"accepted"}),
    121: (False, {"accepted"}), 120: (False, {"accepted"}), 100000: (False, {"accepted"}), 114: (False, {"unknown"}),
}  # fmt: skip


@pytest.mark.parametrize("code", SENDS)
async def test_a_send_that_is_answered_so_is_told_as_it_is(rig, profile, code):
    obeyed, outcomes = SENDS[code]

    async def script(at):
        await at.online()
        at.fault("retcode", code=code, on="send_", after=obeyed)
        at.say()
        await trio.sleep(60)
        await at.settled()
        [(_, outcome)] = at.bot.outcomes()
        assert outcome in outcomes
        assert at.seen().count("r1") == (1 if obeyed or outcome == "accepted" else 0)

    await rig().add(profile).run(script)


async def test_nothing_at_once_and_again_is_a_dead_session(rig, profile):
    """`{"retcode":0,"errmsg":"error"}` once is nothing new; again and again it is a dead session (§12.1)."""

    async def script(at):
        await at.online()
        at.fault("empty")
        at.say()
        await trio.sleep(200)
        assert renewals(at) == 0
        at.fault("empty", count=40)
        await at.until(lambda: renewals(at) > 0, within=120)
        at.call("faults", clear=True)
        at.say()
        await at.settled()
        assert sorted(at.bot.handled) == [1, 2]

    await rig().add(profile).run(script)


async def test_nothing_at_once_for_ever_is_no_storm(rig, profile):
    async def script(at):
        await at.online()
        at.fault("empty", probability=1.0)
        before = at.server.service.requests
        await trio.sleep(3600)
        assert at.server.service.requests - before < 60 * 60
        at.say()
        await at.settled()
        assert at.bot.handled == [1]

    await rig().add(profile).run(script)


async def test_a_code_is_for_calls_and_not_for_pages(rig):
    async def script(at):
        await at.online()
        assert at.server.service.faults.counts == {"retcode": 1}, "login2, not the page called login"

    at = rig()
    at.fault("retcode", code=103, on="login")
    await at.add("webqq2013").run(script)


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        ({"fault": "retcode", "code": 103}, {"retcode": 103, "errmsg": ""}),
        ({"fault": "retcode", "code": 121}, {"retcode": 121, "errmsg": "", "t": "0"}),
        ({"fault": "retcode", "code": 116, "p": "x"}, {"retcode": 116, "errmsg": "", "p": "x"}),
        ({"fault": "retcode", "code": 100012, "retmsg": "y"}, {"retcode": 100012, "errmsg": "", "retmsg": "y"}),
        ({"fault": "empty"}, {"retcode": 0, "errmsg": "error"}),
    ],
)  # fmt: skip
def test_what_the_answers_look_like(rule, body):
    rule = Faults().set(rule)
    assert (rule.answer, rule.on, rule.left, rule.seconds) == (body, "poll2", 1, 0.0)
    json.dumps(rule.answer)


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ({"fault": "retcode"}, "needs a code"),
        ({"fault": "retcode", "code": "x"}, "code must be int"),
        ({"fault": "retcode", "code": 116, "p": 1}, "p must be str"),
    ],
)
def test_a_wrong_code_is_refused(rule, wrong):
    with pytest.raises(ConfigError, match=wrong):
        Faults().set(rule)
