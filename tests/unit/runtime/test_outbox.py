"""The outbox and a session that runs a task for each part: what becomes of a message, whatever the adapter does."""

import contextlib
import itertools
import math
import random

import pytest
import trio

from qqops.errors import NotSent, TransientError
from qqops.model import (
    AccountRef,
    Capabilities,
    Delivery,
    Draft,
    Later,
    Outcome,
    Pace,
    RoomKind,
    RoomRef,
    Scope,
)
from qqops.runtime.alarms import Alarms
from qqops.runtime.observe import Observers, Sent
from qqops.runtime.outbox import Outbox, OutboxPolicy
from qqops.runtime.storage.journal import PendingSend

ME = AccountRef("memory", "main")
OK = Outcome(delivery=Delivery.ACCEPTED)


def draft(text):
    return Draft.of(RoomRef(ME, RoomKind.GROUP, text[0]), text)


class Rig:
    """An outbox, its alarms, and sessions whose sends are written in the test."""

    def __init__(self, max_age=300.0, max_bytes=0, **pace):
        self.can = Capabilities(max_bytes=max_bytes)
        self.records, observers, self.alarms = [], Observers(), Alarms()
        observers.add(lambda record: self.records.append(record) if isinstance(record, Sent) else None)
        self.box = Outbox(
            ME,
            Pace(**pace),
            lambda kind: self.can,
            OutboxPolicy(max_age=max_age),
            observers,
            self.alarms,
            rng=random.Random(1),
        )

    @contextlib.asynccontextmanager
    async def session(self, send):
        """Hold a session until the block ends; a session that ends by itself is over, and no error here."""

        async def carry():
            with contextlib.suppress(BaseExceptionGroup):
                await self.box.carry(send)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry)
            yield
            nursery.cancel_scope.cancel()

    @contextlib.asynccontextmanager
    async def time(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.alarms.run)
            yield
            nursery.cancel_scope.cancel()

    def outcomes(self):
        return [(r.draft.text, r.outcome.delivery.value) for r in self.records]


async def well(part, on_wire):
    await on_wire()
    return OK


# -- what concerns one message ------------------------------------------------------------------------


@pytest.mark.parametrize(("error", "on_the_wire", "wanted"), [
    (TypeError("no JSON"), False, Delivery.REFUSED),
    (TypeError("no JSON"), True, Delivery.UNKNOWN),
    (ExceptionGroup("two", [ValueError("a"), KeyError("b")]), False, Delivery.REFUSED),
    (None, False, Delivery.REFUSED),
    (None, True, Delivery.UNKNOWN),
])  # fmt: skip
async def test_an_error_in_the_adapter_costs_that_message(error, on_the_wire, wanted, capsys):
    sent = []

    async def send(part, on_wire):
        if part.text != "a1":
            await on_wire()
            sent.append(part.text)
            return OK
        if on_the_wire:
            await on_wire()
        if error is not None:
            raise error
        return None  # no outcome at all

    rig = Rig()
    async with rig.time(), rig.session(send):
        first, *rest = [rig.box.put(draft(text)) for text in ("a1", "a2", "b1")]
        assert [(await one.wait()).ok for one in rest] == [True, True]
        assert first.outcome.delivery is wanted
        assert "error in the adapter" in first.outcome.reason
        assert sent == ["b1", "a2"]
    if error is not None:
        assert "Traceback" in capsys.readouterr().out


async def test_a_part_that_has_not_left_when_its_session_ends_goes_with_the_next():
    async def upload(part, on_wire):
        await trio.sleep(5)
        raise TransientError("the session is over")

    rig = Rig()
    async with rig.time():
        async with rig.session(upload):
            entry = rig.box.put(draft("a1"))
            await trio.sleep(10)
            assert entry.outcome is None
        async with rig.session(well):
            assert (await entry.wait()).ok


async def test_not_sent_means_that_it_has_not_left_whatever_was_said_before():
    async def refused(part, on_wire):
        await on_wire()
        raise NotSent("no connection")

    rig = Rig()
    async with rig.time():
        async with rig.session(refused):
            entry = rig.box.put(draft("a1"))
            await trio.sleep(1)
        async with rig.session(well):
            assert (await entry.wait()).ok


@pytest.mark.parametrize("moment", range(12))
async def test_a_session_that_is_cut_at_any_moment_leaves_nothing_in_the_dark(moment):
    """Each message is sent by this session or the next, or is unknown; never both."""
    sent = []

    async def send(part, on_wire):
        await trio.sleep(0.1)
        await on_wire()
        await trio.lowlevel.checkpoint()
        sent.append(part.text)
        await trio.sleep(0.1)
        return OK

    rig = Rig(in_flight=2)
    async with rig.time():
        async with rig.session(send):
            entries = [rig.box.put(draft(text)) for text in ("a1", "a2", "b1", "b2", "c1")]
            await trio.sleep(0.05 * moment)
            for _ in range(moment):
                await trio.lowlevel.checkpoint()
        before = list(sent)
        assert all(e.outcome.delivery is Delivery.UNKNOWN for e in entries if e.outcome and not e.outcome.ok)
        unknown = {e.draft.text for e in entries if e.outcome and not e.outcome.ok}
        async with rig.session(send):
            await rig.box.drain()
        assert len(sent) == len(set(sent))
        assert set(sent) | unknown == {"a1", "a2", "b1", "b2", "c1"}
        assert not unknown & set(sent[len(before) :])
        for room in "ab":
            assert [t for t in sent if t[0] == room] == sorted(t for t in sent if t[0] == room)


# -- later --------------------------------------------------------------------------------------------


async def test_later_holds_up_a_room_and_no_other():
    tries = []

    async def send(part, on_wire):
        await on_wire()
        tries.append((part.text, trio.current_time()))
        if part.text == "a1" and len([t for t, _ in tries if t == "a1"]) < 3:
            return Later(10, Scope.ROOM, "muted")
        return OK

    rig = Rig()
    async with rig.time(), rig.session(send):
        began = trio.current_time()
        entries = [rig.box.put(draft(text)) for text in ("a1", "a2", "b1", "c1")]
        assert all([(await one.wait()).ok for one in entries])
    assert [(text, round(at - began)) for text, at in tries] == [
        ("a1", 0), ("b1", 0), ("c1", 0), ("a1", 10), ("a1", 20), ("a2", 20),
    ]  # fmt: skip


async def test_later_for_the_account_also_holds_up_what_waits_for_the_wire():
    tries = []

    async def send(part, on_wire):
        await on_wire()
        tries.append((part.text, trio.current_time()))
        return Later(10, Scope.ACCOUNT, "too fast") if len(tries) == 1 else OK

    rig = Rig()
    async with rig.time(), rig.session(send):
        began = trio.current_time()
        entries = [rig.box.put(draft(text)) for text in ("a1", "b1")]
        assert all([(await one.wait()).ok for one in entries])
    assert [(text, round(at - began)) for text, at in tries] == [("a1", 0), ("b1", 10), ("a1", 10)]


async def test_who_is_told_later_until_it_is_too_old_hears_why():
    async def send(part, on_wire):
        return Later(86_400 * 3650, Scope.ROOM, "muted for ten years")

    rig = Rig(max_age=60)
    async with rig.time(), rig.session(send):
        began = trio.current_time()
        outcome = await rig.box.send(draft("a1"))
        assert (outcome.delivery, trio.current_time() - began) == (Delivery.REFUSED, 60)
        assert "muted for ten years" in outcome.reason


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf])
async def test_a_later_that_makes_no_sense_is_an_error_in_the_adapter(seconds):
    async def send(part, on_wire):
        return Later(seconds, Scope.ROOM, "?") if part.text == "a1" else OK

    rig = Rig()
    async with rig.time(), rig.session(send):
        first, second = [rig.box.put(draft(text)) for text in ("a1", "a2")]
        assert (await second.wait()).ok
        assert first.outcome.delivery is Delivery.REFUSED
        assert "finite" in first.outcome.reason


async def test_later_at_once_for_ever_does_not_spin():
    tries = itertools.count()

    async def send(part, on_wire):
        next(tries)
        return Later(0, Scope.ROOM, "again")

    rig = Rig(max_age=60)
    async with rig.time(), rig.session(send):
        await rig.box.send(draft("a1"))
    assert next(tries) < 700


# -- age ----------------------------------------------------------------------------------------------


async def test_a_message_is_refused_at_its_age_though_nobody_looks():
    rig = Rig(max_age=30)
    async with rig.time():
        first = rig.box.put(draft("a1"))
        await trio.sleep(10)
        second = rig.box.put(draft("a2"))
        await trio.sleep(21)
        assert (first.outcome.delivery, second.outcome) == (Delivery.REFUSED, None)
        await trio.sleep(10)
        assert rig.outcomes() == [("a1", "refused"), ("a2", "refused")]
        await rig.box.drain()


async def test_a_preparation_that_takes_too_long_is_cut_at_the_age():
    cut = []

    async def send(part, on_wire):
        try:
            await trio.sleep(1000)
        finally:
            cut.append(trio.current_time())
        return OK

    rig = Rig(max_age=30)
    async with rig.time(), rig.session(send):
        began = trio.current_time()
        outcome = await rig.box.send(draft("a1"))
        assert (outcome.delivery, cut) == (Delivery.REFUSED, [began + 30])


async def test_what_is_on_the_wire_is_waited_for_at_any_age():
    async def send(part, on_wire):
        await on_wire()
        await trio.sleep(1000)
        return OK

    rig = Rig(max_age=30)
    async with rig.time(), rig.session(send):
        assert (await rig.box.send(draft("a1"))).ok


# -- pace ---------------------------------------------------------------------------------------------


async def test_a_room_that_waits_for_a_slow_picture_stops_no_other_room():
    times = {}

    async def send(part, on_wire):
        if part.text == "a1":
            await trio.sleep(100)
        await on_wire()
        times[part.text] = trio.current_time() - began
        return OK

    rig = Rig(in_flight=1, gap=1.0)
    async with rig.time(), rig.session(send):
        began = trio.current_time()
        for text in ("a1", "a2", "b1", "c1", "b2"):
            rig.box.put(draft(text))
        await rig.box.drain()
    assert times == {"b1": 0, "c1": 1, "b2": 2, "a1": 100, "a2": 101}


async def test_what_comes_while_something_slow_is_under_way_goes_at_once():
    async def send(part, on_wire):
        if part.text == "a1":
            await trio.sleep(100)
        await on_wire()
        return OK

    rig = Rig()
    async with rig.time(), rig.session(send):
        slow, quick = rig.box.put(draft("a1")), rig.box.put(draft("b1"))
        await quick.wait()
        began = trio.current_time()
        assert (await rig.box.send(draft("c1"))).ok
        assert (slow.outcome, trio.current_time()) == (None, began)


async def test_only_so_many_are_on_the_wire():
    now, most = set(), 0

    async def send(part, on_wire):
        nonlocal most
        await on_wire()
        now.add(part.text)
        most = max(most, len(now))
        await trio.sleep(1)
        now.discard(part.text)
        return OK

    rig = Rig(in_flight=3)
    async with rig.time(), rig.session(send):
        for room in "abcdefghijklmnopqrstuvwxyz":
            rig.box.put(draft(f"{room}1"))
        await rig.box.drain()
    assert most == 3


# -- parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("results", "wanted", "reason"), [
    ((OK, OK, OK), Delivery.ACCEPTED, ""),
    ((OK, Outcome(delivery=Delivery.REFUSED, reason="muted")), Delivery.PARTIAL, "1 of 3 parts were sent; muted"),
    ((OK, OK, Outcome(delivery=Delivery.UNKNOWN, reason="cut")), Delivery.PARTIAL, "2 of 3 parts were sent; cut"),
    ((Outcome(delivery=Delivery.REFUSED, reason="muted"),), Delivery.REFUSED, "muted"),
    ((Outcome(delivery=Delivery.UNKNOWN, reason="cut"),), Delivery.UNKNOWN, "cut"),
])  # fmt: skip
async def test_a_message_of_which_a_part_went_is_partial(results, wanted, reason):
    answers = iter(results)

    async def send(part, on_wire):
        await on_wire()
        return next(answers)

    rig = Rig(max_bytes=4)
    async with rig.time(), rig.session(send):
        outcome = await rig.box.send(draft("aaaa bbbb cccc"))
    assert (outcome.delivery, outcome.reason) == (wanted, reason)
    assert [one.delivery for one in outcome.parts] == [one.delivery for one in results]


async def test_a_message_that_grows_too_old_between_two_parts_is_partial():
    async def send(part, on_wire):
        await on_wire()
        return OK if part.text == "aaaa" else Later(100, Scope.ROOM, "too fast")

    rig = Rig(max_age=30, max_bytes=4)
    async with rig.time(), rig.session(send):
        outcome = await rig.box.send(draft("aaaa bbbb"))
    assert outcome.delivery is Delivery.PARTIAL
    assert outcome.reason == "1 of 2 parts were sent; waited longer than 30 s: too fast"


async def test_limits_that_shrink_while_messages_wait_hold_from_then_on():
    rig, on_wire_at = Rig(in_flight=8), []

    async def send(part, on_wire):
        await on_wire()
        on_wire_at.append(trio.current_time() - began)
        return OK

    for room in "abc":
        rig.box.put(draft(f"{room}1"))
    rig.box.queue.pace = Pace(in_flight=1, gap=2.0)
    async with rig.time(), rig.session(send):
        began = trio.current_time()
        await rig.box.drain()
    assert on_wire_at == [0, 2, 4]


@pytest.mark.parametrize(("done", "flying", "wanted"), [
    (0, False, Delivery.REFUSED), (1, False, Delivery.PARTIAL), (0, True, Delivery.UNKNOWN), (1, True, Delivery.PARTIAL),
    (3, False, Delivery.ACCEPTED),
])  # fmt: skip
async def test_rows_of_an_account_that_is_closed_are_reported_and_cost_no_time(done, flying, wanted):
    rig = Rig(max_bytes=4)
    rig.box.close("the account is stopped: banned")
    rig.box.resume(
        PendingSend(
            row=0, draft=draft("aaaa bbbb cccc"), plugin="", message="", age=1, done=done, flying=flying
        )
    )
    assert [r.outcome.delivery for r in rig.records] == [wanted]
    began = trio.current_time()
    await rig.box.drain()
    assert trio.current_time() == began
