"""Logging in again: what breaks on the way costs time, not a person; and what was set stays set."""

import datetime
import random
import time

import pytest
import trio
import trio.testing

from qqops.adapters.base import QuestionKind
from qqops.adapters.http.client import HttpReply
from qqops.adapters.webqq.calls import Calls
from qqops.adapters.webqq.lookups import LookUps
from qqops.adapters.webqq.refresher import planned, wait_for_hour
from qqops.adapters.webqq.sends import Sends
from qqops.model import AccountRef, Delivery, Draft, Later, RoomKind, RoomRef, SetStatus
from qqops.protocol.webqq.lists import Contact
from qqops.protocol.webqq.profile import PROFILES
from qqops.protocol.webqq.roster import Roster
from qqops.protocol.webqq.session import Session
from qqops.runtime.observe import Phase
from qqops.simulator.service import ServiceOptions
from qqops.testing.virtual import VirtualClock

ACCOUNT = AccountRef("webqq", "main")
BOT = 100200300


def scans(rig):
    return [q.kind for q in rig.asked].count(QuestionKind.QR)


HICCUPS = [
    {"fault": "http", "status": 502, "on": "pt4_auth", "count": 12},
    {"fault": "http", "status": 403, "on": "pt4_auth", "count": 2},
    {"fault": "http", "status": 404, "on": "pt4_auth", "count": 2},
    {"fault": "html", "on": "pt4_auth", "count": 2},
    {"fault": "close", "on": "pt4_auth", "count": 2},
    {"fault": "close", "after": True, "on": "pt4_auth", "count": 1},
    {"fault": "http", "status": 502, "on": "check_sig", "count": 1},
    {"fault": "http", "status": 502, "on": "getvfwebqq", "count": 3},
    {"fault": "html", "on": "getvfwebqq", "count": 1},
    {"fault": "close", "on": "getvfwebqq", "count": 1},
    {"fault": "close", "on": "login2", "count": 2},
    {"fault": "port", "seconds": 900},
]


@pytest.mark.parametrize("fault", HICCUPS, ids=lambda f: "-".join(str(v) for v in f.values()))
async def test_a_hiccup_during_the_quick_login_asks_nobody(Rig, fault):
    async def script(rig):
        await trio.sleep(60)
        assert (scans(rig), rig.links[-1].phase) == (1, Phase.ONLINE)
        rig.call("expire")
        rig.call("faults", **fault)
        await trio.sleep(7200)
        assert (scans(rig), rig.links[-1].phase) == (1, Phase.ONLINE)
        assert rig.server.service.faults.counts or fault["fault"] == "port"
        rig.say()
        await rig.settled()

    await Rig("smartqq").run(script)


async def test_a_person_is_asked_when_the_service_itself_says_no(Rig):
    async def script(rig):
        await trio.sleep(60)
        rig.server.service.options.quick = False
        rig.call("expire")
        await trio.sleep(300)
        assert (scans(rig), rig.links[-1].phase) == (2, Phase.ONLINE)

    await Rig("smartqq").run(script)


async def test_a_person_is_asked_when_the_quick_login_exists_no_more(Rig):
    async def script(rig):
        await trio.sleep(60)
        rig.call("faults", fault="http", status=404, on="pt4_auth", probability=1.0)
        rig.call("expire")
        await trio.sleep(600)
        assert (scans(rig), rig.links[-1].phase) == (2, Phase.ONLINE)

    await Rig("smartqq").run(script)


@pytest.mark.parametrize("profile", ["webqq2013", "smartqq"])
async def test_a_status_that_was_set_survives_a_new_login(Rig, profile):
    async def script(rig):
        await trio.sleep(60)
        assert (await rig.app.accounts.act(SetStatus(account=ACCOUNT, status="away"))).ok
        refused = await rig.app.accounts.act(SetStatus(account=ACCOUNT, status="nonsense"))
        assert refused.delivery is Delivery.REFUSED
        rig.call("expire")
        await trio.sleep(300)
        assert (rig.state.logins_done, rig.state.live[BOT].status) == (2, "away")

    await Rig(profile).run(script)


# -- the cipher ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "questions"), [("2013-03", 0), ("2014-06", 0), ("2015-04", 1)], ids=["md5", "md5-again", "tea"]
)
async def test_the_cipher_of_the_year_is_found_and_remembered(Rig, date, questions):
    """Only between 2014 and 2015 does the service not tell; the second try costs a captcha there, once."""

    async def script(rig):
        await trio.sleep(120)
        assert (len(rig.asked), rig.links[-1].phase) == (questions, Phase.ONLINE)
        rig.call("expire")
        await trio.sleep(300)
        assert (rig.state.logins_done, len(rig.asked)) == (2, questions)

    await Rig("webqq2013", service=ServiceOptions(hold=60, seed=1, profile=f"webqq2013@{date}")).run(script)


# -- the planned login --------------------------------------------------------------------------


@pytest.fixture
def place(monkeypatch):
    """Sets the time zone of this process."""

    def set_(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield set_
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("hour", "after", "then"),
    [
        (
            "04:30",
            "2026-03-28T20:00:00+00:00",
            "2026-03-29T02:30:00+00:00",
        ),  # the clocks went forward in between
        ("4:30", "2026-10-24T20:00:00+00:00", "2026-10-25T03:30:00+00:00"),  # … and back
        ("04:30", "2026-06-01T02:30:00+00:00", "2026-06-02T02:30:00+00:00"),  # this very moment: tomorrow
        ("04:31", "2026-06-01T02:30:00+00:00", "2026-06-01T02:31:00+00:00"),
        ("04:29", "2026-06-01T02:30:00+00:00", "2026-06-02T02:29:00+00:00"),
    ],
)
def test_the_hour_is_that_of_the_clocks_of_the_place(place, hour, after, then):
    place("Europe/Berlin")
    assert planned(hour, datetime.datetime.fromisoformat(after)) == datetime.datetime.fromisoformat(then)


def test_an_hour_that_the_clocks_leave_out_is_the_one_before_or_after(place):
    """Pythons differ in which of the two they take."""
    place("Europe/Berlin")
    found = planned("02:30", datetime.datetime.fromisoformat("2026-03-28T20:00:00+00:00"))
    assert found.astimezone(datetime.UTC).strftime("%d %H:%M") in ("29 00:30", "29 01:30")


@pytest.mark.parametrize(
    ("jump", "waited"),
    [
        (0, 20.5 * 3600),
        (20 * 3600, 1800),
        (-3 * 3600, 23.5 * 3600),
        (30 * 3600, 60),
        (-21 * 3600, 17.5 * 3600),
    ],
)
async def test_the_wall_clock_decides_also_when_it_is_set(place, jump, waited):
    """It is eight o'clock, and 04:30 is waited for; then the clock is set, or the machine was suspended."""
    place("UTC")
    clock = VirtualClock()
    began = trio.current_time()
    clock.now()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_hour, "04:30", clock)
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(jump)
    assert trio.current_time() - began == pytest.approx(waited, abs=61)


async def test_a_suspended_bot_logs_in_anew_as_soon_as_it_wakes_up(Rig):
    async def script(rig):
        await trio.sleep(60)
        rig.clock.jump(40 * 3600)
        await trio.sleep(120)
        assert (rig.state.logins_done, rig.links[-1].phase) == (2, Phase.ONLINE)
        await trio.sleep(3600)
        assert rig.state.logins_done == 2, "once"

    await Rig("webqq2013", relogin_at="04:30").run(script)


class SlowService:
    """Takes a second for each send."""

    def __init__(self):
        self.taken = []

    async def call(self, method, url, headers, body, *, deadline, idempotent, long=False):
        await trio.sleep(1)
        self.taken.append(body)
        return HttpReply(status=200, headers=(), body=b'{"retcode":0,"result":"ok"}', elapsed=1)


async def test_who_leaves_lets_the_send_under_way_finish_and_begins_no_other():
    service = SlowService()
    session = Session(profile=PROFILES["webqq2013"], rng=random.Random(1), number=100)
    roster = Roster(account=ACCOUNT, own=100, nick="bot", friends={7: Contact(7, "Ali")}, numbers={7: 20001})
    calls = Calls(ACCOUNT, {}, service, None, spread=0, deadline=5)
    sends = Sends(session, calls, LookUps(ACCOUNT, session, roster, calls), vary=True, proved=lambda at: True)
    outcomes = []

    async def send(text):
        async def on_wire():
            pass

        draft = Draft.of(RoomRef(ACCOUNT, RoomKind.PRIVATE, "20001"), text)
        outcomes.append(await sends.send(draft, on_wire))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, "one")
        await trio.testing.wait_all_tasks_blocked()
        await sends.leave()
        nursery.start_soon(send, "two")
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    one, two = outcomes
    assert (one.delivery, type(two), len(service.taken)) == (Delivery.ACCEPTED, Later, 1)
