"""What single rooms set for themselves in a plugin's table, and what is said where that is wrong."""

import contextlib
import re
from collections.abc import AsyncGenerator, Mapping

import attrs
import pytest
import trio

from qqops import Ctx, Joined, Message, Next, Plugin, PluginError, Secret
from qqops._explain import rows
from qqops.assemble import assembled
from qqops.errors import ConfigError
from qqops.model import AccountRef, Room, RoomKind, RoomRef
from qqops.plugin.host import Candidate
from qqops.runtime.named_rooms import NamedRooms, PerRoom, RoomSettings
from qqops.settings import load_settings, plugin_config, read_settings


@attrs.frozen(kw_only=True)
class Config:
    greeting: str = "hello"
    tries: int = 3
    token: Secret = attrs.field(factory=lambda: Secret(""))


CONFIG = {"greeting": "plain", "tries": 7, "rooms": {"ops": {"greeting": "yo"}}}


def greeter(seen):
    plugin = Plugin("greet")
    plugin.config(Config)

    @plugin.command("hi")
    async def hi(*, cfg: Config) -> str:
        return f"{cfg.greeting} {cfg.tries}"

    @plugin.command("thread")
    def thread(*, cfg: Config) -> str:
        return cfg.greeting

    @plugin.on(Message, keyword="morning")
    async def hear(*, cfg: Config) -> str:
        return f"heard {cfg.greeting}"

    @plugin.on(Joined)
    async def joined(event: Joined, *, cfg: Config) -> str:
        return f"welcome {cfg.greeting}"

    @plugin.filter
    async def note(ctx: Ctx, call: Next, *, cfg: Config) -> None:
        seen.append(("filter", cfg.greeting))
        await call()

    @plugin.job(every=3600)
    async def job(*, cfg: Config) -> None:
        seen.append(("job", cfg.greeting))

    @plugin.task
    async def task(*, cfg: Config) -> None:
        seen.append(("task", cfg.greeting))

    @plugin.service
    @contextlib.asynccontextmanager
    async def service(cfg: Config) -> AsyncGenerator[Room]:
        seen.append(("service", cfg.greeting))
        await trio.lowlevel.checkpoint()
        yield None

    return plugin


@pytest.mark.parametrize(("room", "word"), [("ops", "yo"), ("lab", "plain")])
async def test_a_run_in_a_room_gets_what_the_room_has_for_itself(bots, room, word):
    seen = []
    async with bots.run(greeter(seen), config=CONFIG) as bot:
        here = bot.room(room)
        ali = bot.user("ali", room=here)
        await ali.say("/hi")
        await ali.expect(f"^{word} 7$")
        await ali.say("/thread")
        await ali.expect(f"^{word}$")
        await ali.say("good morning")
        await ali.expect(f"^heard {word}$")
        await ali.joins(here)
        await ali.expect(f"^welcome {word}$")
        assert {what for name, what in seen if name == "filter"} == {word}


async def test_what_runs_in_no_room_gets_the_plain_one(bots):
    seen = []
    async with bots.run(greeter(seen), config=CONFIG) as bot:
        await bot.run_job("job")
        await bot.user("ops").say("/hi")
        await bot.expect("^plain 7$")  # a private chat is called what the other side likes
    assert [one for one in seen if one[0] != "filter"] == [
        ("service", "plain"),
        ("task", "plain"),
        ("job", "plain"),
    ]


def test_without_rooms_it_is_the_object_itself(tmp_path):
    assert read(tmp_path, '[plugins.greet]\ngreeting = "a"\n')[1] == Config(greeting="a")


HERE = AccountRef("memory", "talk")


def group(number, name):
    return Room(ref=RoomRef(HERE, RoomKind.GROUP, number), name=name)


def test_a_number_goes_before_a_name_and_each_plugin_has_its_own_table():
    rooms = [group("1", "ops"), group("2", "lab")]
    named = NamedRooms(RoomSettings(languages={"1": "zh"}), lambda account: rooms)
    named.here(PerRoom("plain", {"ops": "", "2": ""}))
    assert named.own({"ops": "by name"}, rooms[0], "plain") == "by name"
    assert named.own({"2": "by number"}, rooms[1], "plain") == "by number"
    assert named.own({"1": "by number", "ops": "by name"}, rooms[0], "plain") == "by number"
    assert named.own({"lab": "not mentioned in the settings"}, rooms[1], "plain") == "plain"
    assert named.language(rooms[0]) == "zh"


def read(tmp_path, text, environ=None, cls=Config):
    path = tmp_path / "qqops.toml"
    path.write_text(text)
    path.chmod(0o600)
    settings, file = load_settings(path, environ or {})
    return settings, plugin_config(settings, file, environ or {}, "greet", cls)


def test_a_room_changes_single_keys_in_the_settings_file(tmp_path):
    text = (
        '[plugins.greet]\ngreeting = "a"\ntoken = "t-plain"\n[plugins.greet.rooms.ops]\ntries = 5\n'
        '[plugins.greet.rooms."运维 群"]\ntoken = { env = "T" }\n'
    )
    _, found = read(tmp_path, text, {"T": "t-room"})
    assert isinstance(found, PerRoom)
    assert found.plain.tries == 3
    assert (found.own["ops"].greeting, found.own["ops"].tries) == ("a", 5)
    assert found.own["ops"].token.reveal() == "t-plain"
    assert found.own["运维 群"].token.reveal() == "t-room"


def test_a_secret_from_the_environment_holds_in_rooms_as_well(tmp_path):
    path = tmp_path / "qqops.toml"
    path.write_text('[plugins.greet.rooms.ops]\ngreeting = "yo"\n')
    path.chmod(0o644)
    environ = {"QQOPS_PLUGINS__GREET__TOKEN": "t"}
    settings, file = load_settings(path, environ)
    found = plugin_config(settings, file, environ, "greet", Config)
    assert found.own["ops"].token.reveal() == "t"


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("[plugins.greet.rooms.ops]\ngreting = 1\n", [r"toml:2: plugins.greet.rooms.ops.greting: unknown key.*'greeting'"]),
        ('[plugins.greet.rooms.ops]\ntries = "5"\n', [r"toml:2: plugins.greet.rooms.ops.tries: must be a whole number"]),
        ("[plugins.greet.rooms]\nops = 3\n", [r"toml:2: plugins.greet.rooms.ops: must be a table, got 3 \(\[plugins.greet.rooms.ops\]\)"]),
        (
            "[plugins.greet.rooms.ops]\ntries = true\n[plugins.greet.rooms.lab]\nx = 1\n",
            [r"toml:2: plugins.greet.rooms.ops.tries: must be a whole", r"toml:4: plugins.greet.rooms.lab.x: unknown key 'x'"],
        ),
        ('[plugins.greet.rooms.ops]\ntoken = { env = "GONE" }\n', [r"toml:2: plugins.greet.rooms.ops.token: .*GONE is not set"]),
    ],
)  # fmt: skip
def test_each_room_with_a_mistake_is_named_with_its_line(tmp_path, text, reasons):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    for reason in reasons:
        assert re.search(reason, str(caught.value))


@attrs.frozen(kw_only=True)
class Inner:
    x: int = 1


@attrs.frozen(kw_only=True)
class OfTables:
    rooms: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Nested:
    rooms: Inner | None = None


@attrs.frozen(kw_only=True)
class OfNames:
    rooms: tuple[str, ...] = ()


@pytest.mark.parametrize("cls", [OfTables, Nested])
async def test_a_configuration_with_a_table_of_that_name_is_told_that_the_word_is_taken(bots, cls):
    plugin = Plugin("greet")
    plugin.config(cls)
    with pytest.raises(PluginError, match="table 'rooms', and that word is taken") as caught:
        async with bots.run(plugin):
            pass
    assert "test_per_room.py:" in caught.value.where


def test_a_list_of_that_name_is_the_plugins_own(tmp_path):
    _, found = read(tmp_path, '[plugins.greet]\nrooms = ["ops"]\n', cls=OfNames)
    assert found.rooms == ("ops",)


async def test_a_reload_takes_new_rooms(bots):
    async with bots.run(greeter([]), config={"greeting": "plain"}) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/hi")
        await ali.expect("^plain 3$")
        bot.app.host.configure = lambda plugin, cls: PerRoom(cls(greeting="new"), {"ops": cls(greeting="yo")})
        await bot.reload(greeter([]))
        await ali.say("/hi")
        await ali.expect("^yo 3$")


def test_what_rooms_have_for_themselves_is_explained(tmp_path):
    path = tmp_path / "qqops.toml"
    path.write_text('[plugins.greet]\ngreeting = "a"\n[plugins.greet.rooms.ops]\ntries = 5\n')
    app, wrong = assembled(read_settings(path, {}), [], {"QQOPS_PLUGINS": "greet"})
    assert not wrong
    app.host.reports.clear()
    app.host.load(Candidate(name="greet", load=lambda: greeter([])))
    found = {row.key: (row.value, row.origin) for row in rows(read_settings(path, {}), [], app.host)}
    assert found["plugins.greet.greeting"][0] == '"a"'
    assert found["plugins.greet.rooms.ops.tries"][0] == "5"
    assert found["plugins.greet.rooms.ops.tries"][1].endswith("qqops.toml:4")
