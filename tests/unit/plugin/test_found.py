"""Plugins are found, not lost: what is skipped is named with its reason, the author's own line, and the fix."""

import importlib
import importlib.metadata
import signal
import sys
import threading

import pytest

from qqops import Plugin
from qqops.plugin._interrupt import heeding_interrupts
from qqops.plugin.host import Candidate, Host, PluginState, discover
from qqops.runtime.registry import Registry

GOOD = """\
from qqops import Plugin
plugin = Plugin("any")
@plugin.command("NAME")
async def hello() -> str:
    return "NAME"
"""


@pytest.fixture
def host():
    return Host(Registry(), {}, version="0.1.0")


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the file of a module, and forget the module in the end."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(file, source):
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
        importlib.invalidate_caches()
        return path

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def install(write, tmp_path):
    """Write a distribution with one plugin, and return what `discover` finds of everything installed so."""

    def install(package, version, name, target):
        folder = f"{package}-{version}.dist-info"
        write(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        write(f"{folder}/entry_points.txt", f"[qqops.plugins]\n{name} = {target}\n")

    def found():
        dists = importlib.metadata.distributions(path=[str(tmp_path)])
        return discover(one for dist in dists for one in dist.entry_points)

    install.found = found
    return install


def loaded(host, name, target):
    """Return what becomes of a plugin whose entry point leads to *target*."""
    (entry,) = discover([importlib.metadata.EntryPoint(name, target, "qqops.plugins")])
    return host.load(entry)


# -- one name, two packages ---------------------------------------------------------------------------


def test_of_two_packages_with_one_name_one_is_loaded_and_both_are_named(host, write, install):
    write("of_beta.py", GOOD.replace("NAME", "beta"))
    write("the_first.py", GOOD.replace("NAME", "alpha"))
    install(
        "beta", "2.0", "deploy", "of_beta"
    )  # the order on the disk does not matter, nor that of the modules
    install("alpha", "1.0", "deploy", "the_first")
    host.load_all(install.found())
    first, second = host.reports.all()
    assert (first.state, str(first)) == (PluginState.LOADED, "deploy (alpha 1.0)")
    assert (second.state, str(second)) == (PluginState.SKIPPED, "deploy (beta 2.0)")
    assert second.reason == (
        "its name is taken: deploy (alpha 1.0) is loaded, and beta 2.0 has a plugin 'deploy' as well;"
        " uninstall one of the two, or give its entry point another name"
    )
    assert host.reports["deploy"] is first
    assert [c.path for c in host.registry.commands] == [("alpha",)]
    assert "of_beta" not in sys.modules
    host.load(install.found()[1])
    assert host.reports.all() == [first, second]


def test_the_second_of_one_name_is_loaded_where_the_first_cannot_be(host, write, install):
    write("alpha_plugin.py", "raise ValueError('no luck')")
    write("beta_plugin.py", GOOD.replace("NAME", "beta"))
    install("alpha", "1.0", "deploy", "alpha_plugin")
    install("beta", "2.0", "deploy", "beta_plugin")
    host.load_all(install.found())
    assert [(str(one), one.state.value) for one in host.reports.all()] == [
        ("deploy (beta 2.0)", "loaded"),
        ("deploy (alpha 1.0)", "skipped"),
    ]
    assert host.reports["deploy"].package == "beta"


def test_both_of_one_name_are_off_when_the_name_is_off(host, write, install):
    install("alpha", "1.0", "deploy", "alpha_plugin")
    install("beta", "2.0", "deploy", "beta_plugin")
    host.load_all(install.found(), off=["deploy"])
    assert [(one.package, one.state.value) for one in host.reports.all()] == [
        ("beta", "off"),
        ("alpha", "off"),
    ]


def test_one_that_is_tried_again_is_reported_once(host, write, install):
    write("alpha_plugin.py", GOOD.replace('"any"', "1 // 0"))
    install("alpha", "1.0", "deploy", "alpha_plugin")
    (candidate,) = install.found()
    host.load(candidate)
    write("alpha_plugin.py", GOOD)
    assert host.load(candidate).state is PluginState.LOADED
    assert host.load(candidate).state is PluginState.SKIPPED
    assert [one.state for one in host.reports.all()] == [PluginState.LOADED]


def test_nobody_takes_the_name_of_the_core():
    names = [
        importlib.metadata.EntryPoint("core", target, "qqops.plugins")._for(
            type("Dist", (), {"name": package, "version": "1", "requires": []})()
        )
        for package, target in (("a-thief", "a_thief"), ("qqops", "qqops.core_plugin"))
    ]
    assert [one.package for one in discover(names)] == ["qqops", "a-thief"]


def test_one_object_under_two_names_is_loaded_once(host, write):
    write("one_plugin.py", GOOD)
    assert loaded(host, "first", "one_plugin").state is PluginState.LOADED
    assert loaded(host, "second", "one_plugin").reason == "it is loaded already, under the name 'first'"


# -- no plugin in it ----------------------------------------------------------------------------------

HOOK = "@hookimpl\ndef qqops_commands(build):\n    return []\n"
EMPTY = {
    "nothing": ("x = 1\n", 1, "there is no plugin in nothing: write plugin = Plugin('it') in it, or mark its hooks"),
    "number": ("plugin = 5\n", 1, "its 'plugin' is int; write plugin = Plugin('it')"),
    "forgotten": ("from qqops import Plugin\nplugin = Plugin\n", 1, "its 'plugin' is the class Plugin"),
    "unmarked": ("\ndef qqops_commands(build):\n    return []\n", 2, "qqops_commands() is not marked as a hook: write @h"),
    "half": ("from qqops import hookimpl\n" + HOOK + "def qqops_filters(build):\n    return []\n", 5, "qqops_filters() is not"),
    "two": ("from qqops import Plugin\na = Plugin('a')\nb = Plugin('b')\n", 1,
            'there are 2 plugins in two: a, b; give each an entry point of its own, as it = "two:a"'),
    "both": ("from qqops import Plugin, hookimpl\nplugin = Plugin('a')\n" + HOOK, 3,
             "qqops_commands() is a hook beside the Plugin 'plugin', and nobody would call it"),
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_a_module_without_one_plugin_is_skipped_with_the_fix(host, write, name):
    source, line, reason = EMPTY[name]
    path = write(f"{name}.py", source)
    report = loaded(host, "it", name)
    assert report.state is PluginState.SKIPPED
    assert reason in report.reason
    assert report.where == f"{path}:{line}"


def test_a_plugin_is_found_by_any_name(host, write):
    write("other_name.py", GOOD.replace("plugin =", "bot =").replace("@plugin", "@bot"))
    assert loaded(host, "it", "other_name").state is PluginState.LOADED
    assert [c.handler.plugin for c in host.registry.commands] == ["it"]


def test_an_entry_point_names_one_of_several(host, write):
    write("several.py", GOOD.replace("NAME", "a") + GOOD.replace("plugin", "second").replace("NAME", "b"))
    assert loaded(host, "it", "several:second").state is PluginState.LOADED
    assert [c.path for c in host.registry.commands] == [("b",)]


def test_a_plugin_that_is_a_module_is_named(host, write):
    write("pack/__init__.py", "from pack import plugin\n")
    write("pack/plugin.py", GOOD)
    report = loaded(host, "it", "pack")
    assert report.reason.endswith(
        'its "plugin" is a module; let the entry point lead to it, as it = "pack.plugin"'
    )


@pytest.mark.parametrize(
    ("target", "reason", "file"),
    [
        ("lead:plugn", "the entry point leads to lead:plugn, and there is no 'plugn' in lead; did you mean plugin?", "lead/__init__.py"),
        ("lead:zzz", "no 'zzz' in lead; known are: plugin", "lead/__init__.py"),
        ("lead.inner:plugin.comand", "no 'comand' in Plugin; did you mean command?", ""),
        ("lead.iner", "there is no module 'lead.iner'; did you mean lead.inner?", "lead/__init__.py"),
        ("laed", "the entry point leads to laed, and there is no module 'laed'", ""),
        ("lead: plugin or so", "the entry point must be package.module or package.module:name, not 'lead: plugin or so'", ""),
        ("lead:Kind", "the entry point leads to the class Kind, not to an object of it", "lead/__init__.py"),
        ("lead:five", "the entry point leads to int, not to a Plugin or a module", ""),
    ],
)  # fmt: skip
def test_an_entry_point_that_leads_nowhere_names_the_nearest(host, write, target, reason, file, tmp_path):
    write("lead/__init__.py", GOOD + "class Kind: ...\nfive = 5\n")
    write("lead/inner.py", GOOD)
    report = loaded(host, "it", target)
    assert report.state is PluginState.SKIPPED
    assert reason in report.reason
    assert report.where == (f"{tmp_path / file}:1" if file else "")


def test_a_module_that_the_plugin_misses_is_not_taken_for_its_own(host, write):
    path = write("misses.py", "\nimport misses_something\n")
    report = loaded(host, "it", "misses")
    assert (report.reason, report.where) == (
        "ModuleNotFoundError: No module named 'misses_something'",
        f"{path}:2",
    )


def test_objects_with_hooks_are_plugins(host, write):
    write(
        "thing.py",
        "from qqops import hookimpl\nclass Kind:\n    @hookimpl\n    def qqops_networks(self):\n        return []\nit = Kind()\n",
    )
    assert loaded(host, "it", "thing:it").state is PluginState.LOADED


@pytest.mark.parametrize("name", ["Deploy", "a b", "1st", "部署"])
def test_a_name_that_could_not_be_typed_is_refused(host, name):
    report = host.load(Candidate(name=name, load=lambda: Plugin("x")))
    assert (
        report.reason == f"{name!r} is no name for an entry point: lower-case letters, digits, - and _ only"
    )


def test_a_plugin_that_declares_nothing_has_a_note(host):
    report = host.load(Candidate(name="x", load=lambda: Plugin("x")))
    assert report.notes == ("it declares nothing; does its module import those in which its commands stand?",)
    assert report.unsettled == report.notes


@pytest.mark.parametrize(
    ("returned", "kind"), [("['x']", "str"), ("5", "int"), ("[0]", "int"), ("{'a': 1}", "str")]
)
def test_a_hook_that_returns_something_else_is_named(host, write, returned, kind):
    path = write(
        "returns.py", "from qqops import hookimpl\n@hookimpl\ndef qqops_jobs(build):\n    return " + returned
    )
    report = loaded(host, "it", "returns")
    assert report.reason == f"qqops_jobs() must return a list of Job, not of {kind}"
    assert report.where == f"{path}:2"


# -- whose line it is ---------------------------------------------------------------------------------


@pytest.fixture
def library(write, tmp_path, monkeypatch):
    """A library that raises deep inside, somewhere else."""
    folder = tmp_path / "elsewhere"
    monkeypatch.syspath_prepend(str(folder))
    return write(
        "elsewhere/brittle.py", "def outer():\n    inner()\ndef inner():\n    raise OSError('no disk')\n"
    )


def test_an_error_inside_a_library_shows_the_line_of_the_author(host, write, library):
    write("mine/__init__.py", "from mine import more\n")
    path = write("mine/more.py", "import brittle\n\nbrittle.outer()\n")
    report = loaded(host, "it", "mine:plugin")
    assert report.reason == "OSError: no disk"
    assert report.where == f"{path}:3"
    lines = report.traceback.splitlines()
    assert [line.strip() for line in lines if line.startswith("  File")] == [
        f'File "{path.parent / "__init__.py"}", line 1, in <module>',
        f'File "{path}", line 3, in <module>',
        f'File "{library}", line 2, in outer',
        f'File "{library}", line 4, in inner',
    ]
    assert lines[-1] == "OSError: no disk"


def test_an_error_in_a_hook_shows_the_line_of_the_author(host, write, library):
    path = write(
        "hooks.py",
        "import brittle\nfrom qqops import hookimpl\n@hookimpl\ndef qqops_jobs(build):\n    brittle.outer()\n",
    )
    assert loaded(host, "it", "hooks").where == f"{path}:5"


def test_an_error_that_hides_the_author_behind_another_still_shows_the_line(host, write):
    path = write(
        "hides.py",
        "def f():\n    raise OSError('x')\ntry:\n    f()\nexcept OSError as exc:\n    error = exc\n",
    )

    def load():
        raise RuntimeError("it did not work") from importlib.import_module("hides").error

    report = host.load(Candidate(name="it", load=load, target="hides"))
    assert (report.reason, report.where) == ("RuntimeError: it did not work", f"{path}:2")


def test_a_syntax_error_of_a_library_is_not_the_authors(host, write, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    library = write("elsewhere/garbled.py", "x = (\n")
    path = write("imports.py", "import garbled\n")
    report = loaded(host, "it", "imports")
    assert report.reason == f"SyntaxError: '(' was never closed ({library}:1)"
    assert report.where == f"{path}:1"
    own = write("own.py", "x = (\n")
    assert loaded(host, "own", "own").where == f"{own}:1"


def test_an_exception_that_cannot_say_why_is_named_all_the_same(host, write):
    path = write(
        "mute.py", "class Mute(Exception):\n    def __str__(self):\n        return 1 / 0\nraise Mute\n"
    )
    report = loaded(host, "it", "mute")
    assert (report.reason, report.where) == ("Mute (it cannot say why)", f"{path}:4")


@pytest.mark.parametrize(
    "source",
    [
        "class Own(PluginError):\n    def __init__(self): ...\nraise Own\n",
        "error = SyntaxError('x')\nerror.filename = 5\n\nraise error\n",
        "error = SyntaxError('x', ('f', 'a', None, 5))\nerror.print_file_and_line = 5\n\nraise error\n",
    ],
)
def test_an_exception_that_is_broken_itself_breaks_nothing(host, write, source):
    path = write("crooked.py", "from qqops import PluginError\n" + source)
    report = loaded(host, "it", "crooked")
    assert report.state is PluginState.SKIPPED
    assert report.where in (f"{path}:4", f"{path}:5", "f:a")


# -- what no plugin may end ---------------------------------------------------------------------------

ENDS = {
    "asyncio.CancelledError": "CancelledError",
    "KeyboardInterrupt('mine')": "KeyboardInterrupt: mine",
    "SystemExit(3)": "it tried to end the program while it was loaded",
    "GeneratorExit": "GeneratorExit",
    "type('Own', (BaseException,), {})('gone')": "Own: gone",
    "BaseExceptionGroup('two', [KeyboardInterrupt()])": "BaseExceptionGroup: two (1 sub-exception)",
    "f()": "RecursionError: maximum recursion depth exceeded",
}


@pytest.mark.parametrize("what", ENDS)
@pytest.mark.parametrize(
    "hook", ["", "qqops_commands(build)", "qqops_config()", "qqops_converters()", "qqops_networks()"]
)
def test_whatever_a_plugin_raises_takes_out_this_plugin_alone(host, write, what, hook):
    source = "import asyncio\nfrom qqops import hookimpl\ndef f():\n    return f()\n"
    source += f"@hookimpl\ndef {hook}:\n    raise {what}\n" if hook else f"raise {what}\n"
    path = write("ends.py", source)
    write("good.py", GOOD)
    host.load_all(discover(importlib.metadata.EntryPoint(n, n, "g") for n in ("ends", "good")))
    assert host.reports["good"].state is PluginState.LOADED
    report = host.reports["ends"]
    assert report.state is PluginState.SKIPPED
    assert report.reason == ENDS[what]
    assert report.where == f"{path}:{4 if what == 'f()' else 7 if hook else 5}"
    assert [one.state.value for one in host.reports.all()] == ["skipped", "loaded"]


@pytest.mark.parametrize(
    "after", ["", "except BaseException:\n    pass\n", "except BaseException as e:\n    raise ValueError from e\n"],
    ids=["lets it pass", "swallows it", "makes another of it"],
)  # fmt: skip
def test_a_ctrl_c_while_a_plugin_is_loaded_ends_the_program(host, write, after):
    source = (
        f"import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\n{after or 'finally: pass'}\n" + GOOD
    )
    write("pressed.py", source)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        loaded(host, "it", "pressed")
    assert signal.getsignal(signal.SIGINT) is before
    assert host.registry.commands == []


async def test_a_ctrl_c_at_load_ends_the_program_under_trio(host, write):
    write("pressed.py", "import signal\nsignal.raise_signal(signal.SIGINT)\n" + GOOD)
    with pytest.raises(KeyboardInterrupt):
        loaded(host, "it", "pressed")


def test_a_signal_that_somebody_else_takes_care_of_is_left_to_them(host, write):
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append("told"))
    write("pressed.py", "import signal\nsignal.raise_signal(signal.SIGINT)\n" + GOOD)
    try:
        assert loaded(host, "it", "pressed").state is PluginState.LOADED
    finally:
        signal.signal(signal.SIGINT, before)
    assert came == ["told"]


def test_a_handler_that_a_plugin_has_set_stays(host, write):
    before = signal.getsignal(signal.SIGINT)
    write("sets.py", "import signal\ndef mine(*_): ...\nsignal.signal(signal.SIGINT, mine)\n" + GOOD)
    try:
        assert loaded(host, "it", "sets").state is PluginState.LOADED
        assert signal.getsignal(signal.SIGINT) is sys.modules["sets"].mine
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_no_handler_is_set():
    seen = []

    def elsewhere():
        with heeding_interrupts() as interrupted:
            seen.append(interrupted())

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [None]
    assert signal.getsignal(signal.SIGINT) is before
