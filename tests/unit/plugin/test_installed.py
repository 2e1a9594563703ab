"""What a package says about itself may be broken: that is told, and everything else is found."""

import importlib
import sys

import pytest

from qqops.plugin._blame import MOST, explain
from qqops.plugin.host import Host, PluginState, discover
from qqops.runtime.registry import Registry

GOOD = "from qqops import Plugin\nplugin = Plugin('x')\n@plugin.command\nasync def {name}() -> None: ...\n"


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Return what becomes of the plugins in *tmp_path*, which are the only ones."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)

    def found():
        importlib.invalidate_caches()
        host = Host(Registry(), {}, version="0.1.0")
        mine = [one for one in discover() if one.name not in ("core", "essentials", "qqofficial")]
        host.load_all(mine)
        return host.reports.all()

    yield found
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def put(tmp_path):
    """Write a distribution: its module, what it says about itself, and its entry points."""

    def put(name, entry_points, metadata="Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"):
        (tmp_path / f"{name}_module.py").write_text(GOOD.format(name=name))
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "entry_points.txt").write_bytes(entry_points)
        if metadata is not None:
            (folder / "METADATA").write_bytes(
                metadata.format(name=name).encode() if isinstance(metadata, str) else metadata
            )

    return put


BROKEN = [
    b"[qqops.plugins]\nnothing here\n",
    b"[qqops.plugins]\nbad = bad_module\n[other]\n\xff\xfe = x\n",
    b"[qqops.plugins]\n\xff = x\n",
]


@pytest.mark.parametrize("content", BROKEN)
def test_a_package_whose_entry_points_cannot_be_read_is_named_and_the_others_are_loaded(
    found, put, tmp_path, content
):
    put("good", b"[qqops.plugins]\ngood = good_module\n")
    put("Bad_One", content)
    good, bad = sorted(found(), key=lambda one: one.state.value)
    assert (good.name, good.state) == ("good", PluginState.LOADED)
    assert (bad.name, str(bad), bad.state) == ("bad-one", "bad-one (Bad_One 1.0)", PluginState.SKIPPED)
    assert bad.reason == (
        f"what it offers cannot be read, in {tmp_path}: its entry_points.txt is broken; install it anew"
    )


@pytest.mark.parametrize("content", [b"[console_scripts]\nnothing here\n", b"\xff\xfe"])
def test_what_is_broken_and_no_plugin_does_not_concern_anybody(found, put, content):
    put("good", b"[qqops.plugins]\ngood = good_module\n")
    put("other", content)
    assert [one.name for one in found()] == ["good"]


@pytest.mark.parametrize(
    "metadata", [None, "", b"\xff\xfe", "Version: 1.0\n", "Name: x\n", "Requires-Dist: ;;;\n"]
)
def test_two_of_one_name_of_which_one_says_nothing_about_itself(found, put, metadata):
    put("good", b"[qqops.plugins]\nsame = good_module\n")
    put("mute", b"[qqops.plugins]\nsame = mute_module\n", metadata)
    assert sorted(one.state.value for one in found()) == ["loaded", "skipped"]


def test_a_relative_entry_point_is_none(found, put):
    put("good", b"[qqops.plugins]\ngood = ..good_module\n")
    (report,) = found()
    assert report.reason.startswith(
        "the entry point must be package.module or package.module:name, not '..good"
    )


class Mute(Exception):
    def __str__(self):
        raise SystemExit(3)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Mute(), "Mute (it cannot say why)"),
        (ValueError("a\nb\tc"), "ValueError: a b c"),
        (ValueError("\x1b[31mred\x00\ud800"), r"ValueError: \x1b[31mred\x00\ud800"),
        (ValueError("中文"), "ValueError: 中文"),
        (ValueError("x" * 5000), f"ValueError: {'x' * (MOST - 13)}…"),
    ],
)
def test_a_reason_is_one_line_that_can_be_shown(error, reason):
    assert explain(error) == (reason, "")
