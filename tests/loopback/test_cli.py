"""The command line as a user calls it: real processes, real exit codes.

What is told by the way a process starts has an interpreter of its own (`qqops`, `Process`); the others are forked.
"""

import contextlib
import functools
import json
import os
import pathlib
import py_compile
import re
import signal
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).parents[2]
QQOPS = [sys.executable, "-m", "qqops"]
#: Seconds after which something hangs.
HANGS = 120


def qqops(*arguments, text="", cwd=None, env=None, timeout=HANGS):
    return subprocess.run(
        [*QQOPS, *arguments], input=text, capture_output=True, text=True, cwd=cwd, timeout=timeout,
        env={**os.environ, **(env or {})},
    )  # fmt: skip


@pytest.fixture
def forked(forks):
    return functools.partial(forks.run, "qqops")


def demo_block(name):
    text = (ROOT / name).read_text("utf-8")
    return re.search(r"<!-- demo -->\n```text\n(.*?)```\n<!-- /demo -->", text, re.DOTALL)[1].splitlines()


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
@pytest.mark.parametrize("profile", ["webqq2013", "smartqq"])
def test_the_demo_of_the_readme(forked, readme, profile):
    """The transcript in the README is what happens; only the lines about the connection may differ."""
    shown = demo_block(readme)
    typed = [
        re.sub(r"^\w+( in [\w-]+)?> ", "", line)
        for line in shown
        if re.match(r"(?!bot)\w+( in [\w-]+)?> |:", line)
    ]
    start = qqops if readme == "README.md" else forked
    done = start("demo", "--profile", profile, "--script", "-", text="\n".join(typed))
    assert done.returncode == 0, done.stderr
    got = [line for line in done.stdout.splitlines() if not line.startswith("* connection:")]
    assert got == shown
    assert "* connection: waiting" in done.stdout
    assert not done.stderr


def test_a_missed_expectation_fails_the_script(forked):
    done = forked("demo", "--script", "-", text="/ping\n:expect nope within 0.2\n/never")
    assert done.returncode == 1
    assert "expected 'nope' within 0.2 s; instead came:\n  pong" in done.stderr
    assert "never" not in done.stdout


def test_the_console_takes_the_same_lines(tmp_path, forked):
    script = tmp_path / "lines"
    script.write_text("/ping\n:drop\n/echo 你好\n:expect 你好\n:state\n:quit\n/never", "utf-8")
    done = forked("console", "--script", str(script))
    assert (done.returncode, done.stderr) == (0, "")
    assert "bot> 你好" in done.stdout
    assert "never" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (["demo", "--profile", "icq"], "", "icq"),
        (["demo", "--script", "/nowhere"], "", "cannot read the script /nowhere"),
        (["demo", "--nonsense"], "", "nonsense"),
        (["dmeo"], "", "dmeo"),
        (["console", "--script", "-"], ":as zed", "line 1: there is no person 'zed' (there are: Ali, Bo)"),
        (["console", "--script", "-"], "/ping\n:sing", "line 2: unknown line :sing (:help lists them)"),
        (["console", "--script", "-"], ":faults close", "no wire to break"),
        (["console", "--script", "-"], ":expect (", "cannot expect"),
        (["run", "-c", "none.toml"], "", "there is no file none.toml"),
        (["simulate", "webqq", "--hold", "0"], "", "--hold must be > 0 seconds"),
        (["simulate", "webqq", "--world", "none.toml"], "", "cannot read the world"),
        (["simulate", "webqq", "--host", "300.1.1.1"], "", "cannot listen on 300.1.1.1"),
    ],
)
def test_wrong_arguments_get_one_message_and_code_2(arguments, text, message, tmp_path, forked):
    done = forked(*arguments, text=text, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


class Process:
    """A running command whose output can be read line by line."""

    def __init__(self, *arguments, cwd=None, env=None, forks=None):
        if forks is not None:
            self.process = forks.start("qqops", *arguments, cwd=cwd, env=env)
        else:
            self.process = subprocess.Popen(
                [*QQOPS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd,
                env={**os.environ, **(env or {})},
            )  # fmt: skip
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if isinstance(self.process, subprocess.Popen):
            self.process.kill()
            self.process.communicate()
        else:
            self.process.close()

    def end(self, how, code=0):
        """Send *how*; it must end by itself, with *code*."""
        self.process.send_signal(how)
        assert self.process.wait(HANGS) == code

    def until(self, pattern, stream):
        for line in getattr(self.process, stream):
            self.seen += line
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"{pattern!r} never came; exit code {self.process.wait(HANGS)}")


def control(url, method, name, data=None):
    body = json.dumps(data or {}).encode() if method == "POST" else None
    request = urllib.request.Request(f"{url}/__control/{name}", method=method, data=body)
    with urllib.request.urlopen(request, timeout=HANGS) as answer:
        return json.load(answer)


def until_sent(url, count=1):
    """Return what the simulator has taken, once that is *count* messages."""
    end = time.monotonic() + HANGS
    while len(sent := control(url, "GET", "sent")["sent"]) < count:
        assert time.monotonic() < end, f"only {sent}"
        time.sleep(0.01)
    return sent


def test_init_check_run_against_the_simulator_and_stop(tmp_path, forked, forks):
    """The way of a new owner: init, check, simulator, run, a message, SIGTERM."""
    assert qqops("init", cwd=tmp_path).returncode == 0
    again = forked("init", cwd=tmp_path)
    assert (again.returncode, "--force" in again.stderr) == (2, True)
    assert "QQOPS_DEMO_PASSWORD is not set" in forked("check", cwd=tmp_path).stderr
    env = {"QQOPS_DEMO_PASSWORD": "sim-pass-1"}
    checked = qqops("check", "--strict", cwd=tmp_path, env=env)
    assert re.fullmatch(r"qqops\.toml: 1 accounts, 3 plugins, \d+ commands, 0 skipped\n", checked.stdout)
    assert forked("audit", "--verify", cwd=tmp_path).stdout == "good: 0 entries, none missing or changed\n"
    with Process("simulate", "webqq", "--hold", "5", forks=forks) as simulator:
        url = simulator.until(r"^ready (http://127\.0\.0\.1:\d+)$", "stdout")[1]
        env["QQOPS_ACCOUNTS__DEMO__ENDPOINTS"] = f'{{ "*" = "{url}" }}'
        with Process("run", "--log-format", "json", cwd=tmp_path, env=env) as bot:
            bot.until(r'"command": "/owner [A-Z0-9-]{14}"', "stderr")
            bot.until('"event": "online"', "stderr")
            control(url, "POST", "inject", {"kind": "group", "from": "Ali", "room": "ops", "text": "/ping"})
            sent = until_sent(url)
            assert (sent[0]["target"], sent[0]["number"], sent[0]["text"]) == ("ops", 30002, "pong")
            bot.end(signal.SIGTERM)
            assert all(json.loads(line) for line in bot.process.stderr)
        with Process("run", "--log-format", "json", cwd=tmp_path, env=env) as bot:
            bot.until('"event": "online"', "stderr")
            state = control(url, "GET", "state")
            assert (state["logins"], state["relinks"]) == (1, 1), "the saved login was taken up again"
            bot.end(signal.SIGTERM)
        simulator.end(signal.SIGTERM)


@pytest.mark.parametrize("profile", ["webqq2013", "smartqq"])
def test_secrets_do_not_show_in_a_debug_log(tmp_path, profile, forks):
    """A session with all that can go wrong in it; its log is searched for every value that opens something."""
    forks.run("qqops", "init", cwd=tmp_path)
    with Process("simulate", "webqq", "--hold", "1", "--seed", "5", forks=forks) as simulator:
        url = simulator.until(r"^ready (\S+)$", "stdout")[1]
        env = {"QQOPS_DEMO_PASSWORD": "sim-pass-1", "QQOPS_ACCOUNTS__DEMO__ENDPOINTS": f'{{ "*" = "{url}" }}',
               "QQOPS_ACCOUNTS__DEMO__PROFILE": profile, "QQOPS_ACCOUNTS__DEMO__POLL_HOLD": "1.0",
               "QQOPS_ACCOUNTS__DEMO__LINK__RETRY_CAP": "0.3", "QQOPS_ACCOUNTS__DEMO__QR_INTERVAL": "0.05", "QQOPS_ACCOUNTS__DEMO__KICK_PAUSE": "0.1"}  # fmt: skip
        secrets = {"sim-pass-1"}

        def note():
            saved = json.loads((tmp_path / "qqops-data" / "webqq-demo.session.json").read_text())
            names = ("psessionid", "vfwebqq", "ptwebqq")
            secrets.update(saved[name] for name in names)
            hidden = (
                "skey",
                "superkey",
                "supertoken",
                "p_skey",
                "pt4_token",
                "ptcz",
                "RK",
                "qrsig",
                "verifysession",
            )
            secrets.update(value for _, name, value in saved["cookies"] if name in hidden)

        with Process("run", "--log-level", "debug", cwd=tmp_path, env=env, forks=forks) as bot:
            bot.until("online", "stderr")
            note()
            for fault in ("html", "http", "close"):
                control(url, "POST", "faults", {"fault": fault, "on": "poll2", "count": 1})
            control(url, "POST", "faults", {"fault": "html", "on": "get_", "count": 2})
            control(url, "POST", "inject", {"kind": "group", "from": "Ali", "room": "ops", "text": "/ping"})
            until_sent(url)
            control(url, "POST", "ptwebqq")
            for call in ("drop", "expire", "kick"):
                with contextlib.suppress(urllib.error.HTTPError):
                    control(url, "POST", call)
                bot.until("online", "stderr")
                note()
            control(url, "POST", "faults", {"fault": "html", "on": "login", "count": 3})
            control(url, "POST", "expire")
            bot.until("online", "stderr")
            note()
            bot.end(signal.SIGINT)
            log = bot.seen + bot.process.stderr.read()
        secrets = {secret for secret in secrets if len(secret) >= 6}
        assert len(secrets) > 15
        assert "waiting" in log
        assert [secret for secret in secrets if secret in log] == []
        for path in (tmp_path / "qqops-data").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def install(folder, package, version, entry, source):
    """Write a distribution with one plugin in a module ``PACKAGE_plugin``; return the module's file."""
    dist = folder / f"{package}-{version}.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (dist / "entry_points.txt").write_text(f"[qqops.plugins]\n{entry}\n")
    module = folder / f"{package}_plugin.py"
    module.write_text(source)
    return module


def says(name, *, aliases=()):
    return (
        f"from qqops import Plugin\nplugin = Plugin('any')\n@plugin.command('status', aliases={aliases})\n"
        f"async def status() -> str:\n    return 'status of {name}'\n"
        f"@plugin.group('flag').command('set')\nasync def flag() -> str:\n    return 'flag of {name}'\n"
    )


def test_a_second_signal_stops_at_once(tmp_path, forks):
    """A handler that will not end holds the first signal up; the second one does not wait."""
    (tmp_path / "sticky_plugin.py").write_text(
        "import trio\nfrom qqops import Connected, Plugin\nplugin = Plugin('sticky')\n"
        "@plugin.on(Connected, timeout=1000)\nasync def stay() -> None:\n    await trio.sleep(1000)\n"
    )
    dist = tmp_path / "sticky-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: sticky\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[qqops.plugins]\nsticky = sticky_plugin\n")
    (tmp_path / "qqops.toml").write_text("[bot]\ngrace_seconds = 500\n[accounts.a]\nnetwork = 'memory'\n")
    env = {"PYTHONPATH": str(tmp_path)}
    assert "sticky" in forks.run("qqops", "plugin", "list", cwd=tmp_path, env=env).stdout
    with Process("run", cwd=tmp_path, env=env, forks=forks) as bot:
        bot.until("online", "stderr")
        bot.process.send_signal(signal.SIGINT)
        bot.until("stopping", "stderr")
        bot.end(signal.SIGINT, 130)


def test_a_plugin_that_shields_itself_does_not_keep_the_process(tmp_path, forks):
    source = (
        "import trio\nfrom qqops import Connected, Logger, Plugin\nplugin = Plugin('deaf')\n"
        "@plugin.on(Connected)\nasync def stay(*, log: Logger) -> None:\n    log.info('hears nothing')\n"
        "    with trio.CancelScope(shield=True):\n        await trio.sleep_forever()\n"
    )
    install(tmp_path, "deaf", "1.0", "deaf = deaf_plugin", source)
    (tmp_path / "qqops.toml").write_text("[bot]\ngrace_seconds = 500\n[accounts.a]\nnetwork = 'memory'\n")
    with Process("run", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, forks=forks) as bot:
        bot.until("hears nothing", "stderr")
        bot.process.send_signal(signal.SIGINT)
        bot.until("stopping", "stderr")
        bot.process.send_signal(signal.SIGINT)
        bot.until("the process is ended, as the bot does not end.*run #0001 of deaf:stay", "stderr")
        assert bot.process.wait(HANGS) == 130


def test_a_broken_plugin_is_named_and_the_rest_runs(tmp_path, forks):
    (tmp_path / "broken_plugin.py").write_text("x = 1\nraise ValueError('no luck')\n")
    dist = tmp_path / "broken-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text("[qqops.plugins]\nbroken = broken_plugin\n")
    env = {"PYTHONPATH": str(tmp_path)}
    checked = forks.run("qqops", "check", cwd=tmp_path, env=env)
    assert checked.returncode == 0
    line = f"plugin broken (broken 1.0) skipped: {tmp_path / 'broken_plugin.py'}:2: ValueError: no luck"
    assert line in checked.stdout
    assert forks.run("qqops", "check", "--strict", cwd=tmp_path, env=env).returncode == 1
    assert "ValueError: no luck" in forks.run("qqops", "plugin", "list", cwd=tmp_path, env=env).stdout
    assert forks.run("qqops", "doctor", cwd=tmp_path, env=env).returncode == 1
    done = forks.run("qqops", "console", "--script", "-", text="/ping\n:expect pong", cwd=tmp_path, env=env)
    assert done.returncode == 0
    assert "plugin broken (broken 1.0) skipped" in done.stderr


TICKS = """
from qqops import Logger, Plugin

plugin = Plugin("ticking")


@plugin.job(every=0.1)
async def tick(*, log: Logger) -> None:
    log.info("tick", word="{word}")
"""


def test_a_plugin_beside_the_settings_runs_and_the_first_lines_say_so(tmp_path, forks):
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "ticking.py").write_text(TICKS.format(word="one"))
    (tmp_path / "plugins" / "broken.py").write_text("def f(:")
    (tmp_path / "qqops.toml").write_text("[accounts.a]\nnetwork = 'memory'\n")
    checked = forks.run("qqops", "check", "--strict", cwd=tmp_path)
    assert checked.returncode == 1
    broken = f"plugin broken (plugins/broken.py) skipped: {tmp_path}/plugins/broken.py:1: SyntaxError"
    assert broken in checked.stdout
    listed = forks.run("qqops", "plugin", "list", cwd=tmp_path).stdout
    assert re.search(r"^ticking +- +loaded +\d+ ms +plugins/ticking\.py$", listed, re.MULTILINE)
    with Process("run", "--dev", "--log-format", "json", cwd=tmp_path, forks=forks) as bot:
        said = json.loads(bot.until('"event": "started"', "stderr").string)
        assert "ticking" in said["plugins"]
        assert any(one.startswith("essentials ") for one in said["plugins"])
        assert said["commands"] > 20
        (skipped,) = said["skipped"]
        assert skipped.startswith("broken (plugins/broken.py): ")
        bot.until('"word": "one"', "stderr")
        (tmp_path / "plugins" / "ticking.py").write_text(TICKS.format(word="two"))
        bot.until('"word": "two"', "stderr")
        (tmp_path / "plugins" / "later.py").write_text(TICKS.format(word="three").replace("ticking", "later"))
        bot.until('"word": "three"', "stderr")
        bot.end(signal.SIGTERM)


@pytest.mark.parametrize("command", ["console", "demo"])
def test_a_stage_has_the_plugins_and_settings_beside_it_or_those_that_are_named(tmp_path, forks, command):
    source = (
        "import attrs\nfrom qqops import Plugin\nplugin = Plugin('hello')\n"
        "@plugin.config\n@attrs.frozen\nclass Config:\n    word: str = 'hello'\n"
        "@plugin.command\nasync def hello(*, cfg: Config) -> str:\n    return cfg.word\n"
    )
    script = ["--script", "-"]
    for folder in ("plugins", "others"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "hello.py").write_text(source)

    def play(*arguments, expected):
        text = f"/hello\n:expect {expected}"
        return forks.run("qqops", command, *script, *arguments, text=text, cwd=tmp_path)

    alone = play(expected="^hello within 0.1")
    assert alone.returncode == 1, "code of a folder without settings is not run by chance"
    assert (
        "* not loaded, as there is no qqops.toml here: plugins/hello.py; add --plugins plugins"
        in alone.stderr
    )
    assert play("--plugins", "others", expected="^hello$").returncode == 0
    (tmp_path / "qqops.toml").write_text(
        "[accounts.a]\nnetwork = 'webqq'\n[rooms.qqops-test]\naccount = 'a'\n[plugins.hello]\nword = 'hi'\n"
    )
    assert play(expected="^hi$").returncode == 0
    assert play("--plugins", "others", expected="^hi$").returncode == 0
    (tmp_path / "other.toml").write_text("[plugins.hello]\nword = 'hey'\n")
    assert play("-c", "other.toml", expected="^hey$").returncode == 0
    for wrong, message in (
        (["--plugins", "none"], "there is no folder none"),
        (["-c", "none.toml"], "there is no file none.toml"),
    ):
        done = play(*wrong, expected="x")
        assert (done.returncode, message in done.stderr) == (2, True)


def test_with_dev_a_running_bot_reloads_what_changes_on_disk(tmp_path, forks):
    module = install(tmp_path, "ticking", "1.0", "ticking = ticking_plugin", TICKS.format(word="one"))
    (tmp_path / "qqops.toml").write_text("[accounts.a]\nnetwork = 'memory'\n")
    env = {"PYTHONPATH": str(tmp_path)}
    with Process("run", "--dev", cwd=tmp_path, env=env, forks=forks) as bot:
        bot.until("word=one", "stderr")
        module.write_text("def f(:")
        bot.until("plugin not reloaded, the old copy goes on.*SyntaxError", "stderr")
        bot.until("word=one", "stderr")
        module.write_text(TICKS.format(word="two"))
        bot.until("word=two", "stderr")
        bot.end(signal.SIGTERM)


def test_with_dev_what_somebody_has_compiled_in_the_same_second_is_not_taken_for_the_source(tmp_path, forks):
    module = install(tmp_path, "ticking", "1.0", "ticking = ticking_plugin", TICKS.format(word="one"))
    (tmp_path / "qqops.toml").write_text("[accounts.a]\nnetwork = 'memory'\n")
    second = 1_600_000_000 * 10**9
    os.utime(module, ns=(second, second))
    py_compile.compile(module)
    module.write_text(TICKS.format(word="two"))
    os.utime(module, ns=(second, second + 1000))
    with Process("run", "--dev", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, forks=forks) as bot:
        assert bot.until(r"word=(\w+)", "stderr")[1] == "two"
        py_compile.compile(module)
        module.write_text(TICKS.format(word="six"))
        os.utime(module, ns=(second, second + 2000))
        bot.until("plugin reloaded", "stderr")
        assert bot.until(r"word=(\w+)", "stderr")[1] == "six"
        bot.end(signal.SIGTERM)


def test_a_running_bot_is_warned_of_a_variable_that_is_no_setting(tmp_path, forks):
    (tmp_path / "qqops.toml").write_text("[accounts.a]\nnetwork = 'memory'\n")
    with Process("run", cwd=tmp_path, env={"QQOPS_BOT_LANGUAGE": "zh"}, forks=forks) as bot:
        bot.until("a variable that is no setting.*QQOPS_BOT__LANGUAGE", "stderr")
        bot.until("online", "stderr")


def test_a_single_plugin_is_checked(tmp_path, forks):
    module = install(tmp_path, "ticking", "1.0", "ticking = ticking_plugin", TICKS.format(word="one"))
    env = {"PYTHONPATH": str(tmp_path)}
    checked = forks.run("qqops", "plugin", "check", "ticking", cwd=tmp_path, env=env)
    assert checked.returncode == 0
    assert checked.stdout == f"ticking (ticking 1.0): loaded\n  job tick  {module}:7\n"
    unknown = forks.run("qqops", "plugin", "check", "tickin", cwd=tmp_path, env=env)
    assert unknown.returncode == 2
    assert "there is no plugin 'tickin' (did you mean 'ticking'?)" in unknown.stderr
    module.write_text("import no_such_thing\n")
    checked = forks.run("qqops", "plugin", "check", cwd=tmp_path, env=env)
    assert checked.returncode == 1
    assert f"ticking (ticking 1.0): skipped: {module}:1: ModuleNotFoundError" in checked.stdout
    assert "essentials (qqops-essentials" in checked.stdout


def test_two_packages_with_one_name_are_both_shown(tmp_path, forks):
    install(tmp_path, "alpha", "1.0", "deploy = alpha_plugin", says("alpha"))
    install(tmp_path, "beta", "2.0", "deploy = beta_plugin", says("beta"))
    env = {"PYTHONPATH": str(tmp_path)}
    checked = forks.run("qqops", "check", cwd=tmp_path, env=env)
    assert checked.returncode == 0
    line = "plugin deploy (beta 2.0) skipped: its name is taken: deploy (alpha 1.0) is loaded, and beta 2.0 has a plugin"
    assert line in checked.stdout
    assert forks.run("qqops", "check", "--strict", cwd=tmp_path, env=env).returncode == 1
    listed = forks.run("qqops", "plugin", "list", cwd=tmp_path, env=env).stdout
    assert re.search(r"^deploy +1.0 +loaded +\d+ ms +alpha$", listed, re.MULTILINE)
    assert re.search(r"^deploy +2.0 +skipped +- +beta$", listed, re.MULTILINE)
    assert "\ndeploy (beta 2.0): its name is taken" in listed
    done = forks.run("qqops", "console", "--script", "-", text="/status\n:quit", cwd=tmp_path, env=env)
    assert "bot> status of alpha" in done.stdout
    assert "* plugin deploy (beta 2.0) skipped: its name is taken" in done.stderr
    assert "plugin deploy (beta 2.0) is skipped" in forks.run("qqops", "doctor", cwd=tmp_path, env=env).stdout


def test_the_owner_settles_what_two_plugins_want(tmp_path, forks):
    install(tmp_path, "alpha", "1.0", "alpha = alpha_plugin", says("alpha", aliases=("st",)))
    install(tmp_path, "beta", "2.0", "beta = beta_plugin", says("beta", aliases=("st",)))
    env, settings = {"PYTHONPATH": str(tmp_path)}, tmp_path / "qqops.toml"

    def check(text):
        settings.write_text(text)
        done = forks.run("qqops", "check", "--strict", cwd=tmp_path, env=env)
        return done.returncode, done.stdout

    code, shown = check("")
    assert code == 1
    for name in ("status", "st", "flag set"):
        assert (
            f"plugin beta (beta 2.0): the command {name!r} is that of 'alpha'; the other one is beta:{name}"
            in shown
        )
    code, shown = check("[commands]\nstatus = 'beta'\nst = 'alpha'\n'Flag  Set' = 'beta'\n")
    assert code == 0, shown
    assert (
        "plugin beta (beta 2.0): the command 'status' is that of 'beta'; the other one is alpha:status"
        in shown
    )
    code, shown = check("[commands]\nstatus = 'beta'\nst = 'alpha'\n'flag set' = 'beta'\ngone = 'beta'\n")
    assert code == 1
    assert "qqops.toml:5: commands.gone: 'gone' is given to 'beta', which has none of this name" in shown


def test_an_error_inside_a_library_is_shown_in_full_on_demand(tmp_path, forks):
    module = install(tmp_path, "deep", "1.0", "deep = deep_plugin", "import json\n\njson.loads('{')\n")
    env = {"PYTHONPATH": str(tmp_path)}
    checked = forks.run("qqops", "check", cwd=tmp_path, env=env)
    assert (
        f"plugin deep (deep 1.0) skipped: {module}:3: JSONDecodeError: Expecting property name"
        in checked.stdout
    )
    assert "Traceback" not in checked.stdout + checked.stderr
    full = forks.run("qqops", "check", "--traceback", cwd=tmp_path, env=env).stdout
    assert f'  Traceback (most recent call last):\n    File "{module}", line 3, in <module>\n' in full
    assert "\n  json.decoder.JSONDecodeError: Expecting property name" in full
    (tmp_path / "qqops.toml").write_text("[accounts.a]\nnetwork = 'memory'\n")
    for level, shown in (("info", False), ("debug", True)):
        with Process("run", "--log-level", level, cwd=tmp_path, env=env, forks=forks) as bot:
            bot.until("online", "stderr")
            assert (f'File "{module}", line 3, in <module>' in bot.seen) is shown
            bot.end(signal.SIGINT)


def test_a_ctrl_c_while_a_plugin_is_imported_ends_the_program(tmp_path, forks):
    source = "import sys, time\nprint('importing', flush=True, file=sys.stderr)\ntry:\n    time.sleep(100)\nexcept BaseException:\n    pass\n"
    install(tmp_path, "slow", "1.0", "slow = slow_plugin", source + says("slow"))
    (tmp_path / "qqops.toml").write_text("[accounts.a]\nnetwork = 'memory'\n")
    with Process("run", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, forks=forks) as bot:
        bot.until("importing", "stderr")
        bot.end(signal.SIGINT, 130)


def test_what_a_plugin_raises_at_import_takes_out_this_plugin_alone(tmp_path, forks):
    for name, what in (("cancels", "__import__('asyncio').CancelledError"), ("presses", "KeyboardInterrupt")):
        install(tmp_path, name, "1.0", f"{name} = {name}_plugin", f"raise {what}\n")
    done = forks.run(
        "qqops", "console", "--script", "-", text="/ping\n:expect pong", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}
    )  # fmt: skip
    assert done.returncode == 0
    assert (
        f"* plugin cancels (cancels 1.0) skipped: {tmp_path / 'cancels_plugin.py'}:1: CancelledError"
        in done.stderr
    )
    assert (
        f"* plugin presses (presses 1.0) skipped: {tmp_path / 'presses_plugin.py'}:1: KeyboardInt"
        in done.stderr
    )


def test_all_accounts_stopped_is_exit_code_3(tmp_path, forks):
    forks.run("qqops", "init", cwd=tmp_path)
    with Process("simulate", "webqq", forks=forks) as simulator:
        url = simulator.until(r"^ready (\S+)$", "stdout")[1]
        env = {"QQOPS_DEMO_PASSWORD": "wrong", "QQOPS_ACCOUNTS__DEMO__ENDPOINTS": f'{{ "*" = "{url}" }}'}
        done = forks.run("qqops", "run", cwd=tmp_path, env=env)
        assert done.returncode == 3
        assert "密码不正确" in done.stderr


def test_doctor_finds_nothing_wrong_here(tmp_path, forked):
    done = forked("doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "FAIL" not in done.stdout


def test_the_demo_on_onebot(forked):
    script = "/ping\n:as bo\n/echo 你好\n:expect 你好\n:state\n:drop\n:quit"
    done = forked("demo", "--network", "onebot11", "--script", "-", text=script)
    assert done.returncode == 0, done.stderr
    assert "bot> pong" in done.stdout
    assert "bot> 你好" in done.stdout
    assert "* closed connections: 1" in done.stdout
    assert not done.stderr


@pytest.mark.parametrize("flavor", ["napcat", "gocq"])
def test_a_simulated_implementation_and_a_bot_as_processes(flavor, tmp_path, forks):
    """`qqops simulate onebot11` and `qqops run`: a bot that answers, its settings checked before."""
    with Process("simulate", "onebot11", "--flavor", flavor, "--token", "t", forks=forks) as simulator:
        url = simulator.until(r"^ready (ws://127\.0\.0\.1:\d+/)$", "stdout")[1]
        text = f'[accounts.main]\nnetwork = "onebot11"\nurl = "{url}"\ntoken = "t"\nroom_gap = 0\n'
        (tmp_path / "qqops.toml").write_text(text)
        assert "others can read it" in forks.run("qqops", "check", cwd=tmp_path).stderr
        (tmp_path / "qqops.toml").chmod(0o600)
        checked = forks.run("qqops", "check", cwd=tmp_path)
        assert checked.returncode == 0, checked.stderr
        http = url.replace("ws://", "http://").rstrip("/")
        with Process("run", "--log-format", "json", cwd=tmp_path, forks=forks) as bot:
            bot.until('"event": "online"', "stderr")
            control(http, "POST", "inject", {"kind": "group", "from": "Ali", "room": "ops", "text": "/ping"})
            assert until_sent(http)[0]["text"] == "pong"
            bot.end(signal.SIGTERM)
        simulator.end(signal.SIGTERM)


def test_a_simulated_implementation_that_cannot_be(forked):
    for arguments, message in (
        (["--flavor", "mirai"], "mirai"),
        (["--port", "99999"], "--port must be 0 to 65535"),
    ):
        done = forked("simulate", "onebot11", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr
