"""Plugins beside the settings: a file or a folder each is found, loaded, reloaded and told of like an installed one."""

import os
import sys

import pytest
import trio

from qqops.assemble import make_app
from qqops.cli.dev import watch
from qqops.errors import ConfigError
from qqops.plugin._beside import find
from qqops.plugin._modules import BESIDE
from qqops.plugin.host import Host, PluginState
from qqops.runtime.registry import Registry
from qqops.settings import load_settings
from qqops.testing.bots import Nobody
from qqops.testing.virtual import HeldThreads

GOOD = """\
from qqops import Plugin

plugin = Plugin("{name}")


@plugin.command("{name}")
async def answer() -> str:
    return "{word}"
"""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """Forget the modules, and read each file anew: two versions of one may be written within a second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    for name in [name for name in sys.modules if name.startswith(BESIDE)]:
        del sys.modules[name]


@pytest.fixture
def host():
    return Host(Registry(), {}, version="0.1.0")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "plugins"
    made.mkdir()
    return made


def good(name, word="hello"):
    return GOOD.format(name=name, word=word)


def only(host, folder):
    """Load the only plugin in *folder* and return its report."""
    (candidate,) = find(folder)
    return host.load(candidate)


def bot(tmp_path, settings="", environ=None):
    """Return the bot of a settings file, which is written into *tmp_path*."""
    (tmp_path / "qqops.toml").write_text(settings, "utf-8")
    read, file = load_settings(tmp_path / "qqops.toml", environ or {})
    return make_app(read, Nobody(), environ or {}, file=file)


# -- found and loaded -------------------------------------------------------------------------------


def test_a_file_and_a_folder_beside_the_settings_are_loaded_and_told_of(tmp_path, folder):
    (folder / "hello.py").write_text(good("hello"))
    (folder / "daily_luck").mkdir()
    (folder / "daily_luck" / "__init__.py").write_text("from ._inner import plugin as plugin\n")
    (folder / "daily_luck" / "_inner.py").write_text(good("daily-luck"))
    reports = bot(tmp_path).host.reports
    assert str(reports["hello"]) == "hello (plugins/hello.py)"
    assert str(reports["daily-luck"]) == "daily-luck (plugins/daily_luck)"
    assert reports["hello"].state is reports["daily-luck"].state is PluginState.LOADED


def test_what_is_no_plugin_is_not_taken_for_one(folder):
    for name in ("_shared.py", ".hidden.py", "notes.txt", "__pycache__/old.py", "data/table.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert find(folder) == []


def test_a_bot_without_the_folder_has_none(tmp_path):
    assert find(tmp_path / "plugins") == []
    assert find(None) == []


def test_a_folder_that_cannot_be_read_is_an_error_of_the_settings(folder, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(folder), "iterdir", refuse)  # root may read everything, so chmod will not do
    with pytest.raises(ConfigError, match=r"cannot read the plugins in .*plugins: Permission denied"):
        find(folder)


def test_nothing_is_put_on_the_search_path_and_no_name_of_python_is_hidden(host, folder):
    before = list(sys.path)
    (folder / "json.py").write_text(good("json"))
    assert only(host, folder).state is PluginState.LOADED
    assert sys.path == before
    assert "json.py" not in str(sys.modules["json"].__file__)


def test_files_share_what_begins_with_an_underscore(host, folder):
    (folder / "_words.py").write_text("WORD = 'shared'\n")
    (folder / "hello.py").write_text(f"from ._words import WORD\n{good('hello')}assert WORD == 'shared'\n")
    assert only(host, folder).state is PluginState.LOADED


def test_two_bots_in_two_folders_do_not_share_modules(tmp_path):
    apps = []
    for name in ("one", "two"):
        (tmp_path / name / "plugins").mkdir(parents=True)
        (tmp_path / name / "plugins" / "hello.py").write_text(good("hello", name))
        apps.append(bot(tmp_path / name))
    whence = [app.host.collected("hello").commands[0].handler.where for app in apps]
    assert whence == [f"{tmp_path / name / 'plugins' / 'hello.py'}:6" for name in ("one", "two")]


def test_a_plugin_gets_its_table(tmp_path, folder):
    (folder / "hello.py").write_text(
        "import attrs\n" + good("hello") + "\n@plugin.config\n@attrs.frozen\nclass Config:\n    tries: int\n"
    )
    assert bot(tmp_path, "[plugins.hello]\ntries = 3\n").host.is_loaded("hello")
    report = bot(tmp_path, "[plugins.hello]\ntrys = 3\n").host.reports["hello"]
    assert report.state is PluginState.SKIPPED
    assert report.where.startswith(f"{tmp_path}/qqops.toml:")
    assert "tries" in report.reason


@pytest.mark.parametrize(
    ("settings", "environ"),
    [("[plugins]\noff = ['hello']\n", {}), ("", {"QQOPS_PLUGINS": "essentials"})],
)
def test_it_is_switched_off_like_any_other(tmp_path, folder, settings, environ):
    (folder / "hello.py").write_text(good("hello"))
    assert bot(tmp_path, settings, environ).host.reports["hello"].state is PluginState.OFF


# -- mistakes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "source", "line", "reason"),
    [
        ("hello.py", "x = 1\ndef f(:\n", 2, "SyntaxError: invalid syntax"),
        ("hello.py", "x = 1\n", 1, "there is no plugin in hello.py: write plugin = Plugin('hello') in it"),
        ("hello.py", "def plugin(): ...\n", 1, "there is no plugin in hello.py: its 'plugin' is function"),
        ("hello.py", "import no_such_thing\n", 1, "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("hello.py", "\nfrom .words import WORD\n", 2, "there is no module 'words' in "),
        ("hello.py", "import hello\n", 1, "'hello' on the search path; write from . import hello"),
        ("hello.py", good("other"), 3, 'write Plugin("hello"), or rename it to other.py'),
        ("daily_luck.py", good("daily_luck"), 3, 'Plugin("daily-luck"), or rename it to daily_luck.py'),
        ("hello.py", f"{good('hello')}\nbye = Plugin('bye')", 1, "plugin, bye; give each a file of its own"),
        ("Hello World.py", good("hello"), 1, "rename it, as hello_world.py"),
        ("daily-luck.py", good("daily-luck"), 1, "rename it, as daily_luck.py"),
        ("1st.py", good("first"), 1, "rename it, as st.py"),
        ("运势.py", good("luck"), 1, "rename it, as hello.py"),
    ],
)
def test_a_mistake_takes_out_this_plugin_alone_with_line_and_fix(
    tmp_path, folder, file, source, line, reason
):
    (folder / file).write_text(source, "utf-8")
    (folder / "zeta.py").write_text(good("zeta"))
    app = bot(tmp_path)
    assert app.host.is_loaded("zeta")
    (report,) = [one for one in app.host.reports.all() if one.package == f"plugins/{file}"]
    assert report.state is PluginState.SKIPPED
    assert report.where == f"{folder / file}:{line}"
    assert reason in report.reason
    assert "\n" not in report.reason


def test_a_folder_without_its_beginning_is_named(host, folder):
    (folder / "qqops-hello" / "src").mkdir(parents=True)
    (folder / "qqops-hello" / "pyproject.toml").touch()
    report = only(host, folder)
    assert "there is no __init__.py in it" in report.reason
    assert "pip install -e plugins/qqops-hello" in report.reason
    assert report.where == str(folder / "qqops-hello")


def test_a_file_and_a_folder_of_one_name_are_both_named(host, folder):
    (folder / "hello.py").write_text(good("hello"))
    (folder / "hello").mkdir()
    (folder / "hello" / "__init__.py").write_text(good("hello", "from the folder"))
    host.load_all(find(folder))
    assert str(host.reports["hello"]) == "hello (plugins/hello)"
    (other,) = host.reports.namesakes
    assert (other.package, other.state) == ("plugins/hello.py", PluginState.SKIPPED)
    assert (
        "hello (plugins/hello) is loaded, and plugins/hello.py has a plugin 'hello' as well" in other.reason
    )


def test_an_installed_plugin_keeps_its_name_and_both_places_are_named(tmp_path, folder):
    (folder / "essentials.py").write_text(good("essentials"))
    app = bot(tmp_path)
    assert app.host.reports["essentials"].package == "qqops-essentials"
    (other,) = app.host.reports.namesakes
    assert "essentials (qqops-essentials " in other.reason
    assert "plugins/essentials.py has a plugin 'essentials' as well; rename the file" in other.reason


# -- while the bot runs -----------------------------------------------------------------------------


async def test_it_is_reloaded_and_a_broken_copy_is_not(bots, folder):
    file = folder / "hello.py"
    file.write_text(good("hello", "one"))
    async with bots.run() as bot:
        bot.app.host.folder = folder
        ali = bot.user("ali")
        assert (await bot.app.plugins.load("hello")).done
        for source, kept, answer in (
            (good("hello", "two"), False, "^two$"),
            ("def f(:", True, "^two$"),
            (good("hello", "three"), False, "^three$"),
        ):
            file.write_text(source)
            change = await bot.app.plugins.reload("hello")
            assert change.kept is kept
            assert kept == (f"{file}:1: SyntaxError" in change.reason)
            await ali.say("/hello")
            await ali.expect(answer)
        file.unlink()
        change = await bot.app.plugins.reload("hello")
        assert change.kept
        assert "there is no plugins/hello.py any more" in change.reason


async def test_a_reload_leaves_the_others_in_the_folder_alone(bots, folder):
    for name in ("hello", "bye"):
        (folder / f"{name}.py").write_text(good(name))
    async with bots.run() as bot:
        bot.app.host.folder = folder
        for name in ("hello", "bye"):
            await bot.app.plugins.load(name)
        before = {name: module for name, module in sys.modules.items() if name.startswith(BESIDE)}
        assert (await bot.app.plugins.reload("hello")).done
        changed = [name for name, module in before.items() if sys.modules[name] is not module]
        assert [name.rpartition(".")[2] for name in changed] == ["hello"]


async def test_with_dev_a_file_that_changes_is_reloaded_and_one_that_appears_is_loaded(bots, folder):
    (folder / "hello.py").write_text(good("hello", "one"))
    async with bots.run() as bot, trio.open_nursery() as nursery:
        bot.app.host.folder = folder
        await bot.app.plugins.load("hello")
        nursery.start_soon(watch, bot.app.plugins, HeldThreads())
        ali = bot.user("ali")
        await bot.advance(2)
        (folder / "hello.py").write_text(good("hello", "two"))
        os.utime(folder / "hello.py", (1, 1))
        (folder / "bye.py").write_text(good("bye", "see you"))
        await bot.advance(3)
        await ali.say("/hello")
        await ali.expect("^two$")
        await ali.say("/bye")
        await ali.expect("^see you$")
        nursery.cancel_scope.cancel()
