"""The outbox of a session that has many sends under way at once."""

import random

import pytest
import trio

from qqops.errors import NotSent
from qqops.model import AccountRef, Capabilities, Delivery, Draft, Outcome, Pace, RoomKind, RoomRef
from qqops.runtime.alarms import Alarms
from qqops.runtime.observe import Observers, Sent
from qqops.runtime.outbox import Outbox, OutboxPolicy

ME = AccountRef("memory", "main")


def draft(room, text):
    return Draft.of(RoomRef(ME, RoomKind.GROUP, str(room)), text)


class Wire:
    """Takes what is posted; the test says how it goes."""

    def __init__(self):
        self.posted, self.open, self.left, self.error = [], [], True, None

    def __call__(self, draft, settle):
        if self.error is not None:
            raise self.error
        self.posted.append(draft.text)
        self.open.append(settle)
        return lambda: self.left

    def answer(self, index=0, delivery=Delivery.DELIVERED):
        self.open.pop(index)(Outcome(delivery=delivery))


@pytest.fixture
def records():
    return []


@pytest.fixture
def outbox(records):
    return make(records)


def make(records, **pace):
    observers = Observers()
    observers.add(lambda record: records.append(record) if isinstance(record, Sent) else None)
    return Outbox(
        ME,
        Pace(**{"in_flight": 8, **pace}),
        lambda kind: Capabilities(),
        OutboxPolicy(),
        observers,
        Alarms(),
        rng=random.Random(1),
    )


async def started(nursery, outbox, wire):
    async def stream():
        with trio.CancelScope() as scope:
            scopes.append(scope)
            await outbox.stream(wire)

    scopes = []
    nursery.start_soon(stream)
    await trio.testing.wait_all_tasks_blocked()
    return scopes[0]


def outcomes(records):
    return [(record.draft.text, record.outcome.delivery.value) for record in records]


async def test_one_of_each_room_at_a_time(outbox, records):
    wire = Wire()
    async with trio.open_nursery() as nursery:
        await started(nursery, outbox, wire)
        for text in ("a1", "a2", "b1", "a3"):
            outbox.put(draft(text[0], text))
        assert wire.posted == ["a1", "b1"]
        wire.answer(1)
        assert wire.posted == ["a1", "b1"]
        wire.answer(0)
        assert wire.posted == ["a1", "b1", "a2"]
        wire.answer()
        wire.answer()
        assert outcomes(records) == [(t, "delivered") for t in ("b1", "a1", "a2", "a3")]
        await outbox.drain()
        nursery.cancel_scope.cancel()


async def test_at_most_so_many_at_once(records):
    outbox, wire = make(records, in_flight=3), Wire()
    async with trio.open_nursery() as nursery:
        await started(nursery, outbox, wire)
        for n in range(10):
            outbox.put(draft(n, str(n)))
        assert len(wire.posted) == 3
        wire.answer(2)
        assert len(wire.posted) == 4
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("left", "wanted"), [(True, "unknown"), (False, None)])
async def test_the_end_of_a_session_with_a_send_under_way(outbox, records, left, wanted):
    wire = Wire()
    wire.left = left
    async with trio.open_nursery() as nursery:
        scope = await started(nursery, outbox, wire)
        outbox.put(draft("a", "a1"))
        outbox.put(draft("a", "a2"))
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert [delivery for _, delivery in outcomes(records)] == ([wanted] if wanted else [])
        late, again = wire.open[0], Wire()
        await started(nursery, outbox, again)
        assert again.posted == (["a2"] if wanted else ["a1"])
        late(Outcome(delivery=Delivery.DELIVERED))
        assert len(records) == (1 if wanted else 0)
        nursery.cancel_scope.cancel()


async def test_a_wire_that_takes_nothing_keeps_it_and_is_tried_again(outbox, records):
    wire = Wire()
    wire.error = NotSent("closing")
    async with trio.open_nursery() as nursery:
        await started(nursery, outbox, wire)
        outbox.put(draft("a", "a1"))
        outbox.put(draft("b", "b1"))
        assert (wire.posted, records, len(outbox)) == ([], [], 2)
        wire.error = None
        await trio.sleep(1.1)
        assert sorted(wire.posted) == ["a1", "b1"]
        nursery.cancel_scope.cancel()


async def test_what_cannot_be_posted_is_refused_and_holds_nobody_up(outbox, records):
    wire = Wire()
    wire.error = TypeError("no JSON")
    async with trio.open_nursery() as nursery:
        await started(nursery, outbox, wire)
        entry = outbox.put(draft("a", "a1"))
        assert entry.outcome.delivery is Delivery.REFUSED
        assert "no JSON" in entry.outcome.reason
        wire.error = None
        outbox.put(draft("a", "a2"))
        assert wire.posted == ["a2"]
        nursery.cancel_scope.cancel()


async def test_a_room_rests_between_two_sends(records):
    outbox, wire = make(records, room_gap=0.5), Wire()
    async with trio.open_nursery() as nursery:
        await started(nursery, outbox, wire)
        for text in ("a1", "a2", "b1"):
            outbox.put(draft(text[0], text))
        wire.answer()
        wire.answer()
        assert wire.posted == ["a1", "b1"]
        await trio.sleep(0.4)
        assert wire.posted == ["a1", "b1"]
        await trio.sleep(0.2)
        assert wire.posted == ["a1", "b1", "a2"]
        nursery.cancel_scope.cancel()


async def test_an_account_rests_between_two_sends(records):
    outbox, wire = make(records, gap=1.0), Wire()
    async with trio.open_nursery() as nursery:
        await started(nursery, outbox, wire)
        for n in range(3):
            outbox.put(draft(n, str(n)))
        for count in (1, 2, 3):
            assert len(wire.posted) == count
            await trio.sleep(1.01)
        nursery.cancel_scope.cancel()
