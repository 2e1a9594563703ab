"""Settings: every mistake is named with file, line, key and what to do."""

import re

import attrs
import pytest

from qqops import core_plugin
from qqops._accounts import AccountSettings, accounts
from qqops.adapters import memory
from qqops.adapters.base import Network
from qqops.cli.config import TEMPLATE
from qqops.errors import ConfigError, PluginError
from qqops.model import Secret
from qqops.runtime.supervisor import LinkPolicy, Reconnect
from qqops.settings import load_settings

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
        ("[bot]\nlangage='zh'", ":2: bot.langage: unknown key 'langage' (did you mean 'language'?)"),
        ("\n[bot]\nlanguage=5", ":3: bot.language: must be a text, got 5"),
        ("[bot]\nlanguage='fr'", ":2: bot.language: unknown language 'fr' (one of: en, zh)"),
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
            ":4: accounts.a.link.retry_first: must be > 0 seconds, got 0",
        ),
        (
            "[accounts.a]\nnetwork='memory'\nlink.retry_first=0",
            ":3: accounts.a.link.retry_first: must be > 0 seconds, got 0",
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
        f"{path}:6: accounts.c.nick: ?TOKEN=*** is the account 'b' already "
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
