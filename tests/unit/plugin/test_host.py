"""Loading plugins: the good ones work, the broken ones are named with package, file, line and reason."""

import importlib
import sys

import pytest

from qqops import Plugin, hookimpl
from qqops.plugin.host import Candidate, Host, PluginState, discover
from qqops.runtime.registry import Registry


@pytest.fixture
def host():
    return Host(Registry(), {}, version="0.1.0")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module and return a candidate that imports it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written = []

    def make(name, source, **more):
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        written.append(name)
        importlib.invalidate_caches()
        return Candidate(
            name=name, load=lambda: importlib.import_module(name), package=f"pkg-{name}", **more
        ), path

    yield make
    for name in written:
        sys.modules.pop(name, None)


GOOD = """
from qqops import Plugin
plugin = Plugin("good")
@plugin.command("hello")
async def hello() -> str:
    "Say hello."
    return "hello"
"""

BROKEN = {
    "raises": ("x = 1\nraise ValueError('no luck')\n", "ValueError: no luck", 2),
    "syntax": ("def f(:\n    pass\n", "SyntaxError", 1),
    "missing": (
        "\n\nimport nonexistent_thing\n",
        "ModuleNotFoundError: No module named 'nonexistent_thing'",
        3,
    ),
    "exits": ("import sys\nsys.exit(3)\n", "tried to end the program", 2),
    "misspelt": (
        "from qqops import hookimpl\n@hookimpl\ndef qqops_comands(build):\n    return []\n",
        "there is no hook 'qqops_comands'; did you mean qqops_commands?",
        2,
    ),
    "argument": (
        "from qqops import hookimpl\n@hookimpl\ndef qqops_commands(build, more):\n    return []\n",
        "Argument",
        1,
    ),
    "hook": (
        "from qqops import hookimpl\n@hookimpl\ndef qqops_commands(build):\n    return 1 / 0\n",
        "ZeroDivisionError",
        4,
    ),
    "taken": (
        GOOD.replace('"good"', '"taken"') + GOOD.split("\n", 3)[3].replace("def hello", "def again"),
        "the command 'hello' is taken by 'hello'",
        8,
    ),
    "wrong": ("plugin = 5\n", "leads to int", 0),
    "late": ("from qqops import Plugin\nplugin = Plugin('Bad Name')\n", "not a plugin name", 2),
}


def test_one_good_and_ten_broken_plugins(host, module):
    candidates = [module("good", GOOD)[0]]
    paths = {}
    for name, (source, _, _) in BROKEN.items():
        candidate, paths[name] = module(name, source)
        if name == "wrong":
            candidate = Candidate(name="wrong", load=lambda: 5, package="pkg-wrong")
        candidates.append(candidate)
    host.load_all(candidates)
    assert [c.path for c in host.registry.commands] == [("hello",)]
    assert host.reports["good"].state is PluginState.LOADED
    for name, (_, reason, line) in BROKEN.items():
        report = host.reports[name]
        assert report.state is PluginState.SKIPPED, name
        assert reason in report.reason, name
        assert report.package == f"pkg-{name}"
        if line and name != "late":
            assert report.where == f"{paths[name]}:{line}", name


def test_a_plugin_for_another_version_is_refused_before_its_code_runs(host):
    def load():
        raise AssertionError("it was imported")

    candidate = Candidate(name="future", load=load, requires=("qqops>=9", "httpx"))
    assert host.load(candidate).reason == "it needs qqops >=9, this is 0.1.0"
    other = Candidate(
        name="extra", load=lambda: Plugin("extra"), requires=("qqops>=9; extra == 'dev'", "nonsense ~~")
    )
    assert host.load(other).state is PluginState.LOADED


def test_modules_with_plain_hooks_are_plugins(host):
    class Raw:
        @hookimpl
        def qqops_networks(self):
            return []

    report = host.load(Candidate(name="raw", load=lambda: _module_with(Raw())))
    assert report.state is PluginState.LOADED


def _module_with(obj):
    import types

    module = types.ModuleType("raw_module")
    module.qqops_networks = obj.qqops_networks
    return module


def test_a_network_with_an_option_that_every_account_has_is_named_and_left_out(host, module):
    source = (
        "import attrs\n"
        "from qqops import hookimpl\n"
        "from qqops.adapter import Network\n"
        "@attrs.frozen\n"
        "class Options:\n"
        "    link: str = ''\n"
        "@hookimpl\n"
        "def qqops_networks():\n"
        "    return [Network(name='parley', options=Options, open=print)]\n"
    )
    report = host.load(module("parley", source)[0])
    assert report.state is PluginState.SKIPPED
    assert "network 'parley': the option 'link' of Options cannot be set" in report.reason
    assert report.where.endswith("parley.py:9")
    assert host.networks == {}


def test_only_and_off(host, module):
    a, _ = module("aaa", GOOD.replace("hello", "aaa"))
    b, _ = module("bbb", GOOD.replace("hello", "bbb"))
    c, _ = module("ccc", GOOD.replace("hello", "ccc"))
    host.load_all([a, b, c], only=["aaa", "bbb"], off=["bbb"])
    assert {n: r.state.value for n, r in host.reports.items()} == {
        "aaa": "loaded",
        "bbb": "off",
        "ccc": "off",
    }


def test_a_failed_plugin_leaves_nothing_behind_and_can_be_loaded_later(host):
    plugin = Plugin("again")

    @plugin.command("fine")
    async def fine() -> str:
        return "fine"

    loads = iter([RuntimeError("not yet"), None])

    def load():
        if (error := next(loads)) is not None:
            raise error
        return plugin

    candidate = Candidate(name="again", load=load)
    assert host.load(candidate).reason == "RuntimeError: not yet"
    assert host.registry.commands == []
    assert host.load(candidate).state is PluginState.LOADED
    assert [c.path for c in host.registry.commands] == [("fine",)]


def test_installed_plugins_are_discovered_core_first():
    names = [c.name for c in discover()]
    assert names[0] == "core"
    assert "essentials" in names
