"""What is wrong with one message, or with one look-up, costs that alone: no reconnect, no login, and no delay."""

import pytest
import trio

from qqops.model import AccountRef, Delivery, Draft, Face, Image, RoomKind, RoomRef, Text
from qqops.protocol.webqq import send
from qqops.runtime.observe import Phase
from qqops.runtime.outbox import OutboxPolicy

ME = AccountRef("webqq", "main")
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 64
#: Seconds of virtual time in which an answer counts as not delayed: less than a poll is held.
AT_ONCE = 3.0
#: The same where a look-up stalls: it is waited for once, and then no longer.
PATIENCE = 6.0


def room(number, kind=RoomKind.GROUP):
    return RoomRef(ME, kind, str(number))


class Life:
    """Somebody talks in "ops" all the time, and is answered at once."""

    def __init__(self, at, every=20.0):
        self.at, self.every, self.took = at, every, []

    async def run(self):
        while True:
            text = f"m{1000 + len(self.took)}"
            self.at.call("inject", kind="group", **{"from": "Ali"}, room="ops", text=text)
            began = trio.current_time()
            await self.at.until(lambda text=text: f"r{text[1:]}" in self.at.seen())
            self.took.append(trio.current_time() - began)
            await trio.sleep(self.every)


async def undisturbed(at, script, hours=1.0, once=AT_ONCE):
    """Do *script* while "ops" lives its life; nothing else may notice anything.

    Args:
        once: Seconds that a single answer may take.
    """
    await at.online()
    await trio.sleep(65)
    before = (at.state.logins_done, at.state.relinks_done, len(at.bot.links))
    life = Life(at)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.run)
        await trio.sleep(1)
        await script()
        await trio.sleep(hours * 3600)
        nursery.cancel_scope.cancel()
    after = (at.state.logins_done, at.state.relinks_done, len(at.bot.links))
    assert after == before, [str(link) for link in at.bot.links]
    assert at.bot.phase is Phase.ONLINE
    assert len(life.took) > 100 * hours
    *others, slowest = sorted(life.took)
    assert (others[-1] <= AT_ONCE, slowest <= once) == (True, True), (others[-5:], slowest)


def outcome_of(at, text):
    found = [one.outcome for one in at.bot.sent if one.draft.text.startswith(text)]
    assert len(found) == 1, f"{text}: {found}"
    return found[0]


def young(at):
    """Let messages wait five minutes at most, as they do by default."""
    at.bot.supervisor.outbox._policy = OutboxPolicy()
    return at


@pytest.mark.parametrize("fault", [
    {"fault": "http", "status": 502}, {"fault": "close"}, {"fault": "stall", "seconds": 100.0}, {"fault": "html"},
])  # fmt: skip
async def test_a_picture_that_cannot_be_uploaded(rig, fault):
    at = young(rig().add("webqq2013"))

    async def script():
        at.fault(**fault, on="cface_upload", probability=1.0)
        picture = Draft(room=room(30001), segments=(Text("look"), Image("x.png", content=PNG)))
        await at.bot.supervisor.outbox.send(picture)
        after = await at.bot.supervisor.outbox.send(Draft.of(room(30001), "after"))
        assert after.ok

    await at.run(lambda at: undisturbed(at, script))
    assert outcome_of(at, "look").delivery is Delivery.REFUSED
    assert "picture" in outcome_of(at, "look").reason


async def test_a_room_that_cannot_be_looked_up(rig, profile):
    at = young(rig().add(profile))

    async def script():
        at.fault("http", on="get_friend_uin2", probability=1.0)
        began = trio.current_time()
        outcome = await at.bot.supervisor.outbox.send(Draft.of(room("nobody", RoomKind.PRIVATE), "to nobody"))
        assert outcome.delivery is Delivery.REFUSED
        assert trio.current_time() - began <= 300

    await at.run(lambda at: undisturbed(at, script))


async def test_a_segment_that_cannot_be_encoded(rig, profile):
    at = young(rig().add(profile))

    async def script():
        broken = Draft(room=room(30001), segments=(Text("broken"), Face(b"14")))
        outcome = await at.bot.supervisor.outbox.send(broken)
        assert (outcome.delivery, "error in the adapter" in outcome.reason) == (Delivery.REFUSED, True)
        assert (await at.bot.supervisor.outbox.send(Draft.of(room(30001), "after"))).ok

    await at.run(lambda at: undisturbed(at, script))


async def test_a_bug_in_the_encoder(rig, profile, monkeypatch):
    at, encode = young(rig().add(profile)), send.encode

    def buggy(segments, pictures=None):
        if any(getattr(one, "text", "").startswith("boom") for one in segments):
            raise ZeroDivisionError("division by zero")
        return encode(segments, pictures)

    async def script():
        monkeypatch.setattr(send, "encode", buggy)
        for n in range(20):
            outcome = await at.bot.supervisor.outbox.send(Draft.of(room(30001), f"boom {n}"))
            assert (outcome.delivery, "ZeroDivisionError" in outcome.reason) == (Delivery.REFUSED, True)

    await at.run(lambda at: undisturbed(at, script))


@pytest.mark.parametrize("code", [108, 103, 121, 100000])
async def test_a_room_that_answers_every_send_as_if_the_session_were_over(rig, profile, code):
    at = young(rig().add(profile))

    async def script():
        at.fault("retcode", code=code, on="send_discu_msg2", probability=1.0)
        for n in range(5):
            began = trio.current_time()
            outcome = await at.bot.supervisor.outbox.send(Draft.of(room("discussion:40001"), f"lost {n}"))
            assert (outcome.delivery, outcome.reason) == (Delivery.REFUSED, f"retcode {code}")
            assert trio.current_time() - began <= (130 if n == 0 else 3)

    await at.run(lambda at: undisturbed(at, script))


@pytest.mark.parametrize("call", ["get_group_info_ext2", "get_friend_uin2", "get_discu_info"])
@pytest.mark.parametrize("fault", [
    {"fault": "retcode", "code": 100000}, {"fault": "retcode", "code": 103}, {"fault": "http"},
    {"fault": "stall", "seconds": 100.0}, {"fault": "close"},
])  # fmt: skip
async def test_a_look_up_that_fails_for_ever(rig, profile, call, fault):
    at = rig().add(profile)

    async def script():
        at.fault(**fault, on=call, probability=1.0)
        for n in range(60):
            at.call("inject", kind="discu", **{"from": "Bo"}, room="plan", text=f"m{n}")
            at.call("inject", kind="group", **{"from": "Bo"}, room="qqops-test", text=f"m{100 + n}")
            await trio.sleep(30)
        await at.until(lambda: {*range(60), *range(100, 160)} <= set(at.bot.handled))

    await at.run(lambda at: undisturbed(at, script, hours=0.1, once=PATIENCE))
