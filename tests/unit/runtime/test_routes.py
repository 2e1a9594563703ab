"""Which command a line means: near names, invisible characters, several plugins, no spaces, rooms, aliases, priorities."""

import datetime
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqops import (
    AccountRef,
    Alias,
    Aliases,
    At,
    Context,
    Ctx,
    Image,
    Joined,
    Json,
    Message,
    PersonRef,
    Plugin,
    Refuse,
    Rest,
    Room,
    RoomKind,
    RoomRef,
    Text,
    User,
)
from qqops.app import AppPolicy
from qqops.plugin.host import Candidate, Host, PluginState
from qqops.protocol import words
from qqops.protocol.words import INVISIBLE, MAX_WORDS, Piece, split
from qqops.runtime.compiling import compile_routes
from qqops.runtime.hints import Hints
from qqops.runtime.named_rooms import NamedRooms, RoomSettings
from qqops.runtime.observe import Handled
from qqops.runtime.registry import Registry
from qqops.runtime.storage.keep import MemoryKeep
from qqops.texts import load


def make(name, *commands, **more):
    """A plugin whose commands say whose and which they are."""
    plugin = Plugin(name)
    for command in commands:
        plugin.command(command, inline=True, **more)(_answer(f"{name} {command}"))
    return plugin


def _answer(text):
    def say(rest: Rest | None = None) -> str:
        return f"{text}: {rest}"

    return say


# -- did you mean -------------------------------------------------------------------------------------


async def test_a_near_name_is_offered_once_in_a_while(bots):
    async with bots.run(make("demo", "deploy", "天气", "ls")) as bot:
        ops, lab = bot.room("ops"), bot.room("lab")
        ali = bot.user("ali", room=ops)
        bot.user("ali", room=lab)
        await ali.say("/delpoy api")
        await ops.expect(r"^there is no command 'delpoy'; did you mean /deploy\?$")
        await ali.say("/deploi api")
        await ops.quiet(4)
        await ali.say("/depoy", room=lab)
        await lab.expect("did you mean /deploy")
        await bot.advance(10)
        await ali.say("／天汽 北京")
        await ops.expect("did you mean /天气")


@pytest.mark.parametrize(
    "line", ["/nothing like it", "/", "/ deploy", "/xs", "delpoy api", "qqops-bot: delpoy", '/"delpoy"', "//delpoy", "/" + "x" * 5000]
)  # fmt: skip
async def test_no_hint_where_nobody_clearly_meant_a_command(bots, line):
    async with bots.run(make("demo", "deploy", "ls")) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say(line)
        await ali.room.quiet()
        assert not [r for r in bot.records if isinstance(r, Handled)]


async def test_what_somebody_may_not_know_of_is_not_offered(bots):
    async with bots.run(make("demo", "deploy")) as bot:
        bot.app.registry.visible = lambda ctx, handler: ctx.sender.name == "boss"
        ops = bot.room("ops")
        await bot.user("ali", room=ops).say("/delpoy")
        await ops.quiet(11)
        await bot.user("boss", room=ops).say("/delpoy")
        await ops.expect("did you mean")
        bot.app.registry.visible = lambda ctx, handler: 1 / 0
        await bot.advance(11)
        await bot.user("boss", room=ops).say("/delpoy")
        await ops.quiet()


# -- strange characters -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("\u200b/deploy a\u200bb", "demo deploy: a\u200bb"),
        ("/\u202edeploy x", "demo deploy: x"),
        ("/de\u200bploy x", "demo deploy: x"),
        ("／ｄｅｐｌｏｙ ｘ", "demo deploy: ｘ"),
        ("qqops-bot: \u200edeploy x", "demo deploy: x"),
    ],
)
async def test_invisible_and_full_width_characters_in_names_do_no_harm_and_stay_in_the_rest(
    bots, line, answer
):
    async with bots.run(make("demo", "deploy")) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say(line)
        assert await ali.expect("") == answer


async def test_numbers_and_options_with_marks_that_phones_add(bots):
    plugin = Plugin("demo")

    @plugin.command("call")
    async def call(number: int, *, to: str = "") -> str:
        return f"{number} {to}"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        for line in (
            "/call \u202d12345\u202c --to bo",
            "/call １２３４５ －－ｔｏ＝bo",
            "/call 12345 --\u200bto=bo",
        ):
            await ali.say(line)
            assert await ali.expect("") == "12345 bo"


# -- long and broken lines ----------------------------------------------------------------------------


def work(call):
    """Return how many lines of Python and calls into C it takes to run *call*."""
    steps = 0

    def trace(frame, event, arg):
        nonlocal steps
        steps += event == "line"
        return trace

    def profile(frame, event, arg):
        nonlocal steps
        steps += event == "c_call"

    sys.setprofile(profile)
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
        sys.setprofile(None)
    return steps


class Counted(str):
    """A line that counts how many characters are searched for closing quotes."""

    searched = 0

    def find(self, part, start=0):
        found = super().find(part, start)
        self.searched += (found if found >= 0 else len(self)) - start
        return found


@pytest.mark.parametrize(
    "line",
    ["w " * 10_000, "“w " * 10_000, "\"w " * 10_000, "'“「『" * 10_000, "=“" * 10_000, "w" * 100_000, "“" + "w" * 100_000],
    ids=["words", "open quotes", "straight quotes", "many kinds", "after signs", "one word", "one open quote"],
)  # fmt: skip
def test_splitting_takes_bounded_work(line):
    counted = Counted(line)
    assert work(lambda: split(counted)) < 30 * MAX_WORDS + 10 * len(line)
    assert counted.searched <= (1 + len(words.QUOTES)) * len(line)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "/add " + "1 " * 10_000,
            r"^that is more than 1000 words; nothing was done\nusage: /add \[numbers …\]$",
        ),
        ("/add " + "1 " * 1001, "^that is more than 1000 words"),
        ("/add " + "1 " * 1000, "^1000$"),
        ("/two “a b c", r"^the quote at '“a' is never closed\n/two »“a« b c\nusage"),
        ("/two a b 'c", r"^the quote at \"'c\" is never closed"),
        ("/two 'tis fine", "^'tis fine$"),
        ("/two a b " + "c" * 5000, "I do not know what to do with 'c{64}…'\n/two a b »c{80}…«\nusage"),
    ],
)
async def test_long_and_broken_lines_are_refused_clearly(bots, line, reason):
    plugin = Plugin("demo")

    @plugin.command("add")
    async def add(*numbers: int) -> str:
        return str(sum(numbers))

    @plugin.command("two")
    async def two(a: str, b: str) -> str:
        return f"{a} {b}"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say(line)
        assert len(await ali.expect(reason)) < 400


async def test_the_rest_of_a_line_may_be_as_long_as_it_likes(bots):
    async with bots.run(make("demo", "paste")) as bot:
        ali = bot.user("ali")
        await ali.say("/paste " + "w " * 10_000)
        assert (await ali.expect("")).count("w") == 10_000


def test_pieces_are_words_of_their_own():
    line = "look[image]at @Big Bob “here @x”now"
    pieces = [Piece(line.index(t), line.index(t) + len(t), t) for t in ("[image]", "@Big Bob", "@x")]
    assert [(w.text, w.piece) for w in split(line, 0, pieces)] == [
        ("look", None), ("[image]", "[image]"), ("at", None), ("@Big Bob", "@Big Bob"), ("here @xnow", None),
    ]  # fmt: skip


# -- several plugins ----------------------------------------------------------------------------------


async def test_two_plugins_with_one_command_are_both_reachable(bots):
    async with bots.run(
        make("aa", "status", "flag set"), make("bb", "status", "flag set", "flag get")
    ) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        for line, answer in [
            ("/status x", "aa status: x"),
            ("/aa:status x", "aa status: x"),
            ("/bb:status x", "bb status: x"),
            ("/BB：status x", "bb status: x"),
            ("/flag set", "aa flag set: None"),
            ("/bb:flag set", "bb flag set: None"),
            ("/flag get", "bb flag get: None"),
        ]:
            await ali.say(line)
            assert await ali.expect("") == answer
        for line in ("/cc:status", "/bb:nothing", "/bb:"):
            await ali.say(line)
        await ali.room.quiet()
        report = bot.app.host.reports["bb"]
        assert report.state is PluginState.LOADED
        assert report.notes == (
            "the command 'status' is that of 'aa'; the other one is bb:status",
            "the command 'flag set' is that of 'aa'; the other one is bb:flag set",
        )


async def test_the_owner_picks_the_winner(bots):
    policy = AppPolicy(commands={"status": "bb", "flag  SET": "bb", "gone": "bb"})
    async with bots.run(
        make("aa", "status", "flag set"), make("bb", "status", "flag set"), policy=policy
    ) as bot:
        ali = bot.user("ali")
        for line, answer in [
            ("/status", "bb status: None"),
            ("/flag set", "bb flag set: None"),
            ("/aa:status", "aa status: None"),
        ]:
            await ali.say(line)
            assert await ali.expect("") == answer
        assert (
            bot.app.host.reports["bb"].notes[0]
            == "the command 'status' is that of 'bb'; the other one is aa:status"
        )
        assert bot.app.registry.unowned() == ["gone"]
        bot.app.registry.drop("bb")
        bot.app.dispatcher.refresh()
        await ali.say("/status")
        await ali.expect("^aa status")


async def test_groups_of_any_depth(bots):
    plugin = Plugin("deep")
    group = plugin.group("a").group("b").group("c d").group("e").group("f").group("g").group("h")
    group.command("i")(_answer("bottom"))
    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/a b c d e f g h i now then")
        await ali.expect("^bottom: now then$")
        await ali.say("/a b c")
        await ali.expect("^c needs one of: d")
        bot.app.registry.visible = lambda ctx, handler: False
        await ali.say("/a b c")
        await ali.room.quiet()


# -- no spaces ----------------------------------------------------------------------------------------


async def test_chinese_names_without_a_space(bots):
    plugin = make("demo", "天气", "天气预报", no_space=True)
    plugin.command("天文", inline=True)(_answer("stars"))
    plugin.command("weather", aliases=("气温",), no_space=True, inline=True)(_answer("degrees"))
    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        for line, answer in [
            ("/天气北京", "demo 天气: 北京"),
            ("/天气 北京", "demo 天气: 北京"),
            ("/天气预报北京 明天", "demo 天气预报: 北京 明天"),
            ("qqops-bot: 天气北京", "demo 天气: 北京"),
            ("/气温上海", "degrees: 上海"),
            ("/天文 x", "stars: x"),
        ]:
            await ali.say(line)
            assert await ali.expect("") == answer
        for line in ("天气北京", "/天文台学", "/weather北京", "今天天气好"):
            await ali.say(line)
        await ali.room.quiet()


# -- prefixes of rooms --------------------------------------------------------------------------------


async def test_prefixes_of_a_room(bots):
    rooms = RoomSettings(prefixes={"lab": ("!", "!!"), "g-dev": ("bot ",)})
    plugin = make("demo", "ping")

    @plugin.command("add")
    async def add(a: int) -> str:
        return str(a)

    async with bots.run(plugin, policy=AppPolicy(rooms=rooms)) as bot:
        for room, yes, no in [
            ("lab", ("!ping", "!!ping", "qqops-bot ping", "@qqops-bot !ping"), ("/ping", "bot ping")),
            ("dev", ("bot ping", "qqops-bot: ping"), ("/ping", "!ping")),
            ("ops", ("/ping", "／ping"), ("!ping", "bot ping")),
        ]:
            ali = bot.user("ali", room=bot.room(room))
            for line in yes:
                await ali.say(line)
                await ali.expect("^demo ping: None$")
            for line in no:
                assert bot.app.dispatcher.route(bot.network.say("ali", ali.room.room, line)) == []
        ali = bot.user("ali", room=bot.room("lab"))
        await ali.say("!add x")
        await ali.expect("usage: !add <a>|usage: !!add <a>")
        bot.network.say(
            "ali", ali.room.room, (At(bot.network.user("b").ref, bot.network.nick), Text(" ping"))
        )
        await ali.expect("^demo ping: None$")


# -- aliases ------------------------------------------------------------------------------------------


async def test_an_alias_is_another_way_to_type_a_line(bots):
    plugin = make("demo", "deploy", "flag set")

    @plugin.command("show")
    async def show(text: str, picture: Image) -> str:
        return f"{text} {picture.id}"

    async with bots.run(plugin) as bot:
        ops, lab = bot.room("ops"), bot.room("lab")
        aliases = bot.app.aliases
        for alias in [
            Alias("d", "deploy api --env prod", ops.room.ref),
            Alias("D2", "d twice", ops.room.ref),
            Alias("dark", "flag set dark"),
            Alias("看", "show it"),
        ]:
            assert aliases.add(alias) == ""
        ali = bot.user("ali", room=ops)
        for line, answer in [
            ("/d now  then", "demo deploy: api --env prod now  then"),
            ("/d2", "demo deploy: api --env prod twice"),
            ("/dark on", "demo flag set: dark on"),
            ("qqops-bot: D", "demo deploy: api --env prod"),
        ]:
            await ali.say(line)
            assert await ali.expect("") == answer
        bot.network.say("ali", ops.room, (Text("/看"), Image("cat.png")))
        await ops.expect("^it cat.png$")
        await bot.user("ali", room=lab).say("/d")
        await lab.quiet()


async def test_loops_of_aliases_are_refused_when_they_are_made_and_when_they_run(bots):
    async with bots.run(make("demo", "deploy")) as bot:
        aliases, ali = bot.app.aliases, bot.user("ali")
        assert aliases.add(Alias("b", "c x")) == "nowhere"
        assert aliases.add(Alias("c", "deploy")) == ""
        assert aliases.add(Alias("b", "c x")) == ""
        assert aliases.add(Alias("a", "b x")) == ""
        assert aliases.add(Alias("c", "A x")) == "loop"
        assert aliases.add(Alias("me", "me again")) == "loop"
        aliases.load([Alias("c", "a x")])
        await ali.say("/a")
        await ali.expect("^the alias '.' leads to itself, or too far$")


def test_what_an_alias_may_not_be():
    keep = MemoryKeep()
    aliases = Aliases(keep)
    aliases.is_command = lambda word: word == "deploy"
    assert aliases.add(Alias("two words", "deploy")) == "name"
    assert aliases.add(Alias("a:b", "deploy")) == "name"
    assert aliases.add(Alias("x" * 33, "deploy")) == "name"
    assert aliases.add(Alias('"', "deploy")) == ""
    assert aliases.add(Alias("x", " ")) == "line"
    assert aliases.add(Alias("DEPLOY", "x")) == "taken"
    for i in range(200):
        aliases.add(Alias(f"n{i}", "deploy"))
    assert aliases.add(Alias("more", "deploy")) == "many"
    assert aliases.add(Alias("n5", "deploy again")) == ""
    assert aliases.find(None, "N5") == "deploy again"
    assert aliases.remove(None, "n5") is not None
    assert aliases.remove(None, "n5") is None
    again = Aliases(keep)
    again.restore()
    assert [again.find(None, name) for name in ('"', "n4", "n5")] == ["deploy", "deploy", None]


async def test_an_alias_that_would_never_be_found_is_refused(bots):
    async with bots.run(make("demo", "天气", no_space=True)) as bot:
        assert bot.app.aliases.add(Alias("天气北京", "天气 上海")) == "taken"
        assert bot.app.aliases.add(Alias("北京天气", "天气北京")) == ""
        ali = bot.user("ali")
        await ali.say("/北京天气 明天")
        await ali.expect("^demo 天气: 北京 明天$")


async def test_every_way_to_type_a_command_stands_before_the_same_gate(bots):
    plugin = make("demo", "天气", no_space=True)
    plugin.command("flag set", inline=True)(_answer("set"))
    async with bots.run(plugin) as bot:
        bot.app.aliases.load([Alias("w", "天气 北京"), Alias("w2", "w"), Alias("f", "flag set")])
        asked = []
        bot.app.gate.admit = lambda ctx, hit: asked.append(hit.handler.key) or "no"
        ali = bot.user("ali", room=bot.room("ops"))
        lines = [
            "/天气 x",
            "/天气x",
            "/demo:天气",
            "/w",
            "/W2 y",
            "qqops-bot: w",
            "@qqops-bot 天气x",
            "/f",
            "/flag set",
        ]
        for line in lines:
            await ali.say(line)
            await ali.expect("^no$")
        assert set(asked) == {"demo:天气", "demo:flag set"}
        assert len(asked) == len(lines)


async def test_a_command_wins_over_an_alias_of_its_name(bots):
    async with bots.run(make("demo", "deploy", "ping")) as bot:
        bot.app.aliases.load([Alias("ping", "deploy")])
        ali = bot.user("ali")
        await ali.say("/ping")
        await ali.expect("^demo ping")


# -- listeners ----------------------------------------------------------------------------------------


async def test_priority_and_stop(bots):
    plugin, heard = Plugin("ears"), []

    def listener(name):
        async def hear() -> None:
            heard.append(name)

        hear.__name__ = name
        return hear

    plugin.on(Message)(listener("always"))
    plugin.on(Message, keyword="stop", priority=5, stop=True)(listener("stopper"))
    plugin.on(Message, regex="o", priority=5)(listener("same"))
    plugin.on(Message, regex="t", priority=9)(listener("first"))
    plugin.on(Joined)(listener("late"))
    plugin.on(Joined, priority=1, stop=True)(listener("early"))
    plugin.on(Joined, priority=2)(listener("earliest"))
    async with bots.run(plugin) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        await ali.say("not here")
        assert heard == ["first", "same", "always"]
        heard.clear()
        await ali.say("stop it")
        assert heard == ["first", "stopper"]
        heard.clear()
        bot.app.dispatcher.route(Joined(room=ops.room, sender=bot.network.user("bo"), at=bot.app.clock.now()))
        await bot.settle()
        assert heard == ["earliest", "early"]


async def test_the_context_knows_the_zone_and_the_prefix(bots):
    plugin = Plugin("demo")

    @plugin.command("now")
    async def now(ctx: Ctx) -> str:
        return f"{ctx.now:%H:%M} {ctx.prefix}"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/now")
        await ali.expect("^16:00 /$")


def test_every_invisible_character_is_one():
    assert all(not c.isprintable() for c in INVISIBLE)


# -- any text -----------------------------------------------------------------------------------------

_ACCOUNT = AccountRef("memory", "test")
_ROOM = Room(ref=RoomRef(_ACCOUNT, RoomKind.GROUP, "g-lab"), name="lab")
_USER = User(ref=PersonRef(_ACCOUNT, "1"), name="ali")
_PARTS = st.sampled_from(
    ["/", "!", "／", "deploy", "delpoy", "天气", "flag", "set", "demo:", "w", "loop", "qqops-bot", "@", ":", " ", "\u200b",
     "\u202e", "“", '"', "=", "--when", "明天9点", "{", "[image]", "：", "\u3000", "\n"]
)  # fmt: skip
_LINES = st.lists(_PARTS | st.text(max_size=5), max_size=12).map("".join)
_OPENINGS = st.tuples(
    st.sampled_from(["", "!", "/", "\u200b!", "qqops-bot: ", "@qqops-bot "]),
    st.sampled_from(
        ["deploy", "delpoy", "天气", "flag", "flag set", "demo:all", "all", "w", "w1", "loop", "qqops", ""]
    ),
    st.sampled_from(["", " "]),
).map("".join)
_LATER = (
    _LINES.map(Text)
    | st.builds(Image, st.just("cat.png"))
    | st.builds(At, st.just(_USER.ref), st.sampled_from(["", "Big Bob"]))
)
_SEGMENTS = st.tuples(st.tuples(_OPENINGS, _LINES).map("".join).map(Text), st.lists(_LATER, max_size=3)).map(
    lambda parts: (parts[0], *parts[1])
)


def everything():
    """A host with a command of every kind, and a way to make a context."""
    plugin = make("demo", "deploy", "flag set")
    plugin.command("天气", no_space=True)(_answer("weather"))

    @plugin.command("all")
    async def every(
        who: User, *more: Json, when: datetime.datetime | None = None, at: Room | None = None, size: int = 0
    ) -> None: ...

    @plugin.command("w")
    async def picture(one: Image, length: datetime.timedelta, text: Rest | None = None) -> None: ...

    registry = Registry(aliases=Aliases())
    host = Host(registry, {}, version="0.1.0")
    assert host.load(Candidate(name="demo", load=lambda: plugin)).state is PluginState.LOADED
    registry.aliases.load([Alias("loop", "loop"), Alias("w1", "w [image]"), Alias("qqops", "flag set x")])
    return compile_routes(
        registry,
        NamedRooms(RoomSettings(prefixes={"lab": ("!", "/")}), lambda account: ()),
        Hints(lambda: 0.0),
    )


_ROUTES = everything()
_CATALOGUE = load()


@given(_SEGMENTS)
def test_any_message_is_matched_and_either_prepared_or_refused(segments):
    """And what `may_concern` says no to sets nothing off."""
    now = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)
    message = Message(id="1", room=_ROOM, sender=_USER, segments=segments, at=now)
    hits = _ROUTES.match(message, ("qqops-bot",))
    if (
        len(segments) == 1
        and isinstance(segments[0], Text)
        and not _ROUTES.may_concern(message.text, ("qqops-bot",))
    ):
        assert hits == []
    for hit in hits:
        ctx = Context(id="1", plugin="demo", event=message, language="en", catalogue=_CATALOGUE, now=now)
        try:
            hit.handler.prepare(ctx, hit.source)
        except Refuse as no:
            assert 0 < len(no.text) < 1000
