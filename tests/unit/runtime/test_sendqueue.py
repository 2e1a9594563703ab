"""Which part goes next, and when: the pure core of the outbox."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqops.model import AccountRef, Delivery, Draft, Later, Outcome, Pace, RoomKind, RoomRef, Scope
from qqops.runtime.entry import Entry
from qqops.runtime.sendqueue import MAX_PAUSE, MIN_PAUSE, SendQueue

ME = AccountRef("memory", "main")
OK = Outcome(delivery=Delivery.ACCEPTED)


def entry(text, parts=1, expires=math.inf):
    draft = Draft.of(RoomRef(ME, RoomKind.GROUP, text[0]), text)
    return Entry(draft, [draft] * parts, expires)


def queue(*texts, **pace):
    q = SendQueue(Pace(**pace))
    for text in texts:
        q.add(entry(text))
    return q


def taken(q, now=0.0, most=100):
    """Take what may go now; return the texts, and what the queue says then."""
    texts = []
    while isinstance(found := q.next_part(now, most), Entry):
        texts.append(found.draft.text)
        out[found.draft.text] = found
    return texts, found


out = {}


@pytest.fixture(autouse=True)
def _nothing_out():
    out.clear()


def land(q, text, now=0.0, *, flew=True, done=True):
    if flew:
        q.take_off(out[text], now)
    q.landed(out[text], now, done=done)


def test_one_of_each_room_and_rooms_in_turn():
    q = queue("a1", "a2", "a3", "b1", "c1", "b2")
    assert taken(q) == (["a1", "b1", "c1"], None)
    land(q, "b1")
    assert taken(q) == (["b2"], None)
    land(q, "a1")
    land(q, "c1")
    assert taken(q) == (["a2"], None)


def test_no_more_are_out_than_may_be():
    q = queue("a1", "b1", "c1")
    assert taken(q, most=2) == (["a1", "b1"], None)
    land(q, "a1")
    assert taken(q, most=2) == (["c1"], None)


def test_a_room_rests_and_no_other_does():
    q = queue("a1", "a2", "b1", room_gap=2.0)
    taken(q, 10.0)
    land(q, "a1", 10.0)
    assert taken(q, 11.0) == ([], 12.0)
    q.add(entry("c1"))
    assert taken(q, 11.0) == (["c1"], 12.0)
    assert taken(q, 12.0) == (["a2"], None)


def test_what_has_not_left_does_not_make_its_room_rest():
    q = queue("a1", "a2", room_gap=2.0)
    taken(q)
    land(q, "a1", flew=False)
    assert taken(q) == (["a2"], None)


def test_the_wire_is_free_for_so_many_and_after_the_gap():
    q = queue("a1", "b1", "c1", in_flight=2, gap=1.0)
    taken(q)
    assert q.wire_at(5.0) == 5.0
    q.take_off(out["a1"], 5.0)
    assert q.wire_at(5.0) == 6.0
    q.take_off(out["b1"], 6.0)
    assert q.wire_at(8.0) == math.inf
    q.landed(out["a1"], 8.0, done=True)
    assert q.wire_at(8.0) == 9.0


def test_a_message_of_two_parts_keeps_its_room_until_both_went():
    q = SendQueue(Pace())
    long = entry("a1", parts=2)
    q.add(long)
    q.add(entry("a2"))
    taken(q)
    land(q, "a1", done=False)
    assert taken(q)[0] == ["a1"]
    land(q, "a1")
    assert taken(q)[0] == ["a2"]


def test_what_has_not_left_goes_first():
    q = queue("a1", "b1", "c1")
    taken(q, most=2)
    q.put_back(out["a1"])
    assert taken(q, most=3)[0] == ["a1", "c1"]


@pytest.mark.parametrize(("seconds", "pause"), [
    (0.0, MIN_PAUSE), (0.05, MIN_PAUSE), (7.0, 7.0), (10 * 365 * 86_400.0, MAX_PAUSE),
])  # fmt: skip
def test_later_for_a_room(seconds, pause):
    q = queue("a1", "a2", "b1", "b2")
    taken(q)
    q.later(out["a1"], 0.0, seconds, Scope.ROOM)
    land(q, "b1")
    assert taken(q) == (["b2"], pause)
    assert taken(q, pause) == (["a1"], None)


@pytest.mark.parametrize(
    ("seconds", "pause"), [(0.0, MIN_PAUSE), (7.0, 7.0), (10 * 365 * 86_400.0, MAX_PAUSE)]
)
def test_later_for_the_account(seconds, pause):
    q = queue("a1", "a2", "b1", "b2")
    taken(q)
    q.later(out["a1"], 0.0, seconds, Scope.ACCOUNT)
    land(q, "b1")
    assert taken(q) == ([], pause)
    assert q.wire_at(0.0) == pause
    assert taken(q, pause)[0] == ["a1", "b2"]


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, -math.inf])
def test_later_must_say_when(seconds):
    with pytest.raises(ValueError, match="finite"):
        Later(seconds, Scope.ROOM, "some day")


def test_each_entry_has_its_own_age():
    q = SendQueue(Pace())
    for text, expires in (("a1", 30.0), ("a2", 10.0), ("b1", 20.0), ("c1", 10.0)):
        q.add(entry(text, expires=expires))
    assert q.expires_at() == 10.0
    taken(q, most=3)  # a1, b1, c1 are out
    q.take_off(out["b1"], 0.0)
    old, late = q.expire(20.0)
    assert ([one.draft.text for one in old], [one.draft.text for one in late]) == (["a2"], ["c1"])
    assert q.expires_at() == 30.0
    assert q.expire(30.0) == ([], [out["a1"]])
    assert q.expires_at() == math.inf


def test_a_room_whose_messages_are_all_too_old_is_forgotten():
    q = SendQueue(Pace(room_gap=1.0))
    for n in range(100):
        q.add(entry(f"a{n}", expires=5.0))
    assert (len(q.expire(5.0)[0]), len(q), taken(q, 6.0)) == (100, 0, ([], None))
    assert not q._rooms


def test_ages_of_what_is_over_do_not_pile_up():
    q = SendQueue(Pace())
    for n in range(10_000):
        one = entry(f"a{n}", expires=1e9)
        q.add(one)
        assert q.next_part(0.0, 1) is one
        q.landed(one, 0.0, done=True)
        one.finish(OK)
    assert len(q._ages) < 200


# -- whatever happens, in whatever order --------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "take", "take", "take off", "landed", "more", "back", "room", "account", "expire", "pass"]),
        st.sampled_from("abc"),
        st.floats(0, 20),
    ),
    min_size=30,
    max_size=80,
)  # fmt: skip


@given(STEPS, st.integers(1, 3), st.sampled_from([0.0, 1.5]), st.sampled_from([0.0, 2.0]))
def test_nothing_is_lost_or_doubled_or_out_of_order(steps, in_flight, gap, room_gap):
    q = SendQueue(Pace(in_flight=in_flight, gap=gap, room_gap=room_gap))
    now, made, gone, with_us, paused = 0.0, [], [], {}, {}
    for step, room, seconds in steps:
        mine = with_us.get(room)
        if step == "add":
            made.append(entry(f"{room}{len(made):03d}", parts=3, expires=now + 10 + seconds))
            q.add(made[-1])
        elif step == "take":
            found = q.next_part(now, in_flight + 1)
            if isinstance(found, Entry):
                key = found.draft.text[0]
                assert key not in with_us, "one part of a room at a time"
                assert paused.get(key, 0.0) <= now
                assert paused.get("", 0.0) <= now
                with_us[key] = found
                waiting = [e for e in made if e not in gone and e.draft.text[0] == key]
                assert found is waiting[0], "in the order of its room"
            elif found is not None:
                assert found > now, "it must not spin"
            assert len(with_us) <= in_flight + 1
        elif step == "take off" and mine is not None and not mine.flying and q.wire_at(now) <= now:
            q.take_off(mine, now)
            assert q.flying <= in_flight
        elif mine is not None and step in ("landed", "more", "back", "room", "account"):
            del with_us[room]
            if mine.flying and step != "account":
                paused[room] = now + room_gap if step in ("landed", "more") else paused.get(room, 0.0)
            if step == "landed":
                gone.append(mine)
                q.landed(mine, now, done=True)
                mine.finish(OK)
            elif step == "more":
                q.landed(mine, now, done=False)
            elif step == "back":
                q.put_back(mine)
            else:
                scope = Scope.ROOM if step == "room" else Scope.ACCOUNT
                q.later(mine, now, seconds, scope)
                key = room if scope is Scope.ROOM else ""
                paused[key] = max(paused.get(key, 0.0), now + max(seconds, MIN_PAUSE))
        elif step == "expire":
            old, late = q.expire(now)
            assert all(e.expires <= now for e in [*old, *late])
            assert all(e in with_us.values() for e in late)
            for one in old:
                gone.append(one)
                one.finish(OK)
        elif step == "pass":
            now += seconds
        waiting = [e for e in made if e not in gone and e not in with_us.values()]
        assert len(q) == len(waiting)
        assert set(with_us.values()) == {e for e in made if e.out}
        assert (q.out, q.flying) == (len(with_us), sum(e.flying for e in made))
    assert set(q.clear()) == {e for e in made if e not in gone and e not in with_us.values()}
    assert len(q) == 0


@given(STEPS)
def test_what_is_said_of_the_next_moment_is_true(steps):
    """Whoever waits until the moment that the queue names, and looks again, gets a part, sooner or later."""
    q = SendQueue(Pace(room_gap=3.0))
    now = 0.0
    for n, (step, room, seconds) in enumerate(steps):
        if step in ("add", "take off"):
            q.add(entry(f"{room}{n:03d}"))
        now += seconds if step == "pass" else 0.0
        found = q.next_part(now, 1)
        if isinstance(found, Entry):
            if step in ("room", "account"):
                q.later(found, now, seconds, Scope.ROOM if step == "room" else Scope.ACCOUNT)
            else:
                q.take_off(found, now)
                q.landed(found, now, done=True)
                found.finish(OK)
    left, looks = len(q), 0
    while len(q):
        looks += 1
        assert looks <= 4 * left + 4
        found = q.next_part(now, 1)
        if isinstance(found, Entry):
            q.take_off(found, now)
            q.landed(found, now, done=True)
            found.finish(OK)
        else:
            assert found is not None
            assert found > now
            now = found
