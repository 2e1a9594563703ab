"""The WebQQ adapter against the simulator without sockets: days of virtual time in a second."""

import datetime
import random

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from qqops import Message, Plugin, Typing
from qqops.adapters.base import QuestionKind
from qqops.adapters.webqq.refresher import planned
from qqops.plugin.host import Candidate
from qqops.runtime.observe import Phase
from qqops.simulator.service import ServiceOptions
from qqops.testing.virtual import VirtualClock

DAY = 86_400.0


@pytest.fixture(params=["webqq2013", "smartqq"])
def profile(request):
    return request.param


async def test_a_day_with_a_fault_every_few_minutes(Rig, profile):
    rng = random.Random(3)

    async def script(rig):
        for _ in range(250):
            await trio.sleep(rng.expovariate(1 / 370))
            kind = rng.choice(
                ["close", "http", "html", "stall", "drop", "expire", "kick", "ptwebqq", "duplicate", "port"]
            )
            if kind in ("drop", "expire", "kick", "ptwebqq"):
                rig.break_(kind)
            elif kind == "port":
                rig.call("faults", fault="port", seconds=rng.uniform(1, 600))
            else:
                rig.call(
                    "faults",
                    fault=kind,
                    count=rng.randint(1, 4),
                    on=rng.choice(["poll2", "send_", "get_", "login", ""]),
                )
            rig.say()
        await rig.settled()
        rig.check()
        assert trio.current_time() > 0.9 * DAY
        assert rig.server.service.requests < 60 * 24 * 60, "no poll storm"

    rig = Rig(profile, seed=3)
    await rig.run(script)


async def test_a_quiet_day_costs_one_request_a_minute(Rig, profile):
    async def script(rig):
        await trio.sleep(DAY)
        lists_and_beats = 3 * DAY / 300 + (DAY / 60 if profile == "webqq2013" else 0)
        assert rig.server.service.requests < DAY / 60 + lists_and_beats + 60
        assert [link.phase for link in rig.links].count(Phase.ONLINE) == 1

    await Rig(profile).run(script)


async def test_a_captcha_that_is_answered_too_late_is_asked_anew(Rig):
    async def script(rig):
        rig.delay = 16 * 60.0
        await trio.sleep(20 * 60)
        assert [question.kind for question in rig.asked] == [QuestionKind.CAPTCHA] * 2
        rig.delay = 60.0
        await trio.sleep(30 * 60)
        assert [question.kind for question in rig.asked] == [QuestionKind.CAPTCHA] * 3
        assert rig.links[-1].phase is Phase.ONLINE

    await Rig("webqq2013", service=ServiceOptions(hold=60, seed=1, captcha=True)).run(script)


async def test_a_qr_code_that_nobody_scans_is_shown_again_and_again_and_nothing_else_happens(Rig):
    async def script(rig):
        await trio.sleep(DAY / 12)
        assert {link.phase for link in rig.links} <= {Phase.CONNECTING, Phase.NEEDS_HUMAN}
        shown = [question for question in rig.asked if question.kind is QuestionKind.QR]
        assert 40 < len(shown) < 70, "one about every two minutes"
        rig.call("qr", action="confirm")
        await trio.sleep(10)
        assert rig.links[-1].phase is Phase.ONLINE

    await Rig("smartqq", service=ServiceOptions(hold=60, seed=1, qr_auto=False)).run(script)


async def test_messages_that_come_twenty_minutes_late_are_handled(Rig, profile):
    async def script(rig):
        await trio.sleep(30)
        rig.call("faults", fault="late", seconds=1200)
        rig.say()
        await trio.sleep(1100)
        assert rig.handled == []
        await trio.sleep(200)
        assert rig.handled == [1]

    await Rig(profile).run(script)


@pytest.mark.parametrize(("failures", "first"), [(1, "20001"), (9, "name:Ali")])
async def test_who_could_not_be_looked_up_is_known_when_the_service_answers_again(
    Rig, profile, failures, first
):
    rig, senders = Rig(profile), []
    plugin = Plugin("senders")

    @plugin.on(Message)
    async def note(message: Message) -> None:
        user = message.sender
        senders.append((user.id, user.person.id, user.verified))

    rig.app.host.load(Candidate(name="senders", load=lambda: plugin))

    async def script(rig):
        rig.call("faults", fault="http", count=failures, on="get_friend_uin2")
        rig.say()
        await trio.sleep(60)
        await rig.settled()  # what was broken is whole again
        rig.say()
        await rig.settled()

    await rig.run(script)
    assert senders == [(first, first, first == "20001"), (first, "20001", True)], "a ref never changes"


async def test_the_planned_login_comes_at_its_hour(Rig, profile):
    clock = VirtualClock()
    begun = clock.now().astimezone()
    hour = f"{begun + datetime.timedelta(hours=2):%H:%M}"
    wait = (planned(hour, begun) - begun).total_seconds()
    assert 1.9 * 3600 < wait <= 2 * 3600

    async def script(rig):
        await trio.sleep(wait - 60)
        assert rig.state.logins_done == 1
        await trio.sleep(180)
        assert (rig.state.logins_done, rig.links[-1].phase) == (2, Phase.ONLINE)
        assert any(f"planned re-login at {hour}" in link.cause for link in rig.links)

    await Rig(profile, clock=clock, relogin_at=hour).run(script)


ACTIONS = st.sampled_from(
    ["say", "say", "say", "drop", "expire", "kick", "ptwebqq", "close", "after", "http", "stall", "html", "duplicate", "1202", "port", "wait"]
)  # fmt: skip


# The sender's look-up failed with the connection, the session expired: the message came again and was handled twice.
@example("webqq2013", [("drop", 1), ("say", 0), ("expire", 0)], 0)
# A copy of a message came when its sender could be looked up, the message itself when he could not.
@example(
    "webqq2013",
    [("drop", 1), ("stall", 0), ("say", 0), ("say", 0), ("duplicate", 0), ("close", 28)],
    0,
)
# The sender could not be looked up, the session expired, and the next one got the message again.
@example(
    "webqq2013",
    [("drop", 42), ("close", 0), ("stall", 0), ("stall", 68), ("say", 71), ("expire", 0), ("port", 15)],
    0,
)
@settings(max_examples=settings.default.max_examples * 2 // 5, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["webqq2013", "smartqq"]),
    st.lists(st.tuples(ACTIONS, st.integers(0, 90)), max_size=25),
    st.integers(0, 3),
)
def test_whatever_happens_in_whatever_order(Rig, profile, actions, seed):
    """Login and poll as a machine that the service pushes about: each message once, in order, nothing twice."""

    async def script(rig):
        for action, wait in actions:
            if action == "say":
                rig.say()
            elif action in ("drop", "expire", "kick", "ptwebqq"):
                rig.break_(action)
            elif action == "port":
                rig.call("faults", fault="port", seconds=float(wait))
            elif action == "after":
                rig.call("faults", fault="close", after=True, count=wait % 3 + 1)
            elif action == "1202":
                rig.call("faults", fault="1202", delivered=bool(wait % 2))
            elif action != "wait":
                rig.call(
                    "faults",
                    fault=action,
                    count=wait % 3 + 1,
                    on=["", "poll2", "login2", "get_", "send_"][wait % 5],
                )
            await trio.sleep(wait)
        await rig.settled()
        rig.check()

    async def main():
        await Rig(profile, seed=seed).run(script)

    trio.run(main, clock=MockClock(autojump_threshold=0))


def _typing(rig):
    state = rig.server.service.state
    (number,) = state.live
    uin = state.live[number].aliases.uin(20001)
    header = {"msg_id": 5, "from_uin": uin, "to_uin": number, "msg_id2": 6, "msg_type": 121, "reply_ip": 1}
    rig.call("inject", kind="raw", item={"poll_type": "input_notify", "value": header})


@pytest.mark.parametrize("listening", [True, False])
async def test_who_is_typing_is_who_speaks_then_and_costs_nothing_where_nobody_listens(
    Rig, profile, listening
):
    rig, seen = Rig(profile), []
    plugin = Plugin("senders")

    @plugin.on(Message)
    async def spoke(message: Message) -> None:
        seen.append(("spoke", message.sender.ref.id))

    if listening:

        @plugin.on(Typing)
        async def typed(event: Typing) -> None:
            seen.append(("typed", event.sender.ref.id))

    rig.app.host.load(Candidate(name="senders", load=lambda: plugin))

    async def script(rig):
        await trio.sleep(20)
        before = rig.server.service.requests
        _typing(rig)
        await trio.sleep(1)
        asked = rig.server.service.requests - before
        assert asked == (2 if listening else 1), "the next poll, and the look-up"
        rig.call("inject", kind="buddy", **{"from": "Ali"}, text="hello")
        await trio.sleep(1)
        assert seen == [("typed", "20001")] * listening + [("spoke", "20001")]

    await rig.run(script)
