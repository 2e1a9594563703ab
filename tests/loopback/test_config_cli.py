"""`qqops check`, `doctor` and `config`: what one calls an error the others do not call fine."""

import re

import pytest

WRONG = """\
[bot]
langage = "zh"
grace_seconds = -1
[accounts.a]
network = "memory"
nik = "x"
[accounts.b]
network = "webqq"
profile = "webqq2013"
endpoints = { "*" = "ftp://x" }
[plugins.essentials]
tz = 5
more = 1
"""
RIGHT = """\
[bot]
language = "zh"
[accounts.a]
network = "webqq"
password = { env = "QQOPS_DEMO_PASSWORD" }
endpoints = { "*" = "http://127.0.0.1:1?token=s3cret" }
link.retry_cap = 5
[plugins.essentials]
tz = "UTC"
"""


@pytest.fixture
def run(tmp_path, forks):
    def run(*arguments, text=None, env=None):
        if text is not None:
            (tmp_path / "qqops.toml").write_text(text)
        return forks.run("qqops", *arguments, cwd=tmp_path, env=env or {})

    return run


def told(done):
    """Places and keys of the mistakes in what was printed."""
    return re.findall(r"^qqops: (\S+): (\S+):", done.stderr, re.MULTILINE)


EVERY = [
    ("qqops.toml:3", "bot.grace_seconds"),
    ("qqops.toml:2", "bot.langage"),
    ("qqops.toml:6", "accounts.a.nik"),
]


def test_each_command_tells_all_mistakes_at_once(run):
    tables = [("qqops.toml:12", "plugins.essentials.tz"), ("qqops.toml:13", "plugins.essentials.more")]
    checked = run("check", text=WRONG)
    assert (checked.returncode, told(checked)) == (2, EVERY)
    for place, key in tables:
        assert f"plugin essentials (qqops-essentials 0.1.0) skipped: {place}: {key}: " in checked.stdout
    ran = run("run")
    assert (ran.returncode, told(ran)) == (2, EVERY)
    config = run("config", "check")
    assert (config.returncode, told(config)) == (2, [*EVERY, *tables])
    for command in (["plugin", "list"], ["plugin", "check"], ["config", "explain"]):
        done = run(*command)
        assert (done.returncode, told(done)) == (2, EVERY), command
    for command in (["backup", "x"], ["audit"]):
        done = run(*command)
        assert (done.returncode, told(done)) == (2, EVERY[:2]), command
    doctor = run("doctor")
    assert doctor.returncode == 1
    for place, key in (*EVERY, *tables):
        assert re.search(rf"^\[FAIL\] .*{re.escape(f'{place}: {key}: ')}", doctor.stdout, re.MULTILINE), key


def test_what_a_network_says_of_its_options_is_told_with_their_lines(run):
    done = run(
        "check", text=WRONG.replace('langage = "zh"\ngrace_seconds = -1\n', "").replace('nik = "x"', "")
    )
    assert done.returncode == 2
    assert "qqops.toml:5: accounts.b: profile webqq2013 needs number and password" in done.stderr
    assert "qqops.toml:8: accounts.b.endpoints.*: must be http://HOST:PORT, got ftp://x" in done.stderr


SETUPS = {
    "fine": ("[accounts.a]\nnetwork = 'memory'\n", {}),
    "settings": ("[bot]\nx = 1\n", {}),
    "no TOML": ("x", {}),
    "account": ("[accounts.a]\nnetwork = 'x'\n", {}),
    "table of a plugin": ("[plugins.essentials]\nx = 1\n", {}),
    "no such plugin": ("[plugins.nowhere]\nx = 1\n", {}),
    "command of nobody": ("[commands]\nnothing = 'essentials'\n", {}),
    "variable": ("", {"QQOPS_BOT_LANGUAGE": "zh"}),
    "value of a variable": ("", {"QQOPS_BOT__LANGUAGE": "fr"}),
}


@pytest.mark.parametrize("name", SETUPS)
def test_check_and_doctor_agree(run, name):
    text, env = SETUPS[name]
    check, doctor = run("check", "--strict", text=text, env=env), run("doctor", env=env)
    assert (check.returncode != 0) is (doctor.returncode != 0) is (name != "fine"), (check, doctor)


def test_a_variable_that_is_no_setting_is_an_error_of_check_and_a_warning_of_run(run):
    env = {
        "QQOPS_BOT_LANGUAGE": "zh",
        "QQOPS_DEMO_PASSWORD": "x",
        "QQOPS_ESSENTIALS_OWN": "x",
        "QQOPS_PLUGINS": "",
    }
    line = "QQOPS_BOT_LANGUAGE: is no setting (did you mean QQOPS_BOT__LANGUAGE?)"
    checked = run("check", text=RIGHT, env=env)
    assert (checked.returncode, checked.stderr) == (2, f"qqops: {line}\n")
    assert f"[FAIL] {line}" in run("doctor", env=env).stdout
    ran = run("run", text="[accounts.a]\nnetwork = 'memory'\nlink.reconnect = 'x'\n", env=env)
    assert ran.returncode == 2
    assert "QQOPS_BOT_LANGUAGE" not in ran.stderr  # it is not why the bot does not start


NAMED = [["check"], ["doctor"], ["plugin", "list"], ["plugin", "check"], ["run"], ["backup", "x"], ["audit"],
         ["restore", "x"], ["config", "check"], ["config", "explain"]]  # fmt: skip


@pytest.mark.parametrize("command", NAMED, ids=" ".join)
def test_a_file_that_was_named_must_be_there(run, command):
    done = run(*command, "-c", "nope.toml")
    assert done.returncode == (1 if command == ["doctor"] else 2)
    assert "there is no file nope.toml" in done.stderr + done.stdout


def test_without_a_file_the_plugins_are_looked_at_unless_one_was_named(run):
    assert run("check").returncode == 0
    assert run("check", "-c", "qqops.toml").returncode == 2
    assert run("config", "check").returncode == 2


# -- explain -------------------------------------------------------------------------------------------------------


ENV = {"QQOPS_DEMO_PASSWORD": "hunter2", "QQOPS_BOT__GRACE_SECONDS": "3", "QQOPS_ACCOUNTS__A__STATUS": "away"}


def explained(done):
    """key → (value, where it comes from)."""
    assert done.returncode == 0, done.stderr
    head, *lines = [re.split(r"  +", line) for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert head == ["setting / 设置项", "value / 值", "from / 来源"]
    return {key: (value, origin) for key, value, origin in lines}


def test_config_explain_shows_what_holds_and_where_it_comes_from(run):
    done = run("config", "explain", text=RIGHT, env=ENV)
    found = explained(done)
    assert found["bot.language"] == ('"zh"', "qqops.toml:2")
    assert found["bot.grace_seconds"] == ("3", "QQOPS_BOT__GRACE_SECONDS")
    assert found["bot.tune_gc"] == ("true", "default / 默认")
    assert found["accounts.a.network"] == ('"webqq"', "qqops.toml:4")
    assert found["accounts.a.status"] == ('"away"', "QQOPS_ACCOUNTS__A__STATUS")
    assert found["accounts.a.password"] == ("***", "qqops.toml:5")
    assert found["accounts.a.link.retry_cap"] == ("5", "qqops.toml:7")
    assert found["accounts.a.link.retry_first"] == ("1", "default / 默认")
    assert found["plugins.essentials.tz"] == ('"UTC"', "qqops.toml:9")
    assert not re.search("hunter2|s3cret", done.stdout + done.stderr)


def test_config_explain_tells_what_a_setting_or_a_table_means(run):
    one = run("config", "explain", "accounts.a.link.retry_cap", text=RIGHT, env=ENV)
    assert one.stdout.splitlines()[1:] == [
        "accounts.a.link.retry_cap  5           qqops.toml:7",
        "    Longest back-off window in seconds.",
    ]
    assert set(explained(run("config", "explain", "rules", env=ENV))) == {"rules.allow", "rules.deny"}
    assert len(explained(run("config", "explain", "accounts.a.link", env=ENV))) == 5


def test_config_explain_names_the_nearest_of_what_there_is_not(run):
    for wrong, near in (
        ("bot.langage", "bot.language"),
        ("dispach", "dispatch"),
        ("accounts.a.lin", "accounts.a.link"),
    ):
        done = run("config", "explain", wrong, text=RIGHT, env=ENV)
        assert done.returncode == 2
        assert f"there is no setting {wrong!r} (did you mean {near!r}?)" in done.stderr


def test_config_explain_shows_nothing_of_the_table_of_a_plugin_that_is_not_loaded(run):
    found = explained(
        run(
            "config",
            "explain",
            text="[plugins]\noff = ['essentials']\n[plugins.essentials]\ntz = 'hunter2'\n",
        )
    )
    assert found["plugins.essentials.tz"] == ("***", "qqops.toml:4")


# -- scripts -------------------------------------------------------------------------------------------------------


def test_a_script_from_windows_is_played(run, tmp_path, forks):
    """Its first line is a line of the play, and not what somebody says."""
    text = "\ufeff:quit\r\n:expect never within 0.1\r\n"
    (tmp_path / "script.txt").write_bytes(text.encode())
    for done in (
        run("console", "--script", "script.txt"),
        forks.run("qqops", "console", "--script", "-", cwd=tmp_path, text=text),
    ):
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == ":quit"
