"""Every fault of the simulator alone, and all of them in seeded mixes, against a real bot on virtual time.

The table names for each kind what is set and what must come of it; a kind without a row fails a test.
"""

import itertools
import random

import pytest
import trio

from qqops.model import plain
from qqops.runtime.observe import Phase
from qqops.simulator.faults import KINDS

LONG = "x" * 2000


async def talk(at, times=6, gap=20.0):
    for _ in range(times):
        at.say()
        await trio.sleep(gap)


def handled_once(at, missing=0):
    """All was handled once, in order in each room, and answered once where people could see it."""
    handled = at.bot.handled
    assert len(handled) == len(set(handled)) == at.said - missing
    for parity in (0, 1):
        mine = [n for n in handled if n % 2 == parity]
        assert mine == sorted(mine)
    seen = [text for text in at.seen() if text.startswith("r")]
    assert len(seen) == len(set(seen)), "nothing is answered twice"
    assert at.state.most_live == 1
    assert at.bot.phase is Phase.ONLINE


def outcomes(at):
    return dict(at.bot.outcomes())


async def on_the_way(at, **fault):
    """A fault of requests: everything is handled once in the end."""
    at.fault(**fault)
    await talk(at)
    await at.settled()
    handled_once(at)


def check_unknown(at):
    """What the bot calls unknown may have been seen; what it calls accepted was seen."""
    for text, outcome in outcomes(at).items():
        assert outcome in ("accepted", "unknown")
        if outcome == "accepted":
            assert text in at.seen()


async def play_requests(at, kind):
    for on in ("poll2", "send_", "get_", ""):
        for after in (False, True) if kind == "close" else (False,):
            await on_the_way(at, fault=kind, on=on, count=2, **({"after": True} if after else {}))
            check_unknown(at)
    for status in (403, 404, 500, 502, 504) if kind == "http" else ():
        await on_the_way(at, fault=kind, on="poll2", count=1, status=status)
        at.call("expire")
        await on_the_way(at, fault=kind, on="log", count=1, status=status)


async def play_stall(at, kind):
    await on_the_way(at, fault=kind, on="poll2", count=1)
    await on_the_way(at, fault=kind, on="send_", count=1, seconds=200)
    check_unknown(at)
    assert "unknown" in outcomes(at).values()


async def play_duplicate(at, kind):
    await on_the_way(at, fault=kind, count=6)


async def play_reorder(at, kind):
    """Where the service counts, the order is restored; elsewhere that of different seconds is."""
    at.fault(kind)
    at.fault("port", seconds=20)
    at.call("drop")
    for _ in range(10):
        at.say()
        await trio.sleep(1.1)
    await trio.sleep(60)
    await at.settled()
    handled_once(at)


async def play_lose(at, kind):
    await talk(at, 2)
    at.fault(kind, count=2)
    await talk(at, 4)
    await at.settled()
    assert at.state.lost == 2
    handled_once(at, missing=2)
    assert sorted(at.bot.handled) == [1, 2, 5, 6]


async def play_late(at, kind):
    at.fault(kind)
    await talk(at, 4)
    await trio.sleep(1000)
    assert at.bot.handled == []
    await trio.sleep(400)
    handled_once(at)


async def play_forget(at, kind):
    at.fault(kind)
    at.fault("port", seconds=200)
    at.call("drop")  # the poll that is open would still bring it
    await talk(at, 1, gap=180)
    at.say()
    await at.until(lambda: at.bot.phase is Phase.ONLINE and at.live)
    await at.until(lambda: 2 in at.bot.handled)
    assert (at.bot.handled, at.state.lost) == ([2], 1)


async def play_cut(at, kind):
    """The bot stays below the limit; one that does not is cut."""
    at.fault(kind)
    at.say(text=f"/say {LONG}", room="ops")
    await trio.sleep(30)
    assert "".join(at.seen()).replace("\u200b", "") == LONG
    assert max(len(text.encode()) for text in at.seen()) <= 720


async def play_equal(at, kind):
    """The bot marks the second of two equal messages, so that it is seen."""
    at.fault(kind)
    for _ in range(3):
        at.say(text="/say same", room="ops")
        await trio.sleep(10)
    assert [text.replace("\u200b", "") for text in at.seen()] == ["same"] * 3
    assert at.state.swallowed == 0


async def play_spam(at, kind):
    """A burst is swallowed and said to be fine: that cannot be seen from outside, and is not repeated."""
    at.fault(kind, most=5)
    await talk(at, 12, gap=0.6)
    await trio.sleep(60)
    assert set(outcomes(at).values()) == {"accepted"}
    assert len(at.seen()) + at.state.swallowed == 12
    assert at.state.swallowed >= 5
    await trio.sleep(700)
    before = len(at.seen())
    await talk(at, 1)
    assert len(at.seen()) == before + 1


async def play_new_ip(at, kind):
    at.fault(kind, seconds=300)
    at.call("expire")
    await trio.sleep(100)
    await talk(at, 2)
    at.say(kind="buddy", text="/say private")
    await trio.sleep(20)
    assert at.seen() == ["private"]
    assert at.state.swallowed == 2
    await trio.sleep(300)
    await talk(at, 1)
    assert at.seen()[-1] == f"r{at.said}"


async def play_1202(at, kind):
    for delivered in (True, False):
        at.fault(kind, delivered=delivered)
        at.say()
        await trio.sleep(30)
        assert outcomes(at)[f"r{at.said}"] == "unknown"
        assert at.seen().count(f"r{at.said}") == delivered, "and it is not sent again"
    handled_once(at)


async def play_port(at, kind):
    at.fault(kind, seconds=300)
    await talk(at, 4, gap=60)
    await at.settled()
    handled_once(at)
    causes = [link.cause for link in at.bot.links if link.phase is Phase.WAITING]
    assert any("cannot connect" in cause for cause in causes)


async def play_retcode(at, kind):
    for code, on in ((121, "poll2"), (100000, "poll2"), (103, "send_"), (100001, "get_"), (112, "login2")):
        await on_the_way(at, fault=kind, code=code, on=on)
        at.call("expire")
        await trio.sleep(100)


async def play_empty(at, kind):
    await on_the_way(at, fault=kind, count=8)


PLAYS = {
    "http": play_requests, "html": play_requests, "close": play_requests, "stall": play_stall,
    "duplicate": play_duplicate, "reorder": play_reorder, "lose": play_lose, "late": play_late,
    "forget": play_forget, "cut": play_cut, "equal": play_equal, "spam": play_spam, "new-ip": play_new_ip,
    "1202": play_1202, "port": play_port, "retcode": play_retcode, "empty": play_empty,
}  # fmt: skip


@pytest.mark.parametrize("kind", PLAYS)
async def test_a_fault_alone_has_its_outcome(rig, profile, kind):
    async def script(at):
        await at.online()
        await trio.sleep(5)
        await PLAYS[kind](at, kind)
        assert at.server.service.faults.counts.get(kind) or kind in ("port", "late", "forget", "cut", "equal")

    await rig().add(profile).run(script)


def test_every_fault_has_a_row():
    assert set(PLAYS) == set(KINDS)


async def test_lost_messages_are_gaps_in_the_numbers_of_a_group(rig):
    """The service counts what is said in a group; what gets lost on the way to a poll leaves a gap (§12.4)."""
    seqs = []

    async def script(at):
        await at.online()
        at.state.confirmed = lambda item: seqs.append(item.seq)
        for _ in range(3):
            at.say(room="ops", text="nothing to answer")
            await trio.sleep(5)
        at.fault("lose", count=2)
        for _ in range(4):
            at.say(room="ops", text="nothing to answer")
            await trio.sleep(5)
        await at.settled()
        steps = [later - earlier for earlier, later in itertools.pairwise(seqs)]
        assert steps == [1, 1, 3, 1]

    await rig().add("webqq2013").run(script)


#: What a mix is made of: kind → keys; lost and swallowed messages are known to the simulator.
MIXED = {
    "http": {"status": 502}, "html": {}, "close": {}, "stall": {"seconds": 30}, "duplicate": {}, "lose": {},
    "1202": {}, "empty": {}, "port": {}, "retcode": {"code": 0}, "late": {"seconds": 90}, "equal": {}, "cut": {},
}  # fmt: skip
CODES = (100, 101, 103, 108, 109, 112, 114, 120, 121, 122, 100000, 100002, 100006, 100012)


@pytest.mark.parametrize("seed", range(6))
async def test_all_faults_mixed_by_the_dice(rig, profile, seed):
    rng = random.Random(seed)
    lost = set()

    async def script(at):
        at.state.dropped = lambda item: lost.add(int(plain(item.segments)[1:]))
        at.call("faults", seed=seed)
        await at.online()
        for _ in range(60):
            kind = rng.choice([*MIXED, "drop", "kick", "expire", "ptwebqq"])
            if kind not in MIXED:
                if at.live is not None:
                    at.call(kind)
            elif kind == "port":
                at.fault(kind, seconds=rng.uniform(1, 90))
            else:
                more = dict(MIXED[kind])
                if kind == "retcode":
                    more["code"] = rng.choice(CODES)
                if kind in ("http", "html", "close", "stall"):
                    more["on"] = rng.choice(["poll2", "send_", "get_", "login", ""])
                if kind == "http":
                    more["status"] = rng.choice([403, 404, 500, 502, 504])
                at.fault(kind, count=rng.randint(1, 4), **more)
            at.say()
            await trio.sleep(rng.uniform(0, 90))
        await at.settled()
        # What was lost may have been the second copy of something.
        handled_once(at, missing=len(lost - set(at.bot.handled)))
        check_unknown(at)
        assert at.server.service.requests < 4000, "no storm"

    await rig(seed=seed).add(profile, seed=seed).run(script)
