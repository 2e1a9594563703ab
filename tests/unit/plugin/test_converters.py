"""What words become: moments, lengths of time, people, rooms, pictures, data, and types of plugins."""

import datetime
import zoneinfo
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqops import (
    At,
    Ctx,
    File,
    Image,
    Json,
    PersonRef,
    Plugin,
    PluginError,
    Quote,
    Refuse,
    Rest,
    Room,
    Text,
    Url,
    User,
)
from qqops.app import AppPolicy
from qqops.model import Message
from qqops.plugin._convert_data import _json, _url
from qqops.plugin._convert_time import day, duration, moment
from qqops.plugin._converter import BadWord
from qqops.runtime.named_rooms import RoomSettings

SHANGHAI = zoneinfo.ZoneInfo("Asia/Shanghai")
#: A Monday afternoon.
NOW = datetime.datetime(2026, 1, 5, 16, 0, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-05 14:30", "2026-01-05 14:30"), ("2026-01-05T14:30", "2026-01-05 14:30"),
        ("2026-01-05T14:30:15Z", "2026-01-05 22:30:15"), ("2026-1-5", "2026-01-05 00:00"),
        ("2026年2月3日9点", "2026-02-03 09:00"), ("2026/2/3 9:05", "2026-02-03 09:05"),
        ("14:30", "2026-01-06 14:30"), ("16:30", "2026-01-05 16:30"), ("１６：３０", "2026-01-05 16:30"),
        ("明天9点", "2026-01-06 09:00"), ("明天九点半", "2026-01-06 09:30"), ("tomorrow 9:00", "2026-01-06 09:00"),
        ("Tomorrow at 9pm", "2026-01-06 21:00"), ("后天14点半", "2026-01-07 14:30"), ("大后天", "2026-01-08 00:00"),
        ("明天下午3点15分", "2026-01-06 15:15"), ("今晚八点", "2026-01-05 20:00"), ("晚上十点", "2026-01-05 22:00"),
        ("中午12点", "2026-01-06 12:00"), ("凌晨两点", "2026-01-06 02:00"), ("3月8日 十二点一刻", "2026-03-08 12:15"),
        ("1月2日", "2027-01-02 00:00"), ("二十三点", "2026-01-05 23:00"), ("12am", "2026-01-06 00:00"),
    ],
)  # fmt: skip
def test_moments(text, expected):
    value, end = moment(text, NOW)
    assert end == len(text)
    assert value.astimezone(SHANGHAI).replace(tzinfo=None).isoformat(" ", "auto").removesuffix(":00") in (
        expected,
        expected.removesuffix(":00"),
    )


@pytest.mark.parametrize(
    "text",
    ["", "soon", "25:00", "14:60", "2026-13-01", "2026-02-30 9:00", "明天吗", "9", "13pm", "晚上12点", "明天25点",
     "十十点", "99999-01-01", "1:2", "2月30日"],
)  # fmt: skip
def test_what_is_no_moment(text):
    with pytest.raises((ValueError, OverflowError)):
        moment(text, NOW)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_refused(text):
    try:
        _, end = moment(text, NOW)
    except (ValueError, OverflowError):
        return
    assert end > 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("1h30m", 5400), ("90s", 90), ("2天", 172800), ("10分钟", 600), ("1.5h", 5400), ("半小时", 1800),
     ("一个小时", 3600), ("两天", 172800), ("1W2D", 777600), ("3小时半", 12600), ("0s", 0)],
)  # fmt: skip
def test_durations(text, seconds):
    assert duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "m", "1x", "10m!", "-5m", "999999999w999999999w", "1h 30m", "nan"]
)
def test_what_is_no_duration(text):
    with pytest.raises(BadWord):
        duration(text)


def test_days():
    assert day("明天", NOW) == datetime.date(2026, 1, 6)
    assert day("2026-01-05", NOW) == datetime.date(2026, 1, 5)
    with pytest.raises(ValueError):
        day("今晚", NOW)


@pytest.mark.parametrize(
    ("word", "host", "port", "path"),
    [
        ("https://Example.com", "example.com", 443, "/"),
        ("http://example.com:8080/a?b=c#d", "example.com", 8080, "/a?b=c"),
        ("http://[::1]/x", "::1", 80, "/x"),
    ],
)
def test_urls(word, host, port, path):
    url = _url(word)
    assert (url.host, url.port, url.path) == (host, port, path)


@pytest.mark.parametrize(
    "word",
    ["example.com", "ftp://example.com", "javascript:alert(1)", "http://", "http://user@example.com", "http://a:99999",
     "http://a\\@b", "http://a\u202eb", "https://[x", "http://a/" + "x" * 3000],
)  # fmt: skip
def test_what_is_no_url(word):
    with pytest.raises(BadWord):
        _url(word)


@pytest.mark.parametrize("word", ["", "{", "NaN", '{"a": 1}x', "[" * 100_000, "9" * 5000, "1 2"])
def test_what_is_no_json(word):
    with pytest.raises(BadWord):
        _json(word)


def make():
    plugin = Plugin("types")

    @plugin.command("at")
    async def at(when: datetime.datetime, text: Rest | None = None) -> str:
        return f"{when.isoformat()} {text}"

    @plugin.command("by")
    async def by(*, when: datetime.datetime, length: datetime.timedelta | None = None) -> str:
        return f"{when.isoformat()} {length}"

    @plugin.command("who")
    async def who(person: User, *others: User) -> str:
        return " ".join(one.id for one in (person, *others))

    @plugin.command("where")
    async def where(room: Room) -> str:
        return room.id

    @plugin.command("look")
    async def look(picture: Image, text: str = "") -> str:
        return f"{picture.id} {text}"

    @plugin.command("keep")
    async def keep(file: File) -> str:
        return file.name

    @plugin.command("quoted")
    async def quoted(quote: Quote) -> str:
        return quote.ref.id

    @plugin.command("maybe")
    async def maybe(quote: Quote | None) -> str:
        return repr(quote)

    @plugin.command("json")
    async def json_(value: Json, *, dry: bool = False) -> str:
        return f"{value.value!r} {dry}"

    @plugin.command("url")
    async def url(address: Url) -> str:
        return f"{address.host} {address}"

    return plugin


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/at 2026-01-07 14:30 tea", "2026-01-07T14:30:00+08:00 tea"),
        ('/at "2026-01-07 14:30"', "2026-01-07T14:30:00+08:00 None"),
        ("/at 明天 9点 喝茶  去", "2026-01-06T09:00:00+08:00 喝茶  去"),
        ("/at 明天9点 喝茶", "2026-01-06T09:00:00+08:00 喝茶"),
        ("/at tomorrow", "2026-01-06T00:00:00+08:00 None"),
        ("/by --when tomorrow 9:00 --length 1h30m", "2026-01-06T09:00:00+08:00 1:30:00"),
        ("/by --when=17:00", "2026-01-05T17:00:00+08:00 None"),
        ("/at soon", "'soon' is not a moment"),
        ("/by --when 明天 --length long", "'long' is not a length of time"),
        ("/where lab", "g-lab"),
        ("/where g-lab", "g-lab"),
        ("/where nowhere", "I know no room 'nowhere'"),
        ('/json {"a": [1, 2]} --dry', "{'a': [1, 2]} True"),
        ("/json {“a”：1}", "{'a': 1} False"),
        ("/json '\"x y\"'", "'x y' False"),
        ('/json {"a": ', "is not JSON"),
        ("/url https://example.com/a", "example.com https://example.com/a"),
        ("/url example.com", "is not a web address"),
        ("/quoted", "quote the message that you mean"),
        ("/maybe", "None"),
        ("/look picture", "a picture belongs where 'picture' stands"),
        ("/look [image]", "a picture belongs where"),
    ],
)
async def test_words_in_commands(bots, line, answer):
    async with bots.run(make()) as bot:
        bot.room("lab")
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say(line)
        assert answer in await ali.expect("")


async def test_moments_are_meant_in_the_time_zone_of_the_room(bots):
    policy = AppPolicy(rooms=RoomSettings(timezone="UTC", timezones={"ny": "America/New_York"}))
    async with bots.run(make(), policy=policy) as bot:
        for room, answer in (("ops", r"T09:00:00\+00:00"), ("ny", r"T09:00:00-05:00")):
            ali = bot.user("ali", room=bot.room(room))
            await ali.say("/at tomorrow 9:00")
            await ali.expect(answer)


async def test_people_by_mention_number_and_unique_name(bots):
    async with bots.run(make()) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        bot.user("Bob", room=ops)
        second = User(ref=PersonRef(bot.network.account, "u-twin2"), name="Twin")
        bot.network.members["ops"] += [bot.network.user("twin"), second]
        for line, answer in [
            ("/who bob", "^u-Bob$"),
            ("/who @Bob ali", "^u-Bob u-ali$"),
            ("/who 12345", "^12345$"),
            ("/who u-twin2", "^u-twin2$"),
            ("/who twin", "several people here are called 'twin': u-twin, u-twin2"),
            ("/who nobody", "I know nobody here called 'nobody'"),
        ]:
            await ali.say(line)
            await ops.expect(answer)
        mention = At(bot.network.user("Big Bob").ref, "Big Bob")
        bot.network.say("ali", ops.room, (Text("/who"), mention, Text("ali")))
        await ops.expect("^u-Big Bob u-ali$")


async def test_a_number_is_never_somebody_who_is_called_so(bots):
    """Anybody can take another's number as a name; a mute by number must not hit the wrong one."""
    async with bots.run(make()) as bot:
        ops = bot.room("ops")
        bot.user("777", room=ops)
        ali = bot.user("ali", room=ops)
        await ali.say("/who 777")
        await ops.expect("^777$")


async def test_pictures_files_and_quotes(bots):
    async with bots.run(make()) as bot:
        ops = bot.room("ops")
        bot.user("ali", room=ops)

        def say(*segments):
            bot.network.say("ali", ops.room, segments)

        say(Text("/look"), Image("cat.png"), Text("what is it"))
        await ops.expect("I do not know what to do with 'is'")
        say(Text("/look"), Image("cat.png"), Text("nice"))
        await ops.expect("^cat.png nice$")
        say(Text("/keep "), File("f1", name="my report.txt"))
        await ops.expect("^my report.txt$")
        message = bot.network.say("ali", ops.room, "/ping")
        quoting = Message(
            id="q1", room=ops.room, sender=message.sender, segments=(Text("/quoted"),),
            at=message.at, reply_to=message.ref,
        )  # fmt: skip
        bot.app.dispatcher.route(quoting)
        await ops.expect(f"^{message.ref.id}$")


async def test_a_plugin_teaches_its_own_types(bots):
    first, second = Plugin("first"), Plugin("second")

    @first.converter(Decimal)
    def money(word: str) -> Decimal:
        if word == "free":
            raise Refuse("nothing is free")
        return Decimal(word)

    class Me:
        pass

    @first.converter(Me)
    def me(word: str, ctx: Ctx) -> str:
        return f"{ctx.sender.name}-{word}"

    @first.command("pay")
    async def pay(amount: Decimal, who: Me | None = None) -> str:
        return f"{amount + 1} {who}"

    @second.command("get")
    async def get(*amounts: Decimal) -> str:
        return str(sum(amounts))

    async with bots.run(first, second) as bot:
        ali = bot.user("ali")
        for line, answer in [
            ("/pay 1.5 x", "^2.5 ali-x$"),
            ("/get 1 2", "^3$"),
            ("/pay free", "^nothing is free$"),
            ("/pay lots", "'lots' cannot be read as Decimal\n/pay »lots«\nusage: /pay <amount>"),
        ]:
            await ali.say(line)
            await ali.expect(answer)


async def test_two_converters_for_one_type_are_a_load_error(bots):
    plugin = Plugin("wrong")
    plugin.converter(Decimal)(lambda word: Decimal(word))
    plugin.converter(Decimal)(lambda word: Decimal(word))
    with pytest.raises(PluginError, match="two converters for Decimal"):
        async with bots.run(plugin):
            pass
