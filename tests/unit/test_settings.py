"""Settings: every mistake is named with file, line, key and what to do."""

import contextlib
import pathlib
import re

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqops import core_plugin
from qqops._accounts import AccountSettings, accounts
from qqops._checks import semantic_mistakes
from qqops._environment import strange
from qqops._file import SettingsFile
from qqops._structure import salvaged, structure
from qqops.adapters import memory
from qqops.adapters.base import Network
from qqops.cli.config import TEMPLATE
from qqops.errors import ConfigError, Mistakes, PluginError
from qqops.model import Secret
from qqops.runtime.supervisor import LinkPolicy, Reconnect
from qqops.settings import Settings, load_settings, plugin_config, read_settings

NETWORKS = {n.name: n for n in (core_plugin.webqq, memory.network)}
EVERY = {**NETWORKS, "onebot11": core_plugin.onebot11}


@pytest.fixture
def load(tmp_path):
    def load(text, environ=None, mode=0o600):
        path = tmp_path / "qqops.toml"
        path.write_text(text, "utf-8")
        path.chmod(mode)
        settings, file = load_settings(path, environ or {})
        return settings, accounts(settings.accounts, file, NETWORKS, environ or {})

    return load


def test_defaults(load):
    settings, found = load("")
    assert (settings.bot.language, settings.bot.prefixes, found) == ("en", ("/", "／"), [])


def test_a_whole_file(load):
    settings, (main, other) = load(
        """
        schema = 1
        [bot]
        language = "zh"
        prefixes = ["!"]
        [rooms.ops]
        language = "en"
        [accounts.main]
        network = "webqq"
        profile = "webqq2013"
        number = 100200300
        password = { env = "PW" }
        endpoints = { "*" = "http://127.0.0.1:1" }
        [accounts.main.link]
        retry_cap = 5
        reconnect = "exit"
        [accounts.other]
        network = "memory"
        """,
        {"PW": "s3cret"},
    )
    assert settings.room_settings.languages == {"ops": "en"}
    assert main.options.password.reveal() == "s3cret"
    assert (main.link.backoff.cap, main.link.reconnect.value) == (5, "exit")
    assert other.options.nick == "qqops-bot"
    assert "s3cret" not in repr((settings, main))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "no valid TOML"),
        ("[bot]\nlanguage='en'\nx", "qqops.toml:3: no valid TOML: expected '=' after a key"),
        ("[bot]\nprefixes=['/'", "qqops.toml:2: no valid TOML: unclosed array"),
        ("x=" + "[" * 5000, "no valid TOML"),
        ("[roles]\n[roles]", "qqops.toml:2: no valid TOML: cannot declare"),
        (
            "[dispatch]\nslots=" + "9" * 30,
            ":2: dispatch.slots: must be at most 1000000000, got 99999999999999999…",
        ),
        ("[bot]\ngrace_seconds=" + "9" * 400, "must be a finite number"),
        ("[bot]\ngrace_seconds=-inf", ":2: bot.grace_seconds: must be a finite number, got -inf"),
        ("[bot]\ngrace_seconds=1e300", ":2: bot.grace_seconds: must be at most 315360000, got 1e+300"),
        ("[outbox]\nmax_age=-1", ":2: outbox.max_age: must be at least 0, got -1"),
        ("[journal]\nremember=59", ":2: journal.remember: must be at least 60, got 59"),
        ("[store]\nsynchronous='off'", ":2: store.synchronous: unknown value 'off' (one of: normal, full)"),
        ("schema=0", ":1: schema: must be at least 1, got 0"),
        (
            "[accounts.a]\nnetwork='memory'\nsend_gap=-1",
            ":3: accounts.a.send_gap: must be at least 0, got -1",
        ),
        (
            "[accounts.a]\nnetwork='webqq'\nkick_pause=-1",
            ":3: accounts.a.kick_pause: must be at least 0, got -1",
        ),
        (
            "[accounts.a]\nnetwork='webqq'\non_kick='x'",
            ":3: accounts.a.on_kick: unknown value 'x' (one of: relogin, stop)",
        ),
        (
            "[accounts.a]\nnetwork='webqq'\nrelogin_at='25:00'",
            ":3: accounts.a.relogin_at: must be an hour like 04:30, got '25:00'",
        ),
        (
            "[accounts.a]\nnetwork='memory'\nlink.retry_stable=-1",
            ":3: accounts.a.link.retry_stable: must be at least 0, got -1",
        ),
        ("[bot]\nlangage='zh'", ":2: bot.langage: unknown key 'langage' (did you mean 'language'?)"),
        ("\n[bot]\nlanguage=5", ":3: bot.language: must be a text, got 5"),
        ("[bot]\nlanguage='fr'", ":2: bot.language: unknown value 'fr' (one of: en, zh)"),
        ("bot=5", ":1: bot: must be a table"),
        ("schema=2", ":1: schema: the file has layout 2"),
        ("[bot]\nprefixes=['/',5]", ":2: bot.prefixes: must be a list of texts"),
        ("[bot]\nprefixes=['']", "none of them blank"),
        ("[bot]\ngrace_seconds=true", "must be a number, got True"),
        ("[bot]\ngrace_seconds=-1", ":2: bot.grace_seconds: must be at least 0, got -1"),
        ("[dispatch]\nslots=0", ":2: dispatch.slots: must be at least 1"),
        ("[rooms.ops]\nlanguage='fr'", "rooms.ops.language"),
        ("[accounts]\na=5", ":2: accounts.a: must be a table"),
        ("[accounts.a]\nx=1", ":1: accounts.a: network is missing (one of: webqq, memory)"),
        (
            "[accounts.a]\nnetwork='web'",
            ":2: accounts.a.network: unknown network 'web' (did you mean 'webqq'?)",
        ),
        (
            "[accounts.a]\nnetwork='memory'\nnik='x'",
            ":3: accounts.a.nik: unknown key 'nik' (did you mean 'nick'?)",
        ),
        (
            "[accounts.a]\nnetwork='memory'\nreconect='x'",
            ":3: accounts.a.reconect: unknown key 'reconect' (did you mean 'link.reconnect'?)",
        ),
        (
            "[accounts.a]\nnetwork='memory'\nreconnect='never'",
            ":3: accounts.a.reconnect: unknown key 'reconnect' (it belongs to the table [accounts.a.link])",
        ),
        ("[accounts.a]\nnetwork='memory'\nlink=5", ":3: accounts.a.link: must be a table"),
        (
            "[accounts.a]\nnetwork='memory'\n[accounts.a.link]\nreconect='x'",
            ":4: accounts.a.link.reconect: unknown key 'reconect' (did you mean 'reconnect'?)",
        ),
        (
            "[accounts.a]\nnetwork='memory'\n[accounts.a.link]\nnick='x'",
            ":4: accounts.a.link.nick: unknown key 'nick' (known are: connect_within",
        ),
        (
            "[accounts.a]\nnetwork='memory'\n[accounts.a.link]\nreconnect='x'",
            ":4: accounts.a.link.reconnect: unknown value 'x' (one of: always, on-transient, never, exit)",
        ),
        (
            "[accounts.a]\nnetwork='memory'\n[accounts.a.link]\nretry_first=0",
            ":4: accounts.a.link.retry_first: must be > 0, got 0",
        ),
        (
            "[accounts.a]\nnetwork='memory'\nlink.retry_first=0",
            ":3: accounts.a.link.retry_first: must be > 0, got 0",
        ),
        (
            "[accounts.a]\nnetwork='memory'\nlink={ retry_cap='x' }",
            ":3: accounts.a.link.retry_cap: must be a number, got 'x'",
        ),
        ("[accounts.a]\nnetwork='webqq'\nendpoints='x'", ":3: accounts.a.endpoints: must be a table"),
        ("[accounts.a]\nnetwork='webqq'\npassword={env='NOPE'}", "the environment variable NOPE is not set"),
        ("[accounts.a]\nnetwork='webqq'\npassword={file='nope'}", "cannot read the secret"),
        ("[accounts.a]\nnetwork='webqq'\npassword=5", 'a secret is { env = "NAME" }'),
        (
            "[accounts.a]\nnetwork='webqq'\nnumber=7\n[accounts.b]\nnetwork='webqq'\nnumber=7",
            ":6: accounts.b.number: 7 is",
        ),
    ],
)
def test_mistakes_are_named(load, text, message):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("network", "one", "other", "key"),
    [
        ("webqq", "number=7", "number=7", "number"),
        ("onebot11", "url='ws://a:1'", "url='ws://a:1/'\nself_id=7", "url"),
        ("onebot11", "listen='a:1'\nself_id=7", "url='ws://a:1/'\nself_id=7", "self_id"),
        ("webqq", "number=7", "number=8", None),
        ("webqq", "", "", None),
        ("onebot11", "listen='a:1'", "listen='a:1'\nself_id=7", None),
        ("onebot11", "url='ws://a:1'", "url='ws://a:2'", None),
        ("memory", "nick='x'", "nick='x'", None),
    ],
)
def test_one_account_under_two_names_is_refused(tmp_path, network, one, other, key):
    path = tmp_path / "qqops.toml"
    path.write_text(f"[accounts.a]\nnetwork='{network}'\n{one}\n[accounts.b]\nnetwork='{network}'\n{other}")
    settings, file = load_settings(path, {})
    if key is None:
        assert [account.name for account in accounts(settings.accounts, file, EVERY, {})] == ["a", "b"]
        return
    with pytest.raises(ConfigError) as caught:
        accounts(settings.accounts, file, EVERY, {})
    line = max(n for n, text in enumerate(path.read_text().split("\n"), 1) if text.startswith(key))
    assert caught.value.where == f"{path}:{line}: accounts.b.{key}"
    assert "is the account 'a' already" in str(caught.value)


def test_a_network_of_a_plugin_says_which_accounts_are_the_same(tmp_path):
    network = attrs.evolve(memory.network, identity=lambda options: {"nick": options.nick.lower()})
    path = tmp_path / "qqops.toml"
    path.write_text("[accounts.a]\nnetwork='memory'\n[accounts.b]\nnetwork='memory'\nnick='?token=S3CR3T'\n"
                    "[accounts.c]\nnetwork='memory'")  # fmt: skip
    settings, file = load_settings(path, {"QQOPS_ACCOUNTS__C__NICK": "?TOKEN=S3CR3T"})
    with pytest.raises(ConfigError) as caught:
        accounts(settings.accounts, file, {"memory": network}, {})
    assert str(caught.value) == (
        "QQOPS_ACCOUNTS__C__NICK: accounts.c.nick: ?TOKEN=*** is the account 'b' already "
        "(leave one of the two out, or give each its own nick)"
    )


def test_a_secret_that_others_can_read_is_refused(load, tmp_path):
    text = "[accounts.a]\nnetwork='webqq'\npassword='s3cret'"
    assert load(text)[1][0].options.password == Secret("s3cret")
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load(text, mode=0o644)
    assert "s3cret" not in str(caught.value)
    (tmp_path / "pw").write_text("filed\n")
    (tmp_path / "pw").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load("[accounts.a]\nnetwork='webqq'\npassword={file='pw'}")
    (tmp_path / "pw").chmod(0o600)
    assert (
        load("[accounts.a]\nnetwork='webqq'\npassword={file='pw'}")[1][0].options.password.reveal() == "filed"
    )


def test_the_environment_overrides_the_file(load):
    environ = {
        "QQOPS_BOT__LANGUAGE": "zh", "QQOPS_BOT__GRACE_SECONDS": "3", "QQOPS_ACCOUNTS__MAIN__NICK": "robot",
        "QQOPS_PLUGINS": "essentials", "HOME": "/x",
    }  # fmt: skip
    settings, (main,) = load("[bot]\nlanguage='en'\n[accounts.Main]\nnetwork='memory'", environ)
    assert (settings.bot.language, settings.bot.grace_seconds) == ("zh", 3)
    assert (main.name, main.options.nick) == ("Main", "robot")
    with pytest.raises(ConfigError, match=r"bot.languag: unknown key"):
        load("", {"QQOPS_BOT__LANGUAG": "zh"})


@pytest.mark.parametrize(
    ("key", "value", "other"),
    [
        ("reconnect", "'exit'", "'never'"),
        ("retry_first", "7.0", "8"),
        ("retry_cap", "7.0", "8"),
        ("retry_stable", "7.0", "8"),
        ("connect_within", "7.0", "8"),
    ],
)
def test_what_holds_the_connection_stands_in_a_table_of_its_own(load, key, value, other):
    account = "[accounts.Main]\nnetwork='memory'\n"
    environ = {f"QQOPS_ACCOUNTS__MAIN__LINK__{key.upper()}": value.strip("'")}
    ways = [
        load(f"{account}[accounts.Main.link]\n{key}={value}"),
        load(f"{account}link.{key}={value}"),
        load(account, environ),
        load(f"{account}[accounts.Main.link]\n{key}={other}", environ),
    ]
    policies = [main.link for _, (main,) in ways]
    assert policies == [policies[0]] * 4
    assert policies[0] != LinkPolicy()
    with pytest.raises(
        ConfigError, match=rf":3: accounts.Main.{key}: .*it belongs to the table \[accounts.Main.link\]"
    ):
        load(f"{account}{key}={value}")
    with pytest.raises(
        ConfigError, match=f"its environment variable is QQOPS_ACCOUNTS__MAIN__LINK__{key.upper()}"
    ):
        load(account, {f"QQOPS_ACCOUNTS__MAIN__{key.upper()}": value})


def test_all_that_init_writes_stands_where_it_belongs(tmp_path):
    """Whoever takes the # away in front of a key gets what stands there."""
    bare = re.sub(r"^# (?=\[|\w+ = )", "", TEMPLATE, flags=re.MULTILINE)
    assert bare.count("\n#") < TEMPLATE.count("\n#") - 10
    path = tmp_path / "qqops.toml"
    path.write_text(bare, "utf-8")
    environ = {"QQOPS_DEMO_PASSWORD": "x", "QQ_TOKEN": "x"}
    settings, file = load_settings(path, environ)
    demo, main = accounts(settings.accounts, file, EVERY, environ)
    assert main.options.url
    assert demo.link == LinkPolicy()
    assert demo.options.on_kick == "relogin"


def test_a_network_may_call_its_options_as_the_link_does(tmp_path):
    """A further key of the link is nobody's trouble: the two are never written side by side."""

    @attrs.frozen(kw_only=True)
    class Options:
        reconnect: int = 0
        retry_cap: str = ""

    path = tmp_path / "qqops.toml"
    path.write_text(
        "[accounts.a]\nnetwork='own'\nreconnect=5\nretry_cap='x'\n[accounts.a.link]\nreconnect='never'"
    )
    settings, file = load_settings(path, {})
    network = Network(name="own", options=Options, open=memory.network.open)
    [account] = accounts(settings.accounts, file, {"own": network}, {})
    assert account.options == Options(reconnect=5, retry_cap="x")
    assert account.link == LinkPolicy(reconnect=Reconnect.NEVER)


@pytest.mark.parametrize("name", sorted(Network.RESERVED))
def test_an_option_that_every_account_has_is_refused_when_the_network_is_made(name):
    options = attrs.make_class(
        "ParleyOptions", {"host": attrs.field(default=""), name: attrs.field(default="")}
    )
    with pytest.raises(
        PluginError, match=f"network 'parley': the option '{name}' of ParleyOptions cannot be set"
    ):
        Network(name="parley", options=options, open=memory.network.open)


def test_no_key_of_an_account_is_taken_from_the_networks_but_those_that_are_reserved():
    assert {a.name for a in attrs.fields(AccountSettings)} == Network.RESERVED == {"network", "link"}


def test_a_missing_file_says_how_to_get_one(tmp_path):
    with pytest.raises(ConfigError, match="qqops init"):
        load_settings(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[bot]\nowners = ["ali"]', "bot.owners"),
        ('[roles]\n"room.admin" = []', "roles.room.admin"),
        ('[roles]\nsre = ["10001"]', "roles.sre"),
        ('[permissions]\nsre = ["deploy.*.x"]', "permissions.sre"),
        ('[rules]\ndeny = ["deploy"]', "rules.deny"),
        ('[rules]\nallow = ["user=ali"]', "rules.allow"),
    ],
)
def test_what_is_wrong_about_access_is_named(tmp_path, text, where):
    path = tmp_path / "qqops.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(where)):
        load_settings(path, {})


def test_access_in_the_settings(tmp_path):
    path = tmp_path / "qqops.toml"
    path.write_text(
        '[bot]\nowners = ["net:main/1"]\n[roles]\nsre = ["net:main/2"]\n[permissions]\nsre = ["deploy.*"]\n'
        '"room.admin" = ["*"]\n[rules]\ndeny = ["role=sre env=prod"]\n'
    )
    access = load_settings(path, {})[0].access
    assert access.members == {"sre": ("net:main/2",), "owner": ("net:main/1",)}
    assert access.permissions["room.admin"] == ("*",)
    assert access.rules.deny == ("role=sre env=prod",)


def test_rooms_have_their_own_prefixes_and_zones_and_commands_an_owner(load):
    settings, _ = load(
        """
        [bot]
        timezone = "UTC"
        [commands]
        status = "ops"
        "flag set" = "flags"
        [rooms.lab]
        prefixes = ["!", "。"]
        timezone = "Europe/Berlin"
        """
    )
    rooms = settings.room_settings
    assert (rooms.timezone, rooms.timezones) == ("UTC", {"lab": "Europe/Berlin"})
    assert rooms.prefixes == {"lab": ("!", "。")}
    assert settings.commands == {"status": "ops", "flag set": "flags"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "[rooms.lab]\nprefixes = [' ']",
            "2: rooms.lab.prefixes: at least one prefix, and none of them blank",
        ),
        ("[bot]\nprefixes = []", "2: bot.prefixes: at least one prefix"),
        ("[bot]\ntimezone = 'Mars/Olympus'", "2: bot.timezone: unknown time zone 'Mars/Olympus'"),
        ("[rooms.lab]\ntimezone = '../etc'", "2: rooms.lab.timezone: unknown time zone"),
        (
            "[rooms.lab]\naccount = 'mian'\n[accounts.main]\nnetwork = 'memory'",
            "2: rooms.lab.account: there is no account 'mian' (did you mean 'main'?)",
        ),
        ("[commands]\nstatus = 5", "2: commands.status: must be a text, got 5"),
    ],
)
def test_wrong_rooms_and_owners_are_named(load, text, reason):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert reason in str(caught.value)


# -- all at once ---------------------------------------------------------------------------------------------------


def all_of(load, text, environ=None):
    with pytest.raises(ConfigError) as caught:
        load(text, environ)
    return [re.sub(r"/\S*/(?=qqops.toml)", "", str(one)) for one in caught.value.all]


def test_all_mistakes_of_a_file_are_told_at_once(load):
    text = """
        [bot]
        langage = "zh"
        grace_seconds = -1
        timezone = "Mars/Olympus"
        owners = ["ali", "net:main/1", "bo"]
        ask = ["nobody", "room:mian/1"]
        [rooms.ops]
        account = "mian"
        prefixes = [5]
        [roles]
        sre = ["10001"]
        [accounts.main]
        network = 5
        """
    told = all_of(load, text)
    assert [one.split(": ")[:2] for one in told] == [
        ["qqops.toml:4", "bot.grace_seconds"],
        ["qqops.toml:3", "bot.langage"],
        ["qqops.toml:10", "rooms.ops.prefixes"],
        ["qqops.toml:5", "bot.timezone"],
        ["qqops.toml:9", "rooms.ops.account"],
        ["qqops.toml:7", "bot.ask"],
        ["qqops.toml:7", "bot.ask"],
        ["qqops.toml:6", "bot.owners"],
        ["qqops.toml:6", "bot.owners"],
        ["qqops.toml:12", "roles.sre"],
    ]
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert str(caught.value).splitlines() == [str(one) for one in caught.value.all]


def test_all_mistakes_of_all_accounts_are_told_at_once(load):
    told = all_of(
        load,
        """
        [accounts.a]
        network = "memory"
        nik = "x"
        send_gap = -1
        retry_cap = 5
        [accounts.a.link]
        retry_first = 0
        reconect = "never"
        [accounts.b]
        network = "web"
        link.retry_cap = "x"
        [accounts.c]
        network = "webqq"
        password = { env = "NOPE" }
        number = -1
        """,
    )
    assert [one.split(": ")[:2] for one in told] == [
        ["qqops.toml:8", "accounts.a.link.retry_first"],
        ["qqops.toml:9", "accounts.a.link.reconect"],
        ["qqops.toml:6", "accounts.a.retry_cap"],
        ["qqops.toml:5", "accounts.a.send_gap"],
        ["qqops.toml:4", "accounts.a.nik"],
        ["qqops.toml:11", "accounts.b.network"],
        ["qqops.toml:12", "accounts.b.link.retry_cap"],
        ["qqops.toml:15", "accounts.c.password"],
        ["qqops.toml:16", "accounts.c.number"],
    ]


def test_what_is_right_in_a_wrong_file_is_read(tmp_path):
    path = tmp_path / "qqops.toml"
    path.write_text(
        "[bot]\nlanguage='zh'\ngrace_seconds='x'\n[dispatch]\nslots=0\nthreads=7\n[rules]\ndeny=['x']"
    )
    reading = read_settings(path, {})
    assert len(reading.wrong) == 3
    assert (reading.settings.bot.language, reading.settings.bot.grace_seconds) == ("zh", 10)
    assert (reading.settings.dispatch.slots, reading.settings.dispatch.threads) == (64, 7)
    assert reading.settings.access.rules.deny == ()


TABLES = {a.name: [b.name for b in attrs.fields(a.type)] if attrs.has(a.type) else ["x", "room.admin"]
          for a in attrs.fields(attrs.resolve_types(Settings))}  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=5) | st.just("en"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("x", "language", "account")), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
FILES = st.fixed_dictionaries(
    {},
    optional={
        table: VALUES | st.dictionaries(st.sampled_from((*keys, "x")), VALUES, max_size=4)
        for table, keys in TABLES.items()
    },
)


@given(FILES)
def test_whatever_a_file_holds_the_rest_of_it_can_be_used(data):
    mistakes = Mistakes()
    settings = salvaged(data, Settings, SettingsFile(pathlib.Path("qqops.toml"), ""), mistakes)
    assert isinstance(settings, Settings)
    with contextlib.suppress(ConfigError):
        mistakes.check()
        assert structure(data, Settings, SettingsFile(pathlib.Path("x"), ""), "") == settings
    list(semantic_mistakes(settings, ()))


# -- from the environment ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("QQOPS_BOT__LANGUAGE", "fr", "QQOPS_BOT__LANGUAGE: bot.language: unknown value 'fr'"),
        ("QQOPS_BOT__LANGUAG", "zh", "QQOPS_BOT__LANGUAG: bot.languag: unknown key 'languag'"),
        (
            "QQOPS_BOTT__LANGUAGE",
            "zh",
            "QQOPS_BOTT__LANGUAGE: bott: unknown key 'bott' (did you mean 'bot'?)",
        ),
        ("QQOPS_BOT__GRACE_SECONDS", "-1", "QQOPS_BOT__GRACE_SECONDS: bot.grace_seconds: must be at least 0"),
        ("QQOPS_BOT__PREFIXES__X", "1", "QQOPS_BOT__PREFIXES__X: there is no table 'bot.prefixes'"),
        (
            "QQOPS_ACCOUNTS__MAIN__LINK__RETRY_CAP",
            "0",
            "QQOPS_ACCOUNTS__MAIN__LINK__RETRY_CAP: accounts.main.link",
        ),
        ("QQOPS_ACCOUNTS__NEW__NICK", "x", "QQOPS_ACCOUNTS__NEW__NICK: accounts.new: network is missing"),
        (
            "QQOPS_ACCOUNTS__MAIN",
            "{ network = 'memory', nik = 1 }",
            "QQOPS_ACCOUNTS__MAIN: accounts.main.nik: unknown",
        ),
        ("QQOPS_ROLES__SRE", '["x"]', "QQOPS_ROLES__SRE: roles.sre: 'x' is"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(load, name, value, told):
    file = "[bot]\nlanguage='en'\nprefixes=['/']\n[accounts.main]\nnetwork='memory'"
    found = all_of(load, file, {name: value})
    assert len(found) == 1
    assert told in found[0]


def test_what_a_variable_holds_is_one_value(load):
    """A line break in it begins no further key."""
    settings, _ = load("", {"QQOPS_BOT__DATA": '"a"\nx = 5'})
    assert settings.bot.data == '"a"\nx = 5'


def test_a_variable_that_holds_a_secret_may_be_called_like_a_setting(load):
    environ = {"QQOPS_DEMO__PASSWORD": "s3cret"}
    _, (main,) = load("[accounts.main]\nnetwork='webqq'\npassword={env='QQOPS_DEMO__PASSWORD'}", environ)
    assert main.options.password.reveal() == "s3cret"


KEYS = ("schema", "bot.language", "bot.data", "accounts.main.nick", "accounts.main.link.retry_cap")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("QQOPS_BOT_LANGUAGE", "did you mean QQOPS_BOT__LANGUAGE?"),
        ("QQOPS_ACCOUNTS_MAIN_LINK_RETRY_CAP", "did you mean QQOPS_ACCOUNTS__MAIN__LINK__RETRY_CAP?"),
        ("QQOPS_BOT_LANGUAG", "did you mean QQOPS_BOT__LANGUAGE?"),
        ("QQOPS_PLUGIN", "did you mean QQOPS_PLUGINS?"),
        ("QQOPS_XYZZY", "a setting's variable is QQOPS_TABLE__KEY; unset this one"),
        ("QQOPS_SCHEMA", "a setting's variable is QQOPS_TABLE__KEY; unset this one"),
        ("QQOPS_PLUGINS", None),
        ("QQOPS_BOT__LANGUAGE", None),
        ("QQOPS_DEMO_PASSWORD", None),
        ("QQOPS_ESSENTIALS_TOKEN", None),
        ("QQOPS_QQ_OFFICIAL_X", None),
        ("HOME", None),
    ],
)
def test_a_variable_that_looks_like_a_setting_and_is_none_is_told(name, hint):
    data = {"accounts": {"demo": {"password": {"env": "QQOPS_DEMO_PASSWORD"}}}}
    told = [str(one) for one in strange({name: "x"}, data, ("essentials", "qq-official"), lambda: KEYS)]
    assert told == ([f"{name}: is no setting ({hint})"] if hint else [])


# -- files as people write them ------------------------------------------------------------------------------------


def test_a_later_file_is_told_so_before_its_keys_are_called_unknown(load):
    assert all_of(load, "schema = 2\nnew = 1\n[bot]\nlanguage = 5") == [
        "qqops.toml:1: schema: the file has layout 2, this qqops knows up to 1 (update qqops)"
    ]


def test_a_file_from_windows_is_read(tmp_path):
    path, secret = tmp_path / "qqops.toml", tmp_path / "pw"
    path.write_bytes(
        b"\xef\xbb\xbfschema = 1\r\n[accounts.a]\r\nnetwork = 'webqq'\r\npassword = { file = 'pw' }\r\n"
    )
    secret.write_bytes(b"\xef\xbb\xbfs3cret\r\n")
    for file in (path, secret):
        file.chmod(0o600)
    settings, file = load_settings(path, {})
    assert accounts(settings.accounts, file, NETWORKS, {})[0].options.password.reveal() == "s3cret"
    path.write_bytes(b"\xef\xbb\xbf\r\n[bot]\r\nlangage = 'zh'\r\n")
    with pytest.raises(ConfigError, match=r"qqops.toml:3: bot.langage"):
        load_settings(path, {})


def test_a_file_that_is_no_utf_8_names_the_line(tmp_path):
    path = tmp_path / "qqops.toml"
    path.write_bytes("[bot]\n# 机器人\n".encode("gb18030"))
    with pytest.raises(ConfigError, match=r"qqops.toml:2: is not UTF-8 \(save it as UTF-8\)"):
        load_settings(path, {})


# -- a plugin's own class ------------------------------------------------------------------------------------------


def test_what_validators_of_attrs_say_is_told_with_its_key_each(tmp_path):
    @attrs.frozen(kw_only=True)
    class Config:
        tries: int = attrs.field(default=3, validator=attrs.validators.ge(0))
        name: str = attrs.field(default="x", validator=attrs.validators.in_(("x", "y")))
        size: int = 1

    path = tmp_path / "qqops.toml"
    path.write_text("[plugins.p]\ntries = -1\nname = 'z'\n")
    told = [str(one).rpartition("/")[2] for one in _mistakes_of_table(path, Config)]
    assert [one.split(": ")[:2] for one in told] == [
        ["qqops.toml:2", "plugins.p.tries"],
        ["qqops.toml:3", "plugins.p.name"],
    ]
    assert "must be >= 0: -1" in told[0]
    path.write_text("[plugins.p]\ntries = -1\nname = 'z'\nsize = 'x'\n")
    assert len(_mistakes_of_table(path, Config)) == 3


def _mistakes_of_table(path, cls):
    settings, file = load_settings(path, {})
    with pytest.raises(ConfigError) as caught:
        plugin_config(settings, file, {}, "p", cls)
    return caught.value.all
