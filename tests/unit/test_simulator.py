"""The simulator's own promises: nothing swallowed, clear refusals, worlds from files."""

import json

import pytest

from qqops.errors import ConfigError
from qqops.runtime.clock import WallClock
from qqops.simulator import pictures
from qqops.simulator.control import Control
from qqops.simulator.faults import Faults
from qqops.simulator.service import Service, ServiceOptions
from qqops.simulator.world import FIRST_ACCOUNT, add_accounts, default_world, load_world


@pytest.fixture
def control():
    return Control(Service(WallClock(), options=ServiceOptions(seed=1)))


def call(control, method, name, data=None, raw=None):
    status, body = control.handle(method, name, raw if raw is not None else json.dumps(data or {}).encode())
    return status, json.loads(body)


@pytest.mark.parametrize(
    ("method", "name", "data", "status", "reason"),
    [
        (
            "POST",
            "inject",
            {"kind": "group", "from": "Ali", "room": "nowhere", "text": "x"},
            400,
            "no room 'nowhere'",
        ),
        (
            "POST",
            "inject",
            {"kind": "group", "from": "Zed", "room": "ops", "text": "x"},
            400,
            "no person 'Zed'",
        ),
        (
            "POST",
            "inject",
            {"kind": "group", "from": "Ali", "room": "plan", "text": "x"},
            400,
            "'plan' is not a group",
        ),
        ("POST", "inject", {"kind": "what"}, 400, "kind must be"),
        ("POST", "inject", {"kind": "group", "from": "Ali", "room": "ops"}, 400, "give text, or segments"),
        ("POST", "inject", {"kind": "group", "from": True, "room": "ops", "text": "x"}, 400, "from must be"),
        ("POST", "drop", {}, 400, "is not online"),
        ("POST", "qr", {"action": "eat"}, 400, "action must be"),
        ("POST", "captcha", {"on": 1}, 400, "on must be true or false"),
        ("POST", "faults", {"fault": "fire"}, 400, "unknown fault 'fire'"),
        ("POST", "faults", {"fault": "close", "count": "x"}, 400, "count must be int"),
        ("POST", "faults", {"fault": "close", "colour": 1}, 400, "unknown key 'colour'"),
        ("GET", "drop", {}, 405, "there is no GET drop"),
        ("GET", "nothing", {}, 404, "there is no GET nothing"),
    ],
)
def test_wrong_control_calls_are_explained(control, method, name, data, status, reason):
    got, answer = call(control, method, name, data)
    assert got == status
    assert reason in answer["error"]


def test_bodies_that_are_no_json_objects(control):
    assert call(control, "POST", "drop", raw=b"{")[0] == 400
    assert call(control, "POST", "drop", raw=b"[1]")[0] == 400
    assert call(control, "POST", "drop", raw=b"[" * 100_000)[0] == 400


def test_names_and_numbers_are_both_fine(control):
    for who, room in (("ali", "ops"), (20001, 30002), ("20001", "30002")):
        status, answer = call(
            control, "POST", "inject", {"kind": "group", "from": who, "room": room, "text": "x"}
        )
        assert (status, answer["receivers"]) == (200, 1)
    assert call(control, "GET", "state")[1]["injected"] == 3


def test_faults_are_counted_and_reproducible():
    def run():
        faults = Faults()
        faults.set({"seed": 7})
        faults.set({"fault": "close", "probability": 0.5})
        return [faults.find("/x", frozenset({"close"})) is not None for _ in range(50)]

    assert run() == run()
    assert 10 < sum(run()) < 40
    faults = Faults()
    faults.set({"fault": "http", "count": 2, "on": "poll2"})
    hits = [faults.find(p, frozenset({"http"})) is not None for p in ("/login", "/poll2", "/poll2", "/poll2")]
    assert hits == [False, True, True, False]


def test_worlds_from_files(tmp_path):
    path = tmp_path / "world.toml"
    path.write_text(
        """
        [[person]]
        number = 1
        nick = "bot"
        password = "x"
        friends = [2]
        marks = { 2 = "boss" }
        [[person]]
        number = 2
        nick = "小明"
        [[group]]
        number = 9
        name = "g"
        members = [1, 2]
        """,
        "utf-8",
    )
    world = load_world(path)
    assert world.person("小明").number == 2
    assert world.people[1].marks == {2: "boss"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "not valid TOML"),
        ("[[persons]]\nnumber=1", "unknown table 'persons'"),
        ("[[person]]\nnumber=1\nnick='a'", "nobody can log in"),
        ("[[person]]\nnumber='1'\nnick='a'", "number must be int"),
        ("[[person]]\nnumber=1\nnik='a'", "unknown key 'nik'"),
        ("[[person]]\nnumber=1", "nick"),
        ("[[person]]\nnumber=1\nnick='a'\npassword='p'\nfriends=[7]", "a friend 7 who does not exist"),
        (
            "[[person]]\nnumber=1\nnick='a'\npassword='p'\n[[group]]\nnumber=2\nname='g'\nmembers=[3]",
            "member 3",
        ),
    ],
)
def test_wrong_worlds_are_explained(tmp_path, text, reason):
    path = tmp_path / "world.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_world(path)
    assert reason in str(caught.value)
    assert "world.toml" in str(caught.value)


def test_thousands_of_accounts_are_one_call():
    world = default_world()
    add_accounts(world, 3001)
    added = [world.people[FIRST_ACCOUNT + n] for n in range(3001)]
    assert [(p.nick, p.is_bot, p.friends) for p in (added[0], added[-1])] == [
        ("bot-1", True, [20001, 20002]),
        ("bot-3001", True, [20001, 20002]),
    ]
    crowds = [g for g in world.groups.values() if g.name.startswith("crowd-")]
    assert (len(crowds), max(len(g.members) for g in crowds)) == (151, 22)
    assert world.room("crowd-151").members == [FIRST_ACCOUNT + 3000, 20001, 20002]
    assert world.bots[0].nick == "qqops-bot", "the first one stays the first"


@pytest.mark.parametrize(
    ("count", "reason"), [(-1, "0 to 100000"), (100_001, "0 to 100000"), (1, "is taken")]
)
def test_accounts_that_cannot_be_added_are_explained(count, reason):
    world = default_world()
    add_accounts(world, 0 if "to" in reason else 1)
    with pytest.raises(ConfigError, match=reason):
        add_accounts(world, count)


def test_captcha_pictures_show_their_letters():
    import random

    image = pytest.importorskip("PIL.Image")
    import io

    picture = image.open(io.BytesIO(pictures.captcha("ABXZ", random.Random(1))))
    assert picture.size == (155, 65)
    assert picture.getextrema()[0] < 90


def test_a_qr_picture_is_drawn_module_by_module():
    segno = pytest.importorskip("segno")
    from qqops.cli.picture import draw_qr

    drawn = draw_qr(pictures.qr("https://example.org/x")).splitlines()
    matrix = [list(row) for row in segno.make("https://example.org/x", error="m", mask=2).matrix]
    upper = [line for line in drawn if line]
    read = []
    for line in upper:
        read.append([c in " ▄" for c in line])
        read.append([c in " ▀" for c in line])
    size = len(matrix)
    inner = [row[2 : 2 + size] for row in read[2 : 2 + size]]
    assert inner == [[bool(c) for c in row] for row in matrix]


def test_a_picture_that_is_none_is_not_drawn():
    from qqops.cli.picture import draw_qr

    assert draw_qr(b"not a picture") == ""
    assert draw_qr(pictures.png([[255] * 50 for _ in range(50)])) == ""


def hold_of(service, session):
    from qqops.simulator.state import Hold

    hold = Hold(session=session, began=service.now())
    session.hold = hold
    return hold


@pytest.fixture
def polling(control):
    """A service with one live session, and a function that opens a poll."""
    from qqops.simulator.state import Aliases, Session

    service = control._service
    session = Session(
        number=100200300, profile="webqq2013", aliases=Aliases(service.state.rng), skey="s", ptwebqq="p",
        vfwebqq="v", psessionid="x", gate=True,
    )  # fmt: skip
    service.state.sessions["x"] = session
    service.state.live[session.number] = session
    return service, session


def said(reply):
    return [item["value"]["content"][1] for item in json.loads(reply.body)["result"]]


def test_the_newest_poll_wins_and_the_older_goes_home_with_nothing(control, polling):
    service, session = polling
    old, new = hold_of(service, session), hold_of(service, session)
    control.inject({"kind": "group", "from": "Ali", "room": "ops", "text": "x"})
    assert json.loads(service.collect(old).body)["retcode"] == 102
    assert said(service.collect(new)) == ["x "]


def test_a_dead_connection_swallows_nothing_and_keeps_the_order(control, polling):
    service, session = polling
    for text in "abc":
        control.inject({"kind": "group", "from": "Ali", "room": "ops", "text": text})
    hold = hold_of(service, session)
    assert said(service.collect(hold)) == ["c ", "b ", "a "], "newest first"
    service.channel.written(hold, False)
    control.inject({"kind": "group", "from": "Ali", "room": "ops", "text": "d"})
    hold = hold_of(service, session)
    assert said(service.collect(hold)) == ["d ", "c ", "b ", "a "]
    service.channel.written(hold, True)
    assert service.collect(hold_of(service, session)) is None
    assert service.state.answered == 4


def test_an_older_session_gets_no_messages(control, polling):
    import attrs

    service, session = polling
    newer = attrs.evolve(session, psessionid="y")
    service.state.live[session.number] = newer
    control.inject({"kind": "group", "from": "Ali", "room": "ops", "text": "x"})
    assert service.collect(hold_of(service, session)) is None
    assert said(service.collect(hold_of(service, newer))) == ["x "]
